"""One connection to one broker, on asyncio.

`Connection.open` dials, sends a CONNECT and waits for the CONNACK. From then on the owner, a `Receiver`, is told
what happens, in the event loop, in the order of the wire, and in batches: a chunk of bytes that holds four hundred
PUBLISHes is one call of `received`. Nothing is told before the coroutine that awaited `open` has gone on to its next
await, so it may keep the connection first: `self.connection = await Connection.open(…)`.

Three things are deliberately left to the owner. *Acknowledging*: a PUBACK is a promise that a message is safe, and
only the owner knows when it is; so the connection never sends one by itself. *Resending*: MQTT 3.1.1 redelivers when
a client reconnects and not before; a connection that is lost forgets what was in flight, and whoever wants it
delivered publishes it again on the next one. Packet ids begin again with each connection, hence `Connection.epoch`:
a late acknowledgement made for an earlier epoch belongs to nobody. *Waiting*: `publish` never waits; `room` and
`writable` say whether now is a good time, and `drain` waits for the second.

Silence is watched in both directions. A connection that has sent or heard nothing for half the keep alive pings; one
that has heard nothing for one and a half is dead, and says so. While the owner has reading paused, silence means
nothing.

`stay_connected` is the loop around it: open, let the owner subscribe, wait until closed, wait a little, again.

::

    Exception
    └── MQTTError
        ├── ConnectionFailed       `open` did not succeed
        │   ├── BrokerUnreachable    nobody answers there, or not in MQTT, or not in time
        │   └── ConnectionRefused    the broker answered, and said no    .return_code
        ├── ConnectionClosed       it was, and is not any more
        ├── NoReply                a SUBACK or UNSUBACK did not come in time
        └── SubscriptionRefused    by the broker, which names no reason  .topic_filter

    Exception
    └── InFlightFull               more messages than there is `room` for

    ValueError
    └── InvalidAddress             not a broker's URL
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

import structlog

from haina.listen import is_host
from haina.mqtt.codec import (
    MAX_PACKET_ID,
    REFUSALS,
    SUBACK_FAILURE,
    CodecError,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAcks,
    Publishes,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
    encode,
    encode_pubacks,
    encode_publishes,
)
from haina.tls import client_context

DEFAULT_MAX_PACKET_BYTES: Final = 256 * 1024
"""The largest packet taken or sent unless told otherwise, in bytes. Assumed: a thousand times a usual reading."""


REST_BYTES: Final = 32 * 1024
_STREAM_S: Final = 0.005
"""What is read within so long after the last time belongs to a stream (`ConnectOptions.rest_s`)."""

_SILENCE: Final = 1.5
"""Keep alives of silence after which a peer is dead: what a broker grants a client [MQTT-3.1.2-24], both ways."""


class MQTTError(Exception):
    """Something between us and the broker went wrong."""


class ConnectionFailed(MQTTError):
    """`Connection.open` did not succeed."""


class BrokerUnreachable(ConnectionFailed):
    """Nobody answers at the address, or not in MQTT, or not in time."""


class ConnectionRefused(ConnectionFailed):
    """The broker answered the CONNECT with a refusal; `return_code` is the CONNACK's (`codec.REFUSALS`)."""

    def __init__(self, message: str, return_code: int) -> None:
        super().__init__(message)
        self.return_code = return_code


class ConnectionClosed(MQTTError):
    """The connection is closed, so this can no longer be done on it."""


class NoReply(MQTTError):
    """The broker did not answer a SUBSCRIBE or an UNSUBSCRIBE in time."""


class SubscriptionRefused(MQTTError):
    """The broker refused a subscription (SUBACK return code 0x80); `topic_filter` is the first it refused."""

    def __init__(self, message: str, topic_filter: str) -> None:
        super().__init__(message)
        self.topic_filter = topic_filter


class InFlightFull(Exception):
    """More QoS 1 messages than `Connection.room`; none of them was sent."""


