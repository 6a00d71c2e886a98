"""`haina collect` as a process, on a real broker, with a real store, stopped well and badly."""

import asyncio
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
import structlog

from collector.ingest import Settled, Transaction
from collector.journal import Journal, Size
from collector.report import REFUSED_IN_A_ROW, Report
from collector.service import GATHER_MESSAGES, GATHER_PAUSE_S, Collector, Settings
from collector.stores import Store, StoreRefused, StoreUnavailable
from haina.broker import MAX_IN_FLIGHT
from haina.contract import CLOCK_TOPIC, Clock, Phase, Status, Watermark, decode, encode
from haina.mqtt import BrokerAddress, Connection, NoReply
from haina.query.reader import open_reader
from tests.brokers import RunningBroker, embedded_broker, mosquitto_broker
from tests.collector.readings import AN_HOUR_AGO_MS, build_ingest, hear, live_payload, message, payload, run_of, topic
from tests.collector.running import (
    Gateway,
    assert_accounts_close,
    haina_collect,
    run_collector_command,
    send,
)
from tests.haina_store import haina_store

WATERMARK = b"haina/v1/watermark/caoyang/home-1/gateway/durable"


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningBroker]:
    """Shared: each test has a client id of its own, and retained messages of earlier tests do no harm."""
    with mosquitto_broker() as running:
        yield running


def stored(url: str) -> Counter[tuple[str, int]]:
    """How many times each (device, seq) is in the store."""
    with open_reader(url) as reader:
        return Counter((point.device, point.seq) for point in reader.points("wearable", 0, 9_000_000_000_000))


def has_journaled(floor: int, found: dict[str, Any]) -> bool:
    return bool(found["counters"]["journaled"] >= floor)


def readings(first: int, last: int, *devices: str, boot: int = 1) -> list[tuple[bytes, bytes]]:
    return [(topic(device), live_payload(seq, boot=boot)) for seq in range(first, last + 1) for device in devices]


def test_nothing_acknowledged_is_lost_and_nothing_stored_twice_whenever_the_collector_is_killed(tmp_path: Path) -> None:
    devices = [f"device-{number}" for number in range(10)]
    per_device, kills = 2_000, 6
    with mosquitto_broker() as broker, haina_store(tmp_path / "store") as store:
        with haina_collect(broker, tmp_path / "data", "--store", store.url) as collector:
            collector.until_connected()
            sender = threading.Thread(target=send, args=(broker, readings(1, per_device, *devices)))
            sender.start()
            seen = 0
            for kill in range(kills):
                floor = len(devices) * per_device * kill // (kills + 2)
                collector.until(partial(has_journaled, floor))
                before = collector.status()["counters"]["journaled"]
                assert before >= seen, "what was durable before is durable after"
                seen = before
                collector.kill()
                collector.start()
            sender.join()
            total = len(devices) * per_device
            found = collector.until(
                lambda found: found["counters"]["journaled"] == total and not found["stores"][0]["pending"]
            )
            assert_accounts_close(found)
            assert found["counters"]["rejected"] == found["counters"]["missing"] == 0
        expected = {(device, seq): 1 for device in devices for seq in range(1, per_device + 1)}
        assert stored(store.url) == expected


def test_what_devices_have_said_is_remembered_when_a_restart_is_killed_before_its_first_snapshot(
    tmp_path: Path, broker: RunningBroker
) -> None:
    options = ("--store", "null:", "--client-id", "twice-killed")
    with haina_collect(broker, tmp_path, *options) as collector:
        collector.until_connected()
        send(broker, readings(1, 100, "band"))
        collector.until(partial(has_journaled, 100))
        collector.kill()
        collector.start()
        collector.until_connected()
        # Long enough for rows to leave the journal, if they were free to: see `TRIM_S`.
        for seq in range(101, 115):
            send(broker, readings(seq, seq, "band"))
            time.sleep(0.5)
        collector.until(partial(has_journaled, 114))
        collector.kill()
        collector.start()
        [device] = collector.status("/status?devices=1")["device_table"]
        assert (device["received"], device["contiguous"], device["waiting"]) == (114, 114, 0)
        send(broker, readings(1, 114, "band"))
        found = collector.until(lambda found: found["counters"]["duplicates"] >= 114)
        assert found["counters"]["journaled"] == 114


def test_a_collector_that_is_asked_to_stop_has_shipped_and_acknowledged_what_it_had(
    tmp_path: Path, broker: RunningBroker
) -> None:
    options = ("--client-id", "stops-well")
    with haina_store(tmp_path / "store") as store:
        with haina_collect(broker, tmp_path / "data", "--store", store.url, *options) as collector:
            collector.until_connected()
            send(broker, readings(1, 500, "stopping"))
            collector.until(lambda found: found["counters"]["received"] >= 500)
            code, printed, logged = collector.stop()
        assert (code, printed) == (0, "")
        assert "Traceback" not in logged
        assert stored(store.url) == {("stopping", seq): 1 for seq in range(1, 501)}
        with haina_collect(broker, tmp_path / "data", "--store", store.url, *options) as collector:
            collector.until_connected()
            send(broker, readings(501, 501, "stopping"))
            found = collector.until(lambda found: found["counters"]["journaled"] == 501)
            assert found["counters"]["duplicates"] == 0, "everything had been acknowledged"


