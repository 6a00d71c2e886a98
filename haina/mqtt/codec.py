"""MQTT 3.1.1 packets as values, and the bytes they are on the wire; no sockets, no clocks.

A TCP stream has no packets, only bytes: a chunk may hold four hundred PUBLISHes and the first half of another. A
`Decoder` is fed chunks as they come and answers each with the packets it completes; the ``encode…`` functions go
the other way. Both work in batches, because a collector takes tens of thousands of PUBLISHes a second and answers
each with a PUBACK: the loop over a chunk stays in one function, a run of PUBLISHes is one value of a few columns
(`Publishes`), a run of PUBACKs another (`PubAcks`) that costs a few C calls, and a batch of PUBLISHes is joined once
and written once.

What is spoken is the part of MQTT 3.1.1 (OASIS Standard, 29 October 2014) that Haina uses: QoS 0 and QoS 1. QoS 2
is refused by name (`UnsupportedQoS`), in both directions. Topics are bytes: the decoder checks that a topic is
there, and whoever takes it apart checks what it says.

Hostile bytes end in a `CodecError` and in nothing else. The packets that were complete before the bad byte are on
the error (`CodecError.packets`), for they were received; after it the stream has no meaning, and the decoder
raises the same error for ever.

::

    Exception
    └── CodecError              .packets: complete before the bad byte
        ├── MalformedPacket     not MQTT 3.1.1
        │   └── UnsupportedQoS  MQTT 3.1.1, but QoS 2
        └── PacketTooLarge      over the decoder's or the sender's limit, or over MQTT's own
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final, NoReturn, TypeAlias

import msgspec

MAX_PACKET_BYTES: Final = 268_435_460
"""The largest packet MQTT can express, in bytes (section 2.2.3): a remaining length of 268,435,455 and 5 before it."""

MAX_PACKET_ID: Final = 65_535
"""Packet identifiers are 1 … 65,535 (section 2.3.1)."""

MAX_STRING_BYTES: Final = 65_535
"""The longest topic, client id or any other string, in bytes (section 1.5.3)."""


class CodecError(Exception):
    """Bytes that cannot be read, or a packet that cannot be written.

    `packets` holds what the decoder had completed, in the same chunk, before the bad byte.
    """

    packets: "list[Packet]"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.packets = []


class MalformedPacket(CodecError):
    """Not an MQTT 3.1.1 packet."""


class UnsupportedQoS(MalformedPacket):
    """QoS 2, which Haina does not speak: its promises rest on QoS 1 and on idempotent writes."""


class PacketTooLarge(CodecError):
    """A packet over the limit that was set, or over the one MQTT has (`MAX_PACKET_BYTES`)."""


class Publish(msgspec.Struct, frozen=True, gc=False):
    """A PUBLISH packet; `packet_id` is 0 at QoS 0."""

    topic: bytes
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int


class Publishes(msgspec.Struct, frozen=True):
    """A run of PUBLISH packets with the same flags that came one after another, a column each; iterate for `Publish`.

    Packet ids are 0 at QoS 0.
    """

    qos: int
    retain: bool
    dup: bool
    topics: list[bytes]
    payloads: list[bytes]
    packet_ids: list[int]

    def __len__(self) -> int:
        return len(self.topics)

    def __iter__(self) -> Iterator[Publish]:
        qos, retain, dup = self.qos, self.retain, self.dup
        for topic, payload, packet_id in zip(self.topics, self.payloads, self.packet_ids, strict=True):
            yield Publish(topic, payload, qos, retain, dup, packet_id)


@dataclass(frozen=True, slots=True)
class PubAcks:
    """A run of PUBACK packets that came one after another, as their packet ids in order of arrival."""

    packet_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Will:
    """The message a broker publishes for a client that vanishes without a DISCONNECT."""

    topic: bytes
    payload: bytes
    qos: int = 1
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT packet. `keep_alive_s` is whole seconds, 0 … 65,535; 0 turns the broker's watch off."""

    client_id: str
    clean_session: bool = True
    keep_alive_s: int = 60
    will: Will | None = None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ConnAck:
    """A CONNACK packet; `return_code` 0 is accepted, 1 … 5 are in `REFUSALS`."""

    session_present: bool
    return_code: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A SUBSCRIBE packet: pairs of topic filter and the QoS asked for."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SubAck:
    """A SUBACK packet: the QoS granted for each filter asked for, in order, or 0x80 for a filter refused."""

    packet_id: int
    return_codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """An UNSUBSCRIBE packet."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnsubAck:
    """An UNSUBACK packet."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class PingReq:
    """A PINGREQ packet."""


