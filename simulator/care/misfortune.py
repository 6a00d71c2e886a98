"""What rarely happens to a resident: falls, alarms without a cause, smoke. And who comes to help.

A fall comes at the published rate of the resident's sex, at the hours when falls happen, where the resident is. A
worn wristband notices most. Some people get up by themselves; the others lie, and few of them press the SOS button.
They lie until somebody comes: a volunteer, sent by the command `visit` to the home's gateway, or, standing in for
family and neighbours, somebody who happens by after an assumed time. Lying an hour or more is a *long lie*.

Wristbands also imagine falls, buttons are pressed by mistake, pans smoke. All of it, caused or not, is in the truth
ledger, so alarms can be scored. The scenario's boost multiplies falls, imagined falls, mistakes and pans alike.
"""

from collections.abc import Generator, Mapping
from typing import Any

import simpy

from haina.contract.care import WEARABLE_FALL
from haina.contract.measurement import Value
from simulator.care import body
from simulator.care.home import Home
from simulator.care.life import Life

Process = Generator[Any, Any, None]

YEAR_S, WEEK_S, HOUR_S, DAY_S = 365.25 * 86_400, 7 * 86_400, 3_600, 86_400
LONG_LIE_S = 3_600  # BMJ 2008;337:a2227

# Share of a day's falls by hour. Published are 11.9 % at 10:00-10:59 (doi 10.3760/cma.j.cn112338-20200424-00646) and
# more in the morning than in the evening; the rest is assumed to follow how much people move about.
# fmt: off
_FALLS_BY_HOUR = (0.012, 0.011, 0.012, 0.012, 0.016, 0.034, 0.050, 0.068, 0.076, 0.088, 0.119, 0.060,
                  0.046, 0.042, 0.046, 0.050, 0.052, 0.052, 0.046, 0.038, 0.028, 0.020, 0.014, 0.008)
# fmt: on
# 56 % of falls happen at home (same source), where people spend about nine tenths of the hours in which they fall.
_HOME_RISK, _OUT_RISK = 0.65, 4.4

_STILL_S, _STILL_CV = 30.0, 0.6  # assumed: what the wristband waits for
_RISES_AFTER_S, _RISES_CV = 240.0, 0.9  # assumed
_PRESSES_AFTER_S = 400.0  # assumed
_MOVES_WHILE_LYING_S = 600.0  # assumed: mean time between movements that infrared sees
_HELP_OUTDOORS_S = 300.0  # assumed: passers-by
_HELPING_S = 900.0  # assumed
_HOSPITAL_MEAN_D = 5.0  # assumed
_LONGEST_LIE_S = 72 * HOUR_S  # whoever has not been found by then is: assumed
_IMAGINED_G, _IMAGINED_SD_G, _THRESHOLD_G = 3.18, 1.55, 4.0  # WEDA-FALL: daily acts of people of 77-95 that pass 4 g
_SMOKE_S, _FIRE_S = 180.0, 900.0  # assumed
_MOST_TRAVEL_S = 86_400.0


