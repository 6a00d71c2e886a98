"""What is a reading, what is rejected and why, and that the counters always add up."""

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.accounting import Accounting
from collector.ingest import (
    CLOCK_TOLD_S,
    DEAD_LETTER_BYTES,
    KEEPS_S,
    MAX_DEAD_LETTERS_PENDING,
    GatewayState,
    Ingest,
    TimeLimits,
    Transaction,
)
from haina.contract import Clock, Measurement, Phase, Status, catalogue, encode
from haina.contract.measurement import INT_LIMIT, Field
from haina.contract.message import MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES, MAX_SITE_DEVICES
from haina.contract.topic import MAX_LEVEL_CHARS
from haina.mqtt import Publish
from tests.collector.readings import NOW_MS, NOW_S, build_ingest, hear, message, payload, publish, topic

DAY_MS = 86_400_000
DEEP = 100_000


def rejected(transaction: Transaction) -> list[tuple[str, str]]:
    """(kind, reason) of everything rejected; kinds are counted, reasons are in the dead letters."""
    kinds = {
        kind.removeprefix("rejected_"): number
        for kind, number in transaction.counters.items()
        if kind.startswith("rejected_")
    }
    [kind] = kinds
    return [(kind, letter.reason) for letter in transaction.dead_letters]


def assert_adds_up(transaction: Transaction) -> None:
    counters = transaction.counters
    assert counters["received"] == counters["journaled"] + counters["duplicates"] + counters["rejected"]


HOSTILE = [
    (
        topic(),
        b'{"time":1790035200000,"boot":1,"seq":2,"values":{"worn":true,"steps":1,"battery_pct":NaN}}',
        "payload",
        "malformed",
    ),
    (topic(), payload(2).replace(b"80.5", b"1e999"), "payload", r"out of range.*battery_pct"),
    (topic(), payload(2).replace(b"80.5", b"-1e999"), "payload", r"out of range.*battery_pct"),
    (topic(), payload(2).replace(b"80.5", b"100.5"), "payload", r"<= 100.*battery_pct"),
    (topic(), payload(2).replace(b"80.5", b'"80.5"'), "payload", r"Expected `float`, got `str`"),
    (topic(), payload(2).replace(b'"seq":2', b'"seq":0'), "payload", r">= 1"),
    (topic(), payload(2).replace(b'"seq":2', b'"seq":99999999999999999999'), "payload", r"seq"),
    (topic(), payload(2)[:-1], "payload", "truncated"),
    (topic(), b"[" * DEEP, "oversize", f"100,000 bytes, where {MAX_PAYLOAD_BYTES:,}"),
    (topic(), b'{"values":' + b"[" * 16_000, "payload", "Expected `object`, got `array`"),
    (topic(), b'{"time":1,"boot":' + b"[" * 16_000, "payload", "Expected `int`, got `array`"),
    (topic(), b"\xff\xfe{}", "payload", "malformed"),
    (
        topic(name="kiosk_state"),
        b'{"time":1790035200000,"boot":1,"seq":2,"values":{"state":0,"fault":"\xff","paper_pct":1}}',
        "payload",
        "utf-8",
    ),
    (
        topic(name="kiosk_state"),
        b'{"time":1790035200000,"boot":1,"seq":2,"values":{"state":0,"fault":"\\ud800","paper_pct":1}}',
        "payload",
        "",
    ),
    (topic(), b"", "payload", "truncated"),
    (topic(), payload(2, colour="red"), "payload", "unknown field `colour`"),
    (topic(), payload(2) + b" " * MAX_PAYLOAD_BYTES, "oversize", "where 16,384 is the limit"),
    (topic(name="moon_phase"), payload(2), "topic", "'moon_phase' is not a measurement"),
    (topic("Wearable"), payload(2), "topic", "must be lower-case"),
    (b"haina/v1/telemetry/a/b", payload(2), "topic", "expected haina/v1"),
    (b"haina/v1/telemetry/a/b/\xff/wearable", payload(2), "topic", "not UTF-8"),
    (b"haina/v1/telemetry/a/b/" + b"x" * 60_000 + b"/wearable", payload(2), "topic", "longer than 48"),
    (b"haina/v1/command/a/b/c/restart", b"{}", "topic", "not for the collector"),
    (topic(), payload(2, time_ms=NOW_MS + 2 * 3_600_000), "future", "over 3600 s in the future"),
    (topic(), payload(2, time_ms=NOW_MS - 401 * DAY_MS), "old", "over 400 days old"),
    (b"haina/v1/status/a/b/kiosk-1/connection", b"", "topic", "gateway/connection, not kiosk-1/connection"),
    (b"haina/v1/status/a/b/gateway/other", encode(Status(False, 1)), "topic", "gateway/connection, not gateway/other"),
    (b"haina/v1/clock", b"{}", "payload", "missing required field"),
    (b"haina/v1/clock", b" " * (MAX_MESSAGE_BYTES + 1), "oversize", "262,145 bytes, where 262,144 is the limit"),
    (b"haina/v1/status/a/b/gateway/connection", b"[" * MAX_MESSAGE_BYTES, "payload", "Expected `object`"),
    (b"haina/v1/status/a/b/gateway/connection", b" " * (MAX_MESSAGE_BYTES + 1), "oversize", "262,144 is the limit"),
    (
        b"haina/v1/status/a/b/gateway/connection",
        encode(Status(True, 1, durable=dict.fromkeys(map(str, range(MAX_SITE_DEVICES + 1)), 1))),
        "payload",
        "length <= 1000.*durable",
    ),
    (b"haina/v1/status/a/b/gateway/connection", b"nonsense", "payload", "malformed"),
]


