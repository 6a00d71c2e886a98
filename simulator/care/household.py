"""What goes wrong in the home itself: smoke, and water that was left running.

A pan smokes for minutes; a fire, rare and no part of the boost, longer. A tap left open runs until the resident
notices, which nobody does who is out, or until somebody closes it; left long enough, it floods the floor. The water
meter shows each quarter of an hour as it goes by.
"""

from simulator.care.fate import HOUR_S, Fate, Process
from simulator.randomness import Stream

_SMOKE_S, _FIRE_S = 180.0, 900.0  # assumed
_FLOW_L_PER_MIN, _FLOW_CV = 8.0, 0.3  # assumed: a tap wide open
_RUNS_CV = 0.7  # assumed
_LOOKS_AGAIN_S = 300.0
_FLOODS_AFTER_S = 2 * HOUR_S  # assumed
_LONGEST_RUN_S = 24 * HOUR_S  # then the neighbour below has it closed: assumed


class Household:
    """Smoke and water of one home."""

    def __init__(self, fate: Fate) -> None:
        self._fate, self._home, self._life = fate, fate.home, fate.life
        self.smoke = self.water = ""  # the event that is going on
        self._tap_since_s = self._tap_l_per_min = 0.0
        p, boost = fate.p, fate.boost
        fate.strikes("pans", boost * p.cooking_smoke_per_year, self._burn_pan)
        fate.strikes("fires", p.fires_per_year, lambda draws: self._begin_smoke("fire", _FIRE_S, draws))
        fate.strikes("taps", boost * p.taps_left_open_per_year, self._leave_tap)

    def air(self) -> None:
        """Somebody opens the windows, or puts the fire out."""
        if self.smoke:
            self._home.set_smoke(False)
            self._fate.ends("smoke", self.smoke)
            self.smoke = ""

    def close_tap(self) -> None:
        """Somebody closes the tap that was left running."""
        if self.water:
            self._home.open_tap(0.0)
            runs_s = self._fate.env.now - self._tap_since_s
            litres = round(self._tap_l_per_min * runs_s / 60, 1)
            flooded = runs_s >= _FLOODS_AFTER_S
            self._fate.ends("water_running", self.water, runs_s=round(runs_s, 1), litres=litres, flooded=flooded)
            self.water = ""

    def _burn_pan(self, draws: Stream) -> None:
        if self._life.room == "kitchen" and not self._life.is_out:
            self._begin_smoke("cooking", _SMOKE_S, draws)

    def _begin_smoke(self, reason: str, mean_s: float, draws: Stream) -> None:
        length_s = draws.lognormal_mean_cv(mean_s, 0.6)
        if self.smoke:
            return
        event = self.smoke = self._fate.begins("smoke", reason=reason, lasts_s=round(length_s, 1))
        self._home.set_smoke(True)

        def clear() -> None:
            if self.smoke == event:
                self.air()

        self._fate.later(length_s, clear)

    def _leave_tap(self, draws: Stream) -> None:
        life = self._life
        if life.room not in {"kitchen", "bathroom"} or life.is_out or life.is_held or self.water:
            return
        self.water = self._fate.begins("water_running", room=life.room)
        self._tap_since_s = self._fate.env.now
        self._tap_l_per_min = draws.lognormal_mean_cv(_FLOW_L_PER_MIN, _FLOW_CV)
        self._home.open_tap(self._tap_l_per_min)
        notices_after_s = draws.lognormal_mean_cv(self._fate.p.tap_open_mean_h * HOUR_S, _RUNS_CV)
        self._fate.env.process(self._run(self.water, min(notices_after_s, _LONGEST_RUN_S)))

    def _run(self, event: str, notices_after_s: float) -> Process:
        """Until the resident notices, who must be there and free to; or until the neighbour does."""
        env, life, longest_s = self._fate.env, self._life, self._fate.env.now + _LONGEST_RUN_S
        yield env.timeout(notices_after_s)
        while self.water == event and (life.is_out or life.is_held) and env.now < longest_s:
            yield env.timeout(_LOOKS_AGAIN_S)
        if self.water == event:
            self.close_tap()
