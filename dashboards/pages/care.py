"""Senior care at home: movement, rest, body values, water, doors, and calls for help."""

from dashboards.pages.town import HOMES_REPORTING, RESIDENTS, RESIDENTS_IN_BED, RESIDENTS_WALKING
from dashboards.panels import Headline, Kind, Level, Line, Page, Panel, SiteKind, Span, State, Threshold, last, readings
from haina.query import Aggregate, Filter, Query

_HOUR_S = 3_600

# WHO pulse oximetry training manual (2011): below 95 % look closer, below 90 % is hypoxaemia.
SPO2_WATCH_PCT = 95
SPO2_BAD_PCT = 90
BATTERY_WATCH_PCT = 30  # assumed
BATTERY_BAD_PCT = 15  # assumed

FALLS = readings("wearable_fall")
SOS = Query("sos_button", "pressed", Aggregate.COUNT, where=(Filter("pressed", "=", (True,)),))
MOTION = Query("home_motion", "motion", Aggregate.COUNT, group=("device",), where=(Filter("motion", "=", (True,)),))
DOORS = Query("home_door", "open", Aggregate.COUNT, where=(Filter("open", "=", (True,)),))
SMOKE = Query("home_smoke", "smoke", Aggregate.COUNT, where=(Filter("smoke", "=", (True,)),))

TAKEN = Query("home_medicine", "delay_s", Aggregate.COUNT)  # said with a dose that is taken, and only then
MISSED = Query("home_medicine", "state", Aggregate.COUNT, where=(Filter("state", "=", (4,)),))

_ALARMING = (Threshold(0, Level.CALM), Threshold(1, Level.BAD))
_BATTERY = (
    Threshold(0, Level.BAD),
    Threshold(BATTERY_BAD_PCT, Level.WATCH),
    Threshold(BATTERY_WATCH_PCT, Level.GOOD),
)


def _heart_rate(aggregate: Aggregate) -> Query:
    return Query("wearable", "heart_rate_bpm", aggregate)


def _spo2(aggregate: Aggregate) -> Query:
    return Query("wearable", "spo2_pct", aggregate)