def test_a_site_is_told_promptly_and_retained_up_to_which_reading_each_device_is_durable(
    tmp_path: Path, broker: RunningBroker
) -> None:
    async def check() -> None:
        gateway = Gateway()
        await gateway.open(broker, "hears", WATERMARK.decode())

        async def told(expected: Watermark) -> None:
            await gateway.until(lambda: gateway.heard and decode(Watermark, gateway.heard[-1].payload) == expected)

        await gateway.send(readings(1, 40, "a", "b", boot=5))
        await told(Watermark(5, {"a": 40, "b": 40}))
        await gateway.send(readings(42, 44, "a", boot=5))  # 41 is missing
        await gateway.send(readings(41, 41, "b", boot=5))
        await told(Watermark(5, {"a": 40, "b": 41}))
        await gateway.send(readings(41, 41, "a", boot=5))
        await told(Watermark(5, {"a": 44, "b": 41}))
        before = len(gateway.heard)
        await gateway.send(readings(44, 44, "a", boot=5))  # a gateway that says it again has not heard
        await gateway.until(lambda: len(gateway.heard) > before)
        await told(Watermark(5, {"a": 44, "b": 41}))
        await gateway.send(readings(1, 1, "a", boot=6))
        await told(Watermark(6, {"a": 1}))
        late = Gateway()
        await late.open(broker, "hears-late", WATERMARK.decode())
        await late.until(lambda: late.heard)
        assert late.heard[0].retain
        assert decode(Watermark, late.heard[0].payload) == Watermark(6, {"a": 1})
        await late.close()
        await gateway.close()

    with haina_collect(broker, tmp_path / "data", "--store", "null:", "--client-id", "tells") as collector:
        collector.until_connected()
        asyncio.run(check())


def test_watermarks_are_told_again_to_a_broker_that_has_forgotten_everything(tmp_path: Path) -> None:
    with mosquitto_broker() as forgetful, haina_collect(forgetful, tmp_path / "data", "--store", "null:") as collector:
        collector.until_connected()
        send(forgetful, readings(1, 9, "a"))
        collector.until(lambda found: found["counters"]["journaled"] == 9)
        forgetful.kill()
        for saved in forgetful.folder.glob("*.db"):
            saved.unlink()
        collector.until(lambda found: not found["broker"]["connected"])
        code, body = collector.get("/healthz")
        assert (code, body.startswith("broker down")) == (503, True)
        forgetful.restart()

        async def check() -> None:
            gateway = Gateway()
            await gateway.open(forgetful, "returns", WATERMARK.decode())
            await gateway.until(lambda: gateway.heard)
            asks = Watermark(1, {"a": 9}, again=True)  # for what was said while the broker knew of no collector
            assert decode(Watermark, gateway.heard[0].payload) == asks
            await gateway.close()

        collector.until_connected()
        asyncio.run(check())
        assert collector.get("/healthz") == (200, "ok")


def test_a_full_disk_stops_acknowledgements_and_nothing_else_and_ends_by_itself(
    tmp_path: Path, broker: RunningBroker
) -> None:
    with haina_collect(broker, tmp_path / "data", "--store", "null:", "--client-id", "full-disk") as collector:
        collector.until_connected()
        send(broker, readings(1, 100, "disk"))
        collector.until(lambda found: found["counters"]["journaled"] == 100)
        collector.limit_file_size(1)
        send(broker, readings(101, 5_000, "disk"))
        found = collector.until(lambda found: found["journal"]["disk"])
        assert found["broker"]["paused_for"] == ["disk"]
        assert collector.get("/healthz")[0] == 503
        time.sleep(1.5)  # longer than it waits before it tries again
        assert collector.status()["counters"]["journaled"] == 100
        assert_accounts_close(collector.status())
        collector.limit_file_size(None)
        found = collector.until(lambda found: found["counters"]["journaled"] == 5_000)
        assert_accounts_close(found)
        assert (found["journal"]["disk"], found["broker"]["paused_for"]) == (None, [])
        _, _, logged = collector.stop()
        assert logged.count("the journal cannot be written") == 1
        assert logged.count("the journal can be written again") == 1


