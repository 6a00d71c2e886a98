"""Somebody awake at home: doing one thing after another, stepping from room to room, using what is there.

Doing is semi-Markov: an activity is chosen by the hour, or follows from the last one (who cooks eats, who eats does the
dishes), takes a lognormal time, and moves its doer now and then. Each movement is in the same room or in another, by
the step matrix of the recorded homes and the hold of the activity. How fast movements follow each other is the *pace*:
the product of the person's own, the day's, the hour's and the activity's. Infrared, water, stove, kettle, television
and light all come from these same steps.

A resident (`life`) is a walker with nights, outings and a body. Anybody else who spends time in a home is a walker and
no more: a partner by `live`, a guest or a cleaner by `spend_time`.
"""

from bisect import bisect
from collections.abc import Generator
from typing import Any

from haina.contract.care import ROOMS
from simulator.care.activity import (
    ACTIVITIES,
    BY_NAME,
    COOK,
    FOLLOWS_SHARE,
    LENGTH_CV,
    MEDICINE,
    SNACK,
    Activity,
)
from simulator.care.appliance import KETTLE_J, LIGHT_W, SHOWER_J_PER_L, TV_W, WASHING_J
from simulator.care.home import Home
from simulator.care.resident import gamma_mean_cv
from simulator.care.rhythm import Rhythm
from simulator.randomness import Stream

Process = Generator[Any, Any, None]

HOUR_S = 3_600
_WALK_LEAST_S, _WALK_MEAN_S = 1.5, 4.5  # assumed: from room to room
_STEP_LEAST_S = 2.0  # between movements in two rooms
_ROOM_NUMBERS = {room: number for number, room in enumerate(ROOMS)}
_DARK_BEFORE_H, _DARK_FROM_H = 6.5, 18.0  # assumed
_SHOWERS_FROM_H = 18.0
_MEAL_LASTS_S = 3 * HOUR_S  # nobody cooks again so soon
# Litres, and how often they are drawn; assumed, about 120 a day.
_FLUSH_L, _WASH_L, _SHOWER_L, _COOKING_L, _DISHES_L, _DRINK_L, _LAUNDRY_L = 5.5, 1.5, 38.0, 5.0, 4.0, 0.8, 48.0
_FLUSH_SHARE, _SHOWER_SHARE, _DRINK_SHARE, _LAUNDRY_SHARE = 0.8, 0.6, 0.4, 0.4
_KETTLE_SHARE, _TV_SHARE = 0.12, 0.7  # assumed


