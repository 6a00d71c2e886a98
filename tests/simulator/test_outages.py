"""A site without uplink says everything late and loses nothing; one without power has nothing to say."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from haina.contract import Clock, Status, Topic, TopicClass, Watermark, decode, encode, measurement
from haina.ledger import read_ledger
from haina.mqtt.codec import Publish
from haina.mqtt.connection import Connection, ConnectOptions
from simulator import town as towns
from simulator.clock import RunClock
from simulator.run import LiveRun, RunState
from simulator.scenario import parse
from simulator.town import Site, Town
from simulator.truth import NoTruth
from tests.brokers import mosquitto_broker
from tests.simulator.towns import at_s, command

MOTION = measurement("home_motion")
START = 1_790_006_400_000


def build_home() -> tuple[Town, Site]:
    """A home whose two sensors speak every minute."""
    town = Town(seed=1, start_ms=START, run="r", boot=1, truth=NoTruth())
    site = town.site("a01", "h0001", "home", (121.4, 31.25))
    sensors = [site.device(f"pir-{room}", "infrared", room=room) for room in ("kitchen", "bedroom")]

    def speak() -> Generator[Any, Any, None]:
        while True:
            yield town.env.timeout(60)
            for sensor in sensors:
                sensor.send(MOTION, {"on": True})

    town.env.process(speak())
    return town, site


def test_an_offline_gateway_says_everything_late_in_order_with_its_event_times() -> None:
    town, site = build_home()
    town.env.run(until=130)
    site.switch_uplink(False)
    town.env.run(until=610)
    assert len(town.outbox) == 4
    assert list(town.offline) == ["h0001"]
    site.switch_uplink(True)
    assert not town.offline
    assert len(town.outbox) == 20
    town.env.run(until=670)
    assert [(at_s(e), e.device.id, e.seq) for e in town.outbox] == [
        (60.0 * minute, room, minute) for minute in range(1, 12) for room in ("pir-kitchen", "pir-bedroom")
    ]


def test_without_power_nothing_is_measured_and_no_number_is_used_up() -> None:
    town, site = build_home()
    town.env.run(until=130)
    site.switch_power(False)
    town.env.run(until=610)
    site.switch_power(True)
    town.env.run(until=670)
    assert [(at_s(e), e.seq) for e in town.outbox if e.device.id == "pir-kitchen"] == [(60, 1), (120, 2), (660, 3)]


def test_what_a_gateway_holds_outlasts_a_power_cut() -> None:
    town, site = build_home()
    site.switch_uplink(False)
    town.env.run(until=130)
    site.switch_power(False)
    town.env.run(until=250)
    site.switch_uplink(True)
    assert not town.outbox
    site.switch_power(True)
    assert [at_s(e) for e in town.outbox] == [60, 60, 120, 120]


def test_a_full_gateway_takes_no_more_counts_that_and_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towns, "HELD_READINGS", 6)
    town, site = build_home()
    site.switch_uplink(False)
    town.env.run(until=610)
    assert site.untaken == 14
    site.switch_uplink(True)
    town.env.run(until=670)
    assert [e.seq for e in town.outbox if e.device.id == "pir-kitchen"] == [1, 2, 3, 4]


def test_an_offline_site_cannot_be_commanded_and_the_reply_says_why() -> None:
    town, site = build_home()
    site.gateway.commands["greet"] = lambda _: None
    assert command(town, "h0001", "gateway", "greet").done
    site.switch_uplink(False)
    assert command(town, "h0001", "gateway", "greet").reason == "h0001 has no uplink and cannot be reached"
    site.switch_power(False)
    assert command(town, "h0001", "gateway", "greet").reason == "h0001 has no power and cannot be reached"


class Told(NamedTuple):
    """A clock message, and how many readings were durable when it came."""

    clock: Clock
    durable: int


class Durable:
    """A collector that makes everything durable at once, and remembers what came before what."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.readings: list[tuple[str, str, int, int]] = []  # site, device, event time, seq
        self.told: list[Told] = []
        self.statuses: defaultdict[str, list[bool]] = defaultdict(list)

    def connected(self, session_present: bool) -> None: ...

    def acknowledged(self, packet_ids: list[int]) -> None: ...

    def disconnected(self, reason: str) -> None: ...

    def received(self, batch: Iterable[Publish]) -> None:
        touched: dict[str, dict[str, int]] = {}
        for publish in batch:
            if publish.topic == b"haina/v1/clock":
                self.told.append(Told(decode(Clock, publish.payload), len(self.readings)))
                continue
            topic = Topic.parse(publish.topic.decode())
            if topic.topic_class is TopicClass.STATUS:
                self.statuses[topic.site].append(decode(Status, publish.payload).online)
                continue
            reading = measurement(topic.name).decoder.decode(publish.payload)
            self.readings.append((topic.site, topic.device, reading.time, reading.seq))
            touched.setdefault(f"{topic.area}/{topic.site}", {})[topic.device] = reading.seq
        assert self.connection is not None
        self.connection.acknowledge([publish.packet_id for publish in batch if publish.qos])
        for place, durable in touched.items():
            message = encode(Watermark(boot=BOOT, durable=durable))
            self.connection.publish([(f"haina/v1/watermark/{place}/gateway/durable".encode(), message)])


