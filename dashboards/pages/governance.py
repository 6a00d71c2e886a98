"""Street governance: incidents from the report to the closing, and what the sensors in the streets say."""

from dashboards.pages.help import under_way
from dashboards.panels import Headline, Kind, Level, Line, Page, Panel, SiteKind, Span, State, Threshold, last
from haina.contract.governance import INCIDENT_KINDS, LIFT_STATES, OUTCOMES, SOURCES
from haina.query import Aggregate, Filter, Query

_BACKLOG_S = 300  # how often stations report
_HOURLY_S = 3_600
# GB 3096-2008, class 2: 60 dB(A) by day. The second step is assumed.
NOISE_WATCH_DB, NOISE_BAD_DB = 60, 70
_FULL_WATCH_PCT, _FULL_BAD_PCT = 80, 95  # assumed
_LIFT = tuple(State(value, name, Level.GOOD if name == "running" else Level.BAD) for value, name in LIFT_STATES.items())
_ALARMING = (Threshold(0, Level.CALM), Threshold(1, Level.WATCH), Threshold(5, Level.BAD))


def _is(column: str, value: str) -> Filter:
    return Filter(column, "=", (value,))


def _incidents(*where: Filter) -> Query:
    return Query("incident", "stage", Aggregate.COUNT, where=where)


def _backlog(field: str) -> Query:
    return Query("incident_backlog", field, Aggregate.LAST, across=Aggregate.SUM)


def _since_opened(stage: str, aggregate: Aggregate) -> Query:
    return Query("incident", "since_opened_s", aggregate, where=(_is("stage", stage),))


def _figure(panel_id: str, field: str, thresholds: tuple[Threshold, ...] = ()) -> Panel:
    return Panel(
        panel_id,
        Kind.STAT,
        (Line(_backlog(field)),),
        span=Span.RECENT,
        recent_s=2 * _BACKLOG_S,
        thresholds=thresholds,
        width=2,
        height=3,
    )


