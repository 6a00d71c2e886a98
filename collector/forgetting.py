"""Handing over what there is of a resident, and forgetting it, wherever the line keeps it.

What others say of them is theirs too: a reading of a nurse or a crew that names the home in a text.

| place | handed over | forgotten |
|---|---|---|
| journal: points, devices, dead letters | yes | points leave a nameless place each, the file is written anew |
| stores: raw points, DuckDB's rollups | yes | DuckDB's file is written anew; InfluxDB deletes |
| a run's sent ledger, truth, commands | yes | lines are blanked in place, all other bytes stay |
| sent ledger: minutes in which others named them | no | they say 0 readings from then on |
| retained messages at a broker | yes | cleared, by an empty one each |

Forgetting begins with the broker and the journal, so that nothing is told or shipped again behind its back, and no dead
letters are replayed meanwhile. Each step can be done twice, and one that a crash cut short is begun again with the next
call. In the end one line in the collector's folder (`forgotten.jsonl`) says when and how many, and whom only to those
who know (a salted hash).

A collector that runs owns its journal. It is asked by a file in its folder, `forget/….ask`, which only those can write
who could have deleted the journal: it ends its line, forgets, and begins again, as after a restart; the broker keeps
what arrives meanwhile. Its answer is a file of the same name, so that nobody takes it for that to another call's.
"""

import asyncio
import contextlib
import io
import itertools
import json
import os
import sqlite3
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from collector.dead_letters import NotAlone, alone, read_letters, reading
from collector.journal import CommitFailed, Journal, JournalUnusable, groups_with
from collector.resident import Resident
from haina.contract import measurement
from haina.contract.measurement import LAST_MS
from haina.contract.point import NS_PER_MS
from haina.credentials import may_say
from haina.ledger import MINUTE_MS, DeviceMinute, forget_minutes, forget_site, site_lines
from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publish
from haina.query.reader import Reader, open_reader

END_MS: Final = LAST_MS + 1

ASKS: Final = "forget"
ANSWER_S: Final = 600.0
"""How long a running collector may take."""

ORPHANED_S: Final = 30.0
"""After so long without an answer the journal is nobody's, if it can be opened."""

QUIET_S: Final = 1.0
"""A broker that has brought no retained message for so long has brought them all. Assumed."""

Counts = dict[str, int]


class CannotForget(Exception):
    """Something stands in the way; one sentence. What was done before it stays done."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look: a collector's folder, stores (and whom to trust over https), folders of runs, a broker.

    The broker is there once for each account to enter it by: with the rules of `haina credentials` the collector hears
    what is retained and clears the watermark, and only the site's own gateway clears meta and status.
    """

    data: Path | None = None
    stores: Sequence[str] = ()
    runs: Sequence[Path] = ()
    broker: Sequence[BrokerAddress] = ()
    ca_file: Path | None = None

    def ledgers(self, name: str) -> list[Path]:
        return [path for run in self.runs if (path := run / name).is_file()]


# Handing over


def export(resident: Resident, places: Places, to: Path) -> Counts:
    """Write a zip archive with a file for each place that had something, and a manifest of all; lines of each.

    Raises OSError, NoJournal, BadLedger, StoreError, MQTTError.
    """
    counts: Counts = {}
    fresh = to.with_name(to.name + ".new")
    fresh.unlink(missing_ok=True)
    with _for_its_owner_alone(fresh) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in _everything(resident, places):
            counts[name] = _write(archive, name, rows)
        manifest = {
            "resident": str(resident),
            "exported": datetime.now(UTC).isoformat(timespec="seconds"),
            "lines": counts,
            "not_looked_at": [name for name, given in _given(places).items() if not given],
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=2) + "\n")
    fresh.replace(to)
    return counts


@contextlib.contextmanager
def _for_its_owner_alone(path: Path) -> Iterator[BinaryIO]:
    """A new file that nobody else may read, and that is not left behind half written."""
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise


def _given(places: Places) -> dict[str, bool]:
    return {
        "the collector's journal (--data)": places.data is not None,
        "stores (--store)": bool(places.stores),
        "ledgers of runs (--run)": bool(places.runs),
        "the broker's retained messages (--broker)": bool(places.broker),
    }


