"""Refused points can be written again into the store that refused them, once each, and the accounts close."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from collector.dead_letters import Letter, judge, read_letters
from collector.ingest import DEAD_LETTER_BYTES, DeadLetter, Settled
from collector.journal import Journal
from collector.refused import write_again
from collector.stores import open_store
from haina.contract import Point
from haina.query.reader import open_reader
from tests.brokers import ROOT, free_port, mosquitto_broker
from tests.collector.readings import AN_HOUR_AGO_MS, NOW_MS, build_ingest, build_points, live_payload, payload, topic
from tests.collector.running import assert_accounts_close, haina_collect, send
from tests.collector.test_dead_letters import bury, deadletter, refused
from tests.collector.test_shipping import RecordingStore, seqs
from tests.haina_store import haina_store
from tests.influx import RunningInflux, influxdb_1, influxdb_2

DAYS_AGO_MS = AN_HOUR_AGO_MS - 3 * 86_400_000


@pytest.fixture(params=[influxdb_1, influxdb_2])
def influx(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningInflux]:
    start: Callable[[], AbstractContextManager[RunningInflux]] = request.param
    with start() as running:
        monkeypatch.setenv("HAINA_INFLUX_TOKEN", running.token)
        yield running


def keep_for_ever(influx: RunningInflux, bucket: str) -> None:
    if influx.version == 1:
        influx.query("", f'ALTER RETENTION POLICY autogen ON "{bucket}" DURATION INF', post=True)
        return
    headers = {"Authorization": f"Token {influx.token}"}
    [found] = httpx.get(f"{influx.url}/api/v2/buckets", params={"name": bucket}, headers=headers).json()["buckets"]
    body = {"retentionRules": [{"type": "expire", "everySeconds": 0}]}
    assert httpx.patch(f"{influx.url}/api/v2/buckets/{found['id']}", json=body, headers=headers).is_success


def test_points_that_a_bucket_did_not_keep_are_stored_once_it_does_also_beside_a_running_collector(
    influx: RunningInflux, tmp_path: Path
) -> None:
    url = influx.create_bucket("town", keep_s=3_600 * 24)
    data = ("--data", str(tmp_path / "data"))
    with mosquitto_broker() as broker, haina_collect(broker, tmp_path / "data", "--store", url) as collector:
        collector.until_connected()
        old = [(topic(), payload(seq, time_ms=DAYS_AGO_MS + seq)) for seq in range(1, 41)]
        send(broker, [*old, *((topic(), live_payload(seq)) for seq in range(41, 51))])
        found = collector.until(lambda found: found["stores"][0]["refused"] == 40 and not found["stores"][0]["pending"])
        assert_accounts_close(found)
        collector.until(lambda found: found["journal"]["dead_letters"] == 40)

        still = deadletter("replay", "--all", "--json", *data)
        assert still.returncode == 1
        answer = json.loads(still.stdout)
        assert (answer["chosen"], answer["written"], len(answer["in_vain"])) == (40, 0, 40)
        assert all(vain["why"].startswith("it is refused again: InfluxDB refused") for vain in answer["in_vain"])

        keep_for_ever(influx, "town")
        some = deadletter("replay", "3", "4", "5", *data)
        assert (some.returncode, some.stdout) == (
            0, "3 of 3 dead letters written into the store that had refused them\n"
        ), some.stderr  # fmt: skip
        rest = deadletter("replay", "--reason", "influxdb refused", *data)
        assert "37 of 37" in rest.stdout, rest.stderr
        none = deadletter("replay", "--all", *data)
        assert (none.returncode, none.stdout) == (0, "there is no such dead letter, so nothing was said again\n")

        def is_told(found: dict[str, list[dict[str, int]]]) -> bool:
            [store] = found["stores"]
            return (store["stored"], store["refused"], store["replayed"]) == (50, 0, 40)

        assert_accounts_close(collector.until(is_told))
        send(broker, [(topic(), live_payload(51))], "another")  # with the next commit the letters are counted anew
        found = collector.until(lambda found: found["stores"][0]["stored"] == 51)
        assert found["journal"]["dead_letters"] == 0
        collector.kill()
        collector.start()
        found = collector.until(lambda found: found["stores"][0]["stored"] == 51)
        assert found["stores"][0]["replayed"] == 40
        assert_accounts_close(found)
    with open_reader(url, influx.token or None) as reader:
        points = list(reader.points("wearable", DAYS_AGO_MS, int(time.time() * 1000)))
    assert sorted(point.seq for point in points) == list(range(1, 52))


def build_journal(folder: Path, stores: list[Settled], letters: list[DeadLetter]) -> Path:
    journal = Journal(folder)
    ingest = build_ingest()
    ingest.counters["journaled"] = 10
    transaction = ingest.take()
    transaction.settled, transaction.dead_letters = stores, letters
    journal.commit(transaction)
    journal.close()
    return folder


def pairs(folder: Path) -> list[tuple[Letter, Point]]:
    return [(letter, point) for letter in read_letters(folder) if isinstance(point := judge(letter), Point)]


def test_what_a_store_still_refuses_stands_alone_and_all_else_is_written_once_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of seven; each was judged before."""
    monkeypatch.setattr("collector.refused.BATCH_LETTERS", 7)
    folder = build_journal(
        tmp_path, [Settled("null:", 30, 30, 0, name="null")], [refused(live_payload(seq), "null") for seq in range(30)]
    )
    letters, store = pairs(folder), RecordingStore({3, 13, 14, 29})
    assert len(letters) == 29, "the first has no number that a reading can have"
    written, in_vain = write_again(letters, folder, lambda _url: store)
    assert (written, list(in_vain)) == (25, [4, 14, 15, 30])
    assert seqs(store.points) == [seq for seq in range(1, 30) if seq not in store.poison]
    assert {letter.number for letter, _ in pairs(folder)} == set(in_vain)


