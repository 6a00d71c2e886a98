"""Venues: nobody is lost between the doors, hours and weather count, bookings end in one of four ways."""

import math
from collections import Counter, defaultdict
from statistics import fmean

import pytest

from haina.contract.venues import USES
from simulator.town import Town
from simulator.venues.footfall import OpeningHours
from simulator.venues.parameters import VenueParameters
from simulator.workdays import Day
from tests.simulator.towns import DAY_S, HOUR_S, MIDNIGHT_MS, build, by_device, live, readings

ALL = "areas: {a01: {shops: 1, leisure: 1, incubators: 1, institutes: 1}}\n"
SATURDAY_MS = MIDNIGHT_MS + 4 * DAY_S * 1000  # 26 September 2026
DAYS = 3


@pytest.fixture(scope="module")
def town() -> Town:
    """One venue of each use, from Tuesday's midnight on."""
    town, _ = build(ALL)
    live(town, DAYS * DAY_S)
    return town


def visits(text: str, start_ms: int, days: int) -> dict[str, int]:
    """How many people came to the venues of each use."""
    town, _ = build(text, start_ms=start_ms)
    live(town, days * DAY_S)
    came: Counter[str] = Counter()
    for _, _, said in readings(town, "venue_door"):
        came[said.use] += said.entries_persons
    return dict(came)


def test_who_came_in_is_inside_or_has_gone_out(town: Town) -> None:
    inside: Counter[str] = Counter()
    for _, reading, said in readings(town, "venue_door"):
        site = reading.device.site.id
        inside[site] += said.entries_persons - said.exits_persons
        assert said.occupancy_persons == inside[site] >= 0


def test_nobody_comes_and_nobody_stays_when_a_venue_is_shut(town: Town) -> None:
    p = VenueParameters()
    for at_s, _, said in readings(town, "venue_door"):
        hour = at_s % DAY_S / HOUR_S
        assert said.open == (p.of("opens_h", said.use) <= hour < p.of("closes_h", said.use))
        minutes_shut = (hour - p.of("closes_h", said.use)) * 60
        if not said.open and (minutes_shut > 1 or hour < p.of("opens_h", said.use)):
            assert said.occupancy_persons == said.entries_persons == 0


def test_visits_are_what_the_parameters_say_on_working_and_on_free_days_dry_and_wet() -> None:
    p = VenueParameters()
    steady = "size_cv: 0, day_cv: 0"
    text = f"areas: {{a01: {{shops: 2, leisure: 2}}}}\nparameters: {{venues: {{{steady}}}, weather: {{rain_share: "
    dry = visits(f"{text}1.0e-9}}}}\n", MIDNIGHT_MS, 2)
    free = visits(f"{text}1.0e-9}}}}\n", SATURDAY_MS, 1)
    wet = visits(f"{text}0.999999, rain_spell_h: 500}}}}\n", MIDNIGHT_MS, 2)
    for use in ("shopping", "leisure"):
        expected = 4 * p.of("visits_per_day", use)
        assert dry[use] == pytest.approx(expected, abs=5 * math.sqrt(expected))
        assert wet[use] == pytest.approx(expected * p.of("rain_factor", use), abs=5 * math.sqrt(expected))
        assert free[use] == pytest.approx(expected / 2 * p.of("free_day_factor", use), abs=5 * math.sqrt(expected))


def test_the_number_inside_follows_littles_law(town: Town) -> None:
    inside, came = defaultdict(list), Counter()
    for _, _, said in readings(town, "venue_door"):
        inside[said.use].append(said.occupancy_persons)
        came[said.use] += said.entries_persons
    shopping = fmean(inside["shopping"]) * DAYS * DAY_S / came["shopping"] / 60
    stay_min = VenueParameters().of("stay_min", "shopping")
    assert stay_min * 0.85 < shopping < stay_min  # closing cuts some stays short


