"""The models reproduce the committed targets, within the tolerances committed beside them."""

import calendar
import csv
import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.calibration import targets
from simulator.calibration.movement import MovementStatistics, measure
from simulator.centres.arrivals import WEEKDAY_PROFILE, Demand
from simulator.centres.parameters import CentreParameters
from simulator.town import Emission, Site
from tests.simulator.towns import DAY_S, HOUR_S, at_s, build, homes, live, values

pytestmark = pytest.mark.timeout(900)  # 1.3 million readings: half a minute on a quiet machine

HOMES, DAYS = 60, 9
STILL_MINUTES = 5  # who has made no step for so long sits


class Heard:
    """What the homes of a simulated town said over some days, collected by resident."""

    def __init__(self) -> None:
        self.town, _ = build(homes(HOMES))
        self.movements: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.motion_on_s: list[float] = []
        self.pulse_at_rest: dict[str, list[float]] = defaultdict(list)
        self.pulse_asleep: dict[str, list[float]] = defaultdict(list)
        self.breathing: list[float] = []
        self._on_since: dict[tuple[str, str], float] = {}
        self._still: Counter[str] = Counter()

    def hear(self, emission: Emission) -> None:
        site, device, moment = emission.device.site.id, emission.device.id, at_s(emission)
        match emission.measurement.name:
            case "home_motion":
                if b"true" in emission.payload:
                    self.movements[site].append((moment, device.removeprefix("pir-")))
                    self._on_since[site, device] = moment
                else:
                    self.motion_on_s.append(moment - self._on_since[site, device])
            case "home_door" if b"true" in emission.payload:
                self.movements[site].append((moment, "door"))
            case "home_bed":
                bed = values(emission)
                if bed.heart_rate_bpm is not None:
                    self.pulse_asleep[site].append(bed.heart_rate_bpm)
                    self.breathing.append(bed.breathing_rate_brpm)
            case "wearable" if DAY_S <= moment < 2 * DAY_S:
                reading = values(emission)
                self._still[site] = 0 if reading.steps else self._still[site] + 1
                is_day = 9 < self.town.local_hour(moment) < 21
                if reading.worn and is_day and self._still[site] > STILL_MINUTES:
                    self.pulse_at_rest[site].append(reading.heart_rate_bpm)


@pytest.fixture(scope="module")
def heard() -> Heard:
    collected = Heard()
    live(collected.town, DAYS * DAY_S, hear=collected.hear)
    return collected


@pytest.fixture(scope="module")
def movements(heard: Heard) -> MovementStatistics:
    return measure(heard.movements)


def check(name: str, found: float) -> None:
    """A number comes within the committed tolerance of its target."""
    target = targets()[name]
    assert found == pytest.approx(target.value, abs=target.tolerance), f"{name}: {found:.3f} for {target}"


def check_movements(found: MovementStatistics) -> None:
    check("movements_per_day", found.per_day)
    check("movements_between_homes_sd", found.between_homes_sd)
    check("movements_within_home_cv", found.within_home_cv)
    check("hourly_k", found.hourly_k)
    check("night_bathroom_visits", found.night_visits)
    check("night_bathroom_visits_sd", found.night_visits_sd)
    check("gap_p50_s", found.gap_p50_s)
    check("gap_p75_s", found.gap_p75_s)
    check("longest_day_gap_p50_h", found.longest_day_gap_p50_h)
    check("days_without_movement_4h", found.days_without_4h)
    profile = targets()["movements_by_hour"]
    assert 1 - np.corrcoef(found.by_hour, profile.value)[0, 1] < profile.tolerance


def test_movements_come_as_often_and_as_unevenly_as_in_the_recorded_homes(movements: MovementStatistics) -> None:
    check_movements(movements)


