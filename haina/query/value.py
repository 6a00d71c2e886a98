"""A question to a store, as a value: what a panel shows, whatever store answers.

A *series* is what one device says in one measurement; its tags are area, site and device. A query first
filters points, then aggregates them over time:

- without `across`: all points of a window and a group are pooled and aggregated once;
- with `across`: each device's points of a window are aggregated by `aggregate` first, then the devices of a
  group are aggregated by `across`. (Mean power of a site's meters, summed over an area: `mean`, then `sum`.)

Windows are half-open, aligned to 1970-01-01T00:00Z, and named by their start, which for the first one may lie before
the range. A window without points is absent: gaps stay gaps. Booleans are the numbers 0 and 1. A point whose field is
absent does not exist for the query, and one whose filtered field is absent passes no filter.

The p-th percentile of n values is the value of rank ⌊n·p/100 + ½⌋, which is how InfluxQL rounds the nearest rank. Which
of several devices' points at one and the same nanosecond is `first` or `last` is the store's own choice: group by
device where that matters.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from haina.contract import Field, measurement
from haina.contract.point import TAGS


class Aggregate(StrEnum):
    """How many points become one value."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SPREAD = "spread"  # max - min
    FIRST = "first"
    LAST = "last"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"

    @property
    def percentile(self) -> int | None:
        """Which percentile it is, None when it is none."""
        return _PERCENTILES.get(self)


HOUR_S = 3_600

_PERCENTILES = {Aggregate.P50: 50, Aggregate.P95: 95, Aggregate.P99: 99}
_FOR_TEXT = frozenset({Aggregate.COUNT, Aggregate.FIRST, Aggregate.LAST})
_ORDERED = frozenset({Aggregate.FIRST, Aggregate.LAST})  # devices of a group have no first or last

FROM_ROLLUPS = {
    Aggregate.COUNT: 'sum("count")',
    Aggregate.SUM: 'sum("sum")',
    Aggregate.MEAN: 'sum("sum") / sum("count")',
    Aggregate.MIN: 'min("min")',
    Aggregate.MAX: 'max("max")',
    Aggregate.SPREAD: 'max("max") - min("min")',
}
"""The aggregates that count, sum, least and greatest of parts are enough for, and how; in SQL and InfluxQL alike."""


@dataclass(frozen=True)
class Filter:
    """Keep points whose tag or field compares so.

    A tag takes `=` (any of the texts) or `!=` (none of them). A text field takes `=` or `!=` and one text, any other
    field one number; True and False are 1 and 0.
    """

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    values: tuple[str | float | int | bool, ...]


@dataclass(frozen=True)
class Query:
    """One question, without its time range: that belongs to whoever looks.

    Raises ValueError with a sentence when measurement, field, group or filter do not exist or do not fit.
    `window_s` None asks for one value over the whole range, named by the range's start.
    """

    measurement: str
    field: str
    aggregate: Aggregate = Aggregate.MEAN
    window_s: int | None = None
    group: tuple[str, ...] = ()
    where: tuple[Filter, ...] = ()
    across: Aggregate | None = None

    def __post_init__(self) -> None:
        try:
            declared = measurement(self.measurement)
            field = declared.field(self.field)
        except KeyError as unknown:
            raise ValueError(unknown.args[0]) from None
        if field.type == "str" and self.aggregate not in _FOR_TEXT:
            raise ValueError(f"{self.measurement}.{self.field} is text; count, first or last it")
        if field.type == "str" and self.aggregate in _ORDERED and self.across not in {None, Aggregate.COUNT}:
            raise ValueError(f"{self.measurement}.{self.field} is text; across devices it can only be counted")
        if self.across in _ORDERED:
            raise ValueError(f"devices have no order, so there is no {self.across} across them")
        if self.window_s is not None and self.window_s < 1:
            raise ValueError(f"a window is at least 1 s, got {self.window_s}")
        for tag in self.group:
            if tag not in TAGS:
                raise ValueError(f"cannot group by {tag!r}; tags are {', '.join(TAGS)}")
        for condition in self.where:
            if condition.column in TAGS:
                _check_tag(condition)
            elif condition.column in declared.field_names:
                _check_field(condition, declared.field(condition.column))
            else:
                columns = ", ".join((*TAGS, *declared.field_names))
                raise ValueError(f"cannot filter {self.measurement} by {condition.column!r}; there are {columns}")

    @property
    def answer_type(self) -> Literal["float", "int", "str"]:
        """What the answer's values are; a store that prints 12.0 as 12 does not tell."""
        answer: Literal["float", "int", "str"] = "int"
        declared = measurement(self.measurement).field(self.field).type
        if declared != "bool":
            answer = declared
        for aggregate in (self.aggregate, self.across):
            if aggregate is Aggregate.COUNT:
                answer = "int"
            elif aggregate is Aggregate.MEAN:
                answer = "float"
        return answer


def fits_rollups(query: Query) -> bool:
    """Whether count, sum, least and greatest of each whole hour and device are enough to answer it."""
    return (
        query.aggregate in FROM_ROLLUPS
        and (query.window_s is None or query.window_s % HOUR_S == 0)
        and all(condition.column in TAGS for condition in query.where)
    )


def _check_tag(condition: Filter) -> None:
    if condition.operator not in {"=", "!="}:
        raise ValueError(f"tag {condition.column!r} takes = or !=, not {condition.operator}")
    if not condition.values or not all(isinstance(value, str) for value in condition.values):
        raise ValueError(f"tag {condition.column!r} compares with one or more texts, got {condition.values!r}")


def _check_field(condition: Filter, field: Field) -> None:
    if len(condition.values) != 1:
        raise ValueError(f"field {field.name!r} compares with exactly one value, got {condition.values!r}")
    value = condition.values[0]
    if field.type == "str":
        if condition.operator not in {"=", "!="} or not isinstance(value, str):
            raise ValueError(f"field {field.name!r} is text and takes = or != and a text")
    elif isinstance(value, str) or not math.isfinite(value):
        raise ValueError(f"field {field.name!r} compares with a finite number, got {value!r}")


@dataclass(frozen=True)
class Series:
    """An answer's line: the group's tags, and values at window starts (ms since 1970), ascending."""

    tags: dict[str, str]
    times_ms: list[int]
    values: list[float | int | str]
