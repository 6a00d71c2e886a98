"""The unmanned service centres: gates, queues, waits, sessions, operators, kiosks and their upkeep, air and power."""

from dashboards.pages.town import PEOPLE_IN_CENTRES, PEOPLE_WAITING
from dashboards.panels import Headline, Kind, Level, Line, Page, Panel, SiteKind, Span, State, Threshold, last, readings
from haina.contract.centre import AGE_GROUPS, CAUSES, FAULTS, KIOSK_STATES, OUTCOMES, SERVICES
from haina.contract.crew import MEMBER_STATES
from haina.query import Aggregate, Filter, Query

# GB/T 18883-2022, indoor air quality: CO₂ at most 0.10 % (1,000 ppm). The second step is assumed.
CO2_WATCH_PPM = 1_000
CO2_BAD_PPM = 1_500
# Assumed service promise: half an hour's wait is too long, a quarter worth watching.
WAIT_WATCH_S = 900
WAIT_BAD_S = 1_800

_KIOSK_LEVEL = {"idle": Level.CALM, "busy": Level.GOOD, "fault": Level.BAD, "maintenance": Level.WATCH}
KIOSK = tuple(State(value, name, _KIOSK_LEVEL[name]) for value, name in KIOSK_STATES.items())
FAULT = next(value for value, name in KIOSK_STATES.items() if name == "fault")

WORKING = next(value for value, name in MEMBER_STATES.items() if name == "working")
SHOWS_SUPPLY = (Threshold(0, Level.BAD), Threshold(15, Level.WATCH), Threshold(30, Level.GOOD))

SESSIONS = readings("kiosk_session")
IN_FAULT = (Filter("state", "=", (FAULT,)),)


def _wait(aggregate: Aggregate) -> Query:
    return Query("kiosk_session", "wait_s", aggregate)


def _people(field: str) -> Query:
    return Query("centre_queue", field, Aggregate.SUM)


def _sessions_with(column: str, value: str) -> Query:
    return Query("kiosk_session", "service", Aggregate.COUNT, where=(Filter(column, "=", (value,)),))


def _gate(*where: Filter) -> Query:
    return Query("gate_check", "tries", Aggregate.COUNT, where=where)


def _errands(errand: str) -> Query:
    """Technicians say `working` once, when they have arrived."""
    arrived = (Filter("state", "=", (WORKING,)), Filter("errand", "=", (errand,)))
    return Query("crew_member", "state", Aggregate.COUNT, where=arrived)


def _outages(lost: str) -> Query:
    return Query("gateway_outage", "duration_s", Aggregate.COUNT, where=(Filter("lost", "=", (lost,)),))


def _supply(panel: str, field: str) -> Panel:
    """The kiosks that will run out of something first."""
    return Panel(
        panel,
        Kind.BAR_GAUGE,
        (Line(Query("kiosk_state", field, Aggregate.LAST, group=("site", "device"))),),
        unit="percent",
        span=Span.RECENT,
        thresholds=SHOWS_SUPPLY,
        low=0,
        high=100,
        order="lowest",
        most_series=6,
        width=3,
    )


WAIT_THRESHOLDS = (
    Threshold(0, Level.CALM),
    Threshold(WAIT_WATCH_S, Level.WATCH),
    Threshold(WAIT_BAD_S, Level.BAD),
)
CO2_THRESHOLDS = (Threshold(0, Level.GOOD), Threshold(CO2_WATCH_PPM, Level.WATCH), Threshold(CO2_BAD_PPM, Level.BAD))

