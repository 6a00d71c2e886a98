"""Falls, and lying on the floor until somebody comes.

A fall comes at the published rate of the resident's sex and age, at the hours when falls happen, where the resident is.
People differ in how prone they are, by a gamma factor: only so can 270 falls in 1,000 person-years and one in five who
falls in a year both be true. A worn wristband notices most falls and reports their *signature*.

Some people get up by themselves, the fewer the older. Now and then somebody is there to see it. The others lie, and few
of them press the SOS button. They lie until help arrives (`simulator.help`) or, standing in for family and neighbours,
somebody happens by after an assumed time. Lying an hour or more is a *long lie*. Some are *hurt*: they wait for an
ambulance or, again standing in, for their family to take them to hospital.
"""

import simpy

from haina.contract.care import WEARABLE_FALL
from haina.contract.measurement import Value
from simulator.care import body
from simulator.care.condition import frailty
from simulator.care.fate import DAY_S, HOUR_S, Fate, Process
from simulator.care.parameters import CareParameters
from simulator.care.resident import Resident, gamma_mean_cv
from simulator.randomness import Stream

LONG_LIE_S = 3_600  # BMJ 2008;337:a2227

# Share of a day's falls by hour. Published are 11.9 % at 10:00-10:59 (doi 10.3760/cma.j.cn112338-20200424-00646) and
# more in the morning than in the evening; the rest is assumed to follow how much people move about.
# fmt: off
_FALLS_BY_HOUR = (0.012, 0.011, 0.012, 0.012, 0.016, 0.034, 0.050, 0.068, 0.076, 0.088, 0.119, 0.060,
                  0.046, 0.042, 0.046, 0.050, 0.052, 0.052, 0.046, 0.038, 0.028, 0.020, 0.014, 0.008)
# fmt: on
# 56 % of falls happen at home (same source), where people spend about nine tenths of the hours in which they fall.
_HOME_RISK, _OUT_RISK = 0.65, 4.4

# Falls by age against all of 60 and over: 16.3, 21.7 and 27.3 % fall in a year (doi 10.7507/1672-2531.202111155). With
# proneness spread as `falls_cv` these shares take the rates below, whose mean over Shanghai's ages is 1.
_BY_AGE = ((80, 1.60), (70, 1.13), (0, 0.77))

_FRAIL = 1.84  # the frail against the others: an odds ratio, taken for one of rates: Kojima, JAMDA 2015;16:1027

_STILL_S, _STILL_CV = 30.0, 0.6  # assumed: what the wristband waits for
_SWAY_G, _SWAY_LOG_SD = 0.069, 0.8  # WEDA-FALL, 350 falls: median, and from it the 95th percentile of 0.25 g
_RISES_AFTER_S, _RISES_CV = 240.0, 0.9  # assumed
_SEEN_AFTER_S = 90.0  # assumed
_PRESSES_AFTER_S = 400.0  # assumed
_MOVES_WHILE_LYING_S = 600.0  # assumed: mean time between movements that infrared sees
_HELP_OUTDOORS_S = 300.0  # assumed: passers-by
_HELPING_S = 900.0  # assumed
_HOSPITAL_MEAN_D = 5.0  # assumed
_LONGEST_LIE_S = 72 * HOUR_S  # whoever has not been found by then is: assumed


def falls_per_year(resident: Resident, p: CareParameters, proneness: float) -> float:
    """A resident's falls in a year, before any boost."""
    per_1000 = p.falls_per_1000_women if resident.sex == "female" else p.falls_per_1000_men
    by_age = next(factor for age, factor in _BY_AGE if resident.age >= age)
    usual_frailty = min(frailty(resident.age) * p.prevalence_factor, 1.0)
    by_frailty = (_FRAIL if resident.is_frail else 1.0) / (1 + (_FRAIL - 1) * usual_frailty)  # on average 1
    return per_1000 / 1000 * by_age * by_frailty * proneness


def draw_proneness(draws: Stream, p: CareParameters) -> float:
    """How much more than others of the same sex and age a person falls; 1 on average."""
    return gamma_mean_cv(draws, 1.0, p.falls_cv)


def draw_hospital_s(draws: Stream) -> float:
    """How long a stay in hospital takes."""
    return draws.exponential(_HOSPITAL_MEAN_D) * DAY_S