@pytest.mark.parametrize("use", USES)
def test_the_shares_of_a_day_sum_to_one_within_opening_hours(use: str) -> None:
    hours = OpeningHours(use, VenueParameters(opens_h=(9.5,) * 4, closes_h=(20.25,) * 4))
    for day in Day:
        shares = hours.shares(day)
        assert sum(shares) == pytest.approx(1)
        assert not any(shares[:9])
        assert not any(shares[21:])


def test_a_booking_is_used_missed_called_off_or_still_ahead_and_no_unit_is_taken_twice(town: Town) -> None:
    events: Counter[tuple[str, str]] = Counter()
    for _, _, said in readings(town, "venue_booking"):
        events[said.resource, said.event] += 1
    for resource in ("court", "desk", "room"):
        assert events[resource, "used"] > events[resource, "no_show"] > 0
    for _, _, said in readings(town, "venue_units"):
        assert 0 <= said.used_units <= said.booked_units <= said.units


def test_refusals_come_when_demand_exceeds_the_units() -> None:
    text = "areas: {a01: {leisure: 1}}\nparameters: {venues: {courts: 2, court_bookings_per_day: 60}}\n"
    town, _ = build(text)
    live(town, 2 * DAY_S)
    events = Counter(said.event for _, _, said in readings(town, "venue_booking"))
    assert events["refused"] > events["booked"] > 0
    evening = [said.booked_units for at_s, _, said in readings(town, "venue_units") if 18 < at_s / HOUR_S % 24 < 21]
    assert fmean(evening) > 1.5


def test_people_make_the_air_worse_and_filters_keep_particles_out(town: Town) -> None:
    at_noon, at_night = [], []
    for at_s, reading, said in readings(town, "venue_air"):
        if reading.device.site.kind == "institute":
            (at_noon if 11 < at_s / HOUR_S % 24 < 16 else at_night if at_s / HOUR_S % 24 < 6 else []).append(said)
    assert fmean(said.co2_ppm for said in at_noon) > fmean(said.co2_ppm for said in at_night) + 60
    outdoors = fmean(said.pm25_ug_m3 for _, _, said in readings(town, "weather"))
    assert fmean(said.pm25_ug_m3 for said in at_noon + at_night) < 0.75 * outdoors


def test_the_meter_adds_up_what_is_drawn(town: Town) -> None:
    for site in ("s01", "r01"):
        said = [
            (at_s, each) for at_s, reading, each in readings(town, "venue_energy") if reading.device.site.id == site
        ]
        drawn_kwh = sum(each.power_w * 300 / 3.6e6 for _, each in said[1:])
        assert said[-1][1].energy_kwh - said[0][1].energy_kwh == pytest.approx(drawn_kwh, rel=1e-3)


def test_a_start_in_the_afternoon_finds_people_inside() -> None:
    town, _ = build(ALL, start_ms=MIDNIGHT_MS + 15 * HOUR_S * 1000)
    live(town, 60)
    first = {said.use: said.occupancy_persons for _, _, said in readings(town, "venue_door")}
    assert first["shopping"] > 40
    assert first["institute"] > 40


def test_one_more_venue_changes_nobody_elses_bytes() -> None:
    fewer, _ = build(ALL)
    more, _ = build("areas: {a01: {shops: 2, leisure: 1, incubators: 1, institutes: 1}, a02: {shops: 1}}\n")
    for each in (fewer, more):
        live(each, 12 * HOUR_S)
    before, after = by_device(fewer), by_device(more)
    assert all(after[device] == said for device, said in before.items())
    assert len(after) == len(before) + 6


def test_a_described_venue_has_its_own_visits_and_floor() -> None:
    sites = "sites: [{kind: shopping, id: plaza, area: a02, visits_per_day: 9000, floor_area_m2: 20000}]\n"
    town, _ = build("areas: {a02: {}}\n" + sites)
    live(town, 14 * HOUR_S)
    busiest = max(said.occupancy_persons for _, _, said in readings(town, "venue_door"))
    assert 300 < busiest < 1_500
