"""Unmanned service centres: queueing laws hold, people and kilowatt-hours are conserved, kiosks break and recover."""

import itertools
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from haina.contract.centre import CENTRE, SERVICES
from simulator.centres.centre import kinds_of
from simulator.town import Town
from tests.simulator.towns import DAY_S, HOUR_S, TruthList, build, centres, command, live, readings

CALM = {
    "card_reader_mtbf_h": 1e6,
    "frozen_screen_mtbf_h": 1e6,
    "network_mtbf_h": 1e6,
    "jam_per_session": 0.0,
    "refill_below_pct": 0.0,
    "sheets_per_roll": 100_000,
    "pages_per_toner": 1_000_000,
    "blanks_per_box": 100_000,
    "retrial_share": 0.0,
    "power_outages_per_year": 0.0,
}
ENDLESS = {"patience_mean_s": 86_400.0, "balk_at_persons": 1_000}


def busy(**centre: Any) -> str:
    """A centre with five kiosks and rather many customers for them."""
    return centres(1, arrivals_persons_per_day=700.0, size_cv=0.0, most_kiosks=5, **centre)


@pytest.fixture(scope="module")
def days() -> tuple[Town, TruthList]:
    """Three days of four centres with the usual parameters, but kiosks that often break."""
    often = {"card_reader_mtbf_h": 33.0, "frozen_screen_mtbf_h": 25.0, "network_mtbf_h": 33.0, "jam_per_session": 0.02}
    soon = {"notice_after_h": 0.2, "centres_per_technician": 1.0, "refill_after_h": 1.0}
    town, truth = build(centres(4, **often, **soon, sheets_per_roll=120))
    live(town, 3 * DAY_S)
    return town, truth


def test_every_measurement_of_the_contract_is_said_and_every_reading_passes_its_decoder(
    days: tuple[Town, TruthList],
) -> None:
    town, _ = days
    for emission in town.outbox:
        emission.measurement.decoder.decode(emission.payload)
    said = {e.measurement.name for e in town.outbox}
    assert {m.name for m in CENTRE} - {"gateway_outage"} == said - {"weather", "crew_member", "gateway_outage"}


def test_little_s_law_holds_in_the_queue() -> None:
    town, _ = build(busy(service_mean_s=210.0, **CALM, **ENDLESS))
    live(town, 4 * DAY_S)
    waiting = [reading.waiting_persons for _, _, reading in readings(town, "centre_queue")]
    waits = [reading.wait_s for _, _, reading in readings(town, "kiosk_session")]
    length, rate_per_s, wait_s = np.mean(waiting), len(waits) / (4 * DAY_S), np.mean(waits)
    assert length > 0.5
    assert length == pytest.approx(rate_per_s * wait_s, rel=0.03)


def test_the_longest_wait_is_that_of_somebody_who_waits() -> None:
    town, _ = build(busy(**CALM))
    live(town, DAY_S)
    for (_, _, before), (_, _, reading) in itertools.pairwise(readings(town, "centre_queue")):
        assert (reading.waiting_persons == 0) == (reading.longest_wait_s == 0.0)
        assert reading.longest_wait_s <= before.longest_wait_s + 60.1


def test_impatient_people_renege_and_patient_ones_do_not() -> None:
    reneged = {}
    for patience_s in (60.0, 86_400.0):
        town, _ = build(busy(patience_mean_s=patience_s, balk_at_persons=1_000, service_mean_s=210.0, **CALM))
        live(town, DAY_S)
        reneged[patience_s] = sum(reading.reneged_persons for _, _, reading in readings(town, "centre_queue"))
    assert reneged[60.0] > 50
    assert reneged[86_400.0] < reneged[60.0] / 10


def test_nobody_joins_a_queue_at_which_people_balk() -> None:
    town, _ = build(busy(service_mean_s=600.0, patience_mean_s=86_400.0, balk_at_persons=2, **CALM))
    live(town, DAY_S)
    said = [reading for _, _, reading in readings(town, "centre_queue")]
    assert sum(reading.balked_persons for reading in said) > 20
    assert max(reading.waiting_persons for reading in said) <= 2 * 5


def test_whom_the_gate_let_in_came_in_and_is_inside_or_has_left(days: tuple[Town, TruthList]) -> None:
    town, _ = days
    inside: dict[str, int] = {}
    missing: Counter[str] = Counter()
    for _, emission, check in readings(town, "gate_check"):
        missing[emission.device.site.id] += check.outcome == "passed"
    for _, emission, door in readings(town, "centre_door"):
        site = emission.device.site.id
        if site in inside:
            inside[site] += door.entries_persons - door.exits_persons
            assert door.occupancy_persons == inside[site]
        inside[site] = door.occupancy_persons
        missing[site] -= door.entries_persons
    assert all(0 <= at_the_gate <= 6 for at_the_gate in missing.values())