BOOT = RunState.new("outage", 1, START).boot


def test_a_live_run_catches_up_after_an_outage_and_its_clock_names_whom_it_does_not_speak_for(tmp_path: Path) -> None:
    scenario = parse("title: An outage\nareas: {a01: {centres: 1, homes: 2}}\n", "outage.yaml")

    def outage(site: Site) -> Generator[Any, Any, None]:
        yield site.env.timeout(1_900)
        site.switch_uplink(False)
        yield site.env.timeout(5_300)
        site.switch_uplink(True)

    async def scene() -> Durable:
        with mosquitto_broker() as broker:
            heard = Durable()
            heard.connection = await Connection.open(broker.address, ConnectOptions("durable"), heard)
            filters = [TopicClass.TELEMETRY.filter, TopicClass.STATUS.filter, "haina/v1/clock"]
            await heard.connection.subscribe(filters)
            state = RunState.new("outage", 1, START)
            clock = RunClock(
                start_ms=START,
                wall_ms=time.time_ns() // 1_000_000,
                live_from_ms=START,
                end_ms=START + 5 * 3_600_000,
                speed=3_600,  # slow enough that the clock is told many times in the outage
                future=True,
            )
            run = LiveRun(scenario, state, tmp_path, clock, window=2_000)
            run._town.env.process(outage(run._town.sites["c01"]))
            summary = await run.run(broker.address)
            async with asyncio.timeout(30):
                while len({reading[:2] + reading[3:] for reading in heard.readings}) < summary.published:  # noqa: ASYNC110 - another process's truth
                    await asyncio.sleep(0.05)
            await heard.connection.close()
            return heard

    heard = asyncio.run(scene())
    named = 0
    for told in heard.told:
        late = {site for site, _, time_ms, _ in heard.readings[told.durable :] if time_ms < told.clock.time}
        assert late <= set(told.clock.offline)
        named += "c01" in told.clock.offline
    assert named
    assert any(not told.clock.offline for told in heard.told if told.clock.time > START + 7_200_000)
    assert heard.statuses["c01"][:3] == [True, False, True]
    seqs: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for site, device, _, seq in heard.readings:
        seqs[site, device].add(seq)
    assert all(seen == set(range(1, len(seen) + 1)) for seen in seqs.values())
    sent: Counter[tuple[str, str]] = Counter()
    for minute in read_ledger(tmp_path / "run.sent"):
        sent[minute.site, minute.device] += minute.readings
    assert sent == Counter({device: len(seen) for device, seen in seqs.items()})
