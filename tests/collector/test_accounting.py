"""Which readings came, which are missing, which came twice: against a plain set of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import accounting as accounting_module
from collector.accounting import KEPT_ROUNDS, MAX_EARLY, MAX_GAPS, Accounting, Device, Notes, TooManyDevices
from haina.contract import Watermark, decode
from tests.collector.readings import build_points

KEY = ("caoyang", "home-1", "wearable-1")


def build_device() -> Device:
    return Accounting().device(KEY)


def take(device: Device, seq: int, *, boot: int = 1, time_ms: int = 0) -> bool:
    return device.take(boot, seq, time_ms)


def watermark(device: Device) -> dict[str, int]:
    [*_, (_, payload)] = device.site.watermarks()
    return decode(Watermark, payload).durable


@given(st.lists(st.integers(1, 40), max_size=120), st.lists(st.integers(0, 119), max_size=6))
def test_a_reading_is_taken_exactly_once_in_any_order_and_whatever_is_given_up(
    numbers: list[int], given_up_at: list[int]
) -> None:
    device = build_device()
    received: set[int] = set()
    for step, seq in enumerate(numbers):
        assert take(device, seq) == (seq not in received)
        received.add(seq)
        if step in given_up_at:
            device.current.give_up(device.current.highest)
        sequence = device.current
        promised = set(range(1, sequence.contiguous + 1))
        assert len(promised - received) == sequence.missing == device.missing
        assert sequence.contiguous + 1 not in received
        assert sequence.received == device.received == len(received)


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 30)), max_size=100))
def test_two_boots_are_kept_apart_however_they_are_mixed(readings: list[tuple[int, int]]) -> None:
    device = build_device()
    seen: set[tuple[int, int]] = set()
    for boot, seq in readings:
        assert take(device, seq, boot=boot) == ((boot, seq) not in seen)
        seen.add((boot, seq))
    assert device.received == len(seen)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 60)), max_size=200))
def test_a_restored_device_goes_on_like_one_that_never_stopped(readings: list[tuple[int, int]]) -> None:
    lasting, restarting = build_device(), build_device()
    for boot, seq in readings:
        restored = build_device()
        restored.restore(restarting.state())
        restarting = restored
        assert take(restarting, seq, boot=boot) == take(lasting, seq, boot=boot)
        assert restarting.state() == lasting.state()


def test_a_gap_is_given_up_when_too_many_readings_wait_behind_it() -> None:
    device = build_device()
    for seq in range(3, 3 + MAX_EARLY):
        assert take(device, seq)
    assert (device.current.contiguous, device.missing) == (0, 0)
    assert take(device, 3 + MAX_EARLY)
    assert (device.current.contiguous, device.missing) == (3 + MAX_EARLY, 2)
    assert not device.current.above


def test_of_many_gaps_with_too_many_readings_behind_them_the_older_half_is_given_up() -> None:
    device = build_device()
    for seq in range(2, 2 * MAX_EARLY + 4, 2):
        assert take(device, seq)
    assert (device.current.contiguous, device.missing) == (MAX_EARLY + 2, MAX_EARLY // 2 + 1)
    assert len(device.current.above) == MAX_EARLY // 2


def test_a_gap_is_given_up_when_it_has_stood_for_a_while_and_not_before() -> None:
    accounting, notes = Accounting(), Notes()
    device = accounting.device(KEY)
    for seq in (1, 2, 5, 6, 9):
        take(device, seq)
    assert accounting.give_up_stale(100.0, 30.0, notes) == 0
    take(device, 12)  # this hole is younger than the others
    assert accounting.give_up_stale(129.0, 30.0, notes) == 0
    assert device.current.contiguous == 2
    assert accounting.give_up_stale(130.0, 30.0, notes) == 4
    assert (device.current.contiguous, device.missing) == (9, 4)
    assert notes.given_up == [(KEY, 0, 9)]


@pytest.mark.parametrize("known_already", [False, True])
def test_no_gap_of_a_site_is_given_up_while_its_gateway_says_again_what_is_before_it(known_already: bool) -> None:
    accounting, notes = Accounting(), Notes()
    first, second = (accounting.device((*KEY[:2], name)) for name in ("first", "second"))
    for seq in (1, 100):
        take(first, seq)
        take(second, seq)
    for seq in range(2, 12):  # a slow line: one reading every 10 s, and the second device's come later
        assert accounting.give_up_stale(10.0 * seq, 30.0, notes) == 0
        if known_already:
            assert not take(first, 1)
            accounting.duplicate(first, notes)
        else:
            take(first, seq)
    assert accounting.give_up_stale(120.0, 30.0, notes) == 0
    assert accounting.give_up_stale(150.0, 30.0, notes) > 0, "then nothing more was said again"


def test_a_gap_that_its_gateway_passes_by_again_and_again_is_given_up_and_later_ones_are_not() -> None:
    """A gateway that says for ever again what waits behind a hole would never be told to stop."""
    accounting, notes = Accounting(), Notes()
    device = accounting.device(KEY)
    for seq in (4, 5, 9):
        take(device, seq)
    for turn in range(6):
        assert accounting.give_up_stale(10.0 * turn, 30.0, notes) == (3 if turn == 3 else 0)
        for seq in (4, 5, 9):
            assert not take(device, seq)
            accounting.duplicate(device, notes)
    assert (device.current.contiguous, device.missing) == (5, 3)
    assert notes.given_up == [(KEY, 0, 4)], "what a restart will do again"


def test_a_gap_that_its_gateway_promised_to_fill_is_waited_for_however_long_that_takes() -> None:
    accounting, notes = Accounting(), Notes()
    device = accounting.device(KEY)
    take(device, 2, boot=7)
    kept = {KEY[:2]: 7}
    for now_s in (0.0, 100.0, 10_000.0):
        assert accounting.give_up_stale(now_s, 30.0, notes, kept=kept) == 0
    take(device, 2, boot=8)  # its gateway was started again, and promises nothing of the boot before
    assert accounting.give_up_stale(10_005.0, 30.0, notes, kept={KEY[:2]: 8}) == 0
    assert accounting.give_up_stale(10_030.0, 30.0, notes, kept={KEY[:2]: 8}) == 1
    assert (device.missing, device.waited_for) == (1, 1)


def test_a_gap_that_its_gateway_passes_by_although_it_promised_to_fill_it_is_given_up_later() -> None:
    """Its readings may be such as this collector rejects."""
    accounting, notes = Accounting(), Notes()
    device = accounting.device(KEY)
    take(device, 4, boot=7)
    given_up = []
    for turn in range(KEPT_ROUNDS + 2):
        given_up.append(accounting.give_up_stale(10.0 * turn, 30.0, notes, kept={KEY[:2]: 7}))
        assert not take(device, 4, boot=7)
    assert given_up == [0] * KEPT_ROUNDS + [3, 0]


def test_a_gap_is_not_given_up_for_the_time_in_which_nothing_could_come() -> None:
    accounting, notes = Accounting(), Notes()
    device = accounting.device(KEY)
    take(device, 2)
    accounting.give_up_stale(100.0, 30.0, notes)
    accounting.forgive()
    assert accounting.give_up_stale(1_000.0, 30.0, notes) == 0
    assert accounting.give_up_stale(1_030.0, 30.0, notes) == 1


def test_what_arrives_after_it_was_given_up_is_taken_and_no_longer_missing() -> None:
    device = build_device()
    for seq in (1, 5):
        take(device, seq)
    device.current.give_up(5)
    assert device.missing == 3
    assert take(device, 3)
    assert not take(device, 3)
    assert device.missing == 2
    assert take(device, 2)
    assert take(device, 4)
    assert (device.missing, device.current.gaps) == (0, [])


def test_where_gaps_were_forgotten_a_reading_is_taken_rather_than_lost() -> None:
    device = build_device()
    for seq in range(2, 2 * (MAX_GAPS + 3), 2):
        take(device, seq)
        device.current.give_up(seq)
    assert len(device.current.gaps) == MAX_GAPS
    assert take(device, 1)
    assert device.unverified == 1
    assert not take(device, 2 * (MAX_GAPS + 2)), "above what was forgotten nothing is in doubt"


def test_readings_of_an_earlier_boot_that_come_late_are_neither_lost_nor_taken_twice() -> None:
    device = build_device()
    assert [take(device, seq, boot=1) for seq in (1, 2)] == [True, True]
    assert take(device, 1, boot=2)
    assert [take(device, seq, boot=1) for seq in (2, 3)] == [False, True]
    assert not take(device, 1, boot=2)
    assert device.received == 4


def test_a_new_boot_need_not_be_a_higher_number() -> None:
    device = build_device()
    assert [take(device, seq, boot=9) for seq in (1, 2, 3)] == [True] * 3
    assert [take(device, seq, boot=4) for seq in (1, 2)] == [True] * 2
    assert watermark(device) == {"wearable-1": 2}


def test_a_device_that_begins_again_without_a_new_boot_is_known_by_its_event_time() -> None:
    device = build_device()
    assert [take(device, seq, time_ms=1_000 * seq) for seq in (1, 2, 3)] == [True] * 3
    assert not take(device, 1, time_ms=1_000), "the same reading again is a duplicate"
    assert take(device, 1, time_ms=9_000), "a later one with a number that was used is not"
    assert take(device, 2, time_ms=10_000)
    assert (device.received, device.current.contiguous) == (5, 2)


def test_a_site_that_spoke_in_an_earlier_boot_is_told_both_and_the_latest_last() -> None:
    accounting = Accounting()
    device = accounting.device(KEY)
    take(device, 1, boot=1)
    take(device, 1, boot=2)
    take(device, 2, boot=1)
    told = [decode(Watermark, payload) for _, payload in device.site.watermarks()]
    assert told == [Watermark(1, {"wearable-1": 2}), Watermark(2, {"wearable-1": 1})]
    assert [boot for boot, _ in device.site.watermarks()] == [2]


def test_a_site_whose_town_was_founded_anew_is_told_about_its_new_boot_also_after_a_restart() -> None:
    before, after = Accounting(), Accounting()
    for name in ("a", "b"):
        take(before.device(("caoyang", "home-1", name)), 1, boot=7, time_ms=1_000)
    take(before.device(("caoyang", "home-1", "b")), 1, boot=3, time_ms=2_000)
    for key, device in before.devices.items():
        after.restore(key, device.state())
    [site] = after.sites.values()
    [(_, payload)] = site.watermarks()
    assert decode(Watermark, payload) == Watermark(3, {"b": 1})


def test_more_devices_than_the_limit_are_refused_and_known_ones_are_not() -> None:
    accounting = Accounting(max_devices=2)
    for name in ("a", "b"):
        accounting.device(("caoyang", "home-1", name))
    with pytest.raises(TooManyDevices, match="too many devices: 2 are known already"):
        accounting.device(("caoyang", "home-1", "c"))
    assert accounting.device(("caoyang", "home-1", "a")).name == "a"


def test_a_site_has_a_limit_of_its_own_so_that_its_watermark_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting_module, "MAX_SITE_DEVICES", 2)
    accounting = Accounting()
    for name in ("a", "b"):
        accounting.device(("caoyang", "home-1", name))
    with pytest.raises(TooManyDevices, match="site home-1 has 2 already"):
        accounting.device(("caoyang", "home-1", "c"))
    accounting.device(("caoyang", "home-2", "c"))


def test_replaying_points_and_notes_gives_the_state_that_taking_them_gave() -> None:
    live, again, notes = Accounting(), Accounting(), Notes()
    points = build_points(6)
    device = live.device(KEY)
    taken = [points[index] for index in (0, 1, 4)]
    for point in taken:
        device.take(point.boot, point.seq, point.time_ms)
    live.duplicate(device, notes)
    live.give_up_stale(0.0, 30.0, notes)
    live.give_up_stale(30.0, 30.0, notes)
    again.replay(taken)
    again.replay_notes(notes.state())
    assert again.devices[KEY].state() == device.state()
    assert device.missing == 2
