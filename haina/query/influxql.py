"""A `Query` as InfluxQL, which InfluxDB 1, 2 and 3 answer, and Grafana asks.

Three habits of InfluxQL would otherwise bend the answer. `GROUP BY time()` without an upper bound ends at the server's
now and fills every empty window with null, so a time range is always demanded and `fill(none)` always said. A
subquery's windows carry their start, which may lie before the range, so the outer level needs windows of the same width
and the range again. And there is no exponent notation, so numbers are written out.

What `haina rollup` has made of old points lies in another bucket: per hour and device, count, mean, min and max of each
field. A question that fits rollups (`haina.query.value.fits_rollups`) is put together from both, as in SQL.
"""

from collections.abc import Sequence
from decimal import Decimal

from haina.contract.point import TAGS
from haina.query.value import FROM_ROLLUPS, Aggregate, Filter, Query


def time_range(start_ms: int, end_ms: int) -> str:
    """The condition for points from `start_ms` up to but not including `end_ms`, in Unix milliseconds."""
    return f"time >= {start_ms}ms AND time < {end_ms}ms"


def compile_influxql(query: Query, *, time_range: str, window: str | None = None, where_raw: Sequence[str] = ()) -> str:
    """The statement, its answer in a column `value`.

    `time_range` is a condition with an upper bound: `time_range(...)` above, or Grafana's `$timeFilter`. `window` says
    how wide windows are instead of the query's own `window_s`, such as Grafana's `$__interval`. The conditions in
    `where_raw` go in as they are, for Grafana's variables: `"site" =~ /^${site:regex}$/`.
    """
    if window is None and query.window_s is not None:
        window = f"{query.window_s}s"
    conditions = [*(_condition(condition) for condition in query.where), *where_raw, time_range]
    statement = (
        f'SELECT {_aggregate(query.aggregate, quote_name(query.field))} AS "value" '
        f"FROM {quote_name(query.measurement)} WHERE {' AND '.join(conditions)}"
    )
    return _grouped(query, statement, time_range, window)


def hourly_bucket(bucket: str) -> str:
    """Where `haina rollup` keeps the hours of a bucket."""
    return f"{bucket}-hourly"


def compile_with_hours(query: Query, start_ms: int, end_ms: int, raw_from_ms: int, hours: str) -> str:
    """The statement for a query that fits rollups: from bucket `hours` before the hour `raw_from_ms`, then from points.

    An hour belongs to the range in which it begins.
    """
    sources = [_hours(query, hours, [time_range(start_ms, min(end_ms, raw_from_ms))])]
    if end_ms > raw_from_ms:
        parts = ", ".join(f"{part}({quote_name(query.field)}) AS {quote_name(part)}" for part in _parts(query))
        where = [*map(_condition, query.where), time_range(raw_from_ms, end_ms)]
        points = f"SELECT {parts} FROM {quote_name(query.measurement)} WHERE {' AND '.join(where)}"
        sources.append(f"({points}{_group('1h', TAGS)})")
    span = time_range(start_ms, end_ms)
    statement = f'SELECT {FROM_ROLLUPS[query.aggregate]} AS "value" FROM {", ".join(sources)} WHERE {span}'
    return _grouped(query, statement, span, f"{query.window_s}s" if query.window_s else None)


def compile_from_hours(query: Query, hours: str, *, time_range: str, window: str, where_raw: Sequence[str] = ()) -> str:
    """The statement for a query that fits rollups, from bucket `hours` alone; see `compile_influxql`."""
    source = _hours(query, hours, [*where_raw, time_range])
    statement = f'SELECT {FROM_ROLLUPS[query.aggregate]} AS "value" FROM {source} WHERE {time_range}'
    return _grouped(query, statement, time_range, window)


def _hours(query: Query, hours: str, conditions: Sequence[str]) -> str:
    """The parts that the answer is made of, by hour and device, as a source."""
    column = {part: quote_name(f"{query.field}_{part}") for part in ("count", "min", "max")}
    column["sum"] = f"{quote_name(f'{query.field}_mean')} * {column['count']}"
    parts = ", ".join(f"{column[part]} AS {quote_name(part)}" for part in _parts(query))
    where = " AND ".join([*map(_condition, query.where), *conditions])
    return (
        f"(SELECT {parts} FROM {quote_name(hours)}..{quote_name(query.measurement)} WHERE {where}{_group(None, TAGS)})"
    )


def _parts(query: Query) -> list[str]:
    return [part for part in ("count", "sum", "min", "max") if f'"{part}"' in FROM_ROLLUPS[query.aggregate]]


def _grouped(query: Query, statement: str, time_range: str, window: str | None) -> str:
    """The statement in its groups, or by device and then across them."""
    if query.across is None:
        return statement + _group(window, query.group)
    inner = statement + _group(window, TAGS)
    outer = f'SELECT {_aggregate(query.across, quote_name("value"))} AS "value" FROM ({inner}) WHERE {time_range}'
    return outer + _group(window, query.group)


def quote_name(name: str) -> str:
    """A measurement, field or tag key as an InfluxQL identifier."""
    return _quoted(name, '"')


def quote_text(text: str) -> str:
    """A text as an InfluxQL string literal."""
    return _quoted(text, "'")


def _quoted(text: str, mark: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(mark, f"\\{mark}").replace("\n", "\\n")
    return f"{mark}{escaped}{mark}"


def _group(window: str | None, tags: Sequence[str]) -> str:
    keys = [*([f"time({window})"] if window else []), *(quote_name(tag) for tag in tags)]
    return (f" GROUP BY {', '.join(keys)}" if keys else "") + (" fill(none)" if window else "")


def _aggregate(aggregate: Aggregate, column: str) -> str:
    percentile = aggregate.percentile
    return f"percentile({column}, {percentile})" if percentile is not None else f"{aggregate}({column})"


def _condition(condition: Filter) -> str:
    column = quote_name(condition.column)
    comparisons = [f"{column} {condition.operator} {_literal(value)}" for value in condition.values]
    joined = (" OR " if condition.operator == "=" else " AND ").join(comparisons)
    return f"({joined})" if len(comparisons) > 1 else joined


def _literal(value: str | float | int | bool) -> str:
    if isinstance(value, str):
        return quote_text(value)
    if isinstance(value, bool | int):
        return str(int(value))
    return format(Decimal(repr(value)), "f")
