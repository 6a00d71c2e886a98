"""Enterprise life: licences sought at service centres, start-ups that enter incubators and leave them, jobs.

Read `office` (licences and the register), then `incubator` (a birth–death process of tenants). `parameters` lists every
number with its unit and source. Incubators are venues (`simulator/venues/`); here their tenants live.
"""

from collections.abc import Callable, Mapping, Sequence

from simulator.application import Application, Place, PlaceKind, Shared
from simulator.centres import Centre, Support
from simulator.enterprise.incubator import Incubator
from simulator.enterprise.office import Office
from simulator.enterprise.parameters import EnterpriseParameters
from simulator.rota import phase_s, rota
from simulator.town import Site, Town
from simulator.venues import Venues

__all__ = ["APPLICATION", "EnterpriseParameters", "Incubator", "Office"]

REPORT_EVERY_S = 3_600
KIOSK = "business-licence"
"""The kind of kiosk at a service centre where licences are sought."""


def _populate(
    town: Town, places: Mapping[str, Sequence[Place]], parameters: EnterpriseParameters, shared: Shared
) -> None:
    centres = [centre for centre in shared.offered(Support).centres if KIOSK in centre.pools]
    offices = [Office(site, parameters, _visits(site, centres)) for site, _ in places[OFFICE.kind]]
    office = offices[0] if offices else None
    sites = [venue.site for venue in shared.offered(Venues).of("incubator")]
    incubators = [Incubator(site, parameters, office) for site in sites]
    told: list[tuple[Site, Office | Incubator]] = [
        *zip((site for site, _ in places[OFFICE.kind]), offices, strict=True),
        *zip(sites, incubators, strict=True),
    ]
    phases = [phase_s(town, f"{site.area}/{site.id}", "register phase", REPORT_EVERY_S) for site, _ in told]
    town.env.process(rota(town.env, REPORT_EVERY_S, phases, lambda number, at_s: told[number][1].report(at_s)))


def _visits(site: Site, centres: Sequence[Centre]) -> Callable[[], None]:
    """Somebody with a case goes to one centre or another; where none has the kiosk for it, papers come by post."""
    draws = site.stream("which centre")

    def visit() -> None:
        if centres:
            draws.choice(centres).receive(KIOSK)

    return visit


OFFICE = PlaceKind(
    "enterprise-office",
    "enterprise_offices",
    letter="e",
    digits=2,
    most=1,
    sentence="Offices that license the enterprises of a zone and keep their register.",
)
APPLICATION = Application("enterprise", EnterpriseParameters, _populate, (OFFICE,), after=("centre", "venues"))
