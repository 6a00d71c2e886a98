"""Queues of a centre against the theory that solves them.

Each is one long run of a real centre (`laboratory`) cut into 40 batches; Student's interval of the batch means is
the tolerance. Batches are tens of relaxation times long, so they are as good as independent. Loads are moderate on
purpose: there a service that is a few per cent too slow lengthens waits by several times as much.
"""

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from haina.contract.centre import SERVICES
from simulator.centres import CentreParameters
from simulator.centres.kiosk import FAULT
from simulator.centres.visitor import WORK, ages
from simulator.randomness import Stream
from simulator.validation import theory
from simulator.validation.finding import ALPHA, Finding, Settings
from simulator.validation.inference import FloatArray, batch_means, margin, standard_normal
from simulator.validation.laboratory import (
    SERVICE_S,
    UNDISTURBED,
    Heard,
    LaboratoryCentre,
    found_town,
    observe,
    weather_of,
)

BATCHES = 40
_ERLANG = "Erlang 1917; Gross et al., Fundamentals of Queueing Theory, ch. 3"
_GARNETT = "Garnett, Mandelbaum, Reiman, M&SOM 4 (2002)"


def erlang_c(settings: Settings) -> list[Finding]:
    """M/M/3 at a utilisation of 0.7."""
    rate = 0.7 * 3 / SERVICE_S
    heard = observe(settings.seed, kiosks=3, rate_per_s=rate, customers=settings.sized(30_000, 100_000))
    steady = theory.markov_queue(rate, SERVICE_S, 3)
    return [
        _mean("mean wait", steady.mean_wait, heard.wait_s, "s", _ERLANG),
        _mean("share of customers who wait", steady.delayed, (heard.wait_s > 0).astype(float), "1", _ERLANG),
        _utilisation(steady.utilisation, heard, 3),
    ]


def erlang_b(settings: Settings) -> list[Finding]:
    """M/M/3/3: customers without any patience, so that only free kiosks are used."""
    rate = 2.4 / SERVICE_S
    heard = observe(settings.seed, kiosks=3, rate_per_s=rate, customers=settings.sized(20_000, 60_000), patient=False)
    lost = theory.erlang_b(3, 2.4)
    return [
        _share("share of arrivals lost", lost, heard.reneged, heard.arrivals, _ERLANG),
        _utilisation(2.4 * (1 - lost) / 3, heard, 3),
    ]


def finite_queue(settings: Settings) -> list[Finding]:
    """M/M/3/6 at a load of 1.1 a kiosk: people turn round when three wait."""
    rate = 1.1 * 3 / SERVICE_S
    heard = observe(
        settings.seed, kiosks=3, rate_per_s=rate, customers=settings.sized(20_000, 60_000), balk_at_persons=1
    )
    steady = theory.markov_queue(rate, SERVICE_S, 3, room=6)
    return [
        _share("share of arrivals that turn round", steady.lost, heard.balked, heard.arrivals, _ERLANG),
        _mean("mean wait", steady.mean_wait, heard.wait_s, "s", _ERLANG),
        _utilisation(steady.utilisation, heard, 3),
    ]


def erlang_a(settings: Settings) -> list[Finding]:
    """M/M/3+M at a load of 1.1 a kiosk, with a mean patience of two sessions."""
    rate, patience_s = 1.1 * 3 / SERVICE_S, 2 * SERVICE_S
    heard = observe(
        settings.seed,
        kiosks=3,
        rate_per_s=rate,
        customers=settings.sized(20_000, 60_000),
        patience_mean_s=patience_s,
    )
    steady = theory.markov_queue(rate, SERVICE_S, 3, mean_patience=patience_s)
    return [
        _share("share of arrivals that lose patience", steady.abandon, heard.reneged, heard.arrivals, _GARNETT),
        _mean("mean number waiting, at each minute's end", steady.mean_waiting, heard.waiting, "persons", _GARNETT),
        _utilisation(steady.utilisation, heard, 3),
    ]


def pollaczek_khinchine(settings: Settings) -> list[Finding]:
    """M/G/1 with the model's own sessions: a mixture of lognormals by service, age and remote help."""
    p = CentreParameters()
    told = {name: getattr(p, name) for name in MIXTURE}
    first, second = session_moments(CentreParameters(**{**UNDISTURBED, **told}))
    rate = 0.6 / first
    heard = observe(
        settings.seed,
        kiosks=1,
        rate_per_s=rate,
        customers=settings.sized(25_000, 120_000),
        exponential=False,
        **told,
    )
    source = "Pollaczek 1930, Khinchine 1932; Gross et al., ch. 5"
    return [
        _mean("mean session", first, heard.session_s, "s", "moments of the model's lognormal mixture"),
        _mean("mean wait", theory.pollaczek_khinchine(rate, first, second), heard.wait_s, "s", source),
    ]


MIXTURE = (
    "under_35_share",
    "sixty_to_74_share",
    "over_75_share",
    "assisted_share",
    "assisted_share_60_to_74",
    "assisted_share_over_75",
    "service_cv",
)


