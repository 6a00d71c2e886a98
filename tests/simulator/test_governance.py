"""Street governance: troubles, reports, incidents from opening to closing, crews, commands."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from haina.contract import Topic, TopicClass
from haina.contract.governance import INCIDENT_KINDS
from simulator.governance.parameters import GovernanceParameters
from simulator.run import begin
from simulator.town import Town
from tests.simulator.towns import DAY_S, HOUR_S, MIDNIGHT_MS, TruthList, build, by_device, command, live, readings

DAYS = 10
BUSY = {"parking_per_day": 6, "noise_per_day": 2, "leaks_per_year": 90, "lift_mtbf_d": 6, "flooding_per_rain_h": 0.3}
NEXT = {
    "opened": {"assigned"},
    "assigned": {"arrived"},
    "arrived": {"closed"},
    "closed": {"reopened"},
    "reopened": {"assigned"},
}


def streets(blocks: int, **governance: Any) -> str:
    return f"areas: {{a01: {{blocks: {blocks}}}}}\nparameters: {{governance: {governance}}}\n".replace("'", "")


@pytest.fixture(scope="module")
def busy() -> tuple[Town, TruthList]:
    """Eight busy blocks whose crews often do not help."""
    town, truth = build(streets(8, **BUSY, reopened_share=0.3, reopened_after_h=1.0))
    live(town, DAYS * DAY_S)
    return town, truth


def lives(town: Town) -> dict[int, list[tuple[float, Any]]]:
    """The steps of each incident, in order."""
    steps: dict[int, list[tuple[float, Any]]] = defaultdict(list)
    for at_s, _, said in readings(town, "incident"):
        steps[said.number].append((at_s, said))
    return steps


def test_every_incident_goes_from_opening_to_closing_and_only_the_closed_are_reopened(busy) -> None:
    known = lives(busy[0])
    assert sorted(known) == list(range(1, len(known) + 1))
    for steps in known.values():
        assert steps[0][1].stage == "opened"
        for (_, one), (_, other) in pairwise(steps):
            assert other.stage in NEXT[one.stage]
    stages = Counter(said.stage for steps in known.values() for _, said in steps)
    assert stages["reopened"] > 10
    assert {said.incident for steps in known.values() for _, said in steps} == set(INCIDENT_KINDS)


def test_no_number_comes_again_when_a_run_goes_on_in_its_folder(tmp_path: Path) -> None:
    numbers: list[int] = []
    for _ in range(2):
        state = begin(tmp_path, "streets", 1, MIDNIGHT_MS)
        town, _ = build(streets(2, **BUSY), start_ms=state.start_ms, boot=state.boot)
        live(town, DAY_S)
        numbers += sorted({said.number for _, _, said in readings(town, "incident")})
        replace(state, reached_ms=town.now_ms).save(tmp_path)
    assert numbers[0] == 1
    assert len(set(numbers)) == len(numbers)


def test_times_and_deadlines_are_what_the_steps_say(busy) -> None:
    p = GovernanceParameters()
    for steps in lives(busy[0]).values():
        for (before_s, _), (at_s, said) in pairwise(steps):
            assert said.stage_s == pytest.approx(at_s - before_s, abs=1)
            assert said.since_opened_s == pytest.approx(at_s - steps[0][0], abs=1)
        opened_s = [at_s for at_s, said in steps if said.stage in {"opened", "reopened"}]
        closed = [(at_s, said) for at_s, said in steps if said.stage == "closed"]
        for began_s, (at_s, said) in zip(opened_s, closed, strict=False):
            assert said.late == (at_s - began_s > p.of("deadline_h", said.incident) * HOUR_S)


def test_the_desk_obeys_littles_law(busy) -> None:
    town = busy[0]
    area_s = 0.0
    for steps in lives(town).values():
        began_s: float | None = None
        for at_s, said in steps:
            if said.stage in {"opened", "reopened"}:
                began_s = at_s
            elif said.stage == "closed" and began_s is not None:
                area_s, began_s = area_s + at_s - began_s, None
        area_s += town.env.now - began_s if began_s is not None else 0.0
    seen = [said.open_incidents for _, _, said in readings(town, "incident_backlog")]
    assert fmean(seen) == pytest.approx(area_s / (DAYS * DAY_S), rel=0.05)


def test_a_crew_does_one_thing_at_a_time(busy) -> None:
    town = busy[0]
    members = round(8 * GovernanceParameters().crew_per_block)
    under_way: dict[int, float] = {}
    spans = []
    for number, steps in lives(town).items():
        for at_s, said in steps:
            if said.stage == "arrived":
                under_way[number] = at_s
            elif said.stage == "closed":
                spans.append((under_way.pop(number), at_s))
    changes = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    at_work = most = 0
    for _, change in changes:
        at_work += change
        most = max(most, at_work)
    assert 1 < most <= members


def test_the_truth_knows_of_troubles_that_nobody_noticed_and_of_reports_with_nothing_behind_them(busy) -> None:
    town, truth = busy
    began, over = truth.of("trouble"), truth.of("trouble_end")
    assert 0 <= len(began) - len(over) < 40
    unnoticed = [happening for happening in over if not happening.details["was_reported"]]
    assert unnoticed
    assert all(happening.details["by"] != "crew" or happening.details["was_reported"] for happening in over)
    assert {happening.details["source"] for happening in truth.of("false_report")} == {"sensor", "resident"}
    outcomes = Counter(said.outcome for steps in lives(town).values() for _, said in steps if said.outcome)
    assert set(outcomes) == {"resolved", "moved_on", "nothing_found"}
    assert outcomes["nothing_found"] <= len(truth.of("false_report"))


def test_troubles_come_at_their_rates() -> None:
    town, truth = build(streets(12, parking_per_day=5, noise_per_day=2, bins=0, lifts=0))
    live(town, 5 * DAY_S)
    began = Counter(happening.details["trouble"] for happening in truth.of("trouble"))
    assert began["illegal_parking"] == pytest.approx(300, abs=5 * 300**0.5)
    assert began["noise"] == pytest.approx(120, abs=5 * 120**0.5)
    vehicles = [h.at_s / HOUR_S % 24 for h in truth.of("trouble") if h.details["trouble"] == "illegal_parking"]
    assert fmean(8 <= hour < 21 for hour in vehicles) == pytest.approx(0.8, abs=5 * (0.8 * 0.2 / 300) ** 0.5)


def test_a_stuck_bin_overflows_unseen_until_a_resident_or_the_round_finds_it() -> None:
    text = streets(4, bin_stuck_share=1.0, bin_full_h=12, parking_per_day=0, noise_per_day=0, lifts=0)
    town, truth = build(text)
    live(town, 3 * DAY_S)
    assert len(truth.of("trouble")) > 20
    found = [said for steps in lives(town).values() for _, said in steps if said.incident == "bin_overflow"]
    assert {said.source for said in found} == {"resident"}
    for said in by_device(town).values():
        assert len({payload.split(b'"values"')[1] for name, payload in said if name == "bin_fill"}) <= 1
    assert {happening.details["by"] for happening in truth.of("trouble_end")} >= {"round", "crew"}


def test_noise_is_heard_by_the_meter_and_a_lift_fault_is_shown_until_it_is_repaired(busy) -> None:
    town, truth = busy
    quiet = [said.level_db for at_s, _, said in readings(town, "street_noise") if at_s % DAY_S < 5 * HOUR_S]
    assert fmean(quiet) == pytest.approx(GovernanceParameters().night_level_db, abs=4)
    sensor = [s for steps in lives(town).values() for _, s in steps if s.incident == "noise" and s.source == "sensor"]
    assert sensor
    states = defaultdict(list)
    for _, reading, said in readings(town, "lift_state"):
        states[reading.device].append(said.state)
    faults = sum(one == 0 and other == 1 for said in states.values() for one, other in pairwise(said))
    assert faults == pytest.approx(sum(h.details["trouble"] == "lift_fault" for h in truth.of("trouble")), abs=6)


def waiting_town() -> Town:
    """Blocks whose station assigns nothing by itself, with incidents on its desk."""
    town, _ = build(streets(6, parking_per_day=0, noise_per_day=0, lift_mtbf_d=0.5, lift_sensitivity=1, bins=0))
    assert command(town, "k01", "desk", "automatic", on=False).done
    live(town, 8 * HOUR_S)
    return town


def test_without_the_stand_in_only_a_command_sends_a_crew_and_with_it_the_others_follow() -> None:
    town = waiting_town()
    stages = Counter(said.stage for _, _, said in readings(town, "incident"))
    assert set(stages) == {"opened"}
    assert command(town, "k01", "desk", "assign", incident=2).done
    live(town, town.env.now + 2 * HOUR_S)
    assigned = [said.number for _, _, said in readings(town, "incident") if said.stage == "assigned"]
    assert assigned == [2]
    assert command(town, "k01", "desk", "automatic", on=True).done
    live(town, town.env.now + 60)
    assert len({said.number for _, _, said in readings(town, "incident") if said.stage == "assigned"}) > 2


def test_the_desk_lists_what_nobody_sees_to_first_and_asking_it_changes_nothing() -> None:
    town = waiting_town()
    assert command(town, "k01", "desk", "assign", incident=2).done
    live(town, town.env.now + 1)
    told = command(town, "k01", "desk", "incidents").values
    listed = told["incidents"]
    assert (told["automatic"], told["open_incidents"], told["free_members"]) == (False, len(listed), 2)
    assert [each["number"] for each in listed] == [1, *range(3, len(listed) + 1), 2]
    assert {each["stage"] for each in listed[:-1]} == {"opened"}
    assert listed[-1]["stage"] == "assigned"
    assert all(each["opened"] <= town.now_ms and each["block"].startswith("b") for each in listed)
    desk = Topic(TopicClass.COMMAND, "a01", "k01", "desk", "incidents")
    assert town.is_question(desk)
    assert not town.is_question(replace(desk, name="assign"))
    before = len(town.outbox)
    assert command(town, "k01", "desk", "incidents").values == told
    assert len(town.outbox) == before


def test_a_prioritised_incident_is_seen_to_before_those_that_came_earlier() -> None:
    town = waiting_town()
    assert command(town, "k01", "desk", "automatic", on=True).done  # more than the crew can do at once
    live(town, town.env.now + 1)
    waiting = [said.number for _, _, said in readings(town, "incident") if said.stage == "assigned"]
    assert len(waiting) > 4
    assert command(town, "k01", "desk", "prioritise", incident=waiting[-1], priority=0).done
    live(town, town.env.now + 8 * HOUR_S)
    arrived = [said.number for _, _, said in readings(town, "incident") if said.stage == "arrived"]
    assert arrived.index(waiting[-1]) == 3  # the crew of three was on its way to others


@pytest.mark.parametrize(
    ("name", "args", "sentence"),
    [
        ("assign", {}, "there is no open incident None"),
        ("assign", {"incident": 99}, "there is no open incident 99"),
        ("assign", {"incident": [1]}, "there is no open incident [1]"),
        ("prioritise", {"incident": 1, "priority": 12}, "a priority is a whole number from 0 to 9, got 12"),
        ("automatic", {"on": "yes"}, "`on` is true or false, got 'yes'"),
    ],
)
def test_a_command_that_cannot_be_obeyed_says_why(name: str, args: dict[str, Any], sentence: str) -> None:
    reply = command(waiting_town(), "k01", "desk", name, **args)
    assert (reply.done, reply.reason) == (False, sentence)


def test_one_more_block_elsewhere_changes_nobody_elses_bytes() -> None:
    fewer, _ = build("areas: {a01: {blocks: 3}}\n")
    more, _ = build("areas: {a01: {blocks: 3}, a02: {blocks: 2}}\n")
    for each in (fewer, more):
        live(each, DAY_S)
    after = by_device(more)
    assert all(after[device] == said for device, said in by_device(fewer).items())
