"""The audit: is what was sent what is kept? It believes neither side's counters, only the readings.

The simulator wrote down, off the wire, how many readings each device sent in each minute of event time and the sum of
their hashes (`haina.ledger`). The audit reads every raw point of the ledgers' boots back from the store, of whatever
time, rebuilds the payload each must have come from, hashes it, and compares minute by minute:

- *lost*: sent, not stored. Where a minute's sequence numbers ran without a gap, which is nearly always, they are told
  apart by number, otherwise by count;
- *extra*: stored, never sent in that minute. A reading that is stored with a wrong time is lost in its own minute and
  extra in the other, however far away that is;
- *duplicates*: a device's reading (boot and seq) that a minute has more than once counts once for each row too many;
- *altered*: a minute whose readings are all there, and no others, but whose hashes do not add up: at least one value,
  time or measurement is not what was sent;
- *unchecked*: readings stored in a minute that also lost or gained some. That they are there is known, but not that
  they are unaltered: a sum of hashes says nothing of its parts.

Where raw points were rolled up by the store's retention, or are past the term of InfluxDB's bucket, there is nothing to
compare with; those device-minutes are counted as *gone*. Nor are devices compared that the ledger was told to forget,
and minutes in which a device of others named them. An audit that compared nothing at all is not clean.

Of a run that goes on neither side is complete: readings are on their way to the store, and the ledger is written every
two seconds. So what differs is asked of both sides again, until nothing more of it is put right for SETTLE_S. A
device-minute that has stayed as it was for all that time is an offence; one that was still changing is *left out*. An
audit after it has come to rest compares it, and every minute comes to rest: nothing hides behind this for long.

The counting happens in a DuckDB of its own, in memory with a limit and on disk beyond it; only the hashing touches
each point in Python. Points of boots that no ledger mentions are other runs', and the store leaves them out.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from collector.duckdb_store.database import device_numbers
from haina.contract import Measurement, measurement, point_hash, telemetry_payload
from haina.contract.point import NS_PER_MS
from haina.ledger import MINUTE_MS, SentMinute, forgotten_devices, is_being_written, ledger_boots, read_ledger
from haina.query.reader import Held, Reader

DAY_MINUTES = 1_440  # of event time: what one request for raw points covers
END_MINUTES = 2**31 - 1  # no event time is later
EXPIRING_S = 600  # what expires while it is compared, and how far clocks may be apart; assumed
SETTLE_S = 10.0  # well beyond the ledger's two seconds and a gateway's first repetition; assumed
MEMORY_LIMIT = "512MB"
_LEDGER_LINES = 50_000  # of a ledger at once

Device = tuple[str, str, str]  # area, site, device


@dataclass(frozen=True, slots=True)
class Offence:
    """A device-minute in which store and ledger differ."""

    area: str
    site: str
    device: str
    boot: int
    minute_ms: int  # the minute's start, Unix milliseconds of event time
    sent: int
    stored: int  # different readings
    lost: int
    extra: int
    duplicates: int
    altered: bool


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the audit found: readings, except `altered`, which counts device-minutes; see the module's docstring."""

    sent: int
    stored: int  # different readings of the ledgers' boots
    lost: int
    extra: int
    duplicates: int
    altered: int
    unchecked: int
    devices: int
    minutes: int  # device-minutes compared
    offences: int  # device-minutes that differ
    worst: tuple[Offence, ...]  # the first of them, most readings first
    gone: int = 0  # device-minutes from before the store's retention, not compared
    gone_before_ms: int = 0
    forgotten: int = 0  # devices that the ledgers were told to forget
    forgotten_minutes: int = 0  # device-minutes of others, who said something of them
    under_way: bool = False  # whether a run was still writing a ledger
    up_to_ms: int = 0  # the newest minute they told of when it began, Unix milliseconds of event time; 0 if it was over
    left_out: int = 0  # device-minutes up to then that were still changing, not compared
    left_out_readings: int = 0

    @property
    def clean(self) -> bool:
        """Whether exactly what was sent is stored, once; not when there was nothing to compare."""
        return self.minutes > 0 and self.offences == 0


def audit(sent: Iterable[str | Path], reader: Reader, worst: int = 20, settle_s: float = SETTLE_S) -> AuditReport:
    """Compare sent ledgers with a store, naming at most `worst` offending device-minutes.

    Of a run that goes on, what differs counts when it stayed so for `settle_s`. Raises OSError and BadLedger for a
    ledger, StoreUnreachable and QueryRefused for the store.
    """
    with tempfile.TemporaryDirectory(prefix="haina-audit-") as spill:
        config: dict[str, Any] = {"memory_limit": MEMORY_LIMIT, "threads": 2, "temp_directory": spill}
        with duckdb.connect(config=config) as count:
            return _Audit(count, list(sent), reader).run(worst, settle_s)


