"""A question to a store, as a value: what a panel shows, whatever store answers.

A *series* is what one device says in one measurement; its tags are area, site and device. A query first
filters points, then aggregates them over time:

- without `across`: all points of a window and a group are pooled and aggregated once;
- with `across`: each device's points of a window are aggregated by `aggregate` first, then the devices of a
  group are aggregated by `across`. (Mean power of a site's meters, summed over an area: `mean`, then `sum`.)

Windows are half-open, aligned to 1970-01-01T00:00Z, and named by their start. A window without points is
absent: gaps stay gaps. Booleans are the numbers 0 and 1. Percentiles are nearest-rank.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from haina.contract import measurement
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


_FOR_TEXT = frozenset({Aggregate.COUNT, Aggregate.FIRST, Aggregate.LAST})


@dataclass(frozen=True)
class Filter:
    """Keep points whose tag or field compares so. A tag takes `=` or `!=` with one or more texts (any of, none of)."""

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
            columns = {*TAGS, *declared.field_names}
        except KeyError as unknown:
            raise ValueError(unknown.args[0]) from None
        if field.type == "str" and (self.aggregate not in _FOR_TEXT or self.across not in {None, Aggregate.COUNT}):
            raise ValueError(f"{self.measurement}.{self.field} is text; count, first or last it")
        if self.window_s is not None and self.window_s < 1:
            raise ValueError(f"a window is at least 1 s, got {self.window_s}")
        for tag in self.group:
            if tag not in TAGS:
                raise ValueError(f"cannot group by {tag!r}; tags are {', '.join(TAGS)}")
        for condition in self.where:
            if condition.column not in columns:
                raise ValueError(f"cannot filter by {condition.column!r}; there are {', '.join(sorted(columns))}")
            if condition.column in TAGS and condition.operator not in {"=", "!="}:
                raise ValueError(f"tag {condition.column!r} takes = or !=, not {condition.operator}")
            if condition.column not in TAGS and len(condition.values) != 1:
                raise ValueError(f"field {condition.column!r} compares with exactly one value")


@dataclass(frozen=True)
class Series:
    """An answer's line: the group's tags, and values at window starts (ms since 1970), ascending."""

    tags: dict[str, str]
    times_ms: list[int]
    values: list[float | int | str]
