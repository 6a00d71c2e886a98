"""The drawn map is what the town's ground claims to be."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haina import zone

UNIFORM = st.floats(0, 1, exclude_max=True, allow_nan=False)
AREA_IDS = [f"a{number:02d}" for number in range(1, 13)]


def test_the_zone_measures_3_12_square_kilometres_within_two_percent():
    assert zone.area_m2(zone.outline()) == pytest.approx(3.12e6, rel=0.02)


def test_twelve_areas_tile_the_outline_without_gap_or_overlap():
    assert [area.id for area in zone.areas()] == AREA_IDS
    total = sum(zone.area_m2(area.ring) for area in zone.areas())
    assert total == pytest.approx(zone.area_m2(zone.outline()), rel=1e-9)
    longitudes, latitudes = zip(*zone.outline(), strict=True)
    for step_x in range(40):
        for step_y in range(40):
            point = (
                min(longitudes) + (step_x + 0.37) / 40 * (max(longitudes) - min(longitudes)),
                min(latitudes) + (step_y + 0.41) / 40 * (max(latitudes) - min(latitudes)),
            )
            owners = [area.id for area in zone.areas() if zone.inside(point, area.ring)]
            assert len(owners) == (1 if zone.inside(point, zone.outline()) else 0), point


def test_the_map_says_of_itself_that_it_is_illustrative():
    properties = json.loads(zone.text())["properties"]
    assert properties["illustrative"] is True
    assert "no survey" in properties["notice_en"]


def test_every_area_and_named_feature_has_both_names():
    for feature in json.loads(zone.text())["features"]:
        properties = feature["properties"]
        assert ("name_en" in properties) == ("name_zh" in properties)
    assert all(area.name_en and area.name_zh for area in zone.areas())


def test_the_map_draws_water_roads_station_temple_and_park():
    kinds = {feature["properties"]["kind"] for feature in json.loads(zone.text())["features"]}
    assert kinds >= {"outline", "area", "creek", "road", "station", "temple", "park"}


@settings(max_examples=300)
@given(st.sampled_from(AREA_IDS), UNIFORM, UNIFORM)
def test_a_placed_site_stands_in_its_area_on_ground_that_can_be_built_on(area_id, u, v):
    position = zone.place(area_id, u, v)
    assert position == zone.place(area_id, u, v)
    ring = next(area.ring for area in zone.areas() if area.id == area_id)
    assert zone.inside(position, ring)
    for feature in json.loads(zone.text())["features"]:
        if feature["properties"]["kind"] in {"creek", "pond", "park", "temple", "square"}:
            open_ground = tuple((x, y) for x, y in feature["geometry"]["coordinates"][0])
            # A cell is clear at nine points; a curve may graze one of its sides, by less than half a cell.
            assert any(not zone.inside(_moved(position, turn / 8), open_ground) for turn in range(8))


def _moved(position, turns, by_m=8.0):
    east_m, north_m = by_m * math.cos(turns * math.tau), by_m * math.sin(turns * math.tau)
    return position[0] + east_m / zone.M_PER_DEGREE_LON, position[1] + north_m / zone.M_PER_DEGREE_LAT


def test_sites_spread_over_the_whole_area():
    for area in zone.areas():
        spots = {zone.place(area.id, index / 400, 0.5) for index in range(400)}
        longitudes, latitudes = zip(*spots, strict=True)
        ring_longitudes, ring_latitudes = zip(*area.ring, strict=True)
        assert max(longitudes) - min(longitudes) > 0.7 * (max(ring_longitudes) - min(ring_longitudes))
        assert max(latitudes) - min(latitudes) > 0.6 * (max(ring_latitudes) - min(ring_latitudes))


def test_an_unknown_area_is_refused_with_the_areas_there_are():
    with pytest.raises(ValueError, match="no area 'a99' on the map; there are a01, a02"):
        zone.place("a99", 0.5, 0.5)
