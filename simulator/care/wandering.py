"""Going astray at night: who has dementia may leave the bed, walk about the rooms, and at times go out and be lost.

The bed is empty, infrared follows from room to room, the front door opens in the small hours. Whoever walks about at
home can be led back to bed. Whoever went out is brought home by passers-by or the police after an assumed time, or by a
volunteer who searches the neighbourhood.
"""

import simpy

from haina.contract.care import ROOMS
from simulator.care.body import ASLEEP
from simulator.care.condition import DEMENTIA
from simulator.care.fate import HOUR_S, Fate, Process
from simulator.randomness import Stream

_FROM_H, _TO_H = 22.0, 5.0
_NIGHT_H = 24 - _FROM_H + _TO_H
_WALKS_MEAN_S, _WALKS_CV, _STAYS_MEAN_S, _MOVES_EVERY_S = 1_800.0, 0.6, 90.0, 40.0  # assumed


class Wandering:
    """One resident's nights astray."""

    def __init__(self, fate: Fate) -> None:
        self._fate = fate
        self._course = fate.site.stream("course of wandering")
        self.is_walking = False
        self._lost: simpy.Event | None = None
        if DEMENTIA in fate.life.resident.conditions:
            fate.strikes("wandering", fate.boost * fate.p.wanderings_per_year * 24 / _NIGHT_H, self._may_wander)

    @property
    def is_lost(self) -> bool:
        return self._lost is not None and not self._lost.triggered

    def bring_home(self) -> None:
        """Somebody has found whoever is lost, and brings them home."""
        if self._lost is not None and not self._lost.triggered:
            self._lost.succeed()

    def lead_to_bed(self) -> None:
        """Somebody leads whoever walks about back to bed."""
        self.is_walking = False

    def _may_wander(self, draws: Stream) -> None:
        fate, life = self._fate, self._fate.life
        hour = fate.site.town.local_hour()
        asleep = fate.home.bodies.pulse_rise_bpm[fate.home.number] == ASLEEP
        if _TO_H <= hour < _FROM_H or not asleep or life.is_out or life.is_held:
            return
        leaves = draws.chance(fate.p.leaves_home_share)
        lost_s = draws.exponential(fate.p.lost_mean_h * HOUR_S)
        event = fate.begins("wandering", leaves_home=leaves)
        life.turn_to(self._wander(event, draws.lognormal_mean_cv(_WALKS_MEAN_S, _WALKS_CV), lost_s if leaves else None))

    def _wander(self, event: str, walks_s: float, lost_s: float | None) -> Process:
        fate = self._fate
        self.is_walking = True
        if lost_s is not None:
            self._lost = fate.env.event()
            fate.later(walks_s + lost_s, self.bring_home)
        yield from self._walk_about(walks_s)
        if self._lost is not None:
            yield from fate.life.be_lost(self._lost)
        self.is_walking, self._lost = False, None
        fate.ends("wandering", event)

    def _walk_about(self, length_s: float) -> Process:
        life, env = self._fate.life, self._fate.env
        life.leave_bed()
        until_s = env.now + length_s
        while env.now < until_s and self.is_walking:
            yield from life.walk_to(self._course.choice(ROOMS))
            stay_s = self._course.exponential(_STAYS_MEAN_S)
            yield from life.stay(life.room, min(env.now + stay_s, until_s), _MOVES_EVERY_S)
