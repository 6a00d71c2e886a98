"""An area moves from one collector to another while its town goes on, and nothing is lost or doubled."""

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.accounting import Accounting, Notes
from collector.partition import ALL, Partition
from collector.report import Choice
from collector.service import GAP_SWEEP_S, Collector, Settings
from haina.contract import BadTopic, Command, Status, Watermark, decode, encode
from haina.mqtt import BrokerAddress, Publish
from haina.mqtt.codec import PubAcks, SubAck, Subscribe, UnsubAck, Unsubscribe, encode_publishes
from tests.brokers import ROOT, RunningBroker, embedded_broker, mosquitto_broker
from tests.chaos.network import Network
from tests.collector.readings import live_payload, topic
from tests.collector.running import TIMEOUT_S, Gateway, RunningCollector, assert_accounts_close, haina_collect, send
from tests.haina_store import haina_store, run_store_command
from tests.mqtt.peer import Peer, playing

KEY = ("a02", "home-1", "band")


@pytest.mark.parametrize(
    ("wanted", "served", "arriving", "leaving"),
    [
        ([], None, [], []),
        (["a01"], None, ["a01"], []),
        (["a01"], ["a01"], [], []),
        (["a01"], ["a01", "a02"], [], ["a02"]),
        (["a01", "a02"], ["a01"], ["a02"], []),
        (["a02"], ["a01"], ["a02"], ["a01"]),
        ([], ["a01"], [ALL], []),
        (["a01"], [ALL], [], [ALL]),
    ],
)
def test_what_changed_since_the_last_time_is_taken_over_or_handed_over(
    wanted: list[str], served: list[str] | None, arriving: list[str], leaving: list[str]
) -> None:
    partition = Partition(wanted, served, is_new=served is None)
    assert (sorted(partition.arriving), sorted(partition.leaving)) == (arriving, leaving)
    for area in wanted:
        assert partition.speaks_for(area)
        assert not partition.leaves(area)
    assert partition.speaks_for("a09") == (not wanted or leaving == [ALL])
    if not leaving:
        assert not partition.leaves("a09")
    assert Partition(wanted, None, is_new=False).served == (wanted or [ALL]), "an older journal served what it does now"


def test_an_area_must_be_one() -> None:
    with pytest.raises(BadTopic, match="must be lower-case"):
        Partition(["a01", ""], None, is_new=True)


def test_what_another_collector_has_is_a_duplicate_and_neither_received_nor_missing() -> None:
    accounting, notes = Accounting(), Notes()
    device = accounting.device(KEY)
    assert device.take(7, 1, 1_000)
    assert device.take(7, 90, 90_000), "what the session had kept may come before the watermark is read"
    assert device.take(7, 101, 101_000)
    accounting.take_over(KEY, 7, 100, notes)
    assert not device.take(7, 50, 50_000)
    assert not device.take(7, 90, 90_000)
    assert device.take(7, 102, 102_000)
    assert (device.received, device.missing, device.waited_for, device.elsewhere) == (4, 0, 0, 98)
    assert device.current.contiguous == 102
    accounting.take_over(KEY, 7, 80, notes)
    assert device.current.contiguous == 102, "an old watermark takes nothing back"


def test_the_first_reading_said_again_after_a_hand_over_is_no_device_that_begins_anew() -> None:
    device = Accounting().device(KEY)
    device.take_over(7, 100)
    assert not device.take(7, 100, 100_000)
    assert device.take(7, 101, 101_000)
    assert (device.received, device.elsewhere, device.first_ms, device.habit_ms) == (1, 100, 101_000, 0)


def test_what_was_taken_over_is_known_after_a_crash_before_any_snapshot() -> None:
    before, after, notes = Accounting(), Accounting(), Notes()
    before.take_over(KEY, 7, 100, notes)
    after.replay_notes(notes.state())
    assert after.devices[KEY].state() == before.devices[KEY].state()
    restored = Accounting()
    restored.restore(KEY, before.devices[KEY].state())
    assert not restored.devices[KEY].take(7, 100, 1)


