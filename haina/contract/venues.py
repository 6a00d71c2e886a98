"""What venues report: shops, leisure, incubators and research institutes, by their doors, bookings, air and power."""

from haina.contract.measurement import Field, Measurement

USES = ("shopping", "leisure", "incubator", "institute")
# What can be booked where; a venue has one booking system for each.
BOOKABLE: dict[str, tuple[str, ...]] = {
    "shopping": (),
    "leisure": ("court",),
    "incubator": ("desk", "room"),
    "institute": ("room",),
}
RESOURCES = ("court", "desk", "room")
BOOKING_EVENTS = ("booked", "refused", "cancelled", "used", "no_show")

MOST_W = 20_000_000

VENUE_DOOR = Measurement(
    "venue_door",
    "people-counter",
    "People counted at a venue's doors, every minute.",
    (
        Field("use", "str", "1", "What the venue is for.", choices=USES),
        Field("open", "bool", "1", "Whether it is open."),
        Field("entries_persons", "int", "persons", "People who came in since the last report.", 0, 10_000),
        Field("exits_persons", "int", "persons", "People who left since the last report.", 0, 100_000),
        Field("occupancy_persons", "int", "persons", "People inside now.", 0, 100_000),
    ),
)
VENUE_UNITS = Measurement(
    "venue_units",
    "booking-system",
    "How many courts, desks or rooms of a venue are taken now, every 5 minutes.",
    (
        Field("resource", "str", "1", "What can be booked.", choices=RESOURCES),
        Field("units", "int", "1", "How many there are.", 0, 10_000),
        Field("booked_units", "int", "1", "How many are booked for now.", 0, 10_000),
        Field("used_units", "int", "1", "In how many of them somebody is.", 0, 10_000),
    ),
)
VENUE_BOOKING = Measurement(
    "venue_booking",
    "booking-system",
    "What becomes of a booking: said when it is asked for, and again when it is cancelled, used or missed.",
    (
        Field("resource", "str", "1", "What was asked for.", choices=RESOURCES),
        Field("event", "str", "1", "What happened.", choices=BOOKING_EVENTS),
        Field("hours", "int", "h", "For how long.", 1, 24),
        Field("lead_h", "float", "h", "From asking to the beginning.", 0, 10_000, decimals=1),
    ),
)
VENUE_AIR = Measurement(
    "venue_air",
    "air-sensor",
    "The air inside a venue, every 5 minutes.",
    (
        Field("co2_ppm", "float", "ppm", "Carbon dioxide.", 300, 10_000, decimals=0),
        Field("temperature_c", "float", "°C", "Air temperature.", -20, 60, decimals=1),
        Field("humidity_pct", "float", "%", "Relative humidity.", 0, 100, decimals=1),
        Field("pm25_ug_m3", "float", "µg/m³", "Fine particles.", 0, 2_000, decimals=0),
    ),
)
VENUE_ENERGY = Measurement(
    "venue_energy",
    "power-meter",
    "A venue's electricity, every 5 minutes.",
    (
        Field("power_w", "float", "W", "Power drawn now.", 0, MOST_W, decimals=0),
        Field("energy_kwh", "float", "kWh", "Meter reading; grows for ever.", 0, 1e10, decimals=3),
    ),
)

VENUES = (VENUE_DOOR, VENUE_UNITS, VENUE_BOOKING, VENUE_AIR, VENUE_ENERGY)
