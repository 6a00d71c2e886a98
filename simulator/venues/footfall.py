"""Who comes and goes at a venue's doors.

People come as a non-homogeneous Poisson process, hour by hour: the use's profile of a working or a free day, its
opening hours, a gamma factor for the day, and fewer while it rains. Each stays for a lognormal time, but not beyond
closing. So the number inside is an Mt/G/∞ queue, and what went in is inside or has gone out: nobody is lost.

The venue opens its books with those inside who came earlier today, drawn by the same law for dry weather.
"""

import heapq

from haina.contract.venues import USES
from simulator.randomness import Stream
from simulator.town import Site
from simulator.venues.parameters import VenueParameters
from simulator.weather import Weather
from simulator.workdays import Day, day_of

HOUR_S, MINUTE_S = 3_600, 60
_LEAVE_BEFORE_CLOSING_S = 600.0  # assumed: the last are gone that much before, on average half of it

# Relative visits of each hour of a working and of a free day, midnight first; assumed.
# fmt: off
_SHOPPING = ((0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 6, 8, 6, 5, 5, 6, 8, 10, 10, 8, 5, 1, 0),
             (0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 7, 9, 9, 9, 10, 10, 9, 9, 9, 8, 6, 4, 1, 0))
_LEISURE = ((0, 0, 0, 0, 0, 1, 2, 2, 3, 4, 4, 3, 3, 3, 4, 4, 5, 6, 9, 10, 9, 5, 2, 1),
            (0, 0, 0, 0, 0, 1, 2, 3, 6, 8, 8, 6, 6, 8, 10, 10, 9, 8, 8, 8, 6, 4, 2, 1))
_OFFICE = ((0, 0, 0, 0, 0, 0, 1, 4, 20, 26, 12, 4, 5, 12, 6, 3, 2, 1, 2, 2, 1, 0, 0, 0),
           (0, 0, 0, 0, 0, 0, 1, 2, 6, 10, 10, 6, 5, 8, 8, 5, 3, 2, 3, 3, 1, 0, 0, 0))
# fmt: on
PROFILES = dict(zip(USES, (_SHOPPING, _LEISURE, _OFFICE, _OFFICE), strict=True))


class OpeningHours:
    """When a venue of a use is open, and how its visits spread over the hours of a day; shares sum to 1."""

    def __init__(self, use: str, p: VenueParameters) -> None:
        self.opens_h = p.of("opens_h", use)
        self.closes_h = max(p.of("closes_h", use), self.opens_h)
        self._shares = [self._open_shares(profile) for profile in PROFILES[use]]

    def _open_shares(self, profile: tuple[int, ...]) -> list[float]:
        open_part = [min(max(self.closes_h - hour, 0), 1) - min(max(self.opens_h - hour, 0), 1) for hour in range(24)]
        weights = [weight * part for weight, part in zip(profile, open_part, strict=True)]
        total = sum(weights)
        return [weight / total if total else 0.0 for weight in weights]

    def is_open(self, hour: float) -> bool:
        return self.opens_h <= hour < self.closes_h

    def shares(self, day: Day) -> list[float]:
        """The share of the day's visits that falls into each hour."""
        return self._shares[day is not Day.WORKING]


class Footfall:
    """The people of one venue. `occupancy` is how many are inside."""

    def __init__(self, site: Site, use: str, visits_per_day: float, p: VenueParameters, weather: Weather) -> None:
        self._town, self._use, self._p, self._weather = site.town, use, p, weather
        self._visits_per_day = visits_per_day
        self.hours = OpeningHours(use, p)
        self._stay_s, self._stay_cv = p.of("stay_min", use) * MINUTE_S, p.of("stay_cv", use)
        self._days = site.stream("days")
        self._day, self._day_factor = -1, 1.0
        self._draws = site.stream("visits")
        self._leaving_s: list[float] = []  # a heap: when each person inside will leave
        self._counted_s = 0.0
        self._remember(site.stream("earlier visits"))

    @property
    def occupancy(self) -> int:
        return len(self._leaving_s)

    def visits_per_s(self, at_s: float, *, raining: bool) -> float:
        """How many people come in a second, at a moment."""
        day_number = self._town.local_day(at_s)
        if day_number != self._day:
            self._day = day_number
            cv = self._p.day_cv
            self._day_factor = self._days.gamma(1 / (cv * cv), cv * cv) if cv else 1.0
        day, hour = day_of(day_number), self._town.local_hour(at_s)
        if not self.hours.is_open(hour):
            return 0.0
        opened_h = min(self.hours.closes_h, int(hour) + 1) - max(self.hours.opens_h, int(hour))
        factor = 1.0 if day is Day.WORKING else self._p.of("free_day_factor", self._use)
        factor *= self._p.of("rain_factor", self._use) if raining else 1.0
        share_per_h = self.hours.shares(day)[int(hour)] / opened_h
        return self._visits_per_day * self._day_factor * factor * share_per_h / HOUR_S

    def count(self, at_s: float) -> tuple[int, int]:
        """Let people come and go up to `at_s`; how many did since this was last asked."""
        length_s = at_s - self._counted_s
        entries = self._come(self._draws, self._counted_s, length_s, raining=self._weather.raining)
        self._counted_s = at_s
        return entries, self._go(at_s)

    def _come(self, draws: Stream, from_s: float, length_s: float, *, raining: bool) -> int:
        persons = draws.poisson(self.visits_per_s(from_s + length_s / 2, raining=raining) * length_s)
        for _ in range(persons):
            came_s = from_s + draws.random() * length_s
            stay_s = draws.lognormal_mean_cv(self._stay_s, self._stay_cv)
            until_closing_s = self.hours.closes_h * HOUR_S - self._town.local_s(came_s)
            last_s = max(until_closing_s - draws.random() * _LEAVE_BEFORE_CLOSING_S, 0.0)
            heapq.heappush(self._leaving_s, came_s + min(stay_s, last_s))
        return persons

    def _go(self, at_s: float) -> int:
        exits = 0
        while self._leaving_s and self._leaving_s[0] <= at_s:
            heapq.heappop(self._leaving_s)
            exits += 1
        return exits

    def _remember(self, draws: Stream) -> None:
        """Who came since opening, a minute at a time, and is still here."""
        since_s = self._town.local_s() - self.hours.opens_h * HOUR_S
        for minute in range(int(max(since_s, 0) // MINUTE_S), 0, -1):
            self._come(draws, -minute * MINUTE_S, MINUTE_S, raining=False)
        self._go(0.0)
