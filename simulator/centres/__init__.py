"""Unmanned service centres: people come at all hours, kiosks serve them, nobody is on duty.

Read `centre` (a visit from gate to gate), `arrivals` (when people come), `kiosk` (what can break), `room` (air and
electricity). `parameters` lists every number with its unit and source.
"""

from typing import NamedTuple

from simulator.centres.centre import Centre, kinds_of
from simulator.centres.parameters import CentreParameters
from simulator.town import Site
from simulator.weather import Weather

__all__ = ["Centre", "CentreParameters", "CentrePlan", "open_centre"]


class CentrePlan(NamedTuple):
    """What a scenario fixes about a centre; None is drawn."""

    kiosks: int | None = None
    arrivals_persons_per_day: float | None = None
    floor_area_m2: float | None = None


def open_centre(site: Site, plan: CentrePlan, parameters: CentreParameters, weather: Weather) -> Centre:
    """Install the devices of a centre and open its doors at the town's start."""
    size = site.stream("size").lognormal_mean_cv(1.0, parameters.size_cv) if parameters.size_cv else 1.0
    persons_per_day = plan.arrivals_persons_per_day or parameters.arrivals_persons_per_day * size
    usual = round(persons_per_day / parameters.kiosk_persons_per_day)
    kiosks = plan.kiosks or min(max(usual, parameters.least_kiosks), parameters.most_kiosks)
    return Centre(site, kinds_of(kiosks), persons_per_day, plan.floor_area_m2, parameters, weather)
