"""Staffed halls, recorded or simulated: how many come when, how long a ticket takes, how long one waits.

A recorded hall (Warsaw's municipal offices) is looked at every five minutes: of each group of services, who waits and
which ticket was called last. A simulated one is a centre that is told to be a hall (`HALL`: its hours, its counters,
its work) and is looked at in the same way. What follows is computed from such looks alone, by the same code. Waiting is
Little's: persons waiting over tickets called, of each group and hour.

How far a simulated hall may be off, recorded halls say: each is one of many, too. The distances of each from all of
them together are committed beside the targets (`apart`) and printed, to be put there, by

    HAINA_DATA=<folder of recordings> python -m simulator.calibration.halls
"""

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import typer

from simulator.calibration import Target, targets
from simulator.calibration.movement import FloatArray
from simulator.calibration.recordings import from_recordings
from simulator.centres import Centre, CentreParameters
from simulator.town import DAY_S, Town
from simulator.truth import NoTruth
from simulator.weather import Weather, WeatherParameters

OPEN_H = range(8, 18)
_PERCENTILES = {"p50": 50, "p75": 75, "p90": 90, "p95": 95}
LOOK_S, HOUR_S = 300.0, 3_600.0
MONDAY_MS = 1_789_920_000_000  # 21 September 2026, midnight in Shanghai
_LAST_HOLIDAY = date(2020, 1, 6)  # of the recording: until then many offices work half days
_MONDAY = datetime(2020, 1, 6)  # noqa: DTZ001 -- local time, as recorded
_MOST_CALLED = 40  # in five minutes; a larger step is a counter set anew
_LEAST_LOOKS = 8  # of an hour
LEAST_HOURS = 10  # of single counters, for a hall to say how long a ticket takes

HALL = CentreParameters(
    profile=(0, 0, 0, 0, 0, 0, 0, 0, 74, 103, 139, 157, 153, 139, 128, 75, 23, 10, 0, 0, 0, 0, 0, 0),
    weekend_factor=0.0,
    working_calendar=False,
    hour_cv=0.45,
    service_mean_s=300.0,
    service_cv=0.8,
    under_35_slower=1.0,
    sixty_to_74_slower=1.0,
    over_75_slower=1.0,
    assisted_share=0.0,
    assisted_share_60_to_74=0.0,
    assisted_share_over_75=0.0,
    together_share=0.0,
    retrial_share=0.0,
    patience_mean_s=14_400.0,
    balk_at_persons=1_000,
    jam_per_session=0.0,
    card_reader_mtbf_h=1_000_000.0,
    frozen_screen_mtbf_h=1_000_000.0,
    network_mtbf_h=1_000_000.0,
    maintenance_every_d=0.0,
    power_outages_per_year=0.0,
    uplink_outages_per_year=0.0,
)
"""A centre as a staffed hall: the recorded hours and minutes per ticket, and nothing that only machines do. How long
people wait follows, though it was seen while these were chosen."""

COUNTERS = {
    "household": 3,
    "social-security": 2,
    "medical-insurance": 2,
    "certificate": 1,
    "tax": 1,
    "pick-up": 1,
    "business-licence": 1,
}
PERSONS_PER_DAY = 690.0
"""Chosen so that groups have 55 to 170 tickets a day, as the busiest third of those recorded, and a counter is used for
four fifths of its busiest hour."""


class Look(NamedTuple):
    """What a hall's queue system says of a group at a moment."""

    at_s: float
    """Since some Monday's midnight."""
    open_counters: int
    waiting: int
    called: int
    """Tickets called since the look before."""


Groups = dict[tuple[str, str], list[Look]]
"""Looks of each (hall, group), in order."""


