"""A resident is found everywhere, handed over whole, and forgotten: no byte is left, all else stays, accounts close."""

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from collector.accounting import Accounting
from collector.audit import audit
from collector.dead_letters import NotAlone
from collector.deadletter_command import app as deadletter_commands
from collector.forgetting import Places, export, forget, forget_in_journal, obey
from collector.ingest import FORGOTTEN, DeadLetter, Settled
from collector.journal import CommitFailed, Journal, JournalUnusable
from collector.resident import Resident
from collector.resident_command import app as resident_commands
from collector.service import Collector, Settings
from collector.stores import open_store
from haina.contract import Point, measurement, point_hash, telemetry_payload
from haina.contract.measurement import LAST_MS
from haina.ledger import MINUTE_MS, BadLedger, SentLedger, forget_site, read_ledger
from haina.mqtt import BrokerAddress, Connection, ConnectOptions
from haina.query.reader import StoreUnreachable, open_reader
from simulator.run import read_commands
from tests.brokers import ROOT, free_port, mosquitto_broker
from tests.collector.readings import AN_HOUR_AGO_MS, NOW_MS, build_ingest, hear, live_payload, message, payload, topic
from tests.collector.running import (
    Gateway,
    RunningCollector,
    assert_accounts_close,
    haina_collect,
    run_collector_command,
    send,
)
from tests.collector.test_shipping import RecordingStore, build_shipper, ship, until
from tests.haina_store import haina_store

GONE, NAMESAKE = "h4242", "h42420"  # the second begins like the first, and stays
WHO = Resident(GONE, "caoyang")


def bytes_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def names_the_gone(folder: Path) -> bool:
    """Whether the forgotten site's name is left anywhere. Its namesake's may be cut in two at the end of a page of the
    journal, but not from the length that MessagePack says before it."""
    namesake_begins = bytes([0xA0 + len(NAMESAKE)])
    pattern = b"(?<!%b)%b(?!%b)" % (re.escape(namesake_begins), GONE.encode(), NAMESAKE.removeprefix(GONE).encode())
    return re.search(pattern, bytes_in(folder)) is not None


def filled_journal(folder: Path) -> Journal:
    """Ten groups in which two homes take turns, a snapshot in the middle, duplicates, letters of and about one."""
    journal = Journal(folder)
    ingest = build_ingest()
    for group in range(10):
        messages = [
            message(topic(site=site), payload(group * 10 + number + 1))
            for number in range(10)
            for site in (GONE, NAMESAKE)
        ]
        hear(ingest, [*messages, messages[0], message(topic(site=GONE), b"{")])
        transaction = ingest.take()
        if group == 4:
            transaction.snapshot = list(ingest.accounting.unsaved())
            about = DeadLetter(0, "collector", "nonsense", b'{"for": "h4242"}', "no topic")
            transaction.dead_letters += [about, about._replace(payload=b'{"for": "h42420"}')]
        transaction.settled = [Settled("recording:", 30, 0, 0)]
        journal.commit(transaction)
    return journal


def replayed(journal: Journal) -> Accounting:
    accounting = Accounting()
    journal.replay(accounting)
    return accounting


def states(journal: Journal) -> dict[tuple[str, str, str], object]:
    return {key: device.state() for key, device in replayed(journal).devices.items()}


def test_the_journal_forgets_to_the_last_byte_and_the_rest_ships_under_its_old_numbers(tmp_path: Path) -> None:
    journal = filled_journal(tmp_path)
    everybody = states(journal)
    counters = journal.counters()
    assert len(everybody) == 2
    assert journal.forget(WHO) == {"points": 100, "devices": 1, "dead_letters": 11}
    assert journal.forget(WHO) == {"points": 0, "devices": 0, "dead_letters": 0}
    journal.close()
    left = bytes_in(tmp_path)
    assert GONE.encode() not in left.replace(NAMESAKE.encode(), b"")
    assert left.count(NAMESAKE.encode()) >= 100

    journal = Journal(tmp_path)
    assert states(journal) == {key: state for key, state in everybody.items() if key[1] == NAMESAKE}
    assert journal.counters() == counters
    assert len(journal.dead_letters()) == 1
    store = RecordingStore()

    async def run() -> None:
        shipper = build_shipper(journal, store, cursor=30)
        await ship(shipper)
        assert (shipper.stored, shipper.forgotten, shipper.pending, shipper.cursor) == (30 + 85, 85, 0, 200)

    asyncio.run(run())
    assert [point.seq for point in store.points] == list(range(16, 101))
    assert {point.site for point in store.points} == {NAMESAKE}
    assert FORGOTTEN not in store.points
    journal.close()