class InvalidAddress(ValueError):
    """Not a broker's URL. The message never repeats the URL, for it may hold a password."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens, as whom to enter, and whom to take for it; prints without the password.

    ``BrokerAddress.parse("mqtts://gateway:secret@broker.example:8883")`` or
    ``BrokerAddress("127.0.0.1", 1883)``.
    """

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    trust: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    """For ``mqtts://``: what `haina.tls.client_context` made; None trusts the system's authorities, verifying too."""

    @classmethod
    def parse(cls, url: str) -> "BrokerAddress":
        """Read ``mqtt://[user[:password]@]host[:port]`` (port 1883) or ``mqtts://…`` (port 8883).

        A user name or password with reserved characters is percent-encoded. Raises `InvalidAddress`.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            host = parts.hostname or ""
        except ValueError:  # whose message may quote the password, when a "/" in it is not percent-encoded
            raise InvalidAddress("a broker's URL must be mqtt://[user[:password]@]host[:port]") from None
        if parts.scheme not in {"mqtt", "mqtts"}:
            raise InvalidAddress("a broker's URL must begin with mqtt:// or mqtts://")
        if not is_host(host):
            raise InvalidAddress(
                "a broker's URL must name a host or an IP address: mqtt://[user[:password]@]host[:port]"
            )
        if parts.path not in {"", "/"} or parts.query or parts.fragment or port == 0:
            raise InvalidAddress(
                "a broker's URL must be mqtt://[user[:password]@]host[:port] and nothing more"
                " (percent-encode reserved characters in the user name and password)"
            )
        tls = parts.scheme == "mqtts"
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password is not None else None
        if password is not None and username is None:
            raise InvalidAddress("a broker's URL has a password but no user name")
        return cls(host, port or (8883 if tls else 1883), tls, username, password)

    def __str__(self) -> str:
        """The URL, without user name and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How to connect: session, keep alive, will, limits.

    ``ConnectOptions("collector-1", clean_session=False)``. Times are in seconds, sizes in bytes.
    """

    client_id: str
    clean_session: bool = True
    keep_alive_s: int = 30
    """Whole seconds, 1 … 65,535. 0 would turn the watch off, and the embedded broker refuses it; so it is refused."""
    will: Will | None = None
    connect_timeout_s: float = 10.0
    """The longest wait for the CONNACK, from dialling on; and for a SUBACK, an UNSUBACK and the last write."""
    max_packet_bytes: int = DEFAULT_MAX_PACKET_BYTES
    """In both directions: a larger packet from the broker ends the connection, a larger one to it is not sent."""
    max_in_flight: int = 1_000
    """QoS 1 messages sent and not yet acknowledged, 1 … 65,000."""
    rest_s: float = 0.0
    """For so long the network is not read after it brought little (`REST_BYTES`) in a stream; then more comes at once.

    A broker on a core of its own sends a few messages at a time, and to be woken for them costs three times what they
    do. 0 reads whatever comes when it comes."""
    write_buffer_bytes: int = 1024 * 1024
    """What may wait for the network before `Connection.writable` turns false; true again at a quarter of it."""

    def __post_init__(self) -> None:
        if not 1 <= self.keep_alive_s <= 65_535:
            raise ValueError(f"keep_alive_s must be 1 … 65,535 (got {self.keep_alive_s})")
        if not 1 <= self.max_in_flight <= 65_000:  # leaves packet ids for SUBSCRIBE and UNSUBSCRIBE
            raise ValueError(f"max_in_flight must be 1 … 65,000 (got {self.max_in_flight})")


class Receiver(Protocol):
    """The owner of a connection: told what happens on it, in the event loop, in the order of the wire.

    `connected` is the first call and `disconnected` the last; each comes exactly once, unless `Connection.open`
    raised, and then none does. An exception raised in here ends the connection.
    """

    def connected(self, session_present: bool) -> None:
        """The broker accepted, and had (or had not) kept a session for this client id."""

    def received(self, batch: Publishes) -> None:
        """Messages arrived, at QoS 0 or 1; those at QoS 1 wait for `Connection.acknowledge`."""

    def acknowledged(self, packet_ids: list[int]) -> None:
        """The broker has these messages of ours."""

    def disconnected(self, reason: str) -> None:
        """The connection is closed; what was in flight may or may not have arrived."""


OPENS_AT_ONCE: Final = 200
"""Connections a process has half open; further ones wait for their turn before their time begins to count.