GOVERNANCE = Page(
    "governance",
    (
        _figure("open_incidents", "open_incidents"),
        _figure("waiting_incidents", "waiting_incidents", _ALARMING),
        _figure("overdue_incidents", "overdue_incidents", _ALARMING),
        Panel(
            "closed_incidents",
            Kind.STAT,
            (Line(_incidents(_is("stage", "closed"))),),
            span=Span.RANGE,
            width=2,
            height=3,
        ),
        Panel(
            "response_p50",
            Kind.STAT,
            (Line(_since_opened("arrived", Aggregate.P50)),),
            unit="seconds",
            span=Span.RANGE,
            width=2,
            height=3,
        ),
        Panel(
            "late_incidents",
            Kind.STAT,
            (Line(_incidents(_is("stage", "closed"), Filter("late", "=", (True,)))),),
            span=Span.RANGE,
            thresholds=_ALARMING,
            width=2,
            height=3,
        ),
        Panel(
            "backlog",
            Kind.TIME_SERIES,
            (
                Line(_backlog("open_incidents"), "incidents_open"),
                Line(_backlog("unassigned_incidents"), "incidents_unassigned"),
                Line(_backlog("waiting_incidents"), "incidents_waiting"),
                Line(_backlog("overdue_incidents"), "incidents_overdue"),
            ),
            unit="none",
            least_window_s=_BACKLOG_S,
            low=0,
        ),
        Panel(
            "incidents_opened",
            Kind.TIME_SERIES,
            tuple(
                Line(_incidents(_is("stage", "opened"), _is("incident", kind)), f"incident_{kind}")
                for kind in INCIDENT_KINDS
            ),
            unit="count",
            least_window_s=3_600,
            stacked=True,
            bars=True,
            low=0,
        ),
        Panel(
            "response_times",
            Kind.TIME_SERIES,
            (
                Line(_since_opened("arrived", Aggregate.P50), "arrived_p50"),
                Line(_since_opened("arrived", Aggregate.P95), "arrived_p95"),
                Line(_since_opened("closed", Aggregate.P50), "closed_p50"),
            ),
            unit="seconds",
            least_window_s=3_600,
            low=0,
        ),
        Panel(
            "incidents_by_kind",
            Kind.BAR_CHART,
            tuple(
                Line(_incidents(_is("stage", "opened"), _is("incident", kind)), f"incident_{kind}")
                for kind in INCIDENT_KINDS
            ),
            span=Span.RANGE,
        ),
        Panel(
            "incidents_by_outcome",
            Kind.PIE,
            tuple(Line(_incidents(_is("outcome", outcome)), f"outcome_{outcome}") for outcome in OUTCOMES),
            span=Span.RANGE,
            width=4,
        ),
        Panel(
            "incidents_by_source",
            Kind.PIE,
            tuple(
                Line(_incidents(_is("stage", "opened"), _is("source", source)), f"source_{source}")
                for source in SOURCES
            ),
            span=Span.RANGE,
            width=4,
        ),
        Panel(
            "oldest_incidents",
            Kind.TABLE,
            (Line(Query("incident_backlog", "oldest_s", Aggregate.LAST, group=("area", "site")), "oldest"),),
            unit="seconds",
            span=Span.RECENT,
            recent_s=2 * _BACKLOG_S,
            order="highest",
            width=4,
        ),
        under_way("street_crews", "crew"),
        Panel(
            "street_noise",
            Kind.TIME_SERIES,
            (Line(Query("street_noise", "level_db", Aggregate.MEAN, group=("site",))),),
            unit="decibel",
            decimals=1,
            least_window_s=_BACKLOG_S,
            order="highest",
            thresholds=(
                Threshold(0, Level.GOOD),
                Threshold(NOISE_WATCH_DB, Level.WATCH),
                Threshold(NOISE_BAD_DB, Level.BAD),
            ),
        ),
        Panel(
            "vehicles_in_lanes",
            Kind.TIME_SERIES,
            (Line(Query("parking_camera", "vehicles", Aggregate.MAX, across=Aggregate.SUM), "vehicles"),),
            unit="none",
            least_window_s=_HOURLY_S,
            bars=True,
            low=0,
        ),
        Panel(
            "lift_states",
            Kind.STATE_TIMELINE,
            (Line(Query("lift_state", "state", Aggregate.MAX, group=("site", "device"))),),
            unit="none",
            states=_LIFT,
            least_window_s=_HOURLY_S,
            most_series=18,
            width=8,
            height=9,
        ),
        Panel(
            "fullest_bins",
            Kind.BAR_GAUGE,
            (Line(Query("bin_fill", "fill_pct", Aggregate.LAST, group=("site", "device"))),),
            unit="percent",
            span=Span.RECENT,
            recent_s=2 * _HOURLY_S,
            thresholds=(
                Threshold(0, Level.GOOD),
                Threshold(_FULL_WATCH_PCT, Level.WATCH),
                Threshold(_FULL_BAD_PCT, Level.BAD),
            ),
            low=0,
            high=100,
            order="highest",
            most_series=10,
            width=4,
            height=9,
        ),
    ),
    sites=(
        SiteKind(
            "grid-station",
            "brown",
            headlines=(
                Headline("open_incidents", last("incident_backlog", "open_incidents"), "none"),
                Headline("overdue_incidents", last("incident_backlog", "overdue_incidents"), "none"),
                Headline("free_members", last("incident_backlog", "free_members"), "none"),
            ),
        ),
        SiteKind(
            "block",
            "brown",
            radius=3,
            headlines=(
                Headline("noise", last("street_noise", "level_db"), "decibel", 1),
                Headline(
                    "fullest_bin", Query("bin_fill", "fill_pct", Aggregate.MAX), "percent", recent_s=2 * _HOURLY_S
                ),
                Headline("vehicles", last("parking_camera", "vehicles"), "none", recent_s=2 * _HOURLY_S),
            ),
        ),
    ),
    rank=3,
    quiet_s={"incident": 24 * _HOURLY_S},
)
