"""Reports at fixed intervals, for many devices of a kind by one process.

Each member has a *phase* of its own within the interval, a whole number of milliseconds drawn from its own
stream, so reports of a town do not come all at once, and one more member moves nobody else's.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from simulator.town import Town

Report = Callable[[int, float], None]
"""Lets member number i report what it has at `at_s`, seconds since the run's start."""


def phase_s(town: Town, entity: str, purpose: str, period_s: float) -> float:
    """Where in the interval an entity reports, to the millisecond."""
    return int(town.stream(entity, purpose).random() * period_s * 1000) / 1000


def rota(
    env: simpy.Environment, period_s: float, phases_s: Sequence[float], report: Report
) -> Generator[Any, Any, None]:
    """Call each member once an interval, exactly at its phase."""
    order = sorted((phase, number) for number, phase in enumerate(phases_s))
    if not order:
        return
    begin_s = 0.0
    while True:
        for phase, number in order:
            at_s = begin_s + phase
            if at_s > env.now:
                yield env.timeout(at_s - env.now)
            report(number, at_s)
        begin_s += period_s


def rota_by_second(
    env: simpy.Environment,
    period_s: int,
    phases_s: Sequence[float],
    prepare: Callable[[], None],
    report: Report,
) -> Generator[Any, Any, None]:
    """Call each member once an interval, less than a second after its phase; cheaper for many.

    `prepare` is called as each interval begins, to draw for all members at once.
    """
    seconds: list[list[tuple[float, int]]] = [[] for _ in range(period_s)]
    for number, phase in enumerate(phases_s):
        seconds[int(phase)].append((phase, number))
    for members in seconds:
        members.sort()
    begin_s = 0
    while True:
        prepare()
        for second, members in enumerate(seconds, start=1):
            yield env.timeout(begin_s + second - env.now)
            for phase, number in members:
                report(number, begin_s + phase)
        begin_s += period_s
