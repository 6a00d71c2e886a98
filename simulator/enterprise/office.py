"""The enterprise office: it licenses who founds, changes or closes an enterprise, and keeps the register.

An enterprise that wants a licence sends somebody to a service centre on a working day, and the case lies on the
office's desk from then on. A few clerks decide cases in the order of filing, in office hours; a refused case is filed
again after some days. What is granted counts: a founding adds to the register, a closing takes away.
"""

import math
from collections.abc import Callable, Generator
from typing import Any

import simpy

from haina.contract.enterprise import ENTERPRISES, LICENCE_CASE
from simulator.enterprise.parameters import EnterpriseParameters
from simulator.randomness import Stream
from simulator.town import Site
from simulator.workdays import Day, day_of

Process = Generator[Any, Any, None]

HOUR_S, DAY_S, YEAR_S = 3_600, 86_400, 365.25 * 86_400
OFFICE_H = (9, 17)  # assumed
_WORKING_SHARE = 250 / 365.25 * (OFFICE_H[1] - OFFICE_H[0]) / 24  # of all time, in which people file


class Office:
    """An enterprise office and the enterprises of its zone. `visit` sends somebody to a service centre."""

    def __init__(self, site: Site, p: EnterpriseParameters, visit: Callable[[], None]) -> None:
        self._site, self._env, self._p, self._visit = site, site.env, p, visit
        self._register = site.device("register", "enterprise-register")
        self._clerks = simpy.PriorityResource(site.env, capacity=p.clerks)  # all alike: first come, first served
        self._draws, self._work = site.stream("cases"), site.stream("clerks")
        self._number = self._open_cases = self._founded = self._dissolved = 0
        start = site.stream("register")
        self.enterprises = p.enterprises
        self.jobs = sum(jobs_of(start, p.jobs_mean) for _ in range(p.enterprises))
        site.env.process(self._file_foundings())
        site.env.process(self._file_others())

    # -- who comes -----------------------------------------------------------------------------

    def _file_foundings(self) -> Process:
        draws = self._site.stream("foundings")
        rate_per_s = self._p.foundings_per_year / YEAR_S / _WORKING_SHARE
        while rate_per_s > 0:
            yield self._env.timeout(draws.exponential(1 / rate_per_s))
            if self.is_open():
                self.found(jobs_of(draws, self._p.jobs_mean))

    def _file_others(self) -> Process:
        draws, p = self._site.stream("changes"), self._p
        each_per_s = (p.changes_per_year + p.dissolved_per_year) / YEAR_S / _WORKING_SHARE
        while each_per_s > 0:
            many = max(self.enterprises, 1)
            yield self._env.timeout(draws.exponential(1 / (each_per_s * many)))
            if not self.is_open() or not self.enterprises:
                continue
            if draws.chance(p.dissolved_per_year / (p.changes_per_year + p.dissolved_per_year)):
                self.dissolve(round(self.jobs / self.enterprises))
            else:
                self._env.process(self._case("change", 0))

    def found(self, jobs: int) -> simpy.Process:
        """Somebody files a founding; the process ends when the enterprise is on the register."""
        return self._env.process(self._case("founding", jobs))

    def dissolve(self, jobs: int) -> simpy.Process:
        """An enterprise files its closing; the process ends when it is off the register."""
        return self._env.process(self._case("closing", jobs))

    def is_open(self) -> bool:
        """Whether it is office hours of a working day."""
        is_hour = OFFICE_H[0] <= self._site.town.local_hour() < OFFICE_H[1]
        return is_hour and day_of(self._site.town.local_day()) is Day.WORKING

    # -- a case --------------------------------------------------------------------------------

    def _case(self, licence: str, jobs: int) -> Process:
        was_granted = False
        while not was_granted:
            while not self.is_open():
                yield self._env.timeout(HOUR_S - self._site.town.local_s() % HOUR_S)
            was_granted = yield from self._decide(licence)
            if not was_granted:
                yield self._env.timeout(self._draws.exponential(self._p.again_after_d * DAY_S))
        if licence == "founding":
            self._founded += 1
            self.enrol(jobs)
        elif licence == "closing" and self.enterprises:
            self._dissolved += 1
            self.enterprises -= 1
            self.jobs = max(self.jobs - jobs, 0)

    def _decide(self, licence: str) -> Generator[Any, Any, bool]:
        """From filing at a service centre to the clerk's decision."""
        self._number += 1
        number, filed_s = self._number, self._env.now
        self._open_cases += 1
        self._visit()
        self._say(number, licence, "filed", 0.0)
        with self._clerks.request() as clerk:
            yield clerk
            while not self.is_open():
                yield self._env.timeout(HOUR_S - self._site.town.local_s() % HOUR_S)
            mean_s = self._p.case_mean_min * 60
            work_s = self._work.lognormal_mean_cv(mean_s, self._p.case_cv) if self._p.case_cv else mean_s
            yield self._env.timeout(work_s)
        self._open_cases -= 1
        was_granted = not self._work.chance(self._p.refused_share)
        self._say(number, licence, "granted" if was_granted else "refused", (self._env.now - filed_s) / HOUR_S)
        return was_granted

    def enrol(self, jobs: int) -> None:
        """An enterprise that was on the register before the start."""
        self.enterprises += 1
        self.jobs += jobs

    def change_jobs(self, more: int) -> None:
        """Somebody on the register was hired or left."""
        self.jobs = max(self.jobs + more, 0)

    # -- what is said --------------------------------------------------------------------------

    def _say(self, number: int, licence: str, event: str, took_h: float) -> None:
        self._register.send(
            LICENCE_CASE,
            {"number": number, "licence": licence, "event": event, "took_h": round(min(took_h, 1e6), 2)},
        )

    def report(self, at_s: float) -> None:
        """The register as it stands."""
        self._register.send(
            ENTERPRISES,
            {
                "enterprises": self.enterprises,
                "jobs": min(self.jobs, 100_000_000),
                "open_cases": min(self._open_cases, 1_000_000),
                "founded": min(self._founded, 1_000_000),
                "dissolved": min(self._dissolved, 1_000_000),
            },
            at_s,
        )
        self._founded = self._dissolved = 0


def jobs_of(draws: Stream, mean: float) -> int:
    """Jobs of an enterprise: 1 or more, geometric with this mean."""
    return 1 + int(math.log(draws.random()) / math.log(1 - 1 / mean)) if mean > 1 else 1