def _everything(resident: Resident, places: Places) -> Iterator[tuple[str, Iterable[dict[str, Any]]]]:
    if places.data is not None:
        yield from _in_journal(resident, places.data)
    for number, url in enumerate(places.stores, start=1):
        with open_reader(url, ca_file=places.ca_file) as reader:
            for name in reader.describe():
                yield (
                    f"store-{number}/{name}.jsonl",
                    itertools.chain(
                        _rows(reader.batches(name, 0, END_MS, **resident.tags)), _naming(resident, reader, name)
                    ),
                )
            hours = (row for batch in reader.rollups(**resident.tags) for row in batch.to_pylist())
            yield f"store-{number}/hourly.jsonl", hours
    for run in places.runs:
        for path in Places(runs=[run]).ledgers("run.sent"):
            minutes = site_lines(path, resident.site, resident.area)
            yield f"{run.name}/sent.jsonl", (minute._asdict() for minute in minutes)
        for path in [*Places(runs=[run]).ledgers("run.truth"), *Places(runs=[run]).ledgers("run.commands")]:
            yield f"{run.name}/{path.suffix[1:]}.jsonl", _lines_about(resident, path)
    if places.broker:
        retained = asyncio.run(_Retained(resident).read(places.broker))
        said = ({"topic": topic.decode(), "payload": payload.decode(errors="replace")} for topic, payload in retained)
        yield "retained.jsonl", said


