"""From MQTT messages to what the journal commits: check, count, number.

A message is *rejected* when it breaks the contract, a *duplicate* when its device had said it before, and otherwise
becomes a point, numbered in order of arrival. All three are pending until a commit made them durable, and only then
may their packet ids be acknowledged, in order of arrival: `Ingest.take` hands over everything pending as one
`Transaction`, together with the counters as they stand after it.

A device beyond the limit is *turned away*: each of its readings is rejected, as long as this process lives. Its
gateway is told so by a watermark when they are dead letters, or it would wait for them for ever, and with it the town.

The loop in `receive` is the product's hottest: one dictionary look-up by topic, one decode that validates, and for
a device that counts on as expected no call at all.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from collector.accounting import Accounting, Device, DeviceKey, Notes, TooManyDevices
from haina.contract import (
    CLOCK_TOPIC,
    MEASUREMENTS,
    BadTopic,
    Clock,
    Measurement,
    Phase,
    Point,
    Status,
    Topic,
    TopicClass,
    Watermark,
    decode,
)
from haina.contract.message import MAX_MESSAGE_BYTES, MAX_PAYLOAD_BYTES, MAX_SITE_DEVICES
from haina.contract.topic import GATEWAY, check_level
from haina.mqtt.codec import Publishes

GROUP_POINTS: Final = 5_000
"""A group with this many points is closed: it is one row of the journal, and what a shipper reads back at once."""

MAX_DEAD_LETTERS_PENDING: Final = 10_000
"""Dead letters that wait for a commit; a flood of rejected messages keeps the last of them."""

DEAD_LETTER_BYTES: Final = 1_024
"""How much of a rejected payload is kept."""

KEEPS_S: Final = 86_400.0
"""A gateway that was not connected for so long is believed no more to come back with what it keeps. Assumed: whoever
has not noticed it in a day will not mend it."""

CLOCK_TOLD_S: Final = 600.0
"""A run tells its clock every two seconds. One that has not for so long is cut off, or over. Assumed."""

_CLOCK: Final = CLOCK_TOPIC.encode()
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)  # UnicodeDecodeError is a ValueError


class DeadLetter(NamedTuple):
    """A message or point that goes nowhere: when (wall clock), by whom and why, and the beginning of what it said."""

    time_ms: int
    by: str  # "collector", or the name of the store that refused it
    topic: str
    payload: bytes
    reason: str


FORGOTTEN: Final = Point("", "", "", "", 0, 0, 0, ())
"""What stands in the journal where a point of a forgotten site stood, so that the others keep their numbers."""


class Group(NamedTuple):
    """A run of points; `first` is the number of the first of them."""

    first: int
    points: list[Point]

    @property
    def last(self) -> int:
        return self.first + len(self.points) - 1


@dataclass(slots=True)
class Batch:
    """A group and the notes that belong after it."""

    group: Group
    notes: Notes


@dataclass(frozen=True, slots=True)
class Settled:
    """How far a store has got: everything through `cursor` is stored, refused or forgotten."""

    store: str
    cursor: int
    refused: int
    since: int  # the cursor it began with: earlier points were never meant for it
    forgotten: int = 0  # passed over, because their site was forgotten before the store had them
    name: str = ""  # what its dead letters call it


class GatewayState(NamedTuple):
    """What a gateway's status told: whether it is connected, and the boot of which it keeps what is not durable yet."""

    online: bool
    keeps: int | None = None


