"""Enterprise life: incubators are Erlang's loss system, every case is decided, the register adds up."""

import math
from collections import Counter, defaultdict
from statistics import fmean

import pytest

from haina.contract.enterprise import ENTERPRISE
from simulator.town import Emission, Town
from tests.simulator.towns import DAY_S, HOUR_S, MIDNIGHT_MS, build, by_device, live, readings

TEXT = "areas: {a01: {incubators: 3, enterprise_offices: 1}}\n"
QUIET = "visits_per_day: [1, 1, 1, 1], desk_bookings_per_day: 0, room_bookings_per_day: 0"
MONDAY_MS = MIDNIGHT_MS - DAY_S * 1000


def lively(**enterprise: float) -> str:
    return f"{TEXT}parameters: {{venues: {{{QUIET}}}, enterprise: {enterprise}}}\n".replace("'", "")


def erlang_b(servers: int, load: float) -> float:
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = load * blocked / (server + load * blocked)
    return blocked


@pytest.fixture(scope="module")
def town() -> Town:
    """Thirty days in which as much happens as otherwise in years."""
    text = lively(offices=8, startups_per_year=730, stay_mean_d=4, foundings_per_year=5_000, case_mean_min=8)
    town, _ = build(text)
    kept: list[Emission] = []
    live(town, 30 * DAY_S, hear=lambda said: kept.append(said) if said.measurement in ENTERPRISE else None)
    town.outbox = kept
    return town


def test_incubators_turn_away_as_many_as_erlang_says_and_hold_as_many_from_the_start_on(town: Town) -> None:
    events = Counter(said.event for _, _, said in readings(town, "startup_tenancy"))
    asked = events["moved_in"] + events["turned_away"]
    blocked = erlang_b(8, 8.0)
    # Refusals come in runs: their variance is some 2.5 times that of independent ones at this load; five sigmas.
    assert events["turned_away"] / asked == pytest.approx(blocked, abs=5 * math.sqrt(2.5 * blocked / asked))
    tenants = [said.startups for _, _, said in readings(town, "incubator_tenants")]
    assert fmean(tenants) == pytest.approx(8 * (1 - blocked), abs=1.0)  # three standard errors
    assert max(tenants) <= 8


def test_tenants_are_those_who_came_less_those_who_left(town: Town) -> None:
    change: dict[str, int] = defaultdict(int)
    heard: dict[str, list[int]] = defaultdict(list)
    step = {"moved_in": 1, "turned_away": 0, "graduated": -1, "closed": -1}
    first: dict[str, int] = {}
    for emission in town.outbox:
        site = emission.device.site.id
        if emission.measurement.name == "startup_tenancy":
            change[site] += step[emission.measurement.decoder.decode(emission.payload).values.event]
        elif emission.measurement.name == "incubator_tenants":
            startups = emission.measurement.decoder.decode(emission.payload).values.startups
            first.setdefault(site, startups - change[site])
            heard[site].append(startups - change[site])
    assert all(set(said) == {first[site]} for site, said in heard.items())


def test_every_case_is_decided_and_a_refused_one_comes_again(town: Town) -> None:
    filed, decided = {}, {}
    for at_s, _, said in readings(town, "licence_case"):
        (filed if said.event == "filed" else decided)[said.number] = (at_s, said)
    assert sorted(filed) == list(range(1, len(filed) + 1))
    assert len(filed) - len(decided) < 40
    for number, (at_s, said) in decided.items():
        assert said.took_h == pytest.approx((at_s - filed[number][0]) / HOUR_S, abs=0.01)
        assert said.licence == filed[number][1].licence
    refused = sum(said.event == "refused" for _, said in decided.values())
    assert refused / len(decided) == pytest.approx(0.06, abs=5 * math.sqrt(0.06 / len(decided)))


def test_cases_are_filed_in_office_hours_of_working_days_alone() -> None:
    town, _ = build(lively(foundings_per_year=20_000), start_ms=MONDAY_MS)
    live(town, 7 * DAY_S)
    hours = [at_s for at_s, _, said in readings(town, "licence_case") if said.event == "filed"]
    assert len(hours) > 200
    assert all(9 <= at_s / HOUR_S % 24 < 17.01 for at_s in hours)
    assert {int(at_s // DAY_S) for at_s in hours} == {0, 1, 2, 3}  # Friday 25 September 2026 is the Mid-Autumn Festival


def test_the_register_counts_what_was_granted(town: Town) -> None:
    register = readings(town, "enterprises")
    founded, dissolved = sum(said.founded for _, _, said in register), sum(said.dissolved for _, _, said in register)
    granted = Counter(said.licence for _, _, said in readings(town, "licence_case") if said.event == "granted")
    assert founded == pytest.approx(granted["founding"], abs=5)
    assert dissolved == pytest.approx(granted["closing"], abs=5)
    first, last = register[0][2], register[-1][2]
    assert last.enterprises - first.enterprises == founded - first.founded - dissolved + first.dissolved


def test_start_ups_live_without_an_office_and_bytes_stay_the_same() -> None:
    towns = [build(TEXT.replace(", enterprise_offices: 1", ""))[0], build(TEXT)[0]]
    for each in towns:
        live(each, 2 * DAY_S)
    without, with_office = (by_device(each) for each in towns)
    assert "i01/tenants" in without
    assert all(with_office[device] == said for device, said in without.items())


def test_who_seeks_a_licence_comes_to_a_service_centre_that_has_the_kiosk_for_it() -> None:
    def sessions(offices: int) -> int:
        text = f"areas: {{a01: {{centres: 2, enterprise_offices: {offices}}}}}\n"
        parameters = "parameters: {enterprise: {foundings_per_year: 30000}, centre: {size_cv: 0, least_kiosks: 12}}\n"
        town, _ = build(text + parameters)
        live(town, DAY_S)
        nonlocal filed
        filed = sum(said.event == "filed" for _, _, said in readings(town, "licence_case"))
        return sum(said.service.startswith("licence") for _, _, said in readings(town, "kiosk_session"))

    filed = 0
    usual = sessions(offices=0)
    assert filed == 0
    more = sessions(offices=1)
    assert filed > 60
    assert 0.5 * filed < more - usual < 1.3 * filed  # some give up, some come twice
