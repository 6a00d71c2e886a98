"""Five seeds of the fault campaign: after the faults stop, all that was sent is stored, once and unaltered."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.brokers import find_mosquitto
from tests.chaos.campaign import run_seeds
from tests.chaos.mortal import lose_power
from tests.chaos.plan import KINDS, plan

SEEDS = (64, 125, 135, 185, 193)
"""Together they hurt everything that can be hurt; 64 runs on the embedded broker, 135 with two stores."""


@pytest.mark.timeout(900)  # some two minutes; a machine that is busy is no failure
def test_whatever_breaks_nothing_is_lost_doubled_or_altered_and_the_line_lives_on() -> None:
    find_mosquitto()
    if shutil.which("influxd") is None:
        pytest.skip("InfluxDB 1 is not installed (Debian and Ubuntu: apt install influxdb)")
    verdicts = list(run_seeds(SEEDS, jobs=3))
    failed = [str(verdict) for verdict in verdicts if not verdict.clean]
    assert not failed, "\n".join(failed)


def test_five_seeds_hurt_everything_and_the_collector_in_every_way() -> None:
    faults = [fault for seed in SEEDS for fault in plan(seed).faults]
    assert {fault.target for fault in faults} == set(KINDS)
    assert {fault.kind for fault in faults if fault.target == "collector"} == set(KINDS["collector"])


def test_a_power_cut_takes_what_was_not_fsynced_and_nothing_else(tmp_path: Path) -> None:
    journal = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    journal.executescript("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE kept (number)")
    journal.executemany("INSERT INTO kept VALUES (?)", [(number,) for number in range(100)])
    log = (tmp_path / "journal.db-wal").read_bytes()
    (tmp_path / "on-disk").write_text(f"{log[16:24].hex()} {len(log):<20}")
    journal.executemany("INSERT INTO kept VALUES (?)", [(number,) for number in range(100, 200)])
    dead = tmp_path / "dead"
    for seed in range(20):
        shutil.rmtree(dead, ignore_errors=True)
        dead.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(tmp_path / name, dead / name)
        assert lose_power(tmp_path, dead / "journal.db", random.Random(seed)) > 100_000
        found = [number for (number,) in sqlite3.connect(dead / "journal.db").execute("SELECT number FROM kept")]
        assert found == list(range(len(found)))
        assert 100 <= len(found) < 200
    journal.close()
