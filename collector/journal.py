"""The journal: what the collector has promised to keep, on disk before it is acknowledged.

A SQLite file, `journal.db`, in write-ahead-log mode. A `Transaction` goes in as a whole: its groups of points (one
row each: a MessagePack blob), its dead letters, the counters as they stand after it, how far each store has got, and
now and then a snapshot of the devices. So whatever moment a power cut or a kill -9 chooses, what is found
afterwards is consistent: the counters add up, and the snapshot plus the rows since it give back every device's state.

Rows leave when every store has settled them *and* a snapshot covers them. One thread writes; shippers that lag read
older rows through a second connection, in short reads, so that the log can always be checkpointed. That, too, is done
by whoever keeps house and not by the writer: a commit never waits for a checkpoint of its own.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from collector.accounting import Accounting, DeviceKey
from collector.ingest import FORGOTTEN, DeadLetter, GatewayState, Group, Settled, Transaction
from collector.resident import Resident
from haina.contract import MEASUREMENTS, Clock, Point, decode
from haina.contract import encode as encode_message

FORMAT: Final = 1
ROW_OVERHEAD_BYTES: Final = 64
"""What a row costs beside its blob; assumed, so that a journal of tiny groups is not thought empty."""

MAX_DEAD_LETTERS: Final = 10_000
MAX_DEAD_LETTER_BYTES: Final = 16 * 1024 * 1024

TRIM_ROWS: Final = 10_000
"""Rows that leave in one transaction, lest a commit wait for long behind them."""

_WAL_BYTES: Final = 32 * 1024 * 1024
"""A log of this size is checkpointed. With 8 MiB a point took 7 % more: a page that is written again before the log is
full is copied once."""

_VACUUM_PAGES: Final = 16_384
"""More free pages than this (64 MiB) are given back to the file system, a quarter of them at a time."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (
    first INTEGER PRIMARY KEY,  -- the number of the group's first point
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    points BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY,
    after INTEGER NOT NULL,  -- the number of the point it comes after
    notes BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS devices (
    area TEXT, site TEXT, device TEXT, state BLOB NOT NULL,
    PRIMARY KEY (area, site, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stores (
    store TEXT PRIMARY KEY, cursor INTEGER NOT NULL, refused INTEGER NOT NULL, since INTEGER NOT NULL,
    forgotten INTEGER NOT NULL DEFAULT 0,
    name TEXT NOT NULL DEFAULT '',  -- what it is called in dead letters
    replayed INTEGER NOT NULL DEFAULT 0  -- refused points that it has taken since: `take_back` alone writes it
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gateways (
    area TEXT, site TEXT, online INTEGER NOT NULL,
    keeps INTEGER,  -- the boot of which it keeps what is not durable yet
    PRIMARY KEY (area, site)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms INTEGER NOT NULL, by TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, reason TEXT NOT NULL
) STRICT;
"""


class JournalUnusable(Exception):
    """The data folder cannot be used; one sentence for whoever started the collector."""


class CommitFailed(Exception):
    """The disk did not take a transaction (full, read-only, failing); nothing of it was kept, try it again."""


@dataclass(frozen=True, slots=True)
class Size:
    """How big the journal is, after a commit."""

    groups_bytes: int  # of points that are not settled, or not covered by a snapshot; what the limit is about
    dead_letters: int
    dead_letters_forgotten: int  # the oldest, over the limit on their number or bytes
    trimmed_through: int  # points up to this number have left, if their whole group could


class Journal:
    """An open journal, locked against a second collector. Calls block; `commit` belongs to one thread."""

    def __init__(self, folder: Path) -> None:
        """Open or make the journal in `folder`. Raises `JournalUnusable`."""
        self.folder: Final = folder
        self._lock = _lock(folder)
        self._path = folder / "journal.db"
        try:
            self._writer = _connect(self._path)
            self._prepare()
            self._reader = _connect(self._path)
            self._reader.execute("SELECT count(*) FROM about").fetchone()  # or it would not know of the log yet
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            os.close(self._lock)
            raise JournalUnusable(f"{self._path} cannot be opened: {error}; move it away to begin anew") from None
        except BaseException:
            os.close(self._lock)
            raise
        self._reading = threading.Lock()
        self._replayed: dict[str, int] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_points = msgspec.msgpack.Decoder(list[Point]).decode

    def _prepare(self) -> None:
        writer = self._writer
        # Only possible before there are tables: lets pages be given back after a long outage of a store.
        writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # Readers and the checkpoint do not block the writer; a commit is one append and one fsync.
        writer.execute("PRAGMA journal_mode = WAL")
        writer.executescript(_SCHEMA)
        writer.execute("INSERT OR IGNORE INTO about VALUES ('format', ?), ('uuid', ?)", (FORMAT, uuid.uuid4().hex))
        _add_columns(writer)
        about = dict(writer.execute("SELECT name, value FROM about"))
        if about["format"] != FORMAT:
            raise JournalUnusable(
                f"{self._path} has format {about['format']}, where this version writes {FORMAT};"
                " use the version that wrote it, or move it away to begin anew"
            )
        self.source = str(about["uuid"])
        self._forgotten = int(about.get("dead_letters_forgotten", 0))
        self._trimmed_through = (self.first() or 1) - 1
        self._may_lack_through = self.counters().get("journaled", 0)  # later points are this version's own
        self._groups_bytes: int = writer.execute("SELECT coalesce(sum(bytes), 0) FROM groups").fetchone()[0]
        self._count_letters()

    def _count_letters(self) -> None:
        """Again only after somebody else has written, and may have taken letters back."""
        [self._counted_at] = self._writer.execute("PRAGMA data_version").fetchone()
        self._letters, self._letter_bytes = self._writer.execute(
            f"SELECT count(*), coalesce(sum({_LETTER_BYTES}), 0) FROM dead_letters"
        ).fetchone()

    @property
    def size(self) -> "Size":
        """As of the last commit."""
        return Size(self._groups_bytes, self._letters, self._forgotten, self._trimmed_through)

    # Restarting

    def counters(self) -> dict[str, int]:
        """The counters as of the last commit."""
        row = self._writer.execute("SELECT value FROM about WHERE name = 'counters'").fetchone()
        return msgspec.msgpack.decode(row[0], type=dict[str, int]) if row else {}

    def stores(self) -> dict[str, Settled]:
        """How far each store had got, also those that are no longer written to."""
        rows = self._writer.execute("SELECT store, cursor, refused, since, forgotten, name FROM stores")
        return {row[0]: Settled(*row) for row in rows}

    def replayed(self) -> dict[str, int]:
        """How many refused points each store has taken since, as whoever says them again tells (`take_back`)."""
        with self._reading, contextlib.suppress(sqlite3.Error):  # the next commit meets the same disk, and tells
            self._replayed = dict(self._reader.execute("SELECT store, replayed FROM stores"))
        return self._replayed

    def gateways(self) -> dict[tuple[str, str], GatewayState]:
        """What gateways' statuses told last: a broker may not tell it again."""
        rows = self._writer.execute("SELECT area, site, online, keeps FROM gateways")
        return {(area, site): GatewayState(bool(online), keeps) for area, site, online, keeps in rows}

    def clock(self) -> Clock | None:
        """The run's clock, as last told."""
        row = self._writer.execute("SELECT value FROM about WHERE name = 'clock'").fetchone()
        return decode(Clock, row[0]) if row else None

    def areas(self) -> list[str] | None:
        """Which areas were served; None if no transaction has said so."""
        row = self._writer.execute("SELECT value FROM about WHERE name = 'areas'").fetchone()
        return msgspec.msgpack.decode(row[0], type=list[str]) if row else None

    def first(self) -> int | None:
        """The number of the oldest point that is still here; None if there is none."""
        row: tuple[int | None] = self._writer.execute("SELECT min(first) FROM groups").fetchone()
        return row[0]

    def snapshot_through(self) -> int:
        """The number of the last point that the snapshot covers; 0 if there is none."""
        row = self._writer.execute("SELECT value FROM about WHERE name = 'snapshot'").fetchone()
        return int(row[0]) if row else 0

    def replay(self, accounting: Accounting) -> None:
        """Give back the state of every device: the snapshot, and what came after it."""
        devices = self._writer.execute("SELECT area, site, device, state FROM devices")
        for area, site, device, state in devices:
            accounting.restore((area, site, device), msgspec.msgpack.decode(state))
        through = self.snapshot_through()
        notes = self._writer.execute("SELECT after, notes FROM notes ORDER BY id").fetchall()
        notes.reverse()
        groups = self._writer.execute("SELECT first, points FROM groups WHERE first > ? ORDER BY first", [through])
        for first, points in groups:
            while notes and notes[-1][0] < first:
                accounting.replay_notes(msgspec.msgpack.decode(notes.pop()[1]))
            accounting.replay(self._decode_points(points))
        while notes:
            accounting.replay_notes(msgspec.msgpack.decode(notes.pop()[1]))

    # Writing

    def commit(self, transaction: Transaction) -> Size:
        """Make a transaction durable, with one fsync. Raises `CommitFailed`, and then nothing of it was kept."""
        writer = self._writer
        before = self.size, self._letter_bytes
        try:
            writer.execute("BEGIN IMMEDIATE")
            self._write(transaction)
            writer.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            size, self._letter_bytes = before
            self._groups_bytes, self._letters = size.groups_bytes, size.dead_letters
            self._forgotten, self._trimmed_through = size.dead_letters_forgotten, size.trimmed_through
            self._counted_at = -1
            if writer.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    writer.execute("ROLLBACK")
            raise CommitFailed(str(error)) from None
        return self.size

    def _write(self, transaction: Transaction) -> None:
        writer, encode = self._writer, self._encode
        for group in transaction.groups:
            blob = encode(group.points)
            size = len(blob) + ROW_OVERHEAD_BYTES
            writer.execute("INSERT INTO groups VALUES (?, ?, ?, ?)", (group.first, len(group.points), size, blob))
            self._groups_bytes += size
        if transaction.snapshot is not None:
            self._write_snapshot(transaction.snapshot, transaction.counters.get("journaled", 0))
        else:
            for batch in transaction.batches:
                if batch.notes:
                    note = (batch.group.last, encode(batch.notes.state()))
                    writer.execute("INSERT INTO notes (after, notes) VALUES (?, ?)", note)
        # One row for all counters: a transaction may hold no more than a hundred messages, and each statement counts.
        writer.execute("INSERT OR REPLACE INTO about VALUES ('counters', ?)", [encode(transaction.counters)])
        for settled in transaction.settled:
            row = (settled.store, settled.cursor, settled.refused, settled.since, settled.forgotten, settled.name)
            writer.execute(
                "INSERT INTO stores (store, cursor, refused, since, forgotten, name) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET cursor = excluded.cursor, refused = excluded.refused,"
                " since = excluded.since, forgotten = excluded.forgotten, name = excluded.name",
                row,
            )
        if transaction.clock is not None:
            writer.execute("INSERT OR REPLACE INTO about VALUES ('clock', ?)", [encode_message(transaction.clock)])
        if transaction.areas is not None:
            writer.execute("INSERT OR REPLACE INTO about VALUES ('areas', ?)", [encode(transaction.areas)])
        for site, gateway in transaction.gateways.items():
            if gateway is None:
                writer.execute("DELETE FROM gateways WHERE area = ? AND site = ?", site)
            else:
                told = (*site, *gateway)
                writer.execute("INSERT OR REPLACE INTO gateways (area, site, online, keeps) VALUES (?, ?, ?, ?)", told)
        if writer.execute("PRAGMA data_version").fetchone() != (self._counted_at,):
            self._count_letters()
        if transaction.dead_letters:
            self._bury(transaction.dead_letters)
        if transaction.trim_through:
            self._trim(transaction.trim_through)

    def _write_snapshot(self, devices: Iterable[tuple[DeviceKey, list[Any]]], through: int) -> None:
        rows = ((*key, self._encode(state)) for key, state in devices)
        self._writer.executemany("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?)", rows)
        self._writer.execute("INSERT OR REPLACE INTO about VALUES ('snapshot', ?)", [through])
        self._writer.execute("DELETE FROM notes")

    def _bury(self, letters: list[DeadLetter]) -> None:
        self._writer.executemany(
            "INSERT INTO dead_letters (time_ms, by, topic, payload, reason) VALUES (?, ?, ?, ?, ?)", letters
        )
        self._letters += len(letters)
        self._letter_bytes += sum(
            len(letter.topic.encode()) + len(letter.payload) + len(letter.reason.encode()) for letter in letters
        )
        dropped = 0
        while self._letters > MAX_DEAD_LETTERS or self._letter_bytes > MAX_DEAD_LETTER_BYTES:
            rows = self._writer.execute(
                f"SELECT id, {_LETTER_BYTES} FROM dead_letters ORDER BY id LIMIT ?",
                [max(self._letters - MAX_DEAD_LETTERS, 100)],
            ).fetchall()
            self._writer.execute("DELETE FROM dead_letters WHERE id <= ?", [rows[-1][0]])
            self._letters -= len(rows)
            self._letter_bytes -= sum(row[1] for row in rows)
            dropped += len(rows)
        if dropped:
            self._forgotten += dropped
            self._writer.execute("INSERT OR REPLACE INTO about VALUES ('dead_letters_forgotten', ?)", [self._forgotten])

    def _trim(self, through: int) -> None:
        rows = self._writer.execute(
            "SELECT first, count, bytes FROM groups WHERE first <= ? ORDER BY first LIMIT ?", (through, TRIM_ROWS)
        ).fetchall()
        last = 0
        for first, count, size in rows:
            if first + count - 1 <= through:
                last = first
                self._groups_bytes -= size
                self._trimmed_through = first + count - 1
        if last:
            self._writer.execute("DELETE FROM groups WHERE first <= ?", [last])
        if len(rows) < TRIM_ROWS:
            self._trimmed_through = through

    # Reading back

    def read(self, number: int, max_points: int) -> list[Group]:
        """Groups from the one that holds point `number` on, until they have `max_points`; a short read.

        Raises `CommitFailed` if the disk does not answer.
        """
        groups: list[Group] = []
        found = 0
        try:
            with self._reading:
                rows = self._reader.execute(
                    "SELECT first, points, count FROM groups"
                    " WHERE first >= coalesce((SELECT max(first) FROM groups WHERE first <= ?), 0)"
                    " AND first + count > ? ORDER BY first LIMIT 1000",
                    [number, number],
                )
                blobs = []
                for first, points, count in rows:
                    blobs.append((first, points))
                    found += count
                    if found >= max_points:
                        break
                rows.close()
        except sqlite3.Error as error:
            raise CommitFailed(f"the journal cannot be read: {error}") from None
        for first, points in blobs:
            decoded = self._decode_points(points)
            groups.append(Group(first, decoded if first > self._may_lack_through else list(map(_completed, decoded))))
        return groups

    def dead_letters(self, limit: int = 100) -> list[dict[str, Any]]:
        """The newest dead letters, newest first."""
        with self._reading:
            rows = self._reader.execute(
                "SELECT time_ms, by, topic, payload, reason FROM dead_letters ORDER BY id DESC LIMIT ?", [limit]
            ).fetchall()
        return [
            {"time": time_ms, "by": by, "topic": topic, "payload": payload.decode(errors="replace"), "reason": reason}
            for time_ms, by, topic, payload, reason in rows
        ]

    # Forgetting

    def forget(self, resident: Resident) -> dict[str, int]:
        """Keep nothing of a site: points, devices, notes, dead letters; how many of each there were.

        Points leave `FORGOTTEN` in their place, for the others are known by their numbers. Among them are readings by
        which somebody else names the site: a snapshot beforehand, which stands for all notes, remembers that they came.
        One transaction, and then the file is written anew, so that no byte is left in free pages or in the log. Nobody
        else uses the journal meanwhile. Raises `CommitFailed`.
        """
        writer = self._writer
        try:
            writer.execute("BEGIN IMMEDIATE")
            self._take_snapshot()
            found = {
                "points": self._forget_points(resident),
                "devices": self._forget_devices(resident),
                "dead_letters": self._forget_letters(resident),
            }
            writer.execute("COMMIT")
            writer.execute("VACUUM")
            [is_read, *_] = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (sqlite3.Error, OSError) as error:
            with contextlib.suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            raise CommitFailed(str(error)) from None
        if is_read:
            raise CommitFailed("somebody reads it and does not let go, so its file still holds them; try again")
        return found

    def _take_snapshot(self) -> None:
        accounting = Accounting()
        self.replay(accounting)
        self._write_snapshot(
            ((key, device.state()) for key, device in accounting.devices.items()), self.counters().get("journaled", 0)
        )

    def _forget_points(self, resident: Resident) -> int:
        forgotten = 0
        for first, points in groups_with(self._writer, resident):
            kept = [FORGOTTEN if resident.is_in_point(point) else point for point in points]
            if number := kept.count(FORGOTTEN) - points.count(FORGOTTEN):
                blob = self._encode(kept)
                row = (len(blob) + ROW_OVERHEAD_BYTES, blob, first)
                self._writer.execute("UPDATE groups SET bytes = ?, points = ? WHERE first = ?", row)
                forgotten += number
        return forgotten

    def _forget_devices(self, resident: Resident) -> int:
        found = self._writer.execute("SELECT area, site, device FROM devices WHERE site = ?", [resident.site])
        keys = [key for key in found.fetchall() if resident.is_of(key[0], key[1])]
        self._writer.executemany("DELETE FROM devices WHERE area = ? AND site = ? AND device = ?", keys)
        self._writer.execute(
            "DELETE FROM gateways WHERE site = ? AND area = coalesce(?, area)", [resident.site, resident.area]
        )
        return len(keys)

    def _forget_letters(self, resident: Resident) -> int:
        rows = self._writer.execute("SELECT id, topic, payload, reason FROM dead_letters").fetchall()
        about = [(row[0],) for row in rows if resident.is_in(row[1], row[2], row[3])]
        self._writer.executemany("DELETE FROM dead_letters WHERE id = ?", about)
        return len(about)

    def keep_house(self) -> None:
        """Checkpoint the log when it has grown, and give free pages back. From any thread but the writer's.

        The passive checkpoint copies while commits go on; the second one finds little left, so the writer waits for
        it only briefly, and lets the log begin anew: under constant writing it would grow for ever otherwise.
        """
        with self._reading:
            try:
                wal_bytes = Path(f"{self._path}-wal").stat().st_size
                if wal_bytes >= _WAL_BYTES:
                    self._reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                    self._reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                free_pages = self._reader.execute("PRAGMA freelist_count").fetchone()[0]
                if free_pages > _VACUUM_PAGES:
                    # As a script: `execute` would step once, free one page, and go on holding the writer's lock.
                    self._reader.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES // 4})")
            except (sqlite3.Error, OSError):
                return  # the next commit meets the same disk, and tells

    def close(self) -> None:
        """Close the files and let another collector in."""
        with self._reading, contextlib.suppress(sqlite3.Error):
            self._reader.close()
        with contextlib.suppress(sqlite3.Error):
            self._writer.close()
        os.close(self._lock)


def known_stores(folder: Path) -> dict[str, str]:
    """The stores a journal has an account of: URL and name. The collector may be running. Raises `CommitFailed`."""
    with _beside(folder) as journal:
        return dict(journal.execute("SELECT store, name FROM stores"))


def take_back(folder: Path, store: str, letters: Sequence[int]) -> None:
    """Say that a store has points after all that it had refused: their dead letters leave, and it is counted how many.

    In one transaction beside the collector, which may be running and learns of it within a second. Letters that have
    left at their limit meanwhile count too; who calls sees to it that nobody else does (`dead_letters.alone`). Raises
    `CommitFailed`.
    """
    with _beside(folder) as journal:
        journal.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(letters))
        journal.execute(f"DELETE FROM dead_letters WHERE id IN ({marks})", letters)
        journal.execute("UPDATE stores SET replayed = replayed + ? WHERE store = ?", [len(letters), store])
        journal.execute("COMMIT")


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection for a moment, whoever owns the journal; what was not committed by its end is undone."""
    try:
        with contextlib.closing(_connect(folder / "journal.db")) as journal:
            _add_columns(journal)
            yield journal
    except sqlite3.Error as error:
        raise CommitFailed(f"the journal in {folder} cannot be used: {error}") from None


def _add_columns(journal: sqlite3.Connection) -> None:
    """What a journal of an earlier version lacks."""
    later = {
        "stores": (
            "forgotten INTEGER NOT NULL DEFAULT 0",
            "name TEXT NOT NULL DEFAULT ''",
            "replayed INTEGER NOT NULL DEFAULT 0",
        ),
        "gateways": ("keeps INTEGER",),
    }
    for table, columns in later.items():
        there = {row[1] for row in journal.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column.split()[0] not in there:
                journal.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


def groups_with(journal: sqlite3.Connection, resident: Resident) -> Iterator[tuple[int, list[Point]]]:
    """Groups in which a site may be, and the number of their first point; in short reads."""
    name, last = resident.site.encode(), -1
    decode = msgspec.msgpack.Decoder(list[Point]).decode
    while rows := journal.execute(
        "SELECT first, points FROM groups WHERE first > ? ORDER BY first LIMIT 100", [last]
    ).fetchall():
        for last, blob in rows:
            if name in blob:
                yield last, decode(blob)


_LETTER_BYTES = "length(CAST(topic AS BLOB)) + length(payload) + length(CAST(reason AS BLOB))"


def _completed(point: Point) -> Point:
    """A point as today's measurement has it: one that was journaled before an upgrade lacks the fields added since."""
    declared = MEASUREMENTS.get(point.measurement)
    lacking = 0 if declared is None else len(declared.fields) - len(point.values)
    return msgspec.structs.replace(point, values=(*point.values, *[None] * lacking)) if lacking > 0 else point


def _connect(path: Path) -> sqlite3.Connection:
    # Used from the threads of an executor, one at a time.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    # One fsync for each commit: without it a power cut could take back what was acknowledged.
    connection.execute("PRAGMA synchronous = FULL")
    # By `keep_house`, not by whichever commit fills the log.
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    # Debian builds with it on; zeroing rows that live for seconds would double what is written.
    connection.execute("PRAGMA secure_delete = OFF")
    # Freed pages are met again soon: 16 MiB holds the working set.
    connection.execute("PRAGMA cache_size = -16384")
    return connection


def _lock(folder: Path) -> int:
    """Take the folder for this process, for as long as it lives; a crash lets go of it by itself."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnusable(f"the data folder {folder} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 20).decode(errors="replace").strip()
        os.close(descriptor)
        raise JournalUnusable(
            f"another collector (process {owner or 'unknown'}) is using the data folder {folder};"
            " stop it, or give this one a folder of its own with --data"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
