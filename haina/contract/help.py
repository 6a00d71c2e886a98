"""What helpers report: volunteers, nurses and ambulances that somebody sent to a home, and a telephone that rang there.

They are sent by commands to the `desk` of a base, `haina/v1/command/{area}/{base}/desk/{name}`:

| command  | args                                              | reply                                              |
|----------|---------------------------------------------------|----------------------------------------------------|
| `send`   | `home`; `reason`, `priority` 0 … 9, `search`      | done, with the `errand` by which reports name it   |
| `call`   | `home`                                            | the same                                           |
| `recall` | `errand`                                          | done, while nobody has arrived                     |

The desk's meta says whom it sends (`crew`) and which area it `serves`, or `all`. The smaller `priority` goes first when
all are busy (5 unless told); with `search` a helper who finds nobody looks around the neighbourhood. A home to which
somebody of the base is on the way already is refused, as is a home that the base does not serve.
"""

from haina.contract.measurement import Field, Measurement

HELP_DESK = "desk"  # the device of a base that takes the commands
HELPERS = ("volunteer", "nurse", "ambulance", "telephone")
FOUND = (
    "fallen",
    "hurt",
    "smoke",
    "water",
    "astray",
    "ill",
    "no_wristband",
    "visitors",
    "cleaning",
    "well",
    "out",
    "nobody",
    "no_answer",
)
TROUBLE = FOUND[: FOUND.index("ill") + 1]
DONE = (
    "nothing",
    "helped_up",
    "aired",
    "tap_closed",
    "led_to_bed",
    "wristband_on",
    "treated",
    "to_hospital",
    "brought_home",
    "nurse_needed",
    "ambulance_needed",
    "recalled",
)

_ERRAND = Field("errand", "str", "1", "The errand, as the reply to the command named it.")
_HOME = Field("home", "str", "1", "The home it is about.")
_HELPER = Field("helper", "str", "1", "Who it is.", choices=HELPERS)

HELP_REPORT = Measurement(
    "help_report",
    "helper",
    "A helper has arrived at a home, or a call there has ended: what was found. Nurses and ambulances measure as well.",
    (
        _ERRAND,
        _HOME,
        _HELPER,
        Field("found", "str", "1", "The most urgent of what was found.", choices=FOUND),
        Field("trouble", "bool", "1", "Whether somebody there needs help."),
        Field(
            "response_s", "float", "s", "From the command to the door, or to the end of the call.", 0, 1e7, decimals=0
        ),
        Field("travel_s", "float", "s", "On the way of that.", 0, 86_400, required=False, decimals=0),
        Field("heart_rate_bpm", "float", "bpm", "Pulse, as measured.", 20, 250, required=False, decimals=0),
        Field("breathing_rate_brpm", "float", "1/min", "Breaths, as counted.", 2, 80, required=False, decimals=1),
        Field("spo2_pct", "float", "%", "Oxygen saturation, as measured.", 40, 100, required=False, decimals=0),
        Field("temperature_c", "float", "°C", "Temperature, as measured.", 30, 45, required=False, decimals=1),
    ),
)
HELP_RESULT = Measurement(
    "help_result",
    "helper",
    "An errand is over: what was done, or that it was recalled.",
    (
        _ERRAND,
        _HOME,
        _HELPER,
        Field("done", "str", "1", "What was done, or what is needed.", choices=DONE),
        Field("on_scene_s", "float", "s", "From the door to leaving.", 0, 1e6, decimals=0),
    ),
)

HELP = (HELP_REPORT, HELP_RESULT)