@dataclass(frozen=True)
class HallStatistics:
    """What `measure_halls` finds; units as in `targets.yaml`."""

    group_hours: int
    by_hour: FloatArray
    monday_factor: float
    day_cv: float
    hour_cv: float
    """Spread of a group's tickets in the same hour of Tuesdays to Fridays, beyond Poisson's; means above 2."""
    minutes_per_ticket: FloatArray
    """Of each hour in which a group with one counter always had somebody waiting."""
    wait_min: FloatArray
    """Of each group and hour with tickets."""
    nobody_waits: float
    """Share of looks at open groups."""


def measure_halls(groups: Groups) -> HallStatistics:
    """The statistics of these looks."""
    by_hour, waits, per_ticket = np.zeros(24), [], []
    looks = empty = 0
    hall_days: dict[tuple[str, int], int] = defaultdict(int)
    cells: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for (hall, group), of_group in groups.items():
        hours: dict[tuple[int, int], list[Look]] = defaultdict(list)
        for look in of_group:
            hours[int(look.at_s // DAY_S), int(look.at_s % DAY_S // HOUR_S)].append(look)
            if look.open_counters:
                looks, empty = looks + 1, empty + (look.waiting == 0)
        for (day, hour), seen in hours.items():
            called = sum(look.called for look in seen)
            by_hour[hour] += called
            hall_days[hall, day] += called
            if 1 <= day % 7 <= 4 and hour in OPEN_H:
                cells[hall, group, hour].append(called)
            if not called:
                continue
            waits.append(60 * float(np.mean([look.waiting for look in seen])) / called)
            if len(seen) >= _LEAST_LOOKS and all(look.open_counters == 1 and look.waiting for look in seen):
                per_ticket.append(60 / called)
    plain, monday, cvs = [], [], []
    for hall in {hall for hall, _ in hall_days}:
        days = {day: count for (name, day), count in hall_days.items() if name == hall and count}
        ordinary = [count for day, count in days.items() if 1 <= day % 7 <= 4]
        mondays = [count for day, count in days.items() if day % 7 == 0]
        if len(ordinary) > 2 and mondays:
            plain.append(np.mean(ordinary))
            monday.append(np.mean(mondays))
            cvs.append(np.std(ordinary, ddof=1) / np.mean(ordinary))
    busy = [(np.mean(cell), np.var(cell, ddof=1)) for cell in cells.values() if len(cell) > 2 and np.mean(cell) > 2]
    beyond_poisson = sum(variance - mean for mean, variance in busy) / sum(mean**2 for mean, _ in busy)
    return HallStatistics(
        group_hours=len(waits),
        by_hour=by_hour / by_hour.sum(),
        monday_factor=float(np.sum(monday) / np.sum(plain)),
        day_cv=float(np.median(cvs)),
        hour_cv=float(np.sqrt(max(beyond_poisson, 0.0))),
        minutes_per_ticket=np.array(per_ticket),
        wait_min=np.array(waits),
        nobody_waits=empty / looks,
    )


def figures(found: HallStatistics) -> dict[str, float | FloatArray]:
    """What targets speak of, by their names; not a number where there is too little to tell."""
    open_hours = found.by_hour[list(OPEN_H)]
    waits_min = np.percentile(found.wait_min, list(_PERCENTILES.values()))
    is_known = len(found.minutes_per_ticket) >= LEAST_HOURS
    return {
        "hall_by_hour": open_hours / open_hours.sum(),
        "hall_hour_cv": found.hour_cv,
        "hall_minutes_per_ticket_p50": float(np.median(found.minutes_per_ticket)) if is_known else float("nan"),
        **{f"hall_wait_{name}_min": float(wait) for name, wait in zip(_PERCENTILES, waits_min, strict=True)},
        "hall_nobody_waits": found.nobody_waits,
    }


def distance(expected: float | FloatArray | tuple[float, ...], found: float | FloatArray) -> float:
    """Of two numbers their difference, of two profiles half the sum of differences (total variation)."""
    apart = np.abs(np.asarray(found) - np.asarray(expected))
    return float(apart.sum() / 2 if apart.ndim else apart)


def measure_each(groups: Groups) -> list[HallStatistics]:
    """The statistics of each hall by itself."""
    halls = sorted({hall for hall, _ in groups})
    return [measure_halls({key: looks for key, looks in groups.items() if key[0] == hall}) for hall in halls]


def apart_from(expected: Mapping[str, Target], halls: Iterable[HallStatistics]) -> dict[str, list[float]]:
    """How far each hall is from what is expected of halls, by target, the nearest first."""
    each = [figures(found) for found in halls]
    apart = {name: np.array([distance(expected[name].value, found[name]) for found in each]) for name in each[0]}
    return {name: np.sort(far[np.isfinite(far)]).round(3).tolist() for name, far in apart.items()}


def hear_hall(days: int, *, seed: int = 1) -> Groups:
    """Look at a simulated hall for so many days, from a Monday on."""
    town = Town(seed=seed, start_ms=MONDAY_MS, run="calibration", boot=1, truth=NoTruth())
    sky = Weather(
        town,
        WeatherParameters(),
        town.site("a01", "w01", "weather", (121.4, 31.25)).device("station", "weather-station"),
    )
    kinds = [kind for kind, counters in COUNTERS.items() for _ in range(counters)]
    hall = Centre(town.site("a01", "hall", "centre", (121.4, 31.25)), kinds, PERSONS_PER_DAY, None, HALL, sky)
    groups: Groups = {("hall", kind): [] for kind in COUNTERS}
    called: dict[str, int] = defaultdict(int)

    def look() -> Generator[Any, Any, None]:
        while True:
            yield town.env.timeout(LOOK_S)
            for emission in town.outbox:
                if emission.measurement.name == "kiosk_session":
                    called[emission.measurement.decoder.decode(emission.payload).values.kind] += 1
            town.outbox.clear()
            is_open = int(town.local_hour()) in OPEN_H and town.weekday() < 5
            for kind, pool in hall.pools.items():
                if is_open:
                    waiting = len(pool.slots.queue)
                    groups["hall", kind].append(Look(town.env.now, COUNTERS[kind], waiting, called.pop(kind, 0)))

    town.env.process(look())
    town.env.run(until=days * DAY_S + 1)
    return groups


def recorded_halls(folder: Path) -> Groups:
    """The looks of Warsaw's offices (kolejkeR). Raises OSError when the recording is not in this folder."""
    rows: dict[tuple[str, str], list[tuple[datetime, int, int, int | None]]] = defaultdict(list)
    with gzip.open(folder / "warsaw_queues" / "warsaw_queues.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["dt"])
            if moment.date() > _LAST_HOLIDAY:
                ticket = re.search(r"\d+$", row["current_ticket"])
                rows[row["office"], f"{row['group_id']} {row['letter']}"].append(
                    (
                        moment,
                        int(row["open_counters"] or 0),
                        int(row["queue_len"] or 0),
                        int(ticket.group()) if ticket else None,
                    )
                )
    return {key: _looks(sorted(set(seen), key=lambda row: row[0])) for key, seen in rows.items()}


def _looks(rows: Iterable[tuple[datetime, int, int, int | None]]) -> list[Look]:
    """Tickets called from one look to the next, and moments counted from Monday, 6 January 2020."""
    looks, before = [], None
    for moment, counters, waiting, ticket in rows:
        step = 0 if ticket is None or before is None else ticket - before
        before = before if ticket is None else ticket
        at_s = (moment - _MONDAY).total_seconds()
        looks.append(Look(at_s, counters, waiting, step if 0 <= step <= _MOST_CALLED else 0))
    return looks


def main() -> None:
    """Print how far each recorded hall is from the targets of halls."""
    recorded = from_recordings(recorded_halls)
    for name, apart in apart_from(targets(), measure_each(recorded)).items():
        typer.echo(f"{name}:\n  apart: {apart}")


if __name__ == "__main__":
    typer.run(main)
