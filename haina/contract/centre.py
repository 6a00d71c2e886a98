"""What an unmanned service centre reports: its gate and door, its queue, its kiosks, its room and its power.

And what the centres of a town share: the desk of the remote operators.
"""

from haina.contract.measurement import Field, Measurement

KIOSK_STATES = {0: "idle", 1: "busy", 2: "fault", 3: "maintenance"}

# Kinds of kiosk and the services each offers; a session reports its service.
SERVICES: dict[str, tuple[str, ...]] = {
    "household": ("residence_permit", "id_card"),
    "social-security": ("pension_check", "contribution_record"),
    "medical-insurance": ("insurance_card", "reimbursement"),
    "tax": ("tax_certificate",),
    "business-licence": ("licence_application", "licence_print"),
    "certificate": ("certificate_print", "property_query"),
    "pick-up": ("document_pickup",),
}
AGE_GROUPS = ("under_35", "35_to_59", "60_to_74", "over_75")
OUTCOMES = ("completed", "failed", "assisted")
CAUSES = ("rejected", "offline", "no_help", "card_reader", "frozen_screen", "network")
FAULTS = ("none", "paper_jam", "card_reader", "frozen_screen", "network")

GATE_CHECK = Measurement(
    "gate_check",
    "smart-gate",
    "One person's identity check at the smart gate, when it ends: card or code, then face.",
    (
        Field("method", "str", "1", "How the person said who they are.", choices=("card", "code")),
        Field("outcome", "str", "1", "Let in or turned away.", choices=("passed", "refused")),
        Field("tries", "int", "1", "How often the person tried.", 1, 100),
        Field("wait_s", "float", "s", "Time in front of the gate before it.", 0, 86_400, decimals=1),
        Field("duration_s", "float", "s", "Time at the gate.", 0, 86_400, decimals=1),
    ),
)
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
        Field(
            "returning_persons",
            "int",
            "persons",
            "Those of the arrivals who had come before and gone without their errand done.",
            0,
            10_000,
            required=False,
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
        Field("toner_pct", "float", "%", "Toner or ribbon left.", 0, 100, required=False, decimals=1),
        Field("blanks_pct", "float", "%", "Blank cards left, where cards are made.", 0, 100, False, decimals=1),
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
        Field("kind", "str", "1", "The kind of kiosk.", required=False, choices=tuple(SERVICES)),
        Field("age_group", "str", "1", "The customer's age group.", required=False, choices=AGE_GROUPS),
        Field("cause", "str", "1", "Why it failed.", required=False, choices=CAUSES),
        Field("help_wait_s", "float", "s", "Wait for a remote operator within it.", 0, 86_400, False, decimals=1),
    ),
)
CENTRE_RATING = Measurement(
    "centre_rating",
    "rating-terminal",
    "One visitor's rating at the exit.",
    (
        Field("rating", "int", "1", "1 very bad … 5 very good.", 1, 5),
        Field("age_group", "str", "1", "The visitor's age group.", required=False, choices=AGE_GROUPS),
    ),
)
OPERATOR_DESK = Measurement(
    "operator_desk",
    "video-desk",
    "The remote operators whom all centres share, reported every minute.",
    (
        Field("operators", "int", "persons", "Operators on duty.", 0, 10_000),
        Field("busy_operators", "int", "persons", "Operators who are helping now.", 0, 10_000),
        Field("waiting_calls", "int", "1", "Sessions waiting for an operator now.", 0, 10_000),
        Field("answered_calls", "int", "1", "Calls answered since the last report.", 0, 10_000),
        Field("abandoned_calls", "int", "1", "Calls given up since the last report.", 0, 10_000),
    ),
)
GATEWAY_OUTAGE = Measurement(
    "gateway_outage",
    "gateway",
    "A site was without power or uplink; its gateway says so when it is back.",
    (
        Field("lost", "str", "1", "What was missing.", choices=("power", "uplink")),
        Field("duration_s", "float", "s", "For how long.", 0, 864_000, decimals=0),
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

CENTRE = (
    GATE_CHECK,
    CENTRE_DOOR,
    CENTRE_QUEUE,
    KIOSK_STATE,
    KIOSK_SESSION,
    CENTRE_RATING,
    OPERATOR_DESK,
    CENTRE_AIR,
    CENTRE_ENERGY,
    GATEWAY_OUTAGE,
)
