"""Unmanned service centres."""

from typing import NamedTuple

from simulator.centres.parameters import CentreParameters
from simulator.town import Site
from simulator.weather import Weather


class CentrePlan(NamedTuple):
    """What a scenario fixes about a centre; None is drawn."""

    kiosks: int | None = None
    arrivals_persons_per_day: float | None = None
    floor_area_m2: float | None = None


def open_centre(site: Site, plan: CentrePlan, parameters: CentreParameters, weather: Weather) -> None:
    """Install the devices of a centre and open its doors."""
    for device_id, kind in (
        ("door", "door-counter"),
        ("queue", "ticket-system"),
        ("air", "air-sensor"),
        ("power", "power-meter"),
    ):
        site.device(device_id, kind)
