"""The *sent ledger*: what the simulated gateways sent, written where no broker, collector or store can touch it.

A run keeps one append-only text file, `run.sent`. It does not repeat the readings; it holds, for each device and
each minute of event time, how many there were, the first and last `seq`, and the sum (mod 2**64) of their
`point_hash`es. Sums do not mind the order, so whoever holds the readings later, a store for instance, can compute the
same four numbers and compare. That is the audit, and it needs nothing but this file and the store.

The file is made of lines, each of them words between single tabs:

    run     1       {"run": "r-7", "boot": 7, "scenario": "town", "start_ms": 1790000000000}
    device  0       caoyang home-017        wearable-1
    0       29833333        12      1       12      9f3c5be27ac0d111

`run` opens a part of the file (a run that goes on in the same file opens another); `device` gives a device its number
within that part; any other line is a minute: device number, minutes since 1970, readings, first seq, last seq, hash in
hexadecimal. A minute may come in several lines: they add up. A last line without its line end was torn by a crash and
is not counted.

Writing costs a comparison and four additions per reading; lines leave in batches. What was recorded since the last
`flush` is lost if the process is killed, and the audit then shows those readings as extra: flush before you report.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

MINUTE_MS = 60_000
HASH_MASK = 2**64 - 1
FORMAT = 1
_BATCH_LINES = 2_000  # finished minutes held back before they are written, about 100 kB


class BadLedger(ValueError):
    """The file is not a sent ledger, or is damaged before its last line; the sentence names file and line."""


class SentDevice:
    """One device's open minute. Made by `SentLedger.device`; `record` is the hot path."""

    __slots__ = ("_count", "_end_ms", "_finished", "_first", "_hash", "_last", "_ledger", "_start_ms", "index")

    def __init__(self, ledger: "SentLedger", index: int) -> None:
        self.index = index
        self._ledger = ledger
        self._finished = ledger._finished
        self._start_ms = self._end_ms = 0
        self._count = self._first = self._last = self._hash = 0

    def record(self, time_ms: int, seq: int, point_hash: int) -> None:
        """Count a reading that is about to be sent, by its event time."""
        if self._start_ms <= time_ms < self._end_ms:
            self._count += 1
            self._last = seq
            self._hash += point_hash
            return
        self._end_minute()
        self._start_ms = time_ms - time_ms % MINUTE_MS
        self._end_ms = self._start_ms + MINUTE_MS
        self._count = 1
        self._first = self._last = seq
        self._hash = point_hash

    def _end_minute(self) -> None:
        if self._count:
            minute = self._start_ms // MINUTE_MS
            self._finished.append(
                f"{self.index}\t{minute}\t{self._count}\t{self._first}\t{self._last}\t{self._hash & HASH_MASK:016x}\n"
            )
            self._count = self._start_ms = self._end_ms = 0
            if len(self._finished) >= _BATCH_LINES:
                self._ledger._write()


class SentLedger:
    """An open sent ledger, for one thread.

        with SentLedger(folder / "run.sent", run="r-7", boot=7, scenario="town", start_ms=start) as ledger:
            wristband = ledger.device("caoyang", "home-017", "wearable-1")
            wristband.record(time_ms, seq, point_hash("wearable", payload))

    Raises OSError when the file cannot be written, at opening or when a batch leaves.
    """

    def __init__(self, path: str | Path, *, run: str, boot: int, scenario: str = "", start_ms: int = 0) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._finished: list[str] = []
        self._devices: dict[tuple[str, str, str], SentDevice] = {}
        self._file = self.path.open("ab")
        _drop_torn_tail(self.path)
        header = json.dumps({"run": run, "boot": boot, "scenario": scenario, "start_ms": start_ms}, ensure_ascii=False)
        self._finished.append(f"run\t{FORMAT}\t{header}\n")
        self._write()

    def device(self, area: str, site: str, device: str) -> SentDevice:
        """The device's recorder, the same one every time."""
        key = (area, site, device)
        recorder = self._devices.get(key)
        if recorder is None:
            recorder = self._devices[key] = SentDevice(self, len(self._devices))
            self._finished.append(f"device\t{recorder.index}\t{area}\t{site}\t{device}\n")
        return recorder

    def flush(self) -> None:
        """Write everything recorded so far, minutes still open included (the rest of them will add up)."""
        for recorder in self._devices.values():
            recorder._end_minute()
        self._write()

    def close(self) -> None:
        """Flush, and wait until the disk has it."""
        if not self._file.closed:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _write(self) -> None:
        self._file.write("".join(self._finished).encode())
        self._file.flush()
        self._finished.clear()

    def __enter__(self) -> "SentLedger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _drop_torn_tail(path: Path) -> None:
    """A crash can leave half a line; whoever appends after it must not glue a line of its own to it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 4096))
        tail = file.read()
    if tail and not tail.endswith(b"\n"):
        os.truncate(path, size - len(tail) + tail.rfind(b"\n") + 1)


class SentMinute(NamedTuple):
    """One line of a ledger: what a device sent in one minute, or in a part of it."""

    run: str
    boot: int
    area: str
    site: str
    device: str
    minute: int  # minutes since 1970 of event time
    readings: int
    first_seq: int
    last_seq: int
    hash_sum: int  # of the point hashes, mod 2**64


def read_ledger(path: str | Path) -> Iterator[SentMinute]:
    """The minutes of a ledger in file order; a torn last line is left out.

    Raises BadLedger when another line is damaged or the file is something else, OSError when it cannot be read.
    """
    part = _Part()
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                minute = part.read(line.decode("utf-8", "replace").rstrip("\n").split("\t"))
            except (ValueError, IndexError, KeyError, TypeError) as wrong:
                raise BadLedger(f"{path}:{number}: not a line of a sent ledger ({wrong})") from None
            if minute is not None:
                yield minute


class _Part:
    """The part of a ledger being read: its run, and its devices by number."""

    def __init__(self) -> None:
        self._run = ""
        self._boot = 0
        self._devices: list[tuple[str, str, str]] = []

    def read(self, words: list[str]) -> SentMinute | None:
        """Take one line's words in; the minute if it was one. Raises when it was nothing a ledger says."""
        if words[0] == "run":
            if words[1] != str(FORMAT):
                raise ValueError(f"it has format {words[1]!r}, this version reads {FORMAT}")
            header = json.loads(words[2])
            self._run, self._boot = str(header["run"]), int(header["boot"])
            self._devices = []
            return None
        if words[0] == "device":
            if int(words[1]) != len(self._devices):
                raise ValueError(f"device number {words[1]} comes where {len(self._devices)} is next")
            area, site, device = words[2:]
            self._devices.append((area, site, device))
            return None
        index, minute, readings, first_seq, last_seq = (int(word) for word in words[:-1])
        area, site, device = self._devices[index]
        return SentMinute(
            self._run, self._boot, area, site, device, minute, readings, first_seq, last_seq, int(words[-1], 16)
        )
