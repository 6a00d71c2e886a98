"""Kiosks break, technicians travel, supplies run out, sites go dark or offline; and what an operator may order."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from simulator.town import Town
from tests.simulator.towns import (
    DAY_S,
    HOUR_S,
    MIDNIGHT_MS,
    TruthList,
    at_s,
    build,
    by_device,
    centres,
    command,
    live,
    readings,
)

RELIABLE = {
    "card_reader_mtbf_h": 1e6,
    "frozen_screen_mtbf_h": 1e6,
    "network_mtbf_h": 1e6,
    "jam_per_session": 0.0,
    "maintenance_every_d": 0.0,
    "power_outages_per_year": 0.0,
    "uplink_outages_per_year": 0.0,
}


def repairs(**centre: Any) -> dict[str, list[float]]:
    """How long each kind of fault lasted, s, over two days of three large centres that nobody visits."""
    size = {"arrivals_persons_per_day": 0.01, "least_kiosks": 12}
    town, truth = build(centres(3, **{**RELIABLE, **size, **centre}))
    live(town, 2 * DAY_S)
    lasted: defaultdict[str, list[float]] = defaultdict(list)
    for end in truth.of("kiosk_fault_end"):
        lasted[end.details["fault"]].append(end.details["lasted_s"])
    return lasted


def test_each_mode_breaks_at_its_rate_and_takes_its_time() -> None:
    lasted = repairs(
        card_reader_mtbf_h=20.0,
        frozen_screen_mtbf_h=10.0,
        network_mtbf_h=10.0,
        card_reader_mttr_h=0.5,
        frozen_screen_mttr_h=0.1,
        network_mttr_h=2.0,
        centres_per_technician=0.0,
    )
    ratio = len(lasted["frozen_screen"]) / len(lasted["card_reader"])
    assert ratio == pytest.approx(2.0, rel=0.5)
    for fault, mttr_h in (("card_reader", 0.5), ("frozen_screen", 0.1), ("network", 2.0)):
        assert np.mean(lasted[fault]) == pytest.approx(mttr_h * HOUR_S, rel=0.3), fault


def test_a_technician_s_way_and_being_noticed_lengthen_a_repair_and_the_network_needs_none() -> None:
    often = {"frozen_screen_mtbf_h": 20.0, "network_mtbf_h": 20.0, "frozen_screen_mttr_h": 0.1}
    noticed = {"notice_after_h": 0.01, "centres_per_technician": 0.5, "technician_turnout_s": 0.0}
    fast = repairs(**often, **noticed, technician_m_per_s=10.0)
    slow = repairs(**often, **noticed, technician_m_per_s=0.5)
    assert np.mean(slow["frozen_screen"]) > np.mean(fast["frozen_screen"]) + 300
    assert np.mean(slow["network"]) == pytest.approx(np.mean(fast["network"]), rel=0.2)


def faulty(fault_h: float = 3.0, **centre: Any) -> tuple[Town, TruthList, str, str]:
    """A town whose screens freeze and are not noticed, and a kiosk that is out of order now."""
    text = centres(2, **{**RELIABLE, "frozen_screen_mtbf_h": fault_h, "notice_after_h": 1_000.0, **centre})
    town, truth = build(text)
    live(town, 2 * HOUR_S)
    last = truth.of("kiosk_fault")[-1]
    return town, truth, last.site, last.details["kiosk"]


def test_dispatch_sends_a_technician_now_and_says_when_that_makes_no_sense() -> None:
    town, truth, site, kiosk = faulty()
    assert command(town, site, kiosk, "dispatch").done
    assert command(town, site, kiosk, "dispatch").reason == f"a technician was sent to {kiosk} already"
    live(town, 6 * HOUR_S)
    (end,) = [e for e in truth.of("kiosk_fault_end") if (e.site, e.details["kiosk"]) == (site, kiosk)][:1]
    assert end.details["by"] == "technician"
    errands = [e.errand for _, _, e in readings(town, "crew_member") if e.errand is not None]
    assert set(errands) == {"repair kiosk"}
    quiet, _ = build(centres(1, arrivals_persons_per_day=0.01, size_cv=0.0, **RELIABLE))
    live(quiet, 60)
    assert command(quiet, "c01", "kiosk-1", "dispatch").reason == "kiosk-1 is not out of order"


def test_a_restart_calls_a_technician_back() -> None:
    town, truth, site, kiosk = faulty(technician_m_per_s=0.05)
    assert command(town, site, kiosk, "dispatch").done
    live(town, town.env.now + 600)
    assert command(town, site, kiosk, "restart").done
    live(town, town.env.now + 100)
    assert truth.of("kiosk_fault_end")[-1].details["by"] == "restart"
    states = [reading.state for _, _, reading in readings(town, "crew_member")]
    assert 3 in states[states.index(1) :], "the technician should have turned back"


@pytest.fixture(scope="module")
def hungry() -> Town:
    """A busy centre with small boxes of everything, and a technician near."""
    small = {"sheets_per_roll": 150, "pages_per_toner": 200, "blanks_per_box": 20, "refill_after_h": 1.0}
    town, _ = build(centres(1, arrivals_persons_per_day=500.0, size_cv=0.0, most_kiosks=9, **RELIABLE, **small))
    live(town, 3 * DAY_S)
    return town


def test_paper_toner_and_blanks_are_used_up_and_brought_by_a_technician(hungry: Town) -> None:
    filled: Counter[str] = Counter()
    before: dict[tuple[int, str], float] = {}
    for _, emission, reading in readings(hungry, "kiosk_state"):
        for name in ("paper_pct", "toner_pct", "blanks_pct"):
            left = getattr(reading, name)
            if left is not None:
                filled[name] += left > before.get((id(emission.device), name), 100.0)
                before[id(emission.device), name] = left
    assert min(filled[name] for name in ("paper_pct", "toner_pct", "blanks_pct")) >= 3
    arrived = [r for _, _, r in readings(hungry, "crew_member") if r.state == 2 and r.errand == "refill kiosk"]
    assert len(arrived) >= 5


def test_only_kiosks_that_make_cards_have_blanks_and_a_locker_needs_no_toner(hungry: Town) -> None:
    has: defaultdict[str, set[tuple[bool, bool]]] = defaultdict(set)
    for _, emission, reading in readings(hungry, "kiosk_state"):
        has[emission.device.labels["service"]].add((reading.blanks_pct is not None, reading.toner_pct is not None))
    assert has["household"] == {(True, True)}
    assert has["tax"] == {(False, True)}
    assert has["pick-up"] == {(False, False)}


def test_a_kiosk_that_is_out_of_blanks_serves_nobody_until_refill_brings_some() -> None:
    scarce = {"blanks_per_box": 5, "refill_after_h": 1_000.0, "retrial_share": 0.0}
    town, _ = build(centres(1, arrivals_persons_per_day=200.0, size_cv=0.0, most_kiosks=3, **RELIABLE, **scarce))
    live(town, 20 * HOUR_S)
    kiosk = "kiosk-1"  # the household one
    said = [(m, r) for m, e, r in readings(town, "kiosk_state") if e.device.id == kiosk]
    assert said[-1][1].blanks_pct == 0.0
    assert said[-1][1].state == 3
    assert command(town, "c01", kiosk, "refill").done
    assert command(town, "c01", kiosk, "refill").reason == f"a refill is on its way to {kiosk} already"
    live(town, town.env.now + 2 * HOUR_S)
    later = [r for m, e, r in readings(town, "kiosk_state") if e.device.id == kiosk and m > said[-1][0]]
    assert {r.state for r in later} >= {3, 0}
    assert later[-1].blanks_pct > 0


def test_planned_maintenance_is_at_night_and_as_long_as_planned() -> None:
    text = centres(2, **{**RELIABLE, "maintenance_every_d": 1.0}, arrivals_persons_per_day=0.01, size_cv=0.0)
    town, _ = build(text)
    live(town, 3 * DAY_S)
    began: dict[str, float] = {}
    lengths = []
    for moment, emission, reading in readings(town, "kiosk_state"):
        kiosk = f"{emission.device.site.id}/{emission.device.id}"
        if reading.state == 3:
            began.setdefault(kiosk, moment)
        elif kiosk in began:
            lengths.append(moment - began.pop(kiosk))
            assert 2 <= moment % DAY_S / HOUR_S <= 4.5
    assert len(lengths) >= 2 * 3 * 2
    assert lengths == pytest.approx([1_500.0] * len(lengths), abs=0.01)


@pytest.fixture(scope="module")
def cut() -> tuple[Town, TruthList]:
    """Two centres whose power and uplink often fail."""
    often = {"power_outages_per_year": 2_000.0, "uplink_outages_per_year": 1_000.0, "power_outage_h": 1.0}
    text = centres(2, **{**RELIABLE, **often, "assisted_share": 0.3}, arrivals_persons_per_day=400.0, size_cv=0.0)
    town, truth = build(text)
    live(town, 3 * DAY_S)
    return town, truth


def stretches(truth: TruthList, lost: str, site: str) -> list[tuple[float, float]]:
    """When power or uplink was away, and came back."""
    ends = [end for end in truth.of(f"{lost}_lost_end") if end.site == site]
    return [(end.at_s - end.details["lasted_s"], end.at_s) for end in ends]


def test_without_power_a_centre_is_silent_and_empty_and_truth_knows(cut: tuple[Town, TruthList]) -> None:
    town, truth = cut
    dark = stretches(truth, "power", "c01")
    assert len(dark) >= 4
    doors = [(m, r) for m, e, r in readings(town, "centre_door") if e.device.site.id == "c01"]
    for began_s, ended_s in dark:
        assert not [e for e in town.outbox if e.device.site.id == "c01" and began_s + 0.1 < at_s(e) < ended_s - 0.1]
        first = next((reading for moment, reading in doors if moment >= ended_s), None)
        assert first is None or first.occupancy_persons <= 3
    lost = [entry.details["persons"] for entry in truth.of("power_lost")]
    assert max(lost) > 2, "nobody was ever inside when the power went"


def test_people_are_conserved_through_power_cuts(cut: tuple[Town, TruthList]) -> None:
    town, _ = cut
    for site in ("c01", "c13"):
        doors = [reading for _, e, reading in readings(town, "centre_door") if e.device.site.id == site]
        entered = sum(door.entries_persons for door in doors[1:])
        left = sum(door.exits_persons for door in doors[1:])
        assert doors[0].occupancy_persons + entered - left == doors[-1].occupancy_persons


def test_without_uplink_readings_come_late_and_whole_and_no_operator_helps(cut: tuple[Town, TruthList]) -> None:
    town, truth = cut
    offline = stretches(truth, "uplink", "c01")
    assert len(offline) >= 4
    said = by_device(town)["c01/door"]
    seqs = [e.seq for e in town.outbox if e.device.site.id == "c01" and e.device.id == "door"]
    assert seqs == list(range(1, len(said) + 1))
    times = [at_s(e) for e in town.outbox if e.device.site.id == "c01" and e.device.id == "door"]
    dark = stretches(truth, "power", "c01")
    for began_s, ended_s in offline:
        expected_s = sum(
            max(min(ended_s, until_s) - max(began_s, from_s), 0) for from_s, until_s in [(began_s, ended_s)]
        ) - sum(max(min(ended_s, until_s) - max(began_s, from_s), 0) for from_s, until_s in dark)
        minutes = sum(began_s <= moment < ended_s for moment in times)
        assert minutes == pytest.approx(expected_s / 60, abs=3)
    causes = Counter(session.cause for _, _, session in readings(town, "kiosk_session"))
    assert causes["no_help"] > 0
    assert causes["offline"] > 0
    kinds = Counter((r.lost, e.device.kind) for _, e, r in readings(town, "gateway_outage"))
    assert set(kinds) == {("power", "gateway"), ("uplink", "gateway")}


def test_energy_stands_still_while_there_is_no_power(cut: tuple[Town, TruthList]) -> None:
    town, truth = cut
    meter = [(m, r.energy_kwh) for m, e, r in readings(town, "centre_energy") if e.device.site.id == "c01"]
    for began_s, ended_s in stretches(truth, "power", "c01"):
        before = [kwh for moment, kwh in meter if moment < began_s]
        after = [kwh for moment, kwh in meter if moment > ended_s]
        if before and after and ended_s - began_s > 600:
            assert after[0] - before[-1] < 0.25  # what two part minutes use at most


def test_a_town_with_outages_is_the_same_each_time() -> None:
    often = {"power_outages_per_year": 2_000.0, "uplink_outages_per_year": 2_000.0, "frozen_screen_mtbf_h": 10.0}
    towns = [build(centres(3, **often), start_ms=MIDNIGHT_MS + 8 * HOUR_S * 1000) for _ in range(2)]
    for town, _ in towns:
        live(town, 6 * HOUR_S, slice_s=700.0)
    assert by_device(towns[0][0]) == by_device(towns[1][0])
    assert towns[0][1].happenings == towns[1][1].happenings
