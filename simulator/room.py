"""The air and the electricity of a room that people come to: a service centre, a shop, a meeting room.

Carbon dioxide follows a mass balance: people breathe it out, outdoor air carries it away,
V·dC/dt = G·n - Q·(C - C_outdoor). Water vapour does the same. Heat flows in from people, machines and through the
shell, and the air conditioner moves as much of it as keeps the room between its two set points, at the price of
electricity. Each balance is solved exactly over a step in which its inputs are constant.

The room starts in balance with whoever is in it and with the weather.
"""

import math

from haina.contract.measurement import Value
from simulator.parameter import ASSUMED, Parameters, parameter
from simulator.randomness import Stream
from simulator.weather import Weather

HOUR_S = 3_600
_CO2_ERROR_PPM, _TEMPERATURE_ERROR_C, _HUMIDITY_ERROR_PCT = 8.0, 0.06, 0.4  # assumed
_DRYING_ABOVE_PCT = 60.0  # assumed: a running cooler condenses what is above
_ROOM_WORKS_C = (-15.0, 55.0)


class RoomParameters(Parameters):
    """What a room is like; applications add what stands in it."""

    height_m: float = parameter(2.8, "m", ASSUMED, "Height of the room.", gt=0, le=20)
    air_changes_per_h: float = parameter(1.2, "1/h", ASSUMED, "Outdoor air by ventilation and leaks.", gt=0, le=50)
    leaks_per_h: float = parameter(
        0.2, "1/h", ASSUMED, "Outdoor air while a room is shut and nothing ventilates or conditions it.", gt=0, le=50
    )
    co2_outdoor_ppm: float = parameter(
        425.0, "ppm", "global mean 2024, NOAA", "Carbon dioxide outdoors.", ge=300, le=1_000
    )
    co2_l_per_h_person: float = parameter(
        18.0, "L/h", "Persily & de Jonge, Indoor Air 2017: light activity", "Carbon dioxide breathed out.", gt=0, le=100
    )
    heat_w_person: float = parameter(75.0, "W", "ISO 7730: sensible heat, standing", "Heat given off.", ge=0, le=500)
    moisture_g_per_h_person: float = parameter(55.0, "g/h", ASSUMED, "Water vapour given off.", ge=0, le=1_000)
    set_point_c: float = parameter(
        26.0, "°C", "China's public buildings rule: not below 26 °C in summer", "Cooling set point.", ge=5, le=40
    )
    heating_set_point_c: float = parameter(
        20.0, "°C", "China's public buildings rule: not above 20 °C in winter", "Heating set point.", ge=0, le=40
    )
    loss_w_per_k_m2: float = parameter(4.0, "W/(K m²)", ASSUMED, "Heat through the shell per floor area.", gt=0, le=50)
    heat_capacity_kj_per_k_m2: float = parameter(
        110.0, "kJ/(K m²)", "ISO 13790: light construction", "Heat capacity per floor area.", gt=0, le=1_000
    )
    hvac_w_per_m2: float = parameter(120.0, "W/m²", ASSUMED, "Heat the air conditioner can move.", gt=0, le=1_000)
    hvac_cop: float = parameter(3.2, "1", ASSUMED, "Heat moved for each unit of electricity.", gt=0, le=10)

    def air_per_h(self, is_open: bool) -> float:
        """Outdoor air, room volumes an hour."""
        return self.air_changes_per_h if is_open else self.leaks_per_h


