"""A second opinion: the same queue in Ciw, an independent simulator (Palmer et al., J. Simulation 13, 2019).

Lognormal sessions at several kiosks have no closed theory, so two implementations check each other. Ciw is not
among Haina's dependencies; without it the check is left out and says so.
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
from simulator.validation.laboratory import SERVICE_S, UNDISTURBED, observe
from simulator.validation.queues import BATCHES, session_moments

_KIOSKS, _USED, _WARM_CUSTOMERS = 3, 0.75, 1_000


def two_simulators(settings: Settings) -> list[Finding]:
    """M/G/3 of our centre and of Ciw, with lognormal sessions of the same first two moments."""
    if importlib.util.find_spec("ciw") is None:
        raise LeftOut("Ciw is not installed; `pip install ciw` lets a second simulator judge the same queue")
    ciw: Any = importlib.import_module("ciw")
    cv = CentreParameters().service_cv
    first, second = session_moments(CentreParameters(**{**UNDISTURBED, "service_cv": cv}))
    rate, customers = _USED * _KIOSKS / first, settings.sized(20_000, 60_000)
    ours = observe(
        settings.seed, kiosks=_KIOSKS, rate_per_s=rate, customers=customers, exponential=False, service_cv=cv
    ).wait_s
    sigma = math.sqrt(math.log(second / first**2))
    ciw.seed(settings.seed)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(rate)],
        service_distributions=[ciw.dists.Lognormal(math.log(SERVICE_S) - sigma**2 / 2, sigma)],
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
