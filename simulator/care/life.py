"""A resident's life: nights, days, outings, and what the body makes of them.

The day has a plan (`resident.Plan`): get up, go out, nap, go to bed. In between the resident does one thing after
another, as any `Walker` does. At night the resident lies in bed, turns over, and rises at times for the bathroom, after
which some walk about instead of going back. The same steps trigger infrared, open the front door, draw water and power,
press the mattress and quicken the heart.

A life begins in the middle: yesterday's plan is drawn too, so whoever would be asleep, out or away at the run's first
moment is.
"""

import math
from dataclasses import replace
from typing import Any, cast

import simpy

from simulator.care import body
from simulator.care.activity import MEDICINE, POTTER, REST, Activity
from simulator.care.home import Home
from simulator.care.resident import Resident, draw_plan, gamma_mean_cv
from simulator.care.rhythm import Rhythm
from simulator.care.walker import HOUR_S, Partner, Process, Walker

DAY_S = 86_400
_STILL_FLOOR_S = 5.0  # movements closer than this are one
_UP_BPM = 4.0  # assumed: on one's feet, doing little

_TURNS_IN_BED_PER_H = 0.7  # fitted: infrared in the bedroom at night, beside rising
_NIGHT_TRIP_S, _NIGHT_TRIP_CV = 260.0, 0.6
_NIGHT_TRIPS_CV = 0.4  # fitted: from night to night
_WANDERS_S, _WANDERS_CV = 600.0, 0.8  # assumed
_CALLERS_FROM_H, _CALLERS_TO_H = 8.0, 20.0

_STEPS_PER_MOVEMENT = 9  # assumed
_CHARGES_FROM_H, _CHARGES_BELOW_PCT, _CHARGES_AT_NIGHT_BELOW_PCT = 19.0, 35.0, 20.0  # assumed

_LEAVES_FOR_DAYS_AT_H = 8.5  # assumed
_POORLY, _LIES_H, _LIES_FROM_H = 0.8, 3.0, 13.0  # assumed: below so much activity; hours in bed by day, at worst