CARE = Page(
    "care",
    (
        Panel(
            "homes_reporting", Kind.STAT, (Line(HOMES_REPORTING),), unit="homes", span=Span.RECENT, width=2, height=3
        ),
        RESIDENTS_IN_BED,
        RESIDENTS_WALKING,
        Panel(
            "falls_in_range",
            Kind.STAT,
            (Line(FALLS),),
            span=Span.RANGE,
            thresholds=_ALARMING,
            width=2,
            height=3,
        ),
        Panel("sos_in_range", Kind.STAT, (Line(SOS),), span=Span.RANGE, thresholds=_ALARMING, width=2, height=3),
        Panel("smoke_in_range", Kind.STAT, (Line(SMOKE),), span=Span.RANGE, thresholds=_ALARMING, width=2, height=3),
        Panel(
            "motion_by_room",
            Kind.HEATMAP,
            (Line(MOTION),),
            unit="per_hour",
            per_s=3_600,
            least_window_s=900,
            width=12,
            height=6,
        ),
        RESIDENTS,
        Panel(
            "steps",
            Kind.TIME_SERIES,
            (Line(Query("wearable", "steps", Aggregate.SUM), "steps"),),
            unit="per_hour",
            per_s=3_600,
            least_window_s=300,
            low=0,
        ),
        Panel(
            "heart_rate",
            Kind.TIME_SERIES,
            (
                Line(_heart_rate(Aggregate.P95), "p95"),
                Line(_heart_rate(Aggregate.P50), "p50"),
                Line(_heart_rate(Aggregate.MIN), "least"),
            ),
            unit="bpm",
            least_window_s=300,
        ),
        Panel(
            "spo2",
            Kind.TIME_SERIES,
            (Line(_spo2(Aggregate.P50), "p50"), Line(_spo2(Aggregate.MIN), "least")),
            unit="percent",
            least_window_s=600,
            thresholds=(
                Threshold(0, Level.BAD),
                Threshold(SPO2_BAD_PCT, Level.WATCH),
                Threshold(SPO2_WATCH_PCT, Level.GOOD),
            ),
        ),
        Panel(
            "water",
            Kind.TIME_SERIES,
            (Line(Query("home_water", "used_l", Aggregate.SUM), "water"),),
            unit="litre_per_hour",
            per_s=3_600,
            least_window_s=900,
            low=0,
            bars=True,
        ),
        Panel(
            "doors",
            Kind.TIME_SERIES,
            (Line(DOORS, "opened"),),
            unit="per_hour",
            per_s=3_600,
            least_window_s=900,
            low=0,
            bars=True,
        ),
        Panel(
            "events",
            Kind.TIME_SERIES,
            (Line(FALLS, "falls"), Line(SOS, "sos")),
            least_window_s=1_800,
            low=0,
            stacked=True,
            bars=True,
        ),
        Panel(
            "falls_by_home",
            Kind.TABLE,
            (Line(Query("wearable_fall", "peak_g", Aggregate.MAX, group=("area", "site", "device")), "peak_g"),),
            unit="none",
            decimals=1,
            span=Span.RANGE,
            order="highest",
            most_series=50,
        ),
        Panel(
            "batteries",
            Kind.BAR_GAUGE,
            (Line(Query("wearable", "battery_pct", Aggregate.LAST, group=("site",))),),
            unit="percent",
            span=Span.RECENT,
            thresholds=_BATTERY,
            low=0,
            high=100,
            order="lowest",
            most_series=10,
        ),
        Panel(
            "medicine",
            Kind.TIME_SERIES,
            (Line(TAKEN, "taken"), Line(MISSED, "missed")),
            least_window_s=3_600,
            low=0,
            stacked=True,
            bars=True,
        ),
        Panel(
            "home_power",
            Kind.TIME_SERIES,
            (Line(Query("home_power", "power_w"), "mean"), Line(Query("home_power", "power_w", Aggregate.MAX), "most")),
            unit="watt",
            least_window_s=900,
            low=0,
        ),
        Panel(
            "stove_unattended",
            Kind.TABLE,
            (Line(Query("home_stove", "unattended_s", Aggregate.MAX, group=("area", "site", "device")), "unattended"),),
            unit="seconds",
            span=Span.RANGE,
            order="highest",
            most_series=50,
        ),
        Panel(
            "device_batteries",
            Kind.BAR_GAUGE,
            (Line(Query("home_device", "battery_pct", Aggregate.LAST, group=("site", "device"))),),
            unit="percent",
            span=Span.RECENT,
            recent_s=2 * 86_400,  # said daily
            thresholds=_BATTERY,
            low=0,
            high=100,
            order="lowest",
            most_series=10,
        ),
        Panel(
            "door_history",
            Kind.STATUS_HISTORY,
            (Line(Query("home_door", "open", Aggregate.MAX, group=("site",))),),
            unit="none",
            states=(State(0, "closed", Level.CALM), State(1, "open", Level.WATCH)),
            least_window_s=3_600,  # a closed door says so hourly
            most_series=12,
        ),
    ),
    sites=(
        SiteKind(
            "home",
            "blue",
            radius=2.5,
            headlines=(
                Headline("in_bed", last("home_bed", "in_bed"), "yes_no", recent_s=2 * _HOUR_S),
                Headline("heart_rate", last("wearable", "heart_rate_bpm"), "bpm", recent_s=_HOUR_S),
                Headline("spo2", last("wearable", "spo2_pct"), "percent", recent_s=2 * _HOUR_S),
                Headline("steps", Query("wearable", "steps", Aggregate.SUM), "steps", recent_s=_HOUR_S),
                Headline("battery", last("wearable", "battery_pct"), "percent"),
            ),
        ),
    ),
    rank=2,
    quiet_s={"sos_button": 36 * _HOUR_S, "wearable_fall": None, "home_door": 24 * _HOUR_S, "home_smoke": 24 * _HOUR_S},
)