def session_mixture(p: CentreParameters) -> list[tuple[float, float]]:
    """A session at a household kiosk is one of several lognormals: the share and the mean in s of each."""
    times = [WORK[service].relative_time for service in SERVICES["household"]]
    relative = [time * len(times) / math.fsum(times) for time in times]
    return [
        (age.share * help_share / len(relative), p.service_mean_s * time * age.slower * help_slower)
        for age in ages(p)
        for help_share, help_slower in ((1 - age.assisted_share, 1.0), (age.assisted_share, p.assisted_slower))
        for time in relative
        if age.share * help_share
    ]


def session_moments(p: CentreParameters) -> tuple[float, float]:
    """First and second moment of that, in s and s²."""
    first = math.fsum(share * mean_s for share, mean_s in session_mixture(p))
    second = math.fsum(share * mean_s**2 * (1 + p.service_cv**2) for share, mean_s in session_mixture(p))
    return first, second


def kiosk_availability(settings: Settings) -> list[Finding]:
    """Forty kiosks that only fail and are repaired, looked at four times a failure cycle's memory apart."""
    mtbf_s, mttr_s, look_s, kiosks = 180.0, 45.0, 150.0, 40
    town = found_town(settings.seed)
    p = CentreParameters(**{**UNDISTURBED, "card_reader_mtbf_h": mtbf_s / 3_600, "card_reader_mttr_h": mttr_s / 3_600})
    site = town.site("a01", "laboratory", "centre", (121.4, 31.25))
    centre = LaboratoryCentre(site, kiosks, 1e-9, p, weather_of(town))
    looks, down = settings.sized(600, 1_500), 0
    town.env.run(until=1_800.0)
    for _ in range(looks):
        town.env.run(until=town.env.now + look_s)
        town.outbox.clear()
        down += sum(kiosk.state == FAULT for kiosk in centre.kiosks)
    expected, count = mttr_s / (mtbf_s + mttr_s), looks * kiosks
    # Looks e^-4.2 correlated add 3 % to the variance.
    tolerance = -standard_normal.inv_cdf(ALPHA / 2) * math.sqrt(1.03 * expected * (1 - expected) / count)
    return [
        Finding(
            "share of kiosks out of order",
            expected,
            down / count,
            tolerance,
            "1",
            "alternating renewal: MTTR / (MTBF + MTTR)",
            f"normal test of a share, {count:,} looks at a kiosk",
        )
    ]


def machine_repair(settings: Settings) -> list[Finding]:
    """Ten machines and two crews."""
    machines, crews, up_s, repair_s = 10, 2, 500.0, 100.0
    until_s = settings.sized(1_500_000, 5_000_000) * 1.0
    env, draws = simpy.Environment(initial_time=0.0), Stream(settings.seed, "machines", "lives")
    crew = simpy.Resource(env, capacity=crews)
    out_s: list[float] = []

    def machine() -> Generator[Any, Any, None]:
        while True:
            yield env.timeout(draws.exponential(up_s))
            failed_s = env.now
            with crew.request() as turn:
                yield turn
                yield env.timeout(draws.exponential(repair_s))
            out_s.append(env.now - failed_s)

    for _ in range(machines):
        env.process(machine())
    env.run(until=until_s)
    down, turnaround_s = theory.machine_repair(machines, crews, up_s, repair_s)
    times = np.array(out_s[200:])
    source = "Palm 1947; Gross et al., ch. 3: finite source"
    found = _mean("mean time out of order", turnaround_s, times, "s", source)
    mean_down = float(np.sum(times)) / (until_s * len(times) / len(out_s))
    spread = margin(batch_means(times, BATCHES), ALPHA) / turnaround_s * down
    return [
        found,
        Finding("mean number out of order", down, mean_down, spread, "machines", source, found.test),
    ]


def _mean(what: str, expected: float, values: FloatArray, unit: str, source: str) -> Finding:
    means = batch_means(values, BATCHES)
    test = f"Student's t over {BATCHES} batch means of {len(values):,} values"
    return Finding(what, expected, float(means.mean()), margin(means, ALPHA), unit, source, test)


def _share(what: str, expected: float, some: FloatArray, of: FloatArray, source: str) -> Finding:
    shares = batch_means(some, BATCHES) / batch_means(of, BATCHES)
    test = f"Student's t over {BATCHES} batches of {of.sum():,.0f} arrivals"
    return Finding(what, expected, float(shares.mean()), margin(shares, ALPHA), "1", source, test)


def _utilisation(expected: float, heard: Heard, kiosks: int) -> Finding:
    """From the sessions' lengths and how many there were; the spread of both is that of the batches' products."""
    measured = float(heard.session_s.sum()) / (heard.seconds * kiosks)
    # Sessions a minute: arrivals less those turned away or lost, known for each minute.
    served = heard.arrivals - heard.balked - heard.reneged
    lengths, rates = batch_means(heard.session_s, BATCHES), batch_means(served, BATCHES)
    relative = math.hypot(margin(lengths, ALPHA) / lengths.mean(), margin(rates, ALPHA) / rates.mean())
    test = f"Student's t over {BATCHES} batches of {len(heard.session_s):,} sessions"
    return Finding("utilisation", expected, measured, relative * expected, "1", "load carried over kiosks", test)
