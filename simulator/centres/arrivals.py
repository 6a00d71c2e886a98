"""When people come: a non-homogeneous Poisson process, by thinning.

The rate follows a two-humped profile of the 24-hour day, a factor for what the day is in the Chinese working calendar
(the first working day after a break is busy, a weekend quiet, a holiday quieter), a gamma factor for the day and
another for the hour: counts of the recorded municipal offices vary more than any Poisson process with a fixed rate
(Warsaw: day-to-day CV 0.13, Monday 1.6 times the other days, hourly variance 3.6 times the mean).
"""

from collections.abc import Generator
from typing import Any

from simulator.centres.parameters import WEEKDAY, WEEKEND, CentreParameters
from simulator.randomness import Stream
from simulator.town import Site
from simulator.weather import cyclic
from simulator.workdays import Day, day_of, follows_a_break

HOUR_S = 3_600


def _shares(profile: tuple[float, ...]) -> tuple[float, ...]:
    """Each hour's share of a day; nobody comes by a profile of zeros."""
    total = sum(profile)
    return tuple(value / total for value in profile) if total else profile


WEEKDAY_PROFILE, WEEKEND_PROFILE = _shares(WEEKDAY), _shares(WEEKEND)


class Demand:
    """The rate at which people come to a centre, and their moments of arrival."""

    def __init__(self, site: Site, persons_per_day: float, parameters: CentreParameters) -> None:
        self._town = site.town
        self._env = site.env
        self._persons_per_day = persons_per_day
        self._p = parameters
        self._profile, self._free_day_profile = _shares(parameters.profile), _shares(parameters.free_day_profile)
        self._factors = site.stream("demand")
        self._draws = site.stream("arrivals")
        self._day = self._hour = -1
        self._day_factor = self._hour_factor = 1.0
        self._is_working_day = True

    def rate_per_s(self, at_s: float) -> float:
        """Arrivals per second at a moment of the current hour."""
        self._renew(at_s)
        profile = self._profile if self._is_working_day else self._free_day_profile
        share_per_h = cyclic(profile, self._town.local_hour(at_s) - 0.5)
        return self._persons_per_day * self._day_factor * self._hour_factor * share_per_h / HOUR_S

    def _renew(self, at_s: float) -> None:
        """A new hour has a factor of its own, and so has a new day."""
        hour = self._town.local_day(at_s) * 24 + int(self._town.local_hour(at_s))
        if hour == self._hour:
            return
        self._hour = hour
        self._hour_factor = _factor(self._factors, self._p.hour_cv)
        if hour // 24 != self._day:
            self._day = hour // 24
            self._is_working_day = day_of(self._day, moved=self._p.working_calendar) is Day.WORKING
            self._day_factor = self._factor_of_the_day() * _factor(self._factors, self._p.day_cv)

    def _factor_of_the_day(self) -> float:
        """What the calendar makes of demand."""
        p = self._p
        if follows_a_break(self._day, moved=p.working_calendar):
            return p.monday_factor
        usual = {Day.WORKING: 1.0, Day.WEEKEND: p.weekend_factor, Day.HOLIDAY: p.holiday_factor}
        return usual[day_of(self._day, moved=p.working_calendar)]

    def wait_for_next(self) -> Generator[Any, Any, None]:
        """Wait until somebody comes."""
        while True:
            now = self._env.now
            hour_left_s = HOUR_S - self._town.local_s() % HOUR_S
            # Between the middles of hours the profile is a straight line, so its bound stands at one of three points.
            middle_s = min(max(now + hour_left_s - HOUR_S / 2, now), now + hour_left_s - 1e-3)
            bound = max(self.rate_per_s(at_s) for at_s in (now, middle_s, now + hour_left_s - 1e-3))
            gap_s = self._draws.exponential(1 / bound) if bound > 0 else HOUR_S
            if gap_s >= hour_left_s:  # memoryless: the next hour starts afresh
                yield self._env.timeout(hour_left_s)
                continue
            yield self._env.timeout(gap_s)
            if self._draws.chance(self.rate_per_s(self._env.now) / bound):
                return


def _factor(draws: Stream, cv: float) -> float:
    return draws.gamma(1 / (cv * cv), cv * cv) if cv else 1.0
