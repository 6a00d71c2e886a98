"""A second opinion: the same queue in Ciw, an independent simulator (Palmer et al., J. Simulation 13, 2019).

Lognormal sessions at several kiosks have no closed theory, so two implementations check each other. Ciw draws its
sessions from the same mixture of lognormals by service, age and help, and all else is its own. Developers have Ciw;
where it is missing the check is left out and says so.
"""

import importlib
import importlib.metadata
import importlib.util
import math
from typing import Any

import numpy as np

from simulator.centres import CentreParameters
from simulator.validation.finding import ALPHA, Finding, LeftOut, Settings
from simulator.validation.inference import batch_means, margin
from simulator.validation.laboratory import UNDISTURBED, observe
from simulator.validation.queues import BATCHES, MIXTURE, session_mixture, session_moments

_KIOSKS, _USED, _WARM_CUSTOMERS = 3, 0.6, 1_000


def two_simulators(settings: Settings) -> list[Finding]:
    """M/G/3 of our centre and of Ciw, with sessions of the same law."""
    if importlib.util.find_spec("ciw") is None:
        raise LeftOut("Ciw is not installed; `pip install ciw` lets a second simulator judge the same queue")
    ciw: Any = importlib.import_module("ciw")
    told = {name: getattr(CentreParameters(), name) for name in MIXTURE}
    p = CentreParameters(**{**UNDISTURBED, **told})
    first, _ = session_moments(p)
    rate, customers = _USED * _KIOSKS / first, settings.sized(20_000, 60_000)
    ours = observe(
        settings.seed, kiosks=_KIOSKS, rate_per_s=rate, customers=customers, exponential=False, **told
    ).wait_s
    variance = math.log1p(p.service_cv**2)
    shares, means_s = zip(*session_mixture(p), strict=True)
    sessions = [ciw.dists.Lognormal(math.log(mean_s) - variance / 2, math.sqrt(variance)) for mean_s in means_s]
    ciw.seed(settings.seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate)],
        service_distributions=[ciw.dists.MixtureDistribution(sessions, list(shares))],
        number_of_servers=[_KIOSKS],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time((customers + _WARM_CUSTOMERS) / rate)
    records = sorted(simulation.get_all_records(), key=lambda record: record.exit_date)
    theirs = np.array([record.waiting_time for record in records[_WARM_CUSTOMERS:]], dtype=np.float64)
    found = []
    for what, unit, us, them in (
        ("mean wait", "s", ours, theirs),
        ("share of customers who wait", "1", (ours > 0).astype(float), (theirs > 0).astype(float)),
    ):
        our_means, their_means = batch_means(us, BATCHES), batch_means(them, BATCHES)
        tolerance = math.hypot(margin(our_means, ALPHA), margin(their_means, ALPHA))
        test = f"difference of two means over {BATCHES} batches of {len(us):,} and {len(them):,} customers"
        source = f"Ciw {importlib.metadata.version('ciw')}"
        found.append(Finding(what, float(their_means.mean()), float(our_means.mean()), tolerance, unit, source, test))
    return found
