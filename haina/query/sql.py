"""A `Query` as SQL for the DuckDB store: one table per measurement, with `time_ns`, the tags and the fields.

Nothing of a query but names that its own checks found in the contract becomes text of the statement; every value is a
parameter. The answer's columns are `window_ms`, the group's tags and `value`, in the order of tags, then time.

Of old points the store keeps hourly rollups (`haina_hourly`: count, sum, min, max). A question that can be answered
from those, because its windows are whole hours, its aggregate is made of them and its filters are on tags, is answered
from raw points and rollups together; an hour belongs to the range in which it begins. For any other question what was
rolled up is a gap.
"""

from haina.contract import measurement
from haina.contract.point import NS_PER_MS, TAGS
from haina.query.value import FROM_ROLLUPS, Aggregate, Filter, Query, fits_rollups

_AGGREGATES = {
    Aggregate.COUNT: "count({0})",
    Aggregate.SUM: "sum({0})",
    Aggregate.MEAN: "avg({0})",
    Aggregate.MIN: "min({0})",
    Aggregate.MAX: "max({0})",
    Aggregate.SPREAD: "max({0}) - min({0})",
    Aggregate.FIRST: "arg_max({0}, (-time_ns, {0}))",  # a tie has the same answer every time
    Aggregate.LAST: "arg_max({0}, (time_ns, {0}))",
}


def compile_sql(
    query: Query, start_ms: int, end_ms: int, now_ms: int | None = None, *, with_rollups: bool = False
) -> tuple[str, list[object]]:
    """The statement and its parameters for points from `start_ms` up to but not including `end_ms`.

    With `now_ms`, points at or after it stay hidden as well. Times are Unix milliseconds. `with_rollups`, where the
    query fits them, counts in what was rolled up.
    """
    if now_ms is not None:
        end_ms = min(end_ms, now_ms)
    group = [_quoted(tag) for tag in query.group]
    keys = ["window_ms", *(group if query.across is None else [_quoted(tag) for tag in TAGS])]
    source, parameters = _raw(query, start_ms, end_ms)
    if with_rollups and fits_rollups(query):
        rolled, more = _rolled(query, start_ms, end_ms)
        parameters += more
        statement = _select(keys, _of_parts(query), f"({_parts(query, source)} UNION ALL BY NAME {rolled})")
    else:
        statement = _select(keys, _aggregate(query.aggregate, _quoted(query.field)), source)
    if query.across is not None:
        statement = _select(["window_ms", *group], _aggregate(query.across, "value"), f"({statement})")
    order = ", ".join([*group, "window_ms"])
    return f"{statement} ORDER BY {order}", parameters


def _raw(query: Query, start_ms: int, end_ms: int) -> tuple[str, list[object]]:
    """The raw points of the range, each with its window."""
    parameters: list[object] = []
    window = _window(query, "time_ns", start_ms, parameters)
    conditions = [f"{_quoted(query.field)} IS NOT NULL", *_between("time_ns", start_ms, end_ms, parameters)]
    conditions.extend(_condition(condition, parameters) for condition in query.where)
    table = _quoted(query.measurement)
    return f"(SELECT {window} AS window_ms, * FROM {table} WHERE {' AND '.join(conditions)})", parameters


def _parts(query: Query, source: str) -> str:
    """Raw points in the form of rollups."""
    field = _quoted(query.field)
    aggregates = ["count(*) AS count"]
    if not _is_text(query):
        aggregates += [f"{function}({field})::DOUBLE AS {function}" for function in ("sum", "min", "max")]
    keys = ", ".join(["window_ms", *map(_quoted, TAGS)])
    return f"SELECT {keys}, {', '.join(aggregates)} FROM {source} GROUP BY {keys}"


def _rolled(query: Query, start_ms: int, end_ms: int) -> tuple[str, list[object]]:
    """The rollups of the range, each with its window."""
    parameters: list[object] = []
    window = _window(query, "hour_ns", start_ms, parameters)
    parameters += [query.measurement, query.field]
    conditions = ["measurement = ?", "field = ?", *_between("hour_ns", start_ms, end_ms, parameters)]
    conditions.extend(_condition(condition, parameters) for condition in query.where)
    columns = ["count"] if _is_text(query) else ["count", "sum", "min", "max"]
    keys = ", ".join([f"{window} AS window_ms", *map(_quoted, TAGS), *columns])
    return f"SELECT {keys} FROM haina_hourly WHERE {' AND '.join(conditions)}", parameters


def _of_parts(query: Query) -> str:
    """The aggregate made of counts, sums and extremes, as the type it has when it is made of points."""
    whole = query.aggregate is Aggregate.COUNT or (
        query.aggregate is not Aggregate.MEAN and measurement(query.measurement).field(query.field).type != "float"
    )
    return f"({FROM_ROLLUPS[query.aggregate]})::{'BIGINT' if whole else 'DOUBLE'}"


def _is_text(query: Query) -> bool:
    return measurement(query.measurement).field(query.field).type == "str"


def _window(query: Query, time: str, start_ms: int, parameters: list[object]) -> str:
    if query.window_s is None:
        parameters.append(start_ms)
        return "?::BIGINT"
    window_ms = query.window_s * 1000
    return f"{time} // {window_ms * NS_PER_MS} * {window_ms}"


def _between(time: str, start_ms: int, end_ms: int, parameters: list[object]) -> list[str]:
    parameters += [start_ms * NS_PER_MS, end_ms * NS_PER_MS]
    return [f"{time} >= ?", f"{time} < ?"]


def _select(keys: list[str], value: str, source: str) -> str:
    return f"SELECT {', '.join(keys)}, {value} AS value FROM {source} GROUP BY {', '.join(keys)}"


def _aggregate(aggregate: Aggregate, column: str) -> str:
    percentile = aggregate.percentile
    if percentile is not None:
        # Lists count from 1. The rank is computed in the order InfluxQL computes it, so both round alike.
        return f"list_sort(list({column}))[CAST(floor(count({column}) * {percentile}::DOUBLE / 100 + 0.5) AS BIGINT)]"
    return _AGGREGATES[aggregate].format(column)


def _condition(condition: Filter, parameters: list[object]) -> str:
    column = _quoted(condition.column)
    parameters.extend(int(value) if isinstance(value, bool) else value for value in condition.values)
    if condition.column in TAGS:
        marks = ", ".join("?" for _ in condition.values)
        return f"{column} {'IN' if condition.operator == '=' else 'NOT IN'} ({marks})"
    return f"{column} {condition.operator} ?"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
