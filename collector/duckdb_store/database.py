"""The file: one writer, whose transactions move points and their source's cursor together, and readers beside it.

A point's key is its tags and time, and writing a point twice changes nothing. A unique index would keep that promise
and cost more than everything else together; so the writer remembers each device's newest time instead. Points newer
than that, in order, are new and simply appended, which is nearly all of them; a device that goes back in time has the
rows of those keys deleted in the same transaction before its points go in.

Nothing is kept for ever (`Keep`). Raw points whose time is up become hourly rollups (`hourly`), a day of a measurement
at a time so that nobody waits long; near the limit on the file's size their time is up earlier, oldest first, down to
the newest hour; at the limit writes are not taken. A clock in the past makes nothing old: age counts back from the
newest point, or from now if that is earlier. What DuckDB frees it uses again; the disk gets it back when the file is
written anew: at a start that finds more than half of it free, and when somebody is forgotten (`forget`).
"""

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import structlog

from collector.duckdb_store import hourly
from collector.duckdb_store.hourly import DAY_NS, HOUR_NS
from collector.duckdb_store.tables import StoreProblem, prepare
from haina.contract import MEASUREMENTS, measurement
from haina.contract.point import NS_PER_MS, TAGS
from haina.contract.table import columns_of
from haina.query import Query
from haina.query.sql import compile_sql
from haina.query.wire import AnsweredSeries, Held

FILE_NAME = "haina.duckdb"
MAX_SOURCES = 10_000  # of which each replay of dead letters is one
NEAR_LIMIT = 0.9  # of the limit on the size: raw points are rolled up before their time
MEASURE_EVERY_S = 0.5  # how old the known size may be; at 1 MB/s of points it is never far off
FRESH_NAME = FILE_NAME + ".fresh"
COMPACT_BYTES = 64 * 2**20  # free space that is worth writing the file anew at a start
READERS_LEAVE_S = 10.0  # how long writing the file anew waits for them
STREAM_ROWS = 65_536  # in one Arrow batch of raw points, a few megabytes

_ARROW_TYPES = {
    "DOUBLE": (pa.float64(),),
    "BIGINT": (pa.int64(),),
    "INTEGER": (pa.int32(), pa.int64()),
    "TINYINT": (pa.int8(),),
    "VARCHAR": (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())),
}
# DuckDB's errors have no numbers. These are the words of the operating system in them.
_FULL = (
    "No space left on device",
    "File too large",
    "Disk quota exceeded",
    "not enough space",
    "could not be allocated",
)

_log = structlog.get_logger()


class BatchRefused(Exception):
    """The batch itself is wrong and will never be taken; one sentence why."""


class BatchNotTaken(Exception):
    """The batch cannot be taken now; one sentence why."""


class DiskFull(BatchNotTaken):
    """There is no room for the batch; nothing of it was written."""


class AtLimit(DiskFull):
    """The file has reached the limit on its size; nothing of the batch was written."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept; 0 means for ever and without a limit. See the module's docstring."""

    raw_days: float = 30.0  # assumed: a month to look at single readings, and to audit a run
    hourly_days: float = 1_826.0  # assumed: five years, to compare seasons
    max_bytes: int = 10 * 2**30  # assumed: 30 days of the pilot zone take a fifth of it


@dataclass(frozen=True, slots=True)
class RolledUp:
    """A stretch of a measurement that became rollups, and whether that was for want of space."""

    measurement: str
    points: int
    before_ns: int
    early: bool


class AlreadyHas(Exception):
    """The first points of the batch, up to number `have`, are written; the rest is not."""

    def __init__(self, have: int) -> None:
        super().__init__(f"points up to {have} are written already; send the rest")
        self.have = have


class TooMuch(Exception):
    """The answer passed a limit; one sentence says which and what to ask instead."""


