"""Retention: raw points become hourly rollups that answer the same, in pieces, once, and within the limits."""

import itertools
from pathlib import Path

import duckdb
import httpx
import pytest
from msgspec.structs import replace

from collector.audit import audit
from collector.duckdb_store import hourly
from collector.duckdb_store.database import AtLimit, Database, Keep, RolledUp
from collector.stores import open_store
from collector.stores.duckdb import record_batch
from haina.contract import Point, measurement
from haina.query import Aggregate, Filter, Query
from haina.query.reader import open_reader
from tests.haina_store import RunningStore, haina_store, run_store_command
from tests.query.test_same_answer import edge_cases
from tests.stores.points import START_MS, build_points
from tests.stores.test_audit import build_run, write_ledger

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = START_MS + 100 * DAY_MS
ALL = 10**12

RAW = {Aggregate.COUNT, Aggregate.SUM, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.SPREAD}


def write(database: Database, points: list[Point], source: str = "journal", cursor: int | None = None) -> int:
    names = sorted({point.measurement for point in points})
    batches = [record_batch(measurement(name), [p for p in points if p.measurement == name]) for name in names]
    return database.write(source, cursor or len(points), len(points), batches)


def roll_up_all(database: Database, now_ms: int = NOW_MS) -> int:
    return sum(piece.points for piece in iter(lambda: database.retain(now_ms), None))


def ask(database: Database, query: Query, start_ms: int = 0, end_ms: int = ALL * 10) -> list[tuple[object, ...]]:
    found = database.answer(query, start_ms, end_ms, None, max_rows=100_000)
    return [
        (*series.tags.values(), time_ms, value)
        for series in found
        for time_ms, value in zip(series.times_ms, series.values, strict=True)
    ]


def newest(points: list[Point], days: float) -> Point:
    """A point that makes all of these so many days old."""
    return replace(points[-1], time_ms=max(p.time_ms for p in points) + round(days * DAY_MS), seq=999_999, area="other")


def test_rollups_answer_what_raw_points_answered(tmp_path: Path) -> None:
    """Every aggregate, across every other, in hours, days and over all, by site, filtered; and what they cannot
    answer, a percentile or a window of minutes, is a gap and not a wrong number.
    """
    points = edge_cases("a01")
    database = Database(tmp_path)
    write(database, [*points, newest(points, 40)])
    fields = [("wearable", "worn"), ("wearable", "steps"), ("wearable", "heart_rate_bpm"), ("kiosk_state", "fault")]
    only = (Filter("area", "=", ("a01",)),)
    queries = [
        Query(name, field, aggregate, window_s, group, only, across)
        for (name, field), aggregate, window_s, group, across in itertools.product(
            fields, RAW, (None, 3_600, 86_400), ((), ("site",)), (None, Aggregate.SUM, Aggregate.P50)
        )
        if field != "fault" or (aggregate is Aggregate.COUNT and across is not Aggregate.P50)
    ]
    unanswerable = [
        Query("wearable", "steps", Aggregate.P95, 3_600, (), only),
        Query("wearable", "steps", Aggregate.MEAN, 60, (), only),
        Query("wearable", "steps", Aggregate.MEAN, 3_600, (), (*only, Filter("worn", "=", (True,)))),
    ]
    before = [ask(database, query) for query in queries]
    assert all(ask(database, query) for query in unanswerable)
    assert roll_up_all(database) == len(points)
    assert database.retain(NOW_MS) is None
    for query, answer in zip(queries, before, strict=True):
        rolled = ask(database, query)
        assert [row[:-1] for row in rolled] == [row[:-1] for row in answer], query
        assert [row[-1] for row in rolled] == pytest.approx([row[-1] for row in answer]), query
        assert [type(row[-1]) for row in rolled] == [type(row[-1]) for row in answer], query
    assert not any(ask(database, query) for query in unanswerable)
    database.close()


def test_late_points_are_added_and_doubles_are_not(tmp_path: Path) -> None:
    """A late point counts at once, then in the rollup; a batch sent again counts once, before and after."""
    points = build_points(3_000)
    database = Database(tmp_path)
    early, late = points[::2], points[1::2]
    write(database, [*early, newest(points, 40)])
    write(database, early, "another", len(early))  # the same keys from another source
    roll_up_all(database)
    count = Query("wearable", "steps", Aggregate.COUNT, 3_600, ("device",), (Filter("area", "=", ("caoyang",)),))
    total = Query("wearable", "steps", Aggregate.SUM, None, (), count.where)
    write(database, late, cursor=len(early) + 1 + len(late))
    waiting = ask(database, count), ask(database, total)
    write(database, late, cursor=len(early) + 1 + len(late))
    assert roll_up_all(database) == len(late)
    assert (ask(database, count), ask(database, total)) == waiting
    wearable = [point for point in points if point.measurement == "wearable"]
    assert sum(int(str(row[-1])) for row in waiting[0]) == len(wearable)
    assert waiting[1][0][-1] == sum(int(str(point.values[1])) for point in wearable)
    database.close()


