"""From a scenario to a town that lives: who stands where, and the models that move them.

A numbered site gets its number from its area and its rank in it, not from the order in which sites are made:
the second home of the third area on the map is h0015 in every scenario. So one more home or centre takes nobody
else's id, and with it nobody else's random numbers.
"""

from collections.abc import Iterator
from typing import Any

from haina.zone import areas as zone_areas
from simulator.application import Place, PlaceKind, Shared, applications, found
from simulator.scenario import Scenario
from simulator.town import Town


def build_town(scenario: Scenario, town: Town) -> None:
    """Found every site of the scenario, install its devices and set the models going at the town's start."""
    shared = Shared(sorted(scenario.areas), scenario.boost)
    for application in applications():
        places = {
            kind.kind: [
                Place(found(town, area, site_id, kind.kind), plan) for area, site_id, plan in planned(scenario, kind)
            ]
            for kind in application.places
        }
        application.populate(town, places, scenario.parameters.of(application.name), shared)


def planned(scenario: Scenario, kind: PlaceKind) -> Iterator[tuple[str, str, Any]]:
    """The places of a kind, the counted ones first: area, id and plan."""
    for area, plan in sorted(scenario.areas.items()):
        for number in _numbers(area, plan.count(kind)):
            yield area, f"{kind.letter}{number:0{kind.digits}d}", kind.plan()
    for site in scenario.sites:
        if site.kind == kind.kind:
            yield site.area, site.id, site


def _numbers(area: str, count: int) -> Iterator[int]:
    """The numbers of an area's sites: every twelfth, for twelve areas on the map."""
    on_the_map = [known.id for known in zone_areas()]
    first = on_the_map.index(area) + 1
    return iter(range(first, first + count * len(on_the_map), len(on_the_map)))
