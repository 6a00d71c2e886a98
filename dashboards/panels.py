"""What a dashboard shows, as values: a *page* has *panels*, a panel has *lines*, a line asks one query.

Panels are defined once and rendered twice, by Grafana (`dashboards.grafana`) and by the console
(`dashboards.console`); both renderers are total over `Kind`. A panel holds no words: titles, line names, states
and units are keys of the text catalogue (`dashboards.text`), so it speaks every language there is.

How a panel looks at time is its `Span`. `WINDOWS` draws the chosen range window by window; `RANGE` folds the
whole range into one value a series; `RECENT` asks for what is true now: one value over the last `recent_s`,
long enough that every working device has reported at least once.

A window that is still running holds too few readings. Where that would mislead -- counts, sums, anything
aggregated across devices -- the console shows whole windows only (`Panel.whole_windows_only`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from haina.contract import measurement
from haina.query import Aggregate, Filter, Query

COLUMNS = 12  # the width of a page; Grafana's grid has twice as many


class Kind(StrEnum):
    """The kinds of panel. A new one needs a renderer in Grafana and in the browser; tests say so."""

    TIME_SERIES = "time_series"
    STAT = "stat"
    GAUGE = "gauge"
    BAR_GAUGE = "bar_gauge"
    TABLE = "table"
    STATE_TIMELINE = "state_timeline"
    STATUS_HISTORY = "status_history"
    BAR_CHART = "bar_chart"
    HEATMAP = "heatmap"
    PIE = "pie"
    TEXT = "text"


class Span(StrEnum):
    """How a panel looks at time."""

    WINDOWS = "windows"
    RANGE = "range"
    RECENT = "recent"


class Level(StrEnum):
    """What a value means to the reader; each theme has a colour for it."""

    CALM = "calm"
    GOOD = "good"
    WATCH = "watch"
    BAD = "bad"


@dataclass(frozen=True)
class Line:
    """One query of a panel. `name` is a key `line.<name>` of the catalogue; without one, the group's tags speak."""

    query: Query
    name: str = ""


@dataclass(frozen=True)
class Threshold:
    """From `value` upwards, `level` holds."""

    value: float
    level: Level


@dataclass(frozen=True)
class State:
    """A number that is a name: key `state.<name>` of the catalogue."""

    value: int
    name: str
    level: Level


