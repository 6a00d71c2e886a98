"""People's arrivals against the rate they were thinned from, and a crowd they make.

`simulator.centres.arrivals.Demand` runs as it is, with its random day and hour factors turned off: what is left must
be a Poisson process with the rate that its profile says, which is worked out here a second time, from the profile.
"""

import math
from collections.abc import Generator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from simulator.centres import CentreParameters
from simulator.centres.arrivals import WEEKDAY_PROFILE, WEEKEND_PROFILE, Demand
from simulator.randomness import Stream
from simulator.town import DAY_S, Site, Town
from simulator.validation import theory
from simulator.validation.finding import ALPHA, Curve, Finding, Settings
from simulator.validation.inference import (
    FloatArray,
    binomial_bounds,
    chi_square_quantile,
    standard_normal,
    student_quantile,
)
from simulator.validation.laboratory import ZHENRU, found_town

PERSONS_PER_DAY = 600.0
CENTRES = 12
STAY_S, STAY_CV = 1_800.0, 0.8
LOOK_AT_H = (8.5, 10.5, 12.5, 14.5, 16.5, 18.5, 20.5)  # four stays apart: all but independent
_HOUR_S = 3_600
_HOURS = np.arange(-24, 73) + 0.5  # three days of the profile's knots: midnight has neighbours on both sides


class Recorded(NamedTuple):
    """Arrivals of some centres over some whole weeks, from a Monday on."""

    at_s: tuple[FloatArray, ...]
    """Of each centre, seconds since the first midnight, in order."""
    days: int
    monday_factor: float
    weekend_factor: float


@lru_cache(maxsize=2)
def record(seed: int, weeks: int) -> Recorded:
    """Let `Demand` run at each centre."""
    p = CentreParameters(day_cv=0.0, hour_cv=0.0, working_calendar=False)
    tuesday = found_town(seed)
    monday_ms = tuesday.start_ms - tuesday.weekday() * DAY_S * 1000
    town = Town(seed=seed, start_ms=monday_ms, run="validation", boot=1, truth=tuesday.truth)
    heard: list[list[float]] = [[] for _ in range(CENTRES)]

    def receive(site: Site, moments: list[float]) -> Generator[Any, Any, None]:
        demand = Demand(site, PERSONS_PER_DAY, p)
        while True:
            yield from demand.wait_for_next()
            moments.append(town.env.now)

    for number, moments in enumerate(heard):
        town.env.process(receive(town.site("a01", f"c{number:02d}", "centre", ZHENRU), moments))
    town.env.run(until=weeks * 7 * DAY_S)
    return Recorded(tuple(np.array(m) for m in heard), weeks * 7, p.monday_factor, p.weekend_factor)


