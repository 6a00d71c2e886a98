"""The sent ledger adds up, whatever order and however often it is flushed, and a crash costs at most its last line."""

import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haina.ledger import HASH_MASK, MINUTE_MS, BadLedger, SentLedger, SentMinute, is_being_written, read_ledger

START_MS = 1_790_035_200_000

Key = tuple[str, int, str, int]  # run, boot, device, minute


def added_up(lines: list[SentMinute]) -> dict[Key, tuple[int, int, int, int]]:
    """Readings, first seq, last seq and hash sum of each device-minute."""
    found: dict[Key, tuple[int, int, int, int]] = {}
    for line in lines:
        key = (line.run, line.boot, line.device, line.minute)
        readings, first, last, hash_sum = found.get(key, (0, line.first_seq, 0, 0))
        found[key] = (
            readings + line.readings,
            min(first, line.first_seq),
            max(last, line.last_seq),
            (hash_sum + line.hash_sum) & HASH_MASK,
        )
    return found


@settings(max_examples=60)
@given(
    readings=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 300_000), st.integers(0, HASH_MASK), st.booleans()), max_size=60
    )
)
def test_what_was_recorded_is_what_is_read(readings: list[tuple[int, int, int, bool]]) -> None:
    """Devices come back in time, skip minutes and are flushed in between: the minutes add up to the readings."""
    expected: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    seqs = [0] * 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sent"
        with SentLedger(path, run="r-1", boot=3) as ledger:
            for number, offset_ms, point_hash, flush in readings:
                seqs[number] += 1
                device = ledger.device("a", "s", f"d-{number}")
                device.record(START_MS + offset_ms, seqs[number], point_hash)
                expected["r-1", 3, f"d-{number}", (START_MS + offset_ms) // MINUTE_MS].append(
                    (seqs[number], point_hash)
                )
                if flush:
                    ledger.flush()
        assert added_up(list(read_ledger(path))) == {
            key: (len(sent), sent[0][0], sent[-1][0], sum(one for _, one in sent) & HASH_MASK)
            for key, sent in expected.items()
        }


def write_run(path: Path, run: str, boot: int, devices: int = 2) -> None:
    with SentLedger(path, run=run, boot=boot, scenario="小区", start_ms=START_MS) as ledger:
        for seq in range(1, 6):
            for number in range(devices):
                ledger.device("a", "s", f"d-{number}").record(START_MS + seq * 20_000, seq, seq)


def test_a_file_torn_at_any_byte_reads_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "run.sent"
    write_run(path, "r-1", 1)
    whole = path.read_bytes()
    lines = list(read_ledger(path))
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        read = list(read_ledger(path))
        assert read == lines[: len(read)]
        assert len(read) == max(0, whole[:size].count(b"\n") - 3)  # one run and two devices come first


def test_a_run_that_goes_on_after_a_torn_line_is_not_glued_to_it(tmp_path: Path) -> None:
    path = tmp_path / "run.sent"
    write_run(path, "r-1", 1)
    path.write_bytes(path.read_bytes()[:-5])
    before = list(read_ledger(path))
    write_run(path, "r-1", 2)
    after = list(read_ledger(path))
    assert after[: len(before)] == before
    assert {line.boot for line in after[len(before) :]} == {2}


def test_a_file_of_several_runs_keeps_them_apart(tmp_path: Path) -> None:
    path = tmp_path / "run.sent"
    write_run(path, "r-1", 1)
    write_run(path, "r-2", 2, devices=3)
    found = added_up(list(read_ledger(path)))
    assert {(run, boot, device) for run, boot, device, _ in found} == {
        *(("r-1", 1, f"d-{number}") for number in range(2)),
        *(("r-2", 2, f"d-{number}") for number in range(3)),
    }


def test_minutes_reach_the_file_before_it_is_closed(tmp_path: Path) -> None:
    """Batches leave by themselves, so memory does not grow with the run."""
    path = tmp_path / "run.sent"
    ledger = SentLedger(path, run="r-1", boot=1)
    device = ledger.device("a", "s", "d")
    for seq in range(1, 5_002):
        device.record(START_MS + seq * MINUTE_MS, seq, seq)
    assert len(list(read_ledger(path))) >= 3_000
    ledger.close()
    assert len(list(read_ledger(path))) == 5_001


def test_whether_a_run_goes_on_can_be_told_from_its_ledger(tmp_path: Path) -> None:
    path = tmp_path / "run.sent"
    with SentLedger(path, run="r-1", boot=1), SentLedger(path, run="r-1", boot=2):
        assert is_being_written(path)
        assert is_being_written(path), "asking changes nothing"
    assert not is_being_written(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("hello\n", 1),
        ("{}\n", 1),
        ('{"sent": 99, "run": "r", "boot": 1}\n', 1),
        ('{"sent": 1, "run": "r"}\n', 1),
        ("[0, 29833333, 1, 1, 1, 255]\n", 1),
        ('{"sent": 1, "run": "r", "boot": 1}\n{"device": 1, "area": "a", "site": "s", "name": "d"}\n', 2),
        ('{"sent": 1, "run": "r", "boot": 1}\n{"device": 0, "area": "a", "site": "s", "name": "d"}\n[0, 2, 1]\n', 3),
        ('{"sent": 1, "run": "r", "boot": 1}\n[0, 29833333, 1, 1, 1, 255]\n', 2),
    ],
)
def test_a_damaged_or_other_file_is_named_with_the_line(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "run.sent"
    path.write_text(content)
    with pytest.raises(BadLedger, match=f"run.sent:{line}:"):
        list(read_ledger(path))