class Walker:
    """Somebody in a home. `pace` is how much they move about, against others."""

    def __init__(self, home: Home, name: str, rhythm: Rhythm, pace: float, misplaced_share: float = 0.0) -> None:
        self.home = home
        self.room = "lounge"
        self.day_pace = 1.0
        self._env, self._town, self._p = home.site.env, home.site.town, home.parameters
        self._rhythm, self._pace, self._misplaced_share = rhythm, pace, misplaced_share
        self._moves: Stream = home.site.stream(f"{name}moves")
        self._uses: Stream = home.site.stream(f"{name}water")
        self._showered = True
        self._cooked_s = -float(_MEAL_LASTS_S)
        self._last = MEDICINE
        self._in_use_w = 0.0
        self._cooks = False

    def spend_time(self, until_s: float) -> Process:
        """Do one thing after another until it is time for something else."""
        while until_s - self._env.now > 1:
            yield from self.do(self._next_activity(), until_s)
        self.put_down()

    def do(self, activity: Activity, until_s: float) -> Process:
        """Do one thing, for its own time or until then."""
        self.put_down()
        self._last = activity
        hour = self._town.local_hour()
        length_s = self._moves.lognormal_mean_cv(activity.mean_s, LENGTH_CV)
        yield from self.walk_to(activity.room)
        self._take_up(activity, hour)
        pace = self._pace * self.day_pace * gamma_mean_cv(self._moves, 1.0, self._p.pace_visit_cv)
        self._busy_with(activity, pace)
        yield from self.move_about(activity, min(self._env.now + length_s, until_s), pace)

    def move_about(self, activity: Activity, until_s: float, pace: float) -> Process:
        """Move now and then, in the activity's room and out of it."""
        env, rhythm, moves = self._env, self._rhythm, self._moves
        next_room, infrared = rhythm.next_room[activity.name], self.home.infrared
        while True:
            room = ROOMS[bisect(next_room[self.room], moves.random())]
            number = _ROOM_NUMBERS[self.room]
            speed = min(max(pace * activity.lively * rhythm.pace_by_hour[int(self._town.local_hour())], 0.05), 12.0)
            if room == self.room:
                gap_s = rhythm.same_room_least_s[number] + moves.exponential(rhythm.same_room_s[number]) / speed
            else:
                gap_s = _STEP_LEAST_S + moves.exponential(rhythm.other_room_s[number]) / speed
            if env.now + gap_s >= until_s:
                if until_s > env.now:
                    yield env.timeout(until_s - env.now)
                return
            yield env.timeout(gap_s)
            self.room = room
            infrared[room].trigger()
            self._moved()

    def walk_to(self, room: str) -> Process:
        """Go into a room, which notices."""
        if room != self.room:
            yield self._env.timeout(_WALK_LEAST_S + self._moves.exponential(_WALK_MEAN_S))
            self.room = room
        self.home.infrared[room].trigger()
        self._moved()

    def put_down(self) -> None:
        """Leave off what one was doing: television and light go out, the burner too."""
        if self._in_use_w:
            self.home.power.switch(-self._in_use_w)
            self._in_use_w = 0.0
        if self._cooks:
            self._cooks = False
            self.home.stove.switch(False)

    def _next_activity(self) -> Activity:
        moves = self._moves
        if self._last.then and moves.chance(FOLLOWS_SHARE):
            return BY_NAME[self._last.then]
        hour = int(self._town.local_hour())
        if self._misplaced_share and moves.chance(self._misplaced_share):
            hour = moves.integer(0, 23)
        activity = ACTIVITIES[bisect(self._rhythm.begin_at[hour], moves.random())]
        if activity is COOK and self._env.now - self._cooked_s < _MEAL_LASTS_S:
            return SNACK
        return activity

    def _take_up(self, activity: Activity, hour: float) -> None:
        """Turn on what the activity needs, and draw its water."""
        uses, home = self._uses, self.home
        watts = 0.0 if _DARK_BEFORE_H <= hour < _DARK_FROM_H else LIGHT_W
        match activity.name:
            case "toilet" | "wash":
                self.use_bathroom()
                if hour >= _SHOWERS_FROM_H and not self._showered and uses.chance(_SHOWER_SHARE):
                    self._showered = True
                    litres = uses.lognormal_mean_cv(_SHOWER_L, 0.35)
                    home.use_water(litres)
                    home.power.use(litres * SHOWER_J_PER_L)
            case "cook":
                self._cooked_s, self._cooks = self._env.now, True
                home.use_water(uses.lognormal_mean_cv(_COOKING_L, 0.8))
                home.stove.switch(True)
            case "dishes":
                home.use_water(uses.lognormal_mean_cv(_DISHES_L, 0.5))
            case "snack":
                if uses.chance(_DRINK_SHARE):
                    home.use_water(uses.lognormal_mean_cv(_DRINK_L, 0.6))
                if uses.chance(_KETTLE_SHARE):
                    home.power.use(KETTLE_J)
            case "laundry" if uses.chance(_LAUNDRY_SHARE):
                home.use_water(uses.lognormal_mean_cv(_LAUNDRY_L, 0.2))
                home.power.use(WASHING_J)
            case "rest" if uses.chance(_TV_SHARE):
                watts += TV_W
        if watts:
            self._in_use_w = watts
            home.power.switch(watts)

    def use_bathroom(self) -> None:
        """The toilet mostly, the basin always."""
        if self._uses.chance(_FLUSH_SHARE):
            self.home.use_water(self._uses.lognormal_mean_cv(_FLUSH_L, 0.15))
        self.home.use_water(self._uses.lognormal_mean_cv(_WASH_L, 0.6))

    def _moved(self) -> None:
        """A movement was made."""

    def _busy_with(self, activity: Activity, pace: float) -> None:
        """An activity has begun, at this pace."""


class Partner(Walker):
    """Who else lives there: up when the resident is up on most days, seen by the same sensors, wearing none."""

    def live(self, wake_h: float, bed_h: float) -> Process:
        """Day after day; nights in bed beside the resident, where the bed's sensor is not theirs."""
        while True:
            hour = self._town.local_hour()
            if wake_h <= hour < bed_h:
                yield from self.spend_time(self._env.now + (bed_h - hour) * HOUR_S)
            self._showered = False
            yield self._env.timeout(max((wake_h - self._town.local_hour()) % 24, 0.01) * HOUR_S)
