"""The town at a glance: who is where, what is on, and that messages flow."""

from dashboards.panels import Headline, Kind, Line, Page, Panel, SiteKind, Span, last, readings
from haina.contract import MEASUREMENTS
from haina.query import Aggregate, Filter, Query

BED_RECENT_S = 2 * 3_600  # an empty bed reports hourly
STEPS_RECENT_S = 15 * 60  # a wearable reports every minute; a quarter of an hour tells sitting from walking

CENTRES_REPORTING = Query("centre_door", "occupancy_persons", Aggregate.COUNT, across=Aggregate.COUNT)
HOMES_REPORTING = Query("wearable", "worn", Aggregate.COUNT, across=Aggregate.COUNT)
INSIDE = Query("centre_door", "occupancy_persons", Aggregate.LAST, across=Aggregate.SUM)
WAITING = Query("centre_queue", "waiting_persons", Aggregate.LAST, across=Aggregate.SUM)
IN_BED = Query("home_bed", "in_bed", Aggregate.LAST, across=Aggregate.SUM)
WALKING = Query("wearable", "steps", Aggregate.COUNT, where=(Filter("steps", ">", (0,)),), across=Aggregate.COUNT)
POWER = Query("centre_energy", "power_w", Aggregate.LAST, across=Aggregate.SUM)
OUTSIDE = Query("weather", "temperature_c", Aggregate.LAST)

PEOPLE_IN_CENTRES = Panel(
    "people_in_centres", Kind.STAT, (Line(INSIDE),), unit="persons", span=Span.RECENT, width=2, height=3
)
PEOPLE_WAITING = Panel(
    "people_waiting", Kind.STAT, (Line(WAITING),), unit="persons", span=Span.RECENT, width=2, height=3
)
RESIDENTS_IN_BED = Panel(
    "residents_in_bed",
    Kind.STAT,
    (Line(IN_BED),),
    unit="persons",
    span=Span.RECENT,
    recent_s=BED_RECENT_S,
    width=2,
    height=3,
)
RESIDENTS_WALKING = Panel(
    "residents_walking",
    Kind.STAT,
    (Line(WALKING),),
    unit="persons",
    span=Span.RECENT,
    recent_s=STEPS_RECENT_S,
    width=2,
    height=3,
)
RESIDENTS = Panel(
    "residents",
    Kind.TIME_SERIES,
    (Line(IN_BED, "in_bed"), Line(WALKING, "walking")),
    unit="persons",
    least_window_s=3_600,
    low=0,
)
MESSAGES = Panel(
    "messages_by_measurement",
    Kind.TIME_SERIES,
    tuple(Line(readings(name), f"m_{name}") for name in MEASUREMENTS),
    unit="per_min",
    per_s=60,
    least_window_s=300,
    stacked=True,
    low=0,
    order="highest",
    decimals=1,
)

TOWN = Page(
    "town",
    (
        PEOPLE_IN_CENTRES,
        PEOPLE_WAITING,
        RESIDENTS_IN_BED,
        RESIDENTS_WALKING,
        Panel(
            "outside_temperature",
            Kind.STAT,
            (Line(OUTSIDE),),
            unit="celsius",
            decimals=1,
            span=Span.RECENT,
            recent_s=900,
            everywhere=True,
            width=2,
            height=3,
        ),
        Panel("power_now", Kind.STAT, (Line(POWER),), unit="watt", span=Span.RECENT, width=2, height=3),
        Panel(
            "centres_over_time",
            Kind.TIME_SERIES,
            (Line(INSIDE, "inside"), Line(WAITING, "waiting")),
            unit="persons",
            low=0,
        ),
        RESIDENTS,
        MESSAGES,
        Panel(
            "weather",
            Kind.TIME_SERIES,
            (
                Line(Query("weather", "temperature_c"), "temperature"),
                Line(Query("weather", "pm25_ug_m3"), "pm25"),
            ),
            unit="none",
            decimals=1,
            least_window_s=300,
            everywhere=True,
        ),
        Panel(
            "power_by_area",
            Kind.TIME_SERIES,
            (Line(Query("centre_energy", "power_w", group=("area",), across=Aggregate.SUM)),),
            unit="watt",
            stacked=True,
            low=0,
        ),
        Panel(
            "reporting",
            Kind.TIME_SERIES,
            (Line(CENTRES_REPORTING, "centres"), Line(HOMES_REPORTING, "homes")),
            unit="sites",
            low=0,
        ),
    ),
    sites=(
        SiteKind("crew", "slate", radius=5),
        SiteKind(
            "weather",
            "amber",
            headlines=(
                Headline("temperature", last("weather", "temperature_c"), "celsius", 1),
                Headline("humidity", last("weather", "humidity_pct"), "percent"),
                Headline("pm25", last("weather", "pm25_ug_m3"), "ug_m3"),
            ),
        ),
    ),
    rank=0,
)
