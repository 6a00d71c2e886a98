"""`haina collect` that can be made to die inside a commit, and that writes down what its disk certainly has.

    python -m tests.chaos.mortal FOLDER collect --broker …

It is the collector as it is, but for its journal. When ``FOLDER/die`` appears, the next commit of readings has at most
twice as long as the last one took before a SIGKILL: it may fall before, within or just after the transaction, but never
later than the acknowledgement by much. And after each commit, before anybody can learn of it, ``FOLDER/on-disk`` says
how far the journal's log has been fsynced. A power cut may take whatever was written after that; `lose_power` does.
"""

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final
from unittest.mock import patch

from collector.ingest import Transaction
from collector.journal import Journal, Size
from haina.command import main as haina

WAL_HEADER_BYTES: Final = 32
SECTOR_BYTES: Final = 512


def wish_death(folder: Path) -> None:
    """Let the collector of this folder die in its next commit."""
    (folder / "die").touch()


def lose_power(folder: Path, journal: Path, dice: random.Random) -> int:
    """Do to a dead collector's journal what a power cut may do to writes that were not fsynced; how many bytes.

    They may be missing, zero, of an older time, or there in part. What SQLite keeps in shared memory is gone.
    """
    log = Path(f"{journal}-wal")
    Path(f"{journal}-shm").unlink(missing_ok=True)
    try:
        written = log.read_bytes()
        noted = (folder / "on-disk").read_text()
    except FileNotFoundError:
        return 0
    salts, kept = noted[:16], noted[16:]
    durable = int(kept) if _salts(written) == bytes.fromhex(salts) else 0  # else the log has begun anew since
    torn = bytearray(written[durable:])
    for start in range(0, len(torn), SECTOR_BYTES):
        sector = torn[start : start + SECTOR_BYTES]
        torn[start : start + SECTOR_BYTES] = dice.choice((sector, bytes(len(sector)), dice.randbytes(len(sector))))
    with log.open("r+b") as file:
        file.seek(durable)
        file.write(torn)
        file.truncate(durable + dice.randint(0, len(torn)))
    return len(torn)


def _salts(log: bytes) -> bytes:
    """What tells one beginning of a write-ahead log from the next (sqlite.org/fileformat2.html, 4.1)."""
    return log[16:24]


class MortalJournal(Journal):
    """The journal of a collector that may be wished dead."""

    mortal: Path  # the folder where that is wished

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._wish = self.mortal / "die"
        self._on_disk = os.open(self.mortal / "on-disk", os.O_WRONLY | os.O_CREAT, 0o600)
        self._noting = threading.Lock()
        self._last_s = 0.001

    def commit(self, transaction: Transaction) -> Size:
        began_s = time.perf_counter()
        if transaction.messages and self._wish.exists():
            self._wish.unlink()
            threading.Timer(random.uniform(0, 2 * self._last_s), os.kill, [os.getpid(), signal.SIGKILL]).start()
        size = super().commit(transaction)
        self._last_s = time.perf_counter() - began_s
        self._note()
        return size

    def keep_house(self) -> None:
        super().keep_house()
        self._note()  # it may have written, and fsynced, by itself

    def _note(self) -> None:
        with self._noting, Path(f"{self.folder / 'journal.db'}-wal").open("rb") as log:
            # As long as the last one, although an empty log has no salts.
            said = f"{_salts(log.read(WAL_HEADER_BYTES)).hex():<16} {log.seek(0, os.SEEK_END):<20}"
            os.pwrite(self._on_disk, said.encode(), 0)


if __name__ == "__main__":
    MortalJournal.mortal = Path(sys.argv.pop(1))
    with patch("collector.service.Journal", MortalJournal):
        haina()
