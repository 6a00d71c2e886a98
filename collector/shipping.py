"""From the journal to a store: batches, retries, and what to do with a point no store will ever take.

Each store has a *shipper* with a thread and a cursor of its own, so a store that is down delays neither another store
nor an acknowledgement. A shipper follows the journal's end from memory (`Recent`) and reads the file only when it has
fallen behind. A store that is unavailable is asked again for ever, in growing intervals; a store that refuses is
asked about each half, until the point it means stands alone: that one becomes a dead letter, counted as *refused*.

Every point is settled in order, stored or refused, so a cursor is all that must be remembered; it is committed with
the journal's next transaction. After a crash a few points may be shipped again, under the same numbers.
"""

import asyncio
import contextlib
import queue
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog

from collector.ingest import DEAD_LETTER_BYTES, MAX_DEAD_LETTERS_PENDING, DeadLetter, Group, Settled
from collector.journal import CommitFailed, Journal
from collector.latency import Latency
from collector.stores.protocol import Store, StoreRefused, StoreUnavailable, halves
from haina.contract import MEASUREMENTS, Point, Topic, TopicClass, telemetry_payload
from haina.contract.measurement import Value
from haina.mqtt.connection import Backoff

BATCH_POINTS: Final = 5_000
BATCH_WAIT_S: Final = 0.010
"""A batch goes when it is full or when its first point has waited this long, or longer where the store is slow: see
`WRITE_SHARE`."""

WRITE_SHARE: Final = 0.25
"""The share of time a store is asked to write while batches are not full. A write costs its store far more than a point
does (5,000 points go into DuckDB at 4 µs each, 150 at 27), so small batches wait a little for more to come."""

MAX_BATCH_WAIT_S: Final = 0.2

RETRY: Final = Backoff(0.2, 15.0)
MAX_RETRY_AFTER_S: Final = 300.0
"""A store that is down is asked again after so long, and no later, whatever it says itself."""

RECENT_POINTS: Final = 200_000
"""Points kept in memory after their commit, for shippers that nearly keep up: some 80 MB when it is full. Reading one
back from the file costs a tenth of all that is done for it."""

REFUSED_LOG_S: Final = 10.0
"""The shortest time between two log lines about refused points, in seconds."""

CLOSE_S: Final = 1.0
"""How long the end waits for a store that is stuck in a call."""

Result = TypeVar("Result")


def batch_wait_s(write_s: float) -> float:
    """How long a batch waits to be full, where the last write took so long, in seconds."""
    return min(max(write_s * (1 / WRITE_SHARE - 1), BATCH_WAIT_S), MAX_BATCH_WAIT_S)


def retry_wait_s(backoff: Backoff, failures: int, retry_after_s: float | None) -> float:
    """How long a store is left alone after so many failures in a row, in seconds; it asked for `retry_after_s`."""
    return max(backoff.wait_s(failures), min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))