def test_a_store_that_is_down_delays_no_acknowledgement_and_gets_everything_when_it_is_back(
    tmp_path: Path, broker: RunningBroker
) -> None:
    async def check() -> None:
        gateway = Gateway()
        await gateway.open(broker, "waits", "haina/v1/watermark/caoyang/home-1/gateway/durable")
        await gateway.send(readings(1, 3_000, "patient", boot=77))
        await gateway.until(
            lambda: gateway.heard and decode(Watermark, gateway.heard[-1].payload) == Watermark(77, {"patient": 3_000})
        )
        await gateway.close()

    with haina_store(tmp_path / "store") as store:
        options = ("--store", store.url, "--client-id", "store-down")
        with haina_collect(broker, tmp_path / "data", *options) as collector:
            collector.until_connected()
            store.kill()
            asyncio.run(check())
            found = collector.until(lambda found: found["stores"][0]["down"])
            assert_accounts_close(found)
            assert found["stores"][0]["pending"] == found["counters"]["journaled"] == 3_000
            assert collector.get("/healthz") == (200, "ok"), "the readings are safe"
            collector.kill()
            collector.start()
            store.restart()
            found = collector.until(lambda found: found["stores"][0]["stored"] == 3_000)
            assert_accounts_close(found)
            assert stored(store.url) == {("patient", seq): 1 for seq in range(1, 3_001)}
            _, _, logged = collector.stop()
            assert logged.count("the store is down") <= 1
            assert logged.count("the store is back") <= 1


def test_a_full_journal_stops_reading_and_goes_on_by_itself_and_loses_nothing(tmp_path: Path) -> None:
    per_device, devices = 6_000, ("a", "b", "c", "d", "e")
    with mosquitto_broker() as broker, haina_store(tmp_path / "store") as store:
        options = ("--store", store.url, "--journal-limit-mib", "1")
        with haina_collect(broker, tmp_path / "data", *options) as collector:
            collector.until_connected()
            store.kill()
            send(broker, readings(1, per_device, *devices))
            found = collector.until(lambda found: found["journal"]["full"])
            assert found["broker"]["paused_for"] == ["journal"]
            assert collector.get("/healthz") == (503, "journal full")
            time.sleep(0.5)
            found = collector.status()
            assert found["counters"]["journaled"] < per_device * len(devices)
            assert found["journal"]["bytes"] < 2 * found["journal"]["limit_bytes"]
            store.restart()
            total = per_device * len(devices)
            found = collector.until(lambda found: found["stores"][0]["stored"] == total)
            assert_accounts_close(found)
            assert found["counters"]["missing"] == 0
            collector.until(lambda found: not found["problems"])
            _, _, logged = collector.stop()
            assert logged.count("the journal is full") == logged.count("the journal has room again") >= 1
        assert stored(store.url) == {(device, seq): 1 for device in devices for seq in range(1, per_device + 1)}


def test_a_journal_that_is_full_at_the_start_is_read_no_further_and_goes_on_by_itself(
    tmp_path: Path, broker: RunningBroker
) -> None:
    store = Mock(Store, write=Mock(side_effect=StoreUnavailable("it is down")))
    store.name = "down"

    async def until(true: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not true():  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.005)

    async def run() -> None:
        options: dict[str, Any] = {"client_id": "full-from-the-start", "http": None, "journal_limit_bytes": 1_000}
        settings = Settings(BrokerAddress.parse(broker.url), ("null:",), tmp_path, **options)
        collector = Collector(settings, open_store=lambda url: store)
        report, gateway = Report(collector), Gateway()
        assert report.problems() == ["broker down: not connected yet", "journal full"]
        running = asyncio.create_task(collector.run())
        await until(lambda: collector.connection is not None)
        assert report.problems() == ["journal full"]
        assert collector.broker_reason == "connected; it subscribes when reading goes on"
        await gateway.open(broker, "beside-a-full-journal")
        await gateway.send(readings(1, 20, "unheard"))
        assert collector.received_readings == 200
        store.write.side_effect = None
        await until(lambda: collector.broker_reason is None)
        await gateway.send(readings(201, 201, "heard"))
        await until(lambda: collector.durable_counters["journaled"] == 201)
        assert report.problems() == []
        await gateway.close()
        collector.stop()
        await running

    journal, ingest = Journal(tmp_path), build_ingest()
    hear(ingest, [message(topic("before"), payload(seq)) for seq in range(1, 201)])
    journal.commit(ingest.take())
    journal.close()
    with structlog.testing.capture_logs() as logs:
        asyncio.run(run())
    told = [log["event"] for log in logs if "journal" in log["event"]]
    assert told == ["the journal is full; reading stops until a store takes more", "the journal has room again"]


def test_a_broker_whose_answer_was_not_read_is_asked_again_when_reading_goes_on(tmp_path: Path) -> None:
    """The answer comes behind what the broker had kept, which may fill the journal."""

    async def run() -> None:
        collector = Collector(Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None))
        connection = Mock(Connection, is_open=True, room=0, epoch=1)

        async def full(filters: list[str]) -> None:
            connection.subscribe.side_effect = None
            collector._pause("journal")
            asyncio.get_running_loop().call_soon(collector._resume, "journal")
            raise NoReply("nobody answers")

        connection.subscribe.side_effect = full
        await collector._opened(connection)
        asked = [call.args[0] for call in connection.subscribe.call_args_list]
        assert asked == [collector.partition.filters] * 2 + [collector.partition.state_filters]
        assert collector.broker_reason is None
        connection.subscribe.side_effect = NoReply("nobody answers")
        with pytest.raises(NoReply):
            await collector._opened(connection)
        collector.journal.close()

    asyncio.run(run())


