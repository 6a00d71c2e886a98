"""Senior-care homes: what the sensors say is what the resident does, and truth knows it all."""

import itertools
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from haina.contract.care import CARE, ROOMS
from simulator.town import Town
from tests.simulator.towns import (
    DAY_S,
    HOUR_S,
    MIDNIGHT_MS,
    Happening,
    TruthList,
    at_s,
    build,
    homes,
    live,
    readings,
)

MINUTE_S = 60
NO_AWAY = {"away_per_year": 0.0, "alone_share": 1.0, "contact_losses_per_year": 0.0, "uplink_losses_per_year": 0.0}


@pytest.fixture(scope="module")
def day() -> tuple[Town, TruthList]:
    """A day of twenty homes."""
    town, truth = build(homes(20, **NO_AWAY))
    live(town, DAY_S)
    return town, truth


@pytest.fixture(scope="module")
def boosted() -> tuple[Town, TruthList]:
    """Two days of fifty homes in which falls are a thousand times as frequent, wristbands always worn and charged."""
    worn = {"wears_at_night": 1.0, "battery_h": 9_000, "charging_forgotten_per_year": 0.0}
    lying = {"help_mean_h": 1.0, "hospital_share": 0.0, "falls_cv": 0.5, "sos_after_fall": 0.6}
    town, truth = build(homes(50, **worn, **lying, **NO_AWAY) + "boost: 1000\n")
    live(town, 2 * DAY_S)
    return town, truth


def of_site(happenings: list[Happening], site: str) -> list[Happening]:
    return [happening for happening in happenings if happening.site == site]


def test_every_measurement_of_the_contract_is_said_and_every_reading_passes_its_decoder(
    boosted: tuple[Town, TruthList],
) -> None:
    town, _ = boosted
    for emission in town.outbox:
        emission.measurement.decoder.decode(emission.payload)
    assert {m.name for m in CARE} == {e.measurement.name for e in town.outbox} - {"weather", "crew_member"}


def test_a_device_counts_its_readings_without_a_gap_and_is_never_more_than_a_second_late(
    day: tuple[Town, TruthList],
) -> None:
    town, _ = build(homes(3))
    counts: Counter[int] = Counter()
    for _ in range(2_000):
        town.env.run(until=town.env.now + 1.7)
        for emission in town.outbox:
            counts[id(emission.device)] += 1
            assert emission.seq == counts[id(emission.device)]
            assert town.env.now - 1.7 - 1.0 <= at_s(emission) <= town.env.now
        town.outbox.clear()


def test_infrared_goes_on_and_off_in_turn_and_never_triggers_again_while_it_is_on(day: tuple[Town, TruthList]) -> None:
    town, _ = day
    last: dict[int, bool] = {}
    for _, emission, reading in readings(town, "home_motion"):
        assert reading.motion is not last.get(id(emission.device), False)
        last[id(emission.device)] = reading.motion
    assert len(last) >= 19 * len(ROOMS)  # a quiet resident may stay out of a room for a day


def test_at_three_in_the_night_of_the_first_minute_nearly_everybody_is_in_bed_and_at_eleven_nobody() -> None:
    for hour, least, most in ((3, 0.9, 1.0), (11, 0.0, 0.1)):
        town, _ = build(homes(60, **NO_AWAY), start_ms=MIDNIGHT_MS + hour * HOUR_S * 1000)
        live(town, 300)
        in_bed = {emission.device.site.id for _, emission, bed in readings(town, "home_bed") if bed.in_bed}
        assert least <= len(in_bed) / 60 <= most


def test_whoever_is_out_moves_nothing_at_home_and_draws_no_water(day: tuple[Town, TruthList]) -> None:
    town, truth = day
    moves: dict[str, list[float]] = defaultdict(list)
    for moment, emission, reading in readings(town, "home_motion"):
        if reading.motion:
            moves[emission.device.site.id].append(moment)
    trips = 0
    back_s = {back.details["event"]: back.at_s for back in truth.of("out_end")}
    for left in truth.of("out"):
        back = back_s.get(left.details["event"], DAY_S)
        assert not [moment for moment in moves[left.site] if left.at_s + 0.001 < moment < back - 0.001]
        trips += 1
    assert trips > 10


