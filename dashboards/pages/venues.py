"""The venues: who comes to shop, play, found and research; bookings, air and power."""

from dashboards.pages.centres import CO2_THRESHOLDS
from dashboards.panels import Headline, Kind, Line, Page, Panel, SiteKind, Span, last
from haina.contract.venues import BOOKING_EVENTS, RESOURCES, USES
from haina.query import Aggregate, Filter, Query

_REPORT_S = 300  # how often air, meter and booking systems report
INSIDE = Query("venue_door", "occupancy_persons", Aggregate.LAST, across=Aggregate.SUM)
ENTRIES = Query("venue_door", "entries_persons", Aggregate.SUM)
_INSIDE_ON_AVERAGE = Query("venue_door", "occupancy_persons", Aggregate.MEAN, across=Aggregate.SUM)


def _of_use(query: Query, use: str) -> Line:
    return Line(Query(query.measurement, query.field, query.aggregate, None, (), (_is("use", use),), query.across), use)


def _is(column: str, value: str) -> Filter:
    return Filter(column, "=", (value,))


def _bookings(event: str) -> Query:
    return Query("venue_booking", "event", Aggregate.COUNT, where=(_is("event", event),))


def _people_inside(panel_id: str, use: str) -> Panel:
    inside = Query(INSIDE.measurement, INSIDE.field, INSIDE.aggregate, where=(_is("use", use),), across=Aggregate.SUM)
    return Panel(panel_id, Kind.STAT, (Line(inside),), unit="persons", span=Span.RECENT, width=2, height=3)


_HEADLINES = (
    Headline("inside", last("venue_door", "occupancy_persons"), "persons"),
    Headline("co2", last("venue_air", "co2_ppm"), "ppm"),
    Headline("temperature", last("venue_air", "temperature_c"), "celsius", 1),
    Headline("pm25", last("venue_air", "pm25_ug_m3"), "ug_m3"),
    Headline("power", last("venue_energy", "power_w"), "watt"),
)

VENUES = Page(
    "venues",
    (
        Panel("people_in_venues", Kind.STAT, (Line(INSIDE),), unit="persons", span=Span.RECENT, width=2, height=3),
        _people_inside("people_shopping", "shopping"),
        _people_inside("people_at_leisure", "leisure"),
        Panel("venue_visits", Kind.STAT, (Line(ENTRIES),), unit="count", span=Span.RANGE, width=2, height=3),
        Panel("bookings_used", Kind.STAT, (Line(_bookings("used")),), span=Span.RANGE, width=2, height=3),
        Panel(
            "venue_power_now",
            Kind.STAT,
            (Line(Query("venue_energy", "power_w", Aggregate.LAST, across=Aggregate.SUM)),),
            unit="watt",
            span=Span.RECENT,
            recent_s=2 * _REPORT_S,
            width=2,
            height=3,
        ),
        Panel(
            "occupancy_by_use",
            Kind.TIME_SERIES,
            tuple(_of_use(_INSIDE_ON_AVERAGE, use) for use in USES),
            unit="persons",
            stacked=True,
            low=0,
        ),
        Panel(
            "visits_by_use",
            Kind.TIME_SERIES,
            tuple(_of_use(ENTRIES, use) for use in USES),
            unit="per_hour",
            per_s=3_600,
            least_window_s=900,
            low=0,
        ),
        Panel(
            "occupancy_by_venue",
            Kind.TIME_SERIES,
            (Line(Query("venue_door", "occupancy_persons", Aggregate.MEAN, group=("site",))),),
            unit="persons",
            low=0,
            order="highest",
        ),
        Panel(
            "units_used",
            Kind.TIME_SERIES,
            tuple(
                Line(
                    Query(
                        "venue_units",
                        "used_units",
                        Aggregate.MEAN,
                        where=(_is("resource", resource),),
                        across=Aggregate.SUM,
                    ),
                    f"resource_{resource}",
                )
                for resource in RESOURCES
            ),
            unit="none",
            decimals=1,
            least_window_s=_REPORT_S,
            low=0,
        ),
        Panel(
            "bookings_over_time",
            Kind.TIME_SERIES,
            tuple(Line(_bookings(event), f"booking_{event}") for event in BOOKING_EVENTS if event != "booked"),
            unit="count",
            least_window_s=3_600,
            stacked=True,
            bars=True,
            low=0,
            width=8,
        ),
        Panel(
            "bookings_by_event",
            Kind.PIE,
            tuple(Line(_bookings(event), f"booking_{event}") for event in BOOKING_EVENTS if event != "booked"),
            span=Span.RANGE,
            width=4,
        ),
        Panel(
            "venue_co2",
            Kind.TIME_SERIES,
            (Line(Query("venue_air", "co2_ppm", Aggregate.MEAN, group=("site",))),),
            unit="ppm",
            least_window_s=_REPORT_S,
            order="highest",
            thresholds=CO2_THRESHOLDS,
        ),
        Panel(
            "particles_in_and_out",
            Kind.TIME_SERIES,
            (
                Line(Query("venue_air", "pm25_ug_m3", Aggregate.MEAN), "indoors"),
                Line(Query("weather", "pm25_ug_m3", Aggregate.MEAN), "outdoors"),
            ),
            unit="ug_m3",
            least_window_s=_REPORT_S,
            everywhere=True,
            low=0,
        ),
        Panel(
            "venue_power",
            Kind.TIME_SERIES,
            (Line(Query("venue_energy", "power_w", Aggregate.MEAN, group=("site",))),),
            unit="watt",
            least_window_s=_REPORT_S,
            low=0,
            order="highest",
        ),
        Panel(
            "venue_energy_used",
            Kind.TIME_SERIES,
            (Line(Query("venue_energy", "energy_kwh", Aggregate.SPREAD, across=Aggregate.SUM), "energy"),),
            unit="kwh",
            decimals=1,
            least_window_s=3_600,
            low=0,
            bars=True,
        ),
    ),
    sites=(
        SiteKind("shopping", "violet", headlines=_HEADLINES),
        SiteKind("leisure", "olive", headlines=_HEADLINES),
        SiteKind("incubator", "rose", headlines=_HEADLINES),
        SiteKind("institute", "navy", headlines=_HEADLINES),
    ),
    rank=3,
    quiet_s={"venue_booking": 12 * 3_600},
)
