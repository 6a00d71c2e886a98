"""What looks like trouble and is none, or hides it: the reasons for false alarms.

A wristband imagines a fall, is dropped, or runs flat because its wearer forgot to charge it; the SOS button is pressed
by mistake; visitors move about while the resident rests; a big clean draws water and keeps the door going. (Being away
with family is part of a resident's plans, `life`.) All of it is in the truth ledger, beginning and end. The boost
multiplies what is rare; visits, cleaning and forgetting are everyday life and keep their rates.
"""

from simulator.care import body
from simulator.care.falls import Falls
from simulator.care.fate import DAY_S, HOUR_S, Fate, Process
from simulator.randomness import Stream

_STILL_S, _STILL_CV = 30.0, 0.6  # assumed: what the wristband waits for
# WEDA-FALL: daily acts of people of 77-95 that pass 4 g, and how their wrists sway afterwards (58 of 157 acts).
_IMAGINED_G, _IMAGINED_SD_G, _THRESHOLD_G, _SWAY_G, _SWAY_LOG_SD = 3.18, 1.55, 4.0, 0.092, 1.35
_DROPPED_G, _DROPPED_SD_G, _DROPPED_STILL_S = 7.5, 1.5, 3_600.0  # assumed: on a hard floor, where it lies dead still
_DROPPED_SWAY_G = 0.004  # assumed: a sensor's noise
_DROP_IS_TAKEN_FOR_FALL = 0.5  # assumed
_PICKED_UP_MEAN_H = 3.0  # assumed

_VISIT_H, _VISIT_CV = 1.6, 0.5  # assumed
_VISITORS_MOVE_S, _VISITORS_USE_BATHROOM = 70.0, 0.03  # assumed
_VISITS_FROM_H, _VISITS_TO_H = 9.0, 20.0  # assumed
_CLEANING_H, _CLEANING_CV, _CLEANING_L_PER_MIN = 2.2, 0.3, 1.6  # assumed
_CLEANING_FROM_H, _CLEANING_TO_H = 8.0, 17.0  # assumed
_CLEANS_A_ROOM_S, _OPENS_DOOR = 240.0, 0.15  # assumed
_FORGETS_FOR_D = 3.0  # assumed