@pytest.mark.parametrize(("hostile_topic", "hostile", "kind", "reason"), HOSTILE)
def test_a_hostile_message_becomes_a_dead_letter_with_its_reason_and_costs_nothing_else(
    hostile_topic: bytes, hostile: bytes, kind: str, reason: str
) -> None:
    for known_before in (False, True):  # a topic in the cache takes another path than a new one
        ingest = build_ingest()
        first = [publish(1, packet_id=1)] if known_before else []
        hear(ingest, [*first, message(hostile_topic, hostile, 2), publish(2 if known_before else 1, packet_id=3)])
        transaction = ingest.take()
        assert [(found, True) for found, _ in rejected(transaction)] == [(kind, True)]
        [letter] = transaction.dead_letters
        assert letter.reason
        assert re.search(reason, letter.reason)
        assert "\n" not in letter.reason
        assert letter.payload == hostile[:DEAD_LETTER_BYTES]
        [group] = transaction.groups
        assert [point.seq for point in group.points] == ([1, 2] if known_before else [1])
        assert transaction.packet_ids == ([1, 2, 3] if known_before else [2, 3]), "all are acknowledged, in order"
        assert_adds_up(transaction)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.just(topic()), st.just(topic(name="kiosk_state")), st.binary(max_size=60)),
            st.one_of(st.binary(max_size=200), st.builds(payload, st.integers(1, 9))),
        ),
        max_size=20,
    )
)
def test_no_bytes_at_all_stop_the_line_or_escape_the_accounts(hostile: list[tuple[bytes, bytes]]) -> None:
    ingest = build_ingest()
    hear(ingest, [message(name, body) for name, body in hostile])
    transaction = ingest.take()
    assert transaction.counters["received"] == transaction.messages == len(hostile)
    assert_adds_up(transaction)


def test_a_reading_becomes_a_point_with_its_values_in_declared_order() -> None:
    ingest = build_ingest()
    hear(ingest, [publish(1, heart_rate_bpm=71)])
    [group] = ingest.take().groups
    [point] = group.points
    assert group.first == 1
    assert (point.measurement, point.area, point.site, point.device) == ("wearable", "caoyang", "home-1", "wearable-1")
    assert (point.boot, point.seq) == (1, 1)
    assert point.values[:4] == (True, 1, 80.5, 71.0)
    assert set(point.values[4:]) == {None}


def test_a_reading_without_any_value_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = Measurement(
        "mood", "wearable", "None of it is required.", (Field("joy", "float", "1", "", required=False),)
    )
    monkeypatch.setitem(catalogue.MEASUREMENTS, "mood", declared)
    ingest = build_ingest()
    body = b'{"time":%d,"boot":1,"seq":1,"values":{}}' % NOW_MS
    full = body.replace(b"{}", b'{"joy":1.0}')
    hear(ingest, [message(topic(name="mood"), each) for each in (body, full, body)])
    transaction = ingest.take()
    assert rejected(transaction) == [("empty", "a reading without any value")] * 2
    assert transaction.counters["journaled"] == 1


