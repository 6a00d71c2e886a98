"""What a senior-care home reports: Shanghai's four small devices, and a bed, a wearable and an SOS button."""

from haina.contract.measurement import Field, Measurement

ROOMS = ("bedroom", "bathroom", "kitchen", "lounge", "hallway")

HOME_MOTION = Measurement(
    "home_motion",
    "infrared",
    "A passive infrared sensor: on when somebody moves, off when its hold time ends.",
    (Field("motion", "bool", "1", "Whether motion is seen."),),
)
HOME_DOOR = Measurement(
    "home_door",
    "door-contact",
    "The front door's contact, on every change and as a heartbeat.",
    (Field("open", "bool", "1", "Whether the door is open."),),
)
HOME_WATER = Measurement(
    "home_water",
    "water-meter",
    "The smart water meter: at the end of a quarter of an hour with use, and as an hourly heartbeat.",
    (
        Field("volume_m3", "float", "m³", "Meter reading; grows for ever.", 0, 1e7, decimals=4),
        Field("used_l", "float", "L", "Water used since the last report.", 0, 100_000, decimals=1),
    ),
)
HOME_SMOKE = Measurement(
    "home_smoke",
    "smoke-alarm",
    "The smoke alarm, on every change and as a heartbeat.",
    (
        Field("smoke", "bool", "1", "Whether smoke is detected."),
        Field("battery_pct", "float", "%", "Battery left.", 0, 100, decimals=1),
    ),
)
HOME_BED = Measurement(
    "home_bed",
    "bed-sensor",
    "A sensor under the mattress: on getting in and out, every 5 minutes while in bed, hourly while not.",
    (
        Field("in_bed", "bool", "1", "Whether somebody lies in bed."),
        Field(
            "heart_rate_bpm",
            "float",
            "bpm",
            "Heart rate from the mattress.",
            20,
            250,
            required=False,
            decimals=0,
        ),
        Field("breathing_rate_brpm", "float", "1/min", "Breaths a minute.", 2, 80, required=False, decimals=1),
    ),
)
WEARABLE = Measurement(
    "wearable",
    "wearable",
    "A wristband's reading, every minute; body values are absent while it is not worn.",
    (
        Field("worn", "bool", "1", "Whether it is on the wrist."),
        Field("steps", "int", "steps", "Steps since the last report.", 0, 1_000),
        Field("battery_pct", "float", "%", "Battery left.", 0, 100, decimals=1),
        Field("heart_rate_bpm", "float", "bpm", "Heart rate.", 20, 250, required=False, decimals=0),
        Field(
            "spo2_pct",
            "float",
            "%",
            "Oxygen saturation; every tenth minute.",
            40,
            100,
            required=False,
            decimals=0,
        ),
    ),
)
WEARABLE_FALL = Measurement(
    "wearable_fall",
    "wearable",
    "The wristband believes that its wearer fell. It is wrong at times, both ways.",
    (
        Field("peak_g", "float", "g", "Peak acceleration.", 0, 32, decimals=2),
        Field("still_s", "float", "s", "How long no movement followed.", 0, 3_600, decimals=0),
    ),
)
SOS_BUTTON = Measurement(
    "sos_button",
    "sos-button",
    "The emergency button: when pressed, and as a daily heartbeat.",
    (
        Field("pressed", "bool", "1", "Whether it was pressed."),
        Field("battery_pct", "float", "%", "Battery left.", 0, 100, decimals=1),
    ),
)

CARE = (HOME_MOTION, HOME_DOOR, HOME_WATER, HOME_SMOKE, HOME_BED, WEARABLE, WEARABLE_FALL, SOS_BUTTON)
