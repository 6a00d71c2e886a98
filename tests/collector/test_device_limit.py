"""At the limit of devices those beyond it are turned away, and everything else goes on."""

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import Mock

from collector.partition import _Ear
from collector.report import Report
from collector.service import Collector, Settings
from haina.contract import Watermark, encode
from haina.contract.message import MAX_SITE_DEVICES
from haina.mqtt import BrokerAddress, Connection
from simulator.clock import RunClock
from simulator.run import LiveRun, RunState
from simulator.scenario import parse
from tests.brokers import mosquitto_broker
from tests.collector.readings import build_ingest, hear, live_payload, message, publish, run_of, topic
from tests.collector.running import assert_accounts_close, haina_collect

START_MS = 1_772_380_800_000  # 2026-03-02T00:00+08:00
WATERMARK = b"haina/v1/watermark/caoyang/home-1/gateway/durable"


def test_what_is_turned_away_is_told_with_the_commit_that_makes_it_a_dead_letter() -> None:
    ingest = build_ingest(max_devices=1)
    hear(ingest, [publish(1, "a"), publish(7, "b"), publish(9, "b"), publish(8, "b", boot=2), publish(3, "c")])
    assert ingest.turns_away == "too many devices: 1 are known already (--max-devices)"
    transaction = ingest.take()
    assert transaction.turned_away == {
        ("caoyang", "home-1", 1): {"b": 9, "c": 3},
        ("caoyang", "home-1", 2): {"b": 8},
    }
    assert len(transaction.dead_letters) == 4
    assert ingest.take().turned_away == {}


def test_what_is_rejected_for_another_reason_settles_nothing() -> None:
    ingest = build_ingest()
    hear(ingest, [message(topic("b", name="moon_phase"), live_payload(1)), message(topic("b"), b"{}")])
    assert (ingest.take().turned_away, ingest.turns_away) == ({}, None)


def test_one_message_names_no_more_devices_than_a_watermark_may() -> None:
    ingest = build_ingest(max_devices=1)
    strangers = [publish(seq, f"d{number}") for seq in (1, 2) for number in range(MAX_SITE_DEVICES + 2)]
    hear(ingest, strangers)
    [told] = ingest.take().turned_away.values()
    assert (len(told), set(told.values())) == (MAX_SITE_DEVICES, {2})


def test_gateways_beyond_the_limit_are_rejected_and_those_that_are_known_go_on() -> None:
    def status(site: str, said: bytes) -> Any:
        return message(b"haina/v1/status/caoyang/%s/gateway/connection" % site.encode(), said)

    ingest = build_ingest(max_devices=2)
    online, offline = b'{"online":true,"boot":1}', b'{"online":false,"boot":1}'
    hear(ingest, [status("home-1", online), status("home-2", online), status("home-3", online)])
    hear(ingest, [status("home-1", offline)])
    transaction = ingest.take()
    assert {site: state.online for site, state in ingest.gateways.items()} == {
        ("caoyang", "home-1"): False,
        ("caoyang", "home-2"): True,
    }
    assert [letter.topic for letter in transaction.dead_letters] == [
        "haina/v1/status/caoyang/home-3/gateway/connection"
    ]
    assert transaction.dead_letters[0].reason == "too many gateways: 2 are known already (--max-devices)"
    hear(ingest, [status("home-1", b""), status("home-3", online)])
    assert set(ingest.gateways) == {("caoyang", "home-2"), ("caoyang", "home-3")}, "one that is gone leaves its place"


def test_the_limit_is_a_problem_and_gateways_are_told_after_the_commit_as_the_broker_takes_it(tmp_path: Path) -> None:
    async def run() -> None:
        settings = Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None, max_devices=1)
        collector = Collector(settings)
        wire = collector.connection = Mock(Connection, is_open=True, writable=True, room=0, epoch=0)
        collector.broker_reason = None
        assert Report(collector).problems() == []
        collector.received(run_of([message(topic(name), live_payload(1)) for name in ("a", "b")]))
        transaction = collector._take()
        wire.room = 10
        collector._publish_ready()
        wire.publish.assert_not_called()
        wire.room = 0
        await collector._commit(transaction)
        wire.publish.assert_not_called()
        collector.disconnected("a moment ago")
        collector.connection = wire
        collector.broker_reason = None
        wire.room = 10
        collector.acknowledged([1])
        [call] = wire.publish.call_args_list
        assert (call.args, call.kwargs) == (([(WATERMARK, encode(Watermark(1, {"b": 1})))],), {"qos": 1}), (
            "not retained"
        )
        assert Report(collector).problems() == [
            "what is beyond a limit is rejected: too many devices: 1 are known already (--max-devices)"
        ]
        for shipper in collector.shippers:
            await shipper.close()
        collector.journal.close()

    asyncio.run(run())


def test_who_takes_an_area_over_hears_of_what_is_turned_away_and_forgets_no_other_device() -> None:
    ear = _Ear()
    for durable in ({"a": 5, "c": 2}, {"b": 1}, {"a": 6, "c": 2}):
        ear.received([message(WATERMARK, encode(Watermark(1, durable)))])
    assert ear.watermarks == {("caoyang", "home-1"): Watermark(1, {"a": 6, "b": 1, "c": 2})}
    ear.received([message(WATERMARK, encode(Watermark(2, {"a": 1})))])
    assert ear.watermarks == {("caoyang", "home-1"): Watermark(2, {"a": 1})}


def test_a_town_with_more_devices_than_the_limit_goes_on_and_the_accounts_add_up(tmp_path: Path) -> None:
    """Six hours, said through a window that would fill in one."""
    scenario = parse("title: Homes\nareas:\n  a01: {homes: 6}\n", "homes.yaml").model_copy(update={"name": "homes"})

    async def live(address: BrokerAddress) -> Any:
        clock = RunClock(START_MS, START_MS + 86_400_000, end_ms=START_MS + 6 * 3_600_000)
        run = LiveRun(scenario, RunState.new("homes", 1, START_MS), tmp_path / "run", clock, window=500)
        async with asyncio.timeout(60):
            return await run.run(address)

    with mosquitto_broker() as broker:
        options = ("--store", "null:", "--max-devices", "20", "--past", "1000d")
        with haina_collect(broker, tmp_path / "data", *options) as collector:
            collector.until_connected()
            summary = asyncio.run(live(broker.address))
            assert (summary.outstanding, summary.acknowledged) == (0, summary.published)
            found = collector.until(lambda found: not found["counters"]["in_memory"])
            counters = found["counters"]
            assert_accounts_close(found)
            assert found["devices"]["known"] == 20
            assert 0 < counters["journaled"] == summary.published - counters["rejected"]
            assert found["rejected"] == {"devices": counters["rejected"]}
            assert counters["rejected"] <= found["journal"]["dead_letters"] + found["journal"]["dead_letters_dropped"]
            [problem] = found["problems"]
            assert "too many devices: 20 are known already (--max-devices)" in problem