@dataclass(slots=True)
class Transaction:
    """All that becomes durable together."""

    number: int
    messages: int
    batches: list[Batch]
    dead_letters: list[DeadLetter]
    counters: dict[str, int]
    packet_ids: list[int]
    epoch: int
    since_s: float = 0.0
    """When the first of its messages came, on the monotonic clock."""
    settled: list[Settled] = field(default_factory=list)
    clock: Clock | None = None
    """The run's clock, if it was told."""
    turned_away: dict[tuple[str, str, int], dict[str, int]] = field(default_factory=dict)
    """By area, site and boot: the highest number of each device among what was turned away, at the limit of devices."""
    gateways: dict[tuple[str, str], GatewayState | None] = field(default_factory=dict)
    """Those whose status was told; None for one that is gone for good."""
    snapshot: list[tuple[DeviceKey, list[Any]]] | None = None
    trim_through: int = 0
    areas: list[str] | None = None
    """Which areas the collector serves, if that changed."""

    @property
    def groups(self) -> list[Group]:
        return [batch.group for batch in self.batches if batch.group.points]


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Which event times are believed, by the run's clock: `past_s` before it, `future_s` of the run's pace after it.

    The clock's time is what is durable; the town is ahead of it, by as much as there is to say again after an outage.
    So the future begins where the town has come to (`Clock.reached`), or in history where that ends, and an hour is one
    on the wall: at 60× the town may live 60 in it.

    Only without a run it is the machine's clock that counts. While nobody tells the clock (it is retained, remembered,
    or of a run that is over) a reading is rejected only if it is out of both clocks' limits.
    """

    future_s: float = 3_600
    past_s: float = 400 * 86_400


class Rejected(Exception):
    """A message that breaks the contract: `kind` for the counters, and one sentence."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


_Entry = tuple[Callable[[bytes], Any], str, str, str, str, Device, bool]
"""What is known about a topic: decoder, measurement, area, site, device name, device, all fields optional."""