class Database:
    """An open `haina.duckdb`. `write`, `retain`, `forget` and `close` belong to one thread; reads to any.

    Raises StoreProblem when the file cannot be opened or does not fit.
    """

    def __init__(self, folder: Path, *, memory_limit: str = "1GiB", threads: int = 2, keep: Keep = Keep()) -> None:
        self.path = folder / FILE_NAME
        self.keep = keep
        self._fresh = folder / FRESH_NAME
        self._config: dict[str, Any] = {
            "memory_limit": memory_limit,
            "threads": threads,
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": "4GiB",  # assumed: a sort of some ten million points
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            raise StoreProblem(f"cannot create the folder {folder}: {wrong.strerror}") from None
        self._lock = threading.Condition()
        self._reading: set[duckdb.DuckDBPyConnection] = set()
        self._swapping = False
        self._used_bytes, self._measured_s = 0, float("-inf")
        self._fresh.unlink(missing_ok=True)  # a crash left it half written
        self._open()
        free_bytes = self.size_bytes() - self.used_bytes()
        if free_bytes > max(self.used_bytes(), COMPACT_BYTES):
            with suppress(BatchNotTaken):  # a full disk: it stays as it is, and works
                self._write_anew()
                _log.info("gave free space back to the disk", bytes=free_bytes)

    def _open(self) -> None:
        try:
            self._connection = duckdb.connect(str(self.path), config=self._config)
        except duckdb.Error as wrong:
            raise StoreProblem(self._why_not_open(str(wrong))) from None
        try:
            prepare(self._connection, str(self.path))
        except duckdb.Error as wrong:
            self._connection.close()
            raise StoreProblem(f"cannot prepare {self.path}: {_first_line(wrong)}") from None
        except StoreProblem:
            self._connection.close()
            raise
        self._writer = self._connection.cursor()
        self._cursors: dict[str, int] = dict(self._writer.execute("SELECT source, cursor FROM haina_cursor").fetchall())
        self._newest: dict[str, dict[tuple[str, str, str], int]] = {}
        self.rows: dict[str, int] = {}
        for name in MEASUREMENTS:
            found = self._writer.execute(
                f'SELECT area, site, device, max(time_ns), count(*) FROM "{name}" GROUP BY area, site, device'
            ).fetchall()
            self._newest[name] = {(area, site, device): newest for area, site, device, newest, _ in found}
            self.rows[name] = sum(count for *_, count in found)
        self.rolled_before_ns: dict[str, int] = dict(
            self._writer.execute(
                f"SELECT measurement, max(hour_ns) + {HOUR_NS} FROM haina_hourly GROUP BY measurement"
            ).fetchall()
        )

    def _why_not_open(self, reason: str) -> str:
        if "lock" in reason:
            return f"{self.path} is open in another process; stop that one, or give --data another folder"
        if "not a valid DuckDB database file" in reason:
            return f"{self.path} is not a DuckDB file; move it away, or give --data another folder"
        if "newer version" in reason or "version number" in reason:
            return (
                f"{self.path} was written by a newer DuckDB; upgrade the duckdb package, or give --data another folder"
            )
        if "ermission denied" in reason or "ead-only" in reason or "Cannot open file" in reason:
            return f"cannot write {self.path}; give --data a folder this user may write"
        if any(word in reason for word in _FULL):
            return f"the disk of {self.path} is full; make room, or give --data another folder"
        return f"cannot open {self.path}: {reason.splitlines()[0]}"

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, source: str, cursor: int, count: int, batches: Sequence[Any]) -> int:
        """Write the points numbered `cursor - count + 1` to `cursor` of `source`, all or nothing; rows written.

        Each batch is a pyarrow RecordBatch whose schema metadata names its measurement. A batch the file has is
        skipped. Raises AlreadyHas, BatchRefused, BatchNotTaken.
        """
        have = self._cursors.get(source, 0)
        if cursor <= have:
            return 0
        if have > cursor - count:
            raise AlreadyHas(have)
        incoming: dict[str, Any] = {}
        for batch in batches:
            name = _checked(batch)
            if name in incoming:
                raise BatchRefused(f"{name} comes twice in one batch")
            incoming[name] = batch
        if sum(batch.num_rows for batch in incoming.values()) != count:
            raise BatchRefused(f"the batch says it has {count} points and has another number of rows")
        if self.keep.max_bytes and self.used_bytes() >= self.keep.max_bytes:
            raise AtLimit(
                f"{self.path} has reached its limit of {self.keep.max_bytes:,} bytes; start the store with a larger "
                "--max-size, or keep less"
            )
        newest: dict[str, dict[tuple[str, str, str], int]] = {}
        more_rows: dict[str, int] = {}
        is_one_more = source not in self._cursors and len(self._cursors) >= MAX_SOURCES
        with self._transaction():
            silent = self._forget_source() if is_one_more else ""
            for name, batch in incoming.items():
                newest[name], again = _order(batch, self._newest[name])
                if again is None:
                    more_rows[name] = self._insert(name, batch)
                else:
                    replaced = self._delete(name, again)
                    more_rows[name] = self._insert(name, _last_of_each_key(batch)) - replaced
            self._writer.execute(
                "INSERT INTO haina_cursor VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET cursor = excluded.cursor, written_ms = excluded.written_ms",
                [source, cursor, time.time_ns() // NS_PER_MS],
            )
        self._cursors.pop(silent, None)
        self._cursors[source] = cursor
        for name, more in more_rows.items():
            self._newest[name].update(newest[name])
            self.rows[name] += more
        return count

    def _forget_source(self) -> str:
        """Forget who has not written for longest; should that source come back, its points are known by their keys."""
        [(source,)] = self._writer.execute(
            "DELETE FROM haina_cursor WHERE source = (SELECT source FROM haina_cursor ORDER BY written_ms LIMIT 1) "
            "RETURNING source"
        ).fetchall()
        return str(source)

    def _insert(self, name: str, batch: Any) -> int:
        columns = ", ".join(f'"{column}"' for column in batch.schema.names)
        self._writer.register("incoming", pa.Table.from_batches([batch]))
        try:
            self._writer.execute(f'INSERT INTO "{name}" ({columns}) SELECT {columns} FROM incoming')
        finally:
            self._writer.unregister("incoming")
        return int(batch.num_rows)

    def _delete(self, name: str, again: Any) -> int:
        """Delete the rows with the keys of these points; how many there were."""
        times = again.column("time_ns").to_numpy()
        self._writer.register("again", pa.Table.from_batches([again.select(["time_ns", *TAGS])]))
        try:
            row = self._writer.execute(
                f'DELETE FROM "{name}" AS held USING again WHERE held.time_ns BETWEEN ? AND ? AND '
                + " AND ".join(f"held.{column} = again.{column}" for column in ("time_ns", *TAGS)),
                [int(times.min()), int(times.max())],
            ).fetchone()
        finally:
            self._writer.unregister("again")
        return int(row[0]) if row else 0

    # -- keeping -----------------------------------------------------------------------------------------------------

    def retain(self, now_ms: int) -> RolledUp | None:
        """Do one piece of what is due by `Keep`: at most a day of a measurement. None when nothing is left to do.

        Raises BatchNotTaken.
        """
        newest_ns = max((time_ns for known in self._newest.values() for time_ns in known.values()), default=0)
        newest_ns = min(newest_ns, now_ms * NS_PER_MS)
        keep = self.keep
        if keep.hourly_days:
            with self._transaction():
                self._writer.execute(
                    "DELETE FROM haina_hourly WHERE hour_ns < ?", [newest_ns - int(keep.hourly_days * DAY_NS)]
                )
        oldest = self._oldest_ns()
        name = min(oldest, key=lambda name: oldest[name], default=None)
        if name is None:
            return None
        if keep.raw_days:
            before_ns = _whole_hours(newest_ns - int(keep.raw_days * DAY_NS))
            if oldest[name] < before_ns:
                return self._roll_up(name, oldest[name], before_ns, early=False)
        if keep.max_bytes and self._near_limit() and oldest[name] < _whole_hours(newest_ns):
            return self._roll_up(name, oldest[name], _whole_hours(newest_ns), early=True)
        return None

    def _oldest_ns(self) -> dict[str, int]:
        found = {
            name: self._writer.execute(f'SELECT min(time_ns) FROM "{name}"').fetchone()
            for name, rows in self.rows.items()
            if rows
        }
        return {name: row[0] for name, row in found.items() if row is not None and row[0] is not None}

    def _near_limit(self) -> bool:
        if self.used_bytes(measure=True) <= NEAR_LIMIT * self.keep.max_bytes:
            return False
        self._checkpoint()  # only this frees what was deleted
        return self.used_bytes(measure=True) > NEAR_LIMIT * self.keep.max_bytes

    def _roll_up(self, name: str, oldest_ns: int, before_ns: int, *, early: bool) -> RolledUp:
        start_ns = _whole_hours(oldest_ns)
        end_ns = min(before_ns, start_ns - start_ns % DAY_NS + DAY_NS)
        with self._transaction():
            points = hourly.move(self._writer, MEASUREMENTS[name], start_ns, end_ns)
        self.rows[name] -= points
        self.rolled_before_ns[name] = max(end_ns, self.rolled_before_ns.get(name, 0))
        return RolledUp(name, points, end_ns, early)

    def _checkpoint(self) -> None:
        with suppress(duckdb.Error):  # somebody reads: the next one frees it
            self._writer.execute("CHECKPOINT")

    def used_bytes(self, *, measure: bool = False) -> int:
        """What of the file is in use, and its log; from the writer's thread, measured now and then."""
        now_s = time.monotonic()
        if measure or now_s - self._measured_s > MEASURE_EVERY_S:
            row = self._writer.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchone()
            self._used_bytes, self._measured_s = (row[0] if row else 0) + self._log_bytes(), now_s
        return self._used_bytes

    def forget(self, site: str, area: str | None = None) -> int:
        """Keep nothing that this site said or others said of it, raw or rolled up; how many rows. Raises BatchNotTaken.

        The file is written anew without them, so their bytes are gone too; until it is done nobody else writes.
        """
        before = self.count_of(site, area)
        if before:
            self._write_anew(site, area)
        return before

    def _write_anew(self, site: str | None = None, area: str | None = None) -> None:
        """Copy everything but a site into a fresh file, which then takes the old one's place at once."""
        self._fresh.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(self._fresh), config=self._config) as fresh:
                prepare(fresh, str(self._fresh))
                fresh.execute("DELETE FROM haina_store")
            self._writer.execute(f"ATTACH '{str(self._fresh).replace(chr(39), chr(39) * 2)}' AS fresh")
            try:
                for table, of_a_site in self._tables():
                    without, parameters = _not_of(table, site, area) if site and of_a_site else ("true", [])
                    self._writer.execute(
                        f'CREATE TABLE IF NOT EXISTS fresh.main."{table}" AS SELECT * FROM main."{table}" LIMIT 0'
                    )
                    self._writer.execute(
                        f'INSERT INTO fresh.main."{table}" BY NAME SELECT * FROM main."{table}" WHERE {without}',
                        parameters,
                    )
                self._writer.execute("CHECKPOINT fresh")
            finally:
                self._writer.execute("DETACH fresh")
            self._writer.execute("CHECKPOINT")
        except (duckdb.Error, OSError) as wrong:
            self._fresh.unlink(missing_ok=True)
            raise BatchNotTaken(f"the file could not be written anew: {_first_line(wrong)}") from None
        with self._alone():
            self._writer.close()
            self._connection.close()
            self.path.with_name(FILE_NAME + ".wal").unlink(missing_ok=True)  # the checkpoint has it all
            self._fresh.replace(self.path)
            self._measured_s = float("-inf")
            self._open()

    def _tables(self) -> list[tuple[str, bool]]:
        """All tables, those of other versions' measurements too, and whether their rows belong to sites."""
        found = self._writer.execute(
            "SELECT t.table_name, count(c.column_name) FILTER (c.column_name = 'site') > 0 FROM duckdb_tables() AS t "
            "JOIN duckdb_columns() AS c USING (table_oid, database_name) "
            "WHERE t.database_name = current_database() AND t.schema_name = 'main' AND NOT t.temporary GROUP BY ALL"
        )
        return found.fetchall()

    def count_of(self, site: str, area: str | None = None) -> int:
        """How many rows, raw and rolled up, this site has or is named in."""
        found = 0
        for table, of_a_site in self._tables():
            if of_a_site:
                without, parameters = _not_of(table, site, area)
                sql = f'SELECT count(*) FROM main."{table}" WHERE NOT ({without})'
                [(rows,)] = self._writer.execute(sql, parameters).fetchall()
                found += rows
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until nobody reads, stopping those who do, and let nobody begin. Raises BatchNotTaken."""
        with self._lock:
            self._swapping = True
            try:
                deadline_s = time.monotonic() + READERS_LEAVE_S
                while self._reading:
                    if time.monotonic() > deadline_s:
                        raise BatchNotTaken("somebody reads and does not let go; try again")
                    for cursor in self._reading:
                        cursor.interrupt()
                    self._lock.wait(0.05)
                yield
            finally:
                self._swapping = False
                self._lock.notify_all()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._writer.begin()
            yield
            self._writer.commit()
        except duckdb.ConstraintException as wrong:
            self._roll_back()
            raise BatchRefused(f"a point lacks part of its key: {_first_line(wrong)}") from None
        except duckdb.FatalException as wrong:
            self._open_again()
            raise BatchNotTaken(f"the database had to be opened again: {_first_line(wrong)}") from None
        except duckdb.Error as wrong:
            self._roll_back()
            if any(word in str(wrong) for word in _FULL) and not isinstance(wrong, duckdb.OutOfMemoryException):
                raise DiskFull(f"the disk of {self.path} is full") from None
            raise BatchNotTaken(f"the database did not take it: {_first_line(wrong)}") from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with suppress(duckdb.Error):  # a commit that failed has rolled back already
            self._writer.rollback()

    def _open_again(self) -> None:
        """After a fatal error DuckDB answers nothing until every connection is gone and the file is opened anew."""
        _log.warning("opening the database again", path=str(self.path))
        self.interrupt()
        with suppress(duckdb.Error):
            self._writer.close()
        with suppress(duckdb.Error):
            self._connection.close()
        try:
            self._open()
        except StoreProblem as problem:
            raise BatchNotTaken(str(problem)) from None

    # -- reading -----------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of one's own, which `interrupt` can stop."""
        with self._lock:
            self._lock.wait_for(lambda: not self._swapping)
            cursor = self._connection.cursor()
            self._reading.add(cursor)
        try:
            yield cursor
        finally:
            with self._lock:
                with suppress(duckdb.Error):
                    cursor.close()
                self._reading.discard(cursor)
                self._lock.notify_all()

    def interrupt_one(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Stop this read, if it still runs; it raises TooMuch."""
        with self._lock:
            if cursor in self._reading:
                cursor.interrupt()

    def interrupt(self) -> None:
        """Stop every read that is running; each raises TooMuch."""
        with self._lock:
            for cursor in self._reading:
                cursor.interrupt()

    def answer(
        self,
        query: Query,
        start_ms: int,
        end_ms: int,
        now_ms: int | None,
        *,
        max_rows: int,
        started: Callable[[duckdb.DuckDBPyConnection], None] = lambda cursor: None,
    ) -> list[AnsweredSeries]:
        """The query's series. `started` is given the cursor, to interrupt it. Raises TooMuch."""
        rolled = self.rolled_before_ns.get(query.measurement, 0) > start_ms * NS_PER_MS
        sql, parameters = compile_sql(query, start_ms, end_ms, now_ms, with_rollups=rolled)
        with self.reading() as cursor:
            started(cursor)
            try:
                rows = cursor.execute(f"{sql} LIMIT {max_rows + 1}", parameters).fetchall()
            except duckdb.InterruptException:
                raise TooMuch("it took too long; ask for a shorter range or a larger window") from None
            except duckdb.OutOfMemoryException:
                raise TooMuch("it needs more memory than the store may use; ask for a shorter range") from None
            except duckdb.Error as wrong:
                raise TooMuch(f"the database could not answer: {_first_line(wrong)}") from None
        if len(rows) > max_rows:
            raise TooMuch(f"the answer has more than {max_rows} values; ask for a larger window or fewer groups")
        return _series(rows, query.group)

    def points(
        self, name: str, start_ms: int, end_ms: int, tags: dict[str, str], boots: range | None = None
    ) -> Iterator[bytes]:
        """Raw points of a measurement as one Arrow IPC stream, in the order they were written."""
        conditions = ["time_ns >= ?", "time_ns < ?", *(f'"{tag}" = ?' for tag in tags)]
        if boots:
            conditions.append(f"boot BETWEEN {boots[0]} AND {boots[-1]}")
        columns = ", ".join(f'"{column}"' for column in columns_of(measurement(name)))
        sql = f'SELECT {columns} FROM "{name}" WHERE {" AND ".join(conditions)}'
        return self._stream(sql, [start_ms * NS_PER_MS, end_ms * NS_PER_MS, *tags.values()])

    def _stream(self, sql: str, parameters: list[object]) -> Iterator[bytes]:
        written = _Written()
        with self.reading() as cursor:
            batches = cursor.sql(sql, params=parameters).to_arrow_reader(STREAM_ROWS)
            with pa.ipc.new_stream(pa.PythonFile(written, mode="w"), batches.schema) as stream:
                for batch in batches:
                    stream.write_batch(batch)
                    yield written.take()
            yield written.take()

    def rollups(self, tags: dict[str, str]) -> Iterator[bytes]:
        """All hourly rollups of an area, a site or a device as one Arrow IPC stream."""
        conditions = " AND ".join(["true", *(f'"{tag}" = ?' for tag in tags)])
        return self._stream(f"SELECT * FROM readable.hourly WHERE {conditions}", [*tags.values()])

    def held(self) -> dict[str, Held]:
        """What there is of each measurement that has points, and before when it has only rollups."""
        with self.reading() as cursor:
            found = {
                name: cursor.execute(f'SELECT min(time_ns), max(time_ns), count(*) FROM "{name}"').fetchone()
                for name in MEASUREMENTS
            }
        held = {}
        for name, row in found.items():
            rolled_before_ms = self.rolled_before_ns.get(name, 0) // NS_PER_MS
            if row is not None and (row[2] or rolled_before_ms):
                first_ms, latest_ms, points = row
                if not points:
                    first_ms = latest_ms = self.rolled_before_ns[name] - 1
                held[name] = Held(first_ms // NS_PER_MS, latest_ms // NS_PER_MS, points, rolled_before_ms)
        return held

    def row_count(self, name: str) -> int:
        """How many points of this measurement there are."""
        return self.rows[name]

    def size_bytes(self) -> int:
        """The file and its write-ahead log."""
        with suppress(OSError):
            return self.path.stat().st_size + self._log_bytes()
        return 0

    def _log_bytes(self) -> int:
        with suppress(OSError):
            return self.path.with_name(FILE_NAME + ".wal").stat().st_size
        return 0

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self.interrupt()
        try:
            self._writer.execute("CHECKPOINT")
        except duckdb.Error as wrong:  # the log stays beside the file and is read at the next start
            _log.warning("no checkpoint at the end", reason=_first_line(wrong))
        self._writer.close()
        self._connection.close()


class _Written(io.RawIOBase):
    """A file that only remembers what was written to it since the last `take`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def _checked(batch: Any) -> str:
    """The batch's measurement. Raises BatchRefused, or BatchNotTaken when this store is too old for the batch."""
    name: str = (batch.schema.metadata or {}).get(b"measurement", b"").decode("utf-8", "replace")
    if name not in MEASUREMENTS:
        raise BatchNotTaken(
            f"this store does not know the measurement {name[:64]!r}; start the collector's version of it"
        )
    wanted = columns_of(MEASUREMENTS[name])
    for column in batch.schema:
        if column.name not in wanted:
            raise BatchNotTaken(
                f"this store does not know the field {name}.{column.name[:64]}; start the collector's version of it"
            )
        if column.type not in _ARROW_TYPES[wanted[column.name]]:
            raise BatchRefused(f"{name}.{column.name} is {wanted[column.name]} and cannot take {column.type}")
    missing = [column for column in ("time_ns", *TAGS, "boot", "seq") if column not in batch.schema.names]
    if missing or len(set(batch.schema.names)) != len(batch.schema.names):
        raise BatchRefused(f"{name} needs each of its columns once; missing: {', '.join(missing) or 'none'}")
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as wrong:
        raise BatchRefused(f"{name}: {_first_line(wrong)}") from None
    if any(batch.column(column).null_count for column in ("time_ns", *TAGS, "boot", "seq")):
        raise BatchRefused(f"{name}: a point lacks part of its key")
    return name


def device_numbers(batch: Any) -> tuple[Any, list[tuple[str, str, str]]]:
    """Which device each row is of, as a number, and the devices by number."""
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    dictionaries = []
    for tag in TAGS:
        column = batch.column(tag)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        codes = codes * len(column.dictionary) + column.indices.to_numpy()
        dictionaries.append(column.dictionary.to_pylist())
    present, numbers = np.unique(codes, return_inverse=True)
    areas, sites, devices = dictionaries
    return numbers, [
        (
            areas[code // (len(sites) * len(devices))],
            sites[code // len(devices) % len(sites)],
            devices[code % len(devices)],
        )
        for code in present.tolist()
    ]


def _order(batch: Any, known: dict[tuple[str, str, str], int]) -> tuple[dict[tuple[str, str, str], int], Any]:
    """Each device's newest time once the batch is in, and the points that are not newer than all before them.

    The second is a batch, or None when every device's points come in order and after what is known of it.
    """
    if not batch.num_rows:
        return {}, None
    numbers, devices = device_numbers(batch)
    times = batch.column("time_ns").to_numpy()
    by_device = np.argsort(numbers, kind="stable")
    sorted_times = times[by_device]
    starts = np.searchsorted(numbers[by_device], np.arange(len(devices)))
    newest_before = np.array([known.get(device, -1) for device in devices], dtype=np.int64)
    newest_within = np.maximum.reduceat(sorted_times, starts)
    previous = np.empty_like(sorted_times)
    previous[1:] = sorted_times[:-1]
    previous[starts] = newest_before
    newest = dict(zip(devices, np.maximum(newest_before, newest_within).tolist(), strict=True))
    goes_back = sorted_times <= previous
    if not goes_back.any():
        return newest, None
    suspects = np.unique(numbers[by_device][goes_back])
    return newest, batch.filter(pa.array(np.isin(numbers, suspects)))


def _last_of_each_key(batch: Any) -> Any:
    """The batch without points that a later one of the same key overwrites."""
    numbers, _ = device_numbers(batch)
    keys = np.stack([numbers[::-1], batch.column("time_ns").to_numpy()[::-1]])
    _, kept = np.unique(keys, axis=1, return_index=True)
    if len(kept) == batch.num_rows:
        return batch
    return batch.take(pa.array(np.sort(batch.num_rows - 1 - kept)))


def _whole_hours(time_ns: int) -> int:
    return time_ns - time_ns % HOUR_NS


def _not_of(table: str, site: str, area: str | None) -> tuple[str, list[object]]:
    """The condition for rows that are not this site's, and do not name it; without an area, that name in any."""
    texts = MEASUREMENTS[table].texts if table in MEASUREMENTS else ()
    others = "".join(f' AND "{text}" IS DISTINCT FROM ?' for text in texts)
    if area is None:
        return f"site <> ?{others}", [site, *(site for _ in texts)]
    return f"NOT (site = ? AND area = ?){others}", [site, area, *(site for _ in texts)]


def _series(rows: list[tuple[Any, ...]], group: tuple[str, ...]) -> list[AnsweredSeries]:
    """Rows of window, tags and value, ordered by tags, as series."""
    found: list[AnsweredSeries] = []
    last: tuple[Any, ...] | None = None
    for window_ms, *tags, value in rows:
        key = tuple(tags)
        if key != last:
            last = key
            found.append(AnsweredSeries(dict(zip(group, key, strict=True)), [], []))
        found[-1].times_ms.append(window_ms)
        found[-1].values.append(value)
    return found


def _first_line(wrong: BaseException) -> str:
    return str(wrong).partition("\n")[0][:300]
