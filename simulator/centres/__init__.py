"""Unmanned service centres: people come at all hours, kiosks serve them, nobody is on duty.

Read `centre` (a visit from gate to gate), `arrivals` (when people come), `visitor` (who they are), `gate`, `kiosk`
(what can break), `support` (operators and technicians for all centres), `room` (air and electricity). `parameters`
lists every number with its unit and source.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from simulator.application import Application, Place, PlaceKind, Plan, Shared
from simulator.centres.centre import Centre, kinds_of
from simulator.centres.parameters import CentreParameters
from simulator.centres.support import Support, found_support
from simulator.town import Site, Town
from simulator.weather import Weather

__all__ = ["APPLICATION", "CENTRE", "Centre", "CentreParameters", "CentrePlan", "Support", "open_centre"]


class CentrePlan(Plan):
    """What a scenario fixes about a centre; None is drawn."""

    kiosks: int | None = Field(None, ge=1, le=40, description="Kiosks; their kinds are dealt by demand.")
    arrivals_persons_per_day: float | None = Field(None, gt=0, le=20_000, description="Mean weekday arrivals.")
    floor_area_m2: float | None = Field(None, gt=0, le=10_000, description="Floor area, m².")


def open_centre(
    site: Site, plan: CentrePlan, parameters: CentreParameters, weather: Weather, support: Support | None = None
) -> Centre:
    """Install the devices of a centre and open its doors at the town's start; without `support` it stands alone."""
    size = site.stream("size").lognormal_mean_cv(1.0, parameters.size_cv) if parameters.size_cv else 1.0
    persons_per_day = plan.arrivals_persons_per_day or parameters.arrivals_persons_per_day * size
    usual = round(persons_per_day / parameters.kiosk_persons_per_day)
    kiosks = plan.kiosks or min(max(usual, parameters.least_kiosks), parameters.most_kiosks)
    return Centre(site, kinds_of(kiosks), persons_per_day, plan.floor_area_m2, parameters, weather, support)


def _populate(town: Town, places: Mapping[str, Sequence[Place]], parameters: CentreParameters, shared: Shared) -> None:
    weather, centres = shared.offered(Weather), places[CENTRE.kind]
    support = found_support(town, shared.areas[0], len(centres), parameters)
    shared.offer(support)
    for site, plan in centres:
        open_centre(site, plan, parameters, weather, support)


CENTRE = PlaceKind(
    kind="centre",
    count="centres",
    letter="c",
    digits=2,
    most=80,
    sentence="Unmanned service centres.",
    plan=CentrePlan,
)
APPLICATION = Application("centre", CentreParameters, _populate, (CENTRE,), after=("weather",))
