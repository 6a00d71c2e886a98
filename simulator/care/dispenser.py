"""The medicine dispenser: it says when a dose is due, and whether it was taken, late or missed.

A home's doses come at the hours of breakfast, lunch and dinner. The resident takes a due dose when they are at home,
awake, and think of it (`life` asks `reminds`); some doses they do not think of at all. Untaken for an hour a dose is
*late*, after three it is *missed* and locked away. When the dispenser runs low, it is filled again.
"""

from collections.abc import Generator
from typing import Any, Final

from haina.contract.care import HOME_MEDICINE
from haina.contract.measurement import Value
from simulator.care.fitting import Fitting
from simulator.care.parameters import CareParameters

READY, DUE, TAKEN, LATE, MISSED = range(5)
HOUR_S, DAY_S = 3_600, 86_400
HEARTBEAT_S: Final = 6 * HOUR_S
LATE_AFTER_S, MISSED_AFTER_S = 1 * HOUR_S, 3 * HOUR_S  # assumed
_DOSES_H = {0: (), 1: (8.0,), 2: (8.0, 18.5), 3: (8.0, 12.5, 18.5)}
_DOSES, _DOSES_SHARES = (0, 1, 2, 3), (0.12, 0.30, 0.40, 0.18)  # assumed
_HABIT_SD_H: Final = 0.4  # assumed
_FILLED_FOR_D, _REFILL_BELOW_D = 14, 2  # assumed


class Dispenser:
    """A home's dispenser; `reminds` is whether its resident thinks now of a dose that is due."""

    def __init__(self, fitting: Fitting, missed_share: float, parameters: CareParameters) -> None:
        site = fitting.device.site
        self._fitting, self._env, self._town, self._site = fitting, site.env, site.town, site
        self._draws = site.stream("medicine")
        self._missed_share, self._p = missed_share, parameters
        doses = self._draws.choice(_DOSES, _DOSES_SHARES)
        self.doses_h = sorted(self._draws.normal(hour, _HABIT_SD_H) for hour in _DOSES_H[doses])
        self.remaining = self._draws.integer(_REFILL_BELOW_D, _FILLED_FOR_D) * doses
        self.state = READY
        self._due_s = self._thinks_of_it_s = float("inf")
        self._forgets_next = False
        self._dose = ""  # the event of the dose that is due
        if self.doses_h:
            self._env.process(self._keep())

    def reminds(self) -> bool:
        return self._env.now >= self._thinks_of_it_s

    def take(self) -> None:
        """The resident takes the dose that is due."""
        if self.state in {DUE, LATE}:
            self._end_dose(TAKEN)

    def forget(self) -> None:
        """The resident will not think of the dose that is due, or of the next one."""
        self._thinks_of_it_s = float("inf")
        self._forgets_next = self.state not in {DUE, LATE}

    def report(self, at_s: float) -> None:
        """The heartbeat; whoever has come to see to it has filled it."""
        if self.remaining < _REFILL_BELOW_D * len(self.doses_h):
            self.remaining = _FILLED_FOR_D * len(self.doses_h)
            self._site.happens("medicine_filled", doses=self.remaining)
        self._say(at_s)

    def _keep(self) -> Generator[Any, Any, None]:
        while True:
            hour = self._town.local_hour()
            wait_h = min((dose_h - hour) % 24 for dose_h in self.doses_h)
            yield self._env.timeout(max(wait_h * HOUR_S, 1.0))
            self._begin_dose()
            yield self._env.timeout(LATE_AFTER_S)
            if self.state == DUE:
                self.state = LATE
                self._say()
            yield self._env.timeout(MISSED_AFTER_S - LATE_AFTER_S)
            if self.state == LATE:
                self._end_dose(MISSED)
            self.state = READY

    def _begin_dose(self) -> None:
        forgets = self._draws.chance(self._missed_share) or self._forgets_next
        delay_s = self._draws.exponential(self._p.medicine_delay_min * 60)
        self.state, self._due_s, self._forgets_next = DUE, self._env.now, False
        self._thinks_of_it_s = float("inf") if forgets else self._due_s + delay_s
        self._dose = self._site.begins("medicine", forgotten=forgets)
        self._say()

    def _end_dose(self, state: int) -> None:
        delay_s = self._env.now - self._due_s
        self.state, self._thinks_of_it_s = state, float("inf")
        self.remaining = max(self.remaining - 1, 0)
        outcome = "taken" if state == TAKEN else "missed"
        self._site.ends("medicine", self._dose, outcome=outcome, delay_s=round(delay_s))
        self._say(delay_s=delay_s if state == TAKEN else None)

    def _say(self, at_s: float | None = None, delay_s: float | None = None) -> None:
        values: dict[str, Value] = {"state": self.state, "remaining_doses": self.remaining}
        if delay_s is not None:
            values["delay_s"] = float(round(delay_s))
        self._fitting.send(HOME_MEDICINE, values, at_s)