@dataclass(frozen=True, slots=True)
class PingResp:
    """A PINGRESP packet."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A DISCONNECT packet."""


Packet: TypeAlias = (
    Publishes
    | PubAcks
    | Connect
    | ConnAck
    | Subscribe
    | SubAck
    | Unsubscribe
    | UnsubAck
    | PingReq
    | PingResp
    | Disconnect
)

REFUSALS: Final = {
    1: "unacceptable protocol version",
    2: "client id rejected",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorised",
}
"""CONNACK return codes other than 0, in words (table 3.1)."""

SUBACK_FAILURE: Final = 0x80

# First bytes of the fixed header (table 2.1 and 2.2): the type in the high four bits, flags in the low four.
_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
_UNSUBSCRIBE, _UNSUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 0xA2, 0xB0, 0xC0, 0xD0, 0xE0
_RETAIN, _QOS_1, _QOS_2, _DUP = 0x01, 0x02, 0x04, 0x08
_QOS_2_PACKETS = frozenset({0x50, 0x62, 0x70})  # PUBREC, PUBREL, PUBCOMP

_PUBLISH_HEAD = struct.Struct(">BBBH").unpack_from  # type, remaining length in two bytes, length of the topic
_PACKET_ID = struct.Struct(">H").unpack_from
_USUAL_BYTES = 3 + 16_383  # no packet with a remaining length of two bytes is larger

_PUBACK_HEADER = bytes((_PUBACK, 2, 0, 0))  # type and remaining length of a PUBACK, and room for its packet id
# Possessive, so that a run of any length costs no backtracking state.
_PUBACK_RUN = re.compile(rb"(?:@\x02..)++", re.DOTALL)

_PROTOCOL = b"\x00\x04MQTT\x04"  # name and level
_WILL_FLAG, _WILL_RETAIN, _CLEAN_SESSION, _PASSWORD, _USERNAME = 0x04, 0x20, 0x02, 0x40, 0x80

# QoS, retain and dup for each legal first byte of a PUBLISH. DUP at QoS 0 is a violation [MQTT-3.3.1-2].
_PUBLISH_FLAGS: Final[dict[int, tuple[int, bool, bool]]] = {
    _PUBLISH: (0, False, False),
    _PUBLISH | _RETAIN: (0, True, False),
    _PUBLISH | _QOS_1: (1, False, False),
    _PUBLISH | _QOS_1 | _RETAIN: (1, True, False),
    _PUBLISH | _QOS_1 | _DUP: (1, False, True),
    _PUBLISH | _QOS_1 | _DUP | _RETAIN: (1, True, True),
}


