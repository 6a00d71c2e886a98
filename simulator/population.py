"""From a scenario to a town that lives: who stands where, and the models that move them.

A numbered site gets its number from its area and its rank in it, not from the order in which sites are made:
the second home of the third area on the map is h0015 in every scenario. So one more home or centre takes nobody
else's id, and with it nobody else's random numbers.
"""

from collections.abc import Iterator

from haina.zone import areas as zone_areas
from haina.zone import place
from simulator.care import HomePlan, settle_homes
from simulator.centres import CentrePlan, open_centre
from simulator.scenario import CentreSite, HomeSite, Scenario
from simulator.town import Site, Town
from simulator.weather import Weather

WEATHER_SITE = "w01"


def build_town(scenario: Scenario, town: Town) -> None:
    """Found every site of the scenario, install its devices and set the models going at the town's start."""
    parameters = scenario.parameters
    weather_site = _found(town, min(scenario.areas), WEATHER_SITE, "weather")
    weather = Weather(town, parameters.weather, weather_site.device("station", "weather-station"))
    for area, centre_id, centre in _centres(scenario):
        open_centre(_found(town, area, centre_id, "centre"), centre, parameters.centre, weather)
    homes = [(_found(town, area, home_id, "home"), home) for area, home_id, home in _homes(scenario)]
    settle_homes(town, homes, parameters.care, scenario.boost)


def _found(town: Town, area: str, site_id: str, kind: str) -> Site:
    draws = town.stream(f"{area}/{site_id}", "place")
    return town.site(area, site_id, kind, place(area, draws.random(), draws.random()))


def _centres(scenario: Scenario) -> Iterator[tuple[str, str, CentrePlan]]:
    for area, plan in sorted(scenario.areas.items()):
        for number in _numbers(area, plan.centres):
            yield area, f"c{number:02d}", CentrePlan()
    for site in scenario.sites:
        if isinstance(site, CentreSite):
            yield site.area, site.id, CentrePlan(site.kiosks, site.arrivals_persons_per_day, site.floor_area_m2)


def _homes(scenario: Scenario) -> Iterator[tuple[str, str, HomePlan]]:
    for area, plan in sorted(scenario.areas.items()):
        for number in _numbers(area, plan.homes):
            yield area, f"h{number:04d}", HomePlan()
    for site in scenario.sites:
        if isinstance(site, HomeSite):
            yield site.area, site.id, HomePlan(site.sex, site.age)


def _numbers(area: str, count: int) -> Iterator[int]:
    """The numbers of an area's sites: every twelfth, for twelve areas on the map."""
    on_the_map = [known.id for known in zone_areas()]
    first = on_the_map.index(area) + 1
    return iter(range(first, first + count * len(on_the_map), len(on_the_map)))
