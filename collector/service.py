"""The collector as one process: receive, validate, journal, acknowledge, ship -- and tell how that is going.

Everything happens in one event loop but the blocking calls, which have a thread each: one that commits, one that
keeps the journal's house, one for each store. The heart is the commit loop (`Collector._commit_forever`), which has
no batch size: whenever no commit is under way and something is pending, all of it is committed; what arrives
meanwhile is the next transaction. In a stream that would make a small one it waits a few milliseconds for more
(`Collector._gather`), for a commit costs as much for one reading as for fifty. A quiet town gets its acknowledgement
after one fsync, a busy one gets large groups, by itself.

There are two ways to push back, and no queue without a limit. When the journal is full, the disk does not take it or
too much is in memory, reading from the broker stops, and the broker keeps the rest. And every site is told by its
watermark what is durable: a gateway that counts on it sends no more than it may have outstanding.
"""

import asyncio
import collections
import contextlib
import errno
import itertools
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from collector.accounting import Accounting, Site, watermark_topic
from collector.forgetting import is_asked
from collector.ingest import DeadLetter, Ingest, Settled, TimeLimits, Transaction
from collector.journal import CommitFailed, Journal, Size
from collector.partition import HANDED_OVER_S, Partition, forget_session, read_watermarks
from collector.report import Sample, build_server, serve
from collector.shipping import Recent, Shipper, Worker
from collector.stall import Stall
from collector.stores import open_store
from collector.stores.protocol import Store
from haina.contract import Watermark, encode
from haina.listen import NotHostPort, host_port, joined
from haina.mqtt import (
    BrokerAddress,
    ConnectionClosed,
    ConnectOptions,
    NoReply,
    Publishes,
    SubscriptionRefused,
    stay_connected,
)
from haina.mqtt import Connection as BrokerConnection
from haina.mqtt.codec import MAX_PACKET_BYTES
from haina.store_url import COLLECTOR_TOKEN, all_different, collector_token, is_loopback

MAX_PENDING_MESSAGES: Final = 5_000
MAX_PENDING_BYTES: Final = 16 * 1024 * 1024
"""What may be in memory without being durable; beyond it reading stops until a commit is done.

Stopping also ends libuv's habit of reading one busy socket 32 times before anything else has its turn, which made
acknowledgements of a flood wait for up to a second."""

REST_S: Final = 0.001
"""In a stream the socket is read once in so long, or when a lot has come."""

GATHER_S: Final = 0.005
GATHER_MESSAGES: Final = 100
"""A commit of fewer messages waits so long for more of them, unless it is the first after a pause of
`GATHER_PAUSE_S`, or the broker sends no more before it has its acknowledgements."""

GATHER_PAUSE_S: Final = 0.05

SNAPSHOT_POINTS: Final = 250_000
SNAPSHOT_S: Final = 30.0
"""A snapshot of the devices is due after so many points or seconds; a restart replays no more than that."""

TRIM_POINTS: Final = 50_000
TRIM_S: Final = 5.0
"""Points that every store has settled leave the journal when there are so many, or after so many seconds."""

SETTLE_S: Final = 0.2
"""What stores have settled rides with the next commit; it is committed by itself only after so many quiet seconds."""

MAX_TURNED_AWAY: Final = MAX_PENDING_MESSAGES
"""Messages to gateways about readings that were turned away, while the broker takes no more. A gateway whose message is
dropped says the readings again, and is told then."""

WATERMARK_S: Final = 0.25
"""The shortest time between two watermarks of a site."""

TICK_S: Final = 0.05
SECOND_TICKS: Final = 20
GAP_SWEEP_S: Final = 5.0

SHIP_AT_END_S: Final = 2.0
COMMIT_AT_END_S: Final = 5.0
"""How long the end of the process may wait for stores, and for a disk that does not take what is pending."""

NAMED: Final = 5
"""Devices that a log line names; `haina status --devices` has them all."""

SAMPLES: Final = 3_600
"""Seconds of history for rates and lags."""


_WatermarkKey = tuple[Site, int]  # and boot


class CannotStart(Exception):
    """One sentence for whoever started the collector."""