def test_devices_can_be_chosen_by_state_area_and_site() -> None:
    device = Accounting().device(KEY)
    chosen = [Choice(), Choice("silent"), Choice(area="a02", site="home-1"), Choice(area="a01"), Choice("online")]
    assert [choice.takes(device, "silent") for choice in chosen] == [True, True, True, False, False]  # type: ignore[arg-type]


class Town:
    """A running `haina simulate`, of two areas, that lives an hour each second."""

    def __init__(self, broker: RunningBroker, folder: Path) -> None:
        folder.mkdir()
        scenario = folder / "town.yaml"
        scenario.write_text("title: Two areas\nareas:\n  a01: {centres: 1, homes: 6}\n  a02: {centres: 1, homes: 6}\n")
        start = datetime.fromtimestamp(int(time.time()) - 20 * 86_400, UTC).isoformat()
        self.sent = folder / "run" / "run.sent"
        self._broker = broker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "haina", "simulate", "--scenario", str(scenario), "--json", "--broker", broker.url,
             "--start", start, "--live-from", start, "--speed", "3600", "--data", str(folder / "run")],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def pause(self) -> None:
        wish = Command(id=uuid.uuid4().hex, expires=9_000_000_000_000, args={"paused": True})
        send(self._broker, [(b"haina/v1/command/town/simulator/clock/set", encode(wish))], "pauses")

    def stop(self) -> dict[str, Any]:
        self._process.send_signal(signal.SIGINT)
        printed, logged = self._process.communicate(timeout=TIMEOUT_S)
        assert self._process.returncode == 0, logged
        found: dict[str, Any] = json.loads(printed)
        return found

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def running_town(broker: RunningBroker, folder: Path) -> Iterator[Town]:
    town = Town(broker, folder)
    try:
        yield town
    finally:
        town.kill()


def until_at_rest(town: Town, *collectors: RunningCollector) -> list[dict[str, Any]]:
    """Pause the town, and wait until nothing more comes and everything is stored."""
    town.pause()
    before, since_s, deadline_s = None, 0.0, time.monotonic() + TIMEOUT_S
    while True:
        found = [collector.status() for collector in collectors]
        now = [(each["counters"], each["stores"][0]["pending"]) for each in found]
        if now != before or any(pending for _, pending in now):
            before, since_s = now, time.monotonic()
        elif time.monotonic() - since_s > 5.0:  # longer than a gateway waits before it says something again
            return found
        assert time.monotonic() < deadline_s, f"still not at rest: {now}"
        time.sleep(0.1)


def assert_moved_whole(town: Town, keeps: RunningCollector, takes: RunningCollector) -> dict[str, Any]:
    """End the town: what it said one collector has, and none of it both. The town's own summary."""
    found = until_at_rest(town, keeps, takes)
    summary = town.stop()
    assert summary["outstanding"] == 0
    for each in found:
        assert_accounts_close(each)
        assert each["counters"]["missing"] == each["counters"]["rejected"] == 0
    assert sum(each["counters"]["journaled"] for each in found) == summary["published"]
    assert found[1]["counters"]["elsewhere"] > 0
    return summary


def test_moving_an_area_while_the_town_lives_and_collectors_are_killed_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    with mosquitto_broker() as broker, haina_store(tmp_path / "store") as store:
        first, second = tmp_path / "first", tmp_path / "second"
        options = ("--store", store.url, "--client-id")
        with haina_collect(broker, first, *options, "first", "--areas", "a01,a02,town") as collector:
            collector.until_connected()
            with running_town(broker, tmp_path / "town") as town:
                collector.until(lambda found: found["counters"]["journaled"] > 4_000)
                collector.kill()
                with haina_collect(broker, first, *options, "first", "--areas", "a01,town") as keeps:
                    keeps.until(
                        lambda found: found["broker"]["connected"] and found["areas"]["handing_over"] == ["a02"]
                    )
                    keeps.kill()
                    keeps.start()
                    keeps.until(lambda found: not found["areas"]["handing_over"])
                    with haina_collect(broker, second, *options, "second", "--areas", "a02") as takes:
                        takes.until(lambda found: found["areas"]["taking_over"] == [])
                        takes.kill()
                        takes.start()
                        takes.until(lambda found: found["counters"]["journaled"] > 1_000)
                        summary = assert_moved_whole(town, keeps, takes)
                        areas = [
                            {row["area"] for row in each.status("/status?devices=1")["device_table"]}
                            for each in (keeps, takes)
                        ]
                        assert areas[1] == {"a02"}
                        assert "a02" not in areas[0], "what was handed over is not told any more"
            audit = run_store_command("audit", "--sent", str(town.sent), "--store", store.url, "--json")
            printed, complained = audit.communicate(timeout=TIMEOUT_S)
            report = json.loads(printed)
            assert report["clean"], (report, complained)
            assert report["sent"] == summary["published"]