class Decoder:
    """Turns the bytes of one direction of one connection into packets.

    A packet of more than `max_packet_bytes` (its fixed header included) is refused as soon as its length is known,
    so no more than that is ever kept between two chunks. Time is linear in the bytes fed, however they are cut.
    """

    def __init__(self, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max_packet_bytes = max_packet_bytes
        self._pending = bytearray()  # the beginning of a packet whose end has not come
        self._needed_bytes = 0  # `_pending` need not be looked at before it is this long
        self._error: CodecError | None = None

    def feed(self, data: bytes) -> list[Packet]:
        """Answer the packets that `data` completes, in order.

        Raises `MalformedPacket` or `PacketTooLarge`; then, and at every later call, the stream is over. The packets
        completed before the bad byte are on the error, the first time it is raised.
        """
        if self._error is not None:
            raise type(self._error)(str(self._error))
        packets: list[Packet] = []
        start = 0
        try:
            if self._pending:
                needed = self._needed_bytes - len(self._pending)
                if needed > len(data):
                    self._pending += data
                    return packets
                if needed > 0:  # a chunk may be large: only what completes that packet is copied
                    first, start = bytes(self._pending) + data[:needed], needed
                    self._pending.clear()
                    self._decode(first, packets, 0)
                else:  # its length is not known yet
                    data = bytes(self._pending) + data
                    self._pending.clear()
            position = self._decode(data, packets, start)
        except CodecError as error:
            error.packets = packets
            self._error = error
            raise
        if position < len(data):
            self._pending += data[position:] if position else data
        return packets

    def _decode(self, data: bytes, packets: list[Packet], position: int) -> int:
        """Append every complete packet of `data` from `position` on; return where the first incomplete one begins.

        One long function on purpose: calls for every packet would double its cost.
        """
        append, flags_of, head, id_at = packets.append, _PUBLISH_FLAGS.get, _PUBLISH_HEAD, _PACKET_ID
        limit = self._max_packet_bytes
        size = len(data)
        self._needed_bytes = 0
        usual = run_first = -1  # the first byte of each packet of the run, and the same if the shorter way is for them
        topics, payloads, packet_ids = list[bytes](), list[bytes](), list[int]()
        add_topic, add_payload, add_packet_id = topics.append, payloads.append, packet_ids.append
        while position + 2 <= size:
            # The next of a run goes a shorter way: QoS 1, whole, and with a remaining length of one byte or two.
            if position + 5 <= size:
                first, length, more, topic_bytes = head(data, position)
                if first == usual:
                    if length < 128:
                        topic_start = position + 4
                        topic_bytes = more << 8 | topic_bytes >> 8
                        end = position + 2 + length
                    else:
                        topic_start = position + 5
                        end = position + length - 125 + (more << 7) if more < 128 else size + 1
                    topic_end = topic_start + topic_bytes
                    if topic_bytes and topic_end + 2 <= end <= size:
                        (packet_id,) = id_at(data, topic_end)
                        if packet_id:
                            add_topic(data[topic_start:topic_end])
                            add_payload(data[topic_end + 2 : end])
                            add_packet_id(packet_id)
                            position = end
                            continue
            first = data[position]
            length = data[position + 1]
            start = position + 2
            if length > 127:  # the remaining length goes on: seven bits a byte, the lowest first
                shift = 7
                length &= 127
                while True:
                    if start == size:
                        return position
                    byte = data[start]
                    start += 1
                    length |= (byte & 127) << shift
                    if byte < 128:
                        break
                    shift += 7
                    if shift > 21:
                        raise MalformedPacket("a remaining length of more than four bytes")
            end = start + length
            if end - position > limit:
                raise PacketTooLarge(f"a packet of {end - position:,} bytes, where {limit:,} is the limit")

            flags = flags_of(first)
            if flags is not None:
                if end > size:
                    self._needed_bytes = end - position
                    return position
                qos, retain, dup = flags
                if length < 2:
                    raise MalformedPacket("a PUBLISH without a topic length")
                topic_start = start + 2
                topic_end = topic_start + (data[start] << 8 | data[start + 1])
                if qos:
                    payload_start = topic_end + 2
                    if payload_start > end:
                        raise MalformedPacket("a PUBLISH that ends within its topic or packet id")
                    packet_id = data[topic_end] << 8 | data[topic_end + 1]
                    if not packet_id:
                        raise MalformedPacket("a QoS 1 PUBLISH with packet id 0")
                else:
                    payload_start = topic_end
                    packet_id = 0
                    if payload_start > end:
                        raise MalformedPacket("a PUBLISH that ends within its topic")
                if topic_end == topic_start:
                    raise MalformedPacket("a PUBLISH with an empty topic")
                if first != run_first:
                    run_first, usual = first, first if qos and limit >= _USUAL_BYTES else -1
                    topics, payloads, packet_ids = [], [], []
                    add_topic, add_payload, add_packet_id = topics.append, payloads.append, packet_ids.append
                    append(Publishes(qos, retain, dup, topics, payloads, packet_ids))
                add_topic(data[topic_start:topic_end])
                add_payload(data[payload_start:end])
                add_packet_id(packet_id)
                position = end
                continue
            run_first = usual = -1
            if first == _PUBACK:
                if length != 2:
                    raise MalformedPacket(f"a PUBACK of remaining length {length}, not 2")
                acks = _PUBACK_RUN.match(data, position)
                if acks is not None:
                    position = acks.end()
                    ids = struct.unpack(f">{len(acks[0]) // 2}H", acks[0])[1::2]
                elif end > size:
                    self._needed_bytes = end - position
                    return position
                else:  # its length is written in more bytes than it needs, which MQTT 3.1.1 does not forbid
                    position = end
                    ids = (data[start] << 8 | data[start + 1],)
                if 0 in ids:
                    before = ids[: ids.index(0)]
                    if before:
                        append(PubAcks(before))
                    raise MalformedPacket("a PUBACK with packet id 0")
                append(PubAcks(ids))
            else:
                if first not in _READERS:
                    _refuse(first)
                if end > size:
                    self._needed_bytes = end - position
                    return position
                append(_READERS[first](_Body(data[start:end], first)))
                position = end
        return position


def _refuse(first: int) -> NoReturn:
    if first >> 4 == 3 and first & 0b0110 == _QOS_2:
        raise UnsupportedQoS("a PUBLISH at QoS 2: subscribe at QoS 1")
    if first in _QOS_2_PACKETS:
        raise UnsupportedQoS(f"a packet of the QoS 2 exchange (type {first >> 4})")
    raise MalformedPacket(f"a packet of type {first >> 4} with flags {first & 15:04b}")


class _Body:
    """What follows the fixed header, read from left to right."""

    def __init__(self, data: bytes, first: int) -> None:
        self._data = data
        self._type = first >> 4
        self._at = 0

    def take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise MalformedPacket(f"a packet of type {self._type} that ends too early")
        self._at += count
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        packet_id = self.number()
        if not packet_id:
            raise MalformedPacket(f"a packet of type {self._type} with packet id 0")
        return packet_id

    def data(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            text = self.data().decode()
        except UnicodeDecodeError:
            raise MalformedPacket(f"a packet of type {self._type} with a string that is not UTF-8") from None
        if "\0" in text:
            raise MalformedPacket(f"a packet of type {self._type} with U+0000 in a string")
        return text

    def more(self) -> bool:
        return self._at < len(self._data)

    def done(self) -> None:
        if self.more():
            raise MalformedPacket(f"a packet of type {self._type} with {len(self._data) - self._at} bytes too many")


def _read_connect(body: _Body) -> Connect:
    if body.take(len(_PROTOCOL)) != _PROTOCOL:
        raise MalformedPacket("a CONNECT for another protocol than MQTT 3.1.1")
    flags = body.byte()
    will_qos = flags >> 3 & 3
    has_will, has_password, has_username = flags & _WILL_FLAG, flags & _PASSWORD, flags & _USERNAME
    if flags & 1 or (not has_will and flags & 0b0011_1000) or will_qos == 3 or (has_password and not has_username):
        raise MalformedPacket(f"a CONNECT with flags {flags:08b}")
    if will_qos == 2:
        raise UnsupportedQoS("a CONNECT with a will at QoS 2")
    keep_alive_s = body.number()
    client_id = body.text()
    will = None
    if has_will:
        topic, payload = body.data(), body.data()
        if not topic:
            raise MalformedPacket("a CONNECT with an empty will topic")
        will = Will(topic, payload, will_qos, bool(flags & _WILL_RETAIN))
    username = body.text() if has_username else None
    password = body.data() if has_password else None
    body.done()
    return Connect(client_id, bool(flags & _CLEAN_SESSION), keep_alive_s, will, username, password)


def _read_connack(body: _Body) -> ConnAck:
    flags, return_code = body.byte(), body.byte()
    body.done()
    if flags > 1 or (return_code and flags):
        raise MalformedPacket(f"a CONNACK with flags {flags:08b} and return code {return_code}")
    return ConnAck(bool(flags), return_code)


def _read_subscribe(body: _Body) -> Subscribe:
    packet_id = body.packet_id()
    filters = []
    while body.more():
        topic_filter, qos = body.text(), body.byte()
        if not topic_filter or qos > 2:
            raise MalformedPacket(f"a SUBSCRIBE with filter {topic_filter!r} at QoS {qos}")
        filters.append((topic_filter, qos))
    if not filters:
        raise MalformedPacket("a SUBSCRIBE without a filter")
    return Subscribe(packet_id, tuple(filters))


def _read_suback(body: _Body) -> SubAck:
    packet_id = body.packet_id()
    return_codes = []
    while body.more():
        return_codes.append(body.byte())
        if return_codes[-1] not in {0, 1, 2, SUBACK_FAILURE}:
            raise MalformedPacket(f"a SUBACK with return code {return_codes[-1]}")
    if not return_codes:
        raise MalformedPacket("a SUBACK without a return code")
    return SubAck(packet_id, tuple(return_codes))


def _read_unsubscribe(body: _Body) -> Unsubscribe:
    packet_id = body.packet_id()
    filters = []
    while body.more():
        filters.append(body.text())
    if not all(filters) or not filters:
        raise MalformedPacket("an UNSUBSCRIBE without a filter, or with an empty one")
    return Unsubscribe(packet_id, tuple(filters))


def _read_unsuback(body: _Body) -> UnsubAck:
    packet_id = body.packet_id()
    body.done()
    return UnsubAck(packet_id)


def _reader_of(packet: Packet) -> Callable[[_Body], Packet]:
    def read(body: _Body) -> Packet:
        body.done()
        return packet

    return read


_READERS: Final[dict[int, Callable[[_Body], Packet]]] = {
    _CONNECT: _read_connect,
    _CONNACK: _read_connack,
    _SUBSCRIBE: _read_subscribe,
    _SUBACK: _read_suback,
    _UNSUBSCRIBE: _read_unsubscribe,
    _UNSUBACK: _read_unsuback,
    _PINGREQ: _reader_of(PingReq()),
    _PINGRESP: _reader_of(PingResp()),
    _DISCONNECT: _reader_of(Disconnect()),
}


def encode_publish(
    topic: bytes,
    payload: bytes,
    *,
    qos: int = 1,
    retain: bool = False,
    packet_id: int = 0,
    dup: bool = False,
    max_packet_bytes: int = MAX_PACKET_BYTES,
) -> bytes:
    """One PUBLISH. Raises what `encode_publishes` raises."""
    packet_ids = (packet_id,) if qos else ()
    return encode_publishes(
        ((topic, payload),), packet_ids, qos=qos, retain=retain, dup=dup, max_packet_bytes=max_packet_bytes
    )


def encode_publishes(
    messages: Iterable[tuple[bytes, bytes]],
    packet_ids: Iterable[int] = (),
    *,
    qos: int = 1,
    retain: bool = False,
    dup: bool = False,
    max_packet_bytes: int = MAX_PACKET_BYTES,
) -> bytes:
    """PUBLISHes of (topic, payload) pairs, one after another; at QoS 1 each takes the next of `packet_ids`.

    Raises `UnsupportedQoS`; `PacketTooLarge` for one that would be over `max_packet_bytes`; `MalformedPacket` for a
    topic that is empty, has a wildcard or U+0000, or is over 65,535 bytes, and for a packet id that is none;
    ValueError if there are not as many packet ids as messages.
    """
    if qos not in {0, 1}:
        raise UnsupportedQoS(f"a PUBLISH at QoS {qos}: use 0 or 1")
    first = _PUBLISH | qos << 1 | dup << 3 | retain
    ids = repeat(b"") if qos == 0 else _packed_packet_ids(packet_ids)
    parts: list[bytes] = []
    short, long = _SHORT_HEADER.pack, _LONG_HEADER.pack
    fixed = 2 + 2 * qos
    limit = min(max_packet_bytes, MAX_PACKET_BYTES)
    for (topic, payload), packet_id in zip(messages, ids, strict=qos == 1):
        topic_length = len(topic)
        length = fixed + topic_length + len(payload)
        # A fixed header has 5 bytes at most: what is near the limit or unusual is looked at again, and exactly.
        if length + 5 > limit or not 0 < topic_length <= MAX_STRING_BYTES:
            _check_publish(topic, length, limit)
        if length < 128:
            parts += (short(first, length, topic_length), topic, packet_id, payload)
        elif length < 16_384:
            parts += (long(first, length & 127 | 128, length >> 7, topic_length), topic, packet_id, payload)
        else:
            parts += (_fixed_header(first, length) + topic_length.to_bytes(2, "big"), topic, packet_id, payload)
    topics = parts[1::4]
    together = b"".join(topics)  # one look for all of them
    if b"+" in together or b"#" in together or b"\0" in together:
        for topic in topics:
            _check_topic(topic)
    return b"".join(parts)


def encode_pubacks(packet_ids: Sequence[int]) -> bytes:
    """PUBACKs, one after another. Raises `MalformedPacket` for a packet id that is none."""
    count = len(packet_ids)
    try:
        ids = struct.pack(f">{count}H", *packet_ids)
    except struct.error:
        raise MalformedPacket(_BAD_PACKET_ID) from None
    if 0 in packet_ids:
        raise MalformedPacket(_BAD_PACKET_ID)
    packed = bytearray(_PUBACK_HEADER * count)
    packed[2::4], packed[3::4] = ids[::2], ids[1::2]
    return bytes(packed)


def encode(packet: Packet | Publish) -> bytes:
    """Any packet. Raises `CodecError` for what MQTT 3.1.1 cannot say."""
    match packet:
        case Publishes():
            return b"".join(map(encode, packet))
        case Publish(topic, payload, qos, retain, dup, packet_id):
            return encode_publish(topic, payload, qos=qos, retain=retain, packet_id=packet_id, dup=dup)
        case PubAcks(packet_ids):
            return encode_pubacks(packet_ids)
        case Connect():
            return _encode_connect(packet)
        case ConnAck(session_present, return_code):
            return bytes((_CONNACK, 2, session_present, return_code))
        case Subscribe(packet_id, filters):
            asked = (_string(topic_filter) + bytes((_known_qos(qos),)) for topic_filter, qos in filters)
            return _framed(_SUBSCRIBE, _packet_id(packet_id), *asked)
        case SubAck(packet_id, return_codes):
            return _framed(_SUBACK, _packet_id(packet_id), bytes(return_codes))
        case Unsubscribe(packet_id, filters):
            return _framed(_UNSUBSCRIBE, _packet_id(packet_id), *map(_string, filters))
        case UnsubAck(packet_id):
            return _framed(_UNSUBACK, _packet_id(packet_id))
        case PingReq():
            return bytes((_PINGREQ, 0))
        case PingResp():
            return bytes((_PINGRESP, 0))
        case Disconnect():
            return bytes((_DISCONNECT, 0))


_SHORT_HEADER = struct.Struct(">BBH")  # of a PUBLISH whose remaining length takes one byte, and its topic's length
_LONG_HEADER = struct.Struct(">BBBH")  # the same with two
_BAD_PACKET_ID = f"a packet id must be 1 … {MAX_PACKET_ID:,}"


def _packed_packet_ids(packet_ids: Iterable[int]) -> list[bytes]:
    try:
        packed = [packet_id.to_bytes(2, "big") for packet_id in packet_ids]
    except OverflowError:
        raise MalformedPacket(_BAD_PACKET_ID) from None
    if b"\0\0" in packed:
        raise MalformedPacket(_BAD_PACKET_ID)
    return packed


def _packet_id(packet_id: int) -> bytes:
    return _packed_packet_ids((packet_id,))[0]


def _check_topic(topic: bytes) -> None:
    if not topic or b"+" in topic or b"#" in topic or b"\0" in topic:
        raise MalformedPacket(f"a PUBLISH to topic {topic[:80]!r}, which is empty, or has a wildcard or U+0000")
    if len(topic) > MAX_STRING_BYTES:
        raise MalformedPacket(f"a topic of {len(topic):,} bytes, where {MAX_STRING_BYTES:,} is the limit")


def _check_publish(topic: bytes, length: int, limit: int) -> None:
    _check_topic(topic)
    packet_bytes = length + (2 if length < 128 else 3 if length < 16_384 else 4 if length < 2_097_152 else 5)
    if packet_bytes > limit:
        raise PacketTooLarge(f"a PUBLISH of {packet_bytes:,} bytes to {topic[:80]!r}, where {limit:,} is the limit")


def _fixed_header(first: int, length: int) -> bytes:
    header = bytearray((first,))
    while length > 127:
        header.append(length & 127 | 128)
        length >>= 7
    header.append(length)
    return bytes(header)


def _framed(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) + 5 > MAX_PACKET_BYTES:
        raise PacketTooLarge(f"a packet of {len(body):,} bytes, where {MAX_PACKET_BYTES:,} is the limit")
    return _fixed_header(first, len(body)) + body


def _data(data: bytes) -> bytes:
    if len(data) > MAX_STRING_BYTES:
        raise MalformedPacket(f"a string of {len(data):,} bytes, where {MAX_STRING_BYTES:,} is the limit")
    return len(data).to_bytes(2, "big") + data


def _string(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise MalformedPacket("a string with a lone surrogate, which UTF-8 cannot say") from None
    if b"\0" in data:
        raise MalformedPacket("a string with U+0000")
    return _data(data)


def _known_qos(qos: int) -> int:
    if qos not in {0, 1}:
        raise UnsupportedQoS(f"QoS {qos}: use 0 or 1")
    return qos


def _encode_connect(connect: Connect) -> bytes:
    if not 0 <= connect.keep_alive_s <= 65_535:
        raise MalformedPacket(f"a keep alive of {connect.keep_alive_s:,} s, where 0 … 65,535 can be said")
    if connect.password is not None and connect.username is None:
        raise MalformedPacket("a password without a user name")
    flags = _CLEAN_SESSION if connect.clean_session else 0
    rest = [_string(connect.client_id)]
    if connect.will is not None:
        if not connect.will.topic:
            raise MalformedPacket("a will with an empty topic")
        flags |= _WILL_FLAG | _known_qos(connect.will.qos) << 3 | (_WILL_RETAIN if connect.will.retain else 0)
        rest += [_data(connect.will.topic), _data(connect.will.payload)]
    if connect.username is not None:
        flags |= _USERNAME
        rest.append(_string(connect.username))
    if connect.password is not None:
        flags |= _PASSWORD
        rest.append(_data(connect.password))
    return _framed(_CONNECT, _PROTOCOL, bytes((flags,)), connect.keep_alive_s.to_bytes(2, "big"), *rest)