def test_two_stores_have_accounts_of_their_own_and_one_added_later_begins_there(
    tmp_path: Path, broker: RunningBroker
) -> None:
    with haina_store(tmp_path / "store") as store:
        options = ("--store", "null:", "--client-id", "two-stores")
        with haina_collect(broker, tmp_path / "data", *options) as collector:
            collector.until_connected()
            send(broker, readings(1, 10, "early"))
            collector.until(lambda found: found["stores"][0]["stored"] == 10)
            collector.stop()
        with haina_collect(broker, tmp_path / "data", *options, "--store", store.url) as collector:
            collector.until_connected()
            send(broker, readings(11, 15, "early"))
            found = collector.until(lambda found: not any(each["pending"] for each in found["stores"]))
            found = collector.until(lambda found: found["counters"]["journaled"] == 15)
            found = collector.until(lambda found: found["stores"][1]["stored"])
            assert_accounts_close(found)
            assert [each["name"] for each in found["stores"]] == ["null", "duckdb"]
            assert found["stores"][1]["since"] in {0, 10}, "what the journal still had, or from now on"


def test_hostile_messages_lose_nothing_else_and_the_accounts_close(tmp_path: Path, broker: RunningBroker) -> None:
    hostile = [
        (topic("h"), b"\xff"),
        (topic("h"), live_payload(1).replace(b"80.5", b"NaN")),
        (topic("h"), live_payload(1).replace(b"80.5", b"1e999")),
        (topic("h"), b"[" * 15_000),
        (topic("h"), b"x" * 200_000),
        (topic("h", name="moon_phase"), live_payload(1)),
        (b"haina/v1/telemetry/a/b/c/\xe6\xb0\xb4", live_payload(1)),
    ]
    mixed = [pair for seq in range(1, 51) for pair in (*hostile, (topic("good"), live_payload(seq)))]
    with haina_collect(broker, tmp_path / "data", "--store", "null:", "--client-id", "hostile") as collector:
        collector.until_connected()
        send(broker, mixed)
        found = collector.until(lambda found: found["counters"]["received"] >= len(mixed))
        found = collector.until(lambda found: not found["counters"]["in_memory"])
        assert_accounts_close(found)
        assert found["counters"]["journaled"] == 50
        assert found["counters"]["rejected"] == 50 * len(hostile) == found["journal"]["dead_letters"]
        assert found["rejected"] == {"oversize": 50, "payload": 200, "topic": 100}
        [row] = collector.status("/status?devices=1")["device_table"]
        assert (row["device"], row["received"], row["missing"], row["contiguous"]) == ("good", 50, 0, 50)


def test_a_status_of_a_million_names_is_a_dead_letter_and_stops_nobody(tmp_path: Path, broker: RunningBroker) -> None:
    """A broker without `max_packet_size` hands it on; looked at, it would keep the collector from all else."""
    names = ",".join(f'"d{number}":1' for number in range(1_000_000))
    status = f'{{"online":true,"boot":1,"durable":{{{names}}}}}'.encode()
    huge = (b"haina/v1/status/caoyang/home-9/gateway/connection", status)
    with haina_collect(broker, tmp_path / "data", "--store", "null:", "--client-id", "huge-status") as collector:
        collector.until_connected()
        send(broker, [*readings(1, 50, "good"), huge, *readings(51, 100, "good")])
        found = collector.until(partial(has_journaled, 100))
        assert found["rejected"] == {"oversize": 1}
        assert found["devices"]["known"] == 1
        assert_accounts_close(found)
        [row] = collector.status("/status?devices=1")["device_table"]
        assert (row["received"], row["duplicates"]) == (100, 0), "nothing was said twice"