async def live(collector: Collector, is_over: Callable[[], bool]) -> None:
    """Let a collector run until something is true of it."""
    running = asyncio.create_task(collector.run())
    async with asyncio.timeout(TIMEOUT_S):
        while not is_over():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    collector.stop()
    await running


def build_settings(folder: Path, port: int, *areas: str) -> Settings:
    return Settings(BrokerAddress("127.0.0.1", port), ("null:",), folder / "journal", http=None, areas=areas)


@pytest.mark.parametrize("forgets", [True, False])
def test_an_area_is_handed_over_although_the_embedded_broker_does_not_unsubscribe(
    tmp_path: Path, forgets: bool
) -> None:
    """It neither answers nor obeys an UNSUBSCRIBE in a resumed session, and not from what it has forgotten."""

    async def hand_over() -> None:
        collector = Collector(build_settings(tmp_path, broker.port, "a01", "a02"))
        await live(collector, lambda: collector.broker_reason is None)
        if forgets:
            broker.restart()
        gateway = Gateway()
        await gateway.open(broker, "gateway")

        async def speak_on() -> None:
            for seq in itertools.count(1):
                await gateway.send([(topic(area=area), live_payload(seq)) for area in ("a01", "a02")])
                await asyncio.sleep(0.1)

        speaking = asyncio.create_task(speak_on())
        collector = Collector(build_settings(tmp_path, broker.port, "a01"))
        await live(collector, lambda: not collector.partition.leaving)
        assert collector.accounting.devices[("a01", "home-1", "wearable-1")].received > 0
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        await gateway.close()

    with embedded_broker() as broker:
        asyncio.run(hand_over())


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not is_true():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)


async def collect_both(tmp_path: Path, port: int, gateway: Gateway, numbers: list[int]) -> None:
    """A collector of both areas hears these readings of a02, and stops."""
    collector = Collector(build_settings(tmp_path, port, "a01", "a02"))
    running = asyncio.create_task(collector.run())
    await until(lambda: collector.broker_reason is None)
    await gateway.send([(topic(area="a02"), live_payload(seq)) for seq in numbers])
    await until(lambda: sum(device.received for device in collector.accounting.devices.values()) == len(numbers))
    collector.stop()
    await running


@pytest.mark.parametrize(
    ("start_broker", "before", "while_away"),
    [
        (mosquitto_broker, [1, 2, 5], []),  # it knows of the hole when it starts
        (mosquitto_broker, [1, 2], [3, 5]),  # its session brings it
        (embedded_broker, [1, 2], [3, 5]),
    ],
)
def test_an_area_is_not_handed_over_while_readings_are_missing_in_between(
    tmp_path: Path,
    start_broker: Callable[[], AbstractContextManager[RunningBroker]],
    before: list[int],
    while_away: list[int],
) -> None:
    """No watermark can say what came beyond a hole: another collector would take it as well."""

    async def hand_over() -> None:
        gateway = Gateway()
        await gateway.open(broker, "gateway", "haina/v1/watermark/a02/+/+/+")
        await collect_both(tmp_path, broker.port, gateway, before)
        await gateway.send([(topic(area="a02"), live_payload(seq)) for seq in while_away])
        collector = Collector(replace(build_settings(tmp_path, broker.port, "a01"), give_up_s=10.0))
        running = asyncio.create_task(collector.run())
        [device] = [device for device in collector.accounting.devices.values() if device.site.area == "a02"]
        await until(lambda: device.waited_for)
        await asyncio.sleep(4.0)  # longer than an area must be quiet before it is handed over
        assert collector.partition.leaving == {"a02"}
        await gateway.send([(topic(area="a02"), live_payload(seq)) for seq in {1, 2, 3, 4, 5} - {*before, *while_away}])
        await until(lambda: not collector.partition.leaving)
        collector.stop()
        await running
        assert (device.received, device.missing) == (5, 0)
        assert decode(Watermark, gateway.heard[-1].payload).durable == {"wearable-1": 5}
        await gateway.close()

    with start_broker() as broker:
        asyncio.run(hand_over())


