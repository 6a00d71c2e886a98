"""Every check by name, and the run through them."""

import time
from collections.abc import Callable, Iterator, Sequence

from simulator.validation import arrivals, ciw_network, draws, halls, little, models, queues
from simulator.validation.finding import Check, LeftOut, Outcome, Settings

_CENTRE = "a real centre; constant arrivals and exponential sessions put in"
_PLAIN = "a plain SimPy network with draws from Stream"
_DEMAND = "the centres' own arrival process, its random factors off"

CHECKS = (
    Check("erlang-c", "M/M/c: waiting", _CENTRE, 8, queues.erlang_c),
    Check("erlang-b", "M/M/c/c: loss", f"{_CENTRE}, no patience", 4, queues.erlang_b),
    Check("finite-queue", "M/M/c/K: balking", _CENTRE, 5, queues.finite_queue),
    Check("erlang-a", "M/M/c+M: abandonment", _CENTRE, 5, queues.erlang_a),
    Check(
        "pollaczek-khinchine",
        "M/G/1: lognormal sessions",
        "a real centre with its own sessions; constant arrivals put in",
        11,
        queues.pollaczek_khinchine,
    ),
    Check(
        "kiosk-availability",
        "Failing kiosks",
        "the centres' own kiosks, nobody using them",
        2,
        queues.kiosk_availability,
    ),
    Check("machine-repair", "Finite source, two crews", _PLAIN, 1, queues.machine_repair),
    Check("little", "Little's law on every queue", "the shipped scenarios, unchanged", 15, little.little),
    Check("thinning", "Arrivals against their rate", _DEMAND, 5, arrivals.thinning),
    Check("infinite-servers", "Mt/G/∞: a crowd through the day", _DEMAND, 1, arrivals.infinite_servers),
    Check("coverage", "95 % confidence intervals", _DEMAND, 1, arrivals.coverage),
    Check("sampled-laws", "Sampled laws", "Stream", 2, draws.sampled_laws),
    Check("streams", "Streams beside each other", "CohortStream and Stream", 1, draws.streams),
    Check("ciw", "A second simulator", "a real centre, and Ciw", 10, ciw_network.two_simulators),
    Check("homes", "Homes against recorded homes", "the senior-care model, unchanged", 20, models.homes),
    Check(
        "surroundings",
        "Arrivals and weather against records",
        "arrivals and weather, unchanged",
        9,
        models.surroundings,
    ),
    Check(
        "halls",
        "The centre as a staffed hall",
        "a real centre, told the recorded halls' hours and work",
        8,
        halls.halls,
    ),
    Check(
        "recorded-halls",
        "A staffed hall, law by law",
        "the same centre, beside the recorded looks themselves",
        20,
        halls.recorded,
    ),
    Check(
        "held-out-homes", "Homes against homes not fitted on", "the senior-care model, unchanged", 2, models.held_out
    ),
    Check("recordings", "The recordings against the targets", "the recorded homes themselves", 3, models.recordings),
)


def run(
    checks: Sequence[Check], settings: Settings, begun: Callable[[Check], None] = lambda _: None
) -> Iterator[Outcome]:
    """Make the checks one after another; `begun` is told of each before it is made."""
    for check in checks:
        begun(check)
        began_s = time.perf_counter()
        try:
            findings = tuple(check.run(settings))
        except LeftOut as reason:
            yield Outcome(check, left_out=str(reason))
            continue
        yield Outcome(check, findings, took_s=time.perf_counter() - began_s)
