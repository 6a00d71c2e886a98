"""A resident's life at home: a semi-Markov walk through rooms, which all sensors of the home notice.

The day has a plan (`resident.Plan`): get up, go out, nap, go to bed. In between the resident visits one room after
another. A *visit* chooses a room by the hour, leads through the hallway, lasts a lognormal time and moves now and
then while it lasts. How fast visits and movements follow each other is the *pace*: the product of a person's own, the
day's, the hour's and the visit's. At night the resident lies in bed, turns over, and rises at times for the bathroom.
The same steps trigger infrared, open the front door, draw water, press the mattress and quicken the heart.

Rooms by the hour and the hourly pace come from the homes of TIHM (Palermo et al., Scientific Data 10:606, 2023), whose
fridge door counts as movement in the kitchen, and whose back door, and most of whose front door, as movement in the
hallway: a flat in Shanghai has neither a garden door nor that many carers.

A life begins in the middle: yesterday's plan is drawn too, so whoever would be asleep, out or away at the run's first
moment is.
"""

import math
from collections.abc import Generator
from dataclasses import replace
from typing import Any, cast

import simpy

from simulator.care import body
from simulator.care.home import Home
from simulator.care.resident import Resident, draw_plan, gamma_mean_cv

Process = Generator[Any, Any, None]

DAY_S, HOUR_S = 86_400, 3_600
ROOMS_VISITED = ("bedroom", "bathroom", "kitchen", "lounge", "hallway")

# fmt: off
# Movements an hour in the recorded homes by room, midnight first; the share of a room among them is its chance.
_MOVEMENTS_BY_HOUR = {
    "bedroom": (0.3, 0.3, 0.3, 0.3, 0.4, 0.8, 1.5, 3.2, 4.12, 3.98, 3.21, 2.27,
                1.8, 1.7, 1.5, 1.55, 1.7, 1.64, 1.58, 1.4, 1.63, 2.45, 3.4, 1.2),
    "bathroom": (0.5, 0.4, 0.4, 0.4, 0.4, 0.5, 0.7, 1.5, 2.1, 2.2, 1.7, 1.15,
                 0.95, 0.9, 0.77, 0.73, 0.91, 0.92, 0.87, 0.86, 0.92, 1.32, 1.5, 0.8),
    "kitchen": (0.62, 0.33, 0.29, 0.21, 0.37, 0.9, 2.01, 4.72, 7.67, 9.38, 8.38, 8.3,
                9.63, 9.47, 6.52, 6.05, 6.67, 9.93, 10.73, 8.13, 6.17, 4.56, 3.52, 1.55),
    "lounge": (0.38, 0.15, 0.15, 0.12, 0.19, 0.52, 0.9, 1.76, 3.17, 3.99, 4.14, 4.27,
               4.32, 4.6, 4.09, 4.21, 4.82, 5.51, 5.36, 4.71, 3.92, 3.36, 2.25, 0.95),
    # Without those of passing through, which come with every change of room.
    "hallway": (0.3, 0.2, 0.2, 0.2, 0.2, 0.3, 0.7, 2.6, 4.7, 7.0, 6.8, 6.5,
                6.4, 6.0, 5.2, 5.0, 5.6, 6.1, 6.1, 4.4, 3.4, 2.6, 2.3, 1.0),
}
# Fitted so that movements by the hour come out as recorded (tests/simulator/test_calibration.py).
_PACE_BY_HOUR = (1.0, 1.0, 1.0, 1.0, 1.0, 1.6, 0.87, 0.69, 1.05, 1.65, 1.54, 1.3,
                 1.17, 1.33, 0.89, 1.02, 1.46, 1.7, 1.51, 1.07, 0.79, 0.84, 1.3, 1.3)
# fmt: on

