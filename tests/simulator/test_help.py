"""Help: it comes only when sent for, travels on the map, and reports what whoever stands there can see."""

from typing import Any

import numpy as np
import pytest

from haina.contract.message import Command
from haina.contract.topic import Topic, TopicClass
from haina.zone import distance_m
from simulator.crew import DETOUR, WAITING
from simulator.help.parameters import HelpParameters
from simulator.town import Town
from tests.simulator.towns import (
    DAY_S,
    HOUR_S,
    MIDNIGHT_MS,
    TruthList,
    build,
    calm_but,
    centres,
    command,
    live,
    readings,
    spans,
)

P = HelpParameters()
MORNING_MS = MIDNIGHT_MS + 8 * HOUR_S * 1000
LIE = {
    "rises_alone_at_60": 0.0,
    "rises_alone_at_90": 0.0,
    "falls_seen": 0.0,
    "help_mean_h": 72.0,
    "sos_after_fall": 0.0,
}
OFTEN = {"falls_per_1000_men": 600.0, "falls_per_1000_women": 600.0, "falls_cv": 0.0}


def send(town: Town, home: str, base: str = "committee-a01", **args: Any) -> str:
    """Send for help; the errand."""
    reply = command(town, base, "desk", "send", home=home, **args)
    assert reply.done, reply.reason
    return str(reply.values["errand"])


def of_errand(town: Town, measurement: str, errand: str) -> tuple[float, Any]:
    ((moment, _, said),) = [found for found in readings(town, measurement) if found[2].errand == errand]
    return moment, said


def way_s(town: Town, base: str, home: str, m_per_s: float) -> float:
    return distance_m(town.sites[base].position, town.sites[home].position) * DETOUR / m_per_s


def lying(truth: TruthList, **details: Any) -> list[str]:
    """Homes whose resident lies on the floor now."""
    ended = {end.details["event"] for end in truth.of("fall_end")}
    return [
        fall.site
        for fall in truth.of("fall")
        if fall.details["event"] not in ended and fall.details.items() >= details.items()
    ]


def test_nobody_goes_anywhere_without_a_command_and_every_fall_ends_all_the_same() -> None:
    town, truth = build(calm_but(20, **{**LIE, **OFTEN, "help_mean_h": 1.0}) + "boost: 500\n", start_ms=MORNING_MS)
    live(town, 2 * DAY_S)
    assert not readings(town, "help_report")
    assert {said.state for _, _, said in readings(town, "crew_member")} == {WAITING}
    falls = [fall for fall in truth.of("fall") if fall.at_s < DAY_S]
    assert len(falls) > 10
    assert {end.details["how"] for _, end in spans(truth, "fall")} == {"found"}
    assert {fall.details["event"] for fall in falls} <= {end.details["event"] for end in truth.of("fall_end")}


def test_a_volunteer_arrives_by_the_way_through_the_streets_and_helps_up_who_lies_there() -> None:
    town, truth = build(calm_but(40, **LIE, **OFTEN, hospital_share=0.0) + "boost: 3000\n", start_ms=MORNING_MS)
    live(town, HOUR_S)
    home = lying(truth)[0]
    errand = send(town, home, reason="no movement")
    expected_s = P.volunteer_turnout_s + way_s(town, "committee-a01", home, P.volunteer_m_per_s)
    live(town, 4 * HOUR_S)
    moment, said = of_errand(town, "help_report", errand)
    assert (said.found, said.helper, said.home) == ("fallen", "volunteer", home)
    assert moment - HOUR_S == pytest.approx(expected_s, abs=0.01)
    assert said.response_s == pytest.approx(expected_s, abs=1)
    assert said.travel_s == pytest.approx(expected_s - P.volunteer_turnout_s, abs=1)
    end = next(end for begin, end in spans(truth, "fall") if begin.site == home and end.at_s > HOUR_S)
    assert (end.details["how"], end.at_s) == ("volunteer", pytest.approx(moment, abs=0.01))
    left_s, result = of_errand(town, "help_result", errand)
    assert result.done == "helped_up"
    assert result.on_scene_s == pytest.approx(left_s - moment, abs=1)
    errands = {said.errand for _, _, said in readings(town, "crew_member")}
    assert "no movement" in errands