def _rows(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    return (row for batch in batches for row in batch.to_pylist())


def _naming(resident: Resident, reader: Reader, name: str) -> Iterator[dict[str, Any]]:
    """What others said of a resident: a nurse of where she was sent, and what she found there."""
    for text in measurement(name).texts:
        for row in _rows(reader.batches(name, 0, END_MS, **{text: resident.site})):
            if not resident.is_of(row["area"], row["site"]):
                yield row


def _in_journal(resident: Resident, data: Path) -> Iterator[tuple[str, Iterable[dict[str, Any]]]]:
    """Through a connection that cannot write, in short reads: the collector may be running."""
    with reading(data) as journal:
        yield "journal/points.jsonl", _points(resident, journal)
        yield "journal/devices.jsonl", _devices(resident, journal)
    about = (letter for letter in read_letters(data) if resident.is_in(letter.topic, letter.payload, letter.reason))
    yield "journal/dead_letters.jsonl", (letter.as_json() for letter in about)


def _points(resident: Resident, journal: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for _, points in groups_with(journal, resident):
        yield from (msgspec.structs.asdict(point) for point in points if resident.is_in_point(point))


def _devices(resident: Resident, journal: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    found = journal.execute("SELECT area, site, device, state FROM devices WHERE site = ?", [resident.site])
    for area, site, device, state in found.fetchall():
        if resident.is_of(area, site):
            yield {"area": area, "site": site, "device": device, "state": msgspec.msgpack.decode(state)}


def _lines_about(resident: Resident, path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            if resident.is_about(line):
                with contextlib.suppress(ValueError):  # torn by a crash
                    yield json.loads(line)


def _write(archive: zipfile.ZipFile, name: str, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with archive.open(name, "w", force_zip64=True) as raw, io.TextIOWrapper(raw, "utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            count += 1
    return count


# Forgetting


def forget(resident: Resident, places: Places, tell: Callable[[str], None] = lambda _sentence: None) -> Counts:
    """Forget everywhere; how many of each were forgotten.

    Raises CannotForget, NoJournal, NotAlone, OSError, BadLedger, StoreError, MQTTError.
    """
    with contextlib.nullcontext() if places.data is None else alone(places.data):
        return _forget(resident, places, tell)


def _forget(resident: Resident, places: Places, tell: Callable[[str], None]) -> Counts:
    counts: Counts = {}
    still_retained = 0
    if places.broker:
        cleared, still_retained = asyncio.run(_Retained(resident).clear(places.broker))
        counts[f"retained messages at {places.broker[0]}"] = cleared
    ledgers = places.ledgers("run.sent")
    minutes = _minutes_of_others(resident, places) if ledgers else set()
    for path in ledgers:  # first, for later nobody knows which they were
        counts[f"lines of {path}"] = forget_minutes(path, minutes)
    if places.data is not None:
        tell(f"the journal in {places.data}")
        counts |= _ask_collector(resident, places.data)
    for url in places.stores:
        tell(url)
        with open_reader(url, ca_file=places.ca_file) as reader:
            counts[f"points and rollups in {reader.url}"] = reader.forget(resident.site, resident.area)
    for path in ledgers:
        counts[f"lines of {path}"] += forget_site(path, resident.site, resident.area)
    for path in [*places.ledgers("run.truth"), *places.ledgers("run.commands")]:
        counts[f"lines of {path}"] = _blank_lines(resident, path)
    if places.data is not None:
        _keep_record(resident, places.data, counts)
    if still_retained:
        raise CannotForget(
            f"{places.broker[0]} still retains {still_retained} messages of the site, which the accounts given may "
            "not clear: the collector's clears the watermark, the gateway's its meta and status (--credentials may be "
            "repeated); all else that was named is forgotten"
        )
    return counts


def _minutes_of_others(resident: Resident, places: Places) -> set[DeviceMinute]:
    """In which minutes which devices of others named a resident, as far as journal and stores know."""
    found = set()
    if places.data is not None:
        with reading(places.data) as journal:
            for _, points in groups_with(journal, resident):
                found |= {
                    (point.area, point.site, point.device, point.boot, point.time_ms // MINUTE_MS)
                    for point in points
                    if resident.is_in_point(point) and not resident.is_of(point.area, point.site)
                }
    for url in places.stores:
        with open_reader(url, ca_file=places.ca_file) as reader:
            for name in reader.describe():
                found |= {
                    (row["area"], row["site"], row["device"], row["boot"], row["time_ns"] // (NS_PER_MS * MINUTE_MS))
                    for row in _naming(resident, reader, name)
                }
    return found


def _keep_record(resident: Resident, data: Path, counts: Counts) -> None:
    record = {
        "forgotten": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": resident.hashed(),
        "items": sum(counts.values()),
    }
    with (data / "forgotten.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _blank_lines(resident: Resident, path: Path) -> int:
    """Blank the lines that name a resident, in place: whoever appends meanwhile is not disturbed."""
    blanked = start = 0
    with path.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n") and resident.is_about(line):
                os.pwrite(file.fileno(), b" " * (len(line) - 1), start)
                blanked += 1
            start += len(line)
        os.fsync(file.fileno())
    return blanked


def forget_in_journal(resident: Resident, data: Path) -> Counts:
    """Forget in the journal of a collector that does not run. Raises JournalUnusable, CommitFailed."""
    journal = Journal(data)
    try:
        return {f"{what} in the journal": number for what, number in journal.forget(resident).items()}
    finally:
        journal.close()


def _ask_collector(resident: Resident, data: Path) -> Counts:
    """Do it, or have it done by the collector that owns the journal."""
    with contextlib.suppress(JournalUnusable):  # somebody owns it
        return forget_in_journal(resident, data)
    asked = data / ASKS / f"{uuid.uuid4().hex}.ask"
    asked.parent.mkdir(mode=0o700, exist_ok=True)
    _put(asked, {"site": resident.site, "area": resident.area})
    counts = _answer(resident, data, asked)
    asked.unlink(missing_ok=True)
    for answer in asked.parent.glob("*.done"):  # those to calls that were cut short too
        answer.unlink()
    with contextlib.suppress(OSError):
        asked.parent.rmdir()
    return counts


def _answer(resident: Resident, data: Path, asked: Path) -> Counts:
    """What the collector answers; done here after all if it is gone meanwhile. Raises CannotForget."""
    asked_s = time.monotonic()
    while time.monotonic() < asked_s + ANSWER_S:
        time.sleep(0.1)
        is_settled = not asked.exists()
        with contextlib.suppress(FileNotFoundError):
            answer = json.loads(asked.with_suffix(".done").read_text())
            if "error" in answer:
                raise CannotForget(answer["error"])
            return dict(answer)
        if is_settled:
            raise CannotForget(f"the collector that uses {data} could not write its answer; try again")
        if time.monotonic() > asked_s + ORPHANED_S:
            with contextlib.suppress(JournalUnusable):
                return forget_in_journal(resident, data)
    raise CannotForget(f"the collector that uses {data} did not answer; is it an older version? Stop it and try again")


def is_asked(data: Path) -> bool:
    """Whether somebody asks the collector of this folder to forget."""
    return any((data / ASKS).glob("*.ask"))


@contextlib.contextmanager
def nobody_forgotten(data: Path) -> Iterator[None]:
    """While it lasts nobody is forgotten in a journal, so that what is read there may be said again.

    Raises NoJournal, NotAlone.
    """
    with alone(data):
        if is_asked(data):  # by a call that was cut short
            raise NotAlone(
                f"a resident is still to be forgotten in {data}; start its collector, or call `haina forget` again"
            )
        yield


def obey(data: Path) -> None:
    """Forget as asked, while the journal is nobody's, and answer. Raises JournalUnusable."""
    for asked in sorted((data / ASKS).glob("*.ask")):
        # It is not a question, or the disk is too full for an answer: that it is gone without one is an answer too.
        with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
            said = json.loads(asked.read_text())
            resident = Resident(str(said["site"]), said["area"])
            try:
                answer: dict[str, Any] = forget_in_journal(resident, data)
            except CommitFailed as error:
                answer = {"error": f"the journal could not be written: {error}"}
            _put(asked.with_suffix(".done"), answer)
        asked.unlink(missing_ok=True)


def _put(path: Path, said: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(said))
    fresh.replace(path)


# The broker


class _Retained:
    """Short sessions that read, and clear, the retained messages of a site. A `haina.mqtt.Receiver`."""

    def __init__(self, resident: Resident) -> None:
        self._filter = resident.retained_filter
        self._heard: dict[bytes, bytes] = {}
        self._changed = asyncio.Event()

    async def read(self, entries: Sequence[BrokerAddress]) -> list[tuple[bytes, bytes]]:
        """Topics and payloads of what is retained, as far as any of these accounts hears it."""
        self._heard.clear()
        for address in entries:
            connection = await self._open(address)
            await connection.subscribe([self._filter], qos=0)
            with contextlib.suppress(TimeoutError):
                while True:
                    self._changed.clear()
                    async with asyncio.timeout(QUIET_S):
                        await self._changed.wait()
            await connection.close()
        return sorted(self._heard.items())

    async def clear(self, entries: Sequence[BrokerAddress]) -> tuple[int, int]:
        """Clear all that is retained; how many there were, and how many the broker still keeps."""
        found = [topic for topic, _ in await self.read(entries)]
        if not found:
            return 0, 0
        for address in entries:
            connection = await self._open(address)
            allowed = [topic for topic in found if may_say(address.username, topic.decode())]
            try:
                connection.publish([(topic, b"") for topic in allowed], qos=0, retain=True)
                await connection.drain()
            finally:
                await connection.close()
        left = await self.read(entries)
        return len(found) - len(left), len(left)

    async def _open(self, address: BrokerAddress) -> Connection:
        return await Connection.open(address, ConnectOptions(f"haina-forget-{os.getpid()}"), self)

    def connected(self, session_present: bool) -> None: ...

    def received(self, batch: Iterable[Publish]) -> None:
        for message in batch:
            if message.retain and message.payload:
                self._heard[bytes(message.topic)] = bytes(message.payload)
                self._changed.set()

    def acknowledged(self, packet_ids: list[int]) -> None: ...

    def disconnected(self, reason: str) -> None: ...


def looked_at(places: Places) -> list[str]:
    """The places in words, for whoever confirms."""
    said = [] if places.data is None else [f"the journal and dead letters in {places.data}"]
    said += [f"the store {url}" for url in places.stores]
    said += [f"the ledgers of the run in {run}" for run in places.runs]
    return said + [f"retained messages at {address}" for address in places.broker[:1]]
