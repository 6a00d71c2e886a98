"""A crew: the nearest free member goes, errands wait their turn, and nobody is ever lost on the way."""

from collections.abc import Generator
from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from haina.zone import distance_m
from simulator.crew import DETOUR, RETURNING, WAITING, WORKING, Crew
from simulator.town import Site, Town
from simulator.truth import NoTruth
from tests.simulator.towns import MIDNIGHT_MS, values

BASE = (121.400, 31.250)


def build_town() -> Town:
    return Town(seed=1, start_ms=MIDNIGHT_MS, run="test", boot=1, truth=NoTruth())


def build_crew(town: Town, members: int = 1, **options: float) -> Crew:
    return Crew(town.site("a01", "crew", "crew", BASE), "technician", members, 5.0, **options)


def build_site(town: Town, name: str, east_deg: float) -> Site:
    return town.site("a01", name, "centre", (BASE[0] + east_deg, BASE[1]))


def errand(crew: Crew, site: Site, work_s: float, done: list[tuple[str, float, str]], **send: Any) -> Any:
    def process() -> Generator[Any, Any, None]:
        member = yield from crew.send(site, errand="repair", **send)
        done.append((site.id, crew.site.env.now, member.device.id))
        yield crew.site.env.timeout(work_s)
        crew.release(member)

    return crew.site.env.process(process())


def test_a_member_turns_out_and_travels_the_way_through_the_streets() -> None:
    town = build_town()
    crew, site = build_crew(town, turnout_s=60.0), build_site(town, "far", 0.01)
    done: list[tuple[str, float, str]] = []
    errand(crew, site, 100.0, done)
    town.env.run(until=86_400)
    assert done == [("far", pytest.approx(60 + distance_m(BASE, site.position) * DETOUR / 5.0), "technician-1")]
    assert crew.members[0].state == WAITING
    assert crew.members[0].position == BASE


def test_the_nearest_free_member_goes_and_one_on_its_way_home_is_called_back() -> None:
    town = build_town()
    crew, east, west = build_crew(town, 2), build_site(town, "east", 0.02), build_site(town, "west", -0.02)
    done: list[tuple[str, float, str]] = []
    errand(crew, east, 10.0, done)
    errand(crew, west, 10.0, done)
    home_s = crew.travel_s(east.position, BASE)
    town.env.run(until=home_s + 10.0 + home_s / 4)  # both are a quarter of the way home
    assert [member.state for member in crew.members] == [RETURNING, RETURNING]
    errand(crew, west, 10.0, done)
    town.env.run(until=86_400)
    name, at_s, member = done[-1]
    assert (name, member) == ("west", done[1][2])
    assert at_s == pytest.approx(home_s + 10.0 + home_s / 4 * 2)


def test_errands_wait_the_most_urgent_first_and_then_the_longest_waiting() -> None:
    town = build_town()
    crew = build_crew(town)
    sites = [build_site(town, name, 0.001) for name in ("first", "patient", "second", "urgent")]
    done: list[tuple[str, float, str]] = []
    for site, priority in zip(sites, (1, 1, 1, 0), strict=True):
        errand(crew, site, 50.0, done, priority=priority)
    town.env.run(until=1)
    assert (crew.waiting, crew.free) == (3, 0)
    town.env.run(until=86_400)
    assert [name for name, _, _ in done] == ["first", "urgent", "patient", "second"]


def test_a_member_released_and_sent_again_in_one_breath_is_not_lost() -> None:
    town = build_town()
    crew, site, arrived = build_crew(town), build_site(town, "here", 0.001), []

    def process() -> Generator[Any, Any, None]:
        for _ in range(3):
            member = yield from crew.send(site)
            arrived.append(town.env.now)
            crew.release(member)

    town.env.process(process())
    town.env.run(until=86_400)
    assert len(arrived) == 3


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0, 900), st.floats(0, 300), st.integers(0, 2)), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.floats(0, 2_000)), max_size=10),
)
def test_whatever_is_interrupted_every_member_comes_home_and_every_other_errand_is_run(
    errands: list[tuple[float, float, int]], interruptions: list[tuple[int, float]]
) -> None:
    town = build_town()
    crew = build_crew(town, 2, turnout_s=30.0)
    sites = [build_site(town, f"s{number}", 0.0005 * number) for number in range(len(errands))]
    served: set[int] = set()
    given_up: set[int] = set()

    def process(number: int) -> Generator[Any, Any, None]:
        begin_s, work_s, priority = errands[number]
        try:
            yield town.env.timeout(begin_s)
            member = yield from crew.send(sites[number], priority=priority)
        except simpy.Interrupt:
            given_up.add(number)
            return
        assert member.state == WORKING
        assert member.position == sites[number].position
        served.add(number)
        try:
            yield town.env.timeout(work_s)
        except simpy.Interrupt:
            pass
        finally:
            crew.release(member)

    processes = [town.env.process(process(number)) for number in range(len(errands))]

    def interrupt(number: int, at_s: float) -> Generator[Any, Any, None]:
        yield town.env.timeout(at_s)
        if number < len(processes) and processes[number].is_alive:
            processes[number].interrupt()

    for number, at_s in interruptions:
        town.env.process(interrupt(number, at_s))
    town.env.run(until=86_000)
    assert served | given_up == set(range(len(errands)))
    assert (crew.waiting, crew.free) == (0, 2)
    assert all(member.state == WAITING and member.position == BASE for member in crew.members)
    for emission in town.outbox:
        values(emission)  # passes the contract
