"""The embedded broker has the limits it says it has, and comes and goes cleanly."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from haina.broker import MAX_IN_FLIGHT, MAX_PACKET_BYTES, PortInUse, log_messages, run_embedded_broker
from haina.mqtt import BrokerAddress, BrokerUnreachable, ConnectOptions
from haina.mqtt.codec import encode_publish
from tests.brokers import embedded_broker
from tests.mqtt.inbox import open_inbox, send_all


def test_a_port_in_use_is_one_sentence() -> None:
    with embedded_broker() as broker, pytest.raises(PortInUse) as error:
        run_embedded_broker(port=broker.port)
    assert str(error.value) == f"something listens on 127.0.0.1:{broker.port} already"


def test_at_port_0_it_says_which_one_it_took() -> None:
    command = [sys.executable, "-m", "haina", "--log-format", "json", "broker", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as broker:
        try:
            assert broker.stderr is not None
            address = BrokerAddress.parse(f"mqtt://{json.loads(broker.stderr.readline())['address']}")
            asyncio.run(enter(address))
        finally:
            broker.terminate()


async def enter(address: BrokerAddress) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(BrokerUnreachable):
                connection, _ = await open_inbox(address, ConnectOptions("somebody"))
                return await connection.close()
            await asyncio.sleep(0.05)


def test_an_address_of_another_machine_is_an_os_error() -> None:
    with pytest.raises(OSError, match="assign"):
        run_embedded_broker("192.0.2.1", 1883)


def test_a_log_too_small_to_work_is_refused() -> None:
    with pytest.raises(ValueError, match="2 segments"):
        run_embedded_broker(segments=1)


def test_it_ends_cleanly_when_asked_to_by_either_signal_and_can_start_again_at_its_port() -> None:
    with embedded_broker() as broker:
        assert broker.terminate() == 0
        broker.restart()
        assert broker._process is not None
        broker._process.send_signal(signal.SIGINT)
        assert broker._process.wait(10) == 0
        assert "Traceback" not in broker.log


def test_the_largest_packet_passes_and_a_larger_one_costs_the_sender_its_connection() -> None:
    with embedded_broker() as broker:

        async def scenario() -> None:
            receiver, inbox = await open_inbox(broker.address, ConnectOptions("receiver"))
            await receiver.subscribe(["town"])
            sender, sent = await open_inbox(broker.address, ConnectOptions("sender"))
            overhead = len(encode_publish(b"town", bytes(100_000), packet_id=1)) - 100_000
            payload = bytes(MAX_PACKET_BYTES - overhead)
            await send_all(sender, sent, [(b"town", payload)])
            await inbox.until(lambda inbox: inbox.messages)
            assert inbox.payloads == [payload]

            rash, told = await open_inbox(
                broker.address, ConnectOptions("rash", max_packet_bytes=10 * MAX_PACKET_BYTES)
            )
            rash.publish([(b"town", bytes(MAX_PACKET_BYTES))])
            await told.until(lambda inbox: inbox.reason is not None)
            assert told.acknowledged_ids == []
            await sender.close()
            await receiver.close()

        asyncio.run(scenario())


def test_its_log_holds_as_many_messages_as_it_says_and_then_drops_whole_segments_in_silence() -> None:
    segment_bytes, segments, payload_bytes = 64 * 1024, 8, 196
    topic = b"town"
    held = log_messages(len(topic) + payload_bytes, segment_bytes=segment_bytes, segments=segments)
    in_segment = held // (segments - 1)
    count = 3 * held
    with embedded_broker(segment_bytes=segment_bytes, segments=segments) as broker:

        async def scenario() -> None:
            receiver, inbox = await open_inbox(broker.address, ConnectOptions("receiver"), acknowledges=False)
            await receiver.subscribe(["town"])
            sender, sent = await open_inbox(broker.address, ConnectOptions("sender"))
            messages = [(topic, b"%0*d" % (payload_bytes, number)) for number in range(count)]
            await send_all(sender, sent, messages)
            await inbox.until(lambda inbox: len(inbox.messages) >= MAX_IN_FLIGHT)
            await asyncio.sleep(0.2)
            assert len(inbox.messages) == MAX_IN_FLIGHT  # and no more, until it acknowledges

            inbox.acknowledges = True
            receiver.acknowledge([message.packet_id for message in inbox.messages])
            await inbox.until(lambda inbox: int(inbox.messages[-1].payload) == count - 1)
            numbers = [int(payload) for payload in inbox.payloads]
            oldest_left = numbers[MAX_IN_FLIGHT]
            assert oldest_left > MAX_IN_FLIGHT
            assert oldest_left % in_segment == 0
            assert held <= count - oldest_left <= held + in_segment
            assert numbers[MAX_IN_FLIGHT:] == list(range(oldest_left, count))
            await sender.close()
            await receiver.close()

        asyncio.run(scenario())


def test_more_clients_than_it_was_told_are_turned_away() -> None:
    with embedded_broker(max_clients=2) as broker:

        async def scenario() -> None:
            await open_inbox(broker.address, ConnectOptions("first"))
            await open_inbox(broker.address, ConnectOptions("second"))
            with pytest.raises(BrokerUnreachable):
                await open_inbox(broker.address, ConnectOptions("third", connect_timeout_s=2))

        asyncio.run(scenario())


def test_it_sends_retained_messages_with_a_sessions_first_subscription_only_so_a_clean_session_must_ask() -> None:
    """Not what MQTT says; should this fail one day, the sentence in `haina.broker` can go."""
    with embedded_broker() as broker:

        async def scenario() -> None:
            publisher, sent = await open_inbox(broker.address, ConnectOptions("publisher"))
            publisher.publish([(b"town", b"state")], retain=True)
            await sent.until(lambda inbox: inbox.acknowledged_ids)
            for clean_session, turn, expected in [
                (False, 1, [b"state"]),
                (False, 2, []),
                (True, 1, [b"state"]),
                (True, 2, [b"state"]),
            ]:
                options = ConnectOptions(f"reader-{clean_session}", clean_session=clean_session)
                reader, inbox = await open_inbox(broker.address, options)
                await reader.subscribe(["town"])
                await asyncio.sleep(0.2)
                assert inbox.payloads == expected, f"clean_session={clean_session}, turn {turn}"
                await reader.close()
            await publisher.close()

        asyncio.run(scenario())
