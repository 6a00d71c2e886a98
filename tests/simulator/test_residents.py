"""Residents and their homes: what is the matter with them, what they do, and the devices that tell of it."""

import itertools
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from haina.contract.care import DISPENSER_STATES, ROOMS
from simulator.application import Place, found
from simulator.care import HOME, CareParameters, HomePlan, move_in
from simulator.care.appliance import FUSE_W, PowerMeter
from simulator.care.body import Bodies, VitalShift
from simulator.care.condition import CONDITIONS, frailty, prevalence
from simulator.care.dispenser import DUE, LATE, LATE_AFTER_S, MISSED, MISSED_AFTER_S, READY, TAKEN
from simulator.care.home import Home
from simulator.care.resident import draw_resident
from simulator.randomness import Stream
from simulator.town import Emission, Town
from tests.simulator.towns import DAY_S, HOUR_S, MIDNIGHT_MS, TruthList, at_s, build, homes, live, readings, values

UNDISTURBED = {
    "away_per_year": 0.0,
    "contact_losses_per_year": 0.0,
    "uplink_losses_per_year": 0.0,
    "battery_life_factor": 100.0,
}


def described(count: int, conditions: str, *, lives_alone: bool = True, **care: float) -> str:
    """A scenario of so many homes whose residents differ from one scenario to another in nothing but this."""
    care = UNDISTURBED | {"prevalence_factor": 0.0} | care
    sites = "\n".join(
        f"  - {{kind: home, id: home{number}-x, area: a01, age: 72, lives_alone: {str(lives_alone).lower()}, "
        f"conditions: [{conditions}]}}"
        for number in range(count)
    )
    return f"areas: {{a01: {{}}}}\nparameters: {{care: {care}}}\nsites:\n{sites}\n"


class Heard:
    """What homes said of their residents' bodies in some days."""

    def __init__(self, text: str, days: float) -> None:
        self.town, self.truth = build(text)
        self.pulse: list[float] = []
        self.spo2: list[float] = []
        self.beats_ms: list[float] = []
        self.breaths: list[float] = []
        self.steps = self.moves = self.night_bathroom = 0
        live(self.town, days * DAY_S, hear=self._hear)

    def _hear(self, emission: Emission) -> None:
        name, reading = emission.measurement.name, values(emission)
        match name:
            case "wearable":
                self.steps += reading.steps
                if reading.worn:
                    self.pulse.append(reading.heart_rate_bpm)
                if reading.spo2_pct is not None:
                    self.spo2.append(reading.spo2_pct)
                    self.beats_ms.append(reading.beat_interval_sd_ms)
            case "home_bed" if reading.in_bed and reading.breathing_rate_brpm:
                self.breaths.append(reading.breathing_rate_brpm)
            case "home_motion" if reading.motion:
                self.moves += 1
                hour = self.town.local_hour(at_s(emission))
                self.night_bathroom += emission.device.id == "pir-bathroom" and hour < 6


@pytest.fixture(scope="module")
def well() -> Heard:
    return Heard(described(6, ""), 2)


def test_the_published_pulses_are_the_means_of_all_with_and_without_a_fibrillating_heart() -> None:
    p = CareParameters(af_heart_bpm=60.0)  # so that it shows
    drawn = [draw_resident(Stream(1, str(number), "traits"), p) for number in range(12_000)]
    assert np.mean([resident.resting_bpm for resident in drawn]) == pytest.approx(p.resting_bpm, abs=0.4)
    assert np.mean([resident.asleep_bpm for resident in drawn]) == pytest.approx(p.asleep_bpm, abs=0.4)


def test_atrial_fibrillation_beats_faster_and_less_evenly(well: Heard) -> None:
    p, ill = CareParameters(), Heard(described(6, "atrial-fibrillation"), 2)
    assert np.mean(ill.pulse) - np.mean(well.pulse) == pytest.approx(p.af_heart_bpm, abs=1)
    assert np.mean(ill.beats_ms) - np.mean(well.beats_ms) == pytest.approx(p.af_beat_interval_sd_ms, abs=8)
    assert np.std(np.diff(ill.pulse)) > 1.3 * np.std(np.diff(well.pulse))
    assert ill.moves == well.moves  # and in nothing else


