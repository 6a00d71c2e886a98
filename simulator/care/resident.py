"""Who lives in a home: the traits that stay, and the plan that each day brings.

Traits are drawn once: from the age and sex mix of Shanghai's people of 60 and over, from the spread between the
recorded homes, and from what is the matter with the resident (`condition`). A plan says when the resident gets up,
naps, goes out and goes to bed; what happens in between is the business of `life`. Hours are local and count on past
midnight: 24.5 is half past midnight of the next day.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from simulator.care.condition import AF, CONDITIONS, DEMENTIA, effects, frailty, prevalence
from simulator.care.parameters import CareParameters
from simulator.randomness import Stream

# Shanghai's registered people of 60 and over by age, 2020 (city statistics); the last band is left open there.
_AGE_BANDS = ((60, 64), (65, 69), (70, 79), (80, 92))
_AGE_SHARES = (0.283, 0.279, 0.283, 0.155)

_OUTING_SIGMA = 0.95  # assumed
_OUTING_HOURS, _OUTING_WEIGHTS = (8, 9, 10, 13, 14, 15, 16, 18), (2, 4, 3, 1, 2, 2, 1.5, 0.8)  # assumed: market, walk
_BEATS_CV = 0.3  # assumed
_NAP_H, _NAP_SD_H, _NAP_MEAN_H = 13.2, 0.4, 0.75  # assumed
_LEAST_SLEEP_H, _HOME_BEFORE_BED_H = 5.0, 0.4


@dataclass(frozen=True)
class Resident:
    """A resident's lasting traits."""

    sex: str
    age: int
    lives_alone: bool
    is_frail: bool
    conditions: tuple[str, ...]
    wake_h: float
    bed_h: float
    pace: float
    night_trips_per_h: float
    outings_per_day: float
    outing_median_h: float
    resting_bpm: float
    asleep_bpm: float
    breathing_brpm: float
    spo2_pct: float
    beat_interval_sd_ms: float
    skin_c: float
    steps_factor: float
    wears_at_night: bool
    missed_share: float
    """Doses of medicine that one does not think of."""
    misplaced_share: float
    """Things done at an hour that is not theirs."""
    night_wander_share: float
    """Risings at night after which one walks about instead of going back to bed."""


class Outing(NamedTuple):
    """Being out from one local hour to another."""

    leave_h: float
    return_h: float


@dataclass(frozen=True)
class Plan:
    """What a resident is going to do on a local day. The evening's bed may come after midnight."""

    wake_h: float
    bed_h: float
    nap: tuple[float, float] | None
    outings: tuple[Outing, ...]
    away_d: float | None
    pace: float


