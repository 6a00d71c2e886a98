"""Custody on a line of any speed: real gateways and a collector's real accounts, a modelled broker, in virtual time.

A broker that is slower than the town can speak holds the whole window, and a reading is under way for as long as it
takes to pass it on. Whatever gateways say again stands in that queue too. Two things must hold however slow the line is
and whatever the broker drops: the line comes to rest, and no gateway lets go of a reading that nobody has.
"""

import asyncio
import random
import selectors
from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any
from unittest.mock import patch

import pytest

from collector.accounting import Accounting
from collector.ingest import Ingest
from haina.contract import Topic, measurement
from haina.mqtt.codec import Publish, Publishes
from simulator.gateway import Gateway, Slice, Window
from simulator.town import Town
from simulator.truth import NoTruth

START = 1_790_000_000_000
MOTION = measurement("home_motion")
WINDOW = 4_000
TICK_S = 0.1
SWEEP_S = 5.0
GIVE_UP_S = 30.0
LIMIT_S = 3_600.0


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to whatever is waited for."""

    def __init__(self) -> None:
        loop = self
        self.now_s = 0.0

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> Any:
                loop.now_s += timeout or 0.0
                return super().select(0)

        super().__init__(Selector())
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now_s


class Wire:
    """A gateway's connection to the broker, which acknowledges at once."""

    is_open = writable = True

    def __init__(self, take: Callable[[bytes, bytes], None], acknowledged: Callable[[list[int]], None]) -> None:
        self.room = 100
        self._take, self._acknowledged = take, acknowledged

    def publish(self, messages: Sequence[tuple[bytes, bytes]], *, retain: bool = False) -> None:
        for topic, payload in messages:
            self._take(topic, payload)
        self.room -= len(messages)
        asyncio.get_running_loop().call_soon(self._answer, len(messages))

    def _answer(self, count: int) -> None:
        self.room += count
        self._acknowledged([])

    def acknowledge(self, packet_ids: list[int]) -> None: ...


class Line:
    """A town that says as much as its window lets it, a broker's queue, and a collector that takes `rate` a second."""

    def __init__(
        self, sites: int, devices: int, rate: float, drops: Callable[[int], bool], rejects: Callable[[str, int], bool]
    ) -> None:
        self.window = Window(WINDOW)
        self.queue = deque[tuple[bytes, bytes]]()
        self.accounting = Accounting()
        self.given_up = 0
        self._town = Town(seed=1, start_ms=START, run="r", boot=1, truth=NoTruth())
        self._ingest = Ingest(self.accounting, wall_s=lambda: START / 1000)
        self._rate, self._credit, self._drops, self._rejects = rate, 0.0, drops, rejects
        self._gateways: dict[str, Gateway] = {}
        for number in range(sites):
            site = self._town.site("a01", f"h{number:04}", "home", (121.4, 31.25))
            for sensor in range(devices):
                site.device(f"pir-{sensor}", "infrared", room="kitchen")
            gateway = self._gateways[site.id] = Gateway(site, self.window, self._town.obey)
            wire: Any = Wire(self._broker_takes, gateway.acknowledged)
            gateway._connection = wire
            gateway._introduced.set()
            gateway.turn()  # it says who it is
        homes = self._town.sites.values()
        self._speakers = cycle([[*site.devices.values()][sensor] for sensor in range(devices) for site in homes])

    @property
    def published(self) -> int:
        return sum(gateway.published for gateway in self._gateways.values())

    @property
    def resent(self) -> int:
        return sum(gateway.resent for gateway in self._gateways.values())

    def _broker_takes(self, topic: bytes, payload: bytes) -> None:
        if b"/status/" in topic:  # at QoS 0 it does not wait behind readings
            self._ingest.receive(Publishes(0, False, False, [topic], [payload], [0]))
        elif not self._drops(len(self.queue)):
            self.queue.append((topic, payload))

    def forget(self, keeps: Callable[[int], bool]) -> None:
        """The broker forgets readings without anybody noticing, but those whose place in the queue it `keeps`."""
        self.queue = deque(message for place, message in enumerate(self.queue) if keeps(place))

    def reconnect(self) -> None:
        """All connections are reset, and the broker forgets nothing."""
        for gateway in self._gateways.values():
            gateway.connected(session_present=True)
            gateway.pump()

    def _say(self, count: int) -> None:
        slice_ = Slice(self._town.now_ms)
        touched: dict[str, Gateway] = {}
        for _ in range(count):
            device = next(self._speakers)
            device.send(MOTION, {"motion": True})
            touched[device.site.id] = gateway = self._gateways[device.site.id]
            gateway.say(self._town.outbox.pop(), slice_)
        slice_.pending = count
        self.window.take(count)
        for gateway in touched.values():
            gateway.pump()

    def _collect(self) -> None:
        self._credit += self._rate * TICK_S
        while self._credit >= 1 and self.queue:
            self._credit -= 1
            topic, payload = self.queue.popleft()
            said = Topic.parse(topic.decode())
            if self._rejects(f"{said.site}/{said.device}", MOTION.decoder.decode(payload).seq):
                payload = payload.replace(b"true", b'"x"')  # what this collector does not take
            self._ingest.receive(Publishes(1, False, False, [topic], [payload], [1]))
        self._credit = min(self._credit, 1.0)
        self._ingest.take()
        for site in self.accounting.settle_touched():
            site.owed = False
            for _, watermark in site.watermarks():
                self._gateways[site.name].received([Publish(site.topic, watermark, 1, False, False, 1)])

    async def live(self, says_s: float, event_s: float, event: Callable[["Line"], None]) -> float:
        """Let the town say what it may for so long, with the event in between; how long it then takes to rest."""
        loop = asyncio.get_running_loop()
        events, next_sweep_s, next_second_s = [event], SWEEP_S, 1.0
        while (now_s := loop.time()) < LIMIT_S:
            if events and now_s >= event_s:
                events.pop()(self)
            if now_s < says_s:
                self._say(max(0, WINDOW - self.window.outstanding))
            elif not self.window.outstanding:
                return now_s - says_s
            self._collect()
            if now_s >= next_sweep_s:
                next_sweep_s += SWEEP_S
                self.given_up += self._ingest.give_up_stale(now_s, GIVE_UP_S)[0]
            if now_s >= next_second_s:
                next_second_s += 1.0
                for gateway in self._gateways.values():
                    gateway.check_silence(now_s)
            await asyncio.sleep(TICK_S)
        raise AssertionError(f"after {LIMIT_S:g} s {self.window.outstanding} readings are not durable")


