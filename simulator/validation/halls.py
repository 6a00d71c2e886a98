"""The centre against staffed halls: the same model, told to be a hall, beside municipal offices that were recorded.

Hours, minutes per ticket and the spread of demand were put in; how long people wait and how often nobody does came
out. It was seen while those were chosen, so this is no blind test. A simulated hall is one of many, so it may be as far
from all recorded ones together as nine in ten of these are, each by itself. With the recordings whole laws are compared
(Kolmogorov-Smirnov distance); without them, the committed quantiles.
"""

import numpy as np

from simulator.calibration import MOST, as_far_as_most, targets
from simulator.calibration.halls import (
    LEAST_HOURS,
    OPEN_H,
    HallStatistics,
    distance,
    figures,
    hear_hall,
    measure_each,
    measure_halls,
    recorded_halls,
)
from simulator.calibration.movement import FloatArray
from simulator.validation.finding import Curve, Finding, Settings, spoken

_SOURCE = "Warsaw municipal offices (kolejkeR)"
_PROFILE = "hall_by_hour"
_AS_FAR = f"; tolerance: as far as {MOST:.0%} of the recorded halls"


def halls(settings: Settings) -> list[Finding]:
    """A simulated hall against the committed targets."""
    days = settings.sized(28, 84)
    found = measure_halls(hear_hall(days, seed=settings.seed))
    sample = f"a simulated hall of seven groups, {days} days, {found.group_hours:,} group-hours{_AS_FAR}"
    findings = []
    for name, measured in figures(found).items():
        target = targets()[name]
        findings.append(_finding(name, target.value, measured, target.tolerance, target.unit, target.source, sample))
    return findings


def recorded(settings: Settings) -> list[Finding]:
    """The simulated hall against the recorded looks themselves, law by law."""
    groups = settings.recorded(recorded_halls)
    theirs, each = measure_halls(groups), measure_each(groups)
    ours = measure_halls(hear_hall(settings.sized(28, 84), seed=settings.seed))
    sample = (
        f"{ours.group_hours:,} simulated and {theirs.group_hours:,} recorded group-hours of {len(each)} halls{_AS_FAR}"
    )
    return [
        *(_figure(name, ours, theirs, each, sample) for name in (_PROFILE, "hall_nobody_waits", "hall_hour_cv")),
        _law("wait", "wait_min", ours, theirs, each, sample),
        _law("minutes per ticket", "minutes_per_ticket", ours, theirs, each, sample),
    ]


def two_sample_distance(one: FloatArray, other: FloatArray) -> float:
    """The Kolmogorov-Smirnov distance of two samples."""
    at = np.concatenate([one, other])
    laws = [np.searchsorted(np.sort(sample), at, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(laws[0] - laws[1]).max())


def _figure(
    name: str, ours: HallStatistics, theirs: HallStatistics, each: list[HallStatistics], sample: str
) -> Finding:
    expected = figures(theirs)[name]
    tolerance = as_far_as_most([distance(expected, figures(hall)[name]) for hall in each])
    return _finding(name, expected, figures(ours)[name], tolerance, "1", _SOURCE, sample)


def _finding(
    name: str,
    expected: float | FloatArray | tuple[float, ...],
    measured: float | FloatArray,
    tolerance: float,
    unit: str,
    source: str,
    sample: str,
) -> Finding:
    what, apart = spoken(name), distance(expected, measured)
    if isinstance(expected, float | int):
        return Finding(what, float(expected), float(measured), tolerance, unit, source, sample)
    curve = Curve(list(OPEN_H), list(expected), np.asarray(measured).tolist(), "hour of the day", "share of tickets")
    return Finding(f"{what}: total variation", 0.0, apart, tolerance, unit, source, sample, curve=curve)


def _law(
    what: str, name: str, ours: HallStatistics, theirs: HallStatistics, each: list[HallStatistics], sample: str
) -> Finding:
    """A law of the simulated hall against that of all recorded ones, beside how far each of these is from it."""
    all_of_them, of_ours = getattr(theirs, name), getattr(ours, name)
    apart = [
        two_sample_distance(getattr(hall, name), all_of_them)
        for hall in each
        if len(getattr(hall, name)) >= LEAST_HOURS
    ]
    shares = np.linspace(5, 95, 19)
    laws = [np.percentile(law, shares).tolist() for law in (all_of_them, of_ours)]
    curve = Curve(shares.tolist(), laws[0], laws[1], "percentile", f"{what}, min")
    test = f"Kolmogorov-Smirnov distance, {sample}"
    far = two_sample_distance(of_ours, all_of_them)
    return Finding(f"law of {what}", 0.0, far, as_far_as_most(apart), "1", _SOURCE, test, curve=curve)