class Falls:
    """One resident's falls."""

    def __init__(self, fate: Fate) -> None:
        self._fate, self._life, self._home, self._p = fate, fate.life, fate.home, fate.p
        self._wristband = fate.site.devices["wristband"]
        self._course = fate.site.stream("course of falls")
        self._help: simpy.Event | None = None
        self._ambulance: simpy.Event | None = None
        self.is_hurt = False  # from the fall until they leave for hospital
        proneness = draw_proneness(fate.site.stream("fall proneness"), self._p)
        self.per_year = fate.boost * falls_per_year(self._life.resident, self._p, proneness)
        fate.strikes("falls", self.per_year * _OUT_RISK * 24 * max(_FALLS_BY_HOUR), self._may_fall)

    @property
    def is_lying(self) -> bool:
        """Whether the resident lies on the floor, and nobody is with them."""
        return self._help is not None and not self._help.triggered

    def help_up(self, who: str) -> None:
        """Somebody is with whoever lies there."""
        if self._help is not None and not self._help.triggered:
            self._help.succeed(who)

    def fetch(self) -> None:
        """An ambulance takes whoever is hurt to hospital."""
        if self._ambulance is not None and not self._ambulance.triggered:
            self._ambulance.succeed()

    def _may_fall(self, draws: Stream) -> None:
        """A candidate, thinned to the hour's share and to where the resident is."""
        life, hour = self._life, int(self._fate.site.town.local_hour())
        risk = (_OUT_RISK if life.is_out else _HOME_RISK) / _OUT_RISK
        if not draws.chance(risk * _FALLS_BY_HOUR[hour] / max(_FALLS_BY_HOUR)) or life.is_away or life.is_held:
            return
        course = self._course
        rises, is_seen = course.chance(self._rises_alone()), course.chance(self._p.falls_seen)
        worn = bool(self._home.bodies.worn[self._home.number])
        detected = course.chance(self._p.fall_sensitivity) and worn
        peak_g = min(max(course.normal(self._p.fall_peak_g, self._p.fall_peak_sd_g), 1.5), 16.0)
        presses = course.chance(self._p.sos_after_fall) and not rises and not is_seen and not life.is_out
        hurt = course.chance(self._p.hospital_share) and not rises and not life.is_out
        event = self._fate.begins(
            "fall",
            room="outdoors" if life.is_out else life.room,
            peak_g=round(peak_g, 2),
            worn=worn,
            detected=detected,
            presses_sos=presses,
            hurt=hurt,
        )
        if detected:
            still_s, sway_g = course.lognormal_mean_cv(_STILL_S, _STILL_CV), _SWAY_G * course.lognormal(0, _SWAY_LOG_SD)
            self._fate.later(still_s, lambda: self.say_fall(peak_g, still_s, sway_g))
        if life.is_out:
            lying_s = course.exponential(_HELP_OUTDOORS_S)
            self._fate.later(lying_s, lambda: self._end(event, lying_s, "passers-by"))
            return
        if presses:
            self._fate.later(course.exponential(_PRESSES_AFTER_S), lambda: self._press(event))
        usual = "rose alone" if rises else "seen" if is_seen else "found"
        self._help, self._ambulance, self.is_hurt = self._fate.env.event(), self._fate.env.event(), hurt
        life.turn_to(self._lie(event, usual, hurt))

    def _rises_alone(self) -> float:
        share = min(max((self._life.resident.age - 60) / 30, 0.0), 1.0)
        return self._p.rises_alone_at_60 + share * (self._p.rises_alone_at_90 - self._p.rises_alone_at_60)

    def _lie(self, event: str, usual: str, hurt: bool) -> Process:
        """From the fall to standing again, or to hospital; the resident's own life waits."""
        env, home, course, began_s = self._fate.env, self._home, self._course, self._fate.env.now
        assert self._help is not None
        home.bodies.say_bed(home.number, False)
        home.bodies.pulse_rise_bpm[home.number] = body.FALLEN
        infrared = home.infrared[self._life.room]
        infrared.trigger()
        match usual:
            case "rose alone":
                end_s = env.now + course.lognormal_mean_cv(_RISES_AFTER_S, _RISES_CV)
            case "seen":
                end_s = env.now + course.exponential(_SEEN_AFTER_S)
            case _:
                end_s = env.now + min(course.exponential(self._p.help_mean_h * HOUR_S), _LONGEST_LIE_S)
        while env.now < end_s and not self._help.triggered:
            move_s = min(course.exponential(_MOVES_WHILE_LYING_S), end_s - env.now)
            yield env.timeout(move_s) | self._help
            infrared.trigger()
        how = str(self._help.value) if self._help.triggered else usual
        if how == "found":
            home.open_door()
        self._help = None
        self._life.rest_today()
        self._end(event, env.now - began_s, how)
        if how == "rose alone":
            return
        if hurt:
            yield from self._wait_for_hospital(event)
        else:
            yield env.timeout(course.lognormal_mean_cv(_HELPING_S, 0.5))

    def _wait_for_hospital(self, event: str) -> Process:
        env, course = self._fate.env, self._course
        assert self._ambulance is not None
        yield self._ambulance | env.timeout(_HELPING_S + course.exponential(self._p.hospital_after_h * HOUR_S))
        by = "ambulance" if self._ambulance.triggered else "family"
        self._ambulance, self.is_hurt = None, False
        yield from self._life.be_in_hospital(draw_hospital_s(course), by=by, cause=event)

    def _end(self, event: str, lying_s: float, how: str) -> None:
        self._fate.ends("fall", event, how=how, lay_s=round(lying_s, 1), long_lie=lying_s >= LONG_LIE_S)

    def _press(self, event: str) -> None:
        if self.is_lying:
            self._fate.happens("sos", reason="fall", cause=event)
            self._home.press_sos()

    def say_fall(self, peak_g: float, still_s: float, sway_g: float) -> None:
        """The wristband reports what it takes for a fall, if it can."""
        if self._home.bodies.battery_pct[self._home.number] <= 0:
            return
        values: dict[str, Value] = {
            "peak_g": round(peak_g, 2),
            "still_s": float(round(min(still_s, 3_600.0))),
            "sway_g": round(min(sway_g, 8.0), 3),
        }
        self._wristband.send(WEARABLE_FALL, values)
