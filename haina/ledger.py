"""The *sent ledger*: what the simulated gateways sent, written where no broker, collector or store can touch it.

A run keeps one append-only text file, `run.sent`. It does not repeat the readings; it holds, for each device and
each minute of event time, how many there were, the first and last `seq`, and the sum (mod 2**64) of their
`point_hash`es. Sums do not mind the order, so whoever holds the readings later, a store for instance, can compute the
same four numbers and compare. That is the audit, and it needs nothing but this file and the store.

The file is JSON Lines:

    {"sent": 1, "run": "r-7", "boot": 7, "scenario": "laptop", "start_ms": 1790000000000}
    {"device": 0, "area": "caoyang", "site": "home-017", "name": "wearable-1"}
    [0, 29833333, 12, 1, 12, 11474983221090906379]

The first opens a part of the file (a run that goes on in the same file opens another); the second gives a device its
number within that part; an array is a minute: device number, minutes since 1970, readings, first seq, last seq, hash
sum. A minute may come in several lines: they add up. Whoever is forgotten (`forget_site`) is blanked in place: their
minutes become spaces, their devices nameless; blank lines say nothing. Where somebody else's reading named them, that
device's minute says 0 readings from then on (`forget_minutes`): it is no longer to be compared. A last line without its
line end was torn by a crash and is not counted.

Writing costs a comparison and three additions per reading; minutes leave in batches. What was recorded since the last
`flush` is lost if the process is killed, and the audit then shows those readings as extra: flush before you report.

While a run has its ledger open it holds a shared lock on the file, so that an audit can tell whether the run goes on
(`is_being_written`): a ledger is behind its run by what was recorded since the last flush.
"""

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import msgspec

MINUTE_MS = 60_000
HASH_MASK = 2**64 - 1
FORMAT = 1
_BATCH_MINUTES = 2_000  # finished ones held back before they are written, about 100 kB


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
        if self._count:
            self._end_minute()
        self._start_ms = start_ms = time_ms - time_ms % MINUTE_MS
        self._end_ms = start_ms + MINUTE_MS
        self._count = 1
        self._first = self._last = seq
        self._hash = point_hash

    def _end_minute(self) -> None:
        finished = self._finished
        minute = self._start_ms // MINUTE_MS
        finished.append((self.index, minute, self._count, self._first, self._last, self._hash & HASH_MASK))
        self._count = self._end_ms = 0
        if len(finished) >= _BATCH_MINUTES:
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
        self._finished: list[object] = []
        self._devices: dict[tuple[str, str, str], SentDevice] = {}
        self._file = self.path.open("ab")
        with suppress(OSError):  # on a file system without locks nobody can tell that the run goes on
            fcntl.flock(self._file, fcntl.LOCK_SH)
        _drop_torn_tail(self.path)
        self._finished.append({"sent": FORMAT, "run": run, "boot": boot, "scenario": scenario, "start_ms": start_ms})
        self._write()

    def device(self, area: str, site: str, device: str) -> SentDevice:
        """The device's recorder, the same one every time."""
        key = (area, site, device)
        recorder = self._devices.get(key)
        if recorder is None:
            recorder = self._devices[key] = SentDevice(self, len(self._devices))
            self._finished.append({"device": recorder.index, "area": area, "site": site, "name": device})
        return recorder

    def flush(self) -> None:
        """Write everything recorded so far, minutes still open included (the rest of them will add up)."""
        for recorder in self._devices.values():
            if recorder._count:
                recorder._end_minute()
        self._write()

    def close(self) -> None:
        """Flush, and wait until the disk has it."""
        if not self._file.closed:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _write(self) -> None:
        self._file.write(_encoder.encode_lines(self._finished))
        self._file.flush()
        self._finished.clear()

    def __enter__(self) -> "SentLedger":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def is_being_written(path: str | Path) -> bool:
    """Whether a run of this machine has the ledger open. Raises OSError when the file cannot be opened."""
    with Path(path).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


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
            with _damage_named(path, number):
                minute = part.read(line)
            if minute is not None:
                yield minute


