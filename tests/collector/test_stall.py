"""A broker that holds back is told from one that has nothing more to send."""

from collector.stall import OVER_S, STALL_S, Stall


def commits(stall: Stall, unacknowledged: int, over_s: float, *, every_s: float = 0.01, from_s: float = 0.0) -> int:
    """How often the sentence changed in so many seconds of commits."""
    times = (from_s + step * every_s for step in range(round(over_s / every_s)))
    return sum(stall.committed(unacknowledged, time_s) for time_s in times)


def test_the_same_number_at_commit_after_commit_is_the_brokers_limit_and_said_once() -> None:
    for messages, words in (
        (20, "max_inflight_messages of Mosquitto, which is 20"),
        (100, "the embedded broker"),
        (1_000, "max_queued_messages of Mosquitto"),
        (250, "the broker's limit on messages in flight"),
    ):
        stall = Stall()
        assert commits(stall, messages, 5 * STALL_S) == 1
        assert stall.sentence is not None
        assert f"at {messages:,} unacknowledged" in stall.sentence
        assert words in stall.sentence


def test_a_quiet_town_a_busy_one_and_one_with_a_steady_beat_are_no_stall() -> None:
    quiet, busy, beating = Stall(), Stall(), Stall()
    assert commits(quiet, 1, 60.0) == 0
    assert not any(busy.committed(100 + number**2 % 997, number / 100) for number in range(2_000))
    assert commits(beating, 20, 600.0, every_s=1.0) == 0, "twenty devices that speak each second"


def test_it_is_over_when_the_limit_was_not_met_for_a_while_and_said_once() -> None:
    stall = Stall()
    commits(stall, 20, 3.0)
    assert commits(stall, 7, 5.0, from_s=3.0) == 0
    assert not stall.tick(3.0 + OVER_S / 2)
    assert stall.sentence
    assert stall.tick(3.0 + OVER_S + 1)
    assert stall.sentence is None
    assert not stall.tick(100.0)
