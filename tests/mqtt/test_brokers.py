"""A connection keeps MQTT's promises with both real brokers, on both event loops."""

import asyncio

import pytest

from haina.mqtt import BrokerAddress, ConnectionRefused, ConnectOptions, Will
from tests.brokers import RunningBroker, embedded_broker, mosquitto_broker
from tests.mqtt.conftest import Run
from tests.mqtt.inbox import Inbox, open_inbox, send_all


def test_ten_thousand_messages_arrive_in_order_exactly_once_and_all_are_acknowledged(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        subscriber, received = await open_inbox(broker.address, ConnectOptions(f"{name}-subscriber"))
        assert await subscriber.subscribe([f"{name}/#"]) == [1]
        publisher, sent = await open_inbox(broker.address, ConnectOptions(f"{name}-publisher"))
        messages = [(f"{name}/{number % 7}".encode(), b"%d" % number) for number in range(10_000)]

        await send_all(publisher, sent, messages)
        await received.until(lambda inbox: len(inbox.messages) >= len(messages))

        assert [(message.topic, message.payload) for message in received.messages] == messages
        assert all(message.qos == 1 and not message.dup for message in received.messages)
        assert len(sent.acknowledged_ids) == len(messages)
        assert publisher.room == publisher.options.max_in_flight
        await publisher.close()
        await subscriber.close()
        assert received.reason == "closed by us"

    run(scenario())


def test_messages_at_qos_0_need_no_packet_ids_and_no_acknowledgement(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        both, inbox = await open_inbox(broker.address, ConnectOptions(name))
        await both.subscribe([name], qos=0)
        assert both.publish([(name.encode(), b"1"), (name.encode(), b"2")], qos=0) == []
        await inbox.until(lambda inbox: len(inbox.messages) == 2)
        assert [(message.payload, message.qos, message.packet_id) for message in inbox.messages] == [
            (b"1", 0, 0),
            (b"2", 0, 0),
        ]
        assert inbox.acknowledged_ids == []
        await both.close()

    run(scenario())


def test_a_retained_message_waits_for_whoever_subscribes_later(broker: RunningBroker, run: Run, name: str) -> None:
    async def scenario() -> None:
        publisher, sent = await open_inbox(broker.address, ConnectOptions(f"{name}-publisher"))
        topic = f"{name}/status".encode()
        publisher.publish([(topic, b"old"), (topic, b"new")], retain=True)
        await sent.until(lambda inbox: len(inbox.acknowledged_ids) == 2)

        later, inbox = await open_inbox(broker.address, ConnectOptions(f"{name}-later"))
        await later.subscribe([f"{name}/+"])
        await inbox.until(lambda inbox: inbox.messages)

        [message] = inbox.messages
        assert (message.topic, message.payload, message.retain) == (topic, b"new", True)
        publisher.publish([(topic, b"")], retain=True)  # cleared, for the other event loop's turn
        await sent.until(lambda inbox: len(inbox.acknowledged_ids) == 3)
        await publisher.close()
        await later.close()

    run(scenario())


def test_the_retained_state_of_a_whole_town_comes_with_one_subscription_at_qos_0(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        publisher, sent = await open_inbox(broker.address, ConnectOptions(f"{name}-publisher"))
        town = [(f"{name}/site-{number}/info".encode(), b"here") for number in range(5_000)]
        for first in range(0, len(town), 500):
            publisher.publish(town[first : first + 500], retain=True)
            await sent.until(lambda inbox, count=first + 500: len(inbox.acknowledged_ids) >= count)

        later, inbox = await open_inbox(broker.address, ConnectOptions(f"{name}-later"))
        await later.subscribe([f"{name}/+/info"], qos=0)
        await inbox.until(lambda inbox: len(inbox.messages) >= len(town))

        assert sorted(message.topic for message in inbox.messages) == sorted(topic for topic, _ in town)
        await publisher.close()
        await later.close()

    run(scenario())


def test_the_broker_publishes_the_will_of_a_client_that_vanishes_and_not_of_one_that_says_goodbye(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        watcher, seen = await open_inbox(broker.address, ConnectOptions(f"{name}-watcher"))
        await watcher.subscribe([f"{name}/#"])
        for end in ("polite", "sudden"):
            will = Will(f"{name}/{end}".encode(), b"offline", qos=1, retain=True)
            gateway, _ = await open_inbox(broker.address, ConnectOptions(f"{name}-{end}", will=will))
            if end == "polite":
                await gateway.close()
            else:
                gateway.abort()
            await gateway.closed()
        await seen.until(lambda inbox: inbox.messages)
        await asyncio.sleep(0.2)

        assert [(message.topic, message.payload) for message in seen.messages] == [
            (f"{name}/sudden".encode(), b"offline")
        ]
        later, inbox = await open_inbox(broker.address, ConnectOptions(f"{name}-later"))
        await later.subscribe([f"{name}/sudden"])
        await inbox.until(lambda inbox: inbox.messages)
        assert inbox.messages[0].retain
        await watcher.close()
        await later.close()

    run(scenario())


def test_what_a_persistent_session_has_not_acknowledged_comes_again_first_and_in_order(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        options = ConnectOptions(f"{name}-subscriber", clean_session=False)
        first, unsure = await open_inbox(broker.address, options, acknowledges=False)
        await first.subscribe([name])
        publisher, sent = await open_inbox(broker.address, ConnectOptions(f"{name}-publisher"))
        messages = [(name.encode(), b"%d" % number) for number in range(300)]
        await send_all(publisher, sent, messages[:50])
        await unsure.until(lambda inbox: len(inbox.messages) == 50)
        first.acknowledge([message.packet_id for message in unsure.messages[:20]])
        await first.drain()
        await asyncio.sleep(0.2)  # lest the broker meet our end before our acknowledgements
        first.abort()
        await first.closed()
        await send_all(publisher, sent, messages[50:])

        second, inbox = await open_inbox(broker.address, options)
        await inbox.until(lambda inbox: len(inbox.messages) >= 280)

        assert inbox.session_present is True
        assert unsure.session_present is False
        assert second.epoch > first.epoch
        assert inbox.payloads == [payload for _, payload in messages[20:]]
        await second.close()
        forget, _ = await open_inbox(broker.address, ConnectOptions(f"{name}-subscriber"))
        await forget.close()
        await publisher.close()

    run(scenario())


def test_after_unsubscribing_nothing_comes(broker: RunningBroker, run: Run, name: str) -> None:
    async def scenario() -> None:
        both, inbox = await open_inbox(broker.address, ConnectOptions(name))
        assert await both.subscribe([f"{name}/a", f"{name}/b"]) == [1, 1]
        await both.unsubscribe([f"{name}/a"])
        await send_all(both, inbox, [(f"{name}/a".encode(), b"1"), (f"{name}/b".encode(), b"2")])
        await inbox.until(lambda inbox: inbox.messages)
        assert inbox.payloads == [b"2"]
        await both.close()

    run(scenario())


def test_reading_paused_leaves_the_messages_at_the_broker_and_loses_none(
    broker: RunningBroker, run: Run, name: str
) -> None:
    async def scenario() -> None:
        subscriber, inbox = await open_inbox(broker.address, ConnectOptions(f"{name}-subscriber", keep_alive_s=1))
        await subscriber.subscribe([name])
        publisher, sent = await open_inbox(broker.address, ConnectOptions(f"{name}-publisher"))
        subscriber.pause_reading()
        await send_all(publisher, sent, [(name.encode(), b"%d" % number) for number in range(100)])
        await asyncio.sleep(2.5)  # two keep alives and a half: not hearing is no death when one does not listen
        assert inbox.messages == []
        assert subscriber.is_open
        subscriber.resume_reading()
        await inbox.until(lambda inbox: len(inbox.messages) == 100)
        assert inbox.payloads == [b"%d" % number for number in range(100)]
        await subscriber.close()
        await publisher.close()

    run(scenario())


def test_the_second_session_with_a_client_id_ends_the_first(broker: RunningBroker, run: Run, name: str) -> None:
    async def scenario() -> None:
        _, first = await open_inbox(broker.address, ConnectOptions(name))
        second, _ = await open_inbox(broker.address, ConnectOptions(name))
        await first.until(lambda inbox: inbox.reason is not None)
        assert second.is_open
        await second.close()

    run(scenario())


def test_a_broker_that_is_killed_ends_the_connection(run: Run) -> None:
    with mosquitto_broker() as broker:

        async def scenario() -> None:
            connection, inbox = await open_inbox(broker.address, ConnectOptions("gateway"))
            await inbox.until(lambda inbox: inbox.calls)
            broker.kill()
            reason = await connection.closed()
            assert not connection.is_open
            assert inbox.reason == reason
            assert inbox.calls == ["connected", "disconnected"]

        run(scenario())


def test_mosquitto_keeps_a_session_over_a_proper_restart_and_the_embedded_broker_keeps_nothing(
    run: Run,
) -> None:
    for start, kept in ((mosquitto_broker, True), (embedded_broker, False)):
        with start() as broker:

            async def scenario(broker: RunningBroker = broker, kept: bool = kept) -> None:
                options = ConnectOptions("collector", clean_session=False)
                before, _ = await open_inbox(broker.address, options)
                await before.subscribe(["town"])
                await before.close()
                publisher, sent = await open_inbox(broker.address, ConnectOptions("gateway"))
                await send_all(publisher, sent, [(b"town", b"kept")])
                assert broker.terminate() == 0
                broker.restart()
                after, inbox = await open_inbox(broker.address, options)
                await inbox.until(lambda inbox: inbox.calls)
                assert inbox.session_present is kept
                if kept:
                    await inbox.until(lambda inbox: inbox.messages)
                    assert inbox.payloads == [b"kept"]
                await after.close()

            run(scenario())


def test_a_wrong_password_is_refused_and_never_printed(run: Run) -> None:
    with mosquitto_broker(users={"gateway": "right"}) as broker:

        async def scenario() -> None:
            address = BrokerAddress.parse(f"mqtt://gateway:wrong@127.0.0.1:{broker.port}")
            inbox = Inbox()
            with pytest.raises(ConnectionRefused) as refusal:
                await inbox.open(address, ConnectOptions("kiosk"))
            assert refusal.value.return_code == 5
            assert str(refusal.value) == f"mqtt://127.0.0.1:{broker.port} refused 'kiosk': not authorised"
            assert "wrong" not in repr(refusal.value) + repr(address)
            assert inbox.calls == []

            address = BrokerAddress.parse(f"mqtt://gateway:right@127.0.0.1:{broker.port}")
            connection, _ = await open_inbox(address, ConnectOptions("kiosk"))
            await connection.close()

        run(scenario())
