"""Senior-care homes: one older person each, and the sensors that watch over them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from simulator.care.parameters import CareParameters
from simulator.town import Site, Town


class HomePlan(NamedTuple):
    """What a scenario fixes about a home; None is drawn."""

    sex: Literal["female", "male"] | None = None
    age: int | None = None


def settle_homes(town: Town, homes: Sequence[tuple[Site, HomePlan]], parameters: CareParameters, boost: float) -> None:
    """Install the devices of all homes and let their residents live."""
    for site, _ in homes:
        for room in ("bedroom", "bathroom", "kitchen", "lounge", "hallway"):
            site.device(f"pir-{room}", "infrared", room=room)
        for device_id, kind in (
            ("door", "door-contact"),
            ("water", "water-meter"),
            ("smoke", "smoke-alarm"),
            ("bed", "bed-sensor"),
            ("wristband", "wearable"),
            ("sos", "sos-button"),
        ):
            site.device(device_id, kind)