def test_the_front_door_opens_when_somebody_leaves_and_when_they_come_home(day: tuple[Town, TruthList]) -> None:
    town, truth = day
    opened: dict[str, list[float]] = defaultdict(list)
    for moment, emission, reading in readings(town, "home_door"):
        if reading.open:
            opened[emission.device.site.id].append(moment)
    for happening in truth.of("out") + truth.of("out_end"):
        if 0 < happening.at_s < DAY_S - 300:
            assert any(abs(moment - happening.at_s) < 240 for moment in opened[happening.site]), happening


def test_the_water_meter_grows_by_what_it_reports_and_speaks_at_least_hourly(day: tuple[Town, TruthList]) -> None:
    town, _ = day
    by_home: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for moment, emission, reading in readings(town, "home_water"):
        by_home[emission.device.site.id].append((moment, reading.volume_m3, reading.used_l))
    for said in by_home.values():
        for (before_s, before_m3, _), (moment, volume_m3, used_l) in itertools.pairwise(said):
            assert volume_m3 - before_m3 == pytest.approx(used_l / 1000, abs=1e-4)
            assert moment - before_s <= HOUR_S + 1
    litres = [sum(used_l for _, _, used_l in said) for said in by_home.values()]
    assert 60 < np.mean(litres) < 180


def test_the_bed_is_heard_every_five_minutes_while_somebody_lies_in_it_and_hourly_otherwise(
    day: tuple[Town, TruthList],
) -> None:
    town, _ = day
    last: dict[str, tuple[float, bool]] = {}
    for moment, emission, bed in readings(town, "home_bed"):
        before_s, was_in_bed = last.get(emission.device.site.id, (0.0, False))
        if emission.device.site.id in last:
            assert moment - before_s <= (301 if was_in_bed else HOUR_S + 301)
        assert bed.in_bed or bed.heart_rate_bpm is None
        last[emission.device.site.id] = (moment, bed.in_bed)


def test_a_wristband_reads_every_minute_and_its_body_values_only_while_worn(day: tuple[Town, TruthList]) -> None:
    town, _ = day
    count, spo2, unworn = 0, 0, 0
    for _, _, reading in readings(town, "wearable"):
        count += 1
        spo2 += reading.spo2_pct is not None
        unworn += not reading.worn
        assert reading.worn == (reading.heart_rate_bpm is not None)
    assert count == pytest.approx(20 * DAY_S / MINUTE_S, abs=20)
    assert spo2 == pytest.approx((count - unworn) / 10, rel=0.03)


def test_a_wristband_with_an_empty_battery_is_silent() -> None:
    town, _ = build(homes(8, battery_h=2, wears_at_night=1.0, **NO_AWAY))
    live(town, 4 * HOUR_S)
    last: dict[str, tuple[float, Any]] = {}
    for moment, emission, reading in readings(town, "wearable"):
        assert reading.battery_pct > 0
        last[emission.device.site.id] = (moment, reading)
    silent = [moment for moment, reading in last.values() if reading.worn]
    assert len(silent) >= 5  # the others went to bed with an empty battery, and charge
    assert max(silent) < 2 * HOUR_S + MINUTE_S


def test_every_detected_fall_is_in_the_truth_and_every_detection_is_of_a_fall_or_imagined(
    boosted: tuple[Town, TruthList],
) -> None:
    town, truth = boosted
    said = {(emission.device.site.id, moment) for moment, emission, _ in readings(town, "wearable_fall")}
    explained = 0
    for site, moment in said:
        causes = [
            happening
            for happening in of_site(truth.of("fall") + truth.of("imagined_fall") + truth.of("wristband_dropped"), site)
            if happening.at_s <= moment + 0.001 and moment - happening.at_s < 300
        ]
        assert causes, (site, moment)
        explained += 1
    detected = [fall for fall in truth.of("fall") if fall.details["detected"] and fall.at_s < 2 * DAY_S - 300]
    for fall in detected:
        assert any(site == fall.site and 0 <= moment - fall.at_s < 300 for site, moment in said), fall
    assert explained > 30


