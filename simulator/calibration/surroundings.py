"""Statistics of arrivals at centres and of a year's weather, as the targets speak of them."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.calibration.homes import TUESDAY_MS
from simulator.calibration.movement import FloatArray
from simulator.centres.arrivals import Demand
from simulator.centres.parameters import CentreParameters
from simulator.population import build_town
from simulator.scenario import Scenario
from simulator.town import DAY_S, Site, Town
from simulator.truth import NoTruth

HOUR_S = 3_600


@dataclass(frozen=True)
class ArrivalStatistics:
    """Arrivals at some centres: on ordinary weekdays (Tuesday to Friday), on Mondays against them, day to day."""

    per_day: float
    monday_factor: float
    day_cv: float
    """Beyond what a Poisson process has."""
    by_hour: FloatArray
    """Counts of all weekdays, Mondays included, by hour of the day."""


@dataclass(frozen=True)
class WeatherStatistics:
    """A run of the weather station."""

    readings: int
    rain_share: float
    temperature_mean_c: float
    pm25_log_mean: float
    afternoon_above_morning_c: float
    """From 14 to 15 h against from 5 to 6 h."""


def hear_arrivals(centres: int, days: int, persons_per_day: float, *, seed: int = 1) -> ArrivalStatistics:
    """Let people come to so many centres for so many days, without the hourly factor."""
    parameters, town = CentreParameters(hour_cv=0, working_calendar=False), _town(seed)
    by_hour, by_day = np.zeros(24), np.zeros((centres, days))

    def count(site: Site, number: int) -> Generator[Any, Any, None]:
        demand = Demand(site, persons_per_day, parameters)
        while True:
            yield from demand.wait_for_next()
            by_day[number, int(town.env.now // DAY_S)] += 1
            if town.weekday() < 5:
                by_hour[int(town.local_hour())] += 1

    for number in range(centres):
        town.env.process(count(town.site("a01", f"c{number}", "centre", (121.4, 31.25)), number))
    town.env.run(until=days * DAY_S)
    weekdays = np.array([town.weekday(day * DAY_S) for day in range(days)])
    plain = by_day[:, (weekdays > 0) & (weekdays < 5)]
    beyond_poisson = plain.var(ddof=1) - plain.mean()
    return ArrivalStatistics(
        per_day=float(plain.mean()),
        monday_factor=float(by_day[:, weekdays == 0].mean() / plain.mean()),
        day_cv=float(np.sqrt(max(beyond_poisson, 0.0)) / plain.mean()),
        by_hour=by_hour,
    )


def hear_weather(days: int, *, seed: int = 1) -> WeatherStatistics:
    """What the town's station says through so many days."""
    town = _town(seed)
    town.env.run(until=days * DAY_S)
    said: list[Any] = [e.measurement.decoder.decode(e.payload).values for e in town.outbox]
    hours = np.array([(e.time_ms - town.start_ms) / 1000 / HOUR_S % 24 for e in town.outbox])
    temperatures = np.array([reading.temperature_c for reading in said])
    afternoon, morning = (hours >= 14) & (hours < 15), (hours >= 5) & (hours < 6)
    return WeatherStatistics(
        readings=len(said),
        rain_share=float(np.mean([reading.rain for reading in said])),
        temperature_mean_c=float(temperatures.mean()),
        pm25_log_mean=float(np.mean(np.log([max(reading.pm25_ug_m3, 1) for reading in said]))),
        afternoon_above_morning_c=float(temperatures[afternoon].mean() - temperatures[morning].mean()),
    )


def _town(seed: int) -> Town:
    """A town with nothing but its weather station."""
    town = Town(seed=seed, start_ms=TUESDAY_MS, run="calibration", boot=1, truth=NoTruth())
    build_town(Scenario.model_validate({"title": "An empty area", "areas": {"a01": {}}}), town)
    return town