def test_a_commit_waits_for_no_clock_where_the_broker_keeps_few_in_flight(tmp_path: Path) -> None:
    """A delay of 50 ms before each commit would make 400 messages/s of 20 in flight: here no timer of 20 ms rings."""

    async def run(broker: RunningBroker) -> None:
        loop = asyncio.get_running_loop()
        collector = Collector(Settings(broker.address, ("null:",), tmp_path, http=None))
        running = asyncio.create_task(collector.run())
        gateway = Gateway()
        await gateway.open(broker, "gateway")
        give_up_s = time.monotonic() + 60
        while collector.broker_reason is not None and time.monotonic() < give_up_s:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)
        call_at = loop.call_at

        def never_if_long(when: float, *call: Any, **more: Any) -> asyncio.TimerHandle:
            return call_at(when + (1e6 if when - loop.time() >= 0.02 else 0), *call, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_at", never_if_long)
            await gateway.send(readings(1, 500, "a", "b"))
            while collector.durable_counters.get("journaled", 0) < 1_000 and time.monotonic() < give_up_s:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert collector.durable_counters["journaled"] == 1_000
        collector.stop()
        await running
        await gateway.close()

    with mosquitto_broker(max_inflight_messages=20) as broker:
        asyncio.run(run(broker))


def test_a_store_that_was_left_out_for_a_while_keeps_its_account(tmp_path: Path) -> None:
    """What it missed is not its affair; what was refused and forgotten before stays so."""
    journal = Journal(tmp_path)
    ingest = build_ingest()
    for _ in range(3):
        hear(ingest, [message(topic(), payload(ingest.counters["journaled"] + number)) for number in range(1, 11)])
        transaction = ingest.take()
        transaction.settled = [Settled("null:", 10, 2, 0, forgotten=3)]
        transaction.snapshot = []
        journal.commit(transaction)
    transaction = ingest.take()
    transaction.trim_through = 20
    journal.commit(transaction)
    journal.close()

    async def run() -> None:
        collector = Collector(Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None))
        [shipper] = collector.shippers
        assert (shipper.since, shipper.stored, shipper.refused, shipper.forgotten) == (10, 5, 2, 3)
        assert shipper.stored + shipper.pending + shipper.refused + shipper.forgotten == 30 - shipper.since
        collector.journal.close()

    asyncio.run(run())


def test_the_accounts_close_while_the_last_commit_is_under_way(tmp_path: Path) -> None:
    """What arrives as the stores are given their last moment is neither forgotten nor in two places."""

    async def run() -> None:
        collector = Collector(Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None))
        under_way, may_go_on, commit = threading.Event(), threading.Event(), collector.journal.commit

        def slowly(transaction: Transaction) -> Size:
            under_way.set()
            assert may_go_on.wait(60)
            return commit(transaction)

        def accounted() -> int:
            counters = collector.durable_counters
            return collector.in_memory + sum(counters.get(name, 0) for name in ("rejected", "duplicates", "journaled"))

        collector.journal.commit = slowly  # type: ignore[method-assign]
        commits = asyncio.create_task(asyncio.sleep(0))
        await commits
        collector.received(run_of([message(topic(), live_payload(1)), message(topic(), b"{")]))
        ending = asyncio.create_task(collector._finish(commits, []))  # type: ignore[arg-type]
        assert await asyncio.to_thread(under_way.wait, 60)
        assert accounted() == collector.received_readings == 2
        may_go_on.set()
        await ending
        assert accounted() == collector.received_readings == 2
        assert (collector.in_memory, collector.durable_counters["rejected"]) == (0, 1)
        collector.journal.close()

    asyncio.run(run())


def test_a_store_that_takes_nothing_any_more_is_a_problem_until_it_takes_a_point(tmp_path: Path) -> None:
    store = Mock(Store, write=Mock(side_effect=StoreRefused("it refuses everything")))
    store.name = "picky"

    async def run() -> None:
        settings = Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None)
        collector = Collector(settings, open_store=lambda url: store)
        report, [shipper] = Report(collector), collector.shippers
        running = asyncio.create_task(collector.run())

        async def settled_after(count: int) -> list[str]:
            first = collector.ingest.counters["journaled"] + 1
            collector.received(run_of([message(topic(), live_payload(first + number)) for number in range(count)]))
            async with asyncio.timeout(60):
                while shipper.cursor < first + count - 1:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.005)
            return [problem for problem in report.problems() if "broker" not in problem]

        assert await settled_after(REFUSED_IN_A_ROW - 1) == []
        [problem] = await settled_after(1)
        assert problem.startswith("store picky refused its last 100 points")
        store.write.side_effect = None
        assert await settled_after(1) == []
        collector.stop()
        await running

    asyncio.run(run())


def test_whoever_asks_it_to_end_is_heard_although_somebody_asks_it_to_forget(
    tmp_path: Path, broker: RunningBroker
) -> None:
    """It takes two seconds to give up on its store, and meanwhile sees the question, which must not begin it anew."""
    options = ("--store", "duckdb+http://127.0.0.1:1", "--client-id", "ends")
    with haina_collect(broker, tmp_path / "data", *options) as collector:
        collector.until_connected()
        send(broker, readings(1, 3, "ending"))
        collector.until(lambda found: found["counters"]["journaled"] == 3)
        asked = tmp_path / "data" / "forget" / "a.ask"
        asked.parent.mkdir()

        def ask() -> None:
            asked.write_text('{"site": "home-1", "area": null}')

        assert collector.stop(meanwhile=ask)[0] == 0
        assert asked.is_file(), "it is for whoever asked to see to the journal now"


