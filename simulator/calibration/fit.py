"""Fit the residents' rhythm to half of the recorded homes, and judge it on the other half.

    HAINA_DATA=<folder of recordings> python -m simulator.calibration.fit [--half odd|even|all] [--rounds 12]

The mean times between movements are read off the recordings. The rest cannot be, for outings, blanking and the
activities' holds stand between a resident's steps and what sensors see of them. So homes are simulated, and each round
corrects what came out too often or too seldom: rooms by hour, steps from room to room, pace by hour. The result is
written to `simulator/care/rhythm.yaml`; how far the simulated homes are from both halves, and these from each other, is
printed.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml

from haina.command_line import fail
from haina.contract.care import ROOMS
from simulator.calibration.homes import half, hear_homes, recorded_homes
from simulator.calibration.movement import (
    HOUR_S,
    ONE_STEP_S,
    ROOM_OF_PLACE,
    FloatArray,
    Movements,
    MovementStatistics,
    measure,
    step_distance,
)
from simulator.calibration.recordings import from_recordings
from simulator.care.rhythm import Rhythm, of_file, shipped_file

_HOMES, _DAYS = 60, 6
_DAY_FROM_H, _DAY_TO_H = 7, 22
_UP_FROM_H = 6  # before it, what sleepers do decides what is seen
_CORRECTS, _CALMS_ROUNDS = 0.6, 4
"""Share of an error that the first round corrects, and after how many it is half: a simulated sample errs too."""
_SMALLEST = 1e-3
_LEAST_PERCENTILE = 2
_SOURCE = "fitted to TIHM (Palermo et al., Scientific Data 10:606, 2023), {half} homes"


def main(
    homes: Annotated[str, typer.Option("--half", help="The homes to fit: odd, even or all.")] = "odd",
    begin: Annotated[Path | None, typer.Option("--from", help="A rhythm to begin with.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100)] = 12,
    to: Annotated[Path | None, typer.Option(help="Where to write; simulator/care/rhythm.yaml when not given.")] = None,
) -> None:
    """Fit simulator/care/rhythm.yaml to recorded homes."""
    if homes not in {"odd", "even", "all"}:
        fail(f"--half {homes}: must be odd, even or all")
    recorded = from_recordings(recorded_homes)
    fitted = recorded if homes == "all" else half(recorded, "odd" if homes == "odd" else "even")
    judged = {home: moves for home, moves in recorded.items() if home not in fitted} or recorded
    goal, held_out = measure(fitted), measure(judged)
    typer.echo(f"the halves themselves: {_distances(goal, held_out)}")
    source = _SOURCE.format(half=homes)
    rhythm = replace(of_file(begin), source=source) if begin else first_guess(fitted, source)
    for number in range(rounds):
        found = measure(hear_homes(_HOMES, _DAYS, seed=number + 1, rhythm=rhythm, only_movements=True).movements)
        typer.echo(f"{number}: fitted {_distances(found, goal)}; held out {_distances(found, held_out)}")
        rhythm = corrected(rhythm, found, goal, _CORRECTS / (1 + number / _CALMS_ROUNDS))
    path = to or shipped_file()
    path.write_text(as_yaml(rhythm), encoding="utf-8")


def first_guess(homes: Mapping[str, Movements], source: str) -> Rhythm:
    """Times between movements as recorded; rooms, steps as recorded too, to be corrected."""
    found = measure(homes)
    least_s, same_s, other_s = gaps_s(homes)
    return Rhythm(
        source=source,
        rooms_by_hour=_by_room(found.by_room_and_hour.T),
        pace_by_hour=(1.0,) * 24,
        steps=_by_room(found.steps),
        same_room_s=_rounded(same_s - least_s, 1),
        same_room_least_s=_rounded(least_s, 1),
        other_room_s=_rounded(other_s, 1),
    )


def gaps_s(homes: Mapping[str, Movements]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Times by day from a movement in each room to the next: in the same room the least and the mean, else the mean."""
    gaps: dict[tuple[str, bool], list[float]] = {(room, same): [] for room in ROOMS for same in (True, False)}
    for movements in homes.values():
        for (at_s, place), (then_s, next_place) in itertools.pairwise(sorted(movements)):
            room, next_room = ROOM_OF_PLACE.get(place, place), ROOM_OF_PLACE.get(next_place, next_place)
            if then_s - at_s <= ONE_STEP_S and _DAY_FROM_H <= at_s / HOUR_S % 24 < _DAY_TO_H:
                gaps[room, room == next_room].append(then_s - at_s)
    least = [np.percentile(gaps[room, True], _LEAST_PERCENTILE) for room in ROOMS]
    same, other = ([np.mean(gaps[room, is_same]) for room in ROOMS] for is_same in (True, False))
    return np.array(least), np.array(same), np.array(other)