def test_whoever_took_a_ticket_was_served_balked_reneged_or_is_still_there() -> None:
    town, _ = build(busy(**CALM))
    live(town, DAY_S)
    queue = [reading for _, _, reading in readings(town, "centre_queue")]
    asked = sum(reading.arrivals_persons for reading in queue)
    gone = sum(reading.balked_persons + reading.reneged_persons for reading in queue)
    sessions = len(readings(town, "kiosk_session"))
    assert asked > 500
    assert 0 <= asked - gone - sessions - queue[-1].waiting_persons <= 5


def test_a_kiosk_offers_only_services_of_its_kind_and_a_busy_state_surrounds_each_session(
    days: tuple[Town, TruthList],
) -> None:
    town, _ = days
    state: dict[int, int] = {}
    sessions = 0
    for emission in town.outbox:
        name = emission.measurement.name
        if name not in {"kiosk_state", "kiosk_session"}:
            continue
        reading = emission.measurement.decoder.decode(emission.payload).values
        if name == "kiosk_state":
            state[id(emission.device)] = reading.state
            assert (reading.state == 2) <= (reading.fault != "none")
        else:
            sessions += 1
            assert reading.service in SERVICES[emission.device.labels["service"]]
            assert state[id(emission.device)] in {1, 2}  # 2 when it broke in the session
    assert sessions > 500


def test_truth_has_every_fault_that_kiosks_show_with_its_beginning_end_and_kind(days: tuple[Town, TruthList]) -> None:
    town, truth = days
    shown: Counter[tuple[str, str, str]] = Counter()
    before: dict[str, str] = defaultdict(lambda: "none")
    for _, emission, reading in readings(town, "kiosk_state"):
        kiosk = f"{emission.device.site.id}/{emission.device.id}"
        if reading.fault not in {"none", before[kiosk]}:
            shown[emission.device.site.id, emission.device.id, reading.fault] += 1
        before[kiosk] = reading.fault
    known = Counter((fault.site, fault.details["kiosk"], fault.details["fault"]) for fault in truth.of("kiosk_fault"))
    assert shown == known
    assert {kind for _, _, kind in known} == {"card_reader", "frozen_screen", "network", "paper_jam"}
    ended = Counter((end.site, end.details["kiosk"], end.details["fault"]) for end in truth.of("kiosk_fault_end"))
    assert not ended - known
    assert known.total() - ended.total() <= 8


def test_a_customer_of_a_breaking_kiosk_has_failed_there_and_most_are_served_elsewhere(
    days: tuple[Town, TruthList],
) -> None:
    town, _ = days
    outcomes = Counter(reading.outcome for _, _, reading in readings(town, "kiosk_session"))
    assert set(outcomes) == {"completed", "failed", "assisted"}
    assert outcomes["assisted"] / outcomes.total() == pytest.approx(0.1, abs=0.04)
    assert outcomes["completed"] > 0.75 * outcomes.total()


def test_paper_is_used_up_and_filled_again(days: tuple[Town, TruthList]) -> None:
    town, _ = days
    refills = 0
    paper: dict[int, float] = {}
    for _, emission, reading in readings(town, "kiosk_state"):
        refills += reading.paper_pct > paper.get(id(emission.device), 100.0)
        paper[id(emission.device)] = reading.paper_pct
    assert refills > 5


def kiosk_with(town: Town, truth: TruthList, *faults: str) -> tuple[str, str]:
    """Live on until a kiosk has one of these faults; its site and id."""
    for _ in range(2_000):
        town.env.run(until=town.env.now + 60)
        for fault in truth.of("kiosk_fault")[-1:]:
            if fault.details["fault"] in faults and fault.at_s > town.env.now - 60:
                return fault.site, fault.details["kiosk"]
    raise AssertionError(f"no kiosk had {faults}")


def test_a_restart_cures_a_frozen_screen_after_ninety_seconds() -> None:
    town, truth = build(centres(2, frozen_screen_mtbf_h=20.0, notice_after_h=500.0))
    site, kiosk = kiosk_with(town, truth, "frozen_screen", "card_reader")
    assert command(town, site, kiosk, "restart").done
    began_s = town.env.now
    town.env.run(until=began_s + 91)
    (end,) = [e for e in truth.of("kiosk_fault_end") if e.site == site and e.details["kiosk"] == kiosk]
    assert end.details["by"] == "restart"
    assert end.at_s == pytest.approx(began_s + 90)
    said = [
        (m, r.state) for m, e, r in readings(town, "kiosk_state") if (e.device.site.id, e.device.id) == (site, kiosk)
    ]
    assert next(state for moment, state in said if began_s - 0.01 <= moment < began_s + 89) == 3
    assert 3 not in {state for moment, state in said if moment > began_s + 90.01}


def test_a_restart_does_not_cure_a_paper_jam_and_the_reply_says_so() -> None:
    town, truth = build(centres(2, jam_per_session=0.2, notice_after_h=50.0))
    site, kiosk = kiosk_with(town, truth, "paper_jam")
    reply = command(town, site, kiosk, "restart")
    assert not reply.done
    assert reply.reason == "a restart does not cure paper jam; dispatch a technician"
    assert (reply.code, reply.values) == ("needs_technician", {"fault": "paper_jam"})


