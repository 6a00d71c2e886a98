"""What may be acknowledged and told, and when: never before the commit, and never to another connection."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from collector.ingest import Transaction
from collector.journal import CommitFailed, Size
from collector.report import Report
from collector.service import Collector, Settings
from haina.contract import Watermark, decode
from haina.mqtt import BrokerAddress, Connection
from tests.collector.readings import live_payload, message, run_of, topic


class Gate:
    """A journal's commit that waits to be let through, and may fail."""

    def __init__(self, collector: Collector) -> None:
        self.under_way, self.open = threading.Event(), threading.Event()
        self.failures = 0
        self.threads: set[int] = set()
        self.committed = 0
        """The highest number among what is committed."""
        self._commit = collector.journal.commit
        collector.journal.commit = self  # type: ignore[method-assign,assignment]

    def __call__(self, transaction: Transaction) -> Size:
        self.threads.add(threading.get_ident())
        self.under_way.set()
        assert self.open.wait(20), "the loop stands still while a commit does"
        if self.failures:
            self.failures -= 1
            raise CommitFailed("the disk is full")
        size = self._commit(transaction)
        self.committed = max([self.committed, *(point.seq for group in transaction.groups for point in group.points)])
        return size

    async def reached(self) -> None:
        """Wait until a commit is under way."""
        assert await asyncio.to_thread(self.under_way.wait, 20)
        self.under_way.clear()


def build_wire(epoch: int, **more: Any) -> Mock:
    return Mock(Connection, is_open=True, writable=True, room=1_000, epoch=epoch, **more)


@asynccontextmanager
async def build_collector(folder: Path, wire: Mock) -> AsyncIterator[Collector]:
    """One that is connected by `wire`, which is no broker."""
    collector = Collector(Settings(BrokerAddress("127.0.0.1", 1), (), folder, http=None))
    collector.connection, collector.broker_reason = wire, None
    collector.ingest.new_connection(wire.epoch)
    try:
        yield collector
    finally:
        collector.journal.close()


def say(collector: Collector, *seqs: int) -> None:
    collector.received(run_of([message(topic(), live_payload(seq), packet_id=seq) for seq in seqs]))


def told(wire: Mock) -> list[Watermark]:
    """The watermarks, in order."""
    return [decode(Watermark, payload) for call in wire.publish.call_args_list for _, payload in call.args[0]]


def watermarks(wire: Mock) -> list[int]:
    """What the device was told to be durable, in order."""
    return [watermark.durable["wearable-1"] for watermark in told(wire)]


def test_a_collector_asks_for_what_it_may_have_missed_until_the_broker_took_that(tmp_path: Path) -> None:
    async def run() -> None:
        wire = build_wire(1)
        async with build_collector(tmp_path, wire) as collector:

            async def hear(*seqs: int) -> None:
                say(collector, *seqs)
                await collector._commit(collector._take())
                collector._tick_watermarks(at_once=True)

            await hear(1)
            wire.publish.reset_mock()
            wire.room = 0
            collector._lacked = True  # as found when it connects
            collector._owe_everybody()
            await hear(2)
            await hear(3)  # another watermark in the place of the one that could not be published
            collector.disconnected("a moment ago")
            collector.connection, collector.broker_reason, wire.room = wire, None, 1_000
            collector._owe_everybody()
            await hear(4)
            await hear(5)
            assert [(each.durable["wearable-1"], each.again) for each in told(wire)] == [(4, True), (5, False)]

    asyncio.run(run())


def test_no_watermark_covers_a_reading_that_is_not_committed_also_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr("collector.service.asyncio.sleep", lambda _s: sleep(0))

    async def run() -> None:
        wire = build_wire(1)
        async with build_collector(tmp_path, wire) as collector:
            gate = Gate(collector)
            gate.failures = 2
            say(collector, 1, 2, 3)
            collector._tick_watermarks(at_once=True)
            assert watermarks(wire) == [], "nothing is committed"
            committing = asyncio.create_task(collector._commit(collector._take()))
            await gate.reached()
            say(collector, 4)
            collector._tick_watermarks(at_once=True)
            assert watermarks(wire) == [], "the commit is under way"
            gate.open.set()
            await committing
            assert (gate.failures, gate.committed) == (0, 3)
            assert watermarks(wire) == [3], "the fourth reading came too late for this commit"
            collector._tick_watermarks(at_once=True)
            assert watermarks(wire) == [3]
            await collector._commit(collector._take())
            assert watermarks(wire) == [3, 4]

    asyncio.run(run())


def test_what_is_committed_is_acknowledged_only_on_the_connection_it_came_by(tmp_path: Path) -> None:
    """Another connection's packet ids are others: to acknowledge them would lose what they name."""

    async def run() -> None:
        first, second = build_wire(1), build_wire(2)
        async with build_collector(tmp_path, first) as collector:
            gate = Gate(collector)
            say(collector, 1, 2)
            committing = asyncio.create_task(collector._commit(collector._take()))
            await gate.reached()
            first.acknowledge.assert_not_called()
            collector.disconnected("cut")
            collector.connection = second
            collector.ingest.new_connection(second.epoch)
            say(collector, 1, 2, 3)
            gate.open.set()
            await committing
            first.acknowledge.assert_not_called()
            second.acknowledge.assert_not_called()
            await collector._commit(collector._take())
            second.acknowledge.assert_called_once_with([1, 2, 3])

    asyncio.run(run())


def test_the_loop_goes_on_while_a_commit_takes_long(tmp_path: Path) -> None:
    async def run() -> None:
        async with build_collector(tmp_path, build_wire(1)) as collector:
            gate = Gate(collector)
            say(collector, 1)
            committing = asyncio.create_task(collector._commit(collector._take()))
            await gate.reached()  # which it could not be, were it this thread
            assert not committing.done()
            gate.open.set()
            await committing
            assert threading.get_ident() not in gate.threads

    asyncio.run(run())


def test_dead_letters_that_were_dropped_anywhere_are_counted_once_in_the_total(tmp_path: Path) -> None:
    async def run() -> None:
        collector = Collector(Settings(BrokerAddress("127.0.0.1", 1), ("null:",), tmp_path, http=None))
        [shipper] = collector.shippers
        shipper.dead_letters_dropped = 7
        for _ in range(2):
            await collector._commit(collector._take())
        collector.size = replace(collector.size, dead_letters_forgotten=5)
        assert Report(collector).status()["journal"]["dead_letters_dropped"] == 12
        collector.journal.close()

    asyncio.run(run())


def test_no_hole_is_given_up_while_nothing_could_come_that_fills_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with build_collector(tmp_path, build_wire(1)) as collector:
            say(collector, 1, 3)
            [device] = collector.accounting.devices.values()
            collector._sweep(0.0)
            collector._pause("disk")
            collector._sweep(100.0)
            assert device.missing == 0, "nothing is read"
            collector._resume("disk")
            collector._sweep(200.0)
            collector.broker_reason = "it is away"
            collector._sweep(300.0)
            assert device.missing == 0, "nobody brings anything"
            collector.broker_reason = None
            collector._sweep(400.0)
            assert device.missing == 1

    asyncio.run(run())