# Mean length of a visit and mean time between two movements in it, seconds at pace 1; fitted to TIHM.
_VISIT_S = {"bedroom": 420.0, "bathroom": 240.0, "kitchen": 420.0, "lounge": 1_500.0, "hallway": 100.0}
_VISIT_CV = 1.0
_STILL_S = {"bedroom": 90.0, "bathroom": 65.0, "kitchen": 65.0, "lounge": 260.0, "hallway": 35.0}
_STILL_FLOOR_S = 5.0  # movements closer than this are one
_PULSE = {"bedroom": 4.0, "bathroom": 6.0, "kitchen": body.BUSY, "lounge": body.AT_REST, "hallway": 6.0}
_WALK_MEAN_S = 4.5  # assumed: from room to room

_TURNS_IN_BED_PER_H = 0.7  # fitted: infrared in the bedroom at night, beside rising
_NIGHT_TRIP_S, _NIGHT_TRIP_CV = 260.0, 0.6
_NIGHT_TRIPS_CV = 0.4  # fitted: from night to night
_NIGHT_KITCHEN_SHARE = 0.12  # fitted: kitchen at night in TIHM
_CALLERS_FROM_H, _CALLERS_TO_H = 8.0, 20.0
_SHOWERS_FROM_H = 18.0

# Litres; assumed, about 110 a day.
_FLUSH_L, _WASH_L, _SHOWER_L, _COOKING_L, _LAUNDRY_L = 5.5, 1.8, 38.0, 4.5, 48.0
_COOKING_SHARE, _LAUNDRY_SHARE, _SHOWER_SHARE = 0.45, 0.016, 0.35

_STEPS_PER_MOVEMENT, _STEPS_PER_WALK = 5, 14  # assumed
_CHARGES_FROM_H, _CHARGES_BELOW_PCT, _CHARGES_AT_NIGHT_BELOW_PCT = 19.0, 35.0, 20.0  # assumed

_LEAVES_FOR_DAYS_AT_H = 8.5  # assumed

_ROOM_CHANCES = [
    # A visit to a room brings several movements: divide, so that movements come out in proportion and not visits.
    tuple(
        _MOVEMENTS_BY_HOUR[room][hour] / (1 + _VISIT_S[room] / (_STILL_S[room] + _STILL_FLOOR_S))
        for room in ROOMS_VISITED
    )
    for hour in range(24)
]