@dataclass(frozen=True)
class Settings:
    """What a collector is told at its start. `http` is ``host:port``, or None for no HTTP at all."""

    broker: BrokerAddress
    stores: tuple[str, ...]
    data: Path
    client_id: str = "haina-collector"
    http: str | None = "127.0.0.1:8791"
    areas: tuple[str, ...] = ()
    journal_limit_bytes: int = 2 * 1024**3
    max_devices: int = 200_000
    time_limits: TimeLimits = field(default_factory=TimeLimits)
    give_up_s: float = 30.0
    """A hole in a device's numbers that has stood for so long is given up, where its gateway keeps nothing."""


class Collector:
    """The running line. Make it in an event loop, `run` it once, `stop` it from anywhere in the loop.

    Raises `journal.JournalUnusable`, `stores.BadStoreURL` and `haina.contract.BadTopic` when it cannot begin.
    """

    def __init__(self, settings: Settings, open_store: Callable[[str], Store] = open_store) -> None:
        stores = [(url, open_store(url)) for url in all_different(settings.stores)]
        self.settings: Final = settings
        self.journal: Final = Journal(settings.data)
        self.accounting: Final = Accounting(settings.max_devices)
        self.journal.replay(self.accounting)
        self.durable_counters = self.journal.counters()
        served = self.journal.areas()
        self.partition: Final = Partition(settings.areas, served, is_new=not self.durable_counters)
        self.ingest: Final = Ingest(
            self.accounting,
            settings.time_limits,
            counters=self.durable_counters,
            gateways=self.journal.gateways(),
            clock=self.journal.clock(),
        )
        self.size: Size = self.journal.size
        self.connection: BrokerConnection | None = None
        self.broker_reason: str | None = "not connected yet"
        self.disk_reason: str | None = None
        self.journal_full = False
        self.in_commit_messages = 0
        self.stall: Final = Stall()
        self.commit_s: collections.deque[float] = collections.deque(maxlen=1_000)
        self.samples: collections.deque[Sample] = collections.deque(maxlen=SAMPLES)
        self.started_s: Final = time.monotonic()
        self.http_url: str | None = None
        self.ends_to_forget = False
        """It ended because somebody asked it to forget (`collector.forgetting`), and is to begin again after that."""
        self._recent = Recent()
        self.shippers: Final = self._shippers(stores)
        self._settled: dict[str, Settled] = {}  # as committed
        self._loop = asyncio.get_running_loop()
        self._committer = Worker("journal")
        self._housekeeper = Worker("journal-house")
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._committing = False
        self._durable = 0  # number of the last committed transaction
        # The one on disk, and not this moment's state: rows since then must stay until another one covers them, or a
        # second crash would forget what their devices had said.
        self._last_snapshot = self.journal.snapshot_through()
        self._last_snapshot_s = self._last_trim_s = self._last_take_s = self._loop.time()
        self._paused: set[str] = set()
        self._reading = asyncio.Event()  # set when a wait for reading to go on may be over
        self._owed: list[Site] = []
        self._outbox: collections.deque[tuple[int, list[tuple[_WatermarkKey, bytes]]]] = collections.deque()
        self._ready: dict[_WatermarkKey, bytes] = {}
        self._turned_away: collections.deque[tuple[bytes, bytes]] = collections.deque(maxlen=MAX_TURNED_AWAY)
        self._areas_changed = served != self.partition.served
        self._told = self._acknowledged = 0  # watermarks, on this connection
        self._session_present = False
        self._lacked = False  # what was said while the broker had no session of ours, or not of these areas
        self._ticks = 0
        self._rejected_told = 0
        self._last_letter: DeadLetter | None = None
        self._log = structlog.get_logger()
        self._look_at_journal()

    def _shippers(self, stores: Sequence[tuple[str, Store]]) -> list[Shipper]:
        known, replayed = self.journal.stores(), self.journal.replayed()
        journaled = self.durable_counters.get("journaled", 0)
        oldest = self.journal.first() or journaled + 1
        names = collections.Counter[str]()
        shippers = []
        for url, store in stores:
            names[store.name] += 1
            name = store.name if names[store.name] == 1 else f"{store.name}-{names[store.name]}"
            settled = known.get(url) or Settled(url, oldest - 1, 0, oldest - 1)
            missed = oldest - 1 - settled.cursor
            if missed > 0:  # it was not configured for a while, and the others did not wait for it
                structlog.get_logger().warning(
                    "a store missed points while it was not configured", store=name, missed=missed
                )
                settled = replace(settled, cursor=oldest - 1, since=settled.since + missed)
            shipper = Shipper(url, name, store, self.journal, self._recent, settled)
            shipper.replayed = replayed.get(url, 0)
            shipper.committed(journaled)
            shippers.append(shipper)
        return shippers

    # Running

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Collect until `stop`; then commit, acknowledge, ship for a moment, and close. Raises `CannotStart`."""
        self._options = options = ConnectOptions(
            self.settings.client_id,
            clean_session=False,
            # Any smaller limit would give anybody a message that ends the connection, is redelivered, and so on.
            max_packet_bytes=MAX_PACKET_BYTES,
            max_in_flight=5_000,
            rest_s=REST_S,
        )
        listener = _listen(self.settings.http) if self.settings.http else None
        server = None
        if listener is not None:
            host, port = listener.getsockname()[:2]
            self.http_url = f"http://{joined(host, port)}"
            server = build_server(self, host)
        broker = asyncio.create_task(
            stay_connected(self.settings.broker, options, self, self._opened, while_open=self._hand_over)
        )
        commits = asyncio.create_task(self._commit_forever())
        ships = [asyncio.create_task(shipper.run()) for shipper in self.shippers]
        ticks = asyncio.create_task(self._tick_forever())
        stopping = asyncio.create_task(self._stopping.wait())
        tasks: list[asyncio.Task[object]] = [broker, commits, *ships, ticks, stopping]
        if server is not None and listener is not None:
            tasks.append(asyncio.create_task(serve(server, listener)))
        ready()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # raises what ended it: nothing else ends before it is told to
            await self._finish(commits, ships)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # of which the broker's says DISCONNECT
            for shipper in self.shippers:
                await shipper.close(to_forget=self.ends_to_forget)
            await self._housekeeper.call(self.journal.keep_house)
            self._housekeeper.stop()
            self._committer.stop()
            self.journal.close()

    def stop(self) -> None:
        """Begin to end, for good; `run` returns soon."""
        self.ends_to_forget = False
        self._stopping.set()

    async def _finish(self, commits: "asyncio.Task[None]", ships: "Sequence[asyncio.Task[None]]") -> None:
        self._pause("the end")
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_AT_END_S):
                await commits
        if self.connection is not None:
            self._tick_watermarks(at_once=True)
            with contextlib.suppress(TimeoutError, ConnectionClosed):
                async with asyncio.timeout(1.0):
                    await self.connection.drain()
        for shipper in self.shippers:
            shipper.stop()
        if ships:
            await asyncio.wait(ships, timeout=SHIP_AT_END_S)
        if not commits.done() or commits.cancelled():
            return  # the disk still does not take it; the broker has kept what was not acknowledged
        last = self._take(at_end=True)  # what came while the stores were given their moment is in it
        self.in_commit_messages = last.messages
        with contextlib.suppress(CommitFailed):
            self.size = await self._committer.call(self.journal.commit, last)
            self._committed(last)

    # What the connection tells

    async def _opened(self, connection: BrokerConnection) -> None:
        self.connection = connection
        self._told = self._acknowledged = 0
        self.ingest.new_connection(connection.epoch)
        self.accounting.forgive()
        self._lacked |= not self._session_present or bool(self.partition.arriving)
        while True:
            while self._paused and connection.is_open:
                self.broker_reason = "connected; it subscribes when reading goes on"
                connection.pause_reading()  # the answer to a SUBSCRIBE would not be read either, so do not ask yet
                self._reading.clear()
                await self._reading.wait()
            await self._take_over()
            try:
                await connection.subscribe(self.partition.filters)
                await connection.subscribe(self.partition.state_filters, qos=0)
                break
            except NoReply:
                if not self._paused:
                    raise  # else it was us who did not read it
        self.broker_reason = None
        self._owe_everybody()

    async def _leave(self, connection: BrokerConnection) -> None:
        """Unsubscribe from areas that are to be handed over. Raises `MQTTError`."""
        try:
            await connection.unsubscribe(self.partition.leaving_filters)
        except NoReply:
            # The embedded broker neither answers nor obeys in a session that was resumed. A new one has no such
            # subscription; what the old one held of other areas no watermark covers, so it is said again.
            await connection.close()
            await forget_session(self.settings.broker, self._options)
            raise

    async def _take_over(self) -> None:
        """Begin areas that are new to this collector where the last one's watermarks end. Raises `MQTTError`."""
        partition = self.partition
        if not partition.arriving:
            return
        found = await read_watermarks(self.settings.broker, self._options, partition.arriving)
        refused = sum(self.ingest.take_over(site, watermark) for site, watermark in found.items())
        areas = sorted(partition.arriving)
        self._log.info("areas were taken over", areas=areas, sites=len(found), devices_over_the_limit=refused)
        partition.arriving = frozenset()
        self._areas_changed = True

    async def _hand_over(self, connection: BrokerConnection) -> None:
        """Leave areas: hear them until nothing is missing in between, then no more, and end when all that came is told.

        No watermark can say what came beyond a hole: whoever takes over will have that as well. So holes are waited
        for, twice as long as elsewhere, and none is given up: what was said while the area was not heard, its gateway
        must go on to say. Raises `MQTTError`.
        """
        partition, loop = self.partition, self._loop
        hears = None if self._session_present else False  # a session knows what it had subscribed to, and we do not
        end_s = loop.time() + 2 * self.settings.give_up_s
        looks, quiet_s, readings_before, told_before = 0, 0.0, -1, 0
        while partition.leaving and connection.is_open:
            sites = {site for site in self.accounting.sites.values() if partition.leaves(site.area)}
            devices = [device for site in sites for device in site.devices]
            missing = sum(device.waited_for for device in devices)
            readings = sum(device.received + device.duplicates for device in devices)
            waiting = itertools.chain(self._ready, *((key for key, _ in due) for _, due in self._outbox))
            is_told = not (
                any(device.touched for device in devices)
                or any(site.owed for site in sites)
                or any(site in sites for site, _ in waiting)
            )
            waits = missing > 0 and loop.time() < end_s
            looks = 0 if waits or self._paused else looks + 1
            if self._paused:
                readings_before = -1
            elif waits and not hears:
                self._log.info("areas are heard until nothing of them is missing in between", missing=missing)
                try:
                    await connection.subscribe(partition.leaving_filters)
                    hears = True
                except SubscriptionRefused as refused:
                    self._log.warning("what is missing in areas that are left cannot be heard", reason=str(refused))
                    end_s = loop.time()
            elif looks > 1 and hears is not False:  # not at the first look: its session may have more for us
                await self._leave(connection)
                hears, readings_before = False, -1
            elif readings != readings_before or not is_told:
                quiet_s, readings_before, told_before = loop.time(), readings, self._told
            elif hears is False and loop.time() - quiet_s >= HANDED_OVER_S and self._acknowledged >= told_before:
                areas = sorted(partition.leaving)
                if missing:
                    beyond = sum(len(sequence.above) for device in devices for sequence in device.sequences)
                    self._log.warning("who takes the areas will have readings beyond those missing too", beyond=beyond)
                self._log.info("areas are handed over; another collector may take them", areas=areas)
                partition.leaving = frozenset()
                self._areas_changed = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await connection.closed()

    def connected(self, session_present: bool) -> None:
        """The broker accepted (`haina.mqtt.Receiver`)."""
        self._session_present = session_present
        self._log.info("connected", broker=str(self.settings.broker), session_present=session_present)

    def received(self, batch: Publishes) -> None:
        """Messages arrived."""
        ingest = self.ingest
        ingest.receive(batch)
        if not self._committing:
            self._wake.set()
        if ingest.pending_messages > MAX_PENDING_MESSAGES or ingest.pending_bytes > MAX_PENDING_BYTES:
            self._pause("memory")

    def acknowledged(self, packet_ids: list[int]) -> None:
        """The broker has these watermarks; there is room for more."""
        self._acknowledged += len(packet_ids)
        self._publish_ready()

    def disconnected(self, reason: str) -> None:
        """The connection is gone, and with it what was not acknowledged on it."""
        self.connection = None
        self.broker_reason = reason
        self._reading.set()
        self._outbox.clear()
        self._ready.clear()

    def _pause(self, why: str) -> None:
        self._paused.add(why)
        if self.connection is not None:
            self.connection.pause_reading()

    def _resume(self, why: str) -> None:
        if why in self._paused:
            self._paused.remove(why)
            if not self._paused:
                self._reading.set()
                self.accounting.forgive()
                if self.connection is not None:
                    self.connection.resume_reading()

    @property
    def paused(self) -> list[str]:
        """Why reading from the broker stands still; empty when it does not."""
        return sorted(self._paused)

    # Commits

    async def _commit_forever(self) -> None:
        while True:
            while self.ingest.pending or self._side_work_due():
                self._committing = True
                await self._gather()
                await self._commit(self._take())
                self._committing = False
            if self._stopping.is_set():
                return
            self._wake.clear()
            await self._wake.wait()

    async def _gather(self) -> None:
        """Let what is pending become more while messages keep coming, without being woken for each of them."""
        messages, connection = self.ingest.pending_messages, self.connection
        if (
            not 0 < messages < GATHER_MESSAGES
            or 0 < self.stall.messages <= messages
            or self._loop.time() - self._last_take_s > GATHER_PAUSE_S
            or connection is None
            or self._paused
            or self._stopping.is_set()
        ):
            return
        connection.pause_reading()
        await asyncio.sleep(GATHER_S)
        if not self._paused:
            connection.resume_reading()
            await asyncio.sleep(0)  # for what has come meanwhile to be read

    def _take(self, *, at_end: bool = False) -> Transaction:
        """All that is pending, and with it what the shippers have settled and what is due for the journal's house."""
        for shipper in self.shippers:
            self.ingest.counters["dead_letters_dropped"] += shipper.dead_letters_dropped
            shipper.dead_letters_dropped = 0
        transaction = self.ingest.take()
        for shipper in self.shippers:
            settled = shipper.settled
            if self._settled.get(shipper.key) != settled:
                self._settled[shipper.key] = settled
                transaction.settled.append(settled)
            transaction.dead_letters += shipper.dead_letters
            shipper.dead_letters.clear()
        if self._areas_changed:
            self._areas_changed = False
            transaction.areas = self.partition.served
        self._last_take_s = now_s = self._loop.time()
        number = transaction.counters["journaled"]
        if at_end or self._snapshot_due(number, now_s):
            transaction.snapshot = list(self.accounting.unsaved())
            self._last_snapshot, self._last_snapshot_s = number, now_s
        if at_end or self._trim_due(now_s):
            transaction.trim_through = self._trimmable()
            self._last_trim_s = now_s
        return transaction

    def _everywhere(self) -> int:
        """Up to this number every store has settled; without a store, nothing waits."""
        return min((shipper.cursor for shipper in self.shippers), default=self.ingest.counters["journaled"])

    def _trimmable(self) -> int:
        return min(self._everywhere(), self._last_snapshot)

    def _snapshot_due(self, number: int, now_s: float) -> bool:
        if number - self._last_snapshot >= SNAPSHOT_POINTS:
            return True
        waited_s = now_s - self._last_snapshot_s
        if waited_s >= SNAPSHOT_S:
            return self.accounting.has_unsaved
        return self.journal_full and waited_s >= 1.0 and self._everywhere() > self._last_snapshot

    def _trim_due(self, now_s: float) -> bool:
        trimmable = self._trimmable() - self.size.trimmed_through
        if trimmable <= 0:
            return False
        return trimmable >= TRIM_POINTS or self.journal_full or now_s - self._last_trim_s >= TRIM_S

    def _side_work_due(self) -> bool:
        """Whether a commit is worth its fsync although nothing has arrived."""
        now_s = self._loop.time()
        if self._areas_changed:
            return True
        if now_s - self._last_take_s < SETTLE_S:
            return False
        if any(self._settled.get(shipper.key) != shipper.settled for shipper in self.shippers):
            return True
        return self._trim_due(now_s) or self._snapshot_due(self.ingest.counters["journaled"], now_s)

    async def _commit(self, transaction: Transaction) -> None:
        """Commit, however long the disk takes, then acknowledge and pass on."""
        self.in_commit_messages = transaction.messages
        began_s = time.perf_counter()  # the loop's clock may tick in milliseconds
        while True:
            try:
                self.size = await self._committer.call(self.journal.commit, transaction)
                break
            except CommitFailed as error:
                if self.disk_reason is None:
                    self._log.error("the journal cannot be written; nothing is acknowledged", reason=str(error))
                self.disk_reason = str(error)
                self._pause("disk")
                await asyncio.sleep(1.0)
        if self.disk_reason is not None:
            self._log.info("the journal can be written again")
            self.disk_reason = None
            self._resume("disk")
        self.commit_s.append(time.perf_counter() - began_s)
        self._committed(transaction)

    def _committed(self, transaction: Transaction) -> None:
        self._durable = transaction.number
        self.durable_counters = transaction.counters
        self.in_commit_messages = 0
        connection = self.connection
        if connection is not None and connection.epoch == transaction.epoch:
            if self.stall.committed(len(transaction.packet_ids) + self.ingest.unacknowledged, time.monotonic()):
                self._log.info("the line is as fast as its broker", reason=self.stall.sentence)
            connection.acknowledge(transaction.packet_ids)
        groups = transaction.groups
        if groups:
            for group in groups:
                self._recent.add(group)
            last = groups[-1].last
            points = last - groups[0].first + 1
            for shipper in self.shippers:
                shipper.latency.committed(last, points, transaction.since_s)
                shipper.committed(last)
        if transaction.dead_letters:
            self._last_letter = transaction.dead_letters[-1]
        if transaction.turned_away:
            self._tell_turned_away(transaction)
        if self._outbox:
            self._flush_watermarks()
        self._look_at_journal()
        if "memory" in self._paused:
            self._resume("memory")

    def _look_at_journal(self) -> None:
        """Stop reading while it is full, also from the start."""
        if self.size.groups_bytes >= self.settings.journal_limit_bytes:
            if not self.journal_full:
                self.journal_full = True
                self._log.error("the journal is full; reading stops until a store takes more", **self._fullness())
            self._pause("journal")
        elif self.journal_full and self.size.groups_bytes < 0.9 * self.settings.journal_limit_bytes:
            self.journal_full = False
            self._log.info("the journal has room again", **self._fullness())
            self._resume("journal")

    def _fullness(self) -> dict[str, int]:
        return {"journal_bytes": self.size.groups_bytes, "limit_bytes": self.settings.journal_limit_bytes}

    # Watermarks

    def _owe_everybody(self) -> None:
        """A new connection may mean a new broker, which has never heard a watermark, nor kept anything for us."""
        self._outbox.clear()
        self._ready.clear()
        self.accounting.settle_touched()
        self._owed = [site for site in self.accounting.sites.values() if self.partition.speaks_for(site.area)]
        for site in self._owed:
            site.owed = True
            site.asks |= self._lacked
            site.due_s = 0.0
        self._lacked = False

    def _tick_watermarks(self, *, at_once: bool = False) -> None:
        """Say what is durable for every site that is due.

        The devices' numbers include readings that are still pending, so what is said now is true only after the
        transaction that will hold them.
        """
        self._owed += self.accounting.settle_touched()
        if not self._owed or self.connection is None or self.broker_reason is not None:
            return
        now_s = self._loop.time()
        due: list[tuple[_WatermarkKey, bytes]] = []
        waiting: list[Site] = []
        for site in self._owed:
            if site.due_s > now_s and not at_once:
                waiting.append(site)
                continue
            site.owed = False
            site.due_s = now_s + WATERMARK_S
            if self.partition.speaks_for(site.area):
                due += (((site, boot), payload) for boot, payload in site.watermarks())
        self._owed = waiting
        if due:
            self._outbox.append((self.ingest.open_transaction, due))
            self._flush_watermarks()

    def _flush_watermarks(self) -> None:
        while self._outbox and self._outbox[0][0] <= self._durable:
            for key, payload in self._outbox.popleft()[1]:
                self._ready.pop(key, None)  # so that a site's latest boot stays the last
                self._ready[key] = payload
        self._publish_ready()

    def _tell_turned_away(self, transaction: Transaction) -> None:
        """Settle what is a dead letter now, for the gateways that said it; not retained, for nobody else needs it."""
        for (area, site, boot), durable in transaction.turned_away.items():
            if self.partition.speaks_for(area):
                self._turned_away.append((watermark_topic(area, site), encode(Watermark(boot, durable))))

    def _publish_ready(self) -> None:
        if not (self._ready or self._turned_away):
            return
        connection = self.connection
        if connection is None or not connection.is_open or not connection.writable:
            return
        keys = list(itertools.islice(self._ready, connection.room))
        if keys:
            connection.publish([(key[0].topic, self._ready.pop(key)) for key in keys], qos=1, retain=True)
            for site, _ in keys:
                site.asks = False
            self._told += len(keys)
        count = min(connection.room, len(self._turned_away))
        if count:
            connection.publish([self._turned_away.popleft() for _ in range(count)], qos=1)
            self._told += count

    # Time

    async def _tick_forever(self) -> None:
        house: asyncio.Task[None] | None = None
        sweep_s = self._loop.time() + GAP_SWEEP_S
        while True:
            await asyncio.sleep(TICK_S)
            self._ticks += 1
            self._recent.forget_through(self._everywhere())  # soon, so that memory is used again while it is warm
            self._tick_watermarks()
            self._publish_ready()
            if not self._committing and (self.ingest.pending or self._side_work_due()):
                self._wake.set()
            if self._ticks % SECOND_TICKS:
                continue
            now_s = self._loop.time()
            if not self._stopping.is_set() and is_asked(self.settings.data):
                self.ends_to_forget = True
                self._stopping.set()
            self.ingest.tick()
            if self.stall.tick(time.monotonic()):
                self._log.info("the broker does not hold back any more")
            self._sample(now_s)
            if now_s >= sweep_s:
                sweep_s = now_s + GAP_SWEEP_S
                self._sweep(now_s)
            if house is None or house.done():
                house = asyncio.create_task(self._keep_house())

    async def _keep_house(self) -> None:
        await self._housekeeper.call(self.journal.keep_house)
        replayed = await self._housekeeper.call(self.journal.replayed)
        for shipper in self.shippers:
            shipper.replayed = replayed.get(shipper.key, 0)

    def _sample(self, now_s: float) -> None:
        self.samples.append(
            Sample(
                now_s,
                self.received_readings,
                self.durable_counters.get("journaled", 0),
                {shipper.name: shipper.cursor for shipper in self.shippers},
            )
        )

    def _sweep(self, now_s: float) -> None:
        if self.broker_reason is None and not self._paused:
            given_up, devices = self.ingest.give_up_stale(now_s, self.settings.give_up_s, self.partition.keeps)
            if given_up:
                named = ["/".join(device) for device in devices[:NAMED]]
                self._log.warning(
                    "readings are missing: gaps were given up", missing=given_up, devices=len(devices), among_them=named
                )
        rejected = self.durable_counters.get("rejected", 0)
        if rejected > self._rejected_told and self._last_letter is not None:
            self._log.warning(
                "messages were rejected",
                rejected=rejected - self._rejected_told,
                topic=self._last_letter.topic[:100],
                reason=self._last_letter.reason,
            )
        self._rejected_told = rejected

    # Accounts

    @property
    def in_memory(self) -> int:
        """Readings received and not yet durable."""
        return self.in_commit_messages + self.ingest.pending_readings

    @property
    def received_readings(self) -> int:
        """Readings received in all, over all restarts."""
        return self.ingest.counters["received"] + self.ingest.pending_readings


def _listen(address: str) -> socket.socket:
    try:
        host, port = host_port(address)
    except NotHostPort as wrong:
        raise CannotStart(f"--http {wrong}") from None
    token = collector_token()
    if not is_loopback(host) and not token:
        raise CannotStart(
            f"--http {address} lets other machines in; set {COLLECTOR_TOKEN} to a secret they must know, "
            "or listen on 127.0.0.1"
        )
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(100)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(f"port {port} of {host} is in use; choose another with --http") from None
        raise CannotStart(f"cannot listen on {address}: {error.strerror or error}; choose another --http") from None
    listener.setblocking(False)
    return listener
