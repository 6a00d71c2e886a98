"""Shipping: in order, exactly once, around refusals, through outages; from memory or from the file."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.ingest import Group, Settled
from collector.journal import Journal
from collector.shipping import BATCH_POINTS, RETRY, Recent, Shipper, batch_wait_s, retry_wait_s
from collector.stores import StoreRefused, StoreUnavailable
from haina.contract import Point
from haina.mqtt import Backoff
from tests.collector.readings import build_ingest, build_points, hear, publish


class RecordingStore:
    """Keeps cursors as the protocol asks, refuses poison, and is down when told to be."""

    name = "recording"

    def __init__(self, poison: set[int] | None = None) -> None:
        self.poison = poison or set()
        self.down = False
        self.retry_after_s: float | None = None
        self.points: list[Point] = []
        self.cursor = 0
        self.calls = 0
        self.batches: list[int] = []

    def write(self, source: str, cursor: int, points: Sequence[Point]) -> None:
        self.calls += 1
        if self.down:
            raise StoreUnavailable("it is down", self.retry_after_s)
        if any(point.seq in self.poison for point in points):
            raise StoreRefused("it is poison")
        first = cursor - len(points) + 1
        assert first > self.cursor, "a batch begins after the one before"
        self.batches.append(len(points))
        self.points += points
        self.cursor = cursor

    def close(self) -> None:
        self.down = True


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "data")
    ingest = build_ingest()
    for first in range(1, 201, 20):
        hear(ingest, [publish(seq) for seq in range(first, first + 20)])
        opened.commit(ingest.take())
    yield opened
    opened.close()


def build_shipper(journal: Journal, store: RecordingStore, recent: Recent | None = None, cursor: int = 0) -> Shipper:
    settled = Settled("recording:", cursor, 0, 0)
    return Shipper("recording:", store.name, store, journal, recent or Recent(), settled, Backoff(0.001, 0.01))


async def ship(shipper: Shipper, last: int = 200) -> None:
    shipper.committed(last)
    shipper.stop()
    async with asyncio.timeout(20):
        await shipper.run()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - a thread changes it, which sets no event
            await asyncio.sleep(0.005)


def seqs(points: Sequence[Point]) -> list[int]:
    return [point.seq for point in points]


@given(poison=st.sets(st.integers(1, 200), max_size=12))
@settings(max_examples=20)
def test_poison_stands_alone_and_everything_else_is_stored_once_and_in_order(poison: set[int]) -> None:
    async def check() -> None:
        recent = Recent()
        recent.add(Group(1, build_points(200)))
        store = RecordingStore(poison)
        shipper = build_shipper(_NoJournal(), store, recent)  # type: ignore[arg-type]
        await ship(shipper)
        assert seqs(store.points) == [seq for seq in range(1, 201) if seq not in poison]
        assert (shipper.stored, shipper.refused, shipper.pending) == (200 - len(poison), len(poison), 0)
        letters = shipper.dead_letters
        assert [letter.reason for letter in letters] == ["it is poison"] * len(poison)
        assert [(letter.by, letter.topic) for letter in letters] == [
            ("recording", "haina/v1/telemetry/caoyang/home-1/wearable-1/wearable")
        ] * len(poison)

    asyncio.run(check())


@pytest.mark.parametrize("changes", [{"measurement": "of_another_version"}, {"values": (True, 4711)}])
def test_a_refused_point_that_this_version_does_not_declare_is_a_letter_with_all_its_values(
    changes: dict[str, Any],
) -> None:
    """An application was taken away, or the version goes back, while its points waited in the journal."""

    async def check() -> None:
        recent = Recent()
        [point] = build_points(1)
        recent.add(Group(1, [replace(point, **changes)]))
        shipper = build_shipper(_NoJournal(), RecordingStore({1}), recent)  # type: ignore[arg-type]
        await ship(shipper, 1)
        [letter] = shipper.dead_letters
        values = json.loads(letter.payload)["values"].values()
        assert list(values) == [value for value in changes.get("values", point.values) if value is not None]

    asyncio.run(check())


def test_refused_points_that_no_commit_takes_fill_no_memory_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.shipping.MAX_DEAD_LETTERS_PENDING", 5)

    async def check() -> None:
        recent = Recent()
        recent.add(Group(1, build_points(12)))
        shipper = build_shipper(_NoJournal(), RecordingStore(set(range(1, 13))), recent)  # type: ignore[arg-type]
        await ship(shipper, 12)
        assert (shipper.refused, len(shipper.dead_letters), shipper.dead_letters_dropped) == (12, 5, 7)
        assert '"seq":12,' in shipper.dead_letters[-1].payload.decode()

    asyncio.run(check())


class _NoJournal:
    """Memory must do: whoever reads the file here fails."""

    source = "test"


def test_a_shipper_that_lags_reads_the_file_and_then_follows_from_memory(journal: Journal) -> None:
    async def check() -> None:
        recent, store = Recent(), RecordingStore()
        shipper = build_shipper(journal, store, recent, cursor=47)
        recent.add(Group(201, build_points(50, first=201)))
        await ship(shipper, 250)
        assert seqs(store.points) == list(range(48, 251))

    asyncio.run(check())


def test_a_store_that_is_down_is_asked_again_until_it_is_back_and_loses_nothing(journal: Journal) -> None:
    async def check() -> None:
        store = RecordingStore()
        store.down = True
        shipper = build_shipper(journal, store)
        shipper.committed(200)
        running = asyncio.create_task(shipper.run())
        await until(lambda: store.calls >= 5)
        assert (shipper.stored, shipper.pending, shipper.down_reason) == (0, 200, "it is down")
        store.down = False
        await until(lambda: shipper.pending == 0)
        assert seqs(store.points) == list(range(1, 201))
        assert shipper.down_reason is None
        running.cancel()

    asyncio.run(check())


def test_a_store_that_asks_to_be_left_alone_is(journal: Journal) -> None:
    async def check() -> None:
        store = RecordingStore()
        store.down, store.retry_after_s = True, 60.0
        shipper = build_shipper(journal, store)
        shipper.committed(200)
        running = asyncio.create_task(shipper.run())
        await until(lambda: store.calls == 1)
        await asyncio.sleep(0.1)  # many times the backoff
        assert store.calls == 1
        running.cancel()

    asyncio.run(check())


def test_a_store_is_asked_again_within_15_seconds_or_as_it_wishes_but_within_5_minutes() -> None:
    waits_s = [retry_wait_s(RETRY, failures, None) for failures in range(1, 200)]
    assert waits_s[0] <= 0.2
    assert min(waits_s[10:]) >= 7.5
    assert max(waits_s) <= 15
    assert [retry_wait_s(RETRY, 100, wish_s) for wish_s in (17.0, 299.0, 301.0, 1e9)] == [17, 299, 300, 300]
    assert retry_wait_s(RETRY, 100, 0.0) >= 7.5


def test_a_batch_waits_10_to_200_ms_and_in_between_so_that_a_quarter_of_the_time_is_writing() -> None:
    assert [batch_wait_s(write_s) for write_s in (0.0, 0.001, 0.02, 0.05, 0.1, 60.0)] == pytest.approx(
        [0.01, 0.01, 0.06, 0.15, 0.2, 0.2]
    )


def test_what_a_batch_waits_follows_from_the_write_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written_s: list[float] = []
    monkeypatch.setattr("collector.shipping.batch_wait_s", lambda write_s: written_s.append(write_s) or 0.0)

    async def check() -> None:
        recent, store = Recent(), RecordingStore()
        recent.add(Group(1, build_points(BATCH_POINTS + 1)))
        await ship(build_shipper(_NoJournal(), store, recent), BATCH_POINTS + 1)  # type: ignore[arg-type]
        assert store.batches == [BATCH_POINTS, 1]

    asyncio.run(check())
    assert written_s[0] == 0.0 < written_s[1]


def test_a_mistake_in_a_store_is_shown_and_tried_again_and_does_not_end_the_shipping(journal: Journal) -> None:
    async def check() -> None:
        store = RecordingStore()
        write = store.write
        store.write = lambda source, cursor, points: 1 // 0  # type: ignore[method-assign,assignment]
        shipper = build_shipper(journal, store)
        shipper.committed(200)
        running = asyncio.create_task(shipper.run())
        await until(lambda: shipper.down_reason is not None)
        assert "ZeroDivisionError" in str(shipper.down_reason)
        store.write = write  # type: ignore[method-assign]
        await until(lambda: shipper.pending == 0)
        running.cancel()

    asyncio.run(check())


def test_a_batch_holds_no_more_than_its_limit() -> None:
    async def check() -> None:
        recent, store = Recent(), RecordingStore()
        recent.add(Group(1, build_points(BATCH_POINTS * 2 + 7)))
        await ship(build_shipper(_NoJournal(), store, recent), BATCH_POINTS * 2 + 7)  # type: ignore[arg-type]
        assert store.batches == [BATCH_POINTS, BATCH_POINTS, 7]

    asyncio.run(check())


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40), number=st.integers(1, 200), wanted=st.integers(1, 60)
)
def test_memory_holds_the_newest_groups_and_answers_only_what_it_has(
    sizes: list[int], number: int, wanted: int
) -> None:
    recent, first = Recent(max_points=50), 1
    for size in sizes:
        recent.add(Group(first, build_points(size, first=first)))
        first += size
    last = first - 1
    if number > last:
        return
    found = recent.read(number, wanted)
    oldest = recent.read(last, 1)
    assert oldest is not None, "the newest group is always there"
    if found is None:
        assert last - number >= 50 // 2, "only what is old was forgotten"
        return
    assert found[0].first <= number <= found[0].last
    numbers = [seq for group in found for seq in seqs(group.points)]
    assert numbers == list(range(found[0].first, found[-1].last + 1))
    assert len(numbers) >= min(wanted, last - found[0].first + 1)


def test_what_every_store_has_settled_is_forgotten_group_by_group() -> None:
    recent = Recent()
    for first in (1, 11, 21):
        recent.add(Group(first, build_points(10, first=first)))
    recent.forget_through(15)
    assert recent.read(10, 1) is None
    assert recent.read(11, 1) is not None
    recent.forget_through(30)
    assert recent.read(30, 1) is None