def live(
    *,
    sites: int = 40,
    devices: int = 3,
    rate: float = 40.0,
    drops: Callable[[int], bool] = lambda _queued: False,
    rejects: Callable[[str, int], bool] = lambda _device, _seq: False,
    event: Callable[[Line], None] = lambda _line: None,
) -> tuple[Line, float]:
    """The line after all has come to rest, and how many windows' time that took."""
    loop = VirtualTime()
    try:
        with patch("simulator.gateway.time.monotonic", loop.time):

            async def scene() -> tuple[Line, float]:
                line = Line(sites, devices, rate, drops, rejects)
                window_s = WINDOW / rate
                return line, await line.live(50 + 1.5 * window_s, 10 + 0.3 * window_s, event) / window_s

            return loop.run_until_complete(scene())
    finally:
        loop.close()


def test_on_a_slow_line_where_nothing_is_lost_hardly_anything_is_said_again() -> None:
    line, windows = live()
    assert line.resent < line.published / 50
    assert windows < 1.1


def test_a_reset_makes_each_gateway_say_its_readings_again_once_and_not_again_while_they_wait() -> None:
    """Were all said again whenever it takes long, the queue would grow by the whole window, time after time."""
    line, windows = live(event=Line.reconnect)
    assert WINDOW * 0.9 < line.resent < WINDOW * 1.5
    assert windows < 2.2, "what was said, and what was said again"


def dropping(share: float) -> Callable[[int], bool]:
    dice = random.Random(7)
    return lambda _queued: dice.random() < share


@pytest.mark.parametrize("rate", [40.0, 1_000.0])
@pytest.mark.parametrize(("sites", "devices"), [(40, 3), (1, 1), (1, 10), (400, 1)])
@pytest.mark.parametrize(
    "how",
    [
        {"event": lambda line: line.forget(lambda _place: False)},
        {"event": lambda line: line.forget(lambda place: place >= WINDOW // 2)},
        {"event": lambda line: line.forget(lambda place: place % 5 == 0)},
        {"share": 0.05},
        {"drops": lambda queued: queued >= WINDOW // 20},
    ],
    ids=["forgets all", "forgets the older half", "keeps every fifth", "drops one in twenty", "drops what is too much"],
)
def test_whatever_a_broker_drops_is_said_again_until_it_has_come(
    how: dict[str, Any], sites: int, devices: int, rate: float
) -> None:
    if "share" in how:
        how = {"drops": dropping(how["share"])}  # the same dice whatever ran before
    line, _ = live(sites=sites, devices=devices, rate=rate, **how)
    known = line.accounting.devices.values()
    assert sum(device.missing for device in known) == 0
    assert sum(device.received for device in known) == line.published == line.window.durable
    assert line.given_up == 0, "what a gateway keeps is not given up, however long it takes"


@pytest.mark.parametrize(
    ("rejects", "rejected"),
    [
        (lambda device, seq: device == "h0001/pir-0" and 5 <= seq <= 14, 10),
        (lambda device, seq: device.startswith("h0001/") and 5 <= seq <= 6, 6),
        (lambda device, seq: device == "h0001/pir-0" and seq % 3 == 0 and seq < 20, 6),
    ],
    ids=["ten in a row", "of all devices", "every third"],
)
def test_what_the_collector_rejects_holds_up_its_site_for_a_while_and_not_for_ever(
    rejects: Callable[[str, int], bool], rejected: int
) -> None:
    line, _ = live(rate=1_000.0, rejects=rejects)
    assert sum(device.missing for device in line.accounting.devices.values()) == line.given_up == rejected
