"""A connection tells its owner everything once and in order, and survives peers that keep no promise."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterable

import pytest
import structlog

from haina.mqtt import (
    Backoff,
    BrokerAddress,
    BrokerUnreachable,
    Connection,
    ConnectionClosed,
    ConnectionRefused,
    ConnectOptions,
    InFlightFull,
    NoReply,
    PacketTooLarge,
    Publish,
    SubscriptionRefused,
    stay_connected,
)
from haina.mqtt.codec import (
    ConnAck,
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAcks,
    SubAck,
    Subscribe,
    encode,
    encode_publish,
    encode_publishes,
)
from haina.mqtt.connection import OPENS_AT_ONCE
from tests.mqtt.conftest import Run
from tests.mqtt.inbox import Inbox, open_inbox
from tests.mqtt.peer import Peer, playing

NEVER_S = 3_600


def options(**changes: object) -> ConnectOptions:
    return ConnectOptions("gateway", **changes)  # type: ignore[arg-type]


async def accept_and_wait(peer: Peer) -> None:
    await peer.accept()
    await asyncio.sleep(NEVER_S)


def test_nothing_is_told_before_whoever_opened_the_connection_has_it(run: Run) -> None:
    """Even when the broker sends its first messages in one piece with the CONNACK."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        peer.send(ConnAck(True, 0), encode_publishes([(b"town", b"1"), (b"town", b"2")], [1, 2]))
        assert await peer.receive() == PubAcks((1, 2))

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options())
            assert inbox.calls == []
            await connection.closed()
            assert inbox.calls == ["connected", "received", "disconnected"]
            assert inbox.session_present is True
            assert inbox.messages == [
                Publish(b"town", b"1", 1, False, False, 1),
                Publish(b"town", b"2", 1, False, False, 2),
            ]

    run(scenario())


def test_a_silence_is_the_brokers_only_while_we_read(run: Run) -> None:
    async def scenario() -> None:
        async with playing(accept_and_wait) as address:
            connection, _ = await open_inbox(address, options(keep_alive_s=60))
            now_s = asyncio.get_running_loop().time()
            connection.pause_reading()
            connection._last_heard_s = now_s - NEVER_S
            connection._watch(now_s)
            assert connection.is_open
            connection.resume_reading()
            connection._watch(now_s)
            assert connection.is_open, "it has had no time to be heard"
            connection._last_heard_s = now_s - NEVER_S
            connection._watch(now_s)
            assert "the broker was silent" in await connection.closed()

    run(scenario())


def test_a_connection_lost_at_once_is_still_told_from_connected_to_disconnected(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        peer.send(ConnAck(False, 0), encode_publish(b"town", b"1", qos=0), b"\x00\x00")

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options())
            assert "type 0" in await connection.closed()
            await inbox.until(lambda inbox: inbox.reason is not None)
            assert inbox.calls == ["connected", "received", "disconnected"]

    run(scenario())


def test_what_arrived_before_a_bad_byte_is_received_and_then_the_connection_ends(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await asyncio.sleep(0.05)
        peer.send(encode_publish(b"town", b"1", packet_id=1), b"\x00\x00")
        await peer.receive()

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options())
            assert await connection.closed() == "the broker sent a packet of type 0 with flags 0000"
            assert inbox.payloads == [b"1"]
            assert inbox.calls[-1] == "disconnected"

    run(scenario())


def test_a_packet_over_the_limit_ends_the_connection(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        peer.send(encode_publish(b"town", bytes(2_000), packet_id=1))
        await peer.receive()

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options(max_packet_bytes=1_000))
            assert await connection.closed() == ("the broker sent a packet of 2,011 bytes, where 1,000 is the limit")
            assert inbox.messages == []

    run(scenario())