def test_status_is_told_to_people_and_to_programs(tmp_path: Path, broker: RunningBroker) -> None:
    with haina_collect(broker, tmp_path / "data", "--store", "null:", "--client-id", "asked") as collector:
        collector.until_connected()
        assert re.fullmatch(
            rf"haina collect: {broker.url} -> .*data -> null:; http://127\.0\.0\.1:\d+/status\n", collector.first_line
        )
        now_ms = int(time.time() * 1000)
        send(
            broker,
            [
                *readings(1, 3, "a"),
                (b"haina/v1/status/caoyang/home-1/gateway/connection", encode(Status(True, 1))),
                (b"haina/v1/status/caoyang/home-2/gateway/connection", encode(Status(False, 1))),
                (b"haina/v1/telemetry/caoyang/home-3/a/wearable", live_payload(1)),
                (b"haina/v1/clock", encode(Clock("the-run", now_ms, 1.0, Phase.LIVE))),
            ],
        )
        collector.until(lambda found: found["clock"] and found["counters"]["journaled"] == 4)
        found = collector.status()
        assert found["gateways"] == {"online": 1, "offline": 1, "unknown": 1}
        assert (found["clock"]["run"], found["clock"]["phase"]) == ("the-run", "live")

        told = run_collector_command("status", "--url", collector.url, "--devices")
        printed, complaint = told.communicate(timeout=60)
        assert (told.returncode, complaint) == (0, "")
        for words in ("connected", "run the-run", "1 online, 1 offline, 1 unknown", "journaled", "null", "home-3"):
            assert words in printed
        assert all(name in printed for name in ("stored", "pending", "refused", "replayed", "forgotten")), (
            "what journaled adds up to"
        )

        as_json = run_collector_command("status", "--url", collector.url, "--json")
        assert json.loads(as_json.communicate(timeout=60)[0])["counters"]["received"] == 4

        code, metrics = collector.get("/metrics")
        assert code == 200
        assert "haina_collector_journaled_total 4.0" in metrics
        assert 'haina_collector_store_pending{store="null"} ' in metrics
        assert 'haina_collector_gateways{state="unknown"} 1.0' in metrics
        assert 'haina_collector_store_refused{store="null"} 0.0' in metrics
        for name in ("stored", "replayed", "forgotten"):
            assert f'haina_collector_store_{name}_total{{store="null"}} ' in metrics
        assert "haina_collector_dead_letters_dropped_total 0.0" in metrics


def test_devices_are_told_apart_and_listed_by_state_also_after_a_restart(tmp_path: Path, broker: RunningBroker) -> None:
    """A run of two years ago: by its own clock one device has been silent for a day, not all of them for two years."""
    start_ms = AN_HOUR_AGO_MS - 730 * 86_400_000
    now_ms = start_ms + 3 * 86_400_000
    hours = [(topic("hourly", site="lab-1"), payload(seq, time_ms=start_ms + seq * 3_600_000)) for seq in range(1, 73)]
    quiet = [(topic("quiet", site="lab-1"), payload(seq, time_ms=start_ms + seq * 3_600_000)) for seq in range(1, 49)]
    away = [(topic(f"away-{number}", site=f"lab-{number}"), payload(1, time_ms=now_ms)) for number in (2, 3)]
    statuses = [
        (b"haina/v1/status/caoyang/lab-%d/gateway/connection" % number, encode(Status(online, 1)))
        for number, online in ((1, True), (2, False))
    ]
    clock = (b"haina/v1/clock", encode(Clock("two-years-ago", now_ms, 1.0, Phase.LIVE)))
    options = ("--store", "null:", "--client-id", "states", "--past", "1000d", "--give-up", "1s")
    with haina_collect(broker, tmp_path / "data", *options) as collector:
        collector.until_connected()
        lost = [hours.pop(40), hours.pop(20)]
        send(broker, [clock, *statuses, *hours, *hours[:3], *quiet, *away])
        collector.until(lambda found: found["counters"]["journaled"] == 120 and found["counters"]["duplicates"] == 3)
        for _ in range(2):
            found = collector.until(
                lambda found: (
                    found["devices"]["states"] == {"silent": 1, "offline": 1, "unknown": 1, "online": 1}
                    and found["counters"]["missing"] == 2
                )
            )
            worst = [(each["device"], each["state"]) for each in found["devices"]["worst"]]
            assert worst == [("quiet", "silent"), ("away-2", "offline"), ("away-3", "unknown"), ("hourly", "online")]
            [row] = collector.status("/status?devices=1&state=online&site=lab-1")["device_table"]
            account = {name: row[name] for name in ("expected", "received", "missing", "duplicates", "last_seen")}
            assert account == {
                "expected": 72,
                "received": 70,
                "missing": 2,
                "duplicates": 3,
                "last_seen": start_ms + 72 * 3_600_000,
            }
            metrics = collector.get("/metrics")[1]
            assert 'haina_collector_devices_by{state="silent"} 1.0' in metrics
            assert "haina_collector_missing 2.0" in metrics
            assert "away-2" not in metrics, "as many series as states, however many devices"
            collector.kill()
            collector.start()
            collector.until_connected()
        told = run_collector_command("status", "--url", collector.url, "--devices", "--state", "offline")
        printed, _ = told.communicate(timeout=60)
        assert "away-2" in printed
        assert "hourly" not in printed
        send(broker, lost)
        found = collector.until(lambda found: found["counters"]["missing"] == 0)
        assert found["counters"]["reordered"] == 2


