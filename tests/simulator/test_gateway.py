"""Gateways: what they said stays in their custody until the collector's watermark covers it."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from unittest.mock import Mock

import pytest

from haina.contract import Command, Meta, Reply, Status, Topic, TopicClass, Watermark, decode, encode, measurement
from haina.mqtt.codec import Publish
from haina.mqtt.connection import BrokerAddress, Connection, ConnectOptions, stay_connected
from simulator.gateway import LEAST_SAID_AGAIN, SILENCE_RESEND_S, STUCK_S, Gateway, Slice, Window
from simulator.town import Device, Town
from simulator.truth import NoTruth
from tests.brokers import mosquitto_broker

START = 1_790_000_000_000
MOTION = measurement("home_motion")
WATERMARK = b"haina/v1/watermark/a01/h0001/gateway/durable"


class Collector:
    """Just enough of one: remembers what it heard, and publishes watermarks when told to."""

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, int]] = Counter()
        self.others: dict[bytes, bytes] = {}
        self.connection: Connection | None = None
        self.session_present = False
        self.covers = True
        self.forget: Callable[[str, int], bool] = lambda _device, _seq: False

    async def open(self, connection: Connection) -> None:
        self.connection = connection
        await connection.subscribe(
            [c.filter for c in (TopicClass.TELEMETRY, TopicClass.STATUS, TopicClass.META, TopicClass.REPLY)]
        )
        self.cover(again=not self.session_present)  # as the real one does: gateways learn that somebody listens again

    def connected(self, session_present: bool) -> None:
        self.session_present = session_present

    def disconnected(self, reason: str) -> None: ...

    def acknowledged(self, packet_ids: list[int]) -> None: ...

    def received(self, batch: Iterable[Publish]) -> None:
        for publish in batch:
            topic = Topic.parse(publish.topic.decode())
            if topic.topic_class is not TopicClass.TELEMETRY:
                self.others[publish.topic] = publish.payload
                continue
            seq = MOTION.decoder.decode(publish.payload).seq
            if not self.forget(topic.device, seq):
                self.heard[topic.device, seq] += 1
        assert self.connection is not None
        self.connection.acknowledge([publish.packet_id for publish in batch if publish.qos])
        if self.covers:
            self.cover()

    def cover(self, *, again: bool = False) -> None:
        durable: dict[str, int] = {}
        for device, _ in self.heard:
            seq = durable.get(device, 0)
            while (device, seq + 1) in self.heard:
                seq += 1
            durable[device] = seq
        assert self.connection is not None
        if self.connection.is_open and self.connection.room:
            message = encode(Watermark(boot=1, durable=durable, again=again))
            self.connection.publish([(WATERMARK, message)], retain=True)


class Home:
    """A site with two sensors, its gateway, and a collector, all on one broker."""

    def __init__(self, address: BrokerAddress) -> None:
        self.address = address
        self.town = Town(seed=1, start_ms=START, run="r", boot=1, truth=NoTruth())
        self.site = self.town.site("a01", "h0001", "home", (121.4, 31.25))
        self.sensors = [self.site.device(f"pir-{room}", "infrared", room=room) for room in ("kitchen", "bedroom")]
        self.window = Window(10_000)
        self.gateway = Gateway(self.site, self.window, self.town.obey)
        self.collector = Collector()

    def say(self, count: int, device: Device | None = None) -> Slice:
        for number in range(count):
            (device or self.sensors[number % 2]).send(MOTION, {"motion": True})
        slice_ = Slice(self.town.now_ms)
        slice_.pending = count
        for emission in self.town.outbox:
            self.gateway.say(emission, slice_)
        self.town.outbox = []
        self.window.take(count)
        self.gateway.pump()
        return slice_

    async def until(self, truth: Callable[[], bool], timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not truth():  # noqa: ASYNC110 - truths about other processes raise no event
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def build_home(address: BrokerAddress) -> AsyncIterator[Home]:
    home = Home(address)
    options = ConnectOptions("collector", clean_session=False)
    tasks = [asyncio.create_task(stay_connected(address, options, home.collector, home.collector.open))]
    await home.until(lambda: home.collector.connection is not None)
    tasks.append(asyncio.create_task(home.gateway.stay(address, speaks=True)))
    try:
        yield home
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def build_wired_home() -> tuple[Home, Mock, Callable[..., None]]:
    """A home whose gateway is connected to nothing, what it publishes on, and how it is told a watermark."""
    home = Home(BrokerAddress("127.0.0.1", 1))
    wire = Mock(Connection, is_open=True, writable=True, room=100)
    home.gateway._connection = wire
    home.gateway._introduced.set()

    def tell(*, again: bool = False, **durable: int) -> None:
        watermark = Watermark(1, {f"pir-{room}": seq for room, seq in durable.items()}, again)
        home.gateway.received([Publish(WATERMARK, encode(watermark), 1, False, False, 1)])

    return home, wire, tell


def messages(wire: Mock) -> list[tuple[bytes, bytes]]:
    """All that was published on it since it was last asked."""
    published = [message for call in wire.publish.call_args_list for message in call.args[0]]
    wire.publish.reset_mock()
    return published


def said(wire: Mock) -> list[tuple[str, int]]:
    """The readings among it, as device and seq."""
    topics = [(Topic.parse(topic.decode()), payload) for topic, payload in messages(wire)]
    return [
        (topic.device, MOTION.decoder.decode(payload).seq)
        for topic, payload in topics
        if topic.topic_class is TopicClass.TELEMETRY
    ]


def test_readings_are_held_until_the_watermark_covers_them() -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            async with build_home(broker.address) as home:
                home.collector.covers = False
                slice_ = home.say(500)
                await home.until(lambda: len(home.collector.heard) == 500)
                assert home.window.outstanding == 500
                assert slice_.pending == 500
                home.collector.cover()
                await home.until(lambda: home.window.outstanding == 0)
                assert slice_.pending == 0
                assert home.gateway.published == 500

    asyncio.run(scene())


def test_a_broker_that_forgets_everything_loses_nothing() -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            async with build_home(broker.address) as home:
                home.collector.covers = False
                home.say(300)
                await home.until(lambda: len(home.collector.heard) == 300)
                home.collector.heard.clear()  # as if they had still been inside the broker
                broker.kill()
                home.say(100)
                broker.restart()
                await home.until(lambda: len(home.collector.heard) == 400)
                home.collector.cover()
                await home.until(lambda: home.window.outstanding == 0)

    asyncio.run(scene())


def test_what_is_said_while_a_reset_is_not_yet_known_of_is_kept_and_arrives() -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            async with build_home(broker.address) as home:
                home.say(100)
                await home.until(lambda: home.window.outstanding == 0)
                assert home.gateway._connection is not None
                home.gateway._connection.abort()  # closed; `disconnected` comes with the loop's next turn
                home.say(100)
                await home.until(lambda: home.window.outstanding == 0)
                assert len(home.collector.heard) == 200

    asyncio.run(scene())


def test_a_gap_that_the_watermark_reveals_is_said_again() -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            async with build_home(broker.address) as home:
                lost_once = {("pir-kitchen", 1), ("pir-kitchen", 2)}

                def forget(device: str, seq: int) -> bool:
                    dropped = (device, seq) in lost_once
                    lost_once.discard((device, seq))
                    return dropped

                home.collector.forget = forget
                home.say(10)
                await home.until(lambda: not lost_once)
                home.say(1, home.sensors[1])  # the bedroom's watermark moves on, the kitchen's does not
                await home.until(lambda: home.window.outstanding == 0)
                assert {("pir-kitchen", 1), ("pir-kitchen", 2)} <= home.collector.heard.keys()

    asyncio.run(scene())


def test_a_gap_that_stays_is_said_again_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.gateway.GAP_RESEND_S", 0.1)

    async def scenario(address: BrokerAddress) -> None:
        async with build_home(address) as home:
            home.collector.forget = lambda _device, _seq: True
            began_s = time.monotonic()
            home.say(1)
            await home.until(lambda: home.gateway.resent == 4)
            assert time.monotonic() - began_s >= 0.1 + 0.2 + 0.4  # the collector may have asked for it once, as it came
            home.collector.forget = lambda _device, _seq: False
            await home.until(lambda: home.window.outstanding == 0)

    with mosquitto_broker() as broker:
        asyncio.run(scenario(broker.address))


def test_what_one_watermark_has_covered_no_other_takes_back() -> None:
    """The collector tells devices that it turns away by themselves, and their readings may wait behind others."""

    async def scene() -> None:
        home, _, tell = build_wired_home()
        kitchen, bedroom = home.sensors
        for device in (kitchen, bedroom, kitchen):
            home.say(1, device)
        for durable, outstanding in (({"bedroom": 1}, 3), ({"kitchen": 1}, 1), ({"kitchen": 2}, 0)):
            tell(**durable)
            assert home.window.outstanding == outstanding

    asyncio.run(scene())


def test_a_collector_that_asks_hears_again_what_is_not_durable_and_nothing_else() -> None:
    async def scene() -> None:
        home, wire, tell = build_wired_home()
        home.say(6)  # three of the kitchen's, three of the bedroom's
        assert len(said(wire)) == 6
        tell(kitchen=1, bedroom=3)
        assert home.window.outstanding == 4, "the bedroom's are behind the kitchen's second"
        tell(kitchen=1, bedroom=3, again=True)
        assert said(wire) == [("pir-kitchen", 2), ("pir-kitchen", 3)]
        assert (home.gateway.resent, home.window.outstanding) == (2, 2)
        tell(kitchen=3)
        assert home.window.outstanding == 0

    asyncio.run(scene())


def test_of_a_gap_a_few_are_said_again_and_the_rest_only_where_that_was_what_was_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.gateway.GAP_RESEND_S", 0.02)

    async def scene() -> None:
        home, wire, tell = build_wired_home()
        kitchen, _ = home.sensors
        home.say(40, kitchen)
        said(wire)
        tell(kitchen=0)

        async def said_again() -> list[int]:
            await home.until(lambda: wire.publish.called)
            return [seq for _, seq in said(wire)]

        assert await said_again() == [1, 2, 3, 4]
        tell(kitchen=4)
        assert await said_again() == [5, 6, 7, 8, 9, 10, 11, 12]
        tell(kitchen=12)
        assert await said_again() == list(range(13, 29))
        tell(kitchen=12)
        assert await said_again() == [13, 14, 15, 16], "it was in vain: they may be under way"

    asyncio.run(scene())


def test_a_collector_whose_watermark_stands_lower_than_an_earlier_one_is_told_what_was_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("simulator.gateway.GAP_RESEND_S", 0.02)

    async def scene() -> None:
        home, wire, tell = build_wired_home()
        home.say(10, home.sensors[0])
        tell(kitchen=7)
        tell(kitchen=3)  # another collector, or one without its journal
        wire.publish.reset_mock()
        await home.until(lambda: wire.publish.called)
        [(topic, payload)] = wire.publish.call_args_list[0].args[0]
        assert topic == b"haina/v1/status/a01/h0001/gateway/connection"
        status = decode(Status, payload)
        assert (status.durable, status.keeps) == ({"pir-kitchen": 7}, True)

    asyncio.run(scene())


def test_what_was_durable_before_it_was_said_is_let_go_of_and_not_said_again_for_silence() -> None:
    """The broker may retain the watermark of the same run, begun anew in another folder."""

    async def scene() -> None:
        home, _, tell = build_wired_home()
        tell(kitchen=10)
        home.say(10, home.sensors[0])
        home.gateway.check_silence(time.monotonic() + SILENCE_RESEND_S + 1)
        assert (home.gateway.resent, home.window.outstanding) == (0, 0)

    asyncio.run(scene())


def test_a_gateway_that_leaves_says_so_last_even_if_it_must_wait_for_room() -> None:
    async def scene() -> None:
        home, wire, _ = build_wired_home()
        wire.room = 0
        home.say(10)
        leaving = asyncio.create_task(home.gateway.leave())
        await asyncio.sleep(0.01)
        assert not wire.publish.called
        wire.room = 100
        home.gateway.acknowledged([1])
        await leaving
        home.gateway.turn()
        home.gateway.acknowledged([2])
        [(topic, payload)] = messages(wire)
        assert b"/status/" in topic
        status = decode(Status, payload)
        assert (status.online, status.keeps) == (False, False)

    asyncio.run(scene())


def test_nothing_is_said_again_for_silence_while_readings_become_durable() -> None:
    async def scene() -> None:
        home, _, tell = build_wired_home()
        home.say(10, home.sensors[0])
        home.gateway._last_said_s -= 1_000
        tell(kitchen=5)
        home.gateway.check_silence(time.monotonic())
        assert home.gateway.resent == 0
        home.gateway.check_silence(time.monotonic() + SILENCE_RESEND_S + 1)
        assert home.gateway.resent == LEAST_SAID_AGAIN

    asyncio.run(scene())


def test_a_gateway_knows_on_which_device_it_is_stuck_and_since_when() -> None:
    async def scene() -> None:
        home, _, tell = build_wired_home()
        gateway, (kitchen, bedroom) = home.gateway, home.sensors

        def later_s() -> float:
            return time.monotonic() + STUCK_S

        assert gateway.stuck_on(later_s()) is None, "it waits for nothing"
        home.say(1, kitchen)
        home.say(1, bedroom)
        assert gateway.stuck_on(time.monotonic()) is None, "it has just begun"
        assert gateway.stuck_on(later_s()) == "pir-kitchen"
        said_s = later_s()
        gateway._progress_s -= 1
        gateway.check_silence(said_s)
        home.say(1, kitchen)
        assert gateway.stuck_on(said_s) == "pir-kitchen", "saying more, or again, makes nothing durable"
        tell(bedroom=1)
        assert gateway.stuck_on(said_s) == "pir-kitchen"
        tell(kitchen=1)
        assert gateway.stuck_on(said_s - 1) is None
        assert gateway.stuck_on(later_s()) == "pir-kitchen"
        gateway.disconnected("of which the wire tells")
        assert gateway.stuck_on(later_s()) is None

    asyncio.run(scene())


def test_a_gateway_says_who_it_is_and_the_broker_says_when_it_vanished() -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            async with build_home(broker.address) as home:
                status = b"haina/v1/status/a01/h0001/gateway/connection"
                meta = b"haina/v1/meta/a01/h0001/pir-kitchen/info"
                await home.until(lambda: meta in home.collector.others)
                assert decode(Status, home.collector.others[status]).online
                assert decode(Meta, home.collector.others[meta]).labels == {"room": "kitchen"}
                home.say(5)
                await home.until(lambda: home.window.outstanding == 0)
                connection = home.gateway._connection
                assert connection is not None
                connection.abort()
                await home.until(lambda: not decode(Status, home.collector.others[status]).online)
                await home.until(lambda: decode(Status, home.collector.others[status]).online)
                let_go = {"pir-kitchen": 3, "pir-bedroom": 2}
                assert decode(Status, home.collector.others[status]).durable == let_go, "it can say none of them again"

    asyncio.run(scene())


def test_a_command_is_obeyed_once_and_answered_with_its_id() -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            async with build_home(broker.address) as home:
                obeyed: list[object] = []

                def reset(args: object) -> None:
                    obeyed.append(args)

                home.sensors[0].commands["reset"] = reset
                await home.until(lambda: home.gateway.is_connected)
                command = encode(Command(id="c1", expires=START + 60_000, args={"hard": True}))
                topic = b"haina/v1/command/a01/h0001/pir-kitchen/reset"
                late = encode(Command(id="c2", expires=START - 1))
                assert home.collector.connection is not None
                home.collector.connection.publish([(topic, command), (topic, command), (topic, late), (topic, b"{")])
                reply = b"haina/v1/reply/a01/h0001/pir-kitchen/reset"
                await home.until(lambda: home.collector.others.get(reply, b"").find(b"c2") > 0)
                assert obeyed == [{"hard": True}]
                answer = decode(Reply, home.collector.others[reply])
                assert not answer.done
                assert answer.reason == "the command had expired"

    asyncio.run(scene())
