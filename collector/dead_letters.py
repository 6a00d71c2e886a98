"""Dead letters: what was rejected or refused, read back from the journal, and said again if there is reason to hope.

The journal keeps them with topic, payload, reason and time, the newest of them up to a limit. They are read here
through a connection of their own that cannot write, in one short read, so the collector may be running and does not
notice. A letter is *rejected* when the collector found that it breaks the contract (`by` is ``collector``), *refused*
when a store would not take it (`by` is the store's name).

Saying a rejected reading again makes sense when the contract has changed meanwhile: a field or a measurement was
added. `judge` tells beforehand what would be in vain. The letter itself stays in the journal; saying it twice does no
harm, because the collector knows a reading by its device, boot and seq. A refused point goes to its store alone, and
its letter leaves (`collector.refused`).

A letter is read before it is said again, and whoever is forgotten in between would come back. So one call at a time
replays or forgets (`alone`).
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from collector.accounting import Accounting
from collector.ingest import DEAD_LETTER_BYTES, Ingest, TimeLimits
from haina.contract import Point, TopicClass
from haina.contract.topic import PREFIX
from haina.mqtt import BrokerAddress, Connection, ConnectionClosed, ConnectOptions, NoReply, Publish, Publishes

_READINGS: Final = f"{PREFIX}/{TopicClass.TELEMETRY}/"
_ANY_TIME: Final = TimeLimits(1e9, 1e9)  # whether a time is believed is for the running collector to say

REPLAY_BATCH: Final = 100
REPLAY_TIMEOUT_S: Final = 30.0
"""How long the broker may take for a batch."""


_IF_NOT_ALLOWED: Final = "if it has access rules, give the gateways' accounts with --credentials"


class NoJournal(Exception):
    """There is no journal to read, or it cannot be read; one sentence."""


class NotAlone(Exception):
    """Somebody else replays or forgets in this journal; one sentence."""


class ReplayFailed(Exception):
    """The broker did not take everything; one sentence with how much it took."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and `number`, by which it is called; later letters have higher ones."""

    number: int
    time_ms: int  # when it was rejected or refused, wall clock
    by: str
    topic: str
    payload: bytes
    reason: str

    @property
    def is_refused(self) -> bool:
        """Whether a store would not take it, and not the collector."""
        return self.by != "collector"

    @property
    def is_cut(self) -> bool:
        """Whether the payload may have been longer than what is kept."""
        return len(self.payload) >= DEAD_LETTER_BYTES

    def as_json(self) -> dict[str, Any]:
        """Plain values; `payload_hex` only where the payload is not UTF-8."""
        found = {
            "number": self.number,
            "time": self.time_ms,
            "by": self.by,
            "topic": self.topic,
            "payload": self.payload.decode(errors="replace"),
            "cut": self.is_cut,
            "reason": self.reason,
        }
        try:
            self.payload.decode()
        except UnicodeDecodeError:
            found["payload_hex"] = self.payload.hex()
        return found


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """The journal in a collector's data folder, through a connection that cannot write. Raises `NoJournal`, at once."""
    path = folder / "journal.db"
    if not path.is_file():
        raise NoJournal(f"there is no journal in {folder}; give --data the folder of a collector")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as journal:
            journal.execute("SELECT 1 FROM dead_letters LIMIT 1").fetchone()
            yield journal
    except sqlite3.Error as error:
        raise NoJournal(f"{path} cannot be read as a collector's journal: {error}") from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let nobody else replay letters of this journal, or forget somebody in it. The collector may be running.

    The lock is on the folder itself, so there is nothing to clear away, and a crash lets go of it by itself. Raises
    `NoJournal`, `NotAlone`.
    """
    with reading(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotAlone(
                f"somebody else replays the dead letters in {folder}, or forgets a resident there; try again after that"
            ) from None
        yield
    finally:
        os.close(descriptor)


def read_letters(folder: Path, *, reason: str = "", topic: str = "") -> list[Letter]:
    """The dead letters in a collector's data folder, newest first, at most 16 MiB by the journal's own limit.

    `reason` is a part of the reason, in any case; `topic` an MQTT topic filter. Raises `NoJournal`.
    """
    with reading(folder) as journal:
        rows = journal.execute(
            "SELECT id, time_ms, by, topic, payload, reason FROM dead_letters ORDER BY id DESC"
        ).fetchall()
    letters = (Letter(*row) for row in rows)
    return [
        letter
        for letter in letters
        if reason.casefold() in letter.reason.casefold() and (not topic or topic_matches(topic, letter.topic))
    ]


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter, with ``+`` for one level and ``#`` for the rest, covers a topic."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))


def judge(letter: Letter) -> Point | str:
    """The point that the collector would make of a letter today, or why it would be in vain to say it again."""
    if letter.is_cut:
        return f"only its first {DEAD_LETTER_BYTES:,} bytes were kept"
    if not letter.topic.startswith(_READINGS):
        return f"only readings are said again, on {_READINGS}…"
    if any(letter_ in letter.topic for letter_ in ("+", "#", "\0", "�")):
        return "nobody can publish on its topic"
    collector = Ingest(Accounting(max_devices=1), _ANY_TIME)
    collector.receive(Publishes(0, False, False, [letter.topic.encode()], [letter.payload], [0]))
    found = collector.take()
    if found.dead_letters:
        return f"it would be rejected again: {found.dead_letters[0].reason}"
    return found.groups[0].points[0]


async def replay(letters: Sequence[Letter], broker: BrokerAddress, accounts: Mapping[str, str] | None = None) -> int:
    """Publish letters at QoS 1, oldest first, and wait until the broker has them; answer how many.

    With `accounts` each is said by the gateway it came from, site by site: nobody else may, where a broker has access
    rules. Raises `haina.mqtt.MQTTError` when the broker cannot be reached, `ReplayFailed` when it stops taking them
    or a site has no account.
    """
    if accounts is None:
        return await _say_again(letters, broker)
    by_site: dict[str, list[Letter]] = {}
    for letter in letters:
        by_site.setdefault("/".join(letter.topic.split("/")[3:5]), []).append(letter)
    if lacking := sorted(by_site.keys() - accounts.keys()):
        raise ReplayFailed(f"no account for {lacking[0]}, so nothing was said again; `haina credentials` makes it")
    entries = {site: replace(broker, username=site, password=accounts[site]) for site in by_site}
    return sum([await _say_again(said, entries[site]) for site, said in by_site.items()])


async def _say_again(letters: Sequence[Letter], broker: BrokerAddress) -> int:
    answers = _Answers()
    options = ConnectOptions(f"haina-deadletter-{os.getpid()}", max_in_flight=REPLAY_BATCH)
    connection = await Connection.open(broker, options, answers)
    oldest_first = sorted(letters, key=lambda letter: letter.number)
    try:
        for start in range(0, len(oldest_first), REPLAY_BATCH):
            batch = oldest_first[start : start + REPLAY_BATCH]
            answers.awaited = len(batch)
            answers.all_here.clear()
            connection.publish([(letter.topic.encode(), letter.payload) for letter in batch])
            try:
                async with asyncio.timeout(REPLAY_TIMEOUT_S):
                    await answers.all_here.wait()
            except TimeoutError:
                raise ReplayFailed(
                    f"{broker} did not acknowledge within {REPLAY_TIMEOUT_S:g} s; it took {start} of {len(letters)}"
                ) from None
            if answers.awaited:
                raise ReplayFailed(
                    f"{broker}: {answers.reason}; it took at least {start} of {len(letters)}; {_IF_NOT_ALLOWED}"
                )
        await _check_allowed(connection)
    finally:
        await connection.close()
    return len(letters)


async def _check_allowed(connection: Connection) -> None:
    """Mosquitto acknowledges even what one may not say, drops it and ends the connection: see that it has not."""
    try:
        await connection.subscribe([f"{PREFIX}/nothing"])
    except (ConnectionClosed, NoReply):
        raise ReplayFailed(
            f"{connection.address} closed the connection over what was said; {_IF_NOT_ALLOWED}"
        ) from None


class _Answers:
    """The broker's acknowledgements. A `haina.mqtt.Receiver`."""

    def __init__(self) -> None:
        self.awaited = 0
        self.reason = ""
        self.all_here = asyncio.Event()

    def connected(self, session_present: bool) -> None: ...

    def received(self, batch: Iterable[Publish]) -> None: ...

    def acknowledged(self, packet_ids: list[int]) -> None:
        self.awaited -= len(packet_ids)
        if self.awaited <= 0:
            self.all_here.set()

    def disconnected(self, reason: str) -> None:
        self.reason = reason
        self.all_here.set()
