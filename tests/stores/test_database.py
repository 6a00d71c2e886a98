"""The file: points and cursors move together, a key is there once, and what does not fit is said in a sentence."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.duckdb_store.database import AlreadyHas, BatchNotTaken, BatchRefused, Database, TooMuch
from collector.duckdb_store.tables import StoreProblem
from collector.stores.duckdb import record_batch
from haina.contract import Point, measurement
from haina.query import Aggregate, Query
from tests.stores.points import START_MS, build_points, wristband

LONG_MS = 10**12


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


def write(database: Database, source: str, cursor: int, points: list[Point]) -> int:
    by_name: dict[str, list[Point]] = {}
    for point in points:
        by_name.setdefault(point.measurement, []).append(point)
    batches = [record_batch(measurement(name), group) for name, group in by_name.items()]
    return database.write(source, cursor, len(points), batches)


def rows(database: Database, name: str) -> list[tuple[object, ...]]:
    with database.reading() as cursor:
        return cursor.execute(f'SELECT site, device, time_ns, seq, steps FROM "{name}" ORDER BY ALL').fetchall()


def test_a_batch_written_again_is_skipped(database: Database) -> None:
    points = build_points(100)
    assert write(database, "journal", 100, points) == 100
    assert write(database, "journal", 100, points) == 0
    assert sum(database.rows.values()) == 100


def test_a_batch_that_is_there_in_part_names_the_part(database: Database) -> None:
    write(database, "journal", 60, build_points(60))
    with pytest.raises(AlreadyHas) as caught:
        write(database, "journal", 100, build_points(50, first=51))
    assert caught.value.have == 60


def test_a_batch_may_begin_after_a_refused_point(database: Database) -> None:
    write(database, "journal", 10, build_points(10))
    assert write(database, "journal", 30, build_points(19, first=12)) == 19


def test_each_source_has_its_own_cursor(database: Database) -> None:
    assert write(database, "one", 10, build_points(10)) == 10
    assert write(database, "other", 10, build_points(10, area="caojiadu")) == 10


def test_past_the_limit_on_sources_the_one_that_has_been_silent_for_longest_is_forgotten_and_nothing_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each replay of dead letters is one, and a new collector must not find all places taken."""
    monkeypatch.setattr("collector.duckdb_store.database.MAX_SOURCES", 3)
    moments_ns = itertools.count(START_MS * 10**6, 10**6)
    monkeypatch.setattr("time.time_ns", lambda: next(moments_ns))
    for source in ("journal", "replay-1", "replay-2"):
        assert write(database, source, 10, build_points(10)) == 10
    assert write(database, "journal", 20, build_points(10, first=11)) == 10
    assert write(database, "a new journal", 5, build_points(5, first=21)) == 5
    assert [write(database, source, 10, build_points(10)) for source in ("replay-2", "journal", "replay-1")] == [
        0,
        0,
        10,
    ]
    assert sum(database.rows.values()) == 25


def test_cursors_and_points_survive_a_restart(tmp_path: Path) -> None:
    first = Database(tmp_path)
    write(first, "journal", 10, build_points(10))
    first.close()
    second = Database(tmp_path)
    assert sum(second.rows.values()) == 10
    assert write(second, "journal", 10, build_points(10)) == 0
    assert write(second, "new journal", 10, build_points(10)) == 10  # the same keys from elsewhere change nothing
    assert sum(second.rows.values()) == 10
    second.close()