class Ingest:
    """Messages in, transactions out; no I/O and no waiting."""

    def __init__(
        self,
        accounting: Accounting,
        limits: TimeLimits = TimeLimits(),
        *,
        counters: dict[str, int] | None = None,
        gateways: dict[tuple[str, str], GatewayState] | None = None,
        clock: Clock | None = None,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.accounting = accounting
        self.clock = clock
        self._clock_told: Clock | None = None
        self._clock_heard_s = float("-inf")
        self.gateways: dict[tuple[str, str], GatewayState] = gateways or {}
        self.turns_away: str | None = None
        """Which limit of devices was reached, as a sentence; devices beyond it are turned away until a restart."""
        self.counters: Counter[str] = Counter(counters or {})
        """What has been received in all; a restart goes on with what the journal had."""
        self.counters.setdefault("journaled", 0)
        self._limits = limits
        self._wall_s = wall_s
        self._entries: dict[bytes, _Entry] = {}
        self._max_topics = 2 * accounting.max_devices
        self._let_go: dict[tuple[str, str], Watermark] = {}
        """What gateways say that they cannot say again: were it not here, another collector would have it."""
        self._gone_s: dict[tuple[str, str], float] = {}  # since when gateways were seen not to be connected
        self._number = 0
        self._since_s = 0.0
        self.epoch = 0
        self._packet_ids: list[int] = []
        self._duplicates = 0
        self._begin()
        self._begin_batch()
        self._set_times()

    # The line

    def receive(self, run: Publishes) -> None:
        """Take a run of messages."""
        if not self.pending_messages:
            self._since_s = time.monotonic()
        if run.qos:  # QoS 0 wants no acknowledgement
            self._packet_ids += run.packet_ids
        topics, payloads = run.topics, run.payloads
        self.pending_messages += len(topics)
        lengths = [*map(len, payloads)]
        self.pending_bytes += sum(lengths)
        too_large = max(lengths) > MAX_PAYLOAD_BYTES  # one of them at least
        known, touched = self._entries.get, self.accounting.touched
        append, astuple = self._points.append, msgspec.structs.astuple
        earliest_ms, latest_ms = self._earliest_ms, self._latest_ms
        for topic, payload in zip(topics, payloads, strict=True):
            entry = known(topic)
            try:
                if entry is None:
                    entry = self._meet(topic, payload, run.retain)
                    if entry is None:
                        earliest_ms, latest_ms = self._earliest_ms, self._latest_ms
                        continue
                decoder, name, area, site, device_name, device, may_be_empty = entry
                reading = decoder(payload)
                time_ms, boot, seq, values = reading.time, reading.boot, reading.seq, astuple(reading.values)
                if not earliest_ms <= time_ms <= latest_ms or may_be_empty or too_large:
                    self._check(payload, time_ms, values)
            except Rejected as rejected:
                self._reject(topic, payload, rejected.kind, str(rejected))
                continue
            except _UNDECODABLE as error:
                limit_bytes = MAX_MESSAGE_BYTES if entry is None else MAX_PAYLOAD_BYTES
                if len(payload) > limit_bytes:
                    self._reject(topic, payload, "oversize", _oversize(payload, limit_bytes))
                else:
                    self._reject(topic, payload, "payload", _one_line(error))
                continue
            sequence = device.current
            if boot == sequence.boot and seq == sequence.contiguous + 1 and not sequence.above:
                sequence.contiguous = seq
                last_ms = device.last_ms
                if time_ms > last_ms:
                    if time_ms - last_ms > device.habit_ms:
                        device.learn(time_ms - last_ms)
                    device.last_ms = time_ms
            elif not device.take(boot, seq, time_ms):
                self._duplicates += 1
                self.accounting.duplicate(device, self._notes)
                continue
            if not device.touched:
                device.touched = True
                touched.append(device)
            append(Point(name, area, site, device_name, time_ms, boot, seq, values))
        if len(self._points) >= GROUP_POINTS:
            self._seal()

    def _meet(self, topic: bytes, payload: bytes, retained: bool) -> _Entry | None:
        """What a topic means that is not in the cache; None if it was a message that is not a reading.

        Raises `Rejected`. A device is made known by its first valid reading only.
        """
        if topic == _CLOCK:
            self._take_clock(payload, retained)
            return None
        try:
            parsed = Topic.parse(topic.decode())
        except BadTopic as error:
            raise Rejected("topic", str(error)) from None
        except UnicodeDecodeError:
            raise Rejected("topic", "the topic is not UTF-8") from None
        if parsed.topic_class is TopicClass.STATUS:
            if (parsed.device, parsed.name) != (GATEWAY, "connection"):
                raise Rejected("topic", f"a status is said as {GATEWAY}/connection, not {parsed.device}/{parsed.name}")
            self._take_status(parsed, payload)
            return None
        if parsed.topic_class is not TopicClass.TELEMETRY:
            raise Rejected("topic", f"a {parsed.topic_class} is not for the collector")
        declared = MEASUREMENTS.get(parsed.name)
        if declared is None:
            raise Rejected("topic", f"{parsed.name!r} is not a measurement")
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Rejected("oversize", _oversize(payload))
        reading = declared.decoder.decode(payload)
        self._check(payload, reading.time, msgspec.structs.astuple(reading.values))
        try:
            device = self.accounting.device((parsed.area, parsed.site, parsed.device))
        except TooManyDevices as error:
            durable = self._turned_away.setdefault((parsed.area, parsed.site, reading.boot), {})
            if parsed.device in durable or len(durable) < MAX_SITE_DEVICES:  # as many as a watermark may name
                durable[parsed.device] = max(reading.seq, durable.get(parsed.device, 0))
            raise Rejected("devices", str(error)) from None
        if len(self._entries) >= self._max_topics:
            self._entries.clear()  # it is only a cache
        entry = self._entries[topic] = _entry(declared, device)
        return entry

    def _check(self, payload: bytes, time_ms: int, values: tuple[Any, ...]) -> None:
        """What a decoder cannot check. Raises `Rejected`."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Rejected("oversize", _oversize(payload))
        if time_ms > self._latest_ms:
            raise Rejected("future", f"event time {time_ms} is over {self._limits.future_s:g} s in the future")
        if time_ms < self._earliest_ms:
            raise Rejected("old", f"event time {time_ms} is over {self._limits.past_s / 86_400:g} days old")
        if values.count(None) == len(values):
            raise Rejected("empty", "a reading without any value")

    def _reject(self, topic: bytes, payload: bytes, kind: str, reason: str) -> None:
        self._rejected[kind] += 1
        if kind == "devices":
            self.turns_away = reason
        elif (device := self._sender(topic)) is not None:
            device.rejected = True
        letters = self._dead_letters
        if len(letters) == letters.maxlen:
            self._dead_letters_dropped += 1
        letters.append(
            DeadLetter(
                int(self._wall_s() * 1000),
                "collector",
                topic[:512].decode(errors="replace"),
                payload[:DEAD_LETTER_BYTES],
                reason,
            )
        )

    def _sender(self, topic: bytes) -> Device | None:
        """The known device whose topic this is."""
        try:
            said = Topic.parse(topic.decode())
        except (BadTopic, UnicodeDecodeError):
            return None
        return self.accounting.devices.get((said.area, said.site, said.device))

    # What is not a reading

    def _take_clock(self, payload: bytes, retained: bool) -> None:
        self.clock = decode(Clock, payload)
        self._clock_told = self.clock
        if not retained:  # what the broker kept may be of a run that is over
            self._clock_heard_s = time.monotonic()
        self._heard += 1
        self._set_times()

    def _take_status(self, topic: Topic, payload: bytes) -> None:
        site = (topic.area, topic.site)
        if not payload:  # a retained message that was cleared: the gateway is gone for good
            self.gateways.pop(site, None)
            self._gateways_told[site] = None
        elif site in self.gateways or len(self.gateways) < self.accounting.max_devices:
            status = decode(Status, payload)
            state = GatewayState(status.online, status.boot if status.keeps else None)
            self.gateways[site] = self._gateways_told[site] = state
            if status.durable:
                self._let_go[site] = Watermark(status.boot, status.durable)
        else:
            raise Rejected("devices", f"too many gateways: {len(self.gateways):,} are known already (--max-devices)")
        self._heard += 1

    def _set_times(self) -> None:
        limits, clock = self._limits, self.clock
        past_ms, future_ms = int(limits.past_s * 1000), int(limits.future_s * 1000)
        now_ms = int(self._wall_s() * 1000)
        earliest_ms, latest_ms = now_ms - past_ms, now_ms + future_ms
        if clock is not None:
            history_ends_ms = (clock.live_from or now_ms) if clock.phase is Phase.HISTORY else 0
            reached_ms = max(clock.time, clock.reached or 0, history_ends_ms)
            run_earliest_ms = clock.time - past_ms
            run_latest_ms = reached_ms + int(future_ms * max(1.0, clock.speed, clock.achieved))
            if time.monotonic() - self._clock_heard_s < CLOCK_TOLD_S:
                earliest_ms, latest_ms = run_earliest_ms, run_latest_ms
            else:
                earliest_ms, latest_ms = min(earliest_ms, run_earliest_ms), max(latest_ms, run_latest_ms)
        self._earliest_ms, self._latest_ms = earliest_ms, latest_ms

    def tick(self) -> None:
        """Let the wall clock move on; to be called about every second."""
        self._set_times()

    def take_over(self, site: tuple[str, str], watermark: Watermark) -> int:
        """Begin a site where another collector's watermark ends; answer how many of its devices are over the limit."""
        refused = 0
        for name, through in watermark.durable.items():
            try:
                self.accounting.take_over((*site, check_level(name)), watermark.boot, through, self._notes)
            except (TooManyDevices, BadTopic):
                refused += 1
        self._seal()
        return refused

    def give_up_stale(
        self, now_s: float, after_s: float, may: Callable[[str], bool] = lambda area: True
    ) -> tuple[int, list[DeviceKey]]:
        """Give up old holes (`Accounting.give_up_stale`): how many readings, and whose.

        The note stands after the readings taken so far.
        """
        given_up = self.accounting.give_up_stale(now_s, after_s, self._notes, may, self._kept(now_s))
        devices = list(dict.fromkeys(key for key, _, _ in self._notes.given_up))
        if given_up:
            self._seal()
        return given_up, devices

    def _kept(self, now_s: float) -> dict[tuple[str, str], int]:
        """The boots of which gateways keep what is not durable, by site; of those that are not gone for too long."""
        gone_s = self._gone_s
        self._gone_s = {site: gone_s.get(site, now_s) for site, state in self.gateways.items() if not state.online}
        return {
            site: state.keeps
            for site, state in self.gateways.items()
            if state.keeps is not None and now_s - self._gone_s.get(site, now_s) < KEEPS_S
        }

    # Commits

    def new_connection(self, epoch: int) -> None:
        """Forget which packets wait for an acknowledgement: they belong to a connection that is no more."""
        self.epoch = epoch
        self._packet_ids.clear()

    @property
    def pending(self) -> bool:
        return self.pending_messages > 0 or bool(self._notes) or bool(self._batches)

    @property
    def open_transaction(self) -> int:
        """The number of the transaction after which everything received so far is durable."""
        return self._number + 1 if self.pending else self._number

    def take(self) -> Transaction:
        """Everything pending, to be committed; what arrives from now on is the next transaction's."""
        for site, watermark in self._let_go.items():
            self.take_over(site, watermark)
        self._let_go.clear()
        self._seal()
        counters = self.counters
        counters["received"] += self.pending_messages - self._heard
        counters["journaled"] += sum(len(batch.group.points) for batch in self._batches)
        counters["duplicates"] += self._duplicates
        counters["rejected"] += self._rejected.total()
        for kind, number in self._rejected.items():
            counters[f"rejected_{kind}"] += number
        counters["dead_letters_dropped"] += self._dead_letters_dropped
        self._number += 1
        transaction = Transaction(
            self._number,
            self.pending_messages - self._heard,
            self._batches,
            list(self._dead_letters),
            dict(counters),
            self._packet_ids,
            self.epoch,
            self._since_s,
            clock=self._clock_told,
            turned_away=self._turned_away,
            gateways=self._gateways_told,
        )
        self._begin()
        return transaction

    def _begin(self) -> None:
        self.pending_messages = 0
        self.pending_bytes = 0
        self._heard = 0  # messages among them that are no readings
        self._clock_told = None
        self._turned_away: dict[tuple[str, str, int], dict[str, int]] = {}
        self._gateways_told: dict[tuple[str, str], GatewayState | None] = {}
        self._packet_ids = []
        self._batches: list[Batch] = []
        self._duplicates = 0
        self._rejected: Counter[str] = Counter()
        self._dead_letters: deque[DeadLetter] = deque(maxlen=MAX_DEAD_LETTERS_PENDING)
        self._dead_letters_dropped = 0

    def _begin_batch(self) -> None:
        self._points: list[Point] = []
        self._notes = Notes()

    def _seal(self) -> None:
        if self._points or self._notes:
            first = self.counters["journaled"] + 1 + sum(len(batch.group.points) for batch in self._batches)
            self._batches.append(Batch(Group(first, self._points), self._notes))
            self._begin_batch()

    @property
    def unacknowledged(self) -> int:
        """Messages that no transaction has taken and that want an acknowledgement."""
        return len(self._packet_ids)

    @property
    def pending_readings(self) -> int:
        """Readings received that no transaction has taken."""
        return self.pending_messages - self._heard


def _entry(declared: Measurement, device: Device) -> _Entry:
    area, site, name = device.key
    may_be_empty = not any(declared_field.required for declared_field in declared.fields)
    return (declared.decoder.decode, declared.name, area, site, name, device, may_be_empty)


def _oversize(payload: bytes, limit_bytes: int = MAX_PAYLOAD_BYTES) -> str:
    return f"a payload of {len(payload):,} bytes, where {limit_bytes:,} is the limit"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
