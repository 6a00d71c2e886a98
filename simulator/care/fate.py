"""Chance at one home: when things happen there, and the truth about them.

Whatever may happen is asked for once, with its rate: `strikes`. From then on it happens at exponential intervals, each
kind of thing on a stream of its own, at the cost of one pending event and of nothing while it does not happen. Whatever
happens `begins` and `ends` in the truth ledger under one `event` id, so that alarms can be scored later by what caused
them and by how late they came.
"""

from collections.abc import Callable, Generator
from typing import Any

from simulator.care.home import Home
from simulator.care.life import Life
from simulator.randomness import Stream

Process = Generator[Any, Any, None]

HOUR_S, DAY_S, YEAR_S = 3_600, 86_400, 365.25 * 86_400


class Fate:
    """Lets things happen at a home. `boost` is how many times more often than the parameters say."""

    def __init__(self, home: Home, life: Life, boost: float) -> None:
        self.home, self.life, self.boost = home, life, boost
        self.env, self.site, self.p = home.site.env, home.site, home.parameters
        self.begins, self.ends, self.happens = self.site.begins, self.site.ends, self.site.happens

    def strikes(self, purpose: str, per_year: float, happen: Callable[[Stream], None]) -> None:
        """Let something happen so many times a year, already boosted; `happen` gets the stream of this purpose."""
        if per_year <= 0:
            return
        draws, mean_s = self.site.stream(purpose), YEAR_S / per_year

        def strike(_: Any) -> None:
            happen(draws)
            await_next()

        def await_next() -> None:
            self.env.timeout(draws.exponential(mean_s)).callbacks.append(strike)

        await_next()

    def later(self, after_s: float, act: Callable[[], None]) -> None:
        self.env.timeout(after_s).callbacks.append(lambda _: act())