class Room:
    """A room: air, heat and meter. `meter_kwh` is what its meter shows at first."""

    def __init__(
        self, p: RoomParameters, weather: Weather, floor_m2: float, draws: Stream, persons: int, meter_kwh: float
    ) -> None:
        self._p, self._weather, self._draws = p, weather, draws
        self._floor_m2 = floor_m2
        self._volume_m3 = floor_m2 * p.height_m
        breathed_m3_per_h = persons * p.co2_l_per_h_person / 1000
        self._co2_ppm = p.co2_outdoor_ppm + 1e6 * breathed_m3_per_h / (p.air_changes_per_h * self._volume_m3)
        self._temperature_c = min(max(weather.temperature_c, p.heating_set_point_c), p.set_point_c)
        self._vapour_g_m3 = saturation_g_m3(weather.temperature_c) * weather.humidity_pct / 100
        self._hvac_w = 0.0
        self._power_w = 0.0
        self.energy_kwh = meter_kwh

    def pass_time(
        self, length_s: float, persons: float, machines_w: float, heat_w: float, *, is_open: bool = True
    ) -> None:
        """Let `length_s` seconds pass with so many people inside on average, and machines that draw and heat so."""
        p, hours = self._p, length_s / HOUR_S
        kept = math.exp(-p.air_per_h(is_open) * hours)
        outdoor_m3_per_h = p.air_per_h(is_open) * self._volume_m3
        co2_settles = p.co2_outdoor_ppm + 1e6 * persons * p.co2_l_per_h_person / 1000 / outdoor_m3_per_h
        self._co2_ppm = co2_settles + (self._co2_ppm - co2_settles) * kept
        outside_g_m3 = saturation_g_m3(self._weather.temperature_c) * self._weather.humidity_pct / 100
        vapour_settles = outside_g_m3 + persons * p.moisture_g_per_h_person / outdoor_m3_per_h
        self._vapour_g_m3 = vapour_settles + (self._vapour_g_m3 - vapour_settles) * kept
        self._pass_heat(length_s, persons * p.heat_w_person + heat_w, is_open)
        saturation = saturation_g_m3(self._temperature_c)
        if self._hvac_w < 0:
            self._vapour_g_m3 = min(self._vapour_g_m3, saturation * _DRYING_ABOVE_PCT / 100)
        self._vapour_g_m3 = min(self._vapour_g_m3, saturation)
        self._power_w = machines_w + abs(self._hvac_w) / p.hvac_cop
        self.energy_kwh += self._power_w * hours / 1000

    def _pass_heat(self, length_s: float, gains_w: float, is_open: bool) -> None:
        """The air conditioner moves the heat that would carry the room past a set point, as far as it can."""
        p = self._p
        loss_w_per_k = p.loss_w_per_k_m2 * self._floor_m2
        capacity_j_per_k = p.heat_capacity_kj_per_k_m2 * 1000 * self._floor_m2
        kept = math.exp(-length_s * loss_w_per_k / capacity_j_per_k)

        def after(hvac_w: float) -> float:
            settles = self._weather.temperature_c + (gains_w + hvac_w) / loss_w_per_k
            return settles + (self._temperature_c - settles) * kept

        free_c, strongest_w = after(0.0), p.hvac_w_per_m2 * self._floor_m2 if is_open else 0.0
        wanted_c = min(max(free_c, p.heating_set_point_c), max(p.set_point_c, p.heating_set_point_c))
        needed_w = (wanted_c - free_c) * loss_w_per_k / (1 - kept)
        self._hvac_w = min(max(needed_w, -strongest_w), strongest_w)
        self._temperature_c = min(max(after(self._hvac_w), _ROOM_WORKS_C[0]), _ROOM_WORKS_C[1])

    def air(self) -> dict[str, Value]:
        """What the air sensor says, with its errors."""
        draws = self._draws
        humidity = 100 * self._vapour_g_m3 / saturation_g_m3(self._temperature_c)
        return {
            "co2_ppm": float(round(min(max(self._co2_ppm + draws.normal(0, _CO2_ERROR_PPM), 300), 10_000))),
            "temperature_c": round(self._temperature_c + draws.normal(0, _TEMPERATURE_ERROR_C), 1),
            "humidity_pct": round(min(max(humidity + draws.normal(0, _HUMIDITY_ERROR_PCT), 0.0), 100.0), 1),
        }

    def meter(self, most_w: float = 200_000) -> dict[str, Value]:
        """What the power meter says, which shows no more than `most_w`."""
        return {"power_w": float(round(min(self._power_w, most_w))), "energy_kwh": round(self.energy_kwh, 3)}


def saturation_g_m3(temperature_c: float) -> float:
    """Water vapour that air holds at most, g/m³ (Magnus formula, WMO-No. 8)."""
    pressure_hpa = 6.112 * math.exp(17.62 * temperature_c / (243.12 + temperature_c))
    return 216.7 * pressure_hpa / (273.15 + temperature_c)