class Life:
    """The resident of a home, living."""

    def __init__(self, home: Home, resident: Resident) -> None:
        self.home = home
        self.resident = resident
        self.room = "lounge"
        self.is_out = self.is_away = self.is_held = False
        self.forgets_charging = self.has_dropped_wristband = False
        self._env = home.site.env
        self._town = home.site.town
        self._p = home.parameters
        self._moves = home.site.stream("moves")
        self._plans = home.site.stream("plans")
        self._uses = home.site.stream("water")
        self._showered = True
        self._callers_per_s = self._p.callers_per_day / ((_CALLERS_TO_H - _CALLERS_FROM_H) * HOUR_S)
        self._midnight_s = -self._town.local_s(0.0) - DAY_S  # of the day the plan is for: at first, yesterday
        self.plan = draw_plan(self._plans, self.resident, self._p)
        self._night = False
        self.process: simpy.Process = self._env.process(self._live())

    # -- days ----------------------------------------------------------------------------------

    def _live(self) -> Process:
        course = self._begin()
        while True:
            try:
                yield from course
            except simpy.Interrupt as turn:
                yield from cast(Process, turn.cause)
                self.is_held = False
                self._catch_up()
            course = self._until_morning()

    def turn_to(self, act: Process) -> bool:
        """Leave whatever one does at home for `act`, and then go on by what is left of the day's plan.

        An act moves the resident by `walk_to`, `stay`, `lie_down`, `leave_bed`, `be_away`. Returns False, and nothing
        happens, while another act holds the resident or they are out.
        """
        if self.is_held or self.is_out:
            return False
        self.is_held = True
        self.process.interrupt(act)
        return True

    def rest_today(self) -> None:
        """Stay at home for the rest of the day."""
        self.plan = replace(self.plan, nap=None, outings=(), away_d=None)

    def _begin(self) -> Process:
        """Be where a life in its middle would be now."""
        self._catch_up()
        if self._plans.chance(min(self._p.away_per_year * self._p.away_mean_d / 365, 0.9)):
            yield from self.be_away(self._plans.exponential(self._p.away_mean_d) * DAY_S)

    def _until_morning(self) -> Process:
        """From wherever the plan stands now to getting up the next day."""
        if not self._night:
            yield from self._day()
            if self._env.now < self._at(self.plan.bed_h) - 1:
                return  # back from days away, with a new plan
            self._next_day()
            self._night = True
        self._charge(not self.resident.wears_at_night or self._battery_pct() < _CHARGES_AT_NIGHT_BELOW_PCT)
        yield from self._sleep(self._at(self.plan.wake_h))
        self._night = False
        self._charge(False)
        self.leave_bed()
        yield from self._bathroom_round()

    def _day(self) -> Process:
        """The day's appointments in order, and home life between them."""
        for start_h, end_h, act in self._appointments():
            if self._env.now >= self._at(end_h):
                continue
            yield from self._at_home(self._at(start_h))
            yield from act(self._at(end_h))
        if self.plan.away_d and self._env.now < self._at(_LEAVES_FOR_DAYS_AT_H):
            yield from self._at_home(self._at(_LEAVES_FOR_DAYS_AT_H))
            yield from self.be_away(self.plan.away_d * DAY_S)
            return
        yield from self._at_home(self._at(self.plan.bed_h))

    def _catch_up(self) -> None:
        """Turn to the plan that holds now, after a time that followed none."""
        now = self._env.now
        if self._night and now < self._at(self.plan.wake_h):
            return
        self._night = False
        while now >= self._at(self.plan.bed_h):
            self._next_day()
            self._night = now < self._at(self.plan.wake_h)

    def _appointments(self) -> list[tuple[float, float, Any]]:
        appointments = [(leave_h, return_h, self._go_out) for leave_h, return_h in self.plan.outings]
        if self.plan.nap:
            appointments.append((*self.plan.nap, self._nap))
        return sorted(appointments, key=lambda appointment: appointment[0])

    def _next_day(self) -> None:
        self._midnight_s += DAY_S
        self.plan = draw_plan(self._plans, self.resident, self._p)
        self._showered = False

    def _at(self, hour: float) -> float:
        """The simulated second of an hour of the plan's day."""
        return self._midnight_s + hour * HOUR_S

    # -- at home -------------------------------------------------------------------------------

    def _at_home(self, until_s: float) -> Process:
        """Visit one room after another until it is time for something else."""
        env, moves = self._env, self._moves
        while until_s - env.now > 1:
            if self.home.dispenser.reminds():
                yield from self.walk_to("kitchen")
                self.home.dispenser.take()
            hour = self._town.local_hour()
            room = moves.choice(ROOMS_VISITED, _ROOM_CHANCES[int(hour)])
            pace = self.resident.pace * self.plan.pace * _PACE_BY_HOUR[int(hour)]
            pace *= self.home.bodies.activity(self.home.number)
            pace *= gamma_mean_cv(moves, 1.0, self._p.pace_visit_cv)
            pace = min(max(pace, 0.1), 8.0)
            yield from self.walk_to(room)
            self._use_room(room, hour)
            visit_s = moves.lognormal_mean_cv(_VISIT_S[room], _VISIT_CV) / pace
            yield from self.stay(room, min(env.now + visit_s, until_s), _STILL_S[room] / pace)
            if _CALLERS_FROM_H < hour < _CALLERS_TO_H and moves.chance(-math.expm1(-self._callers_per_s * visit_s)):
                yield from self._answer_door()

    def stay(self, room: str, until_s: float, still_s: float) -> Process:
        """Be in a room until then, moving every `still_s` on average."""
        env, trigger, exponential = self._env, self.home.infrared[room].trigger, self._moves.exponential
        steps, number = self.home.bodies.steps, self.home.number
        while True:
            gap_s = _STILL_FLOOR_S + exponential(still_s)
            if env.now + gap_s >= until_s:
                if until_s > env.now:
                    yield env.timeout(until_s - env.now)
                return
            yield env.timeout(gap_s)
            trigger()
            steps[number] += _STEPS_PER_MOVEMENT

    def walk_to(self, room: str) -> Process:
        """Through the hallway into a room; both notice."""
        if room != self.room:
            if "hallway" not in {room, self.room}:
                self.home.infrared["hallway"].trigger()
            yield self._env.timeout(1.5 + self._moves.exponential(_WALK_MEAN_S))
            self.room = room
        self.home.infrared[room].trigger()
        self.home.bodies.steps[self.home.number] += _STEPS_PER_WALK
        self.home.bodies.pulse_rise_bpm[self.home.number] = _PULSE[room]

    def _answer_door(self) -> Process:
        self.home.infrared["hallway"].trigger()
        yield self._env.timeout(3.0 + self._moves.exponential(3.0))
        self.home.open_door()
        self.room = "hallway"
        yield self._env.timeout(15.0 + self._moves.exponential(40.0))
        self.home.infrared["hallway"].trigger()

    def _use_room(self, room: str, hour: float) -> None:
        """Water that a visit uses, and the wristband that is put on its charger in the evening."""
        uses = self._uses
        if room == "bathroom":
            self._use_bathroom()
            if hour >= _SHOWERS_FROM_H and not self._showered and uses.chance(_SHOWER_SHARE):
                self._showered = True
                self.home.use_water(uses.lognormal_mean_cv(_SHOWER_L, 0.35))
        elif room == "kitchen":
            if uses.chance(_COOKING_SHARE):
                self.home.use_water(uses.lognormal_mean_cv(_COOKING_L, 0.8))
            if 8 <= hour < 17 and uses.chance(_LAUNDRY_SHARE):
                self.home.use_water(uses.lognormal_mean_cv(_LAUNDRY_L, 0.2))
        elif room == "lounge" and hour >= _CHARGES_FROM_H and self._battery_pct() < _CHARGES_BELOW_PCT:
            self._charge(True)

    def _use_bathroom(self) -> None:
        if self._uses.chance(0.85):
            self.home.use_water(self._uses.lognormal_mean_cv(_FLUSH_L, 0.15))
        self.home.use_water(self._uses.lognormal_mean_cv(_WASH_L, 0.6))

    def _bathroom_round(self) -> Process:
        """The first walk of the day."""
        yield from self.walk_to("bathroom")
        self._use_bathroom()
        pace = self.resident.pace
        yield from self.stay("bathroom", self._env.now + self._moves.lognormal_mean_cv(240.0, 0.5), 65.0 / pace)

    # -- in bed --------------------------------------------------------------------------------

    def lie_down(self) -> None:
        """Get into bed, and sleep."""
        self.home.bodies.say_bed(self.home.number, True)
        self.home.bodies.pulse_rise_bpm[self.home.number] = body.ASLEEP

    def leave_bed(self) -> None:
        """Get up; nothing happens to one who is up."""
        if not self.home.bodies.in_bed[self.home.number]:
            return
        self.room = "bedroom"
        self.home.bodies.say_bed(self.home.number, False)
        self.home.bodies.pulse_rise_bpm[self.home.number] = _PULSE["bedroom"]
        self.home.infrared["bedroom"].trigger()

    def _sleep(self, until_s: float) -> Process:
        """Lie in bed, turn over now and then, rise for the bathroom at the person's own rate."""
        env, moves = self._env, self._moves
        if env.now > 0:
            self.home.infrared["bedroom"].trigger()
        self.room = "bedroom"
        self.lie_down()
        trips_per_s = self.resident.night_trips_per_h * gamma_mean_cv(moves, 1.0, _NIGHT_TRIPS_CV) / HOUR_S
        turns_per_s = _TURNS_IN_BED_PER_H / HOUR_S
        while True:
            gap_s = moves.exponential(1 / (trips_per_s + turns_per_s))
            if env.now + gap_s >= until_s:
                yield env.timeout(max(until_s - env.now, 0.0))
                return
            yield env.timeout(gap_s)
            if moves.chance(trips_per_s / (trips_per_s + turns_per_s)):
                yield from self._night_trip()
                self.lie_down()
            else:
                self.home.bodies.turns[self.home.number] += 1
                self.home.infrared["bedroom"].trigger()

    def _night_trip(self) -> Process:
        self.leave_bed()
        yield self._env.timeout(5.0 + self._moves.exponential(15.0))
        yield from self.walk_to("bathroom")
        self._use_bathroom()
        away_s = self._moves.lognormal_mean_cv(_NIGHT_TRIP_S, _NIGHT_TRIP_CV)
        yield from self.stay("bathroom", self._env.now + away_s, 240.0)
        if self._moves.chance(_NIGHT_KITCHEN_SHARE):
            yield from self.walk_to("kitchen")
            yield from self.stay("kitchen", self._env.now + 2 * away_s, 120.0)
        yield from self.walk_to("bedroom")
        yield self._env.timeout(5.0 + self._moves.exponential(20.0))

    def _nap(self, until_s: float) -> Process:
        yield from self.walk_to("bedroom")
        yield from self._sleep(until_s)
        self.leave_bed()

    # -- out -----------------------------------------------------------------------------------

    def _go_out(self, until_s: float) -> Process:
        """Leave by the front door and come back by it; who is out already at the run's start only comes back."""
        if self._env.now > 0:
            yield from self._pass_door()
        self._town.truth.record("left_home", self.home.site, until_ms=self._town.start_ms + round(until_s * 1000))
        self._set_out(True)
        yield self._env.timeout(max(until_s - self._env.now, 0.0))
        self._set_out(False)
        self._town.truth.record("came_home", self.home.site)
        yield from self._pass_door()

    def be_away(self, length_s: float) -> Process:
        """Be out for days, then live by the plan of the day one comes back."""
        self._set_away(True)
        yield from self._go_out(self._env.now + length_s)
        self._set_away(False)
        self._catch_up()

    def be_lost(self, is_found: simpy.Event) -> Process:
        """Go out, nobody knows where to, until brought home."""
        yield from self._pass_door()
        self._set_out(True)
        yield is_found
        self._set_out(False)
        yield from self._pass_door()

    def _pass_door(self) -> Process:
        self.home.infrared["hallway"].trigger()
        yield self._env.timeout(8.0 + self._moves.exponential(20.0))
        self.home.open_door()
        self.room = "hallway"
        yield self._env.timeout(5.0)

    def _set_away(self, is_away: bool) -> None:
        self.is_away = is_away
        self.home.bodies.is_away[self.home.number] = is_away

    def _set_out(self, is_out: bool) -> None:
        self.is_out = is_out
        self.home.bodies.is_out[self.home.number] = is_out
        self.home.bodies.pulse_rise_bpm[self.home.number] = body.OUT if is_out else _PULSE["kitchen"]

    # -- the wristband -------------------------------------------------------------------------

    def _battery_pct(self) -> float:
        return float(self.home.bodies.battery_pct[self.home.number])

    def _charge(self, is_charging: bool) -> None:
        """Take the wristband off and charge it, or put it on again; neither is done to one that was dropped."""
        if self.has_dropped_wristband or (is_charging and self.forgets_charging):
            return
        self.home.bodies.charging[self.home.number] = is_charging
        self.home.bodies.worn[self.home.number] = not is_charging

    def wear_wristband(self) -> None:
        """Put the wristband on, wherever it was; an empty one on its charger."""
        self.forgets_charging = self.has_dropped_wristband = False
        self._charge(self._battery_pct() <= 0 or bool(self.home.bodies.charging[self.home.number]))
