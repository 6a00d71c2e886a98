"""Statistics of movements: when sensors of a home were triggered, recorded or simulated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haina.contract.care import ROOMS

DAY_S, HOUR_S = 86_400, 3_600
LEAST_MOVEMENTS = 50  # a day with fewer is one of absence, left out as in the recorded homes
SAME_VISIT_S = 600  # bathroom movements closer than this belong to one visit
_DAY_FROM_H, _DAY_TO_H = 7, 22

ONE_STEP_S = 1_800  # two movements further apart are no step from room to room
# Where the sensors of a recorded home stand that a simulated one has not, or that are no room.
ROOM_OF_PLACE = {"fridge-door": "kitchen", "back-door": "hallway", "front-door": "hallway", "door": "hallway"}
_NUMBER = {room: number for number, room in enumerate(ROOMS)} | {
    place: ROOMS.index(room) for place, room in ROOM_OF_PLACE.items()
}

FloatArray = npt.NDArray[np.float64]
Movements = Sequence[tuple[float, str]]
"""(seconds since some local midnight, place) of each movement, in any order."""


@dataclass(frozen=True)
class MovementStatistics:
    """What `measure` finds over homes and days; units as in `targets.yaml`."""

    person_days: int
    per_day: float
    between_homes_sd: float
    within_home_cv: float
    by_hour: FloatArray
    hourly_k: float
    night_visits: float
    night_visits_sd: float
    gap_p50_s: float
    gap_p75_s: float
    longest_day_gap_p50_h: float
    days_without_4h: float
    steps: FloatArray
    """From each room of `ROOMS` (row) to each, the share of movements that follow within half an hour."""
    by_room_and_hour: FloatArray
    """Movements of a person-day, shape (24 hours, rooms)."""


def measure(homes: Mapping[str, Movements]) -> MovementStatistics:
    """The statistics of these homes. First and last day of each are left out, for they may be cut."""
    means, cvs, profiles, ks, nights, longest, gaps, days = [], [], [], [], [], [], [], 0
    steps, rooms_by_hour = np.zeros((len(ROOMS), len(ROOMS))), np.zeros((24, len(ROOMS)))
    for movements in homes.values():
        ordered = sorted(movements)
        at_s = np.array([moment for moment, _ in ordered])
        bathroom_s = np.array([moment for moment, place in ordered if place == "bathroom"])
        counts, kept = _hourly_counts(at_s)
        if len(kept) < 2:
            continue
        daily = counts.sum(axis=1)
        days += len(kept)
        means.append(daily.mean())
        cvs.append(daily.std(ddof=1) / daily.mean())
        profiles.append(counts.mean(axis=0))
        ks.append(_negative_binomial_k(counts[:, _DAY_FROM_H:_DAY_TO_H]))
        gaps.append(np.diff(at_s))
        rooms = np.array([_NUMBER[place] for _, place in ordered])
        near = np.diff(at_s) <= ONE_STEP_S
        np.add.at(steps, (rooms[:-1][near], rooms[1:][near]), 1)
        on_kept = np.isin(at_s // DAY_S, kept)
        np.add.at(rooms_by_hour, ((at_s[on_kept] % DAY_S // HOUR_S).astype(int), rooms[on_kept]), 1)
        for day in kept:
            midnight_s = day * DAY_S
            nights.append(_visits(bathroom_s, midnight_s - HOUR_S, midnight_s + 6 * HOUR_S))
            longest.append(_longest_gap_h(at_s, midnight_s + _DAY_FROM_H * HOUR_S, midnight_s + _DAY_TO_H * HOUR_S))
    all_gaps = np.concatenate(gaps)
    return MovementStatistics(
        person_days=days,
        per_day=float(np.mean(means)),
        between_homes_sd=float(np.std(means, ddof=1)),
        within_home_cv=float(np.mean(cvs)),
        by_hour=np.mean(profiles, axis=0),
        hourly_k=float(np.nanmedian(ks)),
        night_visits=float(np.mean(nights)),
        night_visits_sd=float(np.std(nights, ddof=1)),
        gap_p50_s=float(np.percentile(all_gaps, 50)),
        gap_p75_s=float(np.percentile(all_gaps, 75)),
        longest_day_gap_p50_h=float(np.median(longest)),
        days_without_4h=float(np.mean(np.array(longest) >= 4)),
        steps=steps / steps.sum(axis=1, keepdims=True),
        by_room_and_hour=rooms_by_hour / days,
    )


def step_distance(one: FloatArray, other: FloatArray) -> float:
    """How far two step matrices are apart: the total variation of a row, averaged over the rooms; 0 … 1."""
    return float(np.abs(one - other).sum(axis=1).mean() / 2)


def _hourly_counts(at_s: FloatArray) -> tuple[FloatArray, list[int]]:
    """Movements of each whole day with enough of them, by hour; and which days these are."""
    if not len(at_s):
        return np.zeros((0, 24)), []
    first, last = int(at_s[0] // DAY_S) + 1, int(at_s[-1] // DAY_S) - 1
    days = max(last - first + 1, 0)
    hours = (at_s // HOUR_S).astype(int) - first * 24
    inside = (hours >= 0) & (hours < days * 24)
    counts = np.bincount(hours[inside], minlength=days * 24)[: days * 24].reshape(days, 24).astype(np.float64)
    enough = counts.sum(axis=1) >= LEAST_MOVEMENTS
    return counts[enough], [first + int(day) for day in np.flatnonzero(enough)]


def _negative_binomial_k(counts: FloatArray) -> float:
    """The median over hours of k = m² / (v - m), where the variance exceeds the mean."""
    mean, variance = counts.mean(axis=0), counts.var(axis=0, ddof=1)
    fits = (mean > 3) & (variance > mean)
    return float(np.median(mean[fits] ** 2 / (variance[fits] - mean[fits]))) if fits.any() else float("nan")


def _visits(at_s: FloatArray, from_s: float, to_s: float) -> int:
    within = at_s[(at_s >= from_s) & (at_s < to_s)]
    return 0 if not len(within) else 1 + int((np.diff(within) > SAME_VISIT_S).sum())


def _longest_gap_h(at_s: FloatArray, from_s: float, to_s: float) -> float:
    within = at_s[(at_s >= from_s) & (at_s < to_s)]
    return float(np.diff(within).max()) / HOUR_S if len(within) > 1 else (to_s - from_s) / HOUR_S
