"""An incubator's tenants: a birth–death process of start-ups, and of the jobs in them.

Start-ups knock in a Poisson process; each takes an office, or is turned away when none is free. They stay for an
exponential time and then graduate into the zone, or are dissolved. That is Erlang's loss system M/M/c/c, so an
incubator starts with its stationary number of tenants, a Poisson number cut off at its offices. The jobs of a start-up
are a linear birth–death process that never falls below one.
"""

from collections.abc import Generator
from typing import Any

from haina.contract.enterprise import INCUBATOR_TENANTS, STARTUP_TENANCY
from simulator.enterprise.office import DAY_S, YEAR_S, Office, jobs_of
from simulator.enterprise.parameters import EnterpriseParameters
from simulator.town import Site

Process = Generator[Any, Any, None]


class Startup:
    """One start-up and its jobs."""

    def __init__(self, jobs: int, came_s: float) -> None:
        self.jobs = jobs
        self.came_s = came_s
        self.is_there = True


class Incubator:
    """The tenants of one incubator."""

    def __init__(self, site: Site, p: EnterpriseParameters, office: Office | None) -> None:
        self._site, self._env, self._p, self._office = site, site.env, p, office
        self._desk = site.device("tenants", "incubator-desk")
        self._draws, self._staff = site.stream("start-ups"), site.stream("staff")
        self.tenants: list[Startup] = []
        for _ in range(self._stationary_number()):
            startup = Startup(jobs_of(self._staff, p.founders_mean), self._env.now)
            self._move_in(startup)
            if office is not None:
                office.enrol(startup.jobs)
        site.env.process(self._knock())

    def _stationary_number(self) -> int:
        """A Poisson number of the offered load, given that it is no more than the offices."""
        load = self._p.startups_per_year / YEAR_S * self._p.stay_mean_d * DAY_S
        weights = [1.0]
        for number in range(1, self._p.offices + 1):
            weights.append(weights[-1] * load / number)
            if weights[-1] > 1e200:
                weights = [weight * 1e-200 for weight in weights]
        return int(self._draws.choice(range(len(weights)), weights))

    def _knock(self) -> Process:
        while self._p.startups_per_year > 0:
            yield self._env.timeout(self._draws.exponential(YEAR_S / self._p.startups_per_year))
            startup = Startup(jobs_of(self._staff, self._p.founders_mean), self._env.now)
            if len(self.tenants) >= self._p.offices:
                self._say("turned_away", startup)
                continue
            self._say("moved_in", startup)
            self._move_in(startup)
            if self._office is not None:
                self._office.found(startup.jobs)

    def _move_in(self, startup: Startup) -> None:
        self.tenants.append(startup)
        self._env.process(self._stay(startup))
        self._env.process(self._grow(startup))

    def _stay(self, startup: Startup) -> Process:
        yield self._env.timeout(self._draws.exponential(self._p.stay_mean_d * DAY_S))
        startup.is_there = False
        self.tenants.remove(startup)
        graduates = self._draws.chance(self._p.graduates_share)
        self._say("graduated" if graduates else "closed", startup)
        if not graduates and self._office is not None:
            self._office.dissolve(startup.jobs)

    def _grow(self, startup: Startup) -> Process:
        p, draws = self._p, self._staff
        while p.hires_per_year + p.leaves_per_year > 0:
            per_year = startup.jobs * p.hires_per_year + (startup.jobs - 1) * p.leaves_per_year
            if per_year <= 0:
                return
            yield self._env.timeout(draws.exponential(YEAR_S / per_year))
            if not startup.is_there:
                return
            more = 1 if draws.chance(startup.jobs * p.hires_per_year / per_year) else -1
            startup.jobs += more
            if self._office is not None:
                self._office.change_jobs(more)

    # -- what is said --------------------------------------------------------------------------

    def _say(self, event: str, startup: Startup) -> None:
        stayed_d = round(min((self._env.now - startup.came_s) / DAY_S, 100_000.0), 1)
        self._desk.send(STARTUP_TENANCY, {"event": event, "jobs": min(startup.jobs, 1_000_000), "stayed_d": stayed_d})

    def report(self, at_s: float) -> None:
        """Who is there."""
        jobs = min(sum(startup.jobs for startup in self.tenants), 10_000_000)
        self._desk.send(
            INCUBATOR_TENANTS, {"offices": self._p.offices, "startups": len(self.tenants), "jobs": jobs}, at_s
        )
