"""Simulated homes, heard for some days, and the statistics that targets speak of; recorded homes, read the same way."""

import calendar
import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulator.application import Place, found
from simulator.calibration.movement import Movements, measure
from simulator.care import HOME, CareParameters, move_in, settle_homes
from simulator.care.rhythm import Rhythm
from simulator.population import planned
from simulator.scenario import Scenario
from simulator.town import DAY_S, Emission, Town
from simulator.truth import NoTruth

TUESDAY_MS = 1_790_006_400_000  # 22 September 2026, midnight in Shanghai
STILL_MINUTES = 5  # who has made no step for so long sits
BED_READING_MIN = 5
_LEAST_READINGS = 30
_SLICE_S = 6 * 3_600.0


class HomesHeard:
    """What simulated homes said, collected by resident. `hear` takes every reading of the town in order."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.movements: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.motion_on_s: dict[str, list[float]] = defaultdict(list)
        self.pulse_at_rest: dict[str, list[float]] = defaultdict(list)
        self.pulse_asleep: dict[str, list[float]] = defaultdict(list)
        self.breathing: dict[str, list[float]] = defaultdict(list)
        self._on_since: dict[tuple[str, str], float] = {}
        self._still: Counter[str] = Counter()

    def hear(self, emission: Emission) -> None:
        """Note a reading."""
        site, device = emission.device.site.id, emission.device.id
        moment = (emission.time_ms - self.town.start_ms) / 1000
        match emission.measurement.name:
            case "home_motion":
                if b"true" in emission.payload:
                    self.movements[site].append((moment, device.removeprefix("pir-")))
                    self._on_since[site, device] = moment
                else:
                    self.motion_on_s[site].append(moment - self._on_since[site, device])
            case "home_door" if b"true" in emission.payload:
                self.movements[site].append((moment, "door"))
            case "home_bed":
                bed = _values(emission)
                if bed.heart_rate_bpm is not None:
                    self.pulse_asleep[site].append(bed.heart_rate_bpm)
                    self.breathing[site].append(bed.breathing_rate_brpm)
            case "wearable" if DAY_S <= moment < 2 * DAY_S:
                reading = _values(emission)
                self._still[site] = 0 if reading.steps else self._still[site] + 1
                is_day = 9 < self.town.local_hour(moment) < 21
                if reading.worn and is_day and self._still[site] > STILL_MINUTES:
                    self.pulse_at_rest[site].append(reading.heart_rate_bpm)

    def among(self, sites: Collection[str]) -> "HomesHeard":
        """What was heard from these homes alone."""
        few = HomesHeard(self.town)
        for name in ("movements", "motion_on_s", "pulse_at_rest", "pulse_asleep", "breathing"):
            getattr(few, name).update({site: said for site, said in getattr(self, name).items() if site in sites})
        return few

    def motion_on_mean_s(self) -> float:
        """How long infrared stays on."""
        return float(np.mean(np.concatenate(list(self.motion_on_s.values()))))

    def breathing_brpm(self) -> float:
        """The mean of all readings in bed."""
        return float(np.mean(np.concatenate(list(self.breathing.values()))))

    def at_rest_bpm(self) -> list[float]:
        """The median pulse of each resident who sat long enough on the second day."""
        return [float(np.median(pulse)) for pulse in self.pulse_at_rest.values() if len(pulse) > _LEAST_READINGS]

    def asleep_bpm(self) -> float:
        """The mean of the residents' mean pulses in bed."""
        return float(np.mean([np.mean(pulse) for pulse in self.pulse_asleep.values()]))

    def in_bed_min(self, days: int) -> float:
        """Minutes in bed of a person's day, after so many days; away is not in bed."""
        minutes = BED_READING_MIN * sum(len(pulse) for pulse in self.pulse_asleep.values())
        return minutes / (measure(self.movements).person_days / (days - 2) * days)


def hear_homes(
    count: int,
    days: int,
    *,
    seed: int = 1,
    rhythm: Rhythm | None = None,
    only_movements: bool = False,
    progress: Callable[[float], None] | None = None,
) -> HomesHeard:
    """Let so many homes of one area live for so many days. `progress` is told the share that is done.

    With `only_movements` nothing reports by the clock, which is several times faster.
    """
    town = Town(seed=seed, start_ms=TUESDAY_MS, run="calibration", boot=1, truth=NoTruth())
    scenario = Scenario.model_validate({"title": "Homes to be measured", "areas": {"a01": {"homes": count}}})
    places = [Place(found(town, area, site_id, HOME.kind), plan) for area, site_id, plan in planned(scenario, HOME)]
    live = move_in if only_movements else settle_homes
    live(town, places, CareParameters(), 1.0, rhythm)
    heard = HomesHeard(town)
    while town.env.now < days * DAY_S:
        town.env.run(until=min(town.env.now + _SLICE_S, days * DAY_S))
        for emission in town.outbox:
            heard.hear(emission)
        town.outbox.clear()
        if progress is not None:
            progress(town.env.now / (days * DAY_S))
    return heard


def recorded_homes(folder: Path) -> dict[str, Movements]:
    """The movements of the recorded homes (TIHM). Raises OSError when the recording is not in this folder."""
    recorded: dict[str, list[tuple[float, str]]] = defaultdict(list)
    with gzip.open(folder / "tihm" / "Activity.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            moment = calendar.timegm(datetime.fromisoformat(row["date"]).timetuple())
            recorded[row["patient_id"]].append((moment, row["location_name"]))
    return dict(recorded)


def half(homes: Mapping[str, Movements], which: Literal["odd", "even"]) -> dict[str, Movements]:
    """Every other home, by its id: what is fitted on one half is judged on the other."""
    return {home: homes[home] for number, home in enumerate(sorted(homes)) if number % 2 == (which == "odd")}


def _values(emission: Emission) -> Any:
    """The decoded values; fails when the contract would reject them."""
    return emission.measurement.decoder.decode(emission.payload).values