def test_a_reading_already_had_is_acknowledged_and_not_journaled() -> None:
    ingest = build_ingest()
    hear(ingest, [publish(1, packet_id=1), publish(1, packet_id=2)])
    transaction = ingest.take()
    assert transaction.packet_ids == [1, 2]
    assert len(transaction.groups[0].points) == 1
    assert transaction.counters["duplicates"] == 1
    assert_adds_up(transaction)


def test_readings_at_qos_0_are_taken_and_not_acknowledged() -> None:
    ingest = build_ingest()
    hear(ingest, [publish(1, packet_id=0), publish(2, packet_id=9)])
    transaction = ingest.take()
    assert transaction.packet_ids == [9]
    assert transaction.counters["journaled"] == 2


def test_packets_of_a_connection_that_is_gone_are_not_acknowledged_on_the_next() -> None:
    ingest = build_ingest()
    ingest.new_connection(1)
    hear(ingest, [publish(1, packet_id=7)])
    ingest.new_connection(2)
    hear(ingest, [publish(2, packet_id=1)])
    transaction = ingest.take()
    assert (transaction.epoch, transaction.packet_ids) == (2, [1])
    assert transaction.counters["journaled"] == 2, "what was received is kept all the same"


def build_clock(time_ms: int, phase: Phase = Phase.LIVE, speed: float = 1.0, **also: Any) -> Publish:
    return message(b"haina/v1/clock", encode(Clock("run", time_ms, speed, phase, **also)))


def believed(ingest: Ingest, *times_ms: int) -> list[str]:
    """What becomes of readings of these event times."""
    found = []
    for number, time_ms in enumerate(times_ms):
        hear(ingest, [publish(1, f"device-{ingest.epoch}-{number}-{time_ms}", time_ms=time_ms)])
        transaction = ingest.take()
        found.append(transaction.dead_letters[0].reason.rpartition(" ")[2] if transaction.dead_letters else "taken")
    return found


LONG_AGO_MS = NOW_MS - 900 * DAY_MS
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("clock", "latest_ms"),
    [
        (build_clock(LONG_AGO_MS), LONG_AGO_MS + HOUR_MS),
        (build_clock(NOW_MS + 900 * DAY_MS), NOW_MS + 900 * DAY_MS + HOUR_MS),
        (build_clock(LONG_AGO_MS, speed=60.0), LONG_AGO_MS + 60 * HOUR_MS),
        (build_clock(LONG_AGO_MS, reached=LONG_AGO_MS + DAY_MS), LONG_AGO_MS + DAY_MS + HOUR_MS),
        (build_clock(LONG_AGO_MS, Phase.HISTORY, live_from=LONG_AGO_MS + DAY_MS), LONG_AGO_MS + DAY_MS + HOUR_MS),
        (build_clock(LONG_AGO_MS, Phase.HISTORY), NOW_MS + HOUR_MS),
    ],
    ids=["a simulated past", "a simulated future", "faster", "ahead of what is durable", "in history", "up to now"],
)
def test_the_runs_clock_says_what_is_too_old_or_in_the_future_and_not_the_machines(
    clock: Publish, latest_ms: int
) -> None:
    ingest = build_ingest()
    hear(ingest, [clock])
    assert ingest.take().counters["received"] == 0, "the clock is no reading"
    assert ingest.clock is not None
    earliest_ms = ingest.clock.time - 400 * DAY_MS
    times_ms = (earliest_ms - 1, earliest_ms, ingest.clock.time, latest_ms, latest_ms + 1)
    assert believed(ingest, *times_ms) == ["old", "taken", "taken", "taken", "future"]


def test_a_clock_that_nobody_tells_any_more_is_no_reason_to_reject_what_is_said_now() -> None:
    retained = replace(build_clock(LONG_AGO_MS), retain=True)
    kept, remembering, silent = (
        build_ingest(),
        build_ingest(clock=Clock("run", LONG_AGO_MS, 1.0, Phase.LIVE)),
        build_ingest(),
    )
    hear(kept, [retained])
    hear(silent, [build_clock(LONG_AGO_MS)])
    silent._clock_heard_s -= CLOCK_TOLD_S
    silent.tick()
    for ingest in (kept, remembering, silent):
        ingest.take()
        times_ms = (LONG_AGO_MS - 401 * DAY_MS, LONG_AGO_MS, NOW_MS, NOW_MS + 2 * HOUR_MS)
        assert believed(ingest, *times_ms) == ["old", "taken", "taken", "future"]
        hear(ingest, [build_clock(LONG_AGO_MS)])
        ingest.take()
        assert believed(ingest, NOW_MS + 1) == ["future"], "now somebody tells it"