@settings(max_examples=20)
@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.sampled_from(["home-1", "home-2"]), st.integers(0, 12), st.integers(1, 3), st.integers(0, 99)),
            min_size=1,
            max_size=25,
        ),
        max_size=6,
    )
)
def test_a_key_is_there_once_with_its_last_values(batches: list[list[tuple[str, int, int, int]]]) -> None:
    """Whatever comes late, twice or out of order, the table is what a dictionary by key would be."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder))
        model: dict[tuple[str, int, int], int] = {}
        cursor = 0
        for batch in batches:
            points = [
                Point("wearable", "a", site, "d", START_MS + moment, 1, seq, wristband(worn=True, steps=steps))
                for site, moment, seq, steps in batch
            ]
            model.update({(site, moment, seq): steps for site, moment, seq, steps in batch})
            cursor += len(points)
            write(database, "journal", cursor, points)
        expected = [
            (site, "d", (START_MS + moment) * 1_000_000 + seq, seq, steps)
            for (site, moment, seq), steps in model.items()
        ]
        assert rows(database, "wearable") == sorted(expected)
        assert database.rows["wearable"] == len(model)
        database.close()


def test_a_failed_batch_leaves_neither_points_nor_cursor(database: Database) -> None:
    """The second measurement of a batch is refused: the first is not there either."""
    good = record_batch(measurement("wearable"), [p for p in build_points(10) if p.measurement == "wearable"])
    bad = record_batch(measurement("kiosk_state"), [p for p in build_points(10) if p.measurement == "kiosk_state"])
    bad = bad.set_column(4, "boot", pa.nulls(bad.num_rows, pa.int32()))
    with pytest.raises(BatchRefused, match="key"):
        database.write("journal", 10, 10, [good, bad])
    assert sum(database.rows.values()) == 0
    assert write(database, "journal", 10, build_points(10)) == 10


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda batch: batch.replace_schema_metadata({"measurement": "gravity"}), "does not know the measurement"),
        (lambda batch: batch.append_column("mood", batch.column("steps")), "does not know the field wearable.mood"),
    ],
    ids=["measurement", "field"],
)
def test_what_a_newer_collector_says_waits_for_a_newer_store(database: Database, change: object, sentence: str) -> None:
    batch = record_batch(measurement("wearable"), [p for p in build_points(3) if p.measurement == "wearable"])
    with pytest.raises(BatchNotTaken, match=sentence):
        database.write("journal", 2, 2, [change(batch)])  # type: ignore[operator]


@pytest.mark.parametrize(
    "change",
    [
        lambda batch: batch.set_column(7, "steps", batch.column("steps").cast("string")),
        lambda batch: batch.drop_columns(["seq"]),
        lambda batch: batch.slice(1),
    ],
    ids=["type", "column", "count"],
)
def test_a_batch_that_is_no_batch_is_refused(database: Database, change: object) -> None:
    batch = record_batch(measurement("wearable"), [p for p in build_points(3) if p.measurement == "wearable"])
    with pytest.raises(BatchRefused):
        database.write("journal", 2, 2, [change(batch)])  # type: ignore[operator]


def test_an_answer_with_too_many_values_is_refused(database: Database) -> None:
    write(database, "journal", 100, build_points(100))
    query = Query("wearable", "steps", Aggregate.MEAN, 10, ("device",))
    assert database.answer(query, 0, 2 * LONG_MS, None, max_rows=100)
    with pytest.raises(TooMuch, match="more than 10 values"):
        database.answer(query, 0, 2 * LONG_MS, None, max_rows=10)


def test_points_after_now_can_stay_hidden(database: Database) -> None:
    write(database, "journal", 100, build_points(100))
    query = Query("wearable", "steps", Aggregate.COUNT)
    (all_of_it,) = database.answer(query, 0, 2 * LONG_MS, None, max_rows=10)
    (until_now,) = database.answer(query, 0, 2 * LONG_MS, START_MS + 50_000, max_rows=10)
    assert 0 < until_now.values[0] < all_of_it.values[0]


def test_an_interrupted_read_says_so(database: Database) -> None:
    """What the store's time limit does to a query."""
    write(database, "journal", 100, build_points(100))
    query = Query("wearable", "steps", Aggregate.COUNT)

    def started(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(
            "CREATE TEMP VIEW wearable AS SELECT 1::BIGINT AS time_ns, range AS steps FROM range(10000000000000)"
        )
        import threading

        threading.Timer(0.2, cursor.interrupt).start()

    with pytest.raises(TooMuch, match="too long"):
        database.answer(query, 0, LONG_MS, None, max_rows=10, started=started)


def test_a_new_field_becomes_a_column_that_old_rows_lack(tmp_path: Path) -> None:
    first = Database(tmp_path)
    write(first, "journal", 10, build_points(10))
    first.close()
    with duckdb.connect(str(first.path)) as file:
        file.execute("DROP VIEW readable.wearable")
        file.execute("ALTER TABLE wearable DROP COLUMN spo2_pct")
    second = Database(tmp_path)
    values = wristband(worn=True, steps=3, battery_pct=88.5, spo2_pct=97.0)
    points = [
        replace(point, values=values) if point.measurement == "wearable" else point
        for point in build_points(10, first=11)
    ]
    write(second, "journal", 20, points)
    with second.reading() as cursor:
        found = cursor.execute("SELECT spo2_pct FROM readable.wearable ORDER BY seq").fetchall()
    assert [value for (value,) in found] == [None] * 7 + [97.0] * 7
    second.close()


def _change(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as file:
        for statement in statements:
            file.execute(statement)


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["UPDATE haina_store SET format = 99"], "has format 99"),
        (["DROP TABLE haina_store"], "something else"),
        (
            ["DROP VIEW readable.wearable", "ALTER TABLE wearable ALTER COLUMN steps TYPE DOUBLE"],
            "wearable.steps is DOUBLE",
        ),
    ],
    ids=["newer-format", "other-file", "changed-type"],
)
def test_a_file_that_does_not_fit_is_named_with_what_to_do(
    tmp_path: Path, statements: list[str], sentence: str
) -> None:
    Database(tmp_path).close()
    path = tmp_path / "haina.duckdb"
    _change(path, *statements)
    with pytest.raises(StoreProblem, match=sentence) as caught:
        Database(tmp_path)
    assert str(path) in str(caught.value)
    _change(path, "SELECT 1")  # and it let go of the file


def test_raw_points_stream_in_pieces_that_make_one_arrow_stream(database: Database) -> None:
    points = build_points(300)
    write(database, "journal", 300, points)
    parts = list(database.points("wearable", 0, 2 * LONG_MS, {"device": "device-1"}))
    table = pa.ipc.open_stream(io.BytesIO(b"".join(parts))).read_all()
    wanted = [point.seq for point in points if point.measurement == "wearable" and point.device == "device-1"]
    assert sorted(table.column("seq").to_pylist()) == wanted
