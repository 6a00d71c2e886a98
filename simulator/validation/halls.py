"""The centre against staffed halls: the same model, told to be a hall, beside municipal offices that were recorded.

Hours, minutes per ticket and the spread of demand were put in; how long people wait and how often nobody does came
out. It was seen while those were chosen, so this is no blind test. With the recordings whole laws are compared
(Kolmogorov-Smirnov distance); without them, the committed quantiles.
"""

import numpy as np

from simulator.calibration import targets
from simulator.calibration.halls import OPEN_H, HallStatistics, hear_hall, measure_halls, recorded_halls
from simulator.calibration.movement import FloatArray
from simulator.validation.finding import Curve, Finding, Settings

_LAW_TOLERANCE = {"wait": 0.3, "minutes per ticket": 0.5}
_PROFILE_SOURCE = "Warsaw municipal offices (kolejkeR)"


def halls(settings: Settings) -> list[Finding]:
    """A simulated hall against the committed targets."""
    days = settings.sized(28, 84)
    found = measure_halls(hear_hall(days, seed=settings.seed))
    sample = f"a simulated hall of seven groups, {days} days, {found.group_hours:,} group-hours"
    waits = dict(zip(("p50", "p75", "p90", "p95"), np.percentile(found.wait_min, [50, 75, 90, 95]), strict=True))
    profile = targets()["hall_by_hour"]
    assert isinstance(profile.value, tuple)
    return [
        _profile(np.array(profile.value), found.by_hour, profile.tolerance, sample),
        _target("hall_hour_cv", found.hour_cv, sample),
        _target("hall_minutes_per_ticket_p50", float(np.median(found.minutes_per_ticket)), sample),
        *(_target(f"hall_wait_{name}_min", value, sample) for name, value in waits.items()),
        _target("hall_nobody_waits", found.nobody_waits, sample),
    ]


def recorded(settings: Settings) -> list[Finding]:
    """The simulated hall against the recorded looks themselves, law by law."""
    theirs = measure_halls(settings.recorded(recorded_halls))
    ours = measure_halls(hear_hall(settings.sized(28, 84), seed=settings.seed))
    sample = f"{ours.group_hours:,} simulated and {theirs.group_hours:,} recorded group-hours"
    return [
        _profile(theirs.by_hour[list(OPEN_H)], ours.by_hour, targets()["hall_by_hour"].tolerance, sample),
        _law("wait", ours.wait_min, theirs.wait_min, sample),
        _law("minutes per ticket", ours.minutes_per_ticket, theirs.minutes_per_ticket, sample),
        _difference("nobody waits", "hall_nobody_waits", "nobody_waits", ours, theirs, sample),
        _difference("spread of an hour beyond Poisson", "hall_hour_cv", "hour_cv", ours, theirs, sample),
    ]


def two_sample_distance(one: FloatArray, other: FloatArray) -> float:
    """The Kolmogorov-Smirnov distance of two samples."""
    at = np.concatenate([one, other])
    laws = [np.searchsorted(np.sort(sample), at, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(laws[0] - laws[1]).max())


def _law(what: str, ours: FloatArray, theirs: FloatArray, sample: str) -> Finding:
    shares = np.linspace(5, 95, 19)
    curve = Curve(
        shares.tolist(),
        np.percentile(theirs, shares).tolist(),
        np.percentile(ours, shares).tolist(),
        "percentile",
        f"{what}, min",
    )
    distance = two_sample_distance(ours, theirs)
    test = f"Kolmogorov-Smirnov distance, {sample}"
    return Finding(f"law of {what}", 0.0, distance, _LAW_TOLERANCE[what], "1", _PROFILE_SOURCE, test, curve=curve)


def _profile(expected: FloatArray, by_hour: FloatArray, tolerance: float, sample: str) -> Finding:
    hours, share = list(OPEN_H), expected / expected.sum()
    measured = by_hour[hours] / by_hour[hours].sum()
    return Finding(
        "tickets by hour: total variation",
        0.0,
        float(np.abs(measured - share).sum() / 2),
        tolerance,
        "1",
        _PROFILE_SOURCE,
        sample,
        curve=Curve(hours, share.tolist(), measured.tolist(), "hour of the day", "share of tickets"),
    )


def _difference(
    what: str, target: str, name: str, ours: HallStatistics, theirs: HallStatistics, sample: str
) -> Finding:
    return Finding(
        what, getattr(theirs, name), getattr(ours, name), targets()[target].tolerance, "1", _PROFILE_SOURCE, sample
    )


def _target(name: str, measured: float, sample: str) -> Finding:
    target = targets()[name]
    assert isinstance(target.value, float | int)
    what = name.replace("_", " ")
    return Finding(what, float(target.value), float(measured), target.tolerance, target.unit, target.source, sample)
