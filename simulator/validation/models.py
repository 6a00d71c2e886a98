"""The models against what was recorded: the committed targets, and the recordings where they are at hand.

The code that measures is that of the calibration tests, and reads recorded and simulated homes alike. Homes are judged
by the half of the recorded ones that their rhythm was not fitted to as well. A target's committed tolerance says what a
model may leave out. Homes differ so much that chance has a say, too: what it may do to a number of this sample is added
(jackknife over the simulated homes). A model that is off by all of its tolerance misses it at one seed in a hundred,
and one that is off by half of it hardly ever.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simulator.calibration import Target, targets
from simulator.calibration.halves import Halves, committed
from simulator.calibration.homes import HomesHeard, hear_homes, recorded_homes
from simulator.calibration.movement import MovementStatistics, measure, step_distance
from simulator.calibration.surroundings import hear_arrivals, hear_weather
from simulator.care.rhythm import shipped
from simulator.centres.arrivals import WEEKDAY_PROFILE
from simulator.validation.finding import Curve, Finding, LeftOut, Settings, spoken
from simulator.validation.inference import jackknife_margin

HOMES, FEWER_HOMES, DAYS = 160, 60, 7
SENSED_HOMES, SENSED_DAYS = 100, 4
CENTRES, CENTRE_DAYS, WEATHER_DAYS = 8, 84, 365
_GROUPS = 20  # of homes, one of which is left out at a time
_MISSES = 0.01  # how often chance may make a number miss that is off by its whole tolerance
_STEPS_FARTHER = 0.02  # than the halves of the recorded homes are from each other
_MOVEMENTS = {
    "movements_per_day": "per_day",
    "movements_between_homes_sd": "between_homes_sd",
    "movements_within_home_cv": "within_home_cv",
    "hourly_k": "hourly_k",
    "night_bathroom_visits": "night_visits",
    "night_bathroom_visits_sd": "night_visits_sd",
    "gap_p50_s": "gap_p50_s",
    "gap_p75_s": "gap_p75_s",
    "longest_day_gap_p50_h": "longest_day_gap_p50_h",
    "days_without_movement_4h": "days_without_4h",
}
_PROFILE, _STEPS = "movements_by_hour", "room_to_room"
_SENSED: dict[str, Callable[[HomesHeard], float]] = {
    "motion_on_mean_s": HomesHeard.motion_on_mean_s,
    "resting_bpm": lambda heard: float(np.mean(heard.at_rest_bpm())),
    "resting_between_people_sd_bpm": lambda heard: float(np.std(heard.at_rest_bpm(), ddof=1)),
    "asleep_bpm": HomesHeard.asleep_bpm,
    "breathing_brpm": HomesHeard.breathing_brpm,
    "time_in_bed_min": lambda heard: heard.in_bed_min(SENSED_DAYS),
}


class Sample(NamedTuple):
    """The movements of some homes, measured, and measured again without one group of homes after another."""

    all: MovementStatistics
    without: tuple[MovementStatistics, ...] = ()
    about: str = ""

    def chance(self, number: Callable[[MovementStatistics], float]) -> float:
        """What chance may do to a number of this sample."""
        return _chance([number(each) for each in self.without]) if self.without else 0.0


@lru_cache(maxsize=2)
def simulated(seed: int, homes: int) -> Sample:
    """Simulated homes of which only movements are heard."""
    movements = hear_homes(homes, DAYS, seed=seed, only_movements=True).movements
    found = measure(movements)
    without = (measure({home: movements[home] for home in kept}) for kept in _all_but_a_group(movements))
    return Sample(found, tuple(without), f"{homes} simulated homes, {found.person_days:,} person-days")


def _all_but_a_group(homes: Collection[str]) -> list[list[str]]:
    ordered = sorted(homes)
    return [[home for n, home in enumerate(ordered) if n % _GROUPS != group] for group in range(_GROUPS)]


def _chance(left_out: Sequence[float]) -> float:
    return jackknife_margin(np.array(left_out), 2 * _MISSES)  # to one side: a number misses on the side it is off


def homes(settings: Settings) -> list[Finding]:
    """Simulated homes against the targets."""
    if settings.quick:
        raise LeftOut(f"{SENSED_HOMES} homes with all their sensors take a while: run without --quick")
    heard = hear_homes(SENSED_HOMES, SENSED_DAYS, seed=settings.seed)
    fewer = [heard.among(set(kept)) for kept in _all_but_a_group(heard.movements)]
    about = f"{SENSED_HOMES} simulated homes, {SENSED_DAYS} days"
    sensed = [
        _target(name, number(heard), about, _chance([number(each) for each in fewer]))
        for name, number in _SENSED.items()
    ]
    return [*_movements(simulated(settings.seed, HOMES), targets()), *sensed]


def surroundings(settings: Settings) -> list[Finding]:
    """Simulated arrivals and weather against the targets."""
    arrivals = hear_arrivals(CENTRES, CENTRE_DAYS, 300.0, seed=settings.seed)
    came = f"{CENTRES} simulated centres, {CENTRE_DAYS} days"
    weather, year = hear_weather(WEATHER_DAYS, seed=settings.seed), f"{WEATHER_DAYS} simulated days"
    measured = arrivals.by_hour / arrivals.by_hour.sum()
    return [
        _target("arrivals_monday_factor", arrivals.monday_factor, came),
        _target("arrivals_day_cv", arrivals.day_cv, came),
        Finding(
            "arrivals by hour: 1 - correlation",
            0.0,
            float(1 - np.corrcoef(arrivals.by_hour, WEEKDAY_PROFILE)[0, 1]),
            0.01,
            "1",
            "the model's profile (assumed)",
            came,
            curve=Curve(range(24), WEEKDAY_PROFILE, measured.tolist(), "hour of the day", "share of arrivals"),
        ),
        _target("rain_share", weather.rain_share, year),
        _target("temperature_mean_c", weather.temperature_mean_c, year),
        _target("pm25_log_mean", weather.pm25_log_mean, year),
    ]


def recordings(settings: Settings) -> list[Finding]:
    """The recorded homes by the same code against the targets, which must still say what was recorded."""
    found = measure(recorded := settings.recorded(recorded_homes))
    return _movements(
        Sample(found, about=f"{len(recorded)} recorded homes, {found.person_days:,} person-days"), targets()
    )


def held_out(settings: Settings) -> list[Finding]:
    """Simulated homes against the half of the recorded ones that their rhythm was not fitted to.

    That half is read from the recordings where they are at hand, and else from the committed statistics. No model of
    one half can be nearer to the other than the halves are to each other, give or take: that distance is added to each
    target's tolerance.
    """
    halves = settings.recorded(Halves.of_recordings) if settings.recordings else committed()
    sides = {"odd homes": ("odd", "even"), "even homes": ("even", "odd")}
    on, by = next((sides[end] for end in sides if shipped().source.endswith(end)), ("", ""))
    if not by:
        raise LeftOut(f"no homes are left to judge by: the rhythm is {shipped().source}")
    fitted, judged = getattr(halves, on), getattr(halves, by)
    source = f"TIHM, {by} homes, {'recorded' if settings.recordings else 'as committed'}"

    def goal(name: str, value: float | tuple[float, ...], apart: float) -> Target:
        tolerance = _STEPS_FARTHER if name == _STEPS else targets()[name].tolerance
        return Target(value, tolerance + apart, targets()[name].unit, source)

    goals = {
        name: goal(name, getattr(judged, number), abs(getattr(judged, number) - getattr(fitted, number)))
        for name, number in _MOVEMENTS.items()
    }
    goals[_PROFILE] = goal(_PROFILE, tuple(judged.by_hour), _unlike(fitted, tuple(judged.by_hour)))
    goals[_STEPS] = goal(_STEPS, tuple(judged.steps.ravel()), step_distance(fitted.steps, judged.steps))
    found = simulated(settings.seed, settings.sized(FEWER_HOMES, HOMES))
    about = f"{found.about}, fitted to the {on} homes; {judged.person_days:,} of the {by} homes"
    return _movements(found._replace(about=about), goals)


def _movements(found: Sample, goals: Mapping[str, Target]) -> list[Finding]:
    """The movements of homes against what they should be like."""
    findings = []
    for name, number in _MOVEMENTS.items():
        chance = found.chance(lambda each, number=number: float(getattr(each, number)))  # type: ignore[misc]
        findings.append(_finding(name, goals[name], getattr(found.all, number), found.about, chance))
    hours, steps = goals[_PROFILE], goals[_STEPS]
    assert isinstance(hours.value, tuple)
    assert isinstance(steps.value, tuple)
    curve = Curve(range(24), hours.value, found.all.by_hour.tolist(), "hour of the day", "movements per hour")
    profiles: tuple[tuple[str, Target, Callable[[MovementStatistics], float], Curve | None], ...] = (
        ("movements by hour: 1 - correlation", hours, lambda each: _unlike(each, hours.value), curve),
        ("room to room: mean total variation", steps, lambda each: _steps_apart(each, steps.value), None),
    )
    for what, goal, distance, shown in profiles:
        zero = goal._replace(value=0.0, unit="1")
        findings.append(_finding(what, zero, distance(found.all), found.about, found.chance(distance), shown))
    return findings


def _unlike(found: MovementStatistics, by_hour: float | Sequence[float]) -> float:
    return float(1 - np.corrcoef(found.by_hour, by_hour)[0, 1])


def _steps_apart(found: MovementStatistics, steps: float | Sequence[float]) -> float:
    return step_distance(found.steps, np.reshape(steps, found.steps.shape))


def _target(name: str, measured: float, sample: str, chance: float = 0.0) -> Finding:
    return _finding(name, targets()[name], measured, sample, chance)


def _finding(
    name: str, goal: Target, measured: float, sample: str, chance: float, curve: Curve | None = None
) -> Finding:
    assert isinstance(goal.value, float | int)
    test = f"{sample}; tolerance {goal.tolerance:.3g}, and {chance:.2g} for chance" if chance else sample
    tolerance, what = goal.tolerance + chance, spoken(name)
    return Finding(what, float(goal.value), float(measured), tolerance, goal.unit, goal.source, test, curve=curve)
