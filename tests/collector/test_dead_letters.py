"""Dead letters can be listed, shown and said again, whether or not a collector is running."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.dead_letters import Letter, NoJournal, judge, read_letters, topic_matches
from collector.ingest import DEAD_LETTER_BYTES, DeadLetter
from collector.journal import Journal
from haina.contract import Point
from tests.brokers import mosquitto_broker
from tests.collector.readings import (
    NOW_MS,
    build_ingest,
    copy_as_found_after_a_crash,
    live_payload,
    payload,
    topic,
)
from tests.collector.running import haina_collect, run_collector_command, send

UNKNOWN = topic(name="future_measurement").decode()


def bury(journal: Journal, letters: Sequence[DeadLetter]) -> None:
    transaction = build_ingest().take()
    transaction.dead_letters = list(letters)
    journal.commit(transaction)


def build_journal(folder: Path, letters: Sequence[DeadLetter]) -> Path:
    journal = Journal(folder)
    bury(journal, letters)
    journal.close()
    return folder


def rejected(payload: bytes, on: str = topic().decode(), reason: str = "it was a secret then") -> DeadLetter:
    return DeadLetter(NOW_MS, "collector", on, payload, reason)


def refused(payload: bytes, by: str = "influxdb") -> DeadLetter:
    return DeadLetter(NOW_MS, by, topic().decode(), payload, "field type conflict")


def letter(payload: bytes, on: str = topic().decode(), by: str = "collector") -> Letter:
    return Letter(1, NOW_MS, by, on, payload, "")


def deadletter(*arguments: str) -> "subprocess.CompletedProcess[str]":
    process = run_collector_command("deadletter", *arguments)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def test_what_a_running_collector_rejects_is_listed_newest_first_and_found_by_topic_and_reason(tmp_path: Path) -> None:
    with mosquitto_broker() as broker, haina_collect(broker, tmp_path / "data", "--store", "null:") as collector:
        collector.until_connected()
        send(broker, [(topic(), b"{"), (UNKNOWN.encode(), live_payload(1)), (topic("wearable-2"), b"\xff")])
        collector.until(lambda found: found["journal"]["dead_letters"] == 3)
        listed = deadletter("list", "--data", str(tmp_path / "data"), "--json")
        assert listed.returncode == 0, listed.stderr
        letters = json.loads(listed.stdout)["dead_letters"]
        assert [found["topic"] for found in letters] == [topic("wearable-2").decode(), UNKNOWN, topic().decode()]
        assert letters[0]["payload_hex"] == "ff"
        assert letters[1]["payload"] == live_payload(1).decode()
        some = deadletter("list", "--data", str(tmp_path / "data"), "--json", "--reason", "Not a Measurement")
        assert [found["topic"] for found in json.loads(some.stdout)["dead_letters"]] == [UNKNOWN]
        some = deadletter("list", "--data", str(tmp_path / "data"), "--topic", "haina/v1/+/caoyang/+/wearable-2/#")
        assert "1 dead letter" in some.stdout
        assert "wearable-2" in some.stdout
        send(broker, [(topic(), live_payload(2))], "another")  # and the collector has not been hindered
        collector.until(lambda found: found["counters"]["journaled"] == 1)


def test_all_that_was_kept_of_a_payload_is_shown_and_nothing_that_moves_a_terminal(tmp_path: Path) -> None:
    long = b'{"a":"' + b"x" * 900 + b'"}\x1b[2J\n\xff'
    folder = build_journal(tmp_path / "data", [rejected(b"1"), rejected(long)])
    shown = deadletter("show", "2", "--data", str(folder))
    assert shown.returncode == 0, shown.stderr
    assert "x" * 900 + '"}\\x1b[2J\\n\\xff' in shown.stdout
    assert "it was a secret then" in shown.stdout
    assert "2026-09-22 00:00:00 UTC" in shown.stdout
    assert "\x1b" not in shown.stdout
    missing = deadletter("show", "7", "--data", str(folder))
    assert missing.returncode == 2
    assert "there is no dead letter 7" in missing.stderr


def test_rejected_readings_that_are_good_now_are_said_again_and_of_the_others_it_is_said_why_not(
    tmp_path: Path,
) -> None:
    folder = build_journal(
        tmp_path / "old",
        [
            rejected(live_payload(1)),
            rejected(b"{"),
            rejected(live_payload(2)),
            refused(live_payload(3)),
        ],
    )
    with mosquitto_broker() as broker, haina_collect(broker, tmp_path / "new", "--store", "null:") as collector:
        collector.until_connected()
        where = ("--data", str(folder), "--broker", broker.url)
        done = deadletter("replay", "--all", "--json", *where)
        answer = json.loads(done.stdout)
        assert done.returncode == 1
        assert (answer["chosen"], answer["published"]) == (4, 2)
        assert [(vain["number"], vain["why"][:24]) for vain in answer["in_vain"]] == [
            (2, "it would be rejected aga"),
            (4, "the journal knows no sto"),
        ]
        collector.until(lambda found: found["counters"]["journaled"] == 2)
        again = deadletter("replay", "1", "3", *where)
        assert again.returncode == 0, again.stderr
        assert "2 of 2 dead letters published" in again.stdout
        found = collector.until(lambda found: found["counters"]["duplicates"] == 2)
        assert found["counters"]["journaled"] == 2
        assert found["counters"]["rejected"] == 0


def test_a_replay_says_what_it_needs_in_one_sentence(tmp_path: Path) -> None:
    folder = build_journal(tmp_path / "data", [rejected(payload(1))])
    for arguments, sentence, code in (
        ((), "say which: numbers, --reason, --topic or --all", 2),
        (("9",), "there is no dead letter 9", 2),
        (("--all", "--broker", "http://nowhere"), "--broker", 2),
        (("--all", "--broker", "mqtt://127.0.0.1:1"), "cannot be reached", 1),
    ):
        done = deadletter("replay", "--data", str(folder), *arguments)
        assert done.returncode == code
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("list",), ("show", "1"), ("replay", "--all")])
def test_without_a_journal_one_sentence_says_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = deadletter(*words, "--data", str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert "there is no journal in" in done.stderr
    assert "--data" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("words", [("list",), ("show",), ("replay",)])
def test_every_command_has_an_example(words: tuple[str, ...]) -> None:
    done = deadletter(*words, "--help")
    assert done.returncode == 0
    assert f"haina deadletter {words[0]}" in done.stdout


def test_a_file_that_is_no_journal_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, " * 100)
    with pytest.raises(NoJournal, match="cannot be read as a collector's journal"):
        read_letters(tmp_path)


def test_letters_of_a_collector_that_was_killed_are_all_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "data")
    bury(journal, [rejected(b"%d" % number) for number in range(50)])
    crashed = copy_as_found_after_a_crash(tmp_path / "data", tmp_path / "crashed")
    journal.close()
    assert [found.payload for found in read_letters(crashed)] == [b"%d" % number for number in reversed(range(50))]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (letter(payload(1)), None),
        (letter(payload(1), by="duckdb"), None),
        (letter(b"[" * DEAD_LETTER_BYTES), "only its first 1,024 bytes were kept"),
        (letter(b"[" * DEAD_LETTER_BYTES, by="duckdb"), "only its first 1,024 bytes were kept"),
        (letter(b"{}", "haina/v1/clock"), "only readings are said again"),
        (letter(payload(1), "haina/v1/telemetry/a/b/c/d/e"), "it would be rejected again"),
        (letter(payload(1), "haina/v1/telemetry/a/#/c/wearable"), "nobody can publish on its topic"),
        (letter(payload(1, steps=-1)), "it would be rejected again"),
    ],
)
def test_what_would_be_in_vain_is_known_beforehand(said: Letter, why: str | None) -> None:
    found = judge(said)
    assert isinstance(found, Point) if why is None else str(found).startswith(why)


@pytest.mark.parametrize(
    ("topic_filter", "covered"),
    [("a/b/c", True), ("a/+/c", True), ("a/#", True), ("#", True), ("a/b/c/#", True), ("a/b", False), ("+/c", False)],
)
def test_a_topic_filter_means_what_it_means_to_a_broker(topic_filter: str, covered: bool) -> None:
    assert topic_matches(topic_filter, "a/b/c") is covered