CENTRES = Page(
    "centres",
    (
        PEOPLE_IN_CENTRES,
        PEOPLE_WAITING,
        Panel("sessions_in_range", Kind.STAT, (Line(SESSIONS),), unit="count", span=Span.RANGE, width=2, height=3),
        Panel(
            "wait_p50",
            Kind.STAT,
            (Line(_wait(Aggregate.P50)),),
            unit="seconds",
            span=Span.RANGE,
            thresholds=WAIT_THRESHOLDS,
            width=2,
            height=3,
        ),
        Panel(
            "wait_p95",
            Kind.STAT,
            (Line(_wait(Aggregate.P95)),),
            unit="seconds",
            span=Span.RANGE,
            thresholds=WAIT_THRESHOLDS,
            width=2,
            height=3,
        ),
        Panel(
            "kiosks_in_fault_now",
            Kind.STAT,
            (Line(Query("kiosk_state", "state", Aggregate.COUNT, where=IN_FAULT, across=Aggregate.COUNT)),),
            unit="kiosks",
            span=Span.RECENT,
            recent_s=120,
            thresholds=(Threshold(0, Level.CALM), Threshold(1, Level.BAD)),
            width=2,
            height=3,
        ),
        Panel(
            "waiting_by_centre",
            Kind.TIME_SERIES,
            (Line(Query("centre_queue", "waiting_persons", Aggregate.MAX, group=("site",))),),
            unit="persons",
            low=0,
            order="highest",
        ),
        Panel(
            "occupancy_by_centre",
            Kind.TIME_SERIES,
            (Line(Query("centre_door", "occupancy_persons", Aggregate.MEAN, group=("site",))),),
            unit="persons",
            decimals=1,
            low=0,
            order="highest",
        ),
        Panel(
            "waits",
            Kind.TIME_SERIES,
            (Line(_wait(Aggregate.P50), "p50"), Line(_wait(Aggregate.P95), "p95")),
            unit="seconds",
            least_window_s=300,
            low=0,
            thresholds=WAIT_THRESHOLDS,
        ),
        Panel(
            "arrivals",
            Kind.TIME_SERIES,
            (
                Line(_people("arrivals_persons"), "arrived"),
                Line(_people("balked_persons"), "balked"),
                Line(_people("reneged_persons"), "reneged"),
            ),
            unit="per_hour",
            per_s=3_600,
            least_window_s=900,
            low=0,
        ),
        Panel(
            "sessions_by_service",
            Kind.BAR_CHART,
            tuple(
                Line(_sessions_with("service", service), f"service_{service}")
                for services in SERVICES.values()
                for service in services
            ),
            span=Span.RANGE,
            width=8,
        ),
        Panel(
            "sessions_by_outcome",
            Kind.PIE,
            tuple(Line(_sessions_with("outcome", outcome), f"outcome_{outcome}") for outcome in OUTCOMES),
            span=Span.RANGE,
            width=4,
        ),
        Panel(
            "sessions_by_kind",
            Kind.BAR_CHART,
            tuple(Line(_sessions_with("kind", kind), f"kind_{kind}") for kind in SERVICES),
            span=Span.RANGE,
            width=8,
        ),
        Panel(
            "sessions_by_age",
            Kind.PIE,
            tuple(Line(_sessions_with("age_group", group), f"age_{group}") for group in AGE_GROUPS),
            span=Span.RANGE,
            width=4,
        ),
        Panel(
            "sessions_failed",
            Kind.BAR_CHART,
            tuple(Line(_sessions_with("cause", cause), f"cause_{cause}") for cause in CAUSES),
            span=Span.RANGE,
        ),
        Panel(
            "gate_checks",
            Kind.TIME_SERIES,
            (
                Line(_gate(Filter("tries", ">", (1,))), "tried_again"),
                Line(_gate(Filter("outcome", "=", ("refused",))), "refused"),
            ),
            unit="per_hour",
            per_s=3_600,
            least_window_s=900,
            bars=True,
            low=0,
        ),
        Panel(
            "operators",
            Kind.TIME_SERIES,
            (
                Line(Query("operator_desk", "operators", Aggregate.MAX, across=Aggregate.SUM), "operators"),
                Line(Query("operator_desk", "busy_operators", Aggregate.MEAN, across=Aggregate.SUM), "busy_operators"),
                Line(Query("operator_desk", "waiting_calls", Aggregate.MEAN, across=Aggregate.SUM), "waiting_calls"),
            ),
            unit="count",
            decimals=1,
            everywhere=True,
            low=0,
        ),
        Panel(
            "help_waits",
            Kind.TIME_SERIES,
            (
                Line(Query("kiosk_session", "help_wait_s", Aggregate.P50), "p50"),
                Line(Query("kiosk_session", "help_wait_s", Aggregate.P95), "p95"),
            ),
            unit="seconds",
            least_window_s=900,
            low=0,
        ),
        Panel(
            "rating",
            Kind.TIME_SERIES,
            (Line(Query("centre_rating", "rating", Aggregate.MEAN), "rating_mean"),),
            decimals=2,
            least_window_s=3_600,
            low=1,
            high=5,
        ),
        Panel(
            "ratings",
            Kind.BAR_CHART,
            tuple(
                Line(
                    Query("centre_rating", "rating", Aggregate.COUNT, where=(Filter("rating", "=", (score,)),)),
                    f"rating_{score}",
                )
                for score in range(1, 6)
            ),
            span=Span.RANGE,
        ),
        Panel(
            "kiosk_states",
            Kind.STATE_TIMELINE,
            (Line(Query("kiosk_state", "state", Aggregate.MAX, group=("site", "device"))),),
            unit="none",
            states=KIOSK,
            most_series=30,
            width=12,
            height=12,
        ),
        Panel(
            "kiosk_faults",
            Kind.TABLE,
            (
                Line(
                    Query("kiosk_state", "fault", Aggregate.LAST, group=("area", "site", "device"), where=IN_FAULT),
                    "fault",
                ),
            ),
            unit="none",
            span=Span.RECENT,
            recent_s=600,
            most_series=50,
        ),
        Panel(
            "faults_by_kind",
            Kind.TIME_SERIES,
            tuple(
                Line(
                    Query(
                        "kiosk_state",
                        "state",
                        Aggregate.COUNT,
                        where=(Filter("fault", "=", (fault,)),),
                        across=Aggregate.COUNT,
                    ),
                    f"fault_{fault}",
                )
                for fault in FAULTS
                if fault != "none"
            ),
            unit="kiosks",
            stacked=True,
            bars=True,  # a line would bridge the windows without a fault, which are absent
            low=0,
        ),
        Panel(
            "technician_errands",
            Kind.TIME_SERIES,
            (Line(_errands("repair kiosk"), "errand_repair"), Line(_errands("refill kiosk"), "errand_refill")),
            unit="count",
            least_window_s=900,
            stacked=True,
            bars=True,
            everywhere=True,
            low=0,
        ),
        Panel(
            "outages",
            Kind.TIME_SERIES,
            (Line(_outages("power"), "lost_power"), Line(_outages("uplink"), "lost_uplink")),
            unit="count",
            least_window_s=3_600,
            stacked=True,
            bars=True,
            low=0,
        ),
        Panel(
            "co2",
            Kind.TIME_SERIES,
            (Line(Query("centre_air", "co2_ppm", Aggregate.MEAN, group=("site",))),),
            unit="ppm",
            order="highest",
            thresholds=CO2_THRESHOLDS,
        ),
        Panel(
            "temperature",
            Kind.TIME_SERIES,
            (Line(Query("centre_air", "temperature_c", Aggregate.MEAN, group=("site",))),),
            unit="celsius",
            decimals=1,
            order="highest",
        ),
        Panel(
            "air_worst",
            Kind.GAUGE,
            (Line(Query("centre_air", "co2_ppm", Aggregate.MAX)),),
            unit="ppm",
            span=Span.RECENT,
            thresholds=CO2_THRESHOLDS,
            low=400,
            high=2_000,
            width=3,
        ),
        _supply("paper", "paper_pct"),
        _supply("toner", "toner_pct"),
        _supply("blanks", "blanks_pct"),
        Panel(
            "power",
            Kind.TIME_SERIES,
            (Line(Query("centre_energy", "power_w", Aggregate.MEAN, group=("site",))),),
            unit="watt",
            low=0,
            order="highest",
        ),
        Panel(
            "energy",
            Kind.TIME_SERIES,
            (Line(Query("centre_energy", "energy_kwh", Aggregate.SPREAD, across=Aggregate.SUM), "energy"),),
            unit="kwh",
            decimals=2,
            least_window_s=900,
            low=0,
            bars=True,
        ),
    ),
    sites=(
        SiteKind(
            "centre",
            "teal",
            radius=7,
            headlines=(
                Headline("inside", last("centre_door", "occupancy_persons"), "persons"),
                Headline("waiting", last("centre_queue", "waiting_persons"), "persons"),
                Headline("co2", last("centre_air", "co2_ppm"), "ppm"),
                Headline("temperature", last("centre_air", "temperature_c"), "celsius", 1),
                Headline("power", last("centre_energy", "power_w"), "watt"),
            ),
        ),
    ),
    rank=1,
    quiet_s={"kiosk_session": 86_400},
)
