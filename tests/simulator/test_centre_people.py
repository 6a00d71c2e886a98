"""Who comes to a centre, how they pass the gate, wait, are helped, come again, and what they think of it."""

from collections import Counter, defaultdict
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

from simulator.centres import CentreParameters
from simulator.centres.support import Support
from simulator.centres.visitor import Public, Visitor, ages
from simulator.randomness import Stream
from simulator.town import Town
from tests.simulator.towns import DAY_S, HOUR_S, build, centres, live, readings

CLOCKWORK = {
    "card_reader_mtbf_h": 1e6,
    "frozen_screen_mtbf_h": 1e6,
    "network_mtbf_h": 1e6,
    "jam_per_session": 0.0,
    "blanks_per_box": 100_000,
    "sheets_per_roll": 100_000,
    "power_outages_per_year": 0.0,
    "uplink_outages_per_year": 0.0,
}
"""Kiosks that always work."""


def hall(**centre: Any) -> str:
    """A large centre, whose kiosks always work."""
    return centres(1, arrivals_persons_per_day=900.0, size_cv=0.0, most_kiosks=12, **{**CLOCKWORK, **centre})


@pytest.fixture(scope="module")
def two_days() -> Town:
    town, _ = build(hall(gate_unknown_share=0.05, rating_share=1.0, companion_share=0.0))
    live(town, 2 * DAY_S)
    return town


def test_a_share_of_people_comes_close_behind_somebody_and_nobody_does_when_the_share_is_0(two_days: Town) -> None:
    alone, _ = build(hall(together_share=0.0, retrial_share=0.0))
    live(alone, DAY_S)

    def share_within_90_s(town: Town) -> float:
        """Of the quiet night hours, in which strangers rarely meet at the gate."""
        at = np.array([moment for moment, _, _ in readings(town, "gate_check")])
        gaps, hours = np.diff(at), at[1:] % DAY_S / HOUR_S
        return float((gaps[(hours > 21) | (hours < 7)] <= 100).mean())

    assert share_within_90_s(two_days) - share_within_90_s(alone) == pytest.approx(0.24, abs=0.1)


def test_companions_come_in_and_leave_but_take_no_ticket() -> None:
    people = {}
    for share in (0.0, 1.0):
        town, _ = build(hall(companion_share=share, together_share=0.4, retrial_share=0.0, gate_unknown_share=0.0))
        live(town, DAY_S)
        entered = sum(door.entries_persons for _, _, door in readings(town, "centre_door"))
        asked = sum(queue.arrivals_persons for _, _, queue in readings(town, "centre_queue"))
        people[share] = entered / asked
    assert people[0.0] == pytest.approx(1.0, abs=0.02)
    assert people[1.0] == pytest.approx(1 / (1 - 0.4), rel=0.1)


def test_the_gate_turns_away_whom_it_does_not_know_after_three_tries_and_checks_take_seconds(two_days: Town) -> None:
    checks = [check for _, _, check in readings(two_days, "gate_check")]
    refused = [check for check in checks if check.outcome == "refused"]
    assert len(refused) / len(checks) == pytest.approx(0.05, abs=0.015)
    assert {check.tries for check in refused} == {3}
    first = [check for check in checks if check.outcome == "passed" and check.tries == 1]
    mean_s = {m: np.mean([check.duration_s for check in first if check.method == m]) for m in ("card", "code")}
    assert 8 < mean_s["card"] < mean_s["code"] < 20
    assert sum(check.method == "card" for check in checks) / len(checks) == pytest.approx(0.6, abs=0.05)


def test_whoever_is_turned_away_for_whatever_reason_may_come_again_and_the_queue_counts_them() -> None:
    returning = {}
    for share in (0.0, 1.0):
        text = hall(retrial_share=share, failed_share=0.5, retrial_after_h=1.0, most_attempts=2)
        town, _ = build(text)
        live(town, DAY_S)
        queue = [reading for _, _, reading in readings(town, "centre_queue")]
        returning[share] = sum(reading.returning_persons for reading in queue)
        failed = sum(session.outcome == "failed" for _, _, session in readings(town, "kiosk_session"))
    assert returning[0.0] == 0
    assert 0.3 * failed < returning[1.0] < failed


def test_who_tries_elsewhere_goes_to_another_centre_that_has_the_kiosk() -> None:
    text = (
        "areas: {a01: {}}\n"
        "sites:\n"
        "  - {kind: centre, id: full, area: a01, kiosks: 3, arrivals_persons_per_day: 600}\n"
        "  - {kind: centre, id: idle, area: a01, kiosks: 3, arrivals_persons_per_day: 0.001}\n"
        "parameters: {centre: {retrial_share: 1.0, retrial_elsewhere: 1.0, retrial_after_h: 0.5, failed_share: 0.3}}\n"
    )
    town, _ = build(text)
    live(town, DAY_S)
    asked: Counter[str] = Counter()
    for _, emission, queue in readings(town, "centre_queue"):
        asked[emission.device.site.id] += queue.arrivals_persons
    assert asked["idle"] > 50


def waits_by_age(**centre: Any) -> dict[str, list[float]]:
    text = centres(1, arrivals_persons_per_day=500.0, size_cv=0.0, most_kiosks=5, **CLOCKWORK, **centre)
    town, _ = build(text)
    live(town, 2 * DAY_S)
    waits: defaultdict[str, list[float]] = defaultdict(list)
    for _, _, session in readings(town, "kiosk_session"):
        waits[session.age_group].append(session.wait_s)
    return waits