def test_a_message_over_the_limit_is_not_sent_and_costs_nothing(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert await peer.receive() == Publish(b"town", b"small", 1, False, False, 1)

    async def scenario() -> None:
        async with playing(script) as address:
            connection, _ = await open_inbox(address, options(max_packet_bytes=1_000, max_in_flight=10))
            with pytest.raises(PacketTooLarge):
                connection.publish([(b"town", b"small"), (b"town", bytes(1_000))])
            assert connection.room == 10
            assert connection.publish([(b"town", b"small")]) == [1]
            assert await connection.closed() == "closed by the broker"

    run(scenario())


@pytest.mark.parametrize(
    ("return_code", "reason"), [(3, "server unavailable"), (4, "bad user name or password"), (9, "code 9")]
)
def test_a_refusal_says_why(run: Run, return_code: int, reason: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        peer.send(ConnAck(False, return_code))
        await peer.receive()

    async def scenario() -> None:
        async with playing(script) as address:
            inbox = Inbox()
            with pytest.raises(ConnectionRefused, match=reason) as refusal:
                await inbox.open(address, options())
            assert refusal.value.return_code == return_code
            assert inbox.calls == []

    run(scenario())


async def hang_up(peer: Peer) -> None:
    await peer.receive()


async def say_nothing(peer: Peer) -> None:
    await asyncio.sleep(NEVER_S)


async def speak_http(peer: Peer) -> None:
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.receive()


async def begin_with_a_ping(peer: Peer) -> None:
    peer.send(PingResp())
    await peer.receive()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (hang_up, "did not accept: closed by the broker"),
        (say_nothing, "did not accept within 0.3 s"),
        (speak_http, "did not accept: the broker sent a packet of type 4 with flags 1000"),
        (begin_with_a_ping, "did not accept: the broker began with a PINGRESP, not a CONNACK"),
    ],
)
def test_a_peer_that_is_no_broker_is_unreachable(
    run: Run, script: Callable[[Peer], Awaitable[None]], reason: str
) -> None:
    async def scenario() -> None:
        async with playing(script) as address:
            inbox = Inbox()
            with pytest.raises(BrokerUnreachable, match=reason):
                await inbox.open(address, options(connect_timeout_s=0.3 if script is say_nothing else 10))
            assert inbox.calls == []

    run(scenario())


def test_nobody_at_the_address_is_unreachable(run: Run) -> None:
    async def scenario() -> None:
        async with playing(say_nothing) as address:
            pass
        with pytest.raises(BrokerUnreachable, match=f"{address} cannot be reached"):
            await Inbox().open(address, options())

    run(scenario())


def test_a_silent_peer_is_pinged_and_then_declared_dead(run: Run) -> None:
    heard: list[object] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        while packet := await peer.receive():
            heard.append(packet)

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options(keep_alive_s=1))
            loop = asyncio.get_running_loop()
            begin_s = loop.time()
            reason = await connection.closed()
            assert loop.time() - begin_s >= 1.4
            assert reason.startswith("the broker was silent for 1.")
            assert inbox.reason == reason
            assert PingReq() in heard

    run(scenario())