@dataclass(frozen=True)
class Panel:
    """One panel. Its title is the catalogue's `panel.<id>`, its explanation `about.<id>`.

    `unit` is a key `unit.<unit>`; `per_s` turns what a window counted into a rate per that many seconds;
    `least_window_s` is how often its devices report, below which windows would be empty. `bars` draws events in a
    window rather than a quantity over time. `everywhere` keeps it the whole town's, whatever area or site is chosen.
    `most_series` bounds what is drawn (`order` says which are kept), the rest being counted and said. Sizes
    are columns of 12 and rows of about 40 px.
    Raises ValueError with a sentence when the parts do not fit each other.
    """

    id: str
    kind: Kind
    lines: tuple[Line, ...] = ()
    unit: str = "count"
    decimals: int = 0
    span: Span = Span.WINDOWS
    recent_s: int = 300
    least_window_s: int = 60
    per_s: int | None = None
    thresholds: tuple[Threshold, ...] = ()
    states: tuple[State, ...] = ()
    stacked: bool = False
    bars: bool = False
    everywhere: bool = False
    low: float | None = None
    high: float | None = None
    order: Literal["asked", "highest", "lowest"] = "asked"
    most_series: int = 12
    width: int = 6
    height: int = 7

    def __post_init__(self) -> None:
        windowed = self.kind in _WINDOWED
        if self.kind is Kind.TEXT and self.lines:
            raise ValueError(f"panel {self.id}: a text panel asks nothing")
        if self.kind is not Kind.TEXT and not self.lines:
            raise ValueError(f"panel {self.id}: a {self.kind} panel needs a line")
        if windowed and self.span is not Span.WINDOWS:
            raise ValueError(f"panel {self.id}: a {self.kind} panel draws windows, not {self.span}")
        if not windowed and self.kind is not Kind.TEXT and self.span is Span.WINDOWS:
            raise ValueError(f"panel {self.id}: a {self.kind} panel shows the range or what is recent")
        if self.kind is Kind.TABLE and len(self.lines) != 1:
            raise ValueError(f"panel {self.id}: a table shows one line's series, one a row")
        if self.per_s is not None and self.span is not Span.WINDOWS:
            raise ValueError(f"panel {self.id}: only windows have a rate")
        if not 1 <= self.width <= COLUMNS:
            raise ValueError(f"panel {self.id}: a width is 1 to {COLUMNS} columns, got {self.width}")
        for line in self.lines:
            if line.query.window_s is not None:
                raise ValueError(f"panel {self.id}: the range chooses the window; leave window_s out of the query")

    @property
    def counts(self) -> bool:
        """Whether all lines count: where nothing is found, the answer is 0 and not unknown."""
        return all(
            line.query.across is Aggregate.COUNT
            or (line.query.across is None and line.query.aggregate is Aggregate.COUNT)
            for line in self.lines
        )

    @property
    def whole_windows_only(self) -> bool:
        """Whether a window that is still running would mislead and is left out."""
        return self.per_s is not None or any(
            line.query.across is not None or line.query.aggregate in {Aggregate.COUNT, Aggregate.SUM}
            for line in self.lines
        )

    def asked(self, line: Line, window_s: int | None, area: str = "", site: str = "") -> Query:
        """The line's query as asked of a store: its window, and only one area or site if one is chosen."""
        wanted = () if self.everywhere else (("area", area), ("site", site))
        chosen = [Filter(tag, "=", (value,)) for tag, value in wanted if value]
        window = max(window_s, self.least_window_s) if window_s is not None and self.span is Span.WINDOWS else None
        return replace(line.query, window_s=window, where=(*line.query.where, *chosen))


_WINDOWED = frozenset({Kind.TIME_SERIES, Kind.STATE_TIMELINE, Kind.STATUS_HISTORY, Kind.HEATMAP})


@dataclass(frozen=True)
class Headline:
    """A telling value of a site: key `console.headline.<name>`, its unit, and how far back to look for it."""

    name: str
    query: Query
    unit: str
    decimals: int = 0
    recent_s: int = 900


@dataclass(frozen=True)
class SiteKind:
    """How the map shows sites of a kind: key `console.kind_<id>`, a dot, and what its popup tells.

    `colour` is one of the themes' dot colours. Larger dots lie on top of smaller ones.
    """

    id: str
    colour: Literal["teal", "blue", "amber", "violet", "rose", "olive", "navy", "brown", "green", "slate"]
    radius: float = 6
    headlines: tuple[Headline, ...] = ()


@dataclass(frozen=True)
class Page:
    """One page: key `page.<id>` of the catalogue, its panels in reading order, and the kinds of site it is about.

    `rank` is its place in the menu; pages of one rank stand in the order of their ids. `quiet_s` says of measurements
    that may be silent for more than two hours for how long; None is for ever, such as of falls.
    """

    id: str
    panels: tuple[Panel, ...]
    sites: tuple[SiteKind, ...] = ()
    rank: int = 5
    quiet_s: Mapping[str, int | None] = field(default_factory=dict)

    def panel(self, panel_id: str) -> Panel:
        """The panel called `panel_id`. Raises KeyError with a sentence."""
        for panel in self.panels:
            if panel.id == panel_id:
                return panel
        raise KeyError(f"page {self.id} has no panel {panel_id!r}")


def last(measurement_name: str, field: str) -> Query:
    """What was said last."""
    return Query(measurement_name, field, Aggregate.LAST)


def readings(measurement_name: str) -> Query:
    """How many readings of a measurement there are: the count of a field that every reading carries."""
    declared = measurement(measurement_name)
    required = next(field.name for field in declared.fields if field.required)
    return Query(measurement_name, required, Aggregate.COUNT)
