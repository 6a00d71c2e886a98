"""Senior-care homes: one older person each, and the sensors that watch over them.

Read `condition` and `resident` (who, and the day's plan), `activity` and `rhythm` (what people do at home, and when),
`walker` and `life` (doing it), `home` (what the sensors make of it; `appliance`, `dispenser` and `fitting` are its
parts), `body` (heart, wristband, bed), then `misfortune`. `parameters` lists every number with its unit and source;
numbers of one module only stand at its top.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, Strict

from simulator.application import Application, Place, PlaceKind, Plan, Shared
from simulator.care.body import BED_PERIOD_S, MINUTE_S, Bodies
from simulator.care.dispenser import HEARTBEAT_S
from simulator.care.home import DAY_S, QUARTER_S, Home, install
from simulator.care.life import Life
from simulator.care.misfortune import Misfortune, Misfortunes
from simulator.care.parameters import CareParameters
from simulator.care.resident import draw_resident
from simulator.care.rhythm import Rhythm, shipped
from simulator.rota import Report, phase_s, rota, rota_by_second
from simulator.town import Town

__all__ = ["APPLICATION", "CareParameters", "HomePlan", "settle_homes"]


class HomePlan(Plan):
    """What a scenario fixes about a home; None is drawn."""

    sex: Literal["female", "male"] | None = Field(None, description="The resident's sex.")
    age: int | None = Field(None, ge=60, le=110, description="The resident's age, years.")
    lives_alone: bool | None = Field(None, description="Whether nobody else lives there.")
    conditions: Annotated[tuple[Literal["atrial-fibrillation", "copd", "dementia"], ...], Strict(False)] | None = Field(
        None, max_length=3, description="What is the matter with the resident; an empty list for nothing."
    )


def settle_homes(
    town: Town, plans: Sequence[Place], parameters: CareParameters, boost: float, rhythm: Rhythm | None = None
) -> Misfortunes:
    """Install the devices of all homes and let their residents live, from the town's start on."""
    homes, bodies, misfortunes = move_in(town, plans, parameters, boost, rhythm)
    if homes:
        _keep_reporting(town, homes, bodies, parameters)
    return misfortunes


def move_in(
    town: Town, plans: Sequence[Place], parameters: CareParameters, boost: float, rhythm: Rhythm | None = None
) -> tuple[list[Home], Bodies, Misfortunes]:
    """The homes with their residents; of their devices only those speak that need no clock to tell them."""
    sites = [site for site, _ in plans]
    for site in sites:
        install(site)
    residents = [
        draw_resident(site.stream("traits"), parameters, plan.sex, plan.age, plan.lives_alone, plan.conditions)
        for site, plan in plans
    ]
    bodies = Bodies(town, sites, residents, parameters)
    homes = [
        Home(site, number, bodies, resident, parameters)
        for number, (site, resident) in enumerate(zip(sites, residents, strict=True))
    ]
    misfortunes = Misfortunes(
        {
            home.site.id: Misfortune(home, Life(home, resident, rhythm or shipped()), boost)
            for home, resident in zip(homes, residents, strict=True)
        }
    )
    return homes, bodies, misfortunes


def _keep_reporting(town: Town, homes: Sequence[Home], bodies: Bodies, p: CareParameters) -> None:
    """The reports that the clock asks for, each kind by one process for all homes."""

    def phases(purpose: str, period_s: float) -> list[float]:
        return [phase_s(town, f"{home.site.area}/{home.site.id}", purpose, period_s) for home in homes]

    def keep(purpose: str, period_s: float, report: Report) -> None:
        town.env.process(rota(town.env, period_s, phases(purpose, period_s), report))

    def ask(asked: Callable[[Home], Callable[[float], None]]) -> Report:
        return lambda number, at_s: asked(homes[number])(at_s)

    wristband_phases = phases("wristband phase", MINUTE_S)
    town.env.process(rota_by_second(town.env, MINUTE_S, wristband_phases, bodies.begin_minute, bodies.report_wristband))
    keep("bed phase", BED_PERIOD_S, bodies.report_bed)
    keep("water phase", QUARTER_S, ask(lambda home: home.report_water))
    keep("power phase", QUARTER_S, ask(lambda home: home.power.report))
    keep("door phase", p.heartbeat_s, ask(lambda home: home.report_door))
    keep("smoke phase", p.heartbeat_s, ask(lambda home: home.report_smoke))
    keep("stove phase", p.heartbeat_s, ask(lambda home: home.stove.report))
    keep("dispenser phase", HEARTBEAT_S, ask(lambda home: home.dispenser.report))
    keep("sos phase", DAY_S, ask(lambda home: home.report_sos))
    for name in homes[0].fittings:
        keep(f"{name} battery phase", DAY_S, ask(lambda home, name=name: home.fittings[name].report))  # type: ignore[misc]


def _populate(town: Town, places: Mapping[str, Sequence[Place]], parameters: CareParameters, shared: Shared) -> None:
    shared.offer(settle_homes(town, places[HOME.kind], parameters, shared.boost))


HOME = PlaceKind(
    kind="home",
    count="homes",
    letter="h",
    digits=4,
    most=830,  # twelve areas of 830 homes are h0001 … h9960: four digits
    sentence="Homes with senior care, one resident each.",
    plan=HomePlan,
)
APPLICATION = Application(
    "care",
    CareParameters,
    _populate,
    (HOME,),
    after=("centre",),  # in no need of it; moments with several messages keep their order
)
