"""A room's air: what its sensor says is of the declared type even at the end of its range."""

import pytest

from simulator.room import Room, RoomParameters
from simulator.town import Town
from simulator.truth import NoTruth
from simulator.weather import Weather, WeatherParameters


@pytest.mark.parametrize(("vapour_g_m3", "said_pct"), [(1_000.0, 100.0), (-1_000.0, 0.0)])
def test_air_as_moist_or_dry_as_it_can_be_is_still_said_as_a_float(vapour_g_m3: float, said_pct: float) -> None:
    town = Town(seed=1, start_ms=1_790_000_000_000, run="r", boot=1, truth=NoTruth())
    station = town.site("a01", "w01", "weather-station", (121.4, 31.25)).device("weather", "weather-station")
    weather = Weather(town, WeatherParameters(), station)
    room = Room(RoomParameters(), weather, 40.0, town.stream("room", "air"), 2, 0.0)
    room._vapour_g_m3 = vapour_g_m3
    humidity_pct = room.air()["humidity_pct"]
    assert (humidity_pct, type(humidity_pct)) == (said_pct, float), "100 and 100.0 are two payloads, and two hashes"
