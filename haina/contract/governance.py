"""What the streets report, and the incidents that their grid stations open, assign, work on and close.

A station is told what to do by commands to its desk, `haina/v1/command/{area}/{station}/desk/{name}`:

| command      | args                       | reply                                                          |
|--------------|----------------------------|----------------------------------------------------------------|
| `incidents`  |                            | `automatic`, `free_members`, `open_incidents` and `incidents`  |
| `assign`     | `incident`                 | done, while nobody was told to see to it                       |
| `prioritise` | `incident`, `priority` 0-9 | done, while nobody has set out                                 |
| `automatic`  | `on`                       | done: whether the station assigns by itself                    |

The first changes nothing. It lists at most `MOST_LISTED` incidents, those that nobody sees to first, with their number,
kind, block, stage, priority, when they were opened (ms) and whether they are overdue.
"""

from haina.contract.measurement import Field, Measurement

INCIDENT_KINDS = ("bin_overflow", "illegal_parking", "noise", "lift_fault", "water_leak", "flooding")
SOURCES = ("sensor", "resident")
STAGES = ("opened", "assigned", "arrived", "closed", "reopened")
OUTCOMES = ("resolved", "moved_on", "nothing_found")
LIFT_STATES = {0: "running", 1: "fault"}

INCIDENT_DESK = "desk"  # the device of a grid station that takes the commands
MOST_LISTED = 50

INCIDENT = Measurement(
    "incident",
    "incident-desk",
    "A step in the life of an incident, said by the grid station of its area.",
    (
        Field(
            "number",
            "int",
            "1",
            "The station's number of the incident; of a run's start n from n-1 million on.",
            1,
            2**31,
        ),
        Field("incident", "str", "1", "What kind it is.", choices=INCIDENT_KINDS),
        Field("stage", "str", "1", "What happened to it.", choices=STAGES),
        Field("source", "str", "1", "Who found it.", choices=SOURCES),
        Field("block", "str", "1", "The street block it is at."),
        Field("priority", "int", "1", "The smaller, the sooner a crew goes.", 0, 9),
        Field("since_opened_s", "float", "s", "Time since it was opened.", 0, 1e8, decimals=0),
        Field("stage_s", "float", "s", "Time since the step before.", 0, 1e8, decimals=0),
        Field("outcome", "str", "1", "How it ended; when closed.", required=False, choices=OUTCOMES),
        Field("late", "bool", "1", "Whether its deadline had passed; when closed.", required=False),
    ),
)
INCIDENT_BACKLOG = Measurement(
    "incident_backlog",
    "incident-desk",
    "What a grid station has on its desk, every 5 minutes.",
    (
        Field("open_incidents", "int", "1", "Incidents not closed.", 0, 1_000_000),
        Field("unassigned_incidents", "int", "1", "Of them, those nobody was told to see to.", 0, 1_000_000),
        Field("waiting_incidents", "int", "1", "Of them, those that wait for a free crew.", 0, 1_000_000),
        Field("overdue_incidents", "int", "1", "Of them, those whose deadline has passed.", 0, 1_000_000),
        Field("oldest_s", "float", "s", "Age of the oldest.", 0, 1e8, decimals=0),
        Field("free_members", "int", "1", "Crew members without an errand.", 0, 10_000),
    ),
)
BIN_FILL = Measurement(
    "bin_fill",
    "smart-bin",
    "How full a litter bin is, hourly.",
    (Field("fill_pct", "float", "%", "How full.", 0, 100, decimals=0),),
)
PARKING_CAMERA = Measurement(
    "parking_camera",
    "parking-camera",
    "A camera over a no-parking lane: on every change, and hourly as a heartbeat.",
    (Field("vehicles", "int", "1", "Vehicles that stand where they may not.", 0, 1_000),),
)
STREET_NOISE = Measurement(
    "street_noise",
    "noise-meter",
    "Equivalent sound level in the street over the last 5 minutes.",
    (Field("level_db", "float", "dB(A)", "Sound level.", 0, 150, decimals=1),),
)
LIFT_STATE = Measurement(
    "lift_state",
    "lift-monitor",
    "The monitor of a lift: on every change, and hourly as a heartbeat.",
    (
        Field("state", "int", "1", "0 running, 1 fault.", states=LIFT_STATES),
        Field("trips", "int", "1", "Trips since the last report.", 0, 100_000),
    ),
)

GOVERNANCE = (INCIDENT, INCIDENT_BACKLOG, BIN_FILL, PARKING_CAMERA, STREET_NOISE, LIFT_STATE)
