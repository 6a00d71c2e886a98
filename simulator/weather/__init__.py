"""The town's weather: one sky over all sites, felt by centres and said by one station every five minutes.

Temperature and humidity are the usual value of the month and the hour plus a slowly wandering anomaly, an
autoregression of first order. Rain comes in spells with exponential lengths, and wets the air. Fine particles are
lognormal and wander likewise. All numbers were fitted to the hourly Shanghai records of 2013-2015 (Liang et al.,
J. Geophys. Res. Atmos. 121, 2016); particles have become fewer since, which `pm25_factor` can say.

The model starts in its stationary state: each anomaly is drawn from the distribution it will keep.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from haina.contract.weather import WEATHER_STATION
from simulator.application import Application, Place, Shared, found
from simulator.parameter import ASSUMED, Parameters, parameter
from simulator.town import DAY_S, Device, Town

STEP_S = 300.0
STEPS_PER_HOUR = 3600 / STEP_S

_RECORDS = "Shanghai hourly records 2013-2015"

# Usual values, January first and midnight first.
TEMPERATURE_BY_MONTH_C = (7.2, 7.0, 11.6, 16.2, 21.6, 24.3, 29.2, 28.9, 25.0, 20.2, 14.5, 7.1)
# fmt: off
TEMPERATURE_BY_HOUR_C = (-1.56, -1.83, -2.09, -2.3, -2.47, -2.64, -2.58, -1.97, -0.76, 0.41, 1.39, 2.18,
                         2.74, 3.1, 3.13, 2.97, 2.52, 1.76, 0.9, 0.25, -0.26, -0.65, -0.98, -1.29)
HUMIDITY_BY_MONTH_PCT = (64.9, 73.7, 66.7, 64.5, 67.6, 77.5, 71.8, 72.9, 72.2, 68.3, 69.5, 62.9)
HUMIDITY_BY_HOUR_PCT = (6.7, 8.1, 9.5, 10.6, 11.3, 12.0, 12.1, 10.5, 5.6, -0.3, -5.1, -8.8,
                        -11.3, -13.0, -13.5, -13.4, -12.2, -9.4, -6.2, -3.0, -0.5, 1.7, 3.3, 5.2)
# fmt: on
RAIN_WETS_PCT, DRY_DRIES_PCT = 17.7, -2.0  # mean humidity anomaly of wet and of dry hours, same records
_WETTING_H = 1.0  # assumed: how fast the air follows the rain


class WeatherParameters(Parameters):
    """Parameters of the weather."""

    temperature_sd_c: float = parameter(3.5, "°C", _RECORDS, "Spread around month and hour.", ge=0, le=20)
    temperature_ar1: float = parameter(0.976, "1", _RECORDS, "Correlation from hour to hour.", gt=0, lt=1)
    humidity_sd_pct: float = parameter(13.9, "%", _RECORDS, "Spread around month, hour and rain.", ge=0, le=50)
    humidity_ar1: float = parameter(0.953, "1", _RECORDS, "Correlation from hour to hour.", gt=0, lt=1)
    rain_share: float = parameter(0.108, "1", _RECORDS, "Share of hours with rain.", gt=0, lt=1)
    rain_spell_h: float = parameter(3.7, "h", f"{_RECORDS}: P(wet | wet) = 0.73", "Mean spell of rain.", gt=0, le=500)
    pm25_log_mean: float = parameter(3.692, "ln(µg/m³)", _RECORDS, "Mean of the logarithm.", ge=0, le=7)
    pm25_log_sd: float = parameter(0.751, "ln(µg/m³)", _RECORDS, "Spread of the logarithm.", ge=0, le=2)
    pm25_ar1: float = parameter(0.96, "1", _RECORDS, "Correlation of the logarithm from hour to hour.", gt=0, lt=1)
    pm25_factor: float = parameter(1.0, "1", f"{ASSUMED}; below 1 for today's air", "Scales all values.", gt=0, le=10)


class Weather:
    """The sky over the town; `temperature_c`, `humidity_pct`, `pm25_ug_m3` and `raining` are those of now."""

    def __init__(self, town: Town, parameters: WeatherParameters, station: Device) -> None:
        self._town = town
        self._parameters = parameters
        self._station = station
        self._draws = town.stream("weather", "anomalies")
        self._spells = town.stream("weather", "spells")
        draw = self._draws
        self._temperature_anomaly = draw.normal(0, parameters.temperature_sd_c)
        self._humidity_anomaly = draw.normal(0, parameters.humidity_sd_pct)
        self._pm25_anomaly = draw.normal(0, parameters.pm25_log_sd)
        self.raining = self._spells.chance(parameters.rain_share)
        self._wetness_pct = RAIN_WETS_PCT if self.raining else DRY_DRIES_PCT
        self.temperature_c = self.humidity_pct = self.pm25_ug_m3 = 0.0
        self._look()
        town.env.process(self._rain())
        town.env.process(self._wander())

    def _rain(self) -> Generator[Any, Any, None]:
        wet_s = self._parameters.rain_spell_h * 3600
        dry_s = wet_s * (1 - self._parameters.rain_share) / self._parameters.rain_share
        while True:
            yield self._town.env.timeout(self._spells.exponential(wet_s if self.raining else dry_s))
            self.raining = not self.raining

    def _wander(self) -> Generator[Any, Any, None]:
        env, p = self._town.env, self._parameters
        yield env.timeout(STEP_S - (self._town.local_s() % STEP_S))  # the station reports on round minutes
        while True:
            self._temperature_anomaly = self._step(self._temperature_anomaly, p.temperature_ar1, p.temperature_sd_c)
            self._humidity_anomaly = self._step(self._humidity_anomaly, p.humidity_ar1, p.humidity_sd_pct)
            self._pm25_anomaly = self._step(self._pm25_anomaly, p.pm25_ar1, p.pm25_log_sd)
            wet = RAIN_WETS_PCT if self.raining else DRY_DRIES_PCT
            self._wetness_pct += (wet - self._wetness_pct) * (1 - math.exp(-1 / (STEPS_PER_HOUR * _WETTING_H)))
            self._look()
            self._report()
            yield env.timeout(STEP_S)

    def _step(self, anomaly: float, hourly_correlation: float, sd: float) -> float:
        """One step of the autoregression that has this spread and correlates so from hour to hour."""
        correlation = math.pow(hourly_correlation, 1 / STEPS_PER_HOUR)
        return correlation * anomaly + self._draws.normal(0, sd * math.sqrt(1 - correlation * correlation))

    def _look(self) -> None:
        months, hours = self._month_position(), self._town.local_hour() - 0.5
        usual_c = cyclic(TEMPERATURE_BY_MONTH_C, months) + cyclic(TEMPERATURE_BY_HOUR_C, hours)
        usual_pct = cyclic(HUMIDITY_BY_MONTH_PCT, months) + cyclic(HUMIDITY_BY_HOUR_PCT, hours)
        self.temperature_c = min(max(usual_c + self._temperature_anomaly, -20.0), 50.0)
        self.humidity_pct = min(max(usual_pct + self._wetness_pct + self._humidity_anomaly, 12.0), 100.0)
        particles = math.exp(self._parameters.pm25_log_mean + self._pm25_anomaly) * self._parameters.pm25_factor
        self.pm25_ug_m3 = min(particles, 2_000.0)

    def _month_position(self) -> float:
        """Months since the middle of January, with their fraction."""
        day = datetime.fromtimestamp(self._town.local_day() * DAY_S, UTC)
        return day.month - 1 + (day.day - 15.5) / 30.4

    def _report(self) -> None:
        self._station.send(
            WEATHER_STATION,
            {
                "temperature_c": round(self.temperature_c, 1),
                "humidity_pct": float(round(self.humidity_pct)),
                "pm25_ug_m3": float(round(self.pm25_ug_m3)),
                "rain": self.raining,
            },
        )


def cyclic(values: tuple[float, ...], position: float) -> float:
    """The value at a fractional position of a closed round, linear between neighbours."""
    low = math.floor(position)
    share = position - low
    return values[low % len(values)] * (1 - share) + values[(low + 1) % len(values)] * share


def _populate(town: Town, _: Mapping[str, Sequence[Place]], parameters: WeatherParameters, shared: Shared) -> None:
    site = found(town, shared.areas[0], "w01", "weather")
    shared.offer(Weather(town, parameters, site.device("station", "weather-station")))


APPLICATION = Application("weather", WeatherParameters, _populate)