A listener keeps about a thousand it has not accepted (the embedded broker: 1,024) and forgets the rest, whose SYN
goes out again after 1, 3, 7 … s: 2,000 gateways opened all at once took 28 s, by turns 2.3 s (embedded broker).
"""

_epochs = count(1)
_turns: "WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]" = WeakKeyDictionary()


class Connection(asyncio.Protocol):
    """An open connection to a broker; made by `open`, and for one use.

    All calls belong in the event loop it was opened in.
    """

    def __init__(self, address: BrokerAddress, options: ConnectOptions, receiver: Receiver) -> None:
        """Not connected yet: use `open`."""
        self.address: Final = address
        self.options: Final = options
        self.epoch: Final = next(_epochs)
        """Larger with every connection of this process."""
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._decoder = Decoder(options.max_packet_bytes)
        self._transport: asyncio.Transport | None = None
        self._accepted: asyncio.Future[ConnAck] = self._loop.create_future()
        # A connection reset before CONNECT went out ends with nobody waiting for this; asyncio need not complain.
        self._accepted.add_done_callback(lambda accepted: accepted.cancelled() or accepted.exception())
        self._closed: asyncio.Future[str] = self._loop.create_future()
        self._told = False  # the receiver has been told it is connected
        self._early: list[Packet] = []  # what came before it was
        self._end_reason: str | None = None  # why we are ending it, when it is we who do
        self._paused = False  # reading, by the owner
        self._resting = False  # reading, for `rest_s`
        self._writable = asyncio.Event()
        self._writable.set()
        self._in_flight: set[int] = set()
        self._replies: dict[int, asyncio.Future[SubAck | UnsubAck]] = {}
        self._last_packet_id = 0
        self._last_heard_s = self._last_sent_s = self._loop.time()
        self._ping_unanswered = False
        self._watch_timer: asyncio.TimerHandle | None = None

    # Opening and closing

    @classmethod
    async def open(cls, address: BrokerAddress, options: ConnectOptions, receiver: Receiver) -> "Connection":
        """Connect to the broker.

        Raises `BrokerUnreachable` if none answers within `ConnectOptions.connect_timeout_s`, and
        `ConnectionRefused` if it says no.
        """
        connection = cls(address, options, receiver)
        tls = (address.trust or client_context()) if address.tls else None
        turn = _turns.setdefault(connection._loop, asyncio.Semaphore(OPENS_AT_ONCE))
        try:
            async with turn, asyncio.timeout(options.connect_timeout_s):
                await connection._loop.create_connection(lambda: connection, address.host, address.port, ssl=tls)
                connection._send_connect()
                answer = await connection._accepted
        except TimeoutError:
            connection.abort()
            raise BrokerUnreachable(f"{address} did not accept within {options.connect_timeout_s:g} s") from None
        except (OSError, ConnectionClosed) as error:  # of which ssl.SSLError is one
            raise BrokerUnreachable(f"{address} cannot be reached: {error}") from None
        except BaseException:
            connection.abort()
            raise
        if answer.return_code:
            connection.abort()
            reason = REFUSALS.get(answer.return_code, f"return code {answer.return_code}")
            raise ConnectionRefused(f"{address} refused {options.client_id!r}: {reason}", answer.return_code)
        connection._loop.call_soon(connection._tell, answer.session_present)
        return connection

    def _send_connect(self) -> None:
        address, options = self.address, self.options
        password = None if address.password is None else address.password.encode()
        self._send(
            encode(
                Connect(
                    options.client_id,
                    options.clean_session,
                    options.keep_alive_s,
                    options.will,
                    address.username,
                    password,
                )
            )
        )

    def _tell(self, session_present: bool) -> None:
        """Begin to tell the receiver; only now does the coroutine that opened the connection know it."""
        self._told = True
        try:
            self._receiver.connected(session_present)
            early, self._early = self._early, []
            self._deliver(early)
        except BaseException as error:
            self.abort(f"lost: {error}")  # as asyncio does when `data_received` raises
            raise
        finally:
            if self._closed.done():
                self._receiver.disconnected(self._closed.result())

    @property
    def is_open(self) -> bool:
        """Whether anything can still be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def close(self) -> None:
        """Say DISCONNECT, so that the broker drops the will, and close; what was written before goes out first."""
        if self.is_open:
            self._end_reason = "closed by us"
            self._send(encode(Disconnect()))
            self._open_transport().close()
        try:
            async with asyncio.timeout(self.options.connect_timeout_s):
                await self.closed()
        except TimeoutError:  # a peer that does not read
            self.abort()
            await self.closed()

    def abort(self, reason: str = "dropped by us") -> None:
        """Drop the connection at once, without DISCONNECT: the broker publishes the will."""
        if self._transport is not None and not self._closed.done():
            self._end_reason = self._end_reason or reason
            self._transport.abort()

    async def closed(self) -> str:
        """Wait until the connection is closed; the answer is the reason."""
        return await asyncio.shield(self._closed)

    # Sending

    @property
    def room(self) -> int:
        """How many more QoS 1 messages may be in flight now."""
        return self.options.max_in_flight - len(self._in_flight)

    @property
    def writable(self) -> bool:
        """Whether the network keeps up: false while too much waits to be written (`write_buffer_bytes`)."""
        return self._writable.is_set()

    @property
    def write_buffer_bytes(self) -> int:
        """How many bytes wait to be written."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    async def drain(self) -> None:
        """Wait until `writable`. Raises `ConnectionClosed`."""
        await self._writable.wait()
        self._open_transport()

    def publish(self, messages: Sequence[tuple[bytes, bytes]], *, qos: int = 1, retain: bool = False) -> list[int]:
        """Send (topic, payload) pairs in one write; answer their packet ids, none at QoS 0.

        Raises, and then nothing was sent: `InFlightFull`, `ConnectionClosed`, `codec.PacketTooLarge` for a message
        over `ConnectOptions.max_packet_bytes`, `codec.MalformedPacket` for a topic that is none.
        """
        self._open_transport()
        if not qos:
            packet_ids: list[int] = []
        elif len(messages) > self.room:
            raise InFlightFull(f"{len(messages)} messages, where there is room for {self.room}")
        else:
            packet_ids = self._free_packet_ids(len(messages))
        packets = encode_publishes(
            messages, packet_ids, qos=qos, retain=retain, max_packet_bytes=self.options.max_packet_bytes
        )
        self._in_flight.update(packet_ids)
        if packet_ids:
            self._last_packet_id = packet_ids[-1]
        self._send(packets)
        return packet_ids

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send PUBACKs in one write; nothing happens if the connection is closed: the broker redelivers."""
        if packet_ids and self.is_open:
            self._send(encode_pubacks(packet_ids))

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> list[int]:
        """Subscribe to topic filters and wait for the broker's answer: the QoS granted to each, in order.

        Retained messages may be received before this returns. Raises `SubscriptionRefused`, `NoReply`,
        `ConnectionClosed`.
        """
        [packet_id] = self._free_packet_ids(1)
        answer = await self._ask(packet_id, Subscribe(packet_id, tuple((name, qos) for name in filters)))
        return_codes = answer.return_codes if isinstance(answer, SubAck) else ()
        if len(return_codes) != len(filters):
            self.abort(f"the broker answered {len(filters)} filters with {len(return_codes)} return codes")
            raise ConnectionClosed(f"{self.address} answered a SUBSCRIBE with something else")
        for topic_filter, return_code in zip(filters, return_codes, strict=True):
            if return_code == SUBACK_FAILURE:
                raise SubscriptionRefused(f"{self.address} refused to subscribe to {topic_filter}", topic_filter)
        return list(return_codes)

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Unsubscribe from topic filters and wait for the broker's answer. Raises `NoReply`, `ConnectionClosed`."""
        [packet_id] = self._free_packet_ids(1)
        await self._ask(packet_id, Unsubscribe(packet_id, tuple(filters)))

    async def _ask(self, packet_id: int, question: Subscribe | Unsubscribe) -> SubAck | UnsubAck:
        self._open_transport()
        packet = encode(question)
        reply: asyncio.Future[SubAck | UnsubAck] = self._loop.create_future()
        self._replies[packet_id] = reply
        self._last_packet_id = packet_id
        self._send(packet)
        try:
            async with asyncio.timeout(self.options.connect_timeout_s):
                return await reply
        except TimeoutError:
            raise NoReply(
                f"no answer from {self.address} to {type(question).__name__.upper()}"
                f" within {self.options.connect_timeout_s:g} s"
            ) from None
        finally:
            self._replies.pop(packet_id, None)

    def _free_packet_ids(self, number: int) -> list[int]:
        """The next packet ids, going round, without those that wait for an answer."""
        first = self._last_packet_id + 1
        if first + number <= MAX_PACKET_ID + 1:
            straight = list(range(first, first + number))
            if self._in_flight.isdisjoint(straight) and self._replies.keys().isdisjoint(straight):
                return straight
        free: list[int] = []
        packet_id = self._last_packet_id
        while len(free) < number:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self._in_flight and packet_id not in self._replies:
                free.append(packet_id)
        return free

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionClosed(f"the connection to {self.address} is closed")
        return self._transport

    def _send(self, data: bytes) -> None:
        if data:
            self._last_sent_s = self._loop.time()
            self._open_transport().write(data)

    # Receiving

    def pause_reading(self) -> None:
        """Take nothing more from the network; the broker will notice. What was read already is still delivered."""
        if self.is_open and not self._paused:
            self._paused = True
            if not self._resting:
                self._open_transport().pause_reading()

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""
        if self.is_open and self._paused:
            self._paused = False
            self._last_heard_s = self._loop.time()
            if not self._resting:
                self._open_transport().resume_reading()

    def _rest(self) -> None:
        if self.is_open and not self._paused and not self._resting:
            self._resting = True
            self._open_transport().pause_reading()
            self._loop.call_later(self.options.rest_s, self._rested)

    def _rested(self) -> None:
        self._resting = False
        if self.is_open and not self._paused:
            self._open_transport().resume_reading()

    def _deliver(self, packets: list[Packet]) -> None:
        for packet in packets:
            match packet:
                case Publishes():
                    self._receiver.received(packet)
                case PubAcks(packet_ids):
                    self._settle(packet_ids)
                case _:
                    self._handle(packet)

    def _settle(self, packet_ids: Sequence[int]) -> None:
        in_flight = self._in_flight
        before = len(in_flight)
        known = list(packet_ids)
        if in_flight.issuperset(known):
            in_flight.difference_update(known)
        if before - len(in_flight) != len(known):  # some twice, or some that we did not send
            known = [packet_id for packet_id in dict.fromkeys(known) if packet_id in in_flight]
            in_flight.difference_update(known)
        if known:
            self._receiver.acknowledged(known)

    def _handle(self, packet: Packet) -> None:
        match packet:
            case SubAck(packet_id) | UnsubAck(packet_id):
                reply = self._replies.get(packet_id)
                if reply is not None and not reply.done():
                    reply.set_result(packet)
            case PingResp():
                self._ping_unanswered = False
            case _:
                self.abort(f"the broker sent a {type(packet).__name__.upper()}")

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        high = self.options.write_buffer_bytes
        self._transport.set_write_buffer_limits(high, high // 4)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        now_s = self._loop.time()
        is_stream = now_s - self._last_heard_s < _STREAM_S
        self._last_heard_s = now_s
        broken: CodecError | None = None
        try:
            packets = self._decoder.feed(data)
        except CodecError as error:
            broken = error
            packets = error.packets
        if self._told:
            self._deliver(packets)
        else:
            self._take_connack(packets)
        if broken is not None:
            self.abort(f"the broker sent {broken}")
        elif is_stream and self.options.rest_s and len(data) < REST_BYTES:
            self._rest()

    def _take_connack(self, packets: list[Packet]) -> None:
        if packets and not self._accepted.done():
            first = packets.pop(0)
            if not isinstance(first, ConnAck):
                self.abort(f"the broker began with a {type(first).__name__.upper()}, not a CONNACK")
                return
            self._accepted.set_result(first)
            self._watch(self._loop.time())
        self._early += packets

    def eof_received(self) -> None:
        """Called by asyncio."""
        self._end_reason = self._end_reason or "closed by the broker"

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        reason = self._end_reason or (f"lost: {exc}" if exc is not None else "closed by the broker")
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        self._writable.set()  # whoever drains must learn of it
        self._in_flight.clear()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ConnectionClosed(f"the connection to {self.address} is closed: {reason}"))
        if not self._accepted.done():
            self._accepted.set_exception(BrokerUnreachable(f"{self.address} did not accept: {reason}"))
        self._closed.set_result(reason)
        if self._told:
            self._receiver.disconnected(reason)

    # Keep alive

    def _watch(self, due_s: float) -> None:
        """Ping when idle, end when dead; then set the timer for the next time either could be due."""
        if not self.is_open:
            return
        keep_alive_s = self.options.keep_alive_s
        now_s = self._loop.time()
        if self._paused:
            self._last_heard_s = now_s
        elif now_s - due_s > keep_alive_s / 4:
            self._last_heard_s += now_s - due_s  # the loop itself was asleep: that silence was not the peer's
        silent_s = now_s - self._last_heard_s
        if silent_s >= _SILENCE * keep_alive_s:
            self.abort(f"the broker was silent for {silent_s:.1f} s (keep alive {keep_alive_s} s)")
            return
        idle_s = now_s - self._last_sent_s
        if idle_s >= keep_alive_s / 2 or (silent_s >= keep_alive_s / 2 and not self._ping_unanswered):
            self._ping_unanswered = True
            self._send(encode(PingReq()))
        next_s = min(now_s + keep_alive_s / 4, self._last_heard_s + _SILENCE * keep_alive_s)
        self._watch_timer = self._loop.call_at(next_s, self._watch, next_s)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before trying again: doubling from `first_s` up to `cap_s`, each wait drawn from its upper half.

    The draw keeps two thousand gateways from coming back in the same instant.
    """

    first_s: float = 0.5
    cap_s: float = 30.0

    def wait_s(self, failures: int) -> float:
        """The wait after the given number of failures in a row, 1 or more, in seconds."""
        longest_s = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return random.uniform(longest_s / 2, longest_s)


async def stay_connected(
    address: BrokerAddress,
    options: ConnectOptions,
    receiver: Receiver,
    on_open: Callable[[Connection], Awaitable[Any]],
    backoff: Backoff = Backoff(),
    *,
    while_open: Callable[[Connection], Awaitable[Any]] | None = None,
    quiet: bool = False,
) -> None:
    """Connect, `await on_open(connection)`, wait until closed, and again, until cancelled; then close properly.

    `while_open` is awaited once `on_open` is done and the connection said to be up; it may take its time.

    Being refused counts as being down: a broker may be told the password later. A connection that lasted no longer
    than the wait before it counts as a failure too, lest a broker that drops us at once be asked without end. Logs
    once when the connection goes down and once when it is back, unless `quiet`: of a process's thousand sessions to one
    broker, one speaks for all. Whatever `on_open` or `while_open` raises ends the loop, unless it is an `MQTTError`.
    """
    log = structlog.get_logger().bind(broker=str(address), client_id=options.client_id)
    loop = asyncio.get_running_loop()
    failures = 0
    is_down = False
    wait_s = 0.0
    while True:
        connection: Connection | None = None
        opened_s = loop.time()
        try:
            connection = await Connection.open(address, options, receiver)
            await on_open(connection)
            if is_down:
                (log.debug if quiet else log.info)("the broker is back")
                is_down = False
            if while_open is not None:
                await while_open(connection)
            reason = await connection.closed()
        except MQTTError as error:
            reason = str(error)
        finally:
            if connection is not None:
                await connection.close()
        lasted = connection is not None and loop.time() - opened_s > wait_s
        failures = 1 if lasted else failures + 1
        wait_s = backoff.wait_s(failures)
        if not is_down:
            (log.debug if quiet else log.warning)("the broker is down", reason=reason)
            is_down = True
        await asyncio.sleep(wait_s)
