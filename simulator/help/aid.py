"""What a helper finds at a home, and what each kind of helper can do about it.

A helper knows what whoever stands in the flat can see, and no more: not since when somebody lies there, not why nobody
is at home, and of an illness only that it shows. What is found first is what is most urgent; what is done follows from
it and from who it is. A volunteer helps up, airs, closes the tap, leads to bed, brings the wristband back; a nurse also
measures and treats; an ambulance measures and takes to hospital. Beyond that they say who is needed.
"""

from collections.abc import Callable

from simulator.care.misfortune import Misfortune

ON_SCENE_MEAN_S = {
    "nothing": 300.0,
    "helped_up": 1_200.0,
    "aired": 900.0,
    "tap_closed": 900.0,
    "led_to_bed": 900.0,
    "wristband_on": 300.0,
    "treated": 1_800.0,
    "to_hospital": 3_600.0,
    "nurse_needed": 600.0,
    "ambulance_needed": 900.0,
}
"""How long a helper is busy with it, the way to hospital included; all assumed."""


def find(home: Misfortune) -> str:
    """The most urgent of what somebody finds who comes in now."""
    signs: tuple[tuple[str, Callable[[], object]], ...] = (
        ("smoke", lambda: home.household.smoke),
        ("fallen", lambda: home.falls.is_lying),
        ("water", lambda: home.household.water),
        ("nobody", lambda: home.life.is_out),
        ("hurt", lambda: home.falls.is_hurt),
        ("astray", lambda: home.wandering.is_walking),
        ("ill", lambda: home.illness.is_seen),
        ("no_wristband", lambda: home.false_alarms.dropped or home.false_alarms.is_flat),
        ("visitors", lambda: home.false_alarms.has_visitors),
        ("cleaning", lambda: home.false_alarms.is_cleaned),
    )
    return next((found for found, is_so in signs if is_so()), "well")


def do(home: Misfortune, found: str, helper: str) -> str:
    """What this helper does about it, there and then."""
    match found:
        case "smoke":
            home.household.air()
            return "aired"
        case "water":
            home.household.close_tap()
            return "tap_closed"
        case "fallen" if home.falls.is_hurt:
            home.falls.help_up(helper)
            return _bring_to_hospital(home, helper)
        case "fallen":
            home.falls.help_up(helper)
            return "helped_up"
        case "hurt":
            return _bring_to_hospital(home, helper)
        case "astray":
            home.wandering.lead_to_bed()
            return "led_to_bed"
        case "ill" if helper == "ambulance" or (home.illness.is_grave and helper == "nurse"):
            return _bring_to_hospital(home, helper)
        case "ill" if helper == "nurse":
            home.illness.treat()
            return "treated"
        case "ill":
            return "nurse_needed"
        case "no_wristband":
            home.false_alarms.put_on_wristband()
            return "wristband_on"
        case _:
            return "nothing"


def _bring_to_hospital(home: Misfortune, helper: str) -> str:
    if helper != "ambulance":
        return "ambulance_needed"
    home.take_to_hospital()
    return "to_hospital"