def test_how_long_readings_take_is_told_per_store(tmp_path: Path, broker: RunningBroker) -> None:
    with haina_store(tmp_path / "store") as store:
        options = ("--store", store.url, "--store", "null:", "--client-id", "timed")
        with haina_collect(broker, tmp_path / "data", *options) as collector:
            collector.until_connected()
            send(broker, readings(1, 500, "timed"))
            found = collector.until(lambda found: all(each["stored"] == 500 for each in found["stores"]))
            for each in found["stores"]:
                assert 0 < each["latency_ms_p50"] <= each["latency_ms_p99"]
            metrics = collector.get("/metrics")[1]
            for name in ("duckdb", "null"):
                assert f'haina_collector_store_latency_seconds_count{{store="{name}"}} 500.0' in metrics


def test_a_broker_that_holds_back_is_told_with_the_limit_it_looks_like_once(tmp_path: Path) -> None:
    with embedded_broker() as broker, haina_collect(broker, tmp_path / "data", "--store", "null:") as collector:
        collector.until_connected()
        sender = threading.Thread(target=send, args=(broker, readings(1, 20_000, *"abcde")))
        sender.start()
        found = collector.until(lambda found: found["broker"]["stall"] or has_journaled(100_000, found))
        assert found["broker"]["stalled_at"] == MAX_IN_FLIGHT
        assert "the embedded broker" in found["broker"]["stall"]
        told = run_collector_command("status", "--url", collector.url)
        assert "holds back at 100 unacknowledged messages" in " ".join(told.communicate(timeout=60)[0].split())
        sender.join()
        collector.until(lambda found: not found["broker"]["stall"])
        _, _, logged = collector.stop()
        assert logged.count("the broker holds back at 100") == 1
        assert logged.count("does not hold back any more") == 1


def test_clock_and_statuses_do_not_wait_behind_the_readings_in_the_embedded_broker(tmp_path: Path) -> None:
    with embedded_broker() as broker, haina_collect(broker, tmp_path / "data", "--store", "null:") as collector:
        collector.until_connected()
        sender = threading.Thread(target=send, args=(broker, readings(1, 20_000, *"abcde")))
        sender.start()
        collector.until(lambda found: found["broker"]["stall"] or has_journaled(100_000, found))
        clock = Clock("run", AN_HOUR_AGO_MS, 60.0, Phase.LIVE)
        status = (b"haina/v1/status/caoyang/home-1/gateway/connection", encode(Status(True, 1, keeps=True)))
        send(broker, [(CLOCK_TOPIC.encode(), encode(clock)), status], "town")
        found = collector.until(lambda found: found["clock"] and found["gateways"]["online"])
        assert not has_journaled(100_000, found)
        sender.join()


def test_status_says_when_something_is_wrong_and_when_nobody_answers(tmp_path: Path) -> None:
    with mosquitto_broker() as broker, haina_collect(broker, tmp_path / "data", "--store", "null:") as collector:
        collector.until_connected()
        broker.kill()
        collector.until(lambda found: not found["broker"]["connected"])
        told = run_collector_command("status", "--url", collector.url)
        printed, _ = told.communicate(timeout=60)
        assert told.returncode == 1
        assert "✗ broker down" in printed
        url = collector.url
        collector.kill()
        told = run_collector_command("status", "--url", url)
        _, complaint = told.communicate(timeout=60)
        assert told.returncode == 2
        assert "no collector answers" in complaint
        assert "Traceback" not in complaint
        collector.start()


def test_status_is_1_while_a_store_is_down_and_the_collector_is_healthy(tmp_path: Path, broker: RunningBroker) -> None:
    down = ("--store", "null:", "--store", "duckdb+http://127.0.0.1:1", "--client-id", "status-of-a-store-down")
    with haina_collect(broker, tmp_path, *down) as collector:
        collector.until_connected()
        send(broker, readings(1, 1, "band"))
        collector.until(lambda found: found["stores"][1]["down"])
        told = run_collector_command("status", "--url", collector.url)
        told.communicate(timeout=60)
        assert (told.returncode, collector.get("/healthz")) == (1, (200, "ok"))