def forget_site(path: str | Path, site: str, area: str | None = None) -> int:
    """Blank everything a ledger says of a site, in place; how many lines that were.

    Every other byte stays what and where it is, so a run may be writing at the end meanwhile, and a crash in the middle
    leaves a ledger that the next call finishes. Raises BadLedger and OSError.
    """
    blanked = 0
    nameless: set[int] = set()
    with Path(path).open("r+b") as file:
        for number, (start, line) in enumerate(_lines(file), start=1):
            with _damage_named(path, number):
                if line.startswith(b'{"sent"'):
                    nameless.clear()
                elif line.startswith(b'{"device"'):
                    said = msgspec.json.decode(line)
                    if said["site"] and not (said["site"] == site and area in {None, said["area"]}):
                        continue
                    nameless.add(said["device"])
                    anonymous = b'{"device":%d,"area":"","site":"","name":""}' % said["device"]
                    if said["site"]:
                        blanked += 1
                        os.pwrite(file.fileno(), anonymous.ljust(len(line) - 1), start)
                elif line.startswith(b"[") and nameless and int(line[1 : line.index(b",")]) in nameless:
                    blanked += 1
                    os.pwrite(file.fileno(), b" " * (len(line) - 1), start)
        os.fsync(file.fileno())
    return blanked


DeviceMinute = tuple[str, str, str, int, int]
"""Area, site, device, boot, minute."""


def forget_minutes(path: str | Path, minutes: Collection[DeviceMinute]) -> int:
    """Let these minutes say 0 readings, in place; how many lines that changed. Raises BadLedger and OSError."""
    changed = 0
    part = _Part()
    with Path(path).open("r+b") as file:
        for number, (start, line) in enumerate(_lines(file), start=1):
            with _damage_named(path, number):
                said = part.read(line)
                if said is None or not said.readings:
                    continue
                if (said.area, said.site, said.device, said.boot, said.minute) in minutes:
                    index = int(line[1 : line.index(b",")])
                    os.pwrite(file.fileno(), (b"[%d,%d,0,0,0,0]" % (index, said.minute)).ljust(len(line) - 1), start)
                    changed += 1
        os.fsync(file.fileno())
    return changed


def forgotten_devices(path: str | Path) -> int:
    """How many devices of a ledger were forgotten. Raises BadLedger and OSError."""
    found = set()
    with Path(path).open("rb") as file:
        for number, (_, line) in enumerate(_lines(file), start=1):
            if line.startswith(b'{"device"'):
                with _damage_named(path, number):
                    if not msgspec.json.decode(line)["site"]:
                        found.add(line)
    return len(found)


def ledger_boots(path: str | Path) -> set[int]:
    """The boots of a ledger, those that have said nothing yet included. Raises BadLedger and OSError."""
    found = set()
    with Path(path).open("rb") as file:
        for number, (_, line) in enumerate(_lines(file), start=1):
            if line.startswith(b'{"sent"'):
                with _damage_named(path, number):
                    found.add(int(msgspec.json.decode(line)["boot"]))
    return found


def site_lines(path: str | Path, site: str, area: str | None = None) -> Iterator[SentMinute]:
    """What a ledger says of one site."""
    return (minute for minute in read_ledger(path) if minute.site == site and area in {None, minute.area})


@contextmanager
def _damage_named(path: str | Path, number: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError) as wrong:
        raise BadLedger(f"{path}:{number}: not a line of a sent ledger ({wrong})") from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Whole lines and where they start."""
    start = 0
    for line in file:
        if line.endswith(b"\n"):
            yield start, line
        start += len(line)


_encoder = msgspec.json.Encoder()
_minute = msgspec.json.Decoder(tuple[int, int, int, int, int, int])


class _Part:
    """The part of a ledger being read: its run, and its devices by number."""

    def __init__(self) -> None:
        self._run = ""
        self._boot = 0
        self._devices: list[tuple[str, str, str]] = []

    def read(self, line: bytes) -> SentMinute | None:
        """Take one line in; the minute if it was one. Raises when it was nothing a ledger says."""
        if line.startswith(b"["):
            index, minute, readings, first_seq, last_seq, hash_sum = _minute.decode(line)
            area, site, device = self._devices[index]
            if not site:
                return None
            return SentMinute(
                self._run, self._boot, area, site, device, minute, readings, first_seq, last_seq, hash_sum
            )
        if line.isspace():
            return None
        said = msgspec.json.decode(line, type=dict[str, str | int])
        if "sent" in said:
            if said["sent"] != FORMAT:
                raise ValueError(f"it has format {said['sent']!r}, this version reads {FORMAT}")
            self._run, self._boot = str(said["run"]), int(said["boot"])
            self._devices = []
        elif said["device"] != len(self._devices):
            raise ValueError(f"device number {said['device']} comes where {len(self._devices)} is next")
        else:
            self._devices.append((str(said["area"]), str(said["site"]), str(said["name"])))
        return None
