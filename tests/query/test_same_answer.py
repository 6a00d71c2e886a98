"""One question, one answer: `haina store` and InfluxDB agree on every shape of query over the same points."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.stores import open_store
from haina.contract import MEASUREMENTS, Point
from haina.contract.point import time_ns
from haina.query import Aggregate, Filter, Query, Series
from haina.query.reader import Reader, open_reader
from tests.haina_store import haina_store
from tests.influx import influxdb_1, influxdb_2

DAY_MS = 1_790_035_200_000  # 2026-09-22T00:00Z, a multiple of every window used here
ACROSS = [None, *(across for across in Aggregate if across not in {Aggregate.FIRST, Aggregate.LAST})]
AREAS = itertools.count()


@dataclass
class Twins:
    """Two stores that are given the same points, and their readers."""

    urls: tuple[str, str]
    tokens: tuple[str | None, str | None]
    written: int = 0

    def __post_init__(self) -> None:
        pairs = list(zip(self.urls, self.tokens, strict=True))
        self.stores = [open_store(url, token) for url, token in pairs]
        self.readers: list[Reader] = [open_reader(url, token) for url, token in pairs]

    def close(self) -> None:
        for store in self.stores:
            store.close()
        for reader in self.readers:
            reader.close()

    def write(self, points: Sequence[Point]) -> None:
        self.written += len(points)
        for store in self.stores:
            store.write("twins", self.written, points)

    def compare(self, queries: Sequence[Query], start_ms: int, end_ms: int) -> int:
        """Ask both; fail where they differ; how many values they agreed on."""
        values = 0
        for page in (queries[n : n + 100] for n in range(0, len(queries), 100)):
            mine, theirs = (reader.run_many(page, start_ms, end_ms) for reader in self.readers)
            for query, one, other in zip(page, mine, theirs, strict=True):
                assert isinstance(one, list), one
                assert isinstance(other, list), other
                _assert_same(query, one, other)
                values += sum(len(series.values) for series in one)
        return values


def _assert_same(query: Query, one: list[Series], other: list[Series]) -> None:
    """Equal; but a mean or sum of floats may differ in its last digits, for stores add in different orders."""
    assert [(line.tags, line.times_ms) for line in one] == [(line.tags, line.times_ms) for line in other], query
    inexact = query.answer_type == "float" and {query.aggregate, query.across} & {Aggregate.MEAN, Aggregate.SUM}
    for mine, theirs in zip(one, other, strict=True):
        assert [type(value) for value in mine.values] == [type(value) for value in theirs.values], query
        if inexact:
            assert mine.values == pytest.approx(theirs.values, rel=1e-9, abs=1e-6), query
        else:
            assert mine.values == theirs.values, query


@pytest.fixture(scope="module", params=[1, 2], ids=["influxdb-1", "influxdb-2"])
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with (
        influxdb_1() if request.param == 1 else influxdb_2() as influx,
        haina_store(tmp_path_factory.mktemp("store"), "--keep-days", "0") as store,
    ):
        pair = Twins((store.url, influx.create_bucket("town")), (None, influx.token or None))
        yield pair
        pair.close()


def edge_cases(area: str) -> list[Point]:
    """Two hours of three homes: gaps, negative floats, absent fields, points at borders and in one millisecond.

    No two devices share a nanosecond: which of them is then first or last is each store's own choice.
    """
    draw = random.Random(7)
    points = []
    for number, site in enumerate(("home-1", "home-2", "home-3")):
        for second, device in enumerate(("wearable-1", "wearable-2")[: number + 1]):
            moments = [DAY_MS + minute * 60_000 for minute in range(-1, 120) if not 30 <= minute < 50 + number]
            moments += [DAY_MS + 7 * 60_000 - 1, DAY_MS + 3_600_000, DAY_MS + 3_600_000, DAY_MS + 3_600_000]
            for seq, moment in enumerate(sorted(moments), start=1000 * (2 * number + second)):
                values = (
                    draw.random() < 0.8,
                    draw.choice([0, 3, 3, 17, 1_000]),
                    round(draw.uniform(0, 100), 1),
                    None if draw.random() < 0.5 else float(draw.randint(50, 120)),
                    None if draw.random() < 0.9 else 97.0,
                )
                values += (None,) * (len(MEASUREMENTS["wearable"].fields) - len(values))  # it may grow
                points.append(Point("wearable", area, site, device, moment, 1, seq, values))
                outside = (round(draw.gauss(0, 15), 1), float(draw.randint(0, 100)), 12.0, draw.random() < 0.3)
                points.append(Point("weather", area, site, device, moment, 1, seq, outside))
                fault = draw.choice(["none", "none", "paper_jam", "network"])
                points.append(
                    Point("kiosk_state", area, site, device, moment, 1, seq, (seq % 4, fault, 50.5, None, None))
                )
    draw.shuffle(points)
    return points


FIELDS = [
    ("wearable", "worn"),
    ("wearable", "steps"),
    ("wearable", "heart_rate_bpm"),
    ("wearable", "spo2_pct"),
    ("weather", "temperature_c"),
]


def test_every_aggregate_across_every_aggregate_has_one_answer(twins: Twins) -> None:
    """All aggregates × across × windows × groups, over a range that begins and ends inside a window."""
    area = f"area-{next(AREAS)}"
    twins.write(edge_cases(area))
    only = (Filter("area", "=", (area,)),)
    queries = [
        Query(name, field, aggregate, window_s, group, only, across)
        for (name, field), aggregate, across, window_s, group in itertools.product(
            FIELDS, Aggregate, ACROSS, (None, 420), ((), ("site",))
        )
    ]
    assert twins.compare(queries, DAY_MS + 90_000, DAY_MS + 3_600_000) > len(queries)


@pytest.mark.parametrize("window_s", [None, 1, 60, 3_600, 86_400])
def test_windows_begin_at_1970_and_empty_ones_are_absent(twins: Twins, window_s: int | None) -> None:
    """Windows of any width, with groups of none, one and all tags."""
    area = f"area-{next(AREAS)}"
    twins.write(edge_cases(area))
    only = (Filter("area", "=", (area,)),)
    queries = [
        Query("wearable", "steps", aggregate, window_s, group, only)
        for aggregate in Aggregate
        for group in ((), ("area",), ("device",), ("site", "device"), ("device", "site", "area"))
    ]
    assert twins.compare(queries, DAY_MS, DAY_MS + 7_200_000) >= len(queries)
    series = twins.readers[0].run(Query("wearable", "steps", Aggregate.COUNT, 60, (), only), DAY_MS, DAY_MS + 7_200_000)
    minutes = {(time_ms - DAY_MS) // 60_000 for time_ms in series[0].times_ms}
    assert minutes == set(range(30)) | set(range(50, 120))


def test_texts_are_counted_and_the_first_and_last_found(twins: Twins) -> None:
    area = f"area-{next(AREAS)}"
    twins.write(edge_cases(area))
    only = (Filter("area", "=", (area,)),)
    queries = [
        Query("kiosk_state", "fault", aggregate, window_s, group, only, across)
        for aggregate in (Aggregate.COUNT, Aggregate.FIRST, Aggregate.LAST)
        for across in (None, Aggregate.COUNT, *([Aggregate.MAX] if aggregate is Aggregate.COUNT else []))
        for window_s in (None, 60, 600)
        for group in ((), ("site",))
    ]
    assert twins.compare(queries, DAY_MS, DAY_MS + 7_200_000) > 0


@pytest.mark.parametrize(
    "condition",
    [
        Filter("site", "=", ("home-1",)),
        Filter("site", "=", ("home-1", "home-3")),
        Filter("site", "!=", ("home-1",)),
        Filter("site", "!=", ("home-1", "home-3")),
        Filter("site", "=", ("home-'\"\\; drop", "home-2")),
        Filter("fault", "=", ("none",)),
        Filter("fault", "!=", ("none",)),
        Filter("state", ">=", (2,)),
        Filter("state", "!=", (2.0,)),
        Filter("state", "<", (2.5,)),
        Filter("paper_pct", "<=", (50.5,)),
        Filter("paper_pct", ">", (1e-7,)),
        Filter("paper_pct", ">", (-1e-7,)),
    ],
    ids=str,
)
def test_a_filter_keeps_the_same_points(twins: Twins, condition: Filter) -> None:
    area = f"area-{next(AREAS)}"
    twins.write(edge_cases(area))
    where = (Filter("area", "=", (area,)), condition)
    queries = [Query("kiosk_state", "state", aggregate, 600, ("site",), where) for aggregate in Aggregate]
    assert twins.compare(queries, DAY_MS, DAY_MS + 7_200_000) > 0


@pytest.mark.parametrize(
    "condition",
    [
        Filter("worn", "=", (True,)),
        Filter("worn", "!=", (True,)),
        Filter("heart_rate_bpm", "!=", (60,)),
        Filter("heart_rate_bpm", ">", (80.5,)),
        Filter("spo2_pct", "<=", (97,)),
    ],
    ids=str,
)
def test_an_absent_field_passes_no_filter(twins: Twins, condition: Filter) -> None:
    area = f"area-{next(AREAS)}"
    twins.write(edge_cases(area))
    where = (Filter("area", "=", (area,)), condition)
    queries = [Query("wearable", "steps", aggregate, 600, ("site",), where) for aggregate in Aggregate]
    assert twins.compare(queries, DAY_MS, DAY_MS + 7_200_000) > 0


def test_a_range_holds_its_start_and_not_its_end(twins: Twins) -> None:
    """Of points at the start, in one millisecond, just before the end and at it, only the last stays out."""
    area = f"area-{next(AREAS)}"
    moments = [DAY_MS - 1, DAY_MS, DAY_MS, DAY_MS, DAY_MS + 59_999, DAY_MS + 60_000, DAY_MS + 60_001]
    twins.write([Point("home_motion", area, "s", "d", moment, 1, n + 1, (True,)) for n, moment in enumerate(moments)])
    query = Query("home_motion", "motion", Aggregate.COUNT, None, (), (Filter("area", "=", (area,)),))
    for reader in twins.readers:
        assert reader.run(query, DAY_MS, DAY_MS + 60_000) == [Series({}, [DAY_MS], [4])]


def test_points_after_now_are_in_the_range_they_are_asked_for(twins: Twins) -> None:
    """A town that runs ahead of the wall clock is not hidden by a store's idea of now."""
    area = f"area-{next(AREAS)}"
    far_ms = 4_102_444_800_000  # 2100
    twins.write([Point("home_motion", area, "s", "d", far_ms + n * 1000, 1, n + 1, (True,)) for n in range(90)])
    only = (Filter("area", "=", (area,)),)
    queries = [Query("home_motion", "motion", Aggregate.SUM, 60, (), only, across) for across in ACROSS]
    assert twins.compare(queries, far_ms, far_ms + 3_600_000) == 2 * len(queries)


