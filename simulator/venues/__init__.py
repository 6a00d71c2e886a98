"""Venues: where people shop, play, found companies and do research.

Read `footfall` (who comes and goes), `bookings` (courts, desks, rooms), `venue` (air, electricity, reports).
`parameters` lists every number with its unit and source; the room itself is `simulator/room.py`.
"""

from collections.abc import Mapping, Sequence

from pydantic import Field

from haina.contract.venues import USES
from simulator.application import Application, Place, PlaceKind, Plan, Shared
from simulator.rota import phase_s, rota
from simulator.town import Site, Town
from simulator.venues.parameters import VenueParameters
from simulator.venues.venue import Venue
from simulator.weather import Weather

__all__ = ["APPLICATION", "Venue", "VenueParameters", "VenuePlan", "Venues", "open_venue"]

COUNT_EVERY_S, REPORT_EVERY_S = 60, 300


class VenuePlan(Plan):
    """What a scenario fixes about a venue; None is drawn."""

    visits_per_day: float | None = Field(None, gt=0, le=50_000, description="Mean visits on a dry working day.")
    floor_area_m2: float | None = Field(None, ge=20, le=200_000, description="Floor area, m².")


class Venues:
    """All venues of the town, for applications that people there belong to."""

    def __init__(self, venues: Sequence[Venue]) -> None:
        self._venues = tuple(venues)

    def of(self, use: str) -> list[Venue]:
        """The venues of a use."""
        return [venue for venue in self._venues if venue.use == use]


def open_venue(site: Site, plan: VenuePlan, p: VenueParameters, weather: Weather) -> Venue:
    """Install a venue's devices and let in who is there at the town's start."""
    size = site.stream("size").lognormal_mean_cv(1.0, p.size_cv) if p.size_cv else 1.0
    visits_per_day = plan.visits_per_day or p.of("visits_per_day", site.kind) * size
    floor_m2 = plan.floor_area_m2 or p.of("floor_area_m2", site.kind) * size
    return Venue(site, site.kind, visits_per_day, floor_m2, p, weather)


def _populate(town: Town, places: Mapping[str, Sequence[Place]], parameters: VenueParameters, shared: Shared) -> None:
    weather = shared.offered(Weather)
    venues = [open_venue(site, plan, parameters, weather) for use in USES for site, plan in places[use]]
    shared.offer(Venues(venues))

    def phases(purpose: str, period_s: float) -> list[float]:
        return [phase_s(town, f"{venue.site.area}/{venue.site.id}", purpose, period_s) for venue in venues]

    counts, reports = phases("count phase", COUNT_EVERY_S), phases("report phase", REPORT_EVERY_S)
    town.env.process(rota(town.env, COUNT_EVERY_S, counts, lambda number, at_s: venues[number].count(at_s)))
    town.env.process(rota(town.env, REPORT_EVERY_S, reports, lambda number, at_s: venues[number].report(at_s)))


def _kind(use: str, count: str, letter: str, sentence: str) -> PlaceKind:
    return PlaceKind(use, count, letter, digits=2, most=40, sentence=sentence, plan=VenuePlan)


APPLICATION = Application(
    "venues",
    VenueParameters,
    _populate,
    (
        _kind("shopping", "shops", "s", "Shopping centres."),
        _kind("leisure", "leisure", "l", "Venues for sport and leisure."),
        _kind("incubator", "incubators", "i", "Incubators of start-ups."),
        _kind("institute", "institutes", "r", "Research institutes."),
    ),
    after=("weather",),
)