def test_the_journal_has_not_forgotten_while_somebody_still_reads_what_was_there(tmp_path: Path) -> None:
    journal = filled_journal(tmp_path)
    journal._writer.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM groups").fetchone()
        with pytest.raises(CommitFailed, match="somebody reads it and does not let go"):
            journal.forget(WHO)
        assert names_the_gone(tmp_path)
        reader.execute("COMMIT")
        journal.forget(WHO)
        assert not names_the_gone(tmp_path)
    journal.close()


KILLED = """
import os, sys, signal
from pathlib import Path
from collector.journal import Journal
from collector.resident import Resident
journal = Journal(Path(sys.argv[1]))
def step(statement):
    if statement.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
journal._writer.set_trace_callback(step)
journal.forget(Resident("h4242", "caoyang"))
"""


def test_kill_9_while_the_journal_forgets_loses_nothing_of_others_and_it_is_finished_next_time(tmp_path: Path) -> None:
    """Before each kind of its statements."""
    filled_journal(tmp_path / "0").close()
    wanted: dict[object, object] | None = None
    whens = ("INSERT", "DELETE FROM notes", "UPDATE", "DELETE FROM dead", "COMMIT", "VACUUM", "PRAGMA wal", "nothing")
    for number, when in enumerate(whens):
        folder = tmp_path / str(number)
        if number:
            filled_journal(folder).close()
        process = subprocess.run([sys.executable, "-c", KILLED, str(folder), when], cwd=ROOT, check=False)
        assert process.returncode == (0 if when == "nothing" else -signal.SIGKILL)
        journal = Journal(folder)
        journal.forget(WHO)
        found: dict[object, object] = {"states": states(journal), "points": [g.points for g in journal.read(1, 1_000)]}
        wanted = wanted or found
        assert found == wanted
        journal.close()
        assert not names_the_gone(folder)


def write_run(folder: Path, readings: int) -> None:
    """A run's ledgers in which two homes take turns."""
    folder.mkdir()
    with SentLedger(folder / "run.sent", run="r", boot=1) as ledger:
        for seq in range(1, readings + 1):
            for site in (GONE, NAMESAKE):
                said = live_payload(seq)
                ledger.device("caoyang", site, "wearable-1").record(
                    AN_HOUR_AGO_MS + seq, seq, point_hash("wearable", said)
                )
    truth = [{"time": 1, "kind": "fall", "area": "caoyang", "site": site} for site in (GONE, NAMESAKE)]
    truth.append({"time": 2, "kind": "trip", "area": "caoyang", "site": "crew", "to": GONE})  # type: ignore[dict-item]
    (folder / "run.truth").write_text("".join(json.dumps(line) + "\n" for line in truth))
    command = {"id": "1", "expires": 2}
    lines = [
        {"time": 1, "topic": f"haina/v1/command/caoyang/{site}/phone/call", "command": command}
        for site in (GONE, NAMESAKE)
    ]
    (folder / "run.commands").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_ledger_is_blanked_in_place_while_somebody_writes_at_its_end(tmp_path: Path) -> None:
    """All other bytes stay what and where they are; cut short after the devices, the next call finishes."""
    write_run(tmp_path / "run", 10)
    path = tmp_path / "run" / "run.sent"
    before = path.read_bytes()
    others = [minute for minute in read_ledger(path) if minute.site == NAMESAKE]
    with path.open("ab") as writer:
        assert forget_site(path, GONE, "elsewhere") == 0
        assert path.read_bytes() == before
        assert forget_site(path, GONE) >= 2
        writer.write(b"[0,29833999,1,11,11,7]\n")  # of the device that was forgotten
    after = path.read_bytes()
    assert [minute for minute in read_ledger(path) if minute.site] == others == list(read_ledger(path))
    for old, new in zip(before.splitlines(), after.splitlines(), strict=False):
        assert new == old or (len(new) == len(old) and GONE.encode() not in new)
    assert forget_site(path, GONE) == 1