def test_raw_points_come_back_as_they_were_written(twins: Twins) -> None:
    area = f"area-{next(AREAS)}"
    written = edge_cases(area)
    twins.write(written)
    for reader in twins.readers:
        found = [
            point
            for name in ("wearable", "weather", "kiosk_state")
            for point in reader.points(name, DAY_MS - 60_000, DAY_MS + 7_200_000, area=area)
        ]
        assert sorted(found, key=_key) == sorted(written, key=_key)
        some = list(reader.points("weather", DAY_MS, DAY_MS + 60_000, area=area, site="home-2", device="wearable-2"))
        assert {point.device for point in some} == {"wearable-2"}
        assert all(DAY_MS <= point.time_ms < DAY_MS + 60_000 for point in some)


def test_a_store_tells_from_when_to_when_it_has_points(twins: Twins) -> None:
    """`describe` covers what was written; both name the same measurements and times."""
    twins.write(edge_cases(f"area-{next(AREAS)}"))
    one, other = (reader.describe() for reader in twins.readers)
    assert one.keys() == other.keys() >= {"wearable", "weather", "kiosk_state"}
    for name, held in one.items():
        assert (held.first_ms, held.latest_ms) == (other[name].first_ms, other[name].latest_ms)
    assert twins.readers[0].latest_ms() == twins.readers[1].latest_ms() != None  # noqa: E711


