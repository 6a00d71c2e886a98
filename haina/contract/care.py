"""What a senior-care home reports.

Shanghai's four small devices (water meter, door contact, smoke alarm, infrared), and a bed, a wearable, an SOS button,
a medicine dispenser, a stove guard and a power meter. Devices that live on batteries say daily how they are.
"""

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
        Field("turns", "int", "1", "Times the sleeper turned over since the last report.", 0, 1_000, required=False),
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
        Field(
            "skin_temperature_c",
            "float",
            "°C",
            "Skin at the wrist; every tenth minute.",
            10,
            45,
            required=False,
            decimals=1,
        ),
        Field(
            "beat_interval_sd_ms",
            "float",
            "ms",
            "Spread of the times between beats (SDNN of a minute); every tenth minute.",
            0,
            1_000,
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
        Field(
            "sway_g",
            "float",
            "g",
            "Spread (SD) of the acceleration from 1 to 3 s after the peak: small when somebody lies still.",
            0,
            8,
            required=False,
            decimals=3,
        ),
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

DISPENSER_STATES = {0: "ready", 1: "due", 2: "taken", 3: "late", 4: "missed"}
HOME_MEDICINE = Measurement(
    "home_medicine",
    "medicine-dispenser",
    "The medicine dispenser, on every change and as a heartbeat every six hours.",
    (
        Field(
            "state",
            "int",
            "1",
            "0 nothing to take, 1 a dose is due, 2 it was taken, 3 not taken for an hour, 4 missed and locked away.",
            states=DISPENSER_STATES,
        ),
        Field("remaining_doses", "int", "doses", "Doses left in the dispenser.", 0, 1_000),
        Field("delay_s", "float", "s", "How long after it was due the dose was taken.", 0, 86_400, False, decimals=0),
    ),
)
HOME_STOVE = Measurement(
    "home_stove",
    "stove-guard",
    "The stove guard: on every change, every 5 minutes while a burner is on, and as an hourly heartbeat.",
    (
        Field("on", "bool", "1", "Whether a burner is on."),
        Field("unattended_s", "float", "s", "How long nobody has moved by the burning stove.", 0, 86_400, decimals=0),
    ),
)
HOME_POWER = Measurement(
    "home_power",
    "power-meter",
    "The electricity meter, every quarter of an hour.",
    (
        Field("energy_kwh", "float", "kWh", "Meter reading; grows for ever.", 0, 1e7, decimals=3),
        Field("power_w", "float", "W", "Mean power since the last report.", 0, 100_000, decimals=0),
    ),
)
HOME_DEVICE = Measurement(
    "home_device",
    "battery-device",
    "What a device on a battery says of itself daily: infrared, door, water, smoke, SOS, dispenser, stove guard.",
    (
        Field("battery_pct", "float", "%", "Battery left.", 0, 100, decimals=1),
        Field("signal_dbm", "float", "dBm", "Strength of its radio at the gateway (RSSI).", -140, 0, decimals=0),
    ),
)

CARE = (
    HOME_MOTION,
    HOME_DOOR,
    HOME_WATER,
    HOME_SMOKE,
    HOME_BED,
    WEARABLE,
    WEARABLE_FALL,
    SOS_BUTTON,
    HOME_MEDICINE,
    HOME_STOVE,
    HOME_POWER,
    HOME_DEVICE,
)