def test_letters_that_leave_at_their_limit_while_they_are_written_count_as_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.journal.MAX_DEAD_LETTERS", 5)
    settled = Settled("recording:", 10, 3, 0, name="recording")
    letters = [refused(live_payload(seq), "recording") for seq in (1, 2, 3)]
    build_journal(tmp_path, [settled], letters)
    collector = Journal(tmp_path)

    class Store(RecordingStore):
        def write(self, *arguments: Any) -> None:
            super().write(*arguments)
            bury(collector, [*letters, *letters])

    assert write_again(pairs(tmp_path), tmp_path, lambda _url: Store()) == (3, {})
    assert collector.replayed() == {"recording:": 3}
    collector.close()


KILLED = """
import os, sys, signal
from collector import journal
from collector.command import app
connect, when = journal._connect, sys.argv.pop(1)
def connected(path):
    connection = connect(path)
    connection.set_trace_callback(lambda said: said.startswith(when) and os.kill(os.getpid(), signal.SIGKILL))
    return connection
journal._connect = connected
app()
"""


def test_kill_9_after_the_store_has_the_points_leaves_them_there_once_and_the_accounts_exact(tmp_path: Path) -> None:
    """Before the journal is told and while it is; the store has later points of the device, and is started anew."""
    folder, where = tmp_path / "data", ("deadletter", "replay", "--all", "--data", str(tmp_path / "data"))
    with haina_store(tmp_path / "store") as store:
        client = open_store(store.url)
        client.write("journal", 10, build_points(3, first=8))
        client.close()
        settled = Settled(store.url, 10, 3, 0, name="duckdb")
        build_journal(folder, [settled], [refused(payload(seq, time_ms=NOW_MS + seq), "duckdb") for seq in (7, 3, 5)])
        for when in ("BEGIN", "DELETE", "UPDATE", "COMMIT", "nothing"):
            killed = subprocess.run([sys.executable, "-c", KILLED, when, *where], cwd=ROOT, check=False)
            assert killed.returncode == (0 if when == "nothing" else -signal.SIGKILL)
            with open_reader(store.url) as reader:
                found = sorted(point.seq for point in reader.points("wearable", 0, NOW_MS * 2))
            assert found == [3, 5, 7, 8, 9, 10]
            assert len(read_letters(folder)) == (0 if when == "nothing" else 3)
            store.restart()
    journal = Journal(folder)
    assert (journal.replayed(), journal.stores()[store.url]) == ({store.url: 3}, settled)
    journal.close()


def test_what_cannot_be_written_again_says_why_and_stays(tmp_path: Path) -> None:
    gone = f"duckdb+http://127.0.0.1:{free_port()}"
    twin, other = gone.replace("127.0.0.1", "localhost"), "influxdb+http://127.0.0.1:1/town"
    folder = build_journal(
        tmp_path / "data",
        [Settled(gone, 10, 2, 0, name="duckdb"), Settled(twin, 10, 1, 0, name="duckdb"), Settled(other, 10, 1, 0)],
        [
            refused(live_payload(1), "duckdb"),
            refused(b'{"time":1,"boot":1,"seq":1,"values":' + b" " * DEAD_LETTER_BYTES, "duckdb"),
            refused(live_payload(2), "null"),
            refused(live_payload(3), "influxdb"),  # of an earlier version, which kept no names
        ],
    )
    for arguments, code, sentence in (
        (("1",), 1, "duckdb has been the name of duckdb+http://"),
        (("1", "--store", "duckdb+http://nowhere"), 1, "called duckdb, which is duckdb+http://nowhere"),
        (("1", "--store", gone), 1, "does not answer"),
        (("2",), 1, "only its first 1,024 bytes were kept"),
        (("3",), 1, "the journal knows no store called null"),
        (("4",), 1, "InfluxDB at http://127.0.0.1:1 does not answer"),
    ):
        done = deadletter("replay", *arguments, "--data", str(folder))
        assert (done.returncode, sentence in done.stdout + done.stderr) == (code, True), (done.stdout, done.stderr)
        assert done.stderr.count("\n") <= 1
    assert len(read_letters(folder)) == 4