class FalseAlarms:
    """One home's reasons for false alarms."""

    def __init__(self, fate: Fate, falls: Falls) -> None:
        self._fate, self._falls = fate, falls
        self._home, self._life, self._bodies, self._number = fate.home, fate.life, fate.home.bodies, fate.home.number
        self.dropped = self.has_visitors = self.is_cleaned = ""  # the event that is going on
        p, boost = fate.p, fate.boost
        fate.strikes("imagined falls", boost * p.false_falls_per_week * 365.25 / 7, self._imagine_fall)
        fate.strikes("sos by mistake", boost * p.sos_mistakes_per_year, self._press_by_mistake)
        fate.strikes("drops", boost * p.wristband_drops_per_year, self._drop)
        fate.strikes("visits", _round_the_clock(p.visits_per_week, _VISITS_FROM_H, _VISITS_TO_H), self._receive)
        fate.strikes("cleaning", _round_the_clock(p.cleanings_per_week, _CLEANING_FROM_H, _CLEANING_TO_H), self._clean)
        fate.strikes("forgetting to charge", p.charging_forgotten_per_year, self._forget_charging)

    @property
    def _is_up(self) -> bool:
        """Whether the resident is at home, on their feet or in a chair."""
        life, asleep = self._life, self._bodies.pulse_rise_bpm[self._number] == body.ASLEEP
        return not (life.is_out or life.is_held or asleep)

    # -- wristband and button ------------------------------------------------------------------

    def _imagine_fall(self, draws: Stream) -> None:
        """The wristband takes a clap or a knock for a fall; not in sleep, and not on its charger."""
        asleep = self._bodies.pulse_rise_bpm[self._number] == body.ASLEEP
        if asleep or self._life.is_held or not self._bodies.worn[self._number]:
            return
        peak_g = draws.normal(_IMAGINED_G, _IMAGINED_SD_G)
        while peak_g < _THRESHOLD_G:
            peak_g = draws.normal(_IMAGINED_G, _IMAGINED_SD_G)
        still_s, sway_g = draws.lognormal_mean_cv(_STILL_S, _STILL_CV), _SWAY_G * draws.lognormal(0.0, _SWAY_LOG_SD)
        self._fate.happens("imagined_fall")
        self._falls.say_fall(min(peak_g, 16.0), still_s, sway_g)

    def _press_by_mistake(self, _: Stream) -> None:
        if not self._life.is_out and not self._life.is_held:
            self._fate.happens("sos", reason="mistake")
            self._home.press_sos()

    def _drop(self, draws: Stream) -> None:
        """It slips off and hits the floor, and lies there, not worn, until somebody picks it up."""
        if not self._is_up or not self._bodies.worn[self._number]:
            return
        peak_g = min(max(draws.normal(_DROPPED_G, _DROPPED_SD_G), _THRESHOLD_G), 16.0)
        taken = draws.chance(_DROP_IS_TAKEN_FOR_FALL)
        event = self.dropped = self._fate.begins("wristband_dropped", peak_g=round(peak_g, 2), taken_for_fall=taken)
        self._bodies.worn[self._number] = False
        self._life.has_dropped_wristband = True
        if taken:
            self._falls.say_fall(peak_g, _DROPPED_STILL_S, _DROPPED_SWAY_G)

        def find() -> None:
            if self.dropped == event and self._life.is_out:
                self._fate.later(HOUR_S, find)
            elif self.dropped == event:
                self.put_on_wristband()

        self._fate.later(draws.exponential(_PICKED_UP_MEAN_H * HOUR_S), find)

    def put_on_wristband(self) -> None:
        """The wristband is picked up from the floor, or from wherever it lies, and charged if it is empty."""
        if self.dropped:
            self._fate.ends("wristband_dropped", self.dropped)
            self.dropped = ""
        self._life.wear_wristband()

    @property
    def is_flat(self) -> bool:
        return bool(self._bodies.battery_pct[self._number] <= 0)

    def _forget_charging(self, draws: Stream) -> None:
        """Some days without charging; an empty wristband is silent until it hangs on its charger again."""
        if self._life.forgets_charging:
            return
        event = self._fate.begins("charging_forgotten")
        self._life.forgets_charging = True

        def remember() -> None:
            self._fate.ends("charging_forgotten", event, flat=self.is_flat)
            self._life.forgets_charging = False
            if self.is_flat and not self._life.is_out:
                self._life.wear_wristband()

        self._fate.later(draws.exponential(_FORGETS_FOR_D * DAY_S), remember)

    # -- people in the home --------------------------------------------------------------------

    def _receive(self, draws: Stream) -> None:
        """Visitors: the door, then more movement than one person makes, while the resident keeps them company."""
        if not self._is_between(_VISITS_FROM_H, _VISITS_TO_H) or not self._is_up or self.has_visitors:
            return
        length_s = draws.lognormal_mean_cv(_VISIT_H * HOUR_S, _VISIT_CV)
        self.has_visitors = self._fate.begins("visitors", lasts_s=round(length_s))
        self._fate.env.process(self._keep_company(draws, self._fate.env.now + length_s))

    def _keep_company(self, draws: Stream, until_s: float) -> Process:
        env, home = self._fate.env, self._home
        home.open_door()
        while env.now < until_s and not self._life.is_out:  # whoever goes out goes with them
            yield env.timeout(min(draws.exponential(_VISITORS_MOVE_S), until_s - env.now))
            if self._falls.is_lying:
                self._falls.help_up("visitors")
                continue
            home.infrared[draws.choice(("lounge", "hallway", "kitchen"), (0.7, 0.1, 0.2))].trigger()
            if draws.chance(_VISITORS_USE_BATHROOM):
                home.infrared["bathroom"].trigger()
                home.use_water(7.0)
        home.open_door()
        self._fate.ends("visitors", self.has_visitors)
        self.has_visitors = ""

    def _clean(self, draws: Stream) -> None:
        """A big clean: from room to room, with much water and many ways to the door."""
        if not self._is_between(_CLEANING_FROM_H, _CLEANING_TO_H) or not self._is_up or self.is_cleaned:
            return
        length_s = draws.lognormal_mean_cv(_CLEANING_H * HOUR_S, _CLEANING_CV)
        self.is_cleaned = self._fate.begins("cleaning", lasts_s=round(length_s))
        self._fate.env.process(self._clean_rooms(draws, self._fate.env.now + length_s))

    def _clean_rooms(self, draws: Stream, until_s: float) -> Process:
        env, home = self._fate.env, self._home
        while env.now < until_s and not self._life.is_out and not self._life.is_held:
            room = draws.choice(tuple(home.infrared))
            stay_s = min(draws.exponential(_CLEANS_A_ROOM_S), until_s - env.now)
            home.infrared[room].trigger()
            yield env.timeout(stay_s)
            home.use_water(_CLEANING_L_PER_MIN * stay_s / 60)
            if draws.chance(_OPENS_DOOR):
                home.open_door()
        self._fate.ends("cleaning", self.is_cleaned)
        self.is_cleaned = ""

    def _is_between(self, from_h: float, to_h: float) -> bool:
        return from_h <= self._fate.site.town.local_hour() < to_h


def _round_the_clock(per_week: float, from_h: float, to_h: float) -> float:
    """How often a year to try so that so many a week fall into these hours."""
    return per_week * 365.25 / 7 * 24 / (to_h - from_h)