def test_a_busy_kiosk_is_not_restarted_and_an_idle_one_is() -> None:
    town, _ = build(busy(service_mean_s=1_000.0, **CALM), start_ms=1_790_042_400_000)  # 10:00
    live(town, 2 * HOUR_S)
    states = {e.device.id: r.state for _, e, r in readings(town, "kiosk_state")}
    reply = command(town, "c01", next(kiosk for kiosk, state in states.items() if state == 1), "restart")
    assert not reply.done
    assert "is serving a customer" in reply.reason
    quiet, _ = build(centres(1, arrivals_persons_per_day=0.01, size_cv=0.0, **CALM))
    live(quiet, 600)
    assert command(quiet, "c01", "kiosk-1", "restart").done
    again = command(quiet, "c01", "kiosk-1", "restart")
    assert again.reason == "kiosk-1 is in maintenance already"
    quiet.env.run(until=700)
    assert readings(quiet, "kiosk_state")[-1][2].state == 0


def test_carbon_dioxide_rises_with_people_and_falls_back_towards_outdoors() -> None:
    town, _ = build(busy(**CALM, day_cv=0.0, hour_cv=0.0))
    live(town, DAY_S)
    people: dict[int, list[int]] = defaultdict(list)
    co2: dict[int, list[float]] = defaultdict(list)
    for moment, _, door in readings(town, "centre_door"):
        people[int(moment // HOUR_S)].append(door.occupancy_persons)
    for moment, _, air in readings(town, "centre_air"):
        co2[int(moment // HOUR_S)].append(air.co2_ppm)
    hours = sorted(people)
    assert np.corrcoef([np.mean(people[h]) for h in hours], [np.mean(co2[h]) for h in hours])[0, 1] > 0.85
    assert np.mean(co2[4]) == pytest.approx(425, abs=25)
    assert 550 < max(np.mean(values) for values in co2.values()) < 2_500


def test_the_room_keeps_between_its_set_points_in_summer_and_in_winter() -> None:
    for start_ms in (1_784_822_400_000, 1_768_492_800_000):  # July and January of 2026
        town, _ = build(centres(1), start_ms=start_ms)
        live(town, DAY_S)
        temperatures = [air.temperature_c for _, _, air in readings(town, "centre_air")]
        assert min(temperatures[60:]) > 19.5
        assert max(temperatures[60:]) < 26.5


def test_energy_is_power_over_time(days: tuple[Town, TruthList]) -> None:
    town, _ = days
    meters: dict[str, list[tuple[float, Any]]] = defaultdict(list)
    for moment, emission, reading in readings(town, "centre_energy"):
        meters[emission.device.site.id].append((moment, reading))
    for said in meters.values():
        used = sum(reading.power_w * 60 / 3.6e6 for _, reading in said[1:])
        assert said[-1][1].energy_kwh - said[0][1].energy_kwh == pytest.approx(used, rel=0.01)
        assert 10 < used / 3 < 120


def test_kiosks_are_dealt_by_demand_and_the_smallest_centre_has_three_kinds() -> None:
    assert kinds_of(3) == ["household", "social-security", "medical-insurance"]
    assert Counter(kinds_of(12)) == {
        "household": 3,
        "social-security": 3,
        "medical-insurance": 2,
        "certificate": 1,
        "tax": 1,
        "pick-up": 1,
        "business-licence": 1,
    }


def test_a_described_centre_has_the_kiosks_and_the_demand_it_was_given() -> None:
    text = "areas: {a01: {}}\nsites: [{kind: centre, id: hall, area: a01, kiosks: 7, arrivals_persons_per_day: 900}]\n"
    town, _ = build(text)
    assert sum(device.kind == "kiosk" for device in town.sites["hall"].devices.values()) == 7
    live(town, DAY_S)
    assert sum(door.entries_persons for _, _, door in readings(town, "centre_door")) == pytest.approx(900, rel=0.4)


def test_a_centre_is_in_its_steady_state_soon_after_any_start() -> None:
    inside = []
    for seed in range(12):
        town, _ = build(busy(**CALM), seed=seed, start_ms=1_790_042_400_000)  # 10:00
        live(town, 5 * 60)
        inside += [door.occupancy_persons for moment, _, door in readings(town, "centre_door") if moment > 120]
    assert np.mean(inside) > 2


def test_air_that_is_wet_through_is_said_as_any_other() -> None:
    """At a limit a number stays what it is: 100.0 and never 100, or a store would give other bytes back."""
    town, _ = build(centres(1, moisture_g_per_h_person=500.0, air_changes_per_h=0.1, arrivals_persons_per_day=2_000.0))
    live(town, DAY_S / 2)
    humidities = [values.humidity_pct for _, _, values in readings(town, "centre_air")]
    assert max(humidities) == 100.0
