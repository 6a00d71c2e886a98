"""The models against what was recorded: the committed targets, and the recordings where they are at hand.

The code that measures is that of the calibration tests, and reads recorded and simulated homes alike. Homes are judged
by the half of the recorded ones that their rhythm was not fitted to as well. A target's tolerance is wider than the
spread of a simulated sample of this size, for it also covers what the model leaves out.
"""

import numpy as np

from simulator.calibration import targets
from simulator.calibration.halves import Halves, committed
from simulator.calibration.homes import hear_homes, recorded_homes
from simulator.calibration.movement import MovementStatistics, measure, step_distance
from simulator.calibration.surroundings import hear_arrivals, hear_weather
from simulator.care.rhythm import shipped
from simulator.centres.arrivals import WEEKDAY_PROFILE
from simulator.validation.finding import Curve, Finding, LeftOut, Settings

HOMES, DAYS = 60, 9
CENTRES, CENTRE_DAYS, WEATHER_DAYS = 8, 84, 365
_STEPS_FARTHER = 0.02  # than the halves of the recorded homes are from each other
_HELD_OUT = {
    "movements_per_day": "per_day",
    "movements_between_homes_sd": "between_homes_sd",
    "movements_within_home_cv": "within_home_cv",
    "hourly_k": "hourly_k",
    "night_bathroom_visits": "night_visits",
    "gap_p50_s": "gap_p50_s",
    "gap_p75_s": "gap_p75_s",
    "longest_day_gap_p50_h": "longest_day_gap_p50_h",
}


def homes(settings: Settings) -> list[Finding]:
    """Simulated homes against the targets."""
    if settings.quick:
        raise LeftOut(f"{HOMES} homes for {DAYS} days take half a minute: run without --quick")
    heard, sample = hear_homes(HOMES, DAYS, seed=settings.seed), f"{HOMES} simulated homes, {DAYS} days"
    at_rest = heard.at_rest_bpm()
    return [
        *_movements(measure(heard.movements), sample),
        _target("motion_on_mean_s", float(np.mean(heard.motion_on_s)), sample),
        _target("resting_bpm", float(np.mean(at_rest)), sample),
        _target("resting_between_people_sd_bpm", float(np.std(at_rest, ddof=1)), sample),
        _target("asleep_bpm", heard.asleep_bpm(), sample),
        _target("breathing_brpm", float(np.mean(heard.breathing)), sample),
        _target("time_in_bed_min", heard.in_bed_min(DAYS), sample),
    ]


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
    recorded = settings.recorded(recorded_homes)
    return _movements(measure(recorded), f"{len(recorded)} recorded homes")


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
    heard = hear_homes(HOMES, DAYS, seed=settings.seed, only_movements=True)
    found = measure(heard.movements)
    sample = (
        f"{found.person_days:,} simulated person-days, fitted to the {on} homes, "
        f"and {judged.person_days:,} recorded ones of the {by} homes"
    )
    source = f"TIHM, {by} homes, {'recorded' if settings.recordings else 'as committed'}"
    findings = []
    for target, name in _HELD_OUT.items():
        value, other = getattr(judged, name), getattr(fitted, name)
        tolerance, unit = targets()[target].tolerance + abs(value - other), targets()[target].unit
        what = target.replace("_", " ")
        findings.append(Finding(what, value, getattr(found, name), tolerance, unit, source, sample))
    apart = float(1 - np.corrcoef(judged.by_hour, fitted.by_hour)[0, 1])
    findings += [
        Finding(
            "movements by hour: 1 - correlation",
            0.0,
            float(1 - np.corrcoef(found.by_hour, judged.by_hour)[0, 1]),
            targets()["movements_by_hour"].tolerance + apart,
            "1",
            source,
            sample,
            curve=Curve(
                range(24), judged.by_hour.tolist(), found.by_hour.tolist(), "hour of the day", "movements per hour"
            ),
        ),
        Finding(
            "room to room: mean total variation",
            0.0,
            step_distance(found.steps, judged.steps),
            step_distance(fitted.steps, judged.steps) + _STEPS_FARTHER,
            "1",
            source,
            sample,
        ),
    ]
    return findings


def _movements(found: MovementStatistics, sample: str) -> list[Finding]:
    profile = targets()["movements_by_hour"]
    assert isinstance(profile.value, tuple)
    steps = targets()["room_to_room"]
    sample = f"{sample}, {found.person_days:,} person-days"
    return [
        _target("movements_per_day", found.per_day, sample),
        _target("movements_between_homes_sd", found.between_homes_sd, sample),
        _target("movements_within_home_cv", found.within_home_cv, sample),
        _target("hourly_k", found.hourly_k, sample),
        _target("night_bathroom_visits", found.night_visits, sample),
        _target("night_bathroom_visits_sd", found.night_visits_sd, sample),
        _target("gap_p50_s", found.gap_p50_s, sample),
        _target("gap_p75_s", found.gap_p75_s, sample),
        _target("longest_day_gap_p50_h", found.longest_day_gap_p50_h, sample),
        _target("days_without_movement_4h", found.days_without_4h, sample),
        Finding(
            "movements by hour: 1 - correlation",
            0.0,
            float(1 - np.corrcoef(found.by_hour, profile.value)[0, 1]),
            profile.tolerance,
            "1",
            profile.source,
            sample,
            curve=Curve(range(24), profile.value, found.by_hour.tolist(), "hour of the day", "movements per hour"),
        ),
        Finding(
            "room to room: mean total variation",
            0.0,
            step_distance(found.steps, np.reshape(steps.value, found.steps.shape)),
            steps.tolerance,
            steps.unit,
            steps.source,
            sample,
        ),
    ]


def _target(name: str, measured: float, sample: str) -> Finding:
    target = targets()[name]
    assert isinstance(target.value, float | int)
    what = name.replace("_", " ")
    return Finding(what, float(target.value), measured, target.tolerance, target.unit, target.source, sample)