def test_whoever_cannot_begin_says_why_in_one_sentence(tmp_path: Path, broker: RunningBroker) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket() as taken, haina_collect(broker, tmp_path / "data", "--store", "null:") as first:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, sentence in (
            (("--data", str(first.folder)), r"another collector \(process \d+\) is using the data folder"),
            (("--data", str(tmp_path / "file" / "data")), r"the data folder .* cannot be written: Not a directory"),
            (("--http", f"127.0.0.1:{port}"), rf"port {port} of 127\.0\.0\.1 is in use; choose another with --http"),
            (("--http", "8791"), r"--http must be host:port, such as .* \(got '8791'\)"),
            (("--store", "postgres://here"), r"a store URL is .*; got 'postgres://here'"),
            (("--broker", "http://here"), r"--broker: a broker's URL must begin with mqtt://"),
            (("--area", "Caoyang"), r"--areas: 'Caoyang' must be lower-case"),
            (("--areas", "a01,,a02"), r"--areas: '' must be lower-case"),
            (("--past", "long"), r"--past 'long' is not a duration"),
            (("--past", "0"), r"--past must be 60 s or more \(got '0'\)"),
            (("--future", "59s"), r"--future must be 60 s or more \(got '59s'\)"),
            (("--give-up", "0"), r"--give-up must be 1 s or more \(got '0'\)"),
        ):
            arguments = ["--broker", broker.url, "--store", "null:", "--http", "127.0.0.1:0"]
            arguments += ["--data", str(tmp_path / "other"), *options]
            refused = run_collector_command("collect", *arguments)
            printed, complaint = refused.communicate(timeout=60)
            assert (refused.returncode, printed) == (2, ""), complaint
            assert re.fullmatch(rf"haina: {sentence}.*\n", complaint), complaint


def test_its_status_is_not_for_a_web_page_that_has_another_name_for_it(tmp_path: Path, broker: RunningBroker) -> None:
    options = ("--store", "null:", "--client-id", "named", "--http", "127.0.0.2:0")
    with haina_collect(broker, tmp_path, *options) as collector:
        assert collector.url.startswith("http://127.0.0.2:")
        for path in ("/status", "/metrics", "/healthz"):
            assert httpx.get(collector.url + path, headers={"Host": "evil.example"}).status_code == 400
            assert httpx.get(collector.url + path, headers={"Host": "localhost"}).status_code != 400
            assert httpx.get(collector.url + path).status_code != 400


def test_a_collector_of_one_area_takes_that_area_only(tmp_path: Path, broker: RunningBroker) -> None:
    with haina_collect(
        broker, tmp_path / "data", "--store", "null:", "--client-id", "partition", "--area", "ganquan"
    ) as collector:
        collector.until_connected()
        elsewhere = [(topic("p"), live_payload(seq)) for seq in range(1, 11)]
        here = [(topic("p", area="ganquan"), live_payload(seq)) for seq in range(1, 6)]
        send(broker, [*elsewhere, *here])
        found = collector.until(lambda found: found["counters"]["received"] >= 5)
        assert found["counters"]["received"] == 5
        assert [row["area"] for row in collector.status("/status?devices=1")["device_table"]] == ["ganquan"]


def test_a_stream_is_committed_in_groups(tmp_path: Path, broker: RunningBroker) -> None:
    async def run() -> None:
        settings = Settings(BrokerAddress.parse(broker.url), ("null:",), tmp_path, client_id="stream", http=None)
        collector, gateway = Collector(settings), Gateway()
        commit, sizes = collector.journal.commit, list[int]()

        def measured(transaction: Transaction) -> Size:
            sizes.append(transaction.messages)
            return commit(transaction)

        collector.journal.commit = measured  # type: ignore[method-assign]
        running = asyncio.create_task(collector.run())
        async with asyncio.timeout(60):
            while collector.broker_reason is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await gateway.open(broker, "streaming")
            for reading in readings(1, 300, "streaming"):
                await gateway.send([reading])
                await asyncio.sleep(0.001)
            while collector.durable_counters.get("journaled", 0) < 300:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            collector.stop()
            await running
        assert sum(sizes) >= 300
        assert len([size for size in sizes if size]) < 150, "more commits than one for two readings"

    asyncio.run(run())


def test_a_commit_waits_for_more_only_where_more_may_come(tmp_path: Path) -> None:
    async def run() -> None:
        collector = Collector(Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None))
        socket = Mock(spec=Connection)
        collector.connection = socket

        async def waits() -> bool:
            socket.reset_mock()
            await collector._gather()
            assert socket.pause_reading.call_count == socket.resume_reading.call_count
            return bool(socket.pause_reading.called)

        assert not await waits(), "nothing is pending"
        collector.received(run_of([message(topic(), live_payload(seq)) for seq in range(1, 21)]))
        assert await waits()
        collector.stall.messages = 20
        assert not await waits(), "the broker has twenty in flight and no more"
        collector.stall.messages = 0
        collector._last_take_s -= GATHER_PAUSE_S
        assert not await waits(), "the first after a pause"
        collector._last_take_s = asyncio.get_running_loop().time()
        assert await waits()
        collector.received(run_of([message(topic(), live_payload(seq)) for seq in range(21, 21 + GATHER_MESSAGES)]))
        assert not await waits(), "there are enough"
        collector.journal.close()

    asyncio.run(run())
