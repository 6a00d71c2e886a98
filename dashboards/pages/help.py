"""Help for older people: who was sent, how soon they were there, what they found and what they did."""

from dashboards.panels import Kind, Level, Line, Page, Panel, Span, State, Threshold
from haina.contract.crew import MEMBER_STATES
from haina.contract.help import DONE, FOUND, HELPERS
from haina.query import Aggregate, Filter, Query

# Assumed promise: a quarter of an hour until somebody is there; half an hour is too long.
RESPONSE_THRESHOLDS = (Threshold(0, Level.CALM), Threshold(900, Level.WATCH), Threshold(1_800, Level.BAD))
TRAVELLERS = tuple(helper for helper in HELPERS if helper != "telephone")
WHO_TRAVELLED = Filter("travel_s", ">=", (0,))

_LEVELS = {"waiting": Level.CALM, "travelling": Level.WATCH, "working": Level.GOOD, "returning": Level.CALM}
_STATES = tuple(State(value, name, _LEVELS[name]) for value, name in MEMBER_STATES.items())


def _reports(*where: Filter) -> Query:
    return Query("help_report", "found", Aggregate.COUNT, where=where)


def _results(done: str) -> Query:
    return Query("help_result", "done", Aggregate.COUNT, where=(Filter("done", "=", (done,)),))


def _response(aggregate: Aggregate, where: Filter) -> Query:
    return Query("help_report", "response_s", aggregate, where=(where,))


def _is(column: str, value: str | bool) -> Filter:
    return Filter(column, "=", (value,))


def _figure(panel_id: str, query: Query, thresholds: tuple[Threshold, ...] = (), unit: str = "count") -> Panel:
    return Panel(
        panel_id, Kind.STAT, (Line(query),), unit=unit, span=Span.RANGE, thresholds=thresholds, width=2, height=3
    )


def under_way(panel_id: str, *crews: str) -> Panel:
    """What the members of these crews do, one a row."""
    return Panel(
        panel_id,
        Kind.STATE_TIMELINE,
        tuple(
            Line(Query("crew_member", "state", Aggregate.LAST, group=("site", "device"), where=(_is("crew", crew),)))
            for crew in crews
        ),
        unit="none",
        states=_STATES,
        least_window_s=3_600,  # who waits says so hourly
        most_series=30,
        width=12,
        height=9,
    )


HELP = Page(
    "help",
    (
        _figure("helpers_arrived", _reports(WHO_TRAVELLED)),
        _figure("calls_made", _reports(_is("helper", "telephone"))),
        _figure("help_response_p50", _response(Aggregate.P50, WHO_TRAVELLED), RESPONSE_THRESHOLDS, "seconds"),
        _figure("help_response_p95", _response(Aggregate.P95, WHO_TRAVELLED), RESPONSE_THRESHOLDS, "seconds"),
        _figure("trouble_found", _reports(_is("trouble", True)), (Threshold(0, Level.CALM), Threshold(1, Level.WATCH))),
        _figure("taken_to_hospital", _results("to_hospital"), (Threshold(0, Level.CALM), Threshold(1, Level.BAD))),
        Panel(
            "found_by_helpers",
            Kind.BAR_CHART,
            tuple(Line(_reports(_is("found", found)), f"found_{found}") for found in FOUND),
            span=Span.RANGE,
            most_series=len(FOUND),
            height=9,
        ),
        Panel(
            "done_by_helpers",
            Kind.BAR_CHART,
            tuple(Line(_results(done), f"done_{done}") for done in DONE),
            span=Span.RANGE,
            most_series=len(DONE),
            height=9,
        ),
        Panel(
            "help_responses",
            Kind.TIME_SERIES,
            tuple(Line(_response(Aggregate.P50, _is("helper", helper)), f"helper_{helper}") for helper in TRAVELLERS),
            unit="seconds",
            least_window_s=1_800,
            low=0,
            bars=True,  # a line would bridge the windows in which nobody was sent
        ),
        Panel(
            "help_by_helper",
            Kind.TIME_SERIES,
            tuple(Line(_reports(_is("helper", helper)), f"helper_{helper}") for helper in HELPERS),
            least_window_s=1_800,
            low=0,
            stacked=True,
            bars=True,
        ),
        under_way("crew_states", *TRAVELLERS),
        Panel(
            "last_reports",
            Kind.TABLE,
            (Line(Query("help_report", "found", Aggregate.LAST, group=("area", "site", "device")), "found"),),
            unit="none",
            span=Span.RANGE,
            most_series=50,
            width=12,
        ),
    ),
    rank=3,
)
