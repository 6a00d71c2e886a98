"""The file: one writer, whose transactions move points and their source's cursor together, and readers beside it.

A point's key is its tags and time, and writing a point twice changes nothing. A unique index would keep that promise
and cost more than everything else together; so the writer remembers each device's newest time instead. Points newer
than that, in order, are new and simply appended, which is nearly all of them; a device that goes back in time has the
rows of those keys deleted in the same transaction before its points go in.
"""

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import structlog

from collector.duckdb_store.tables import StoreProblem, prepare
from haina.contract import MEASUREMENTS, measurement
from haina.contract.point import NS_PER_MS, TAGS
from haina.contract.table import columns_of
from haina.query import Query
from haina.query.sql import compile_sql
from haina.query.wire import AnsweredSeries, Held

FILE_NAME = "haina.duckdb"
MAX_SOURCES = 10_000
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


class AlreadyHas(Exception):
    """The first points of the batch, up to number `have`, are written; the rest is not."""

    def __init__(self, have: int) -> None:
        super().__init__(f"points up to {have} are written already; send the rest")
        self.have = have


class TooMuch(Exception):
    """The answer passed a limit; one sentence says which and what to ask instead."""


class Database:
    """An open `haina.duckdb`. `write`, `forget_before` and `close` belong to one thread; reads to any.

    Raises StoreProblem when the file cannot be opened or does not fit.
    """

    def __init__(self, folder: Path, *, memory_limit: str = "1GiB", threads: int = 2) -> None:
        self.path = folder / FILE_NAME
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
        self._lock = threading.Lock()
        self._reading: set[duckdb.DuckDBPyConnection] = set()
        self._open()

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
        if source not in self._cursors and len(self._cursors) >= MAX_SOURCES:
            raise BatchRefused(f"this store remembers {MAX_SOURCES} sources and {source[:64]!r} would be one more")
        incoming: dict[str, Any] = {}
        for batch in batches:
            name = _checked(batch)
            if name in incoming:
                raise BatchRefused(f"{name} comes twice in one batch")
            incoming[name] = batch
        if sum(batch.num_rows for batch in incoming.values()) != count:
            raise BatchRefused(f"the batch says it has {count} points and has another number of rows")
        newest: dict[str, dict[tuple[str, str, str], int]] = {}
        more_rows: dict[str, int] = {}
        with self._transaction():
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
        self._cursors[source] = cursor
        for name, more in more_rows.items():
            self._newest[name].update(newest[name])
            self.rows[name] += more
        return count

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

    def forget_before(self, time_ms: int) -> int:
        """Delete the points with an earlier event time; how many there were. Raises BatchNotTaken."""
        forgotten = 0
        for name in MEASUREMENTS:
            with self._transaction():
                row = self._writer.execute(f'DELETE FROM "{name}" WHERE time_ns < ?', [time_ms * NS_PER_MS]).fetchone()
            count = int(row[0]) if row else 0
            self.rows[name] -= count
            forgotten += count
        return forgotten

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
            cursor = self._connection.cursor()
            self._reading.add(cursor)
        try:
            yield cursor
        finally:
            with self._lock:
                self._reading.discard(cursor)
            with suppress(duckdb.Error):
                cursor.close()

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
        sql, parameters = compile_sql(query, start_ms, end_ms, now_ms)
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

    def points(self, name: str, start_ms: int, end_ms: int, tags: dict[str, str]) -> Iterator[bytes]:
        """Raw points of a measurement as one Arrow IPC stream, in the order they were written."""
        conditions = ["time_ns >= ?", "time_ns < ?", *(f'"{tag}" = ?' for tag in tags)]
        columns = ", ".join(f'"{column}"' for column in columns_of(measurement(name)))
        sql = f'SELECT {columns} FROM "{name}" WHERE {" AND ".join(conditions)}'
        written = _Written()
        with self.reading() as cursor:
            parameters: list[object] = [start_ms * NS_PER_MS, end_ms * NS_PER_MS, *tags.values()]
            batches = cursor.sql(sql, params=parameters).to_arrow_reader(STREAM_ROWS)
            with pa.ipc.new_stream(pa.PythonFile(written, mode="w"), batches.schema) as stream:
                for batch in batches:
                    stream.write_batch(batch)
                    yield written.take()
            yield written.take()

    def held(self) -> dict[str, Held]:
        """What there is of each measurement that has points."""
        with self.reading() as cursor:
            found = {
                name: cursor.execute(f'SELECT min(time_ns), max(time_ns), count(*) FROM "{name}"').fetchone()
                for name in MEASUREMENTS
            }
        return {
            name: Held(row[0] // NS_PER_MS, row[1] // NS_PER_MS, row[2])
            for name, row in found.items()
            if row is not None and row[2]
        }

    def row_count(self, name: str) -> int:
        """How many points of this measurement there are."""
        return self.rows[name]

    def size_bytes(self) -> int:
        """The file and its write-ahead log."""
        size = 0
        for path in (self.path, self.path.with_name(FILE_NAME + ".wal")):
            with suppress(OSError):
                size += path.stat().st_size
        return size

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
