"""When people are in which room, and how they step from one to another: what was fitted to recorded homes.

`rhythm.yaml` beside this module holds the numbers, written by `python -m simulator.calibration.fit` from the homes of
TIHM (Palermo et al., Scientific Data 10:606, 2023). Their fridge door counts as movement in the kitchen, their outer
doors as movement in the hallway: a flat in Shanghai has neither a garden door nor that many carers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from haina.contract.care import ROOMS
from simulator.care.activity import ACTIVITIES, BY_NAME, Activity

ByRoom = Mapping[str, tuple[float, ...]]
Cumulative = tuple[float, ...]


@dataclass(frozen=True)
class Rhythm:
    """The fitted numbers; rooms in the order of `ROOMS` wherever they are not named."""

    source: str
    rooms_by_hour: ByRoom
    """How often an activity of the room begins, by hour, against the other rooms."""
    pace_by_hour: tuple[float, ...]
    """How fast movements follow each other."""
    steps: ByRoom
    """From each room, where the next movement is, before an activity's hold."""
    same_room_s: tuple[float, ...]
    """Mean time to the next movement in the same room, beyond the least."""
    same_room_least_s: tuple[float, ...]
    """No two movements in a room were seen closer: infrared was deaf for 61 s, doors of fridge and home were not."""
    other_room_s: tuple[float, ...]
    """Mean time from a movement to the next one in another room."""

    @cached_property
    def begin_at(self) -> tuple[Cumulative, ...]:
        """For each hour the running totals of how often each of `ACTIVITIES` begins."""
        rooms = {room: [a for a in ACTIVITIES if a.room == room] for room in ROOMS}
        tables = []
        for hour in range(24):
            total = {room: sum(a.weight_at(hour) for a in rooms[room]) for room in ROOMS}
            weights = (
                self.rooms_by_hour[a.room][hour] * a.weight_at(hour) / total[a.room] / a.mean_s for a in ACTIVITIES
            )
            tables.append(_running(weights))
        return tuple(tables)

    @cached_property
    def next_room(self) -> dict[str, dict[str, Cumulative]]:
        """For each activity and room the running totals over `ROOMS` of where the next movement is."""
        return {activity.name: self._steps_of(activity) for activity in BY_NAME.values()}

    def _steps_of(self, activity: Activity) -> dict[str, Cumulative]:
        return {
            room: _running(
                chance * (activity.holds if to == activity.room else 1.0)
                for to, chance in zip(ROOMS, self.steps[room], strict=True)
            )
            for room in ROOMS
        }

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Rhythm":
        """From plain lists, as in the file."""
        return cls(
            source=found["source"],
            rooms_by_hour={room: tuple(found["rooms_by_hour"][room]) for room in ROOMS},
            pace_by_hour=tuple(found["pace_by_hour"]),
            steps={room: tuple(found["steps"][room]) for room in ROOMS},
            same_room_s=tuple(found["same_room_s"]),
            same_room_least_s=tuple(found["same_room_least_s"]),
            other_room_s=tuple(found["other_room_s"]),
        )


@cache
def shipped() -> Rhythm:
    """The rhythm that comes with the simulator."""
    return of_file(shipped_file())


def shipped_file() -> Path:
    return Path(str(resources.files("simulator.care") / "rhythm.yaml"))


def of_file(path: Path) -> Rhythm:
    """The rhythm written in a file."""
    return Rhythm.of(yaml.safe_load(path.read_text(encoding="utf-8")))


def _running(weights: Any) -> Cumulative:
    """Running totals, the last being 1."""
    totals = list(accumulate(weights))
    return (*(total / totals[-1] for total in totals[:-1]), 1.0)
