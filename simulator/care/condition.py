"""What is the matter with residents: frailty and three conditions, how common they are, and what they change.

A condition never reaches the wire. It changes traits, traits change what a resident's body and day do, and the sensors
see that: atrial fibrillation makes the heart faster and unsteady, COPD lowers oxygen and quickens the breath, dementia
breaks up nights, routines and the taking of medicine, frailty slows. How much is in `parameters`.
"""

from typing import Final, NamedTuple

from simulator.care.parameters import CareParameters

AF, COPD, DEMENTIA = "atrial-fibrillation", "copd", "dementia"
CONDITIONS: Final = (AF, COPD, DEMENTIA)

# Prevalence from each age up to the next.
# Atrial fibrillation: Du et al., Heart 2021;107:535, nationwide: 5.4 % of men and 4.9 % of women from 75 years on,
#   1.8 % of all from 45 on; the steps between are assumed.
# COPD, moderate or worse, for a mild one shows in no sensor: 13.7 % of people of 40 and over have COPD (Wang et al.,
#   Lancet 2018;391:1706), 43.7 % of them moderate or worse (Fang et al., Lancet Respir Med 2018;6:421); the rise with
#   age is assumed.
# Dementia: Jia et al., Lancet Public Health 2020;5:e661: 6.0 % of people of 60 and over, odds ratios by age from 2.69
#   to 6.60 against the youngest, solved for our mix of ages; which band has which is assumed.
# Frailty: He et al., J Nutr Health Aging 2019;23:442: 6, 15 and 25 % from 65, 75 and 85; below 65 assumed.
_PREVALENCE: Final[dict[str, dict[int, float]]] = {
    AF: {60: 0.018, 65: 0.028, 70: 0.038, 75: 0.051},
    COPD: {60: 0.075, 65: 0.095, 70: 0.13, 75: 0.15},
    DEMENTIA: {60: 0.029, 70: 0.075, 80: 0.135, 90: 0.165},
}
_FRAILTY: Final[dict[int, float]] = {60: 0.03, 65: 0.06, 75: 0.15, 85: 0.25}


class Effects(NamedTuple):
    """What conditions and frailty together change of a resident's traits: sums of shifts, products of factors."""

    heart_bpm: float = 0.0
    beat_interval_sd_ms: float = 0.0
    breathing_brpm: float = 0.0
    spo2_pct: float = 0.0
    pace: float = 1.0
    steps: float = 1.0
    outings: float = 1.0
    night_trips: float = 1.0


def prevalence(condition: str, age: int) -> float:
    """Share of people of this age who have it."""
    return _at(_PREVALENCE[condition], age)


def frailty(age: int) -> float:
    """Share of people of this age who are frail."""
    return _at(_FRAILTY, age)


def effects(conditions: tuple[str, ...], is_frail: bool, p: CareParameters) -> Effects:
    """What these conditions do together."""
    found = Effects()
    if AF in conditions:
        found = found._replace(heart_bpm=p.af_heart_bpm, beat_interval_sd_ms=p.af_beat_interval_sd_ms)
    if COPD in conditions:
        found = found._replace(
            spo2_pct=-p.copd_spo2_pct, breathing_brpm=p.copd_breathing_brpm, pace=p.copd_pace, steps=p.copd_steps
        )
    if DEMENTIA in conditions:
        found = found._replace(night_trips=p.dementia_night_trips)
    if is_frail:
        found = found._replace(
            pace=found.pace * p.frail_pace, steps=found.steps * p.frail_steps, outings=found.outings * p.frail_outings
        )
    return found


def _at(by_age: dict[int, float], age: int) -> float:
    return by_age[max(from_age for from_age in by_age if from_age <= max(age, 60))]