class Life(Walker):
    """The resident of a home, living."""

    def __init__(self, home: Home, resident: Resident, rhythm: Rhythm) -> None:
        super().__init__(home, "", rhythm, resident.pace, resident.misplaced_share)
        self.resident = resident
        self.is_out = self.is_away = self.is_held = False
        self.forgets_charging = self.has_dropped_wristband = False
        self._plans = home.site.stream("plans")
        self._steps_per_movement = max(round(_STEPS_PER_MOVEMENT * resident.steps_factor), 1)
        self._callers_per_s = self._p.callers_per_day / ((_CALLERS_TO_H - _CALLERS_FROM_H) * HOUR_S)
        self._midnight_s = -self._town.local_s(0.0) - DAY_S  # of the day the plan is for: at first, yesterday
        self.plan = draw_plan(self._plans, self.resident, self._p)
        self._night = False
        self.process: simpy.Process = self._env.process(self._live())
        if not resident.lives_alone:
            partner = Partner(home, "partner's ", rhythm, resident.pace * self._p.partner_pace)
            self._env.process(partner.live(resident.wake_h, min(resident.bed_h, 23.9)))

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
        appointments: list[tuple[float, float, Any]] = [(*outing, self._go_out) for outing in self.plan.outings]
        if self.plan.nap:
            appointments.append((*self.plan.nap, self._nap))
        return sorted(appointments, key=lambda appointment: appointment[0])

    def _next_day(self) -> None:
        self._midnight_s += DAY_S
        self.plan = draw_plan(self._plans, self.resident, self._p)
        self._showered = False
        activity = self.home.bodies.activity(self.home.number)
        if activity < _POORLY:
            self._take_it_easy(1 - activity)

    def _take_it_easy(self, weakness: float) -> None:
        """A day of somebody who is poorly: up late, to bed after lunch, and out only if they can."""
        plan, lies_h = self.plan, _LIES_H * weakness
        stays_in = self._moves.chance(min(2 * weakness, 1.0))
        self.plan = replace(
            plan,
            wake_h=min(plan.wake_h + lies_h, 11.0),
            nap=plan.nap or (_LIES_FROM_H, _LIES_FROM_H + lies_h),
            outings=() if stays_in else plan.outings,
            away_d=None if stays_in else plan.away_d,
        )

    def _at(self, hour: float) -> float:
        """The simulated second of an hour of the plan's day."""
        return self._midnight_s + hour * HOUR_S

    # -- at home -------------------------------------------------------------------------------

    def _at_home(self, until_s: float) -> Process:
        """Do one thing after another until it is time for something else; take medicine, see who is at the door."""
        env, moves = self._env, self._moves
        while until_s - env.now > 1:
            if self.home.dispenser.reminds():
                yield from self.do(MEDICINE, until_s)
                self.home.dispenser.take()
            began_s, hour = env.now, self._town.local_hour()
            self.day_pace = self.plan.pace * self.home.bodies.activity(self.home.number)
            yield from self.do(self._next_activity(), until_s)
            callers = self._callers_per_s * (env.now - began_s)
            if _CALLERS_FROM_H < hour < _CALLERS_TO_H and moves.chance(-math.expm1(-callers)):
                yield from self._answer_door()
        self.put_down()

    def _answer_door(self) -> Process:
        self.home.infrared["hallway"].trigger()
        yield self._env.timeout(3.0 + self._moves.exponential(3.0))
        self.home.open_door()
        self.room = "hallway"
        yield self._env.timeout(15.0 + self._moves.exponential(40.0))
        self.home.infrared["hallway"].trigger()

    def _bathroom_round(self) -> Process:
        """The first walk of the day."""
        yield from self.walk_to("bathroom")
        self.use_bathroom()
        pace = self.resident.pace
        yield from self.stay("bathroom", self._env.now + self._moves.lognormal_mean_cv(240.0, 0.5), 65.0 / pace)

    def stay(self, room: str, until_s: float, still_s: float) -> Process:
        """Be in a room until then, moving every `still_s` on average."""
        env, trigger, exponential = self._env, self.home.infrared[room].trigger, self._moves.exponential
        self.room = room
        while True:
            gap_s = _STILL_FLOOR_S + exponential(still_s)
            if env.now + gap_s >= until_s:
                if until_s > env.now:
                    yield env.timeout(until_s - env.now)
                return
            yield env.timeout(gap_s)
            trigger()
            self._moved()

    def _moved(self) -> None:
        self.home.bodies.steps[self.home.number] += self._steps_per_movement

    def _busy_with(self, activity: Activity, pace: float) -> None:
        self._pulse(activity.pulse_rise_bpm * min(pace * activity.lively, 1.0))
        is_evening = self._town.local_hour() >= _CHARGES_FROM_H
        if activity is REST and is_evening and self._battery_pct() < _CHARGES_BELOW_PCT:
            self._charge(True)

    def _pulse(self, rise_bpm: float) -> None:
        self.home.bodies.pulse_rise_bpm[self.home.number] = rise_bpm

    # -- in bed --------------------------------------------------------------------------------

    def lie_down(self) -> None:
        """Get into bed, and sleep."""
        self.home.bodies.say_bed(self.home.number, True)
        self._pulse(body.ASLEEP)

    def leave_bed(self) -> None:
        """Get up; nothing happens to one who is up."""
        if not self.home.bodies.in_bed[self.home.number]:
            return
        self.room = "bedroom"
        self.home.bodies.say_bed(self.home.number, False)
        self._pulse(_UP_BPM)
        self.home.infrared["bedroom"].trigger()

    def _sleep(self, until_s: float) -> Process:
        """Lie in bed, turn over now and then, rise for the bathroom at the person's own rate."""
        env, moves = self._env, self._moves
        self.put_down()
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
        self.use_bathroom()
        away_s = self._moves.lognormal_mean_cv(_NIGHT_TRIP_S, _NIGHT_TRIP_CV)
        yield from self.stay("bathroom", self._env.now + away_s, 240.0)
        if self._moves.chance(self.resident.night_wander_share):
            wanders_s = self._moves.lognormal_mean_cv(_WANDERS_S, _WANDERS_CV)
            yield from self.walk_to("kitchen")
            yield from self.move_about(POTTER, self._env.now + wanders_s, 1.0)
        yield from self.walk_to("bedroom")
        yield self._env.timeout(5.0 + self._moves.exponential(20.0))

    def _nap(self, until_s: float) -> Process:
        yield from self.walk_to("bedroom")
        yield from self._sleep(until_s)
        self.leave_bed()

    # -- out -----------------------------------------------------------------------------------

    def _go_out(self, until_s: float, for_days: bool = False) -> Process:
        """Leave by the front door and come back by it; who is out already at the run's start only comes back."""
        self.put_down()
        if self._env.now > 0:
            yield from self._pass_door()
        until_ms = self._town.start_ms + round(until_s * 1000)
        event = self.home.site.begins("out", until_ms=until_ms, for_days=for_days)
        self._set_out(True, for_days)
        yield self._env.timeout(max(until_s - self._env.now, 0.0))
        self._set_out(False)
        self.home.site.ends("out", event)
        yield from self._pass_door()

    def be_away(self, length_s: float) -> Process:
        """Be out for days, then live by the plan of the day one comes back."""
        yield from self._go_out(self._env.now + length_s, for_days=True)
        self._catch_up()

    def be_in_hospital(self, length_s: float, *, by: str, cause: str) -> Process:
        """Be away where somebody has brought one."""
        event = self.home.site.begins("hospital", by=by, cause=cause)
        yield from self.be_away(length_s)
        self.home.site.ends("hospital", event)

    def be_lost(self, is_found: simpy.Event) -> Process:
        """Go out, nobody knows where to, until brought home."""
        self.put_down()
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

    def _set_out(self, is_out: bool, for_days: bool = False) -> None:
        self.is_out, self.is_away = is_out, for_days
        self.home.bodies.is_out[self.home.number] = is_out
        self.home.bodies.is_away[self.home.number] = for_days
        self._pulse(body.OUT if is_out else body.BUSY)

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