def rate_per_s(at_s: FloatArray, recorded: Recorded) -> FloatArray:
    """The rate that profile and weekday say, at seconds since a Monday's midnight."""
    day = (at_s // DAY_S).astype(int) % 7
    hour = at_s % DAY_S / _HOUR_S
    weekday = np.interp(hour, _HOURS, WEEKDAY_PROFILE * 4 + WEEKDAY_PROFILE[:1])
    weekend = np.interp(hour, _HOURS, WEEKEND_PROFILE * 4 + WEEKEND_PROFILE[:1])
    factor = np.where(day == 0, recorded.monday_factor, np.where(day >= 5, recorded.weekend_factor, 1.0))
    return np.asarray(PERSONS_PER_DAY * factor * np.where(day >= 5, weekend, weekday) / _HOUR_S)


def thinning(settings: Settings) -> list[Finding]:
    """Counts by hour of the week, and of single hours, against the rate."""
    recorded = record(settings.seed, settings.sized(4, 8))
    middles = np.arange(7 * DAY_S / 60) * 60 + 30.0
    expected_h = rate_per_s(middles, recorded).reshape(168, 60).sum(axis=1) * 60  # persons in each hour of a week
    counts = np.stack(
        [np.bincount((at_s // _HOUR_S).astype(int), minlength=recorded.days * 24) for at_s in recorded.at_s]
    ).astype(np.float64)
    weeks = counts.reshape(-1, 168)
    findings = []
    for name, hours in (("Mondays", range(24)), ("other weekdays", range(24, 120)), ("weekends", range(120, 168))):
        chosen = np.array(hours)
        measured = np.array([weeks[:, chosen[chosen % 24 == hour]].sum() for hour in range(24)])
        expected = np.array([expected_h[chosen[chosen % 24 == hour]].sum() for hour in range(24)]) * len(weeks)
        squares = float(((measured - expected) ** 2 / expected).sum())
        days = len(weeks) * len(chosen) / 24
        profile = Curve(
            range(24), (expected / days).tolist(), (measured / days).tolist(), "hour of the day", "persons per hour"
        )
        findings.append(_chi_square(f"χ² of {name} by hour", squares, 24, f"{measured.sum():,.0f} arrivals", profile))
    dense = expected_h > 2
    cells = weeks[:, dense]
    squares = float(((cells - expected_h[dense]) ** 2 / expected_h[dense]).sum())
    # χ² of small Poisson counts m has variance 2 + 1/m each, not 2.
    count = cells.size
    spread = math.sqrt(float((2 + 1 / expected_h[dense]).sum()) * len(weeks))
    tolerance = -standard_normal.inv_cdf(ALPHA / 2) * spread / count
    findings.append(
        Finding(
            "variance over mean of single hours",
            1.0,
            squares / count,
            tolerance,
            "1",
            "Poisson's dispersion; Lewis & Shedler, Nav. Res. Log. Q. 26 (1979)",
            f"normal test of the index of dispersion, {count:,} hours",
        )
    )
    return findings


def _chi_square(what: str, squares: float, freedom: int, sample: str, curve: Curve) -> Finding:
    return Finding(
        what,
        float(freedom),
        squares,
        chi_square_quantile(1 - ALPHA, freedom) - freedom,
        "1",
        "Lewis & Shedler, Nav. Res. Log. Q. 26 (1979)",
        f"Pearson's χ², {freedom} bins, {sample}",
        distance=max(squares - freedom, 0.0),
        curve=curve,
    )


class _Crowd(NamedTuple):
    """Persons present at moments of ordinary weekdays; `mean` by theory, `counts` by moment, centre and day."""

    mean: FloatArray
    counts: FloatArray


def _crowd(settings: Settings) -> _Crowd:
    recorded = record(settings.seed, settings.sized(4, 8))
    variance = math.log1p(STAY_CV**2)
    mu, sigma = math.log(STAY_S) - variance / 2, math.sqrt(variance)
    step_s = 20.0
    ago_s = np.arange(step_s / 2, 12 * _HOUR_S, step_s)
    survival = [0.5 * math.erfc((math.log(u) - mu) / (sigma * math.sqrt(2))) for u in ago_s]
    days = [day for day in range(recorded.days) if 1 <= day % 7 <= 4]
    means, counts = [], []
    for number, at_s in enumerate(recorded.at_s):
        stays = Stream(settings.seed, f"c{number:02d}", "stays")
        leaves_s = at_s + np.array([stays.lognormal_mean_cv(STAY_S, STAY_CV) for _ in at_s])
        looks = np.array([[day * DAY_S + hour * _HOUR_S for day in days] for hour in LOOK_AT_H])
        counts.append([[float(((at_s <= t) & (leaves_s > t)).sum()) for t in row] for row in looks])
    for hour in LOOK_AT_H:
        rates = rate_per_s(DAY_S + hour * _HOUR_S - ago_s, recorded)
        means.append(theory.infinite_server_mean(rates.tolist(), survival, step_s))
    return _Crowd(np.array(means), np.array(counts).transpose(1, 0, 2).reshape(len(LOOK_AT_H), -1))


def infinite_servers(settings: Settings) -> list[Finding]:
    """Mt/G/∞: everybody who comes stays a lognormal half hour; how many are there at some moments of a weekday."""
    crowd = _crowd(settings)
    days = crowd.counts.shape[1]
    squares = float(((crowd.counts.mean(axis=1) - crowd.mean) ** 2 / (crowd.mean / days)).sum())
    return [
        Finding(
            "χ² of persons present",
            float(len(LOOK_AT_H)),
            squares,
            chi_square_quantile(1 - ALPHA, len(LOOK_AT_H)) - len(LOOK_AT_H),
            "1",
            "Eick, Massey, Whitt, Oper. Res. 41 (1993)",
            f"χ² of the means at {len(LOOK_AT_H)} moments over {days:,} days, each Poisson",
            distance=max(squares - len(LOOK_AT_H), 0.0),
            curve=Curve(LOOK_AT_H, crowd.mean.tolist(), crowd.counts.mean(axis=1).tolist(), "hour", "persons present"),
        )
    ]


def coverage(settings: Settings) -> list[Finding]:
    """How many 95 % confidence intervals hold the true mean: each from twelve days of the crowd above."""
    crowd, size = _crowd(settings), 12
    groups = crowd.counts.shape[1] // size
    samples = crowd.counts[:, : groups * size].reshape(len(LOOK_AT_H), size, groups)
    half = student_quantile(0.975, size - 1) * samples.std(axis=1, ddof=1) / math.sqrt(size)
    held = int((np.abs(samples.mean(axis=1) - crowd.mean[:, None]) <= half).sum())
    count = len(LOOK_AT_H) * groups
    fewest, most = binomial_bounds(count, 0.95, ALPHA)
    return [
        Finding(
            "95 % intervals that hold the truth",
            0.95,
            held / count,
            max(0.95 - fewest / count, most / count - 0.95),
            "1",
            "Student 1908",
            f"exact binomial test of {count:,} intervals, each over {size} independent centre-days",
        )
    ]
