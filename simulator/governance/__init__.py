"""Social governance: what goes wrong in the streets, who notices, and the crews that see to it.

Read `trouble` (what is really wrong), `block` (how it comes about, and what sensors see of it), then `station`
(incidents, from the report to the closing). `parameters` lists every number with its unit and source.

Each area with blocks has one grid station, which stands for its desk in the district's unified operations platform.
"""

from collections.abc import Mapping, Sequence

from haina.zone import areas as zone_areas
from simulator.application import Application, Place, PlaceKind, Shared, found
from simulator.governance.block import HOURLY_S, LEVELS_EVERY_S, Block
from simulator.governance.parameters import GovernanceParameters
from simulator.governance.station import BACKLOG_EVERY_S, Station
from simulator.rota import phase_s, rota
from simulator.town import Site, Town
from simulator.weather import Weather

__all__ = ["APPLICATION", "Block", "GovernanceParameters", "Station"]

STATION = "grid-station"


def _populate(
    town: Town, places: Mapping[str, Sequence[Place]], parameters: GovernanceParameters, shared: Shared
) -> None:
    sites = [site for site, _ in places[BLOCK.kind]]
    if not sites:
        return
    weather = shared.offered(Weather)
    stations: dict[str, Station] = {}
    for number, area in enumerate(zone_areas(), start=1):
        count = sum(site.area == area.id for site in sites)
        if count:
            stations[area.id] = Station(found(town, area.id, f"k{number:02d}", STATION), count, parameters)
    blocks = [Block(site, stations[site.area], parameters, weather) for site in sites]
    desks = list(stations.values())
    desk_sites = [station.crew.site for station in desks]

    def phases(of: Sequence[Site], purpose: str, period_s: float) -> list[float]:
        return [phase_s(town, f"{site.area}/{site.id}", purpose, period_s) for site in of]

    env = town.env
    levels, hours = phases(sites, "level phase", LEVELS_EVERY_S), phases(sites, "hour phase", HOURLY_S)
    backlogs = phases(desk_sites, "backlog phase", BACKLOG_EVERY_S)
    env.process(rota(env, LEVELS_EVERY_S, levels, lambda number, at_s: blocks[number].report_level(at_s)))
    env.process(rota(env, HOURLY_S, hours, lambda number, at_s: blocks[number].report_hour(at_s)))
    env.process(rota(env, BACKLOG_EVERY_S, backlogs, lambda number, at_s: desks[number].report_backlog(at_s)))


BLOCK = PlaceKind(
    "block",
    "blocks",
    letter="b",
    digits=2,
    most=40,
    sentence="Street blocks with sensors in bins, lifts and lanes; an area with blocks has a grid station, too.",
)
APPLICATION = Application("governance", GovernanceParameters, _populate, (BLOCK,), after=("weather",))