def _key(point: Point) -> tuple[object, ...]:
    return (point.measurement, point.area, point.site, point.device, time_ns(point.time_ms, point.seq))


def _values(name: str) -> st.SearchStrategy[tuple[object, ...]]:
    strategies: list[st.SearchStrategy[object]] = []
    for field in MEASUREMENTS[name].fields:
        low, high = field.limits()
        one: st.SearchStrategy[object]
        match field.type:
            case "bool":
                one = st.booleans()
            case "int":
                one = st.integers(int(low), int(high))
            case "float":
                one = st.floats(low, high, allow_nan=False).map(partial(round, ndigits=field.decimals))
            case "str":
                one = st.sampled_from(field.choices)
        strategies.append(one if field.required else st.none() | one)
    return st.tuples(*strategies)


@st.composite
def _towns(draw: st.DrawFn) -> list[Point]:
    """Some points of several devices around a few windows' borders, with unique keys."""
    name = draw(st.sampled_from(["wearable", "home_bed", "weather", "centre_queue"]))
    moments = st.integers(-2, 6).flatmap(
        lambda window: st.sampled_from([-1, 0, 0, 1, 17]).map(lambda beside: DAY_MS + window * 60_000 + beside)
    )
    devices = st.tuples(st.sampled_from(["s-1", "s-2"]), st.sampled_from(["d-1", "d-2"]))
    rows = draw(st.lists(st.tuples(devices, moments, _values(name)), max_size=40))
    return [
        Point(name, "", site, device, moment, 1, number, values)  # type: ignore[arg-type]
        for number, ((site, device), moment, values) in enumerate(rows, start=1)
    ]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    town=_towns(),
    window_s=st.sampled_from([None, 1, 60, 300]),
    group=st.sampled_from([(), ("site",), ("device",), ("site", "device")]),
    start=st.sampled_from([-120_000, -1, 0, 1, 30_000]),
    length=st.sampled_from([1, 60_000, 60_001, 250_000, 600_000]),
)
def test_any_town_has_one_answer(
    twins: Twins, town: list[Point], window_s: int | None, group: tuple[str, ...], start: int, length: int
) -> None:
    area = f"area-{next(AREAS)}"
    twins.write([replace(point, area=area) for point in town])
    name = town[0].measurement if town else "weather"
    only = (Filter("area", "=", (area,)),)
    queries = [
        Query(name, field.name, aggregate, window_s, group, only, across)
        for field in MEASUREMENTS[name].fields
        for aggregate in Aggregate
        for across in (None, Aggregate.SUM, Aggregate.MAX, Aggregate.P50)
    ]
    twins.compare(queries, DAY_MS + start, DAY_MS + start + length)
