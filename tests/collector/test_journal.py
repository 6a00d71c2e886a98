"""The journal against a model: whatever is done to it, and whenever it crashes, what was committed is found again."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from collector import journal as journal_module
from collector.accounting import Accounting
from collector.ingest import DeadLetter, GatewayState, Ingest, Settled, Transaction
from collector.journal import CommitFailed, Journal, JournalUnusable, take_back
from haina.contract import MEASUREMENTS, Measurement, Point
from haina.contract.measurement import Field
from tests.collector.readings import NOW_S, build_ingest, copy_as_found_after_a_crash, hear, message, publish, topic


def stored_points(journal: Journal, number: int = 1) -> list[Point]:
    """Everything from point `number` on, by the way shippers read."""
    points: list[Point] = []
    while groups := journal.read(number, 7):
        for group in groups:
            assert group.first <= number + len(points) or not points
            points += group.points[max(0, number - group.first) :]
            number = group.last + 1
    return points


def commit(journal: Journal, ingest: Ingest, **extra: Any) -> Transaction:
    transaction = ingest.take()
    for name, value in extra.items():
        setattr(transaction, name, value)
    journal.commit(transaction)
    return transaction


class JournalMachine(RuleBasedStateMachine):
    """Readings in any order, commits, snapshots, trims, sweeps and crashes; the model is what was committed."""

    readings = Bundle("readings")

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="haina-journal-"))
        self.lives = 0
        self.folder = self.root / "0"
        self.journal = self.open()
        self.ingest = build_ingest()
        self.committed: list[Point] = []  # of which `settled` many have been shipped
        self.settled = 0
        self.trimmed = 0
        self.counters: dict[str, int] = {}
        self.states: dict[Any, Any] = {}
        self.clock_s = 0.0
        self.snapshot_through = 0

    @rule(
        device=st.sampled_from(["a", "b"]),
        boot=st.integers(1, 3),
        seqs=st.lists(st.integers(1, 12), min_size=1, max_size=6),
        broken=st.booleans(),
    )
    def receive(self, device: str, boot: int, seqs: list[int], broken: bool) -> None:
        hear(self.ingest, [publish(seq, device, boot=boot) for seq in seqs])
        if broken:
            hear(self.ingest, [message(topic(device), b"{")])

    @rule()
    def give_up(self) -> None:
        self.clock_s += 100.0
        self.ingest.give_up_stale(self.clock_s, 30.0)

    @rule(snapshot=st.booleans(), trim=st.booleans(), ship=st.integers(0, 10))
    def commit(self, snapshot: bool, trim: bool, ship: int) -> None:
        transaction = self.ingest.take()
        self.settled = min(self.settled + ship, len(self.committed))
        transaction.settled = [Settled("null:", self.settled, 0, 0)]
        if snapshot:
            transaction.snapshot = list(self.ingest.accounting.unsaved())
            self.snapshot_through = transaction.counters["journaled"]
        if trim:
            transaction.trim_through = min(self.settled, self.snapshot_through)
        self.journal.commit(transaction)
        self.committed += [point for group in transaction.groups for point in group.points]
        self.counters = transaction.counters
        self.states = {key: device.state() for key, device in self.ingest.accounting.devices.items()}

    @rule()
    def fail_to_commit(self) -> None:
        """A disk that takes half of a transaction must have taken nothing, and the next try takes all."""
        transaction = self.ingest.take()
        transaction.dead_letters.append(DeadLetter(0, "test", "topic", b"", None))  # type: ignore[arg-type]
        before = self.journal.size
        with pytest.raises(CommitFailed):
            self.journal.commit(transaction)
        assert self.journal.size == before
        transaction.dead_letters.pop()
        self.journal.commit(transaction)
        self.committed += [point for group in transaction.groups for point in group.points]
        self.counters = transaction.counters
        self.states = {key: device.state() for key, device in self.ingest.accounting.devices.items()}

    def open(self) -> Journal:
        """A journal without fsync: this is about processes that die, not about power cuts."""
        journal = Journal(self.folder)
        for connection in (journal._writer, journal._reader):
            connection.execute("PRAGMA synchronous = OFF")
        return journal

    @rule()
    def keep_house(self) -> None:
        self.journal.keep_house()

    @rule()
    def crash(self) -> None:
        """What was not committed is gone (and was not acknowledged); everything else is found."""
        self.lives += 1
        folder = copy_as_found_after_a_crash(self.folder, self.root / str(self.lives))
        self.journal.close()
        self.folder = folder
        self.journal = self.open()
        accounting = Accounting(1_000)
        self.journal.replay(accounting)
        assert {key: device.state() for key, device in accounting.devices.items()} == self.states
        assert self.journal.counters() == self.counters
        self.ingest = Ingest(accounting, counters=self.journal.counters(), wall_s=lambda: NOW_S)

    @invariant()
    def what_is_not_settled_can_be_read(self) -> None:
        assert stored_points(self.journal, self.settled + 1) == self.committed[self.settled :]

    @invariant()
    def size_is_that_of_the_rows(self) -> None:
        [rows] = self.journal._reader.execute("SELECT coalesce(sum(bytes), 0) FROM groups").fetchone()
        assert self.journal.size.groups_bytes == rows

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.root)


TestJournalAgainstItsModel = JournalMachine.TestCase
TestJournalAgainstItsModel.settings = settings(max_examples=40, stateful_step_count=20)


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    opened = Journal(tmp_path / "data")
    yield opened
    opened.close()


def test_a_second_collector_on_the_same_folder_is_told_who_has_it(tmp_path: Path, journal: Journal) -> None:
    code = f"from pathlib import Path; from collector.journal import Journal; Journal(Path({str(journal.folder)!r}))"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "JournalUnusable: another collector (process " in second.stderr
    with pytest.raises(JournalUnusable, match="is using the data folder"):
        Journal(journal.folder)


def test_a_folder_is_free_again_when_its_collector_is_gone(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    source = first.source
    first.close()
    second = Journal(tmp_path)
    assert second.source == source, "a journal keeps its name, so that stores know what they have of it"
    second.close()


def test_a_file_that_is_no_journal_is_left_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"somebody's diary" * 100)
    with pytest.raises(JournalUnusable, match=r"journal\.db cannot be opened: .*move it away"):
        Journal(tmp_path)
    assert (tmp_path / "journal.db").read_bytes().startswith(b"somebody's diary")


def test_a_journal_of_another_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("UPDATE about SET value = 99 WHERE name = 'format'")
    other.close()
    with pytest.raises(JournalUnusable, match="has format 99, where this version writes 1"):
        Journal(tmp_path)


def test_a_commit_is_synced_to_the_disk(journal: Journal) -> None:
    for connection in (journal._writer, journal._reader):
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2, "FULL"


def test_dead_letters_are_bounded_and_the_oldest_are_forgotten_and_counted(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_DEAD_LETTERS", 250)
    ingest = build_ingest()
    for _ in range(5):
        hear(ingest, [message(topic(), b"%d" % number) for number in range(100)])
        commit(journal, ingest)
        assert journal.size.dead_letters <= 250
    assert journal.size.dead_letters + journal.size.dead_letters_forgotten == 500
    assert journal.dead_letters(1)[0]["payload"] == "99"
    monkeypatch.setattr(journal_module, "MAX_DEAD_LETTER_BYTES", 1_000)
    hear(ingest, [message(topic(), b"[" * 600)])
    commit(journal, ingest)
    assert journal.size.dead_letters < 10


def test_the_bytes_of_dead_letters_are_counted_as_they_are_written_whatever_their_script(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_DEAD_LETTER_BYTES", 300_000)
    letter = DeadLetter(0, "collector", "主题" * 50, b"{", "理由" * 50)  # 601 bytes, 201 characters
    for _ in range(10):
        commit(journal, build_ingest(), dead_letters=[letter] * 100)
        assert journal.size.dead_letters * 601 <= 300_000
    assert journal.size.dead_letters + journal.size.dead_letters_forgotten == 1_000


@pytest.mark.parametrize("disk_fails", [False, True])
def test_a_new_letter_stays_when_the_others_have_just_been_taken_back_at_their_limit(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, disk_fails: bool
) -> None:
    monkeypatch.setattr(journal_module, "MAX_DEAD_LETTERS", 250)
    ingest = build_ingest()
    hear(ingest, [message(topic(), b"{") for _ in range(250)])
    commit(journal, ingest)
    take_back(journal.folder, "null:", range(1, 251))
    if disk_fails:
        journal.replayed()  # as each second
        with pytest.raises(CommitFailed):
            commit(journal, build_ingest(), dead_letters=[DeadLetter(0, "test", "topic", b"", None)])  # type: ignore[arg-type]
    hear(ingest, [message(topic(), b"{")])
    commit(journal, ingest)
    assert (len(journal.dead_letters()), journal.size.dead_letters, journal.size.dead_letters_forgotten) == (1, 1, 0)


def test_the_log_begins_anew_under_constant_writing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_WAL_BYTES", 100_000)
    ingest, seq, sizes = build_ingest(), 0, []
    for _ in range(40):
        hear(ingest, [publish(seq := seq + 1) for _ in range(500)])
        commit(journal, ingest)
        journal.keep_house()
        sizes.append((journal.folder / "journal.db-wal").stat().st_size)
    assert max(sizes) < 300_000
    assert len(stored_points(journal)) == 20_000


def test_a_commit_checkpoints_nothing_and_whoever_reads_holds_up_no_checkpoint(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_WAL_BYTES", 1)
    ingest, log = build_ingest(), journal.folder / "journal.db-wal"
    for seq in range(1, 2_001):  # far more pages than SQLite checkpoints after by itself
        hear(ingest, [publish(seq)])
        commit(journal, ingest)
    assert log.stat().st_size > 2_000 * 4_096, "every commit has left its pages in the log"
    assert len(journal.read(1, 5)) == 5, "it stops in the middle of the rows"
    journal.keep_house()
    assert log.stat().st_size == 0


def test_after_a_long_outage_the_file_gives_its_pages_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_VACUUM_PAGES", 100)
    monkeypatch.setattr(journal_module, "_WAL_BYTES", 1)
    ingest = build_ingest()
    for first in range(1, 40_001, 5_000):
        hear(ingest, [publish(seq) for seq in range(first, first + 5_000)])
        commit(journal, ingest)
    journal.keep_house()
    big = (journal.folder / "journal.db").stat().st_size
    commit(journal, ingest, snapshot=list(ingest.accounting.unsaved()), trim_through=40_000)
    for _ in range(40):
        journal.keep_house()
    assert journal.size.groups_bytes == 0
    assert (journal.folder / "journal.db").stat().st_size < big / 2


def test_a_trim_takes_whole_groups_and_no_more_than_its_share_at_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TRIM_ROWS", 3)
    ingest = build_ingest()
    for first in range(1, 51, 10):
        hear(ingest, [publish(seq) for seq in range(first, first + 10)])
        commit(journal, ingest)
    commit(journal, ingest, trim_through=45)
    assert (journal.first(), journal.size.trimmed_through) == (31, 30)
    commit(journal, ingest, trim_through=45)
    assert (journal.first(), journal.size.trimmed_through) == (41, 45)


def test_a_point_journaled_before_its_measurement_got_a_field_is_read_back_with_that_field_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, ingest = Journal(tmp_path / "data"), build_ingest()
    hear(ingest, [publish(1, heart_rate_bpm=71)])
    commit(journal, ingest)
    [before] = journal.read(1, 1)[0].points
    journal.close()
    grown = Measurement("wearable", "wearable", "", (*MEASUREMENTS["wearable"].fields, Field("mood", "float", "1", "")))
    monkeypatch.setitem(MEASUREMENTS, "wearable", grown)
    upgraded = Journal(tmp_path / "data")
    [after] = upgraded.read(1, 1)[0].points
    assert after == replace(before, values=(*before.values, None))
    upgraded.close()


def test_reading_begins_with_the_group_that_holds_the_number(journal: Journal) -> None:
    ingest = build_ingest()
    for first in (1, 11, 21):
        hear(ingest, [publish(seq) for seq in range(first, first + 10)])
        commit(journal, ingest)
    assert [group.first for group in journal.read(15, 1)] == [11]
    assert [group.first for group in journal.read(11, 11)] == [11, 21]
    assert [len(group.points) for group in journal.read(1, 1_000)] == [10, 10, 10]
    assert type(journal.read(1, 1)[0].points[0]) is Point


def test_what_gateways_told_outlives_a_restart_also_in_a_journal_of_an_earlier_version(tmp_path: Path) -> None:
    told = {("caoyang", "home-1"): GatewayState(True, keeps=3), ("caoyang", "home-2"): GatewayState(False)}
    with contextlib.closing(Journal(tmp_path)) as journal:
        commit(journal, build_ingest(), gateways=told)
        commit(journal, build_ingest(), gateways={("caoyang", "home-2"): None})
    with contextlib.closing(Journal(tmp_path)) as journal:
        assert journal.gateways() == {("caoyang", "home-1"): GatewayState(True, keeps=3)}
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as earlier:
        earlier.execute("ALTER TABLE gateways DROP COLUMN keeps")
    with contextlib.closing(Journal(tmp_path)) as journal:
        assert journal.gateways() == {("caoyang", "home-1"): GatewayState(True)}
        commit(journal, build_ingest(), gateways=told)
        assert journal.gateways() == told