@pytest.mark.skipif("HAINA_DATA" not in os.environ, reason="HAINA_DATA names no folder of recordings")
def test_the_recorded_homes_themselves_meet_the_targets() -> None:
    recorded: dict[str, list[tuple[float, str]]] = defaultdict(list)
    with gzip.open(Path(os.environ["HAINA_DATA"]) / "tihm" / "Activity.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            moment = calendar.timegm(datetime.fromisoformat(row["date"]).timetuple())
            recorded[row["patient_id"]].append((moment, row["location_name"]))
    check_movements(measure(recorded))


def test_infrared_stays_on_as_long_as_recorded(heard: Heard) -> None:
    check("motion_on_mean_s", float(np.mean(heard.motion_on_s)))


def test_hearts_at_rest_and_asleep_beat_as_published(heard: Heard) -> None:
    at_rest = [float(np.median(pulse)) for pulse in heard.pulse_at_rest.values() if len(pulse) > 30]
    assert len(at_rest) > HOMES / 2
    check("resting_bpm", float(np.mean(at_rest)))
    check("resting_between_people_sd_bpm", float(np.std(at_rest, ddof=1)))
    check("asleep_bpm", _mean_of_means(heard.pulse_asleep.values()))
    check("breathing_brpm", float(np.mean(heard.breathing)))


def test_nights_in_bed_are_as_long_as_recorded(heard: Heard) -> None:
    minutes = 5 * sum(len(pulse) for pulse in heard.pulse_asleep.values())  # a reading stands for five minutes
    person_days = measure(heard.movements).person_days / (DAYS - 2) * DAYS  # away is not in bed
    check("time_in_bed_min", minutes / person_days)


def test_arrivals_follow_the_profile_with_the_recorded_monday_and_spread_from_day_to_day() -> None:
    parameters, town = CentreParameters(hour_cv=0), build("areas: {a01: {}}\n")[0]
    by_hour, by_day = np.zeros(24), np.zeros((8, 84))

    def count(site: Site, number: int) -> Generator[Any, Any, None]:
        demand = Demand(site, 300.0, parameters)
        while True:
            yield from demand.wait_for_next()
            by_day[number, int(town.env.now // DAY_S)] += 1
            if town.weekday() < 5:
                by_hour[int(town.local_hour())] += 1

    for number in range(8):
        town.env.process(count(town.site("a01", f"c{number}", "centre", (121.4, 31.25)), number))
    live(town, 84 * DAY_S)
    weekdays = np.array([town.weekday(day * DAY_S) for day in range(84)])
    plain = by_day[:, (weekdays > 0) & (weekdays < 5)]
    assert plain.mean() == pytest.approx(300, rel=0.02)
    check("arrivals_monday_factor", float(by_day[:, weekdays == 0].mean() / plain.mean()))
    beyond_poisson = plain.var(ddof=1) - plain.mean()
    check("arrivals_day_cv", float(np.sqrt(beyond_poisson) / plain.mean()))
    assert np.corrcoef(by_hour, WEEKDAY_PROFILE)[0, 1] > 0.99


def test_weather_keeps_the_recorded_means_through_a_year() -> None:
    town, _ = build("areas: {a01: {}}\n")
    live(town, 365 * DAY_S, slice_s=30 * DAY_S)
    said = [values(emission) for emission in town.outbox]
    assert len(said) == pytest.approx(365 * DAY_S / 300, abs=1)
    check("rain_share", float(np.mean([reading.rain for reading in said])))
    check("temperature_mean_c", float(np.mean([reading.temperature_c for reading in said])))
    check("pm25_log_mean", float(np.mean(np.log([max(reading.pm25_ug_m3, 1) for reading in said]))))
    afternoons = [r.temperature_c for e, r in zip(town.outbox, said, strict=True) if 14 <= _hour(e) < 15]
    mornings = [r.temperature_c for e, r in zip(town.outbox, said, strict=True) if 5 <= _hour(e) < 6]
    assert np.mean(afternoons) - np.mean(mornings) == pytest.approx(5.7, abs=0.7)


def _hour(emission: Emission) -> float:
    return at_s(emission) / HOUR_S % 24


def _mean_of_means(groups: Iterable[list[float]]) -> float:
    return float(np.mean([np.mean(group) for group in groups]))
