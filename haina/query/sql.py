"""A `Query` as SQL for the DuckDB store: one table per measurement, with `time_ns`, the tags and the fields.

Nothing of a query but names that its own checks found in the contract becomes text of the statement; every value is a
parameter. The answer's columns are `window_ms`, the group's tags and `value`, in the order of tags, then time.
"""

from haina.contract.point import NS_PER_MS, TAGS
from haina.query.value import Aggregate, Filter, Query

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


def compile_sql(query: Query, start_ms: int, end_ms: int, now_ms: int | None = None) -> tuple[str, list[object]]:
    """The statement and its parameters for points from `start_ms` up to but not including `end_ms`.

    With `now_ms`, points at or after it stay hidden as well. Times are Unix milliseconds.
    """
    if now_ms is not None:
        end_ms = min(end_ms, now_ms)
    parameters: list[object] = []
    window = _window(query, start_ms, parameters)
    field = _quoted(query.field)
    conditions = [f"{field} IS NOT NULL", "time_ns >= ?", "time_ns < ?"]
    parameters += [start_ms * NS_PER_MS, end_ms * NS_PER_MS]
    conditions.extend(_condition(condition, parameters) for condition in query.where)
    group = [_quoted(tag) for tag in query.group]
    inner_group = group if query.across is None else [_quoted(tag) for tag in TAGS]
    statement = _select(
        ["window_ms", *inner_group],
        _aggregate(query.aggregate, field),
        f"(SELECT {window} AS window_ms, * FROM {_quoted(query.measurement)} WHERE {' AND '.join(conditions)})",
    )
    if query.across is not None:
        statement = _select(["window_ms", *group], _aggregate(query.across, "value"), f"({statement})")
    order = ", ".join([*group, "window_ms"])
    return f"{statement} ORDER BY {order}", parameters


def _window(query: Query, start_ms: int, parameters: list[object]) -> str:
    if query.window_s is None:
        parameters.append(start_ms)
        return "?::BIGINT"
    window_ms = query.window_s * 1000
    return f"time_ns // {window_ms * NS_PER_MS} * {window_ms}"


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