def test_an_area_is_heard_again_when_its_session_brings_a_hole_after_it_was_left(tmp_path: Path) -> None:
    def said(*numbers: int) -> bytes:
        return encode_publishes([(topic(area="a02"), live_payload(seq)) for seq in numbers], numbers)

    async def script(peer: Peer) -> None:
        await peer.accept(session_present=True)
        while (packet := await peer.receive()) is not None:
            match packet:
                case Subscribe(packet_id, filters):
                    is_heard_again = any("/a02/" in name for name, _ in filters)
                    peer.send(SubAck(packet_id, (1,) * len(filters)), said(4) if is_heard_again else b"")
                case Unsubscribe(packet_id):
                    peer.send(UnsubAck(packet_id), said(3, 5))
                case Publish():
                    peer.send(PubAcks((packet.packet_id,)))

    async def hand_over() -> None:
        with mosquitto_broker() as broker:
            gateway = Gateway()
            await gateway.open(broker, "gateway")
            await collect_both(tmp_path, broker.port, gateway, [1, 2])
            await gateway.close()
        async with playing(script) as address:
            collector = Collector(build_settings(tmp_path, address.port, "a01"))
            await live(collector, lambda: not collector.partition.leaving)
        [device] = collector.accounting.devices.values()
        assert (device.received, device.missing) == (5, 0)

    asyncio.run(hand_over())


def test_what_is_never_said_again_neither_holds_an_area_up_for_ever_nor_is_given_up(tmp_path: Path) -> None:
    """Its gateway may have said it while nobody heard the area, and must not be told that it may forget it."""

    async def hand_over() -> None:
        gateway = Gateway()
        await gateway.open(broker, "gateway", "haina/v1/watermark/a02/+/+/+")
        await collect_both(tmp_path, broker.port, gateway, [1, 2, 5])
        collector = Collector(replace(build_settings(tmp_path, broker.port, "a01"), give_up_s=4.0))
        running = asyncio.create_task(collector.run())
        [device] = collector.accounting.devices.values()
        await until(lambda: not collector.partition.leaving)
        await asyncio.sleep(2 * GAP_SWEEP_S + 4.0)  # long enough for a hole to be given up elsewhere
        collector.stop()
        await running
        assert (device.received, device.missing, device.waited_for) == (3, 0, 2)
        assert decode(Watermark, gateway.heard[-1].payload).durable == {"wearable-1": 2}
        await gateway.close()

    with mosquitto_broker() as broker:
        asyncio.run(hand_over())


@pytest.mark.parametrize("refuses", [True, False])
def test_an_area_is_handed_over_when_its_last_watermark_is_acknowledged(tmp_path: Path, refuses: bool) -> None:
    """Also by a broker that does not let the area be heard any more."""
    acknowledges = asyncio.Event()
    told: set[asyncio.Task[None]] = set()

    async def acknowledge(peer: Peer, packet_id: int) -> None:
        await acknowledges.wait()
        peer.send(PubAcks((packet_id,)))

    async def script(peer: Peer) -> None:
        await peer.accept(session_present=True)
        while (packet := await peer.receive()) is not None:
            match packet:
                case Subscribe(packet_id, filters):
                    peer.send(SubAck(packet_id, tuple(0x80 if refuses and "a02" in name else 1 for name, _ in filters)))
                case Unsubscribe(packet_id):
                    peer.send(UnsubAck(packet_id))
                case Publish():
                    told.add(asyncio.create_task(acknowledge(peer, packet.packet_id)))

    async def hand_over() -> None:
        with mosquitto_broker() as broker:
            gateway = Gateway()
            await gateway.open(broker, "gateway")
            await collect_both(tmp_path, broker.port, gateway, [1, 2, 5] if refuses else [1, 2])
            await gateway.close()
        async with playing(script) as address:
            settings = replace(build_settings(tmp_path, address.port, "a01"), give_up_s=1.0)
            collector = Collector(settings)
            running = asyncio.create_task(collector.run())
            await until(lambda: collector.broker_reason is None)
            await asyncio.sleep(8.0)
            assert collector.partition.leaving == {"a02"}
            assert collector.broker_reason is None
            acknowledges.set()
            await until(lambda: not collector.partition.leaving)
            collector.stop()
            await running

    asyncio.run(hand_over())