def test_a_peer_that_answers_pings_is_alive_however_idle(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while packet := await peer.receive():
            if packet == PingReq():
                peer.send(PingResp())

    async def scenario() -> None:
        async with playing(script) as address:
            connection, _ = await open_inbox(address, options(keep_alive_s=1))
            await asyncio.sleep(2.5)
            assert connection.is_open
            await connection.close()

    run(scenario())


def test_a_peer_is_not_blamed_for_the_sleep_of_our_own_loop(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while packet := await peer.receive():
            if packet == PingReq():
                peer.send(PingResp())

    async def scenario() -> None:
        async with playing(script) as address:
            connection, _ = await open_inbox(address, options(keep_alive_s=1))
            await asyncio.sleep(0.1)
            time.sleep(2.5)  # noqa: ASYNC251  the point of the test
            await asyncio.sleep(0.5)
            assert connection.is_open
            await connection.close()

    run(scenario())


def test_packet_ids_go_round_and_skip_those_in_flight(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while packet := await peer.receive():
            if isinstance(packet, Publish) and packet.payload != b"slow":
                peer.send(PubAcks((packet.packet_id,)))

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options(max_in_flight=65_000))
            assert connection.publish([(b"town", b"slow")] * 3) == [1, 2, 3]
            assert connection.publish([(b"town", b"")] * 40_000) == list(range(4, 40_004))
            await inbox.until(lambda inbox: len(inbox.acknowledged_ids) == 40_000)
            packet_ids = connection.publish([(b"town", b"")] * 30_000)
            assert packet_ids == [*range(40_004, 65_536), *range(4, 4 + 30_000 - 25_532)]
            await inbox.until(lambda inbox: len(inbox.acknowledged_ids) == 70_000)
            [slow] = connection.publish([(b"town", b"slow")])
            connection.publish([(b"town", b"")] * 60_000)
            await inbox.until(lambda inbox: len(inbox.acknowledged_ids) == 130_000)
            connection.publish([(b"town", b"")] * 2_000)
            await inbox.until(lambda inbox: len(inbox.acknowledged_ids) == 132_000)
            packet_ids = connection.publish([(b"town", b"")] * 10_000)
            assert min(packet_ids) < slow < max(packet_ids)
            assert slow not in packet_ids
            assert packet_ids == sorted(packet_ids)
            await inbox.until(lambda inbox: len(inbox.acknowledged_ids) == 142_000)
            assert connection.room == 65_000 - 4
            await connection.close()

    run(scenario())


def test_there_is_no_more_in_flight_than_room_was_given(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert isinstance(await peer.receive(), Publish)
        peer.send(PubAcks((1, 1, 77, 2)), PubAcks((2,)))  # one twice, one that was never sent
        await peer.receive()
        await asyncio.sleep(NEVER_S)

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options(max_in_flight=3))
            assert connection.publish([(b"town", b"1"), (b"town", b"2")]) == [1, 2]
            assert connection.room == 1
            with pytest.raises(InFlightFull, match="2 messages, where there is room for 1"):
                connection.publish([(b"town", b"3"), (b"town", b"4")])
            assert connection.publish([(b"town", b"3"), (b"town", b"4")], qos=0) == []
            await inbox.until(lambda inbox: len(inbox.acknowledged_ids) == 2)
            assert inbox.acknowledged_ids == [1, 2]
            assert connection.room == 3
            connection.abort()

    run(scenario())


def test_a_refused_filter_is_named(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        subscribe = await peer.receive()
        assert isinstance(subscribe, Subscribe)
        peer.send(SubAck(subscribe.packet_id, (1, 0x80)))
        await peer.receive()

    async def scenario() -> None:
        async with playing(script) as address:
            connection, _ = await open_inbox(address, options())
            with pytest.raises(SubscriptionRefused, match="refused to subscribe to secrets") as refusal:
                await connection.subscribe(["town", "secrets"])
            assert refusal.value.topic_filter == "secrets"
            assert connection.is_open
            await connection.close()

    run(scenario())


def test_a_subscription_that_is_never_answered_ends_in_no_reply_or_with_the_connection(run: Run) -> None:
    async def scenario() -> None:
        async with playing(accept_and_wait) as address:
            connection, _ = await open_inbox(address, options(connect_timeout_s=0.2))
            with pytest.raises(NoReply, match=r"to SUBSCRIBE within 0\.2 s"):
                await connection.subscribe(["town"])

        async with playing(accept_and_wait) as address:
            connection, _ = await open_inbox(address, options())
            asyncio.get_running_loop().call_later(0.1, connection.abort, "enough")
            with pytest.raises(ConnectionClosed, match="is closed: enough"):
                await connection.subscribe(["town"])

    run(scenario())


def test_on_a_closed_connection_acknowledging_is_nothing_and_all_else_says_closed(run: Run) -> None:
    async def scenario() -> None:
        async with playing(accept_and_wait) as address:
            connection, _ = await open_inbox(address, options())
            connection.abort()
            connection.acknowledge([1, 2, 3])
            connection.pause_reading()
            connection.resume_reading()
            for fails in (
                lambda: connection.publish([(b"town", b"")]),
                lambda: connection.publish([(b"town", b"")], qos=0),
            ):
                with pytest.raises(ConnectionClosed):
                    fails()
            with pytest.raises(ConnectionClosed):
                await connection.drain()
            with pytest.raises(ConnectionClosed):
                await connection.subscribe(["town"])
            assert await connection.closed() == "dropped by us"
            await connection.close()

    run(scenario())


def test_a_stream_of_small_pieces_is_read_in_large_ones_by_a_connection_that_rests(run: Run) -> None:
    count = 200

    async def script(peer: Peer) -> None:
        await peer.accept()
        for packet_id in range(1, count + 1):
            peer.send(encode_publishes([(b"town", b"reading")], [packet_id]))
            await asyncio.sleep(0.001)
        while await peer.receive():
            pass

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options(rest_s=0.02))
            await inbox.until(lambda inbox: len(inbox.messages) >= count // 2)
            connection.pause_reading()  # whether it rests at this moment or not
            await asyncio.sleep(0.1)
            before = len(inbox.messages)
            await asyncio.sleep(0.1)
            assert len(inbox.messages) == before, "a rest that is over does not end the owner's pause"
            connection.resume_reading()
            await inbox.until(lambda inbox: len(inbox.messages) == count)
            assert [message.packet_id for message in inbox.messages] == list(range(1, count + 1))
            assert inbox.calls.count("received") < count // 2
            await connection.close()

    run(scenario())


def test_a_peer_that_does_not_read_makes_the_connection_unwritable_until_it_does(run: Run) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(ConnAck(False, 0))
        await go_on.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while await peer.receive():
            pass

    async def scenario() -> None:
        async with playing(script) as address:
            connection, _ = await open_inbox(address, options(write_buffer_bytes=100_000))
            assert connection.writable
            while connection.writable:
                connection.publish([(b"town", bytes(100_000))], qos=0)
                await asyncio.sleep(0)
            assert connection.write_buffer_bytes > 100_000
            draining = asyncio.ensure_future(connection.drain())
            await asyncio.sleep(0.1)
            assert not draining.done()
            go_on.set()
            await draining
            assert connection.writable
            await connection.close()

    run(scenario())


def test_closing_waits_no_longer_than_it_should_for_a_peer_that_does_not_read_and_nor_does_a_drain(run: Run) -> None:
    async def script(peer: Peer) -> None:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(ConnAck(False, 0))
        await asyncio.sleep(NEVER_S)

    async def scenario() -> None:
        async with playing(script) as address:
            connection, inbox = await open_inbox(address, options(connect_timeout_s=0.3))
            while connection.writable:
                connection.publish([(b"town", bytes(100_000))], qos=0)
                await asyncio.sleep(0)
            draining = asyncio.ensure_future(connection.drain())
            await connection.close()
            assert inbox.reason == "closed by us"
            with pytest.raises(ConnectionClosed):
                await draining

    run(scenario())


def test_closing_says_goodbye_after_everything_else_and_aborting_says_nothing(run: Run) -> None:
    heard: list[list[object]] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        packets: list[object] = []
        heard.append(packets)
        while packet := await peer.receive():
            packets.append(packet)

    async def scenario() -> None:
        async with playing(script) as address:
            polite, inbox = await open_inbox(address, options())
            polite.publish([(b"town", b"last words")], qos=0)
            await polite.close()
            await polite.close()
            assert inbox.calls == ["connected", "disconnected"]
            sudden, _ = await open_inbox(address, options())
            sudden.abort()
            await sudden.closed()
            await asyncio.sleep(0.1)
        assert heard == [[Publish(b"town", b"last words", 0, False, False, 0), Disconnect()], []]

    run(scenario())


def test_a_receiver_that_raises_ends_its_connection(run: Run) -> None:
    class Clumsy(Inbox):
        def received(self, batch: Iterable[Publish]) -> None:
            raise RuntimeError("clumsy")

    async def script(peer: Peer) -> None:
        await peer.accept()
        await asyncio.sleep(0.05)
        peer.send(encode_publish(b"town", b"", qos=0))
        await peer.receive()

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with playing(script) as address:
            clumsy = Clumsy()
            connection = await clumsy.open(address, options())
            assert await connection.closed() == "lost: clumsy"
            assert clumsy.calls == ["connected", "disconnected"]

    run(scenario())


def test_more_sessions_than_have_a_turn_at_once_open_all_the_same(run: Run) -> None:
    sessions = OPENS_AT_ONCE + 50

    async def scenario() -> None:
        async with playing(accept_and_wait) as address:
            opened = await asyncio.gather(*(open_inbox(address, options()) for _ in range(sessions)))
            assert len({connection.epoch for connection, _ in opened}) == sessions
            for connection, _ in opened:
                connection.abort()
            await asyncio.gather(*(connection.closed() for connection, _ in opened))

    run(scenario())


def test_every_connect_option_is_in_the_connect(run: Run) -> None:
    connects: list[Connect] = []

    async def script(peer: Peer) -> None:
        connects.append(await peer.accept())
        await peer.receive()

    async def scenario() -> None:
        async with playing(script) as address:
            entered = BrokerAddress(address.host, address.port, False, "gateway", "秘密")
            connection, _ = await open_inbox(entered, options(clean_session=False, keep_alive_s=7))
            await connection.close()
        assert connects == [Connect("gateway", False, 7, None, "gateway", "秘密".encode())]
        assert encode(connects[0])

    run(scenario())


@pytest.mark.parametrize("wrong", [{"keep_alive_s": 0}, {"keep_alive_s": 65_536}, {"max_in_flight": 65_001}])
def test_options_that_cannot_be_kept_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        options(**wrong)


# stay_connected


def test_staying_connected_opens_again_and_logs_once_down_and_once_back(run: Run) -> None:
    plays = iter(["accept", "refuse", "refuse", "refuse", "accept", "stay"])
    failures_in_a_row: list[int] = []

    class Counting(Backoff):
        def wait_s(self, failures: int) -> float:
            failures_in_a_row.append(failures)
            return super().wait_s(failures)

    async def script(peer: Peer) -> None:
        play = next(plays)
        if play == "refuse":
            await peer.receive()
            peer.send(ConnAck(False, 3))
            return
        await peer.accept()
        await asyncio.sleep(0.1 if play == "accept" else NEVER_S)

    async def scenario() -> None:
        async with playing(script) as address:
            inbox = Inbox()
            opened: list[Connection] = []
            enough = asyncio.Event()

            async def on_open(connection: Connection) -> None:
                opened.append(connection)
                if len(opened) == 3:
                    enough.set()

            with structlog.testing.capture_logs() as logs:
                staying = asyncio.ensure_future(
                    stay_connected(address, options(), inbox, on_open, Counting(first_s=0.01, cap_s=0.05))
                )
                await enough.wait()
                await asyncio.sleep(0.05)
                assert opened[-1].is_open
                staying.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await staying
            assert await opened[-1].closed() == "closed by us"
            assert inbox.calls == ["connected", "disconnected"] * 3
            assert failures_in_a_row == [1, 2, 3, 4, 1]
            assert [entry["event"] for entry in logs] == ["the broker is down", "the broker is back"] * 2
            assert logs[0]["reason"] == "closed by the broker"
            assert logs[0]["broker"] == str(address)

    run(scenario())


def test_staying_connected_outlives_a_refused_subscription_but_not_an_error_of_the_owner(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while packet := await peer.receive():
            if isinstance(packet, Subscribe):
                peer.send(SubAck(packet.packet_id, (0x80,)))

    async def scenario() -> None:
        async with playing(script) as address:
            attempts = 0

            async def on_open(connection: Connection) -> None:
                nonlocal attempts
                attempts += 1
                if attempts == 3:
                    raise RuntimeError("the owner's own")
                await connection.subscribe(["secrets"])

            with (
                structlog.testing.capture_logs() as logs,
                pytest.raises(RuntimeError, match="the owner's own"),
            ):
                await stay_connected(address, options(), Inbox(), on_open, Backoff(0.01, 0.01))
            assert attempts == 3
            assert [entry["reason"] for entry in logs] == [f"{address} refused to subscribe to secrets"]

    run(scenario())


def test_a_backoff_doubles_up_to_its_cap_and_is_never_the_same_for_all() -> None:
    backoff = Backoff(first_s=1, cap_s=10)
    for failures, longest_s in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (2_000, 10)]:
        waits_s = {backoff.wait_s(failures) for _ in range(50)}
        assert all(longest_s / 2 <= wait_s <= longest_s for wait_s in waits_s)
        assert len(waits_s) > 1


def test_a_connection_reset_before_it_said_anything_is_a_broker_unreachable_and_no_more(run: Run) -> None:
    class Reset(Connection):
        def _send_connect(self) -> None:
            self._open_transport().abort()
            super()._send_connect()

    async def wait(_peer: Peer) -> None:
        await asyncio.sleep(NEVER_S)

    async def scene() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        async with playing(wait) as address:
            with pytest.raises(BrokerUnreachable):
                await Reset.open(address, options(), Inbox())
            await asyncio.sleep(0.1)
            gc.collect()
        assert complaints == []

    run(scene())
