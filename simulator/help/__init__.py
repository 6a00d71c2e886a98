"""Help for older people: who can be sent to a home, and where they wait.

Each area with homes has a neighbourhood committee whose *volunteers* go on foot to the homes of the area; the town has
a care station with *nurses* and a station with *ambulances*, who go everywhere. They are bases of crews
(`simulator.crew`) with a desk that takes commands. Nobody goes unless a command from outside says so: read `desk`, then
`aid` (what they find and do). A town without homes has none of them.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from simulator.application import Application, Place, Shared, found
from simulator.care.misfortune import Misfortune, Misfortunes
from simulator.crew import Crew
from simulator.help.desk import Desk
from simulator.help.parameters import HelpParameters
from simulator.town import Town

__all__ = ["APPLICATION", "HelpParameters"]


def _populate(town: Town, _: Mapping[str, Sequence[Place]], p: HelpParameters, shared: Shared) -> None:
    homes = shared.offered(Misfortunes)
    if not homes:
        return

    def open_desk(
        area: str, base: str, helper: str, served: Mapping[str, Misfortune], homes_each: int, pace: tuple[float, float]
    ) -> None:
        site = found(town, area, base, "crew")
        speed_m_per_s, turnout_s = pace
        crew = Crew(site, helper, math.ceil(len(served) / homes_each), speed_m_per_s, turnout_s=turnout_s)
        Desk(site, served, p, crew, helper, serves=area if helper == "volunteer" else "all")

    for area, of_area in groupby(sorted(homes.items(), key=_area), key=_area):
        pace = p.volunteer_m_per_s, p.volunteer_turnout_s
        open_desk(area, f"committee-{area}", "volunteer", dict(of_area), p.homes_per_volunteer, pace)
    first = shared.areas[0]
    open_desk(first, "care-station", "nurse", homes, p.homes_per_nurse, (p.nurse_m_per_s, p.nurse_turnout_s))
    pace = p.ambulance_m_per_s, p.ambulance_turnout_s
    open_desk(first, "ambulance-station", "ambulance", homes, p.homes_per_ambulance, pace)


def _area(home: tuple[str, Misfortune]) -> str:
    return home[1].home.site.area


APPLICATION = Application("help", HelpParameters, _populate, after=("care",))