def test_a_run_in_the_past_and_a_clock_in_the_future_make_nothing_old(tmp_path: Path) -> None:
    """Age counts back from the newest point, or from now if that is earlier."""
    points = build_points(100)
    database = Database(tmp_path)
    write(database, points)
    assert roll_up_all(database, NOW_MS) == 0
    write(database, [newest(points, 1_000)], "another", 1)
    assert roll_up_all(database, START_MS + DAY_MS) == 0
    assert roll_up_all(database, NOW_MS) == 100
    assert roll_up_all(database, START_MS + 1_900 * DAY_MS) == 0
    assert ask(database, Query("wearable", "steps", Aggregate.COUNT))[0][-1] == 68
    database.keep = Keep(hourly_days=900)
    roll_up_all(database, START_MS + 1_900 * DAY_MS)
    assert ask(database, Query("wearable", "steps", Aggregate.COUNT))[0][-1] == 1
    database.close()


def test_kill_9_between_rollup_and_deletion_leaves_all_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends in the middle of the transaction: nothing is doubled, nothing is lost, and it is done later."""
    points = build_points(600)
    database = Database(tmp_path, keep=Keep(hourly_days=0))
    write(database, [*points, newest(points, 40)])
    monkeypatch.setattr(database, "_transaction", lambda: _begun(database))
    piece = database.retain(NOW_MS)
    assert piece is not None
    assert piece.points == 400
    copied = tmp_path / "as-it-was-killed"
    copied.mkdir()
    for file in tmp_path.glob("haina.duckdb*"):
        (copied / file.name).write_bytes(file.read_bytes())
    revived = Database(copied)
    assert sum(revived.rows.values()) == 601
    assert revived.rolled_before_ns == {}
    assert roll_up_all(revived) == 600
    count = Query("wearable", "steps", Aggregate.COUNT, None, (), (Filter("area", "=", ("caoyang",)),))
    assert ask(revived, count)[0][-1] == 400
    revived.close()


class _begun:  # noqa: N801  a context manager that never commits
    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database._writer.begin()

    def __exit__(self, *failure: object) -> None: ...


def test_near_the_limit_the_oldest_go_first_and_space_is_used_again(tmp_path: Path) -> None:
    """Sixteen days of points that would not fit; what is not rolled up is raw, and the newest hour is."""
    database = Database(tmp_path, keep=Keep(max_bytes=4 * 2**20))
    day_of_points = build_points(40_000, devices=400)
    written = 0
    pieces: list[RolledUp] = []
    for day in range(16):
        points = [replace(p, time_ms=p.time_ms + day * DAY_MS) for p in day_of_points]
        written += write(database, points, cursor=written + len(points))
        pieces += iter(lambda: database.retain(NOW_MS), None)
    assert written == 16 * len(day_of_points)
    assert pieces
    assert all(piece.early for piece in pieces)
    assert database.used_bytes(measure=True) <= 4 * 2**20
    assert database.size_bytes() <= 8 * 2**20
    assert 0 < sum(database.rows.values()) == written - _rolled(database)
    newest_hour = Query("wearable", "steps", Aggregate.P50)
    assert ask(database, newest_hour, START_MS + 15 * DAY_MS)
    database.close()


def test_at_the_limit_writes_are_not_taken_and_the_newest_hour_stays(tmp_path: Path) -> None:
    database = Database(tmp_path, keep=Keep(max_bytes=2**19))
    written = 0
    while database.used_bytes(measure=True) < 2**19:
        written += write(database, build_points(9_000, first=written + 1, devices=6_000), cursor=written + 9_000)
        assert written < 1_000_000
    with pytest.raises(AtLimit, match="--max-size"):
        write(database, build_points(9_000, first=written + 1, devices=6_000), cursor=written + 9_000)
    assert roll_up_all(database) == 0
    assert sum(database.rows.values()) == written
    database.close()


def _rolled(database: Database) -> int:
    with database.reading() as cursor:
        fields = "('steps', 'state')"  # fields that every point of the two measurements has
        row = cursor.execute(f"SELECT sum(count) FROM haina_hourly WHERE field IN {fields}").fetchone()
    return int(row[0]) if row else 0


def test_the_process_rolls_up_and_says_when_it_must_do_so_early(tmp_path: Path) -> None:
    points = build_points(200)
    with haina_store(tmp_path, "--keep-days", "1") as store:
        client = open_store(store.url)
        client.write("journal", 201, [*points, newest(points, 3)])
        client.close()
        store.restart()  # the first pass is at the start
        with open_reader(store.url) as reader:
            for _ in range(600):
                if all(held.points == 0 for name, held in reader.describe().items() if name == "kiosk_state"):
                    break
                httpx.get(f"{store.http_url}/healthz")
            held = reader.describe()
            assert held["wearable"].points in {0, 1}
            assert held["wearable"].rolled_before_ms > START_MS
            count = Query("wearable", "steps", Aggregate.COUNT, 3_600, (), (Filter("area", "=", ("caoyang",)),))
            assert sum(int(str(value)) for value in reader.run(count, 0, ALL * 10)[0].values) == 134
        health = httpx.get(f"{store.http_url}/healthz").json()
        assert (health["limit_bytes"], health["rolled_up_early_before_ms"]) == (10 * 2**30, None)
    process = run_store_command("store", "--data", str(tmp_path), "--max-size", "plenty")
    assert "is not a size" in process.communicate(timeout=90)[1]
    assert process.returncode == 2
    process = run_store_command("store", "--data", str(tmp_path), "--keep-hourly-days", "inf")
    assert "--keep-hourly-days" in process.communicate(timeout=90)[1]
    assert process.returncode == 2


def test_the_audit_of_a_time_whose_raw_points_are_gone_says_so(tmp_path: Path) -> None:
    points = build_run(readings=600)
    ledger = write_ledger(tmp_path / "run.sent", points)
    with haina_store(tmp_path / "store") as store:
        client = open_store(store.url)
        client.write("journal", len(points), points)
        client.close()
        half_ms = START_MS + HOUR_MS
        roll_up_before(store, half_ms)
        with open_reader(store.url) as reader:
            report = audit([ledger], reader)
        assert report.clean
        assert report.gone > 0
        assert report.gone_before_ms == half_ms
        assert report.sent == sum(point.time_ms >= half_ms for point in points)
        process = run_store_command("audit", "--sent", str(ledger), "--store", store.url)
        assert "gone by retention" in process.communicate(timeout=90)[0]
        assert process.returncode == 0
        roll_up_before(store, START_MS + DAY_MS)
        process = run_store_command("audit", "--sent", str(ledger), "--store", store.url)
        printed, complained = process.communicate(timeout=90)
        assert (process.returncode, printed) == (2, "")
        assert f"nothing to compare: {ledger} holds only 4" in complained
        assert complained.endswith("2026-09-22 02:00 UTC, whose raw points are gone by retention\n")


def roll_up_before(store: RunningStore, before_ms: int) -> None:
    store.stop()
    database = Database(store.folder)
    with database._transaction():
        for name in ("wearable", "kiosk_state"):
            hourly.move(database._writer, measurement(name), 0, before_ms * 1_000_000)
    database.close()
    store.start()


def test_forgetting_a_site_leaves_no_byte_of_it_and_all_else(tmp_path: Path) -> None:
    """Raw and rolled up; kill -9 before the new file took the old one's place leaves the old one, to try again."""
    points = build_points(2_000)
    other = [replace(point, site="h0999-of-somebody", area="changfeng") for point in build_points(2_000)]
    database = Database(tmp_path)
    write(database, points + other)
    for day in (40, 41):
        write(database, [newest(points, day)], f"source-{day}", 1)
    database.keep = Keep(raw_days=40.9)
    roll_up_all(database)
    write(database, [replace(p, time_ms=p.time_ms + 41 * DAY_MS) for p in other], "later", 2_000)
    (tmp_path / "haina.duckdb.fresh").write_bytes(b"half a file")
    database.close()
    assert b"h0999-of-somebody" in (tmp_path / "haina.duckdb").read_bytes()
    database = Database(tmp_path)
    everybody_else = Query(
        "wearable", "steps", Aggregate.SUM, 3_600, ("area", "site"), (Filter("area", "!=", ("changfeng",)),)
    )
    before = ask(database, everybody_else)
    assert database.forget("h0999-of-somebody", "elsewhere") == 0
    assert database.forget("h0999-of-somebody") > 2_000
    assert database.forget("h0999-of-somebody") == 0
    assert ask(database, everybody_else) == before
    database.write("source-40", 1, 1, [])  # cursors are still known
    database.close()
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["haina.duckdb"]
    assert b"h0999" not in (tmp_path / "haina.duckdb").read_bytes()
    with duckdb.connect(str(tmp_path / "haina.duckdb")) as file:
        assert file.execute("SELECT count(*) FROM readable.hourly").fetchone() != (0,)
