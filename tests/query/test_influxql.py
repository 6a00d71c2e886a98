"""InfluxQL for Grafana is the same question as InfluxQL for a reader: with the variables filled in, the same answer."""

from collections.abc import Iterator

import pytest

from collector.stores import open_store
from haina.query import Aggregate, Filter, Query
from haina.query.influxql import compile_influxql, quote_name, quote_text, time_range
from haina.query.reader import open_reader
from tests.influx import RunningInflux, influxdb_1
from tests.query.test_same_answer import DAY_MS, edge_cases


@pytest.fixture(scope="module")
def influx() -> Iterator[RunningInflux]:
    with influxdb_1() as running:
        yield running


def test_a_statement_for_grafana_answers_as_a_reader_does(influx: RunningInflux) -> None:
    url = influx.create_bucket("grafana")
    store = open_store(url)
    points = edge_cases("area-1")
    store.write("journal", len(points), points)
    store.close()
    end_ms = DAY_MS + 3_600_000
    filled_in = {
        "$timeFilter": f"time >= {DAY_MS}ms and time <= {end_ms - 1}ms",  # as Grafana does, both ends included
        "$__interval": "10m",
        "${site:regex}": "(home-1|home-3)",
    }
    sites = Filter("site", "=", ("home-1", "home-3"))
    for aggregate in Aggregate:
        for across in (None, Aggregate.SUM, Aggregate.P95):
            query = Query("wearable", "steps", aggregate, 300, ("site",), across=across)
            statement = compile_influxql(
                query, time_range="$timeFilter", window="$__interval", where_raw=['"site" =~ /^${site:regex}$/']
            )
            for variable, text in filled_in.items():
                assert variable in statement
                statement = statement.replace(variable, text)
            found = {
                line["tags"]["site"]: [(time_ns // 1_000_000, value) for time_ns, value in line["values"]]  # type: ignore[index,attr-defined]
                for line in influx.query("grafana", statement)
            }
            with open_reader(url) as reader:
                same = Query("wearable", "steps", aggregate, 600, ("site",), (sites,), across)
                expected = {
                    line.tags["site"]: list(zip(line.times_ms, line.values, strict=True))
                    for line in reader.run(same, DAY_MS, end_ms)
                }
            assert found == expected
            assert found


def test_every_level_of_a_statement_has_the_range_and_leaves_gaps() -> None:
    """Without an upper bound InfluxQL hides what is later than now; without fill(none) it fills what was not there."""
    for aggregate in Aggregate:
        for across in (None, Aggregate.MAX):
            for window_s in (None, 60):
                query = Query("wearable", "steps", aggregate, window_s, ("site",), across=across)
                statement = compile_influxql(query, time_range=time_range(1, 2))
                levels = 1 if across is None else 2
                assert statement.count("time >= 1ms AND time < 2ms") == levels
                assert statement.count("fill(none)") == statement.count("time(60s)") == (levels if window_s else 0)


@pytest.mark.parametrize("text", ["plain", "it's", '"', "\\", "\\'", 'a"b\\', "line\nbreak", "养老"])
def test_no_text_or_name_ends_its_own_quotes(influx: RunningInflux, text: str) -> None:
    """InfluxDB's own parser finds one statement in it, about a measurement that is not there."""
    influx.create_bucket("quoting")
    statement = f"SELECT {quote_name(text)} FROM {quote_name(text)} WHERE {quote_name('tag')} = {quote_text(text)}"
    assert influx.query("quoting", statement) == []
    assert influx.query("quoting", f"SELECT * FROM {quote_name('; DROP DATABASE quoting --')}") == []


def test_numbers_are_written_without_exponents() -> None:
    query = Query("weather", "temperature_c", where=(Filter("temperature_c", ">", (-1e-7,)),))
    assert '"temperature_c" > -0.0000001 AND' in compile_influxql(query, time_range=time_range(1, 2))