class Worker:
    """One thread for blocking calls, one at a time. Unlike an executor's, it never holds up the end of the process."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[..., Result], *args: Any) -> Result:
        """Call `function(*args)` in the thread; what it raises is raised here."""
        future: asyncio.Future[Result] = self._loop.create_future()
        self._calls.put((lambda: function(*args), future))
        return await future

    def stop(self) -> None:
        """Let the thread end after the calls that wait."""
        self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            try:
                result, error = call(), None
            except BaseException as raised:
                result, error = None, raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
                self._loop.call_soon_threadsafe(_resolve, future, result, error)


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


class Recent:
    """The newest committed groups, in memory; the oldest are forgotten first."""

    def __init__(self, max_points: int = RECENT_POINTS) -> None:
        self._max_points = max_points
        self._groups: list[Group] = []
        self._firsts: list[int] = []
        self._points = 0

    def add(self, group: Group) -> None:
        self._groups.append(group)
        self._firsts.append(group.first)
        self._points += len(group.points)
        if self._points > self._max_points:
            self._forget(self._max_points * 3 // 4)

    def _forget(self, keep_points: int) -> None:
        forgotten = 0
        while self._points > keep_points:
            self._points -= len(self._groups[forgotten].points)
            forgotten += 1
        del self._groups[:forgotten], self._firsts[:forgotten]

    def forget_through(self, number: int) -> None:
        """Forget what every shipper has settled."""
        settled = bisect_right(self._firsts, number)
        if settled and self._groups[settled - 1].last > number:
            settled -= 1
        if settled:
            self._points -= sum(len(group.points) for group in self._groups[:settled])
            del self._groups[:settled], self._firsts[:settled]

    def read(self, number: int, max_points: int) -> list[Group] | None:
        """Groups from the one that holds point `number` on; None if that one is not here (any more)."""
        index = bisect_right(self._firsts, number) - 1
        if index < 0:
            return None
        found: list[Group] = []
        points = 0
        for group in self._groups[index:]:
            found.append(group)
            points += len(group.points)
            if points >= max_points:
                break
        return found


class Shipper:
    """Brings one store up to the journal's end, and keeps it there."""

    def __init__(
        self,
        key: str,
        name: str,
        store: Store,
        journal: Journal,
        recent: Recent,
        settled: Settled,
        backoff: Backoff = RETRY,
    ) -> None:
        self.key: Final = key
        self.name: Final = name
        self.cursor = settled.cursor
        self.refused = settled.refused
        self.since = settled.since
        self.forgotten = settled.forgotten
        self.replayed = 0
        """Of the refused, how many the store has taken since (`collector.refused`); the journal knows."""
        self.dead_letters: deque[DeadLetter] = deque(maxlen=MAX_DEAD_LETTERS_PENDING)
        """Refused points that no transaction has taken yet; while the disk takes none, the last of them."""
        self.dead_letters_dropped = 0
        self.refused_in_a_row = 0
        """How many of the last points it refused, without taking one."""
        self.down_reason: str | None = None
        self.latency: Final = Latency()
        self._store = store
        self._journal = journal
        self._recent = recent
        self._backoff = backoff
        self._worker = Worker(f"ship-{name}")
        self._committed = settled.cursor
        self._more = asyncio.Event()
        self._stopping = False
        self._tell_refused_s = 0.0
        self._log = structlog.get_logger().bind(store=name)

    @property
    def stored(self) -> int:
        return self.cursor - self.since - self.refused - self.forgotten + self.replayed

    @property
    def pending(self) -> int:
        return self._committed - self.cursor

    @property
    def settled(self) -> Settled:
        return Settled(self.key, self.cursor, self.refused, self.since, self.forgotten, self.name)

    def committed(self, last: int) -> None:
        """The journal holds points up to number `last`."""
        if last > self._committed:
            self._committed = last
            self._more.set()

    async def run(self) -> None:
        """Ship for ever; cancel it, or `stop` it and let it end with what is there."""
        write_s = 0.0
        while True:
            if self.cursor == self._committed:
                if self._stopping:
                    return
                self._more.clear()
                await self._more.wait()
                continue
            await self._fill(batch_wait_s(write_s))
            points = await self._next()
            if not points:
                continue
            began_s = time.monotonic()
            await self._settle(points, self.cursor + len(points))
            write_s = time.monotonic() - began_s

    async def _fill(self, wait_s: float) -> None:
        """Wait until a batch is full, but not long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self.pending < BATCH_POINTS and not self._stopping:
                    self._more.clear()
                    await self._more.wait()

    def stop(self) -> None:
        """End `run` once everything committed is settled."""
        self._stopping = True
        self._more.set()

    async def close(self, *, to_forget: bool = False) -> None:
        """Close the store, unless it is stuck in a call: then it is left alone.

        Not so if somebody is to be forgotten: a batch that arrives after that would bring them back. Calls time out.
        """
        try:
            async with asyncio.timeout(None if to_forget else CLOSE_S):
                await self._worker.call(self._store.close)
        except TimeoutError:
            self._log.warning("the store did not let go in time")
        except Exception as error:
            self._log.warning("closing the store failed", reason=str(error))
        self._worker.stop()

    async def _next(self) -> Sequence[Point]:
        """The points after the cursor, at most a batch of them; none if all were passed over."""
        number = self.cursor + 1
        wanted = min(BATCH_POINTS, self.pending)
        groups = self._recent.read(number, wanted)
        in_memory = groups is not None
        while groups is None:
            try:
                groups = await self._worker.call(self._journal.read, number, wanted)
            except CommitFailed as error:
                self._down(str(error))
                await asyncio.sleep(1.0)
        points: list[Point] = []
        for group in groups:
            points += group.points if group.first >= number else group.points[number - group.first :]
        points = points if len(points) <= wanted else points[:wanted]
        return points if in_memory else self._up_to_forgotten(points)

    def _up_to_forgotten(self, points: list[Point]) -> list[Point]:
        """Pass over points of forgotten sites at the front, and end the batch before the next of them.

        A batch is a run of numbers, and theirs are taken; only the file has them (`Journal.forget`).
        """
        first = next((index for index, point in enumerate(points) if point.measurement), len(points))
        self.cursor += first
        self.forgotten += first
        end = next((index for index in range(first, len(points)) if not points[index].measurement), len(points))
        return points[first:end]

    async def _settle(self, points: Sequence[Point], cursor: int) -> None:
        parts = [(points, cursor)]
        while parts:
            part, last = parts.pop()
            try:
                await self._write(part, last)
            except StoreRefused as refusal:
                if len(part) > 1:
                    parts += halves(part, last)
                    continue
                self._refuse(part[0], str(refusal))
            self.cursor = last
            self.latency.settled(last, time.monotonic())

    def _refuse(self, point: Point, reason: str) -> None:
        self.refused += 1
        self.refused_in_a_row += 1
        letter = _dead_letter(self.name, point, reason)
        if len(self.dead_letters) == self.dead_letters.maxlen:
            self.dead_letters_dropped += 1
        self.dead_letters.append(letter)
        now_s = time.monotonic()
        if now_s >= self._tell_refused_s:  # every one of them is a dead letter; the log need not have them all
            self._tell_refused_s = now_s + REFUSED_LOG_S
            self._log.warning("a point was refused", topic=letter.topic, reason=reason, refused_so_far=self.refused)

    async def _write(self, points: Sequence[Point], cursor: int) -> None:
        """Write, however long it takes. Raises `StoreRefused`."""
        failures = 0
        while True:
            try:
                await self._worker.call(self._store.write, self._journal.source, cursor, points)
            except StoreUnavailable as error:
                failures += 1
                wait_s = retry_wait_s(self._backoff, failures, error.retry_after_s)
                self._down(str(error))
            except StoreRefused:
                self._up()
                raise
            except Exception as error:  # a store's mistake must not end the shipping, nor hide
                failures += 1
                wait_s = self._backoff.wait_s(failures)
                self._down(f"{type(error).__name__}: {error}")
            else:
                self.refused_in_a_row = 0
                self._up()
                return
            await asyncio.sleep(wait_s)

    def _down(self, reason: str) -> None:
        if self.down_reason is None:
            self._log.warning("the store is down", reason=reason)
        self.down_reason = reason

    def _up(self) -> None:
        if self.down_reason is not None:
            self._log.info("the store is back", pending=self.pending)
            self.down_reason = None


def _dead_letter(store: str, point: Point, reason: str) -> DeadLetter:
    declared = MEASUREMENTS.get(point.measurement)
    # Another version has journaled what this one does not declare: there values have numbers for names.
    names = (*(declared.field_names if declared else ()), *map(str, range(len(point.values))))
    values: dict[str, Value] = {
        name: value for name, value in zip(names, point.values, strict=False) if value is not None
    }
    return DeadLetter(
        int(time.time() * 1000),
        store,
        str(Topic(TopicClass.TELEMETRY, point.area, point.site, point.device, point.measurement)),
        telemetry_payload(point.time_ms, point.boot, point.seq, values)[:DEAD_LETTER_BYTES],
        reason[:300],
    )
