"""Online, silent, offline and unknown are four things, by each device's own habit and the run's clock."""

import pytest

from collector.accounting import HABIT_FORMED_MS, LEAST_SILENCE_MS, SILENCE_HABITS, Accounting, Device
from collector.presence import NEWCOMER_SILENCE_MS, NIGHT_MS, STRANGER_SILENCE_MS, State, state
from tests.collector.readings import NOW_MS

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def build_device(*gaps_ms: int) -> Device:
    """One that was first heard at NOW_MS, and then after each of these gaps."""
    device = Accounting().device(("caoyang", "home-1", "band"))
    time_ms = NOW_MS
    for seq, gap_ms in enumerate((0, *gaps_ms), 1):
        time_ms += gap_ms
        assert device.take(1, seq, time_ms)
    return device


def silent_after_ms(device: Device) -> int:
    """How long after its last reading it is silent, found by asking."""
    known, unknown = 0, 40 * DAY_MS
    while unknown - known > 1:
        middle = (known + unknown) // 2
        if state(device, True, device.last_ms + middle) is State.SILENT:
            unknown = middle
        else:
            known = middle
    return known


def test_a_device_is_offline_with_its_gateway_and_unknown_without_news_of_it() -> None:
    device = build_device(*[MINUTE_MS] * 2_000)
    just_now_ms, much_later_ms = device.last_ms + 1_000, device.last_ms + 90 * DAY_MS
    for now_ms in (just_now_ms, much_later_ms):
        assert state(device, False, now_ms) is State.OFFLINE
        assert state(device, None, now_ms) is State.UNKNOWN
    assert state(device, True, just_now_ms) is State.ONLINE
    assert state(device, True, much_later_ms) is State.SILENT
    assert state(device, True, device.last_ms - 90 * DAY_MS) is State.ONLINE, "a clock that steps back hides nobody"


def test_a_device_that_has_said_nothing_here_is_unknown_even_with_its_gateway_connected() -> None:
    device = Accounting().device(("caoyang", "home-1", "band"))
    device.take_over(1, 100)
    assert state(device, True, NOW_MS) is State.UNKNOWN
    device.take(1, 101, NOW_MS)
    assert state(device, True, NOW_MS) is State.ONLINE


@pytest.mark.parametrize(
    ("gaps_ms", "after_ms"),
    [
        ([], STRANGER_SILENCE_MS),
        ([HOUR_MS], STRANGER_SILENCE_MS),
        ([DAY_MS, HOUR_MS], SILENCE_HABITS * DAY_MS),
        ([MINUTE_MS] * 10, NEWCOMER_SILENCE_MS),
        ([MINUTE_MS] * 1_500, LEAST_SILENCE_MS),
        ([MINUTE_MS] * 100 + [90 * MINUTE_MS, MINUTE_MS], NIGHT_MS),
        ([MINUTE_MS] * 50 + ([MINUTE_MS] * 100 + [8 * HOUR_MS]) * 10, SILENCE_HABITS * 8 * HOUR_MS),
        ([HOUR_MS] * 25, SILENCE_HABITS * HOUR_MS),
        ([MINUTE_MS] * 300 + [9 * HOUR_MS] + [MINUTE_MS] * 1_200, SILENCE_HABITS * 9 * HOUR_MS),
    ],
    ids=[
        "spoke once",
        "was pressed after its heartbeat",
        "and has one each day",
        "a newcomer",
        "every minute",
        "moves by day and has met no night yet",
        "has met its nights",
        "every hour",
        "sleeps at night",
    ],
)
def test_a_device_is_silent_after_three_times_its_own_habit(gaps_ms: list[int], after_ms: int) -> None:
    assert silent_after_ms(build_device(*gaps_ms)) == after_ms


def test_an_outage_does_not_teach_an_old_device_that_silence_is_usual() -> None:
    minutes = [MINUTE_MS] * (HABIT_FORMED_MS // MINUTE_MS + 1)
    device = build_device(*minutes, 3 * DAY_MS, MINUTE_MS)
    assert silent_after_ms(device) == SILENCE_HABITS * LEAST_SILENCE_MS
    device.take(1, 10**6, device.last_ms + 3 * DAY_MS)
    assert silent_after_ms(device) == SILENCE_HABITS**2 * LEAST_SILENCE_MS, "but what comes again becomes usual"


def test_a_habit_survives_a_restart() -> None:
    device, again = build_device(*[HOUR_MS] * 25), Accounting().device(("caoyang", "home-1", "band"))
    again.restore(device.state())
    assert silent_after_ms(again) == silent_after_ms(device) == SILENCE_HABITS * HOUR_MS