def test_copd_lowers_oxygen_quickens_breath_and_shortens_walks(well: Heard) -> None:
    p, ill = CareParameters(), Heard(described(6, "copd"), 2)
    assert np.mean(well.spo2) - np.mean(ill.spo2) == pytest.approx(p.copd_spo2_pct, abs=0.4)
    assert np.mean(ill.breaths) - np.mean(well.breaths) == pytest.approx(p.copd_breathing_brpm, abs=0.3)
    assert p.copd_steps * p.copd_pace * 0.7 < ill.steps / well.steps < p.copd_steps * 1.3


def test_dementia_breaks_up_nights_and_forgets_medicine() -> None:
    text, forgets = described(12, "dementia"), CareParameters().dementia_missed_share
    well, ill = Heard(described(12, ""), 4), Heard(text, 4)
    assert ill.night_bathroom > 1.3 * well.night_bathroom
    missed, all_doses = _missed(ill.truth)
    assert missed / all_doses == pytest.approx(forgets, abs=4 * np.sqrt(forgets / all_doses))
    assert missed / all_doses > 2 * np.divide(*_missed(well.truth))


def _missed(truth: TruthList) -> tuple[int, int]:
    outcomes = Counter(dose.details["outcome"] for dose in truth.of("medicine_end"))
    return outcomes["missed"], outcomes.total()


def test_a_partner_is_seen_by_infrared_and_changes_nothing_of_the_residents_own(well: Heard) -> None:
    two = Heard(described(6, "", lives_alone=False), 2)
    assert 1.2 < two.moves / well.moves < 2
    assert (two.pulse, two.steps) == (well.pulse, well.steps)


def test_conditions_are_as_common_as_their_prevalence_and_commoner_with_age() -> None:
    p = CareParameters()
    drawn = [draw_resident(Stream(1, f"resident {number}", "traits"), p) for number in range(4_000)]
    for condition in CONDITIONS:
        expected = np.mean([prevalence(condition, resident.age) for resident in drawn])
        share = np.mean([condition in resident.conditions for resident in drawn])
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / len(drawn)))
        assert prevalence(condition, 90) > prevalence(condition, 60)
    assert np.mean([r.is_frail for r in drawn]) == pytest.approx(np.mean([frailty(r.age) for r in drawn]), abs=0.02)
    assert np.mean([r.lives_alone for r in drawn]) == pytest.approx(p.alone_share, abs=0.02)
    assert np.mean([prevalence("dementia", r.age) for r in drawn]) == pytest.approx(0.060, abs=0.005)


# -- devices that agree -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kitchen() -> Town:
    """A day of ten homes, their wristbands aside."""
    town, _ = build(homes(10, **UNDISTURBED))
    live(town, DAY_S)
    return town


def test_whoever_turns_the_stove_on_is_in_the_kitchen_and_the_meter_turns_faster(kitchen: Town) -> None:
    moves, power = defaultdict(list), defaultdict(list)
    for moment, emission, reading in readings(kitchen, "home_motion"):
        if reading.motion and emission.device.id == "pir-kitchen":
            moves[emission.device.site.id].append(moment)
    for moment, emission, reading in readings(kitchen, "home_power"):
        power[emission.device.site.id].append((moment, reading.power_w))
    burning, long_burns = {}, 0
    for moment, emission, reading in readings(kitchen, "home_stove"):
        home = emission.device.site.id
        if reading.on and home not in burning:
            burning[home] = moment
            assert any(abs(moment - moved) < 11 for moved in moves[home])  # or its sensor was deaf just then
        elif not reading.on and home in burning:
            began = burning.pop(home)
            full = [watts for at, watts in power[home] if at - 900 >= began and at <= moment]
            assert all(watts > 1_100 for watts in full)
            long_burns += len(full)
    assert long_burns > 3