def test_helpers_report_what_is_there_and_never_more_than_one_who_stands_there_sees() -> None:
    care = {**LIE, **OFTEN, "outings_per_day": 6.0, "hospital_share": 0.0}
    town, truth = build(calm_but(60, **care) + "boost: 1500\n", start_ms=MORNING_MS)
    live(town, 2 * HOUR_S)
    for home in [site for site in town.sites if site.startswith("h")]:
        send(town, home)
    live(town, 12 * HOUR_S)
    reports = readings(town, "help_report")
    assert len(reports) == 60
    kinds = set()
    for moment, _, said in reports:
        kinds.add(said.found)
        happened = [h for h in truth.happenings if h.site == said.home and h.at_s < moment - 0.01]
        outings = [h.kind for h in happened if h.kind in {"out", "out_end"}]
        falls = [h.kind for h in happened if h.kind in {"fall", "fall_end"}]
        assert (said.found == "nobody") == (outings[-1:] == ["out"])
        if said.found != "nobody":
            assert (said.found == "fallen") == (falls[-1:] == ["fall"])
        assert said.heart_rate_bpm is None
    assert {"fallen", "nobody", "well"} <= kinds


def test_when_all_are_busy_errands_wait_by_priority_and_can_be_recalled() -> None:
    town, _ = build(calm_but(30), start_ms=MORNING_MS)  # one volunteer
    homes = [site for site in town.sites if site.startswith("h")][:4]
    live(town, 60)
    first, patient, gone = (send(town, home) for home in homes[:3])
    urgent = send(town, homes[3], priority=0)
    live(town, 120)
    assert command(town, "committee-a01", "desk", "recall", errand=gone).done
    again = command(town, "committee-a01", "desk", "send", home=homes[0])
    assert not again.done
    assert first in again.reason
    live(town, DAY_S / 2)
    order = [said.errand for _, _, said in readings(town, "help_report")]
    assert order == [first, urgent, patient]
    assert of_errand(town, "help_result", gone)[1].done == "recalled"
    late = command(town, "committee-a01", "desk", "recall", errand=first)
    assert not late.done
    assert send(town, homes[0]) not in order


