"""Packets survive the wire, however it is cut; bytes that are no packets end in a CodecError and in nothing else."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from haina.mqtt.codec import (
    MAX_PACKET_BYTES,
    CodecError,
    ConnAck,
    Connect,
    Decoder,
    Disconnect,
    MalformedPacket,
    Packet,
    PacketTooLarge,
    PingReq,
    PingResp,
    PubAcks,
    Publish,
    Publishes,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    UnsupportedQoS,
    Will,
    encode,
    encode_pubacks,
    encode_publish,
    encode_publishes,
)

# Some payloads are megabytes, and the machine may be busy: slow is no failure here.
patiently = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

packet_ids = st.integers(1, 65_535)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
filters = texts.filter(bool)
topics = st.binary(min_size=1, max_size=300).filter(lambda topic: not set(topic) & set(b"+#\0"))
# Around the lengths at which a remaining length takes another byte.
payloads = st.one_of(
    st.binary(max_size=300),
    st.integers(100, 140).map(bytes),
    st.integers(16_300, 16_400).map(bytes),
    st.integers(2_097_100, 2_097_200).map(bytes),
)
wills = st.builds(Will, topics, st.binary(max_size=100), st.sampled_from([0, 1]), st.booleans())
publishes = st.one_of(
    st.builds(Publish, topics, payloads, st.just(0), st.booleans(), st.just(False), st.just(0)),
    st.builds(Publish, topics, payloads, st.just(1), st.booleans(), st.booleans(), packet_ids),
)
connects = st.builds(Connect, texts, st.booleans(), st.integers(0, 65_535), st.none() | wills).flatmap(
    lambda connect: (
        st.builds(
            Connect,
            st.just(connect.client_id),
            st.just(connect.clean_session),
            st.just(connect.keep_alive_s),
            st.just(connect.will),
            texts,
            st.none() | st.binary(max_size=50),
        )
        | st.just(connect)
    )
)
packets = st.one_of(
    publishes,
    st.lists(packet_ids, min_size=1, max_size=50).map(lambda ids: PubAcks(tuple(ids))),
    connects,
    st.sampled_from([ConnAck(False, code) for code in range(6)] + [ConnAck(True, 0)]),
    st.builds(
        Subscribe,
        packet_ids,
        st.lists(st.tuples(filters, st.sampled_from([0, 1])), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(SubAck, packet_ids, st.lists(st.sampled_from([0, 1, 2, 128]), min_size=1, max_size=4).map(tuple)),
    st.builds(Unsubscribe, packet_ids, st.lists(filters, min_size=1, max_size=4).map(tuple)),
    st.builds(UnsubAck, packet_ids),
    st.sampled_from([PingReq(), PingResp(), Disconnect()]),
)


def feed_all(decoder: Decoder, chunks: list[bytes]) -> list[Packet | Publish]:
    return one_each([packet for chunk in chunks for packet in decoder.feed(chunk)])


def one_each(some: Sequence[Packet | Publish]) -> list[Packet | Publish]:
    """How long runs of PUBLISHes and PUBACKs are depends on how the stream was cut; what they say does not."""
    flat: list[Packet | Publish] = []
    for packet in some:
        match packet:
            case PubAcks(packet_ids):
                flat += [PubAcks((packet_id,)) for packet_id in packet_ids]
            case Publishes():
                flat += packet
            case _:
                flat.append(packet)
    return flat


@patiently
@given(st.lists(st.builds(Publish, topics, payloads, st.just(1), st.booleans(), st.booleans(), packet_ids), min_size=1))
def test_publishes_with_the_same_flags_are_one_run(some: list[Publish]) -> None:
    runs = Decoder().feed(b"".join(map(encode, some)))
    flags = [(publish.retain, publish.dup) for publish in some]
    assert len(runs) == 1 + sum(one != another for one, another in pairwise(flags))
    assert one_each(runs) == some


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=30)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@patiently
@given(st.lists(packets, max_size=6), st.data())
def test_every_packet_comes_back_as_it_went_however_the_stream_is_cut(
    some: list[Packet | Publish], data: st.DataObject
) -> None:
    wire = b"".join(map(encode, some))
    decoded = feed_all(Decoder(), data.draw(cuts(wire)))
    assert [(type(packet), packet) for packet in decoded] == [(type(packet), packet) for packet in one_each(some)]


@patiently
@given(st.lists(packets, max_size=5))
def test_a_stream_may_come_byte_by_byte(some: list[Packet | Publish]) -> None:
    wire = b"".join(map(encode, some))[:2_000]
    whole = Decoder()
    assert feed_all(Decoder(), [wire[i : i + 1] for i in range(len(wire))]) == feed_all(whole, [wire])


@patiently
@given(st.lists(st.tuples(topics, payloads), max_size=6), st.data())
def test_a_batch_of_publishes_is_the_publishes_one_after_another(
    messages: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    ids = data.draw(st.lists(packet_ids, min_size=len(messages), max_size=len(messages)))
    assert encode_publishes(messages, ids, retain=True) == b"".join(
        encode_publish(topic, payload, retain=True, packet_id=packet_id)
        for (topic, payload), packet_id in zip(messages, ids, strict=True)
    )
    assert encode_publishes(messages, qos=0) == b"".join(
        encode_publish(topic, payload, qos=0) for topic, payload in messages
    )


@patiently
@given(st.lists(packet_ids, min_size=1, max_size=3_000))
def test_a_run_of_pubacks_is_one_value_in_order(ids: list[int]) -> None:
    assert Decoder().feed(encode_pubacks(ids)) == [PubAcks(tuple(ids))]


def survive(decoder: Decoder, chunks: list[bytes]) -> tuple[list[Packet | Publish], str | None]:
    """What was decoded, and the error in the end if there was one."""
    decoded: list[Packet | Publish] = []
    for chunk in chunks:
        try:
            decoded += decoder.feed(chunk)
        except CodecError as error:
            return one_each(decoded + error.packets), str(error)
    return one_each(decoded), None


@patiently
@given(st.binary(max_size=400), st.data())
@example(b"\x40\x02", None)
def test_hostile_bytes_raise_a_codec_error_or_nothing(hostile: bytes, data: st.DataObject | None) -> None:
    whole = survive(Decoder(1_000), [hostile])
    if data is not None:
        assert survive(Decoder(1_000), data.draw(cuts(hostile))) == whole


@patiently
@given(st.lists(packets, min_size=1, max_size=4), st.data())
def test_a_stream_with_a_flipped_byte_raises_a_codec_error_or_nothing_and_keeps_what_came_before_it(
    some: list[Packet | Publish], data: st.DataObject
) -> None:
    encoded = [encode(packet) for packet in some]
    wire = bytearray(b"".join(encoded))
    place = data.draw(st.integers(0, min(len(wire), 5_000) - 1))
    wire[place] ^= data.draw(st.integers(1, 255))
    decoded, _ = survive(Decoder(4_000_000), data.draw(cuts(bytes(wire))))
    whole, end = 0, 0
    while end + len(encoded[whole]) <= place:
        end += len(encoded[whole])
        whole += 1
    before = one_each(some[:whole])
    assert decoded[: len(before)] == before


def test_the_packets_before_the_bad_byte_are_on_the_error_and_the_stream_is_over() -> None:
    good = encode_publish(b"town", b"1", packet_id=7) + encode_pubacks([3, 4])
    decoder = Decoder()
    with pytest.raises(MalformedPacket) as first:
        decoder.feed(good + b"\x00\x00")
    assert one_each(first.value.packets) == one_each([Publish(b"town", b"1", 1, False, False, 7), PubAcks((3, 4))])
    with pytest.raises(MalformedPacket) as second:
        decoder.feed(good)
    assert second.value.packets == []
    assert len(first.value.packets) == 2


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\x00\x00", "a packet of type 0 with flags 0000"),
        (b"\xf0\x00", "a packet of type 15 with flags 0000"),
        (b"\x30\xff\xff\xff\xff\x01", "a remaining length of more than four bytes"),
        (b"\x30\x01\x00", "a PUBLISH without a topic length"),
        (b"\x30\x02\x00\x00", "a PUBLISH with an empty topic"),
        (b"\x30\x04\x00\x05ab", "a PUBLISH that ends within its topic"),
        (b"\x32\x05\x00\x02ab\x00", "a PUBLISH that ends within its topic or packet id"),
        (b"\x32\x06\x00\x02ab\x00\x00", "a QoS 1 PUBLISH with packet id 0"),
        (b"\x36\x06\x00\x02ab\x00\x01", "a packet of type 3 with flags 0110"),
        (b"\x38\x04\x00\x02ab", "a packet of type 3 with flags 1000"),
        (b"\x40\x03\x00\x01\x00", "a PUBACK of remaining length 3, not 2"),
        (b"\x40\x02\x00\x00", "a PUBACK with packet id 0"),
        (b"\x42\x02\x00\x01", "a packet of type 4 with flags 0010"),
        (b"\x20\x02\x02\x00", "a CONNACK with flags 00000010 and return code 0"),
        (b"\x20\x03\x00\x00\x00", "a packet of type 2 with 1 bytes too many"),
        (b"\x90\x02\x00\x01", "a SUBACK without a return code"),
        (b"\x90\x03\x00\x01\x03", "a SUBACK with return code 3"),
        (b"\x82\x02\x00\x01", "a SUBSCRIBE without a filter"),
        (b"\x82\x06\x00\x01\x00\x01\xff\x01", "a packet of type 8 with a string that is not UTF-8"),
        (b"\x82\x06\x00\x01\x00\x01\x00\x01", "a packet of type 8 with U+0000 in a string"),
        (b"\xd0\x01\x00", "a packet of type 13 with 1 bytes too many"),
    ],
)
def test_a_malformed_packet_is_named(wire: bytes, reason: str) -> None:
    with pytest.raises(MalformedPacket) as error:
        Decoder().feed(wire)
    assert reason in str(error.value)


@pytest.mark.parametrize("wire", [b"\x34\x06\x00\x02ab\x00\x01", b"\x62\x02\x00\x01", b"\x50\x02\x00\x01"])
def test_qos_2_is_refused_by_name_when_it_comes(wire: bytes) -> None:
    with pytest.raises(UnsupportedQoS, match="QoS 2"):
        Decoder().feed(wire)


def test_qos_2_is_refused_by_name_before_it_is_sent() -> None:
    with pytest.raises(UnsupportedQoS):
        encode_publish(b"town", b"", qos=2, packet_id=1)
    with pytest.raises(UnsupportedQoS):
        encode(Subscribe(1, (("town", 2),)))
    with pytest.raises(UnsupportedQoS):
        encode(Connect("kiosk", will=Will(b"town", b"", qos=2)))


def test_a_packet_over_the_limit_is_refused_as_soon_as_its_length_is_known() -> None:
    limit = len(encode_publish(b"town", bytes(500), packet_id=1))
    assert Decoder(limit).feed(encode_publish(b"town", bytes(500), packet_id=1))
    with pytest.raises(PacketTooLarge, match="a packet of 512 bytes, where 511 is the limit"):
        Decoder(limit).feed(encode_publish(b"town", bytes(501), packet_id=1)[:3])
    with pytest.raises(PacketTooLarge):  # nor as the second of a run
        Decoder(limit).feed(
            encode_publish(b"town", b"", packet_id=1) + encode_publish(b"town", bytes(501), packet_id=2)
        )


@pytest.mark.parametrize("size", [3, 100, 120, 200, 16_370, 20_000])
def test_the_senders_limit_counts_the_same_bytes_as_the_receivers(size: int) -> None:
    wire = encode_publish(b"town", bytes(size), packet_id=1)
    assert encode_publish(b"town", bytes(size), packet_id=1, max_packet_bytes=len(wire)) == wire
    with pytest.raises(PacketTooLarge, match=f"a PUBLISH of {len(wire):,} bytes"):
        encode_publish(b"town", bytes(size), packet_id=1, max_packet_bytes=len(wire) - 1)


def test_the_largest_packet_mqtt_knows_is_the_largest_that_is_written() -> None:
    class Long(bytes):
        """Says it is as long as it likes, so that the test needs no quarter of a gigabyte."""

        def __len__(self) -> int:
            return MAX_PACKET_BYTES - 5 - 2 - 4 + 1

    with pytest.raises(PacketTooLarge):
        encode_publish(b"town", Long(), qos=0)


@pytest.mark.parametrize(
    "encode_it",
    [
        lambda: encode_publish(b"", b"", packet_id=1),
        lambda: encode_publish(b"town/+", b"", packet_id=1),
        lambda: encode_publish(b"town/#", b"", packet_id=1),
        lambda: encode_publish(b"town\0", b"", packet_id=1),
        lambda: encode_publishes([(b"town", b""), (b"town/+", b"")], [1, 2]),
        lambda: encode_publish(bytes(65_536), b"", packet_id=1),
        lambda: encode_publish(b"town", b"", packet_id=0),
        lambda: encode_publish(b"town", b"", packet_id=65_536),
        lambda: encode_pubacks([1, 0]),
        lambda: encode_pubacks([65_536]),
        lambda: encode_pubacks([-1]),
        lambda: encode(Connect("\0")),
        lambda: encode(Connect("\ud800")),
        lambda: encode(Connect("x" * 65_536)),
        lambda: encode(Connect("kiosk", keep_alive_s=65_536)),
        lambda: encode(Connect("kiosk", password=b"secret")),
        lambda: encode(Connect("kiosk", will=Will(b"", b""))),
        lambda: encode(UnsubAck(0)),
    ],
)
def test_what_mqtt_cannot_say_is_not_written(encode_it: object) -> None:
    with pytest.raises(MalformedPacket):
        encode_it()  # type: ignore[operator]


def test_there_must_be_as_many_packet_ids_as_messages() -> None:
    with pytest.raises(ValueError, match="shorter"):
        encode_publishes([(b"town", b""), (b"town", b"")], [1])


def test_a_password_is_not_in_the_repr_of_a_connect() -> None:
    assert "secret" not in repr(Connect("kiosk", username="gateway", password=b"secret"))