def test_electricity_grows_by_what_is_drawn_and_a_home_uses_a_few_units_a_day(kitchen: Town) -> None:
    by_home: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for moment, emission, reading in readings(kitchen, "home_power"):
        by_home[emission.device.site.id].append((moment, reading.energy_kwh, reading.power_w))
    for said in by_home.values():
        for (_, before_kwh, _), (_, kwh, watts) in itertools.pairwise(said):
            assert kwh - before_kwh == pytest.approx(watts * 900 / 3.6e6, abs=0.002)
    assert 1.5 < np.mean([said[-1][1] - said[0][1] for said in by_home.values()]) < 8


def test_a_dose_is_due_then_taken_or_late_and_at_last_missed_and_counted_once(kitchen: Town) -> None:
    follows = {READY: {READY, DUE}, DUE: {DUE, TAKEN, LATE}, TAKEN: {TAKEN, READY, DUE}, LATE: {LATE, TAKEN, MISSED}}
    follows[MISSED] = {READY, DUE}
    assert set(follows) == set(DISPENSER_STATES)
    last: dict[str, Any] = {}
    seen: Counter[int] = Counter()
    for _, emission, reading in readings(kitchen, "home_medicine"):
        before = last.get(emission.device.site.id)
        if before is not None:
            assert reading.state in follows[before.state]
            counts_down = reading.state in {TAKEN, MISSED} and reading.state != before.state
            filled = reading.remaining_doses > before.remaining_doses
            assert filled or before.remaining_doses - reading.remaining_doses == counts_down
        if reading.delay_s is not None:
            assert reading.state == TAKEN
            assert reading.delay_s <= MISSED_AFTER_S
        seen[reading.state] += before is None or before.state != reading.state
        last[emission.device.site.id] = reading
    assert seen[TAKEN] > seen[MISSED]
    assert LATE_AFTER_S < MISSED_AFTER_S


def test_a_flat_battery_is_silent_until_it_is_replaced() -> None:
    town, truth = build(homes(4, **UNDISTURBED | {"battery_life_factor": 0.003, "battery_replaced_after_d": 0.3}))
    live(town, 3 * DAY_S)
    said = defaultdict(list)
    for emission in town.outbox:
        said[emission.device.site.id, emission.device.id].append(at_s(emission))
    replaced = {(h.site, h.details["device"]): h.at_s for h in truth.of("battery_flat_end")}
    silences = 0
    for flat in truth.of("battery_flat"):
        key = flat.site, flat.details["device"]
        until_s = flat.at_s + flat.details["lasts_s"] - 1
        late = [moment for moment in said[key] if flat.at_s + 60 < moment < min(until_s, 3 * DAY_S)]
        assert not late, (key, flat, late[:3])
        silences += until_s - flat.at_s > HOUR_S
    assert silences > 10
    fresh = [r.battery_pct for m, e, r in readings(town, "home_device") if _since(replaced, e, m) < HOUR_S]
    assert not fresh or min(fresh) > 80


def _since(replaced: dict[tuple[str, str], float], emission: Emission, moment: float) -> float:
    since_s = moment - replaced.get((emission.device.site.id, emission.device.id), np.inf)
    return since_s if since_s >= 0 else np.inf


def test_a_home_without_uplink_speaks_late_with_the_times_it_measured_at() -> None:
    town, truth = build(homes(3, **UNDISTURBED | {"uplink_losses_per_year": 900.0}))
    latest_s, counts = 0.0, Counter[str]()
    while town.env.now < DAY_S:
        town.env.run(until=town.env.now + 60)
        for emission in town.outbox:
            latest_s = max(latest_s, town.env.now - at_s(emission))
            counts[repr(emission.device)] += 1
            assert emission.seq == counts[repr(emission.device)]
        town.outbox.clear()
    assert truth.of("uplink_lost")
    assert latest_s > 300


# -- what others may do to a home and its resident ---------------------------------------------------


