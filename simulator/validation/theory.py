"""What queueing theory says, in its own words: arrival rate, mean service time, servers, patience.

Every Markovian queue here is a birth-death chain, so one function solves them all; Erlang's own recursion stands
beside it for the tests to compare. Formulas: Gross, Shortle, Thompson, Harris, "Fundamentals of Queueing Theory";
Erlang-A: Garnett, Mandelbaum, Reiman, M&SOM 4 (2002); Mt/G/∞: Eick, Massey, Whitt, Oper. Res. 41 (1993).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Steady(NamedTuple):
    """A queue in its steady state. Times are in the unit of the rates given."""

    lost: float
    """Share of arrivals that are turned away."""
    abandon: float
    """Share of arrivals that lose patience."""
    delayed: float
    """Share of those who enter that have to wait."""
    mean_waiting: float
    """Mean number waiting."""
    mean_wait: float
    """Mean wait of those who enter, whether served or not."""
    utilisation: float
    """Share of the servers that are busy."""


def erlang_b(servers: int, load: float) -> float:
    """Share lost of M/M/c/c offered `load` erlangs, by Erlang's recursion."""
    lost = 1.0
    for server in range(1, servers + 1):
        lost = load * lost / (server + load * lost)
    return lost


def erlang_c(servers: int, load: float) -> float:
    """Share delayed of M/M/c offered `load` erlangs; `load` must be below `servers`."""
    lost, busy = erlang_b(servers, load), load / servers
    return lost / (1 - busy * (1 - lost))


def birth_death(birth: Callable[[int], float], death: Callable[[int], float], most: int) -> list[float]:
    """Stationary probabilities of states 0 … `most`, from the rates of going up from and down from a state."""
    weights = [1.0]
    for state in range(1, most + 1):
        weights.append(weights[-1] * birth(state - 1) / death(state))
    total = sum(weights)
    return [weight / total for weight in weights]


def markov_queue(
    rate: float, mean_service: float, servers: int, *, room: int | None = None, mean_patience: float | None = None
) -> Steady:
    """M/M/c, M/M/c/K and M/M/c+M. `room` counts places in service and waiting; None is endless (10,000)."""
    most = 10_000 if room is None else room
    leaving = 0.0 if mean_patience is None else 1 / mean_patience
    chances = birth_death(
        lambda _: rate, lambda n: min(n, servers) / mean_service + max(n - servers, 0) * leaving, most
    )
    lost = 0.0 if room is None else chances[-1]
    waiting = sum((n - servers) * chance for n, chance in enumerate(chances) if n > servers)
    busy = sum(min(n, servers) * chance for n, chance in enumerate(chances))
    return Steady(
        lost=lost,
        abandon=leaving * waiting / rate,
        delayed=(sum(chances[servers:]) - lost) / (1 - lost),
        mean_waiting=waiting,
        mean_wait=waiting / (rate * (1 - lost)),
        utilisation=busy / servers,
    )


def pollaczek_khinchine(rate: float, mean_service: float, second_moment: float) -> float:
    """Mean wait of M/G/1."""
    return rate * second_moment / (2 * (1 - rate * mean_service))


def machine_repair(machines: int, crews: int, mean_up: float, mean_repair: float) -> tuple[float, float]:
    """Mean number of machines down, and mean time from a failure to the end of its repair."""
    chances = birth_death(lambda n: (machines - n) / mean_up, lambda n: min(n, crews) / mean_repair, machines)
    down = sum(n * chance for n, chance in enumerate(chances))
    return down, down / ((machines - down) / mean_up)


def infinite_server_mean(rates: Sequence[float], survival: Sequence[float], step: float) -> float:
    """Mean number present in Mt/G/∞: rates `step`, 2·`step`, … ago (at each step's middle) times who is still there."""
    return step * sum(rate * still for rate, still in zip(rates, survival, strict=True))