def test_more_gateways_than_the_embedded_broker_retains_at_once_say_what_they_have_let_go_of(tmp_path: Path) -> None:
    where = "haina/v1/status/a01/s{}/gateway/connection"
    said = [(where.format(number).encode(), encode(Status(True, 1, durable={"band": 7}))) for number in range(150)]

    async def take_over() -> None:
        gateway = Gateway()
        await gateway.open(broker, "gateway")
        assert gateway.connection is not None
        gateway.connection.publish(said, retain=True)
        await gateway.until(lambda: gateway.connection is not None and gateway.connection.room == 1_000)
        collector = Collector(build_settings(tmp_path, broker.port, "a01"))
        await live(collector, lambda: not collector.partition.arriving)
        assert sum(device.elsewhere for device in collector.accounting.devices.values()) == 150 * 7
        await gateway.close()

    with embedded_broker() as broker:
        asyncio.run(take_over())


def test_an_area_is_handed_over_although_others_are_never_quiet(tmp_path: Path) -> None:
    async def hand_over() -> None:
        slow = Network(broker.port, random.Random(1))
        await slow.open()
        slow.mode = "delay"  # so that watermarks are always on their way
        gateway = Gateway()
        await gateway.open(broker, "gateway")
        collector = Collector(build_settings(tmp_path, broker.port, "a01", "a02"))
        await live(collector, lambda: collector.broker_reason is None)
        collector = Collector(build_settings(tmp_path, slow.port, "a01"))
        assert collector.partition.leaving == {"a02"}

        async def speak_on() -> None:
            for seq in itertools.count(1):
                await gateway.send([(topic(area="a01", site=f"s{number}"), live_payload(seq)) for number in range(40)])
                await asyncio.sleep(0.05)

        speaking = asyncio.create_task(speak_on())
        await live(collector, lambda: not collector.partition.leaving)
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        await gateway.close()
        await slow.close()

    with mosquitto_broker() as broker:
        asyncio.run(hand_over())


def test_an_area_is_taken_over_although_its_broker_forgot_everything_in_between(tmp_path: Path) -> None:
    """Killed before it saved anything, the broker has no watermark to begin at: gateways say what they let go of."""
    with mosquitto_broker() as broker, haina_store(tmp_path / "store") as store:
        options = ("--store", store.url, "--client-id")
        with (
            haina_collect(broker, tmp_path / "first", *options, "first", "--areas", "a01,a02,town") as keeps,
            running_town(broker, tmp_path / "town") as town,
        ):
            keeps.until(lambda found: found["counters"]["journaled"] > 4_000)
            keeps.kill()
            keeps.options = (*options, "first", "--areas", "a01,town")
            keeps.start()
            keeps.until(lambda found: found["broker"]["connected"] and not found["areas"]["handing_over"])
            broker.kill()
            broker.start()
            keeps.until_connected()
            with haina_collect(broker, tmp_path / "second", *options, "second", "--areas", "a02") as takes:
                takes.until(lambda found: found["counters"]["journaled"] > 1_000)
                assert_moved_whole(town, keeps, takes)
                assert all(row["waiting"] == 0 for row in takes.status("/status?devices=1")["device_table"])
        audit = run_store_command("audit", "--sent", str(town.sent), "--store", store.url, "--json")
        printed, complained = audit.communicate(timeout=TIMEOUT_S)
        assert json.loads(printed)["clean"], (printed, complained)
