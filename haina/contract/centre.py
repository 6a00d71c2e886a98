"""What an unmanned service centre reports: its door, its queue, its kiosks, its room and its power."""

from haina.contract.measurement import Field, Measurement

KIOSK_STATES = {0: "idle", 1: "busy", 2: "fault", 3: "maintenance"}

# Kinds of kiosk and the services each offers; a session reports its service.
SERVICES: dict[str, tuple[str, ...]] = {
    "household": ("residence_permit", "id_card"),
    "social-security": ("pension_check", "contribution_record"),
    "medical-insurance": ("insurance_card", "reimbursement"),
    "tax": ("tax_certificate",),
    "certificate": ("certificate_print", "property_query"),
}
OUTCOMES = ("completed", "failed", "assisted")
FAULTS = ("none", "paper_jam", "card_reader", "frozen_screen", "network")

CENTRE_DOOR = Measurement(
    "centre_door",
    "door-counter",
    "People counted at a centre's smart gate, reported every minute.",
    (
        Field("entries_persons", "int", "persons", "People who came in since the last report.", 0, 10_000),
        Field("exits_persons", "int", "persons", "People who left since the last report.", 0, 10_000),
        Field("occupancy_persons", "int", "persons", "People inside now.", 0, 10_000),
    ),
)
CENTRE_QUEUE = Measurement(
    "centre_queue",
    "ticket-system",
    "The queue for all kiosks of a centre, reported every minute.",
    (
        Field("waiting_persons", "int", "persons", "People waiting for a kiosk now.", 0, 10_000),
        Field(
            "longest_wait_s",
            "float",
            "s",
            "How long the first in the queue has waited.",
            0,
            86_400,
            decimals=1,
        ),
        Field(
            "arrivals_persons",
            "int",
            "persons",
            "People who asked for a service since the last report.",
            0,
            10_000,
        ),
        Field(
            "balked_persons",
            "int",
            "persons",
            "People who saw the queue and left, since the last report.",
            0,
            10_000,
        ),
        Field(
            "reneged_persons",
            "int",
            "persons",
            "People who gave up waiting since the last report.",
            0,
            10_000,
        ),
    ),
)
KIOSK_STATE = Measurement(
    "kiosk_state",
    "kiosk",
    "What a kiosk is doing: on every change, and every minute as a heartbeat.",
    (
        Field("state", "int", "1", "0 idle, 1 busy, 2 fault, 3 maintenance.", states=KIOSK_STATES),
        Field("fault", "str", "1", "Which fault, `none` when there is none.", choices=FAULTS),
        Field("paper_pct", "float", "%", "Paper left.", 0, 100, decimals=1),
    ),
)
KIOSK_SESSION = Measurement(
    "kiosk_session",
    "kiosk",
    "One customer's session at a kiosk, reported when it ends.",
    (
        Field(
            "service",
            "str",
            "1",
            "The service asked for.",
            choices=tuple(s for kind in SERVICES.values() for s in kind),
        ),
        Field("outcome", "str", "1", "How it ended.", choices=OUTCOMES),
        Field("wait_s", "float", "s", "Time in the queue before it.", 0, 86_400, decimals=1),
        Field("duration_s", "float", "s", "Service time at the kiosk.", 0, 86_400, decimals=1),
    ),
)
CENTRE_AIR = Measurement(
    "centre_air",
    "air-sensor",
    "The air of a centre's room, every minute.",
    (
        Field("co2_ppm", "float", "ppm", "Carbon dioxide.", 300, 10_000, decimals=0),
        Field("temperature_c", "float", "°C", "Air temperature.", -20, 60, decimals=1),
        Field("humidity_pct", "float", "%", "Relative humidity.", 0, 100, decimals=1),
    ),
)
CENTRE_ENERGY = Measurement(
    "centre_energy",
    "power-meter",
    "A centre's electricity, every minute.",
    (
        Field("power_w", "float", "W", "Power drawn now.", 0, 200_000, decimals=0),
        Field("energy_kwh", "float", "kWh", "Meter reading; grows for ever.", 0, 1e9, decimals=3),
    ),
)

CENTRE = (CENTRE_DOOR, CENTRE_QUEUE, KIOSK_STATE, KIOSK_SESSION, CENTRE_AIR, CENTRE_ENERGY)
