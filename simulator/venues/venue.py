"""A venue: its doors, its booking systems, its air and its meter.

Its room is like any other (`simulator/room.py`), only larger and shut at night. Fine particles come in with the outdoor
air, settle, and are filtered while the venue is open: dC/dt = a·P·C_outdoor - (a + k + f)·C.
"""

import math

from haina.contract.venues import BOOKABLE, MOST_W, VENUE_AIR, VENUE_DOOR, VENUE_ENERGY
from simulator.room import Room
from simulator.town import DAY_S, Site
from simulator.venues.bookings import Bookings
from simulator.venues.footfall import HOUR_S, Footfall
from simulator.venues.parameters import VenueParameters
from simulator.weather import Weather

_METERS_SINCE_D = 18_262  # assumed: the power meter was new on 1 January 2020
_METER_KWH_PER_M2_DAY = 0.35  # assumed, above what a venue uses: a later start finds the meter further on
_HEAT_OF_MACHINES = 0.7  # assumed: the rest leaves with lamps in the ceiling and through the doors
_PARTICLES_ERROR_UG_M3 = 1.5  # assumed


class Venue:
    """A venue that lives. Reports are asked for by a rota."""

    def __init__(
        self, site: Site, use: str, visits_per_day: float, floor_m2: float, p: VenueParameters, weather: Weather
    ) -> None:
        self.site, self.use = site, use
        self._p, self._weather, self._floor_m2 = p, weather, floor_m2
        self._door = site.device("door", "people-counter")
        self._air = site.device("air", "air-sensor")
        self._power = site.device("power", "power-meter")
        self.footfall = Footfall(site, use, visits_per_day, p, weather)
        self.bookings = [
            Bookings(
                site,
                resource,
                getattr(p, f"{resource}s"),
                getattr(p, f"{resource}_bookings_per_day"),
                p.of("free_day_factor", use),
                self.footfall.hours,
                p,
            )
            for resource in BOOKABLE[use]
        ]
        self._draws = site.stream("room")
        meter_days = max(site.town.start_ms / 1000 / DAY_S - _METERS_SINCE_D, 0)
        meter_kwh = floor_m2 * (self._draws.uniform(0, 10) + meter_days * _METER_KWH_PER_M2_DAY)
        self._room = Room(p, weather, floor_m2, self._draws, self.footfall.occupancy, meter_kwh)
        self._pm25_ug_m3 = self._particles_settle_at(self._is_open(0.0))
        self._person_seconds = self._counted_s = self._lived_s = 0.0

    def _is_open(self, at_s: float) -> bool:
        return self.footfall.hours.is_open(self.site.town.local_hour(at_s))

    def count(self, at_s: float) -> None:
        """The doors' report."""
        self._person_seconds += self.footfall.occupancy * (at_s - self._counted_s)
        self._counted_s = at_s
        entries, exits = self.footfall.count(at_s)
        self._door.send(
            VENUE_DOOR,
            {
                "use": self.use,
                "open": self._is_open(at_s),
                "entries_persons": min(entries, 10_000),
                "exits_persons": exits,
                "occupancy_persons": self.footfall.occupancy,
            },
            at_s,
        )

    def report(self, at_s: float) -> None:
        """What the room, the meter and the booking systems have to say."""
        length_s = at_s - self._lived_s
        if length_s > 0:
            self._live(length_s, self._is_open(at_s))
        self._lived_s = at_s
        particles = min(max(self._pm25_ug_m3 + self._draws.normal(0, _PARTICLES_ERROR_UG_M3), 0.0), 2_000.0)
        self._air.send(VENUE_AIR, {**self._room.air(), "pm25_ug_m3": float(round(particles))}, at_s)
        self._power.send(VENUE_ENERGY, self._room.meter(MOST_W), at_s)
        for bookings in self.bookings:
            bookings.report(at_s)

    def _live(self, length_s: float, is_open: bool) -> None:
        p = self._p
        machines_w = self._floor_m2 * p.of("open_w_per_m2" if is_open else "shut_w_per_m2", self.use)
        persons = self._person_seconds / length_s
        self._person_seconds = 0.0
        self._room.pass_time(length_s, persons, machines_w, _HEAT_OF_MACHINES * machines_w, is_open=is_open)
        settles_at = self._particles_settle_at(is_open)
        kept = math.exp(-self._particles_leave_per_h(is_open) * length_s / HOUR_S)
        self._pm25_ug_m3 = settles_at + (self._pm25_ug_m3 - settles_at) * kept

    def _particles_leave_per_h(self, is_open: bool) -> float:
        p = self._p
        return p.air_per_h(is_open) + p.particles_settle_per_h + (p.particles_filtered_per_h if is_open else 0.0)

    def _particles_settle_at(self, is_open: bool) -> float:
        """The concentration that the air inside goes towards, µg/m³."""
        p = self._p
        enters = p.air_per_h(is_open) * p.particles_enter * self._weather.pm25_ug_m3
        return enters / self._particles_leave_per_h(is_open)