def corrected(rhythm: Rhythm, found: MovementStatistics, goal: MovementStatistics, share: float) -> Rhythm:
    """The rhythm with a share of what came out wrong put right, on the log scale."""
    shares, goal_shares = _shares(found.by_room_and_hour), _shares(goal.by_room_and_hour)
    rooms = np.array([rhythm.rooms_by_hour[room] for room in ROOMS]).T * (goal_shares / shares) ** share
    steps = np.array([rhythm.steps[room] for room in ROOMS]) * (_floored(goal.steps) / _floored(found.steps)) ** share
    pace = np.array(rhythm.pace_by_hour)
    pace[_UP_FROM_H:] *= (goal.by_hour / found.by_hour)[_UP_FROM_H:] ** share
    return replace(
        rhythm,
        rooms_by_hour=_by_room(_shares(rooms).T),
        steps=_by_room(_shares(steps)),
        pace_by_hour=_rounded(np.clip(pace, 0.2, 5.0), 3),
    )


def as_yaml(rhythm: Rhythm) -> str:
    """The file, with its source."""
    found: dict[str, Any] = {
        "source": rhythm.source,
        "rooms_by_hour": {room: list(row) for room, row in rhythm.rooms_by_hour.items()},
        "pace_by_hour": list(rhythm.pace_by_hour),
        "steps": {room: list(row) for room, row in rhythm.steps.items()},
        "same_room_s": list(rhythm.same_room_s),
        "same_room_least_s": list(rhythm.same_room_least_s),
        "other_room_s": list(rhythm.other_room_s),
    }
    return (
        "# Written by `python -m simulator.calibration.fit`; simulator/care/rhythm.py says what it means.\n"
        + yaml.safe_dump(found, sort_keys=False, default_flow_style=None, width=118)
    )


def _distances(found: MovementStatistics, goal: MovementStatistics) -> str:
    by_hour = 1 - np.corrcoef(found.by_hour, goal.by_hour)[0, 1]
    rooms = np.abs(found.by_room_and_hour.sum(axis=0) - goal.by_room_and_hour.sum(axis=0)).sum() / goal.per_day
    return (
        f"{found.per_day:.0f} for {goal.per_day:.0f} a day, by hour {by_hour:.4f}, by room {rooms:.3f}, "
        f"steps {step_distance(found.steps, goal.steps):.3f}, k {found.hourly_k:.2f} for {goal.hourly_k:.2f}, "
        f"gaps {found.gap_p50_s:.0f} {found.gap_p75_s:.0f} for {goal.gap_p50_s:.0f} {goal.gap_p75_s:.0f} s"
    )


def _shares(rows: FloatArray) -> FloatArray:
    floored = _floored(rows)
    return np.asarray(floored / floored.sum(axis=1, keepdims=True), dtype=np.float64)


def _floored(rows: FloatArray) -> FloatArray:
    return np.maximum(rows, _SMALLEST)


def _by_room(rows: FloatArray) -> dict[str, tuple[float, ...]]:
    return {room: _rounded(row, 4) for room, row in zip(ROOMS, rows, strict=True)}


def _rounded(values: FloatArray, decimals: int) -> tuple[float, ...]:
    return tuple(round(float(value), decimals) for value in values)


if __name__ == "__main__":
    typer.run(main)