def draw_resident(
    draws: Stream,
    p: CareParameters,
    sex: str | None = None,
    age: int | None = None,
    lives_alone: bool | None = None,
    conditions: tuple[str, ...] | None = None,
) -> Resident:
    """A resident from the mix, but for what the scenario fixes."""
    is_female = draws.chance(p.female_share)
    low, high = draws.choice(_AGE_BANDS, _AGE_SHARES)
    drawn_age = draws.integer(low, high)
    age = age or drawn_age
    is_alone, is_frail = draws.chance(p.alone_share), draws.chance(min(frailty(age) * p.prevalence_factor, 1.0))
    drawn = tuple(it for it in CONDITIONS if draws.chance(min(prevalence(it, age) * p.prevalence_factor, 1.0)))
    has = drawn if conditions is None else conditions
    change = effects(has, is_frail, p)
    has_dementia = DEMENTIA in has
    # Published means are everybody's: those with a fibrillating heart raise them by as much as the others lie below.
    below_bpm = p.af_heart_bpm * prevalence(AF, age)
    usual_bpm = min(max(draws.normal(p.resting_bpm - below_bpm, p.resting_sd_bpm), 45.0), 95.0)
    asleep_per_resting = p.asleep_sd_bpm / p.resting_sd_bpm if p.resting_sd_bpm else 0.0
    usual_spo2_pct = min(max(draws.normal(p.spo2_pct, p.spo2_sd_pct), 91.0), 99.0)
    return Resident(
        sex=sex or ("female" if is_female else "male"),
        age=age,
        lives_alone=is_alone if lives_alone is None else lives_alone,
        is_frail=is_frail,
        conditions=has,
        wake_h=draws.normal(p.wake_h, p.habit_sd_h),
        bed_h=draws.normal(p.bed_h, p.habit_sd_h),
        pace=draws.lognormal_mean_cv(1.0, p.pace_cv) * change.pace,
        night_trips_per_h=gamma_mean_cv(draws, p.night_trips_per_h, p.night_trips_cv) * change.night_trips,
        outings_per_day=gamma_mean_cv(draws, p.outings_per_day, 0.5) * change.outings,
        outing_median_h=p.outing_median_h * draws.lognormal(0.0, 0.25),
        resting_bpm=usual_bpm + change.heart_bpm,
        asleep_bpm=p.asleep_bpm
        - below_bpm
        + (usual_bpm + below_bpm - p.resting_bpm) * asleep_per_resting
        + change.heart_bpm,
        breathing_brpm=min(max(draws.normal(p.breathing_brpm, p.breathing_sd_brpm), 10.0), 22.0)
        + change.breathing_brpm,
        spo2_pct=usual_spo2_pct + change.spo2_pct,
        beat_interval_sd_ms=draws.lognormal_mean_cv(p.beat_interval_sd_ms, _BEATS_CV) + change.beat_interval_sd_ms,
        skin_c=draws.normal(p.skin_c, p.skin_sd_c),
        steps_factor=change.steps,
        wears_at_night=draws.chance(p.wears_at_night),
        missed_share=p.dementia_missed_share if has_dementia else p.missed_share,
        misplaced_share=p.dementia_misplaced_share if has_dementia else 0.0,
        night_wander_share=p.dementia_night_wander_share if has_dementia else p.night_wander_share,
    )


def draw_plan(draws: Stream, resident: Resident, p: CareParameters) -> Plan:
    """A day's plan."""
    wake_h = min(max(draws.normal(resident.wake_h, p.habit_day_sd_h), 3.5), 11.0)
    bed_h = min(max(draw_bed_h(draws, resident, p), 19.0), wake_h + 24 - _LEAST_SLEEP_H)
    nap = None
    if draws.chance(p.nap_share):
        start_h = draws.normal(_NAP_H, _NAP_SD_H)
        nap = (start_h, start_h + draws.lognormal_mean_cv(_NAP_MEAN_H, 0.5))
    outings: list[Outing] = []
    for _ in range(min(draws.poisson(resident.outings_per_day), 6)):
        leave_h = draws.choice(_OUTING_HOURS, _OUTING_WEIGHTS) + draws.random()
        back_h = leave_h + draws.lognormal(math.log(resident.outing_median_h), _OUTING_SIGMA)
        outings.append(Outing(leave_h, min(back_h, bed_h - _HOME_BEFORE_BED_H)))
    pace = gamma_mean_cv(draws, 1.0, p.pace_day_cv)
    away_d = max(draws.exponential(p.away_mean_d), 0.5) if draws.chance(p.away_per_year / 365) else None
    return Plan(wake_h, bed_h, nap, () if away_d else _that_fit(outings, wake_h, nap), away_d, pace)


def draw_bed_h(draws: Stream, resident: Resident, p: CareParameters) -> float:
    """An evening's hour of going to bed, at most 25.5."""
    return min(draws.normal(resident.bed_h, p.habit_day_sd_h), 25.5)


def _that_fit(outings: list[Outing], wake_h: float, nap: tuple[float, float] | None) -> tuple[Outing, ...]:
    """The outings in order, without those that begin in another or in bed; a nap is given up for an outing."""
    fitting: list[Outing] = []
    free_from_h = wake_h + 0.5
    for outing in sorted(outings):
        in_bed = nap is not None and nap[0] <= outing.leave_h < nap[1]
        if outing.leave_h >= free_from_h and outing.return_h > outing.leave_h + 0.1 and not in_bed:
            fitting.append(outing)
            free_from_h = outing.return_h + 0.3
    return tuple(fitting)


def gamma_mean_cv(draws: Stream, mean: float, cv: float) -> float:
    """Gamma with the given mean and coefficient of variation."""
    if cv == 0 or mean == 0:
        return mean
    shape = 1 / (cv * cv)
    return draws.gamma(shape, mean / shape)