def test_a_head_start_serves_older_people_sooner_and_nobody_waits_for_ever() -> None:
    patient = {"patience_mean_s": 86_400.0, "patience_weibull_shape": 1.0, "balk_at_persons": 1_000}
    plain, elders_first = waits_by_age(**patient), waits_by_age(**patient, elderly_head_start_s=900.0)
    assert np.mean(elders_first["over_75"]) < 0.7 * np.mean(plain["over_75"])
    younger, younger_before = elders_first["35_to_59"], plain["35_to_59"]
    assert np.mean(younger) > np.mean(younger_before)
    assert max(younger) < max(younger_before) + 3 * 900


def test_age_groups_have_their_shares_their_pace_and_their_errands() -> None:
    p = CentreParameters()
    kinds = ["household", "social-security", "medical-insurance", "certificate", "tax"]
    public, draws = Public(kinds, p), Stream(1, "public", "draws")
    drawn: list[Visitor] = [public.draw(draws) for _ in range(20_000)]
    for age in ages(p):
        share = sum(visitor.age.group == age.group for visitor in drawn) / len(drawn)
        assert share == pytest.approx(age.share, abs=0.015), age.group
    mean_pace = sum(age.share * age.slower for age in ages(p))
    times = [visitor.service_s for visitor in drawn]
    assert np.mean(times) == pytest.approx(p.service_mean_s * mean_pace, rel=0.05)

    def share_for(kind: str, group: str) -> float:
        wants = [visitor.kind for visitor in drawn if visitor.age.group == group]
        return wants.count(kind) / len(wants)

    assert share_for("medical-insurance", "over_75") > 2 * share_for("medical-insurance", "under_35")
    assert share_for("tax", "over_75") < share_for("tax", "under_35") / 3


def test_operators_are_shared_so_calls_at_one_centre_delay_those_of_another() -> None:
    def help_waits(crowd: float) -> list[float]:
        text = (
            "areas: {a01: {}}\n"
            "sites:\n"
            "  - {kind: centre, id: quiet, area: a01, kiosks: 5, arrivals_persons_per_day: 150}\n"
            f"  - {{kind: centre, id: other, area: a01, kiosks: 12, arrivals_persons_per_day: {crowd}}}\n"
            "parameters: {centre: {assisted_share: 0.4, help_patience_s: 86400, centres_per_operator: 2}}\n"
        )
        town, _ = build(text)
        live(town, 2 * DAY_S)
        return [
            session.help_wait_s
            for _, emission, session in readings(town, "kiosk_session")
            if emission.device.site.id == "quiet" and session.help_wait_s is not None
        ]

    alone, beside_a_crowd = help_waits(0.01), help_waits(900.0)
    assert len(alone) > 30
    assert np.mean(beside_a_crowd) > np.mean(alone) + 60


def test_who_is_not_helped_in_time_gives_up_and_the_session_has_failed_for_want_of_help() -> None:
    town, _ = build(hall(assisted_share=0.5, centres_per_operator=1.0, help_patience_s=60.0))
    live(town, DAY_S)
    sessions = [session for _, _, session in readings(town, "kiosk_session")]
    desk = [reading for _, _, reading in readings(town, "operator_desk")]
    abandoned = sum(reading.abandoned_calls for reading in desk)
    unhelped = sum(session.cause == "no_help" for session in sessions)
    assert abandoned > 20
    assert abs(unhelped - abandoned) <= 2
    answered = sum(reading.answered_calls for reading in desk)
    assert answered == pytest.approx(sum(session.outcome == "assisted" for session in sessions), abs=3)
    assert all(reading.busy_operators <= reading.operators for reading in desk)


def test_people_rate_worse_after_a_failure_and_only_a_share_of_them_rates(two_days: Town) -> None:
    def mean_rating(town: Town) -> float:
        return float(np.mean([reading.rating for _, _, reading in readings(town, "centre_rating")]))

    failing, _ = build(hall(failed_share=0.6, rating_share=0.2))
    live(failing, DAY_S)
    assert mean_rating(failing) < mean_rating(two_days) - 0.5
    left = sum(door.exits_persons for _, _, door in readings(failing, "centre_door"))
    assert len(readings(failing, "centre_rating")) / left == pytest.approx(0.2 / 1.15, abs=0.05)


def test_another_model_may_send_somebody_to_the_nearest_centre_with_the_right_kiosk() -> None:
    text = (
        "areas: {a01: {}}\nsites: [{kind: centre, id: hall, area: a01, kiosks: 9, arrivals_persons_per_day: 0.001}]\n"
    )
    town, _ = build(text)
    live(town, 60)
    hall_site = town.sites["hall"]
    support = Support(town.env, CentreParameters())
    assert not support.seek(hall_site.position, "business-licence")
    from simulator.centres import CentrePlan, open_centre
    from simulator.weather import Weather, WeatherParameters

    site = town.site("a01", "annex", "centre", hall_site.position)
    station = town.site("a01", "w99", "weather", hall_site.position).device("station", "weather-station")
    open_centre(
        site,
        CentrePlan(kiosks=9, arrivals_persons_per_day=0.001),
        CentreParameters(),
        Weather(town, WeatherParameters(), station),
        support,
    )

    def founder() -> Generator[Any, Any, None]:
        yield town.env.timeout(10)
        assert support.seek(hall_site.position, "business-licence")

    town.env.process(founder())
    live(town, HOUR_S)
    (check,) = [e for _, e, _ in readings(town, "gate_check")]
    assert check.device.site.id == "annex"
