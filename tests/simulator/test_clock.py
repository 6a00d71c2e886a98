"""The one clock: where simulated time may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haina.contract import Phase
from simulator.clock import BadSpeed, PastPresent, RunClock

NOW = 1_790_000_000_000
DAY = 86_400_000


def build_clock(**settings: object) -> RunClock:
    defaults: dict[str, object] = {"start_ms": NOW - DAY, "wall_ms": NOW}
    return RunClock(**(defaults | settings))  # type: ignore[arg-type]


def test_history_races_to_now_and_then_the_town_is_live() -> None:
    clock = build_clock()
    assert clock.phase is Phase.HISTORY
    assert clock.may_reach_ms(NOW) == NOW
    clock.reached(NOW - 500, NOW)
    assert clock.phase is Phase.LIVE


def test_history_towards_now_keeps_chasing_a_now_that_moves() -> None:
    clock = build_clock()
    clock.reached(NOW, NOW + 20_000)
    assert clock.phase is Phase.HISTORY
    assert clock.may_reach_ms(NOW + 20_000) == NOW + 20_000


def test_history_ends_at_live_from_and_time_goes_on_from_there_at_speed() -> None:
    clock = build_clock(live_from_ms=NOW - DAY // 2, speed=60)
    assert clock.may_reach_ms(NOW) == NOW - DAY // 2
    clock.reached(NOW - DAY // 2, NOW + 5_000)
    assert clock.phase is Phase.LIVE
    assert clock.may_reach_ms(NOW + 6_000) == NOW - DAY // 2 + 60_000


def test_live_time_catches_up_after_an_outage_without_being_told() -> None:
    clock = build_clock(start_ms=NOW)
    assert clock.phase is Phase.LIVE
    clock.reached(NOW + 1_000, NOW + 1_000)
    assert clock.may_reach_ms(NOW + 61_000) == NOW + 61_000


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 1.0, 60.0, 5_000.0]), st.integers(0, 100_000)), max_size=30))
def test_simulated_time_never_runs_backwards_nor_past_the_present(steps: list[tuple[float, int]]) -> None:
    clock = build_clock(live_from_ms=NOW - DAY // 2)
    wall = NOW
    for speed, waited_ms in steps:
        wall += waited_ms
        try:
            clock.set_speed(speed, wall)
        except BadSpeed:
            assert speed > 1
            assert clock.now_ms > wall - 5_000
        reach = clock.may_reach_ms(wall)
        assert clock.now_ms <= reach <= wall
        clock.reached(reach, wall)


def test_allowed_to_it_runs_past_the_present() -> None:
    clock = build_clock(start_ms=NOW)
    with pytest.raises(PastPresent, match="future: true"):
        clock.set_speed(60, NOW)
    clock.set_speed(60, NOW, future=True)
    assert clock.may_reach_ms(NOW + 1_000) == NOW + 60_000


def test_a_paused_clock_stands_still_until_stepped_and_goes_on_from_there() -> None:
    clock = build_clock(live_from_ms=NOW - DAY)
    clock.pause(True, NOW)
    assert clock.may_reach_ms(NOW + 60_000) == NOW - DAY
    clock.step(30)
    assert clock.may_reach_ms(NOW + 60_000) == NOW - DAY + 30_000
    clock.reached(NOW - DAY + 30_000, NOW + 60_000)
    assert clock.may_reach_ms(NOW + 90_000) == NOW - DAY + 30_000
    clock.pause(False, NOW + 90_000)
    assert clock.may_reach_ms(NOW + 91_000) == NOW - DAY + 31_000


def test_stepping_a_running_clock_is_refused_with_a_sentence() -> None:
    with pytest.raises(BadSpeed, match="pause the clock"):
        build_clock().step(10)


@pytest.mark.parametrize("speed", [-1, 0.01, 1e9, float("nan")])
def test_impossible_speeds_are_refused_with_the_range(speed: float) -> None:
    with pytest.raises(BadSpeed, match=r"0\.1"):
        build_clock(speed=speed)


def test_a_run_with_an_end_finishes_there() -> None:
    clock = build_clock(end_ms=NOW - DAY + 1_000)
    assert clock.may_reach_ms(NOW) == NOW - DAY + 1_000
    clock.reached(NOW - DAY + 1_000, NOW)
    assert clock.finished