def test_a_clock_that_steps_moves_the_limits_with_it_and_a_machines_that_steps_does_not() -> None:
    wall_s = [NOW_S]
    ingest = Ingest(Accounting(), wall_s=lambda: wall_s[0])
    assert believed(ingest, NOW_MS, LONG_AGO_MS) == ["taken", "old"]
    hear(ingest, [build_clock(LONG_AGO_MS)])
    assert believed(ingest, NOW_MS, LONG_AGO_MS) == ["future", "taken"]
    for stepped_s in (NOW_S - 10 * 365 * 86_400, NOW_S + 10 * 365 * 86_400):
        wall_s[0] = stepped_s
        ingest.tick()
        assert believed(ingest, NOW_MS, LONG_AGO_MS + 1) == ["future", "taken"]
    hear(ingest, [build_clock(NOW_MS)])
    assert believed(ingest, NOW_MS + 1, LONG_AGO_MS + 2) == ["taken", "old"]


def test_time_limits_can_be_chosen() -> None:
    ingest = build_ingest(limits=TimeLimits(future_s=10, past_s=60))
    hear(ingest, [publish(1, time_ms=NOW_MS + 11_000), publish(2, time_ms=NOW_MS - 61_000), publish(3, time_ms=NOW_MS)])
    assert {kind for kind in ingest.take().counters if kind.startswith("rejected_")} == {
        "rejected_future",
        "rejected_old",
    }


def test_devices_beyond_the_limit_are_rejected_and_an_invalid_reading_makes_no_device_known() -> None:
    ingest = build_ingest(max_devices=1)
    hear(ingest, [message(topic("noise"), b"{}"), publish(1, "a"), publish(1, "b"), publish(2, "a")])
    transaction = ingest.take()
    assert list(ingest.accounting.devices) == [("caoyang", "home-1", "a")]
    assert transaction.counters["journaled"] == 2
    assert transaction.counters["rejected_devices"] == 1
    assert "too many devices" in transaction.dead_letters[-1].reason


def test_a_flood_of_rejected_messages_keeps_the_last_dead_letters_and_counts_the_others() -> None:
    ingest = build_ingest()
    flood = [message(topic(), b"%d" % number) for number in range(MAX_DEAD_LETTERS_PENDING + 5)]
    hear(ingest, flood)
    transaction = ingest.take()
    assert len(transaction.dead_letters) == MAX_DEAD_LETTERS_PENDING
    assert transaction.dead_letters[0].payload == b"5"
    assert transaction.counters["dead_letters_dropped"] == 5
    assert transaction.counters["rejected"] == len(flood)


def test_whose_readings_are_given_up_is_named() -> None:
    ingest = build_ingest()
    hear(ingest, [publish(4, "a"), publish(2, "b"), publish(1, "c")])
    assert ingest.give_up_stale(0.0, 30.0) == (0, [])
    assert ingest.give_up_stale(30.0, 30.0) == (4, [("caoyang", "home-1", "a"), ("caoyang", "home-1", "b")])


def test_gateways_are_online_offline_or_forgotten_as_their_status_says() -> None:
    ingest = build_ingest()
    where = b"haina/v1/status/caoyang/home-%d/gateway/connection"
    hear(ingest, [message(where % 1, encode(Status(True, 1))), message(where % 2, encode(Status(False, 1)))])
    assert ingest.gateways == {("caoyang", "home-1"): GatewayState(True), ("caoyang", "home-2"): GatewayState(False)}
    hear(ingest, [message(where % 1, b"")])
    assert ingest.gateways == {("caoyang", "home-2"): GatewayState(False)}


def status(*, online: bool = True, keeps: bool = True) -> Publish:
    """What the gateway of home-1 says of itself."""
    return message(b"haina/v1/status/caoyang/home-1/gateway/connection", encode(Status(online, 1, keeps=keeps)))