class Misfortune:
    """What befalls a home, and the help that comes."""

    def __init__(self, home: Home, life: Life, boost: float) -> None:
        self.home, self.life = home, life
        self._env, self._site, self._p = home.site.env, home.site, home.parameters
        self._truth = home.site.town.truth
        self._wristband = home.site.devices["wristband"]
        self._falls = 0
        self._help: simpy.Event | None = None
        self._course = home.site.stream("course of falls")
        p, sex = self._p, life.resident.sex
        self.falls_per_year = boost * (p.falls_per_1000_women if sex == "female" else p.falls_per_1000_men) / 1000
        self._truth.record(
            "resident",
            home.site,
            sex=sex,
            age=life.resident.age,
            lives_alone=life.resident.lives_alone,
            frail=life.resident.is_frail,
            conditions=list(life.resident.conditions),
            falls_per_year=round(self.falls_per_year, 4),
            boost=boost,
        )
        self._strike("falls", self.falls_per_year * _OUT_RISK * 24 * max(_FALLS_BY_HOUR) / YEAR_S, self._may_fall)
        self._strike("imagined falls", boost * p.false_falls_per_week / WEEK_S, self._imagine_fall)
        self._strike("sos by mistake", boost * p.sos_mistakes_per_year / YEAR_S, self._press_by_mistake)
        self._strike("pans", boost * p.cooking_smoke_per_year / YEAR_S, self._burn_pan)
        self._strike("fires", p.fires_per_year / YEAR_S, self._catch_fire)
        home.site.gateway.commands["visit"] = self.visit

    def _strike(self, purpose: str, rate_per_s: float, happen: Any) -> None:
        if rate_per_s > 0:
            self._env.process(self._strikes(self._site.stream(purpose), rate_per_s, happen))

    def _strikes(self, draws: Any, rate_per_s: float, happen: Any) -> Process:
        while True:
            yield self._env.timeout(draws.exponential(1 / rate_per_s))
            happen(draws)

    # -- falls ---------------------------------------------------------------------------------

    def _may_fall(self, draws: Any) -> None:
        """A candidate, thinned to the hour's share and to where the resident is."""
        life, hour = self.life, int(self._site.town.local_hour())
        risk = (_OUT_RISK if life.is_out else _HOME_RISK) / _OUT_RISK
        if not draws.chance(risk * _FALLS_BY_HOUR[hour] / max(_FALLS_BY_HOUR)) or life.is_held or life.is_away:
            return
        self._falls += 1
        fall = f"{self._site.id}-{self._site.town.boot}-{self._falls}"
        rises = self._course.chance(self._p.rises_alone)
        worn = bool(self.home.bodies.worn[self.home.number])
        detected = self._course.chance(self._p.fall_sensitivity) and worn
        peak_g = min(max(self._course.normal(self._p.fall_peak_g, self._p.fall_peak_sd_g), 1.5), 16.0)
        presses = self._course.chance(self._p.sos_after_fall) and not rises and not life.is_out
        self._truth.record(
            "fall",
            self._site,
            fall=fall,
            room="outdoors" if life.is_out else life.room,
            peak_g=round(peak_g, 2),
            worn=worn,
            detected=detected,
            presses_sos=presses,
        )
        if detected:
            still_s = self._course.lognormal_mean_cv(_STILL_S, _STILL_CV)
            self._later(still_s, lambda: self._say_fall(peak_g, still_s))
        if life.is_out:
            lying_s = self._course.exponential(_HELP_OUTDOORS_S)
            self._later(lying_s, lambda: self._end_fall(fall, lying_s, "passers-by"))
        else:
            life.turn_to(self._lie(fall, rises, presses))

    def _lie(self, fall: str, rises: bool, presses: bool) -> Process:
        """From the fall to standing again; the resident's own life waits."""
        env, home, draws, began_s = self._env, self.home, self._course, self._env.now
        self.life.is_fallen = True
        home.bodies.say_bed(home.number, False)
        home.bodies.pulse_rise_bpm[home.number] = body.FALLEN
        infrared = home.infrared[self.life.room]
        infrared.trigger()
        self._help = env.event()
        if rises:
            end_s, how = env.now + draws.lognormal_mean_cv(_RISES_AFTER_S, _RISES_CV), "rose alone"
        else:
            end_s, how = env.now + min(draws.exponential(self._p.help_mean_h * HOUR_S), _LONGEST_LIE_S), "found"
        if presses:
            self._later(draws.exponential(_PRESSES_AFTER_S), lambda: self._press(fall))
        while env.now < end_s and not self._help.triggered:
            move_s = min(draws.exponential(_MOVES_WHILE_LYING_S), end_s - env.now)
            yield env.timeout(move_s) | self._help
            infrared.trigger()
        if self._help.triggered:
            how = "visit"
        elif how == "found":
            home.open_door()
        self._help = None
        lying_s = env.now - began_s
        self._end_fall(fall, lying_s, how)
        self.life.rest_today()
        if how != "rose alone":
            yield env.timeout(draws.lognormal_mean_cv(_HELPING_S, 0.5))
            if draws.chance(self._p.hospital_share):
                yield from self.life.be_away(draws.exponential(_HOSPITAL_MEAN_D) * DAY_S)

    def _end_fall(self, fall: str, lying_s: float, how: str) -> None:
        self._truth.record(
            "fall_end", self._site, fall=fall, how=how, lay_s=round(lying_s, 1), long_lie=lying_s >= LONG_LIE_S
        )

    def _say_fall(self, peak_g: float, still_s: float) -> None:
        if self.home.bodies.battery_pct[self.home.number] > 0:
            values: dict[str, Value] = {"peak_g": round(peak_g, 2), "still_s": float(round(min(still_s, 3_600.0)))}
            self._wristband.send(WEARABLE_FALL, values)

    # -- help ----------------------------------------------------------------------------------

    def visit(self, args: Mapping[str, Any]) -> str | None:
        """The command `visit`: somebody sets out for this home and arrives after `after_s`, or the usual way."""
        after_s = args.get("after_s", self._p.visit_travel_s)
        if isinstance(after_s, bool) or not isinstance(after_s, int | float) or not 0 <= after_s <= _MOST_TRAVEL_S:
            return f"after_s must be seconds from 0 to {_MOST_TRAVEL_S:g}"
        self._later(float(after_s), self._arrive)
        return None

    def _arrive(self) -> None:
        """The visitor is at the door; truth notes what the visit was good for."""
        if self._help is not None and not self._help.triggered:
            found = "fallen"
            self._help.succeed()
        else:
            found = "nobody" if self.life.is_out else "well"
        self._truth.record("visit", self._site, found=found)
        self.home.open_door()
        self.home.infrared["hallway"].trigger()

    # -- alarms without a fall -----------------------------------------------------------------

    def _imagine_fall(self, draws: Any) -> None:
        """The wristband takes a clap or a knock for a fall; not in sleep, and not on its charger."""
        number = self.home.number
        is_asleep = self.home.bodies.pulse_rise_bpm[number] == body.ASLEEP
        if is_asleep or self.life.is_fallen or not self.home.bodies.worn[number]:
            return
        peak_g = draws.normal(_IMAGINED_G, _IMAGINED_SD_G)
        while peak_g < _THRESHOLD_G:
            peak_g = draws.normal(_IMAGINED_G, _IMAGINED_SD_G)
        self._truth.record("imagined_fall", self._site)
        self._say_fall(min(peak_g, 16.0), draws.lognormal_mean_cv(_STILL_S, _STILL_CV))

    def _press_by_mistake(self, _: Any) -> None:
        if not self.life.is_out and not self.life.is_fallen:
            self._truth.record("sos", self._site, reason="mistake")
            self.home.press_sos()

    def _press(self, fall: str) -> None:
        if self._help is not None and not self._help.triggered:
            self._truth.record("sos", self._site, reason="fall", fall=fall)
            self.home.press_sos()

    def _burn_pan(self, draws: Any) -> None:
        if self.life.room == "kitchen" and not self.life.is_out:
            self._smoke("cooking", draws.lognormal_mean_cv(_SMOKE_S, 0.6))

    def _catch_fire(self, draws: Any) -> None:
        self._smoke("fire", draws.lognormal_mean_cv(_FIRE_S, 0.5))

    def _smoke(self, reason: str, length_s: float) -> None:
        self._truth.record("smoke", self._site, reason=reason, lasts_s=round(length_s, 1))
        self.home.set_smoke(True)
        self._later(length_s, lambda: self.home.set_smoke(False))

    def _later(self, after_s: float, act: Any) -> None:
        self._env.timeout(after_s).callbacks.append(lambda _: act())