@pytest.mark.parametrize("damage", [b'{"device":0\n', b"[0,1,1,1,1,1]\n", b"[x\n", b'{"device":"a","site":"b"}\n'])
def test_a_ledger_that_is_damaged_is_named_with_its_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "run.sent"
    path.write_bytes(b'{"sent":1,"run":"r","boot":1}\n' + damage)
    with pytest.raises(BadLedger, match=r"run\.sent:2: not a line of a sent ledger"):
        forget(WHO, Places(runs=[tmp_path]))


def haina(*arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
    process = run_collector_command(*arguments)
    out, err = process.communicate(said or None, timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def until_served(collector: RunningCollector) -> None:
    """It is away for a moment while it forgets."""
    for _ in range(600):
        with contextlib.suppress(urllib.error.URLError):
            return collector.until_connected()
        time.sleep(0.1)
    raise AssertionError("it did not come back")


async def retain(broker: str, on: str) -> None:
    gateway = Gateway()
    connection = await Connection.open(BrokerAddress.parse(broker), ConnectOptions("meta"), gateway)
    connection.publish([(on.encode(), b"{}")], retain=True)
    await gateway.until(lambda: connection.room == connection.options.max_in_flight)
    await connection.close()


def build_nurse(readings: int = 10) -> list[Point]:
    """A nurse who goes to one home, then to its namesake's, a reading each six seconds."""
    return [
        Point(
            "crew_member",
            "caoyang",
            "nurses",
            "nurse-1",
            NOW_MS - 3_600_000 + 6_000 * seq,
            1,
            seq,
            (1, 121.4, 31.2, 60.0, GONE if 4 <= seq <= 6 else NAMESAKE, "check", "nurse"),
        )
        for seq in range(1, readings + 1)
    ]


def said(point: Point) -> bytes:
    names = measurement(point.measurement).field_names
    return telemetry_payload(point.time_ms, point.boot, point.seq, dict(zip(names, point.values, strict=True)))


def test_what_others_said_of_a_resident_is_theirs_too_and_the_audit_compares_all_else(tmp_path: Path) -> None:
    """In journal, store and sent ledger; and the nurse's own account does not take what was forgotten for missing."""
    points = build_nurse(30)
    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    with SentLedger(run / "run.sent", run="r", boot=1) as ledger:
        for point in points:
            ledger.device("caoyang", "nurses", "nurse-1").record(
                point.time_ms, point.seq, point_hash(point.measurement, said(point))
            )
    journal = Journal(data)
    ingest = build_ingest()
    hear(ingest, [message(topic("nurse-1", site="nurses", name="crew_member"), said(point)) for point in points])
    journal.commit(ingest.take())
    accounts = states(journal)
    journal.close()
    with haina_store(tmp_path / "store") as store:
        client = open_store(store.url)
        client.write("journal", len(points), points)
        client.close()
        places = Places(data, [store.url], [run])
        lines = export(WHO, places, tmp_path / "x.zip")
        assert (lines["journal/points.jsonl"], lines["store-1/crew_member.jsonl"]) == (3, 3)
        assert (tmp_path / "x.zip").stat().st_mode & 0o777 == 0o600, "it is about somebody"
        with pytest.raises(StoreUnreachable):
            export(WHO, Places(data, ["duckdb+http://127.0.0.1:1"]), tmp_path / "y.zip")
        assert not list(tmp_path.glob("y.zip*")), "not half of it either"
        assert sum(forget(WHO, places).values()) == 3 + 3 + 1
        assert sum(forget(WHO, places).values()) == 0
        with open_reader(store.url) as reader:
            assert {point.values[4] for point in reader.points("crew_member", 0, 10**13)} == {NAMESAKE}
            report = audit([run / "run.sent"], reader)
        assert (report.clean, report.forgotten_minutes) == (True, 1)
        assert report.sent == sum(point.time_ms // MINUTE_MS != points[4].time_ms // MINUTE_MS for point in points) > 0
        store.stop()
    for folder in (data, tmp_path / "store", run):
        assert not names_the_gone(folder), folder
    journal = Journal(data)
    assert states(journal) == accounts
    [device] = replayed(journal).devices.values()
    assert (device.received, device.missing, device.waited_for) == (30, 0, 0)
    journal.close()


def test_a_reading_of_the_last_time_there_is_is_handed_over_too(tmp_path: Path) -> None:
    with haina_store(tmp_path / "store") as store:
        client = open_store(store.url)
        client.write("journal", 2, [msgspec.structs.replace(build_nurse()[3], time_ms=each) for each in (0, LAST_MS)])
        client.close()
        for whom in (WHO, Resident("nurses")):  # named, and by tags
            lines = export(whom, Places(stores=[store.url]), tmp_path / f"{whom.site}.zip")
            assert lines["store-1/crew_member.jsonl"] == 2


def test_whether_there_is_a_journal_is_asked_without_reading_its_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_journal(tmp_path).close()
    monkeypatch.setattr("collector.dead_letters.read_letters", None)
    for words in (["export", GONE, "--to", str(tmp_path / "x.zip")], ["forget", GONE, "--yes"]):
        done = CliRunner().invoke(resident_commands, [*words, "--data", str(tmp_path)])
        assert done.exit_code == 0, done


def test_a_file_that_is_no_journal_is_refused_at_once_and_asked_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("nonsense\n")
    refused = haina("forget", GONE, "--yes", "--data", str(tmp_path))
    assert refused.returncode == 2
    assert "cannot be read as a collector's journal" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["journal.db"]


def test_a_running_line_hands_over_and_forgets_and_its_accounts_close(tmp_path: Path) -> None:
    """One store has all, another is down and has nothing; collector, broker and store run on all the while."""
    port = free_port()
    data, run = tmp_path / "data", tmp_path / "run"
    write_run(run, 50)
    retained = f"haina/v1/meta/caoyang/{GONE}/wearable-1/info"
    with (
        mosquitto_broker() as broker,
        haina_store(tmp_path / "store") as store,
        haina_collect(broker, data, "--store", store.url, "--store", f"duckdb+http://127.0.0.1:{port}") as collector,
    ):
        collector.until_connected()
        for site in (GONE, NAMESAKE):
            send(broker, [(topic(site=site), live_payload(seq)) for seq in range(1, 51)])
        send(broker, [(topic(site=GONE), b"{")])
        asyncio.run(retain(broker.url, retained))
        collector.until(lambda found: found["stores"][0]["stored"] == 100 and found["journal"]["dead_letters"] == 1)
        places = ("--data", str(data), "--store", store.url, "--run", str(run), "--broker", broker.url)
        handed = haina("export", f"caoyang/{GONE}", "--to", str(tmp_path / "x.zip"), *places, "--json")
        assert handed.returncode == 0, handed.stderr
        lines = json.loads(handed.stdout)["lines"]
        assert {name: lines[name] for name in ("journal/points.jsonl", "store-1/wearable.jsonl")} == {
            "journal/points.jsonl": 50,
            "store-1/wearable.jsonl": 50,
        }
        assert (lines["journal/dead_letters.jsonl"], lines["run/truth.jsonl"], lines["run/commands.jsonl"]) == (1, 2, 1)
        assert lines["retained.jsonl"] >= 2  # what was published, and the watermark
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            assert json.loads(archive.read("manifest.json"))["lines"] == lines
            assert len(archive.read("store-1/wearable.jsonl").splitlines()) == 50

        refused = haina("forget", GONE, *places, said="n\n")
        assert (refused.returncode, collector.status()["counters"]["journaled"]) == (1, 100)
        forgot = haina("forget", GONE, *places, "--yes", "--json")
        assert forgot.returncode == 0, forgot.stderr
        counts = json.loads(forgot.stdout)["forgotten"]
        assert (counts["points in the journal"], counts[f"points and rollups in {store.url}"]) == (50, 50)
        again = haina("forget", GONE, *places, "--yes", "--json")
        assert sum(json.loads(again.stdout)["forgotten"].values()) == 0, again.stdout
        unknown = haina("export", GONE, "--to", str(tmp_path / "y.zip"), *places)
        assert unknown.stdout == f"0 lines about {GONE} in {tmp_path / 'y.zip'}\n"
        assert f"nothing is known of {GONE} where you looked" in unknown.stderr

        until_served(collector)
        send(broker, [(topic(site=NAMESAKE), live_payload(seq)) for seq in range(45, 61)])
        with haina_store(tmp_path / "second", "--listen", f"127.0.0.1:{port}") as second:
            found = collector.until(lambda found: found["stores"][1]["pending"] == found["stores"][0]["pending"] == 0)
            assert_accounts_close(found)
            assert (found["counters"]["journaled"], found["stores"][1]["stored"]) == (110, 60)
            assert found["stores"][1]["forgotten"] == 50
            assert second.is_running
        with open_reader(store.url) as reader:
            assert {point.site for point in reader.points("wearable", 0, 10**13)} == {NAMESAKE}
            report = audit([run / "run.sent"], reader)
        assert (report.forgotten, report.lost, report.sent) == (1, 0, 50)
        assert len(read_commands(run / "run.commands")) == 1
        assert collector.stop()[0] == 0
        store.stop()
    [record] = [json.loads(line) for line in (data / "forgotten.jsonl").read_text().splitlines()[:1]]
    assert record["items"] == sum(counts.values())
    for folder in (data, tmp_path / "store", run):
        assert not names_the_gone(folder), folder
    assert sorted(path.name for path in data.iterdir()) == ["forgotten.jsonl", "journal.db", "lock"]


def replay_all(data: Path) -> Result:
    return CliRunner().invoke(deadletter_commands, ["replay", "--all", "--data", str(data)])


def journal_with_a_refused_point(folder: Path) -> None:
    journal = Journal(folder)
    transaction = build_ingest().take()
    transaction.settled = [Settled("recording:", 1, 1, 0, name="recording")]
    refused = DeadLetter(NOW_MS, "recording", topic(site=GONE).decode(), live_payload(1), "too old")
    transaction.dead_letters = [refused]
    journal.commit(transaction)
    journal.close()


def test_nobody_is_forgotten_while_letters_that_were_read_before_are_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the forgotten would come back with what the replay writes next."""

    class Store(RecordingStore):
        def write(self, *arguments: Any) -> None:
            with pytest.raises(NotAlone, match="try again after that"):
                forget(WHO, Places(tmp_path))
            super().write(*arguments)

    monkeypatch.setattr("collector.stores.open_store", lambda _url, ca_file: Store())
    journal_with_a_refused_point(tmp_path)
    assert "1 of 1 dead letters written" in replay_all(tmp_path).stdout
    journal_with_a_refused_point(tmp_path)
    assert forget(WHO, Places(tmp_path)) == {
        "points in the journal": 0,
        "devices in the journal": 0,
        "dead_letters in the journal": 1,
    }


def test_nothing_is_said_again_while_somebody_is_forgotten(tmp_path: Path) -> None:
    journal_with_a_refused_point(tmp_path)
    found: list[Result] = []
    forget(WHO, Places(tmp_path), tell=lambda _sentence: found.append(replay_all(tmp_path)))
    [meanwhile] = found
    assert (meanwhile.exit_code, meanwhile.stderr.count("\n")) == (1, 1)
    assert "try again after that" in meanwhile.stderr
    assert "no such dead letter" in replay_all(tmp_path).stdout


def call_that_asks(data: Path, whom: str) -> "tuple[subprocess.Popen[str], Path]":
    """A call of `haina forget` that waits for a collector, and its question."""
    call = run_collector_command("forget", whom, "--yes", "--data", str(data))
    while True:
        for asked in data.glob("forget/*.ask"):
            if json.loads(asked.read_text())["site"] == whom:
                return call, asked
        assert call.poll() is None
        time.sleep(0.01)


def test_the_answer_to_one_call_is_not_taken_for_that_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was cut short while the collector was at it, and there came the second."""
    collector = filled_journal(tmp_path)
    first, _ = call_that_asks(tmp_path, NAMESAKE)
    first.kill()
    first.communicate()
    collector.close()
    calls = []

    def forget_slowly(resident: Resident, data: Path) -> dict[str, int]:
        collector = Journal(data)
        calls.append(call_that_asks(data, GONE)[0])
        collector.close()
        return forget_in_journal(resident, data)

    with monkeypatch.context() as patched:
        patched.setattr("collector.forgetting.forget_in_journal", forget_slowly)
        obey(tmp_path)
    obey(tmp_path)
    assert "100  points in the journal" in calls[0].communicate(timeout=60)[0]
    journal = Journal(tmp_path)
    assert states(journal) == {}
    journal.close()


def test_a_call_that_cannot_be_answered_is_not_left_waiting(tmp_path: Path) -> None:
    collector = filled_journal(tmp_path)
    call, asked = call_that_asks(tmp_path, GONE)
    asked.with_suffix(".new").mkdir()  # as on a full disk, the answer cannot be written
    collector.close()
    obey(tmp_path)
    _, sentence = call.communicate(timeout=60)
    assert (call.returncode, "could not write its answer; try again" in sentence) == (1, True)


def test_nor_before_a_collector_has_forgotten_whom_a_call_that_was_killed_has_named(tmp_path: Path) -> None:
    journal_with_a_refused_point(tmp_path)
    collector = Journal(tmp_path)
    call, _ = call_that_asks(tmp_path, GONE)
    call.kill()
    call.communicate()
    early = replay_all(tmp_path)
    assert (early.exit_code, early.stderr.count("\n")) == (1, 1)
    assert "a resident is still to be forgotten" in early.stderr
    collector.close()
    obey(tmp_path)
    assert "no such dead letter" in replay_all(tmp_path).stdout


def test_a_collector_lets_go_of_its_journal_when_what_it_was_writing_has_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that stood still takes the batch later on, and must have it before it is asked to forget."""
    monkeypatch.setattr("collector.service.SHIP_AT_END_S", 0.0)
    monkeypatch.setattr("collector.shipping.CLOSE_S", 0.0)
    writing, may_go_on = threading.Event(), threading.Event()

    class Store(RecordingStore):
        def write(self, *arguments: Any) -> None:
            writing.set()
            assert may_go_on.wait(60)
            super().write(*arguments)

    async def run() -> None:
        settings, store = Settings(BrokerAddress("127.0.0.1", 1), ("recording:",), tmp_path, http=None), Store()
        collector = Collector(settings, lambda _url: store)
        running = asyncio.create_task(collector.run())
        assert await asyncio.to_thread(writing.wait, 60)
        (tmp_path / "forget").mkdir()
        (tmp_path / "forget" / "a.ask").touch()
        await until(lambda: collector.ends_to_forget)
        await asyncio.wait([running], timeout=0.5)
        with pytest.raises(JournalUnusable):
            Journal(tmp_path)
        may_go_on.set()
        await running
        assert {point.site for point in store.points} == {GONE, NAMESAKE}
        Journal(tmp_path).close()

    filled_journal(tmp_path).close()
    asyncio.run(run())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((GONE,), "say where"),
        (("Mrs Li", "--store", "null:"), "SITE or AREA/SITE"),
        ((GONE, "--yes", "--data", "nowhere"), "no journal"),
        ((GONE, "--yes", "--store", "duckdb+http://127.0.0.1:1"), "does not answer"),
        ((GONE, "--yes", "--store", "null:"), "nothing to read"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    process = haina("forget", *arguments)
    assert process.returncode in {1, 2}
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr


def test_a_namesake_in_another_area_stays() -> None:
    who = Resident.parse("caoyang/h4242")
    assert who.is_in("haina/v1/telemetry/caoyang/h4242/bed/home_bed", b"")
    assert not who.is_in("haina/v1/telemetry/changfeng/h4242/bed/home_bed", b"", "h4242")
    assert who.is_in("nonsense", b'{"home": "h4242"}')
    assert not who.is_in("nonsense", b"h42420 xh4242 h4242-b")
    assert Resident.parse("h4242").is_of("changfeng", "h4242")
    assert who.hashed() != who.hashed()