def test_a_gap_of_a_boot_that_a_gateway_keeps_is_not_given_up_by_time() -> None:
    ingest = build_ingest()
    hear(ingest, [publish(1), publish(3), status(keeps=True)])
    assert [ingest.give_up_stale(now_s, 30.0) for now_s in (0.0, 100.0)] == [(0, [])] * 2
    assert ingest.gateways == {("caoyang", "home-1"): GatewayState(True, keeps=1)}
    hear(ingest, [status(keeps=False)])
    assert ingest.give_up_stale(200.0, 30.0) == (1, [("caoyang", "home-1", "wearable-1")])


@pytest.mark.parametrize("why", ["rejected", "gone"])
def test_a_gap_is_given_up_after_all_where_its_readings_are_rejected_or_its_gateway_does_not_come_back(
    why: str,
) -> None:
    ingest = build_ingest()
    hear(ingest, [publish(1), publish(3), status(online=True)])
    assert ingest.give_up_stale(0.0, 30.0)[0] == 0
    assert ingest.give_up_stale(100.0, 30.0)[0] == 0
    if why == "rejected":
        hear(ingest, [message(topic(), payload(2).replace(b"80.5", b"100.5"))])
        assert ingest.give_up_stale(110.0, 30.0)[0] == 0
        assert ingest.give_up_stale(130.0, 30.0)[0] == 1
    else:
        hear(ingest, [status(online=False)])
        assert ingest.give_up_stale(110.0, 30.0)[0] == 0
        assert ingest.give_up_stale(KEEPS_S, 30.0)[0] == 0
        assert ingest.give_up_stale(KEEPS_S + 120.0, 30.0)[0] == 1


def test_what_a_gateway_has_let_go_of_is_had_elsewhere_unless_it_is_here_whenever_it_says_so() -> None:
    def let_go(through: int) -> Publish:
        status = Status(True, 1, durable={"wearable-1": through, "Not a level": 5})
        return message(b"haina/v1/status/caoyang/home-1/gateway/connection", encode(status))

    ingest = build_ingest()
    hear(ingest, [publish(101), let_go(100), publish(103)])
    first = ingest.take()
    device = ingest.accounting.devices[("caoyang", "home-1", "wearable-1")]
    assert (device.received, device.elsewhere, device.waited_for, device.current.contiguous) == (2, 100, 1, 101)
    hear(ingest, [publish(100), publish(102), let_go(103)])
    second = ingest.take()
    assert (device.received, device.elsewhere, device.duplicates, device.current.contiguous) == (3, 100, 1, 103)
    after = Accounting()
    for batch in (*first.batches, *second.batches):
        after.replay(batch.group.points)
        after.replay_notes(batch.notes.state())
    assert after.devices[device.key].state() == device.state()


def test_the_longest_status_that_a_site_can_have_is_taken_whole() -> None:
    names = [f"{number:0{MAX_LEVEL_CHARS}}" for number in range(MAX_SITE_DEVICES)]
    status = encode(Status(False, 2**31 - 1, 9_000_000_000_000, dict.fromkeys(names, INT_LIMIT)))
    assert len(status) < MAX_MESSAGE_BYTES
    ingest = build_ingest()
    hear(ingest, [message(b"haina/v1/status/caoyang/home-1/gateway/connection", status)])
    assert not ingest.take().dead_letters
    assert ingest.accounting.devices.keys() == {("caoyang", "home-1", name) for name in names}


def test_everything_pending_is_one_transaction_and_numbers_go_on() -> None:
    ingest = build_ingest()
    assert not ingest.pending
    hear(ingest, [publish(1), publish(2)])
    assert ingest.open_transaction == 1
    first = ingest.take()
    hear(ingest, [publish(3)])
    second = ingest.take()
    assert [(first.number, first.groups[0].first), (second.number, second.groups[0].first)] == [(1, 1), (2, 3)]
    assert ingest.open_transaction == 2, "nothing is pending: what was received is covered by the last transaction"


def test_counters_go_on_where_an_earlier_process_stopped() -> None:
    before = build_ingest()
    hear(before, [publish(1), publish(1), message(topic(), b"{")])
    after: Ingest = build_ingest(counters=before.take().counters)
    hear(after, [publish(5)])
    transaction = after.take()
    assert transaction.groups[0].first == 2
    assert dataclasses.asdict(transaction)["counters"]["received"] == 4
    assert_adds_up(transaction)