def settled(count: int) -> tuple[Town, list[Home], Bodies]:
    """Homes whose parts a test may reach."""
    truth = TruthList()
    town = Town(seed=1, start_ms=MIDNIGHT_MS, run="test", boot=1, truth=truth)
    places = [Place(found(town, "a01", f"h{number}", HOME.kind), HomePlan()) for number in range(count)]
    town_homes, bodies, _ = move_in(town, places, CareParameters(**UNDISTURBED), 1.0)
    return town, town_homes, bodies


def test_a_body_drifts_evenly_to_where_it_is_told_and_back_again() -> None:
    town, _, bodies = settled(2)
    bodies.shift(0, VitalShift(heart_bpm=12, spo2_pct=-6, activity=0.5), over_s=30 * 60)
    for minute in range(1, 31):
        bodies.begin_minute()
        assert bodies.activity(0) == pytest.approx(1 - 0.5 * minute / 30)
    assert bodies.activity(1) == 1
    ill, usual = [], []
    for _ in range(300):
        bodies.begin_minute()
        ill.append(bodies.examined(0))
        usual.append(bodies.examined(1))
    bodies.shift(0, VitalShift(), over_s=30 * 60)
    well = []
    for _ in range(400):
        bodies.begin_minute()
        well.append(bodies.examined(0))
    fell = np.mean(well[100:], axis=0) - np.mean(ill, axis=0)
    assert fell[0] == pytest.approx(-12, abs=1.5)
    assert fell[2] == pytest.approx(6, abs=0.5)
    assert len(town.outbox) == 0


def test_a_tap_left_open_runs_through_the_meter_until_it_is_shut() -> None:
    town, (home,), _ = settled(1)
    town.env.run(until=HOUR_S)
    home.report_water(HOUR_S)
    home.open_tap(6.0)
    town.env.run(until=HOUR_S + 900)
    home.open_tap(0.0)
    town.env.run(until=HOUR_S + 3_600)
    home.report_water(HOUR_S + 3_600)
    used = [reading.used_l for _, _, reading in readings(town, "home_water")]
    assert used[-1] == pytest.approx(90, abs=25)  # and a visit to the bathroom, perhaps


def test_a_stove_left_alone_is_cut_by_its_guard() -> None:
    town, (home,), _ = settled(1)
    town.env.run(until=2 * HOUR_S)  # asleep
    home.stove.switch(True)
    town.env.run(until=4 * HOUR_S)
    said = [(moment - 2 * HOUR_S, r.on, r.unattended_s) for moment, _, r in readings(town, "home_stove")]
    assert said[0][:2] == (0, True)
    on = [entry for entry in said if entry[1]]
    assert len(on) >= 6
    assert not home.stove.is_on or said[-1][2] < CareParameters().stove_cut_after_s


def test_rooms_of_activities_are_rooms_with_sensors() -> None:
    from simulator.care.activity import BY_NAME
    from simulator.care.rhythm import shipped

    assert {activity.room for activity in BY_NAME.values()} == set(ROOMS)
    assert all(activity.then in {"", *BY_NAME} for activity in BY_NAME.values())
    for table in (*shipped().begin_at, *(row for rows in shipped().next_room.values() for row in rows.values())):
        assert list(table) == sorted(table)
        assert table[-1] == 1


def test_a_kettle_just_before_the_meter_reports_draws_what_a_fuse_lets_through_and_loses_no_energy() -> None:
    town, _ = build("areas: {a01: {}}")
    meter = PowerMeter(town.site("a01", "flat", "home", (121.4, 31.25)).device("power", "power-meter"))
    meter.use(180_000.0)
    for moment_s in (0.1, 900.1, 1_800.1):
        town.env.run(until=moment_s)
        meter.report(moment_s)
    first, second, third = (values for _, _, values in readings(town, "home_power"))
    assert first.power_w == FUSE_W
    assert second.power_w - third.power_w == pytest.approx(180_000 / 900, rel=0.35)  # but for the fridge's whims
