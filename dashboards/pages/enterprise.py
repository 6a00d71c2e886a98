"""Enterprise life: the register, licences, start-ups and jobs."""

from dashboards.panels import Headline, Kind, Line, Page, Panel, SiteKind, Span, last
from haina.contract.enterprise import LICENCES, TENANCY_EVENTS
from haina.query import Aggregate, Filter, Query

_HOURLY_S, _DAY_S = 3_600, 86_400


def _is(column: str, value: str) -> Filter:
    return Filter(column, "=", (value,))


def _now(measurement: str, field: str) -> Query:
    return Query(measurement, field, Aggregate.LAST, across=Aggregate.SUM)


def _figure(panel_id: str, query: Query) -> Panel:
    return Panel(panel_id, Kind.STAT, (Line(query),), span=Span.RECENT, recent_s=2 * _HOURLY_S, width=2, height=3)


def _cases(*where: Filter) -> Query:
    return Query("licence_case", "event", Aggregate.COUNT, where=where)


def _took(aggregate: Aggregate) -> Query:
    return Query("licence_case", "took_h", aggregate, where=(Filter("event", "!=", ("filed",)),))


ENTERPRISE = Page(
    "enterprise",
    (
        _figure("enterprises", _now("enterprises", "enterprises")),
        _figure("jobs", _now("enterprises", "jobs")),
        _figure("startups", _now("incubator_tenants", "startups")),
        _figure("startup_jobs", _now("incubator_tenants", "jobs")),
        _figure("open_cases", _now("enterprises", "open_cases")),
        Panel(
            "licences_granted", Kind.STAT, (Line(_cases(_is("event", "granted"))),), span=Span.RANGE, width=2, height=3
        ),
        Panel(
            "licences_filed",
            Kind.TIME_SERIES,
            tuple(
                Line(_cases(_is("event", "filed"), _is("licence", licence)), f"licence_{licence}")
                for licence in LICENCES
            ),
            unit="count",
            least_window_s=_HOURLY_S,
            stacked=True,
            bars=True,
            low=0,
        ),
        Panel(
            "decision_time",
            Kind.TIME_SERIES,
            (Line(_took(Aggregate.P50), "p50"), Line(_took(Aggregate.P95), "p95")),
            unit="hours",
            decimals=1,
            least_window_s=_HOURLY_S,
            low=0,
        ),
        Panel(
            "startups_by_incubator",
            Kind.TIME_SERIES,
            (Line(Query("incubator_tenants", "startups", Aggregate.MEAN, group=("site",))),),
            unit="none",
            decimals=1,
            least_window_s=_HOURLY_S,
            low=0,
            order="highest",
        ),
        Panel(
            "tenancies",
            Kind.BAR_CHART,
            tuple(
                Line(
                    Query("startup_tenancy", "event", Aggregate.COUNT, where=(_is("event", event),)), f"tenancy_{event}"
                )
                for event in TENANCY_EVENTS
            ),
            span=Span.RANGE,
        ),
        Panel(
            "enterprises_over_time",
            Kind.TIME_SERIES,
            (Line(_now("enterprises", "enterprises"), "enterprises"),),
            unit="none",
            least_window_s=_HOURLY_S,
        ),
        Panel(
            "jobs_over_time",
            Kind.TIME_SERIES,
            (Line(_now("enterprises", "jobs"), "jobs"),),
            unit="none",
            least_window_s=_HOURLY_S,
        ),
    ),
    sites=(
        SiteKind(
            "enterprise-office",
            "green",
            radius=7,
            headlines=(
                Headline("enterprises", last("enterprises", "enterprises"), "none", recent_s=2 * _HOURLY_S),
                Headline("open_cases", last("enterprises", "open_cases"), "none", recent_s=2 * _HOURLY_S),
            ),
        ),
    ),
    rank=4,
    quiet_s={"licence_case": None, "startup_tenancy": None},
)