def test_the_share_of_falls_that_worn_wristbands_detect_is_the_sensitivity(boosted: tuple[Town, TruthList]) -> None:
    falls = [fall.details["detected"] for fall in boosted[1].of("fall") if fall.details["worn"]]
    assert len(falls) > 30
    spread = np.sqrt(0.8 * 0.2 / len(falls))
    assert np.mean(falls) == pytest.approx(0.8, abs=3 * spread)


def test_falls_come_at_the_published_rate_times_the_boost(boosted: tuple[Town, TruthList]) -> None:
    _, truth = boosted
    per_year = sum(resident.details["falls_per_year"] for resident in truth.of("resident"))
    expected = per_year * 2 / 365.25
    found = len(truth.of("fall"))
    assert found == pytest.approx(expected, abs=0.2 * expected + 3 * np.sqrt(expected))
    assert all(resident.details["boost"] == 1000 for resident in truth.of("resident"))


def test_after_a_fall_at_home_nothing_moves_elsewhere_until_it_ends(boosted: tuple[Town, TruthList]) -> None:
    town, truth = boosted
    ends = {end.details["event"]: end for end in truth.of("fall_end")}
    moves = [
        (moment, emission.device.site.id, emission.device.labels["room"])
        for moment, emission, reading in readings(town, "home_motion")
        if reading.motion
    ]
    checked = 0
    for fall in truth.of("fall"):
        end = ends.get(fall.details["event"])
        if end is None or fall.details["room"] == "outdoors":
            continue
        rooms = {room for moment, site, room in moves if site == fall.site and fall.at_s < moment < end.at_s - 0.001}
        assert rooms <= {fall.details["room"]}
        assert end.details["long_lie"] == (end.details["lay_s"] >= HOUR_S)
        assert end.at_s - fall.at_s == pytest.approx(end.details["lay_s"], abs=1)
        checked += 1
    assert checked > 20


def test_every_sos_press_and_every_smoke_has_its_reason_in_the_truth(boosted: tuple[Town, TruthList]) -> None:
    town, truth = boosted
    pressed = {
        (emission.device.site.id, round(moment)) for moment, emission, r in readings(town, "sos_button") if r.pressed
    }
    assert pressed == {(sos.site, round(sos.at_s)) for sos in truth.of("sos")}
    assert {sos.details["reason"] for sos in truth.of("sos")} == {"fall", "mistake"}
    smoky = {emission.device.site.id for _, emission, r in readings(town, "home_smoke") if r.smoke}
    assert smoky == {smoke.site for smoke in truth.of("smoke")}
    assert smoky


def test_who_is_away_for_days_is_in_the_truth_and_the_home_is_still() -> None:
    town, truth = build(homes(40, away_per_year=60, away_mean_d=3))
    live(town, DAY_S)
    at_first = [left for left in truth.of("out") if left.at_s == 0 and left.details["for_days"]]
    away = {left.site for left in at_first if left.details["until_ms"] > MIDNIGHT_MS + DAY_S * 1000}
    assert away
    moving = {emission.device.site.id for _, emission, _ in readings(town, "home_motion")}
    assert not away & moving
    asleep_there = [r for m, e, r in readings(town, "wearable") if e.device.site.id in away and HOUR_S < m < 5 * HOUR_S]
    assert sum(reading.steps for reading in asleep_there) == 0
    awake_there = [r for m, e, r in readings(town, "wearable") if e.device.site.id in away and m > 8 * HOUR_S]
    assert sum(reading.steps for reading in awake_there) > 0


def test_a_described_resident_is_the_one_who_lives_there() -> None:
    _, truth = build("areas: {a01: {}}\nsites: [{kind: home, id: lin, area: a01, sex: male, age: 91}]\n")
    (resident,) = truth.of("resident")
    assert (resident.site, resident.details["sex"], resident.details["age"]) == ("lin", "male", 91)
