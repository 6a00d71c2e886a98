"""The unmanned service centres: queues, waits, sessions, kiosks, air and power."""

from dashboards.pages.town import PEOPLE_IN_CENTRES, PEOPLE_WAITING
from dashboards.panels import Headline, Kind, Level, Line, Page, Panel, SiteKind, Span, State, Threshold, last, readings
from haina.contract.centre import FAULTS, KIOSK_STATES, OUTCOMES, SERVICES
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

SESSIONS = readings("kiosk_session")
IN_FAULT = (Filter("state", "=", (FAULT,)),)


def _wait(aggregate: Aggregate) -> Query:
    return Query("kiosk_session", "wait_s", aggregate)


def _people(field: str) -> Query:
    return Query("centre_queue", field, Aggregate.SUM)


def _sessions_with(column: str, value: str) -> Query:
    return Query("kiosk_session", "service", Aggregate.COUNT, where=(Filter(column, "=", (value,)),))


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
            "kiosk_states",
            Kind.STATE_TIMELINE,
            (Line(Query("kiosk_state", "state", Aggregate.MAX, group=("site", "device"))),),
            unit="none",
            states=KIOSK,
            most_series=30,
            width=12,
            height=10,
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
            width=4,
        ),
        Panel(
            "paper",
            Kind.BAR_GAUGE,
            (Line(Query("kiosk_state", "paper_pct", Aggregate.LAST, group=("site", "device"))),),
            unit="percent",
            span=Span.RECENT,
            thresholds=(Threshold(0, Level.BAD), Threshold(15, Level.WATCH), Threshold(30, Level.GOOD)),
            low=0,
            high=100,
            order="lowest",
            most_series=8,
            width=8,
        ),
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
)