class _Audit:
    """One comparison under way; devices are numbers in its tables."""

    def __init__(self, count: duckdb.DuckDBPyConnection, ledgers: Sequence[str | Path], reader: Reader) -> None:
        self._count = count
        self._ledgers = ledgers
        self._reader = reader
        self._numbers: dict[Device, int] = {}
        self._boots: set[int] = set()
        self._first = self._newest = -1  # minutes that the ledgers told of when it began

    def run(self, worst: int, settle_s: float) -> AuditReport:
        under_way = self._under_way()
        forgotten = sum(map(forgotten_devices, self._ledgers))
        gone, gone_before_ms, forgotten_minutes = self._compare("compared")
        under_way = under_way or self._under_way()
        left_out, left_out_readings = self._settle(settle_s) if under_way else (0, 0)
        return replace(
            self._report(worst),
            gone=gone,
            gone_before_ms=gone_before_ms if gone else 0,
            forgotten=forgotten,
            forgotten_minutes=forgotten_minutes,
            under_way=under_way,
            up_to_ms=self._newest * MINUTE_MS if under_way and self._newest >= 0 else 0,
            left_out=left_out,
            left_out_readings=left_out_readings,
        )

    def _under_way(self) -> bool:
        return any(map(is_being_written, self._ledgers))

    def _settle(self, settle_s: float) -> tuple[int, int]:
        """Ask again about what differs, until nothing of it was put right for that long; what was still changing then.

        Device-minutes and readings, which are taken out of the comparison.
        """
        put_right_s = time.monotonic()
        offences = self._offences()
        while offences and time.monotonic() < put_right_s + settle_s:
            time.sleep(settle_s / 10)
            self._compare("again", self._offending_stretches())
            self._count.execute(_TAKE_OVER)
            before, offences = offences, self._offences()
            if offences < before:
                put_right_s = time.monotonic()
        return self._leave_out_changing(put_right_s)

    def _offences(self) -> int:
        [(offences,)] = self._count.execute("SELECT count(*) FROM compared WHERE offends").fetchall()
        return int(offences)

    def _offending_stretches(self) -> list[range]:
        """From the first to the last minute that differs on each day; what lies beyond the ledgers is of their ends."""
        stretches = self._count.execute(
            "SELECT min(minute), max(minute) FROM compared WHERE offends "
            "GROUP BY greatest(least(minute, ?), ?) // ? ORDER BY ALL",
            [self._newest, self._first, DAY_MINUTES],
        )
        return [range(first, last + 1) for first, last in stretches.fetchall()]

    def _leave_out_changing(self, since_s: float) -> tuple[int, int]:
        """Take out what differs and has changed since then: device-minutes and readings.

        And what was said after the audit began, unless it stays wrong.
        """
        changing = "offends AND since > ?"
        [(minutes, readings)] = self._count.execute(
            "SELECT count(*), coalesce(sum(greatest(sent, stored)), 0)::BIGINT FROM compared "
            f"WHERE {changing} AND minute <= ?",
            [since_s, self._newest],
        ).fetchall()
        self._count.execute(
            f"DELETE FROM compared WHERE {changing} OR (minute > ? AND NOT offends)", [since_s, self._newest]
        )
        return minutes, readings

    def _compare(self, table: str, again: Sequence[range] | None = None) -> tuple[int, int, int]:
        """Read both sides, or those minutes of them again, and put what each says of a device-minute into a table.

        What could not be compared: device-minutes before retention, when that was, device-minutes that were forgotten.
        """
        self._count.execute(_BOTH_SIDES)
        for path in self._ledgers:
            self._take_in_ledger(path, again)
        held = self._reader.describe()
        gone_before_ms = max((found.rolled_before_ms for found in held.values()), default=0)
        if term_s := self._reader.term_s():
            gone_before_ms = max(gone_before_ms, int(time.time() - term_s + EXPIRING_S) * 1000)
        gone_before_ms += -gone_before_ms % MINUTE_MS
        gone = self._leave_out_before(gone_before_ms)
        forgotten_minutes = self._set_forgotten_minutes_aside()
        for stretch in self._stretches() if again is None else again:
            for name, start_ms, end_ms in _pieces(held, gone_before_ms, stretch):
                for boots in _runs(self._boots):
                    for batch in self._reader.batches(name, start_ms, end_ms, boots):
                        self._take_in_points(measurement(name), batch)
        self._leave_out_forgotten("stored")
        self._count.execute(_COMPARISON.format(table=table, now_s=time.monotonic()))
        return gone, gone_before_ms, forgotten_minutes

    def _set_forgotten_minutes_aside(self) -> int:
        """Take out the minutes that say 0 readings; how many there are."""
        self._count.execute(
            "CREATE OR REPLACE TABLE forgotten AS SELECT DISTINCT device, boot, minute FROM sent WHERE readings = 0"
        )
        self._leave_out_forgotten("sent")
        [(minutes,)] = self._count.execute("SELECT count(*) FROM forgotten").fetchall()
        return int(minutes)

    def _leave_out_forgotten(self, table: str) -> None:
        self._count.execute(
            f"DELETE FROM {table} AS kept USING forgotten WHERE kept.device = forgotten.device "
            "AND kept.boot = forgotten.boot AND kept.minute = forgotten.minute"
        )

    def _leave_out_before(self, time_ms: int) -> int:
        """Forget what the ledgers say of minutes from before then; how many device-minutes that is."""
        before = time_ms // MINUTE_MS
        [(gone,)] = self._count.execute(
            "SELECT count(DISTINCT (device, boot, minute)) FROM sent WHERE minute < ?", [before]
        ).fetchall()
        self._count.execute("DELETE FROM sent WHERE minute < ?", [before])
        return int(gone)

    def _take_in_ledger(self, path: str | Path, stretches: Sequence[range] | None) -> None:
        self._boots |= ledger_boots(path)
        lines = read_ledger(path)
        if stretches is not None:
            lines = (line for line in lines if any(line.minute in stretch for stretch in stretches))
        while some := list(islice(lines, _LEDGER_LINES)):
            self._insert("sent", _ledger_columns(some, self._number))

    def _stretches(self) -> Iterator[range]:
        """All time: by days as far as the ledgers reach, for beyond it the store has hardly anything of these boots."""
        [(first, newest)] = self._count.execute("SELECT min(minute), max(minute) FROM sent").fetchall()
        if first is not None:
            self._first, self._newest = first, newest
        begin = 0
        for next_day in range(self._first + DAY_MINUTES, self._newest + 1, DAY_MINUTES):
            yield range(begin, next_day)
            begin = next_day
        yield range(begin, END_MINUTES)

    def _take_in_points(self, declared: Measurement, batch: Any) -> None:
        if not batch.num_rows:
            return
        numbers, devices = device_numbers(batch)
        own_numbers = np.array([self._number(device) for device in devices], dtype=np.int32)
        self._insert(
            "stored",
            {
                "device": pa.array(own_numbers[numbers]),
                "boot": batch.column("boot"),
                "minute": pa.array((batch.column("time_ns").to_numpy() // (NS_PER_MS * MINUTE_MS)).astype(np.int32)),
                "seq": batch.column("seq"),
                "hash": pa.array(list(point_hashes(declared, batch)), pa.uint64()),
            },
        )

    def _number(self, device: Device) -> int:
        return self._numbers.setdefault(device, len(self._numbers))

    def _insert(self, table: str, columns: dict[str, Any]) -> None:
        self._count.register("incoming", pa.table(columns))
        self._count.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        self._count.unregister("incoming")

    def _report(self, worst: int) -> AuditReport:
        (totals,) = self._rows(
            "SELECT sum(sent) AS sent, sum(stored) AS stored, sum(lost) AS lost, sum(extra) AS extra, "
            "sum(duplicates) AS duplicates, count(*) FILTER (altered) AS altered, "
            "sum(stored) FILTER (lost > 0 OR extra > 0) AS unchecked, count(DISTINCT device) AS devices, "
            "count(*) AS minutes, count(*) FILTER (offends) AS offences FROM compared"
        )
        offenders = self._rows(
            "SELECT device, boot, minute, sent, stored, lost, extra, duplicates, altered FROM compared WHERE offends "
            "ORDER BY lost + extra + duplicates DESC, minute, device LIMIT ?",
            worst,
        )
        names = list(self._numbers)
        offences = []
        for row in offenders:
            area, site, device = names[row.pop("device")]
            minute_ms = row.pop("minute") * MINUTE_MS
            offences.append(Offence(area=area, site=site, device=device, minute_ms=minute_ms, **row))
        sums: dict[str, Any] = {name: total or 0 for name, total in totals.items()}
        return AuditReport(**sums, worst=tuple(offences))

    def _rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        found = self._count.execute(sql, list(parameters))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _pieces(held: Mapping[str, Held], gone_before_ms: int, stretch: range) -> Iterator[tuple[str, int, int]]:
    """Which measurements to read in a stretch of minutes, and from when to when: as far as the store reaches."""
    for name, found in held.items():
        start_ms = max(stretch.start * MINUTE_MS, gone_before_ms, found.first_ms)
        stop_ms = min(stretch.stop * MINUTE_MS, found.latest_ms + 1)
        if start_ms < stop_ms:
            yield name, start_ms, stop_ms


def _runs(boots: Iterable[int]) -> Iterator[range]:
    """Boots without a gap together, as those of one run are."""
    for _, together in groupby(enumerate(sorted(boots)), key=lambda numbered: numbered[1] - numbered[0]):
        numbers = [boot for _, boot in together]
        yield range(numbers[0], numbers[-1] + 1)


def _ledger_columns(lines: Sequence[SentMinute], number: Callable[[Device], int]) -> dict[str, Any]:
    _, boots, areas, sites, devices, minutes, counts, firsts, lasts, hashes = zip(*lines, strict=True)
    return {
        "device": pa.array(list(map(number, zip(areas, sites, devices, strict=True))), pa.int32()),
        "boot": pa.array(boots, pa.int32()),
        "minute": pa.array(minutes, pa.int32()),
        "readings": pa.array(counts, pa.int64()),
        "first": pa.array(firsts, pa.int64()),
        "last": pa.array(lasts, pa.int64()),
        "hash": pa.array(hashes, pa.uint64()),
    }


def point_hashes(declared: Measurement, batch: Any) -> Iterator[int]:
    """The `point_hash` of each stored point, from the canonical payload it must have come from."""
    times_ms = (batch.column("time_ns").to_numpy() // NS_PER_MS).tolist()
    boots, seqs = batch.column("boot").to_pylist(), batch.column("seq").to_pylist()
    columns = []
    for field in declared.fields:
        column = batch.column(field.name)
        columns.append((column.cast(pa.bool_()) if field.type == "bool" else column).to_pylist())
    names = declared.field_names
    for time_ms, boot, seq, values in zip(times_ms, boots, seqs, zip(*columns, strict=True), strict=True):
        present = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        yield point_hash(declared.name, telemetry_payload(time_ms, boot, seq, present))


_BOTH_SIDES = """
CREATE OR REPLACE TABLE sent (
    device INT, boot INT, minute INT, readings BIGINT, first BIGINT, last BIGINT, hash UBIGINT
);
CREATE OR REPLACE TABLE stored (device INT, boot INT, minute INT, seq BIGINT, hash UBIGINT)
"""

_COMPARISON = """
CREATE OR REPLACE TEMP TABLE {table} AS
WITH expected AS (
    SELECT device, boot, minute, sum(readings) AS readings, min(first) AS first, max(last) AS last,
        sum(hash) % 18446744073709551616::HUGEINT AS hash
    FROM sent GROUP BY device, boot, minute
), readings AS (
    SELECT device, boot, minute, seq, count(*) - 1 AS again, min(hash) AS hash, min(hash) <> max(hash) AS differ
    FROM stored GROUP BY device, boot, minute, seq
), found AS (
    SELECT r.device, r.boot, r.minute, count(*) AS readings, sum(again) AS again,
        count(*) FILTER (seq BETWEEN first AND last) AS within,
        sum(r.hash) % 18446744073709551616::HUGEINT AS hash, bool_or(differ) AS differ
    FROM readings AS r LEFT JOIN expected USING (device, boot, minute) GROUP BY r.device, r.boot, r.minute
), joined AS (
    SELECT device, boot, minute,
        coalesce(expected.readings, 0) AS sent, coalesce(found.readings, 0) AS stored, coalesce(again, 0) AS duplicates,
        CASE WHEN last - first + 1 = expected.readings THEN coalesce(within, 0) ELSE least(sent, stored) END AS matched,
        expected.hash IS DISTINCT FROM found.hash OR coalesce(differ, false) AS unlike
    FROM expected FULL JOIN found USING (device, boot, minute)
)
SELECT device, boot, minute, sent, stored, sent - matched AS lost, stored - matched AS extra, duplicates,
    unlike AND lost = 0 AND extra = 0 AS altered,
    lost > 0 OR extra > 0 OR duplicates > 0 OR altered AS offends, {now_s}::DOUBLE AS since
FROM joined
"""

_TAKE_OVER = """
CREATE OR REPLACE TEMP TABLE taken AS
SELECT again.* REPLACE (
    CASE WHEN (again.sent, again.stored, again.duplicates) = (compared.sent, compared.stored, compared.duplicates)
    THEN compared.since ELSE again.since END AS since
) FROM compared JOIN again USING (device, boot, minute) WHERE compared.offends;
DELETE FROM compared WHERE offends;
INSERT INTO compared SELECT * FROM taken
"""
