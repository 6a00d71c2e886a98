"""What the model of help can be told."""

from simulator.parameter import ASSUMED, Parameters, parameter


class HelpParameters(Parameters):
    """Parameters of volunteers, nurses, ambulances and the telephone."""

    homes_per_volunteer: int = parameter(30, "homes", "assumed, on duty at a time", "Of an area.", ge=1, le=10_000)
    volunteer_m_per_s: float = parameter(1.2, "m/s", "assumed: on foot", "Their way through the streets.", gt=0, le=30)
    volunteer_turnout_s: float = parameter(300.0, "s", ASSUMED, "Until they set out.", ge=0, le=86_400)
    homes_per_nurse: int = parameter(
        500, "homes", ASSUMED, "Homes for each nurse of the care station.", ge=1, le=10_000
    )
    nurse_m_per_s: float = parameter(4.0, "m/s", "assumed: by electric bicycle", "Their way.", gt=0, le=30)
    nurse_turnout_s: float = parameter(240.0, "s", ASSUMED, "Until they set out.", ge=0, le=86_400)
    homes_per_ambulance: int = parameter(2_000, "homes", ASSUMED, "Homes for each ambulance.", ge=1, le=10_000)
    ambulance_m_per_s: float = parameter(7.0, "m/s", "assumed: in city traffic", "Their way.", gt=0, le=40)
    ambulance_turnout_s: float = parameter(120.0, "s", ASSUMED, "Until they set out.", ge=0, le=86_400)
    search_mean_s: float = parameter(
        2_400.0, "s", ASSUMED, "Searching the neighbourhood for who is not at home.", gt=0, le=86_400
    )
    on_scene_cv: float = parameter(
        0.4, "1", "assumed; means by what is done: simulator/help/aid.py", "Spread.", ge=0, le=2
    )
    answers_awake: float = parameter(0.9, "1", ASSUMED, "Calls answered by who is up and at home.", ge=0, le=1)
    answers_asleep: float = parameter(0.5, "1", ASSUMED, "By who sleeps.", ge=0, le=1)
    answers_out: float = parameter(0.75, "1", ASSUMED, "By who is out, or away with family.", ge=0, le=1)
    answers_lying: float = parameter(0.15, "1", ASSUMED, "By who lies on the floor.", ge=0, le=1)
