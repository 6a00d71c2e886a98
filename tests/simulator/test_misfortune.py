"""What befalls homes: as often as published, visible in what sensors say, and known to the truth from end to end."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from simulator.care.falls import draw_proneness, falls_per_year
from simulator.care.parameters import CareParameters
from simulator.care.resident import draw_resident
from simulator.randomness import Stream
from simulator.town import Emission, Town
from tests.simulator.towns import CALM, DAY_S, HOUR_S, TruthList, at_s, build, calm_but, live, spans, values


class Heard:
    """What homes said in a run, by measurement and home."""

    def __init__(self, town: Town, until_s: float) -> None:
        self._said: dict[tuple[str, str], list[tuple[float, Any]]] = defaultdict(list)
        live(town, until_s, hear=self._hear)

    def _hear(self, emission: Emission) -> None:
        said = self._said[emission.measurement.name, emission.device.site.id]
        said.append((at_s(emission), values(emission)))

    def all(self, measurement: str) -> list[Any]:
        return [reading for (name, _), said in self._said.items() if name == measurement for _, reading in said]

    def during(self, measurement: str, site: str, field: str, from_s: float, to_s: float) -> list[Any]:
        """The values a home said from one moment to another; times on the wire are whole milliseconds."""
        said = self._said[measurement, site]
        found = [getattr(reading, field) for moment, reading in said if from_s - 0.001 <= moment < to_s]
        return [value for value in found if value is not None]

    def times(self, measurement: str, site: str, field: str, from_s: float, to_s: float) -> list[float]:
        """When a field was true."""
        said = self._said[measurement, site]
        return [moment for moment, r in said if from_s - 0.001 <= moment <= to_s and getattr(r, field)]


@pytest.fixture(scope="module")
def ill() -> tuple[Heard, TruthList]:
    """Two weeks of people who are ill as often as the model allows."""
    care = {"prevalence_factor": 5.0, "infections_per_year": 3.0, "exacerbations_per_year": 3.0}
    town, truth = build(calm_but(20, **care) + "boost: 50")
    return Heard(town, 14 * DAY_S), truth


def test_falls_have_the_published_rates_by_sex_and_the_published_share_of_fallers_by_age() -> None:
    p, rates, fallers = CareParameters(), defaultdict(list), defaultdict(list)
    for number in range(12_000):
        resident = draw_resident(Stream(1, str(number), "traits"), p, None, None)
        rate = falls_per_year(resident, p, draw_proneness(Stream(1, str(number), "fall proneness"), p))
        rates[resident.sex].append(rate)
        fallers[min(resident.age // 10, 8)].append(1 - np.exp(-rate))
    for sex, per_1000 in (("male", 220), ("female", 324)):
        error = np.std(rates[sex]) / np.sqrt(len(rates[sex]))
        assert np.mean(rates[sex]) == pytest.approx(per_1000 / 1000, abs=3 * error)
    for decade, share in ((6, 0.163), (7, 0.217), (8, 0.273)):
        assert np.mean(fallers[decade]) == pytest.approx(share, abs=0.02)


def test_of_people_over_90_as_many_are_found_on_the_floor_as_published_and_as_many_lie_long_as_assumed() -> None:
    described = ", ".join(f"{{kind: home, id: old-{n}, area: a01, age: 92}}" for n in range(60))
    care = {**CALM, "falls_per_1000_men": 600, "falls_per_1000_women": 600, "hospital_share": 0, "outings_per_day": 0}
    _, truth = (town := build(f"areas: {{a01: {{}}}}\nsites: [{described}]\nparameters: {{care: {care}}}\nboost: 1000"))
    live(town[0], 3 * DAY_S, hear=lambda _: None)
    falls = [end.details for _, end in spans(truth, "fall")]
    assert len(falls) > 150
    error = 3 * np.sqrt(0.3 * 0.7 / len(falls)) + 0.03
    assert np.mean([fall["how"] == "found" for fall in falls]) == pytest.approx(0.54, abs=error)
    assert np.mean([fall["long_lie"] for fall in falls]) == pytest.approx(0.30, abs=error)


def test_a_wristband_tells_a_fall_from_a_clap_by_how_little_it_sways_afterwards() -> None:
    often = {"falls_per_1000_men": 900, "falls_per_1000_women": 900, "fall_sensitivity": 1.0, "falls_cv": 0.5}
    town, truth = build(calm_but(40, **often) + "boost: 2000")
    falls = Heard(town, DAY_S).all("wearable_fall")
    other, others = build(calm_but(40, false_falls_per_week=2.0) + "boost: 20")
    acts = Heard(other, DAY_S).all("wearable_fall")
    assert len(falls) > 60
    assert len(acts) > 60
    assert not truth.of("imagined_fall")
    assert not others.of("fall")
    assert np.mean([r.peak_g for r in falls]) == pytest.approx(5.51, abs=0.4)
    assert np.percentile([r.sway_g for r in falls], 95) < 0.5 < np.percentile([r.sway_g for r in acts], 95)


def test_an_infection_comes_on_slowly_and_shows_in_heart_and_breath_until_it_is_over(
    ill: tuple[Heard, TruthList],
) -> None:
    heard, truth = ill
    checked = 0
    for begin, end in spans(truth, "infection"):
        worst_s, quarter_s = begin.at_s + begin.details["onset_s"], begin.details["onset_s"] / 4
        if begin.at_s < DAY_S or end.at_s > 13 * DAY_S or begin.details["severity"] < 0.6:
            continue

        def pulse(from_s: float, length_s: float = DAY_S, site: str = begin.site) -> float:
            return float(np.median(heard.during("wearable", site, "heart_rate_bpm", from_s, from_s + length_s)))

        usual_bpm = pulse(begin.at_s - DAY_S)
        rise_bpm = pulse(worst_s) - usual_bpm
        assert rise_bpm > 5
        assert pulse(worst_s) > pulse(end.at_s) + 4
        assert pulse(begin.at_s, quarter_s) - pulse(begin.at_s - DAY_S, quarter_s) < 0.5 * rise_bpm + 3
        breaths = [
            np.mean(heard.during("home_bed", begin.site, "breathing_rate_brpm", at_s, at_s + DAY_S))
            for at_s in (begin.at_s - DAY_S, worst_s)
        ]
        assert breaths[1] > breaths[0] + 1
        assert end.at_s - begin.at_s > 3 * DAY_S
        checked += 1
    assert checked >= 2


def test_oxygen_falls_over_days_in_an_exacerbation_of_copd_and_only_in_those_who_have_it(
    ill: tuple[Heard, TruthList],
) -> None:
    heard, truth = ill
    has_copd = {resident.site for resident in truth.of("resident") if "copd" in resident.details["conditions"]}
    assert {begin.site for begin in truth.of("exacerbation")} <= has_copd
    checked = 0
    for begin in truth.of("exacerbation"):
        worst_s = begin.at_s + begin.details["onset_s"]
        if begin.at_s < DAY_S or worst_s > 13 * DAY_S or begin.details["severity"] < 0.5:
            continue
        before, soon, worst = (
            np.mean(heard.during("wearable", begin.site, "spo2_pct", at_s, at_s + DAY_S / 4))
            for at_s in (begin.at_s - DAY_S, begin.at_s, worst_s)
        )
        assert worst < before - 2
        assert soon > before - 2
        checked += 1
    assert checked >= 2


def test_the_boost_is_in_the_truth_and_what_lasts_for_days_is_boosted_to_a_quarter_of_the_time_at_most(
    ill: tuple[Heard, TruthList],
) -> None:
    _, truth = ill
    assert all(resident.details["boost"] == 50 for resident in truth.of("resident"))
    most = 20 * 14 * 0.25 / 7.5
    assert 0 < len(truth.of("infection")) < most + 4 * np.sqrt(most)


def test_a_paroxysm_is_a_fast_pulse_that_jumps_from_minute_to_minute_and_ends_as_it_began() -> None:
    town, truth = build(calm_but(10, prevalence_factor=20.0, paroxysms_per_year=180.0, paroxysm_log_sd=0.3))
    heard = Heard(town, 2.5 * DAY_S)
    jumps = []
    for begin, end in spans(truth, "paroxysm"):
        if begin.at_s > HOUR_S:
            before = heard.during("wearable", begin.site, "heart_rate_bpm", begin.at_s - HOUR_S, begin.at_s)
            during = heard.during("wearable", begin.site, "heart_rate_bpm", begin.at_s + 600, end.at_s)
            after = heard.during("wearable", begin.site, "heart_rate_bpm", end.at_s + 600, end.at_s + 3 * HOUR_S)
            assert np.median(during) > max(np.median(before), np.median(after)) + 5
            jumps.append(np.std(np.diff(during)) / np.std(np.diff(before)))
    assert len(jumps) >= 4
    assert np.mean(jumps) > 1.25


def test_whoever_wanders_at_night_leaves_the_bed_and_the_door_opens_only_for_those_who_go_out() -> None:
    astray = {"wanderings_per_year": 250.0, "leaves_home_share": 0.4, "alone_share": 1.0}
    town, truth = build(calm_but(12, prevalence_factor=20.0, callers_per_day=0, **astray))
    heard = Heard(town, 3 * DAY_S)
    walked = spans(truth, "wandering")
    assert len(walked) >= 8
    for begin, end in walked:
        hour = (begin.at_s % DAY_S) / HOUR_S
        assert hour < 5 or hour >= 22
        assert heard.during("home_bed", begin.site, "in_bed", begin.at_s, begin.at_s + 5)[0] is False
        opened = heard.times("home_door", begin.site, "open", begin.at_s, end.at_s + 60)
        assert bool(opened) == begin.details["leaves_home"]
        if opened:
            assert not heard.times("home_motion", begin.site, "motion", min(opened) + 15, max(opened) - 240)
    assert {begin.details["leaves_home"] for begin, _ in walked} == {True, False}


def test_water_left_running_goes_through_the_meter_until_somebody_notices() -> None:
    town, truth = build(calm_but(25, taps_left_open_per_year=1_000.0))
    heard = Heard(town, 2 * DAY_S)
    ran = [(begin, end) for begin, end in spans(truth, "water_running") if end.details["runs_s"] > HOUR_S / 2]
    assert len(ran) >= 5
    for begin, end in ran:
        metered = sum(heard.during("home_water", begin.site, "used_l", begin.at_s, end.at_s + 901))
        assert end.details["runs_s"] == pytest.approx(end.at_s - begin.at_s, abs=0.1)
        assert metered >= 0.99 * end.details["litres"]
        assert 2 < end.details["litres"] / (end.details["runs_s"] / 60) < 25
        assert end.details["flooded"] == (end.details["runs_s"] >= 2 * HOUR_S)


def test_a_dropped_wristband_peaks_like_a_fall_sways_not_at_all_and_is_not_worn_until_found() -> None:
    town, truth = build(calm_but(15, wristband_drops_per_year=700.0))
    heard = Heard(town, 1.5 * DAY_S)
    said = heard.all("wearable_fall")
    dropped = spans(truth, "wristband_dropped")
    assert len(dropped) >= 10
    assert len(said) == sum(drop.details["taken_for_fall"] for drop in truth.of("wristband_dropped"))
    assert all(reading.sway_g < 0.01 and reading.peak_g >= 4 for reading in said)
    for begin, end in dropped:
        assert not any(heard.during("wearable", begin.site, "worn", begin.at_s + 120, end.at_s))
        assert all(heard.during("wearable", begin.site, "worn", end.at_s + 120, end.at_s + 180))


def test_who_forgets_to_charge_falls_silent_and_is_heard_again_after_remembering() -> None:
    town, truth = build(calm_but(12, charging_forgotten_per_year=200.0, battery_h=30.0))
    heard = Heard(town, 6 * DAY_S)
    flat = [(begin, end) for begin, end in spans(truth, "charging_forgotten") if end.details["flat"]]
    assert len(flat) >= 2
    for _, end in flat:
        assert not heard.during("wearable", end.site, "battery_pct", end.at_s - 1_000, end.at_s)
        again_s = min(end.at_s + DAY_S / 8, 6 * DAY_S)
        assert heard.during("wearable", end.site, "battery_pct", end.at_s, again_s) or again_s == 6 * DAY_S


@pytest.mark.parametrize(("kind", "parameter"), [("visitors", "visits_per_week"), ("cleaning", "cleanings_per_week")])
def test_visitors_and_a_big_clean_make_more_movement_than_the_resident_alone(kind: str, parameter: str) -> None:
    plain, _ = build(calm_but(15))
    busy, truth = build(calm_but(15, **{parameter: 7.0}))
    heard, usual = Heard(busy, DAY_S), Heard(plain, DAY_S)
    during = [(begin, end) for begin, end in spans(truth, kind) if end.at_s - begin.at_s > HOUR_S / 2]
    assert len(during) >= 4

    def total(said: Heard, measurement: str, field: str) -> float:
        return sum(sum(said.during(measurement, b.site, field, b.at_s, e.at_s + 900)) for b, e in during)

    assert total(heard, "home_motion", "motion") > 1.2 * total(usual, "home_motion", "motion")
    if kind == "cleaning":
        assert total(heard, "home_water", "used_l") > 2 * total(usual, "home_water", "used_l")