@pytest.mark.parametrize(
    ("name", "args", "reason"),
    [
        ("send", {}, "must name one that committee-a01 serves"),
        ("send", {"home": "h0002"}, "must name one that committee-a01 serves"),
        ("send", {"home": "h0001", "priority": 10}, "from 0 to 9"),
        ("send", {"home": "h0001", "priority": True}, "from 0 to 9"),
        ("send", {"home": "h0001", "reason": "x" * 65}, "at most 64"),
        ("send", {"home": "h0001", "search": 1}, "true or false"),
        ("send", {"home": "h0001", "who": "me"}, "not who"),
        ("call", {"home": ["h0001"]}, "must name one"),
        ("recall", {"errand": "none"}, "under way"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(name: str, args: dict[str, Any], reason: str) -> None:
    town, _ = build("areas: {a01: {homes: 1}, a02: {homes: 1}}\n")
    reply = command(town, "committee-a01", "desk", name, **args)
    assert not reply.done
    assert reason in reply.reason


def test_a_command_that_has_expired_sends_nobody() -> None:
    town, _ = build(calm_but(1))
    live(town, 100)
    topic = Topic(TopicClass.COMMAND, "a01", "committee-a01", "desk", "send")
    reply = town.obey(topic, Command(id="old", expires=town.now_ms - 1, args={"home": "h0001"}))
    assert not reply.done
    live(town, 2 * HOUR_S)
    assert not readings(town, "help_report")


def test_an_errand_recalled_in_the_moment_it_was_sent_goes_nowhere() -> None:
    town, _ = build(calm_but(1))
    live(town, 100)
    errand = send(town, "h0001")
    assert command(town, "committee-a01", "desk", "recall", errand=errand).done
    live(town, 2 * HOUR_S)
    assert of_errand(town, "help_result", errand)[1].done == "recalled"
    assert not readings(town, "help_report")


def test_a_volunteer_closes_the_tap_and_the_meter_rests() -> None:
    town, truth = build(calm_but(20, taps_left_open_per_year=1_000.0, tap_open_mean_h=20.0), start_ms=MORNING_MS)
    live(town, 12 * HOUR_S)
    ended = {end.details["event"] for end in truth.of("water_running_end")}
    running = [begin for begin in truth.of("water_running") if begin.details["event"] not in ended]
    assert running
    errand = send(town, running[0].site)
    live(town, 15 * HOUR_S)
    moment, said = of_errand(town, "help_report", errand)
    assert said.found == "water"
    (end,) = [end for begin, end in spans(truth, "water_running") if begin == running[0]]
    assert end.at_s == pytest.approx(moment, abs=0.01)
    assert of_errand(town, "help_result", errand)[1].done == "tap_closed"


def test_a_nurse_measures_and_treats_and_the_infection_ends_sooner() -> None:
    town, truth = build(calm_but(30, infections_per_year=12.0), start_ms=MORNING_MS)
    live(town, 5.6 * DAY_S)
    ended = {end.details["event"] for end in truth.of("infection_end")}
    ill = next(
        begin
        for begin in reversed(truth.of("infection"))
        if begin.at_s + begin.details["onset_s"] < 5.6 * DAY_S and begin.details["event"] not in ended
    )
    errand = send(town, ill.site, "care-station")
    live(town, 11 * DAY_S)
    _, said = of_errand(town, "help_report", errand)
    assert (said.found, said.helper) == ("ill", "nurse")
    assert said.temperature_c > 36.8
    assert said.heart_rate_bpm > 50
    assert of_errand(town, "help_result", errand)[1].done == "treated"
    end = next(end for begin, end in spans(truth, "infection") if begin == ill)
    assert end.details["treated"]
    usual_s = sum(ill.details[part] for part in ("onset_s", "worst_s", "recovery_s"))
    assert end.at_s < ill.at_s + usual_s - HOUR_S


def test_whoever_is_hurt_needs_an_ambulance_and_goes_to_hospital_with_it() -> None:
    town, truth = build(
        calm_but(40, **LIE, **OFTEN, hospital_share=1.0, hospital_after_h=72) + "boost: 3000\n", start_ms=MORNING_MS
    )
    live(town, HOUR_S)
    home, other = lying(truth, hurt=True)[:2]
    errand = send(town, home)
    live(town, 2 * HOUR_S)
    assert of_errand(town, "help_result", errand)[1].done == "ambulance_needed"
    errands = send(town, home, "ambulance-station"), send(town, other, "ambulance-station", priority=0)
    live(town, 6 * HOUR_S)
    assert [of_errand(town, "help_report", each)[1].found for each in errands] == ["hurt", "fallen"]
    assert {of_errand(town, "help_result", each)[1].done for each in errands} == {"to_hospital"}
    taken = {h.site: h.details for h in truth.of("hospital")}
    assert taken[home]["by"] == taken[other]["by"] == "ambulance"
    assert taken[home]["cause"] in {fall.details["event"] for fall in truth.of("fall") if fall.site == home}
    assert {home, other} <= {left.site for left in truth.of("out") if left.details["for_days"]}


def test_who_is_lost_is_brought_home_by_a_volunteer_who_searches() -> None:
    care = {"prevalence_factor": 20.0, "wanderings_per_year": 1_000.0, "leaves_home_share": 1.0, "lost_mean_h": 60.0}
    town, truth = build(calm_but(5, **care))
    live(town, 3 * HOUR_S)
    wanderer = truth.of("wandering")[0]
    errand = send(town, wanderer.site, search=True)
    live(town, 9 * HOUR_S)
    assert of_errand(town, "help_report", errand)[1].found == "nobody"
    moment, result = of_errand(town, "help_result", errand)
    assert result.done == "brought_home"
    (end,) = [end for begin, end in spans(truth, "wandering") if begin == wanderer]
    assert 0 <= end.at_s - (moment) < 120


def test_most_who_are_well_answer_the_telephone_and_few_who_lie_on_the_floor() -> None:
    town, truth = build(calm_but(120, **LIE, **OFTEN) + "boost: 3000\n", start_ms=MORNING_MS)
    live(town, 3 * HOUR_S)
    down = set(lying(truth))
    for home in [site for site in town.sites if site.startswith("h")]:
        assert command(town, "committee-a01", "desk", "call", home=home).done
    assert not command(town, "committee-a01", "desk", "call", home="h0001").done
    live(town, 3 * HOUR_S + 900)
    answered: dict[bool, list[bool]] = {True: [], False: []}
    for _, _, said in readings(town, "help_report"):
        answered[said.home in down].append(said.found != "no_answer")
        assert said.helper == "telephone"
    assert len(answered[True]) > 15
    assert np.mean(answered[False]) > 0.7
    assert np.mean(answered[True]) < 0.4


def test_bases_stand_where_homes_are_and_a_town_without_homes_has_none() -> None:
    town, _ = build("areas: {a01: {homes: 31}, a02: {homes: 1}}\n")
    crews = {
        site.id: len([d for d in site.devices.values() if d.kind == "crew-member"])
        for site in town.sites.values()
        if site.kind == "crew"
    }
    assert crews == {"committee-a01": 2, "committee-a02": 1, "care-station": 1, "ambulance-station": 1}
    plain, _ = build(centres(1))
    assert not {"committee-a01", "care-station", "ambulance-station"} & set(plain.sites)
