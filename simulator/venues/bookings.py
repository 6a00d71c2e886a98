"""Courts, desks and rooms that people book by the hour.

Requests come by day at a steady rate. Each wants a whole number of hours (geometric), at an hour as popular as visits
are, about a day ahead (exponential). If every unit is taken for one of them, it is refused. Of what is booked, some is
called off, some is missed -- then the unit is free again after a quarter of an hour -- and the rest is used.
"""

from collections import Counter
from collections.abc import Generator
from typing import Any

from haina.contract.venues import VENUE_BOOKING, VENUE_UNITS
from simulator.town import Site
from simulator.venues.footfall import HOUR_S, OpeningHours
from simulator.venues.parameters import VenueParameters
from simulator.workdays import Day, day_of

_ASKING_H = (8, 23)  # assumed: nobody books at night
_MOST_HOURS = 8
_EARLIER_LEADS = 4  # how many mean leads of earlier requests fill the calendar at the start


class Bookings:
    """The booking system of one kind of unit of a venue."""

    def __init__(
        self,
        site: Site,
        resource: str,
        units: int,
        per_day: float,
        free_day_factor: float,
        hours: OpeningHours,
        p: VenueParameters,
    ) -> None:
        self._town, self._env, self._p, self._hours = site.town, site.env, p, hours
        self._device = site.device(f"{resource}s", "booking-system", resource=resource)
        self._resource, self._units = resource, units
        self._free_day_factor = free_day_factor
        self._draws = site.stream(f"{resource} bookings")
        self._booked: Counter[int] = Counter()  # by hour since 1970, local time
        self._used = 0
        self._gap_s = (_ASKING_H[1] - _ASKING_H[0]) * HOUR_S / max(units * per_day, 1e-9)
        if units and per_day:
            self._ask_earlier()
            site.env.process(self._ask())

    def report(self, at_s: float) -> None:
        """Say how many units are taken now."""
        hour = self._hour_of(at_s)
        for past in [known for known in self._booked if known < hour]:
            del self._booked[past]
        self._device.send(
            VENUE_UNITS,
            {
                "resource": self._resource,
                "units": self._units,
                "booked_units": self._booked[hour],
                "used_units": self._used,
            },
            at_s,
        )

    def _hour_of(self, at_s: float) -> int:
        return self._town.local_day(at_s) * 24 + int(self._town.local_hour(at_s))

    def _start_s(self, hour: int) -> float:
        """When an hour begins, seconds since the run's start."""
        now = self._hour_of(self._env.now)
        return self._env.now - self._town.local_s() % HOUR_S + (hour - now) * HOUR_S

    # -- asking --------------------------------------------------------------------------------

    def _ask(self) -> Generator[Any, Any, None]:
        while True:
            yield self._env.timeout(self._draws.exponential(self._gap_s))
            if _ASKING_H[0] <= self._town.local_hour() < _ASKING_H[1]:
                self._request(self._env.now)

    def _ask_earlier(self) -> None:
        at_s = -_EARLIER_LEADS * self._p.booking_lead_h * HOUR_S
        while (at_s := at_s + self._draws.exponential(self._gap_s)) < 0:
            if _ASKING_H[0] <= self._town.local_hour(at_s) < _ASKING_H[1]:
                self._request(at_s)

    def _request(self, at_s: float) -> None:
        """Somebody asks at a moment; one before the start is only remembered."""
        draws, p = self._draws, self._p
        wanted_s = at_s + draws.exponential(p.booking_lead_h * HOUR_S)
        length = 1
        while length < _MOST_HOURS and draws.chance(p.booking_longer):
            length += 1
        day = self._town.local_day(wanted_s)
        shares = self._hours.shares(day_of(day))
        opens, closes = -int(-self._hours.opens_h // 1), int(self._hours.closes_h)
        first = max(opens, self._hour_of(at_s) + 1 - day * 24)
        hours = range(first, closes - length + 1)
        comes = day_of(day) is Day.WORKING or draws.chance(min(self._free_day_factor, 1.0))
        if not comes or not hours or not any(shares[hour] for hour in hours):
            return  # thought better of it
        start = day * 24 + draws.choice(hours, [shares[hour] for hour in hours])
        wanted = range(start, start + length)
        lead_h = max((self._start_s(start) - at_s) / HOUR_S, 0.0)
        if wanted.stop <= self._hour_of(0.0):
            return  # long over when the run begins
        if any(self._booked[hour] >= self._units for hour in wanted):
            if at_s >= 0:
                self._say("refused", length, lead_h)
            return
        self._booked.update(wanted)
        if at_s >= 0:
            self._say("booked", length, lead_h)
        self._env.process(self._keep(wanted, lead_h))

    # -- what becomes of it --------------------------------------------------------------------

    def _keep(self, wanted: range, lead_h: float) -> Generator[Any, Any, None]:
        draws, p, length = self._draws, self._p, len(wanted)
        start_s, end_s = self._start_s(wanted.start), self._start_s(wanted.stop)
        is_cancelled, is_missed, when = draws.chance(p.cancelled_share), draws.chance(p.no_show_share), draws.random()
        ahead_s = start_s - self._env.now
        if is_cancelled and ahead_s > 0:
            yield self._env.timeout(ahead_s * when)
            self._free(wanted)
            self._say("cancelled", length, lead_h)
            return
        if ahead_s >= 0:
            yield self._env.timeout(ahead_s)
            if is_missed:
                yield self._env.timeout(p.no_show_min * 60)
                self._free(wanted)
                self._say("no_show", length, lead_h)
                return
            self._say("used", length, lead_h)
        self._used += 1
        yield self._env.timeout(max(end_s - self._env.now, 0.0))
        self._used -= 1

    def _free(self, wanted: range) -> None:
        self._booked.subtract(hour for hour in wanted if self._booked[hour])

    def _say(self, event: str, hours: int, lead_h: float) -> None:
        lead_h = round(min(lead_h, 10_000.0), 1)
        self._device.send(VENUE_BOOKING, {"resource": self._resource, "event": event, "hours": hours, "lead_h": lead_h})
