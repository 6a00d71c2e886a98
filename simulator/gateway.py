"""A gateway: one site's MQTT session, which keeps what it said until the collector has it on disk.

Readings go out at QoS 1, but the broker's PUBACK is not the end: a broker may forget. The gateway holds every
reading until the collector's retained *watermark* for the site covers it, and says again what is not covered

- after every reconnect, because the broker at the other end may have lost everything,
- when the collector asks for it, because the broker had lost its session,
- when a watermark comes and leaves it uncovered for a while (a gap), and
- after a long silence, ever more rarely, because a collector that is down will come back.

In the first two cases that is all at once. But what a watermark left uncovered may be lost, or still under way on a
slow line; from here both look the same, and on a slow line saying everything again is a load that makes it slower
still, until it never comes to rest. So the first few are said again, and twice as many as last time if that helped.

What one watermark has covered no other takes back. The gateway lets go of it, and says so in its status
(`Status.durable`): the broker may forget the watermark, and a collector that takes the area over would wait for
readings that nobody can say. Whenever it says a few again it says this too, for it may be what the collector lacks, and
so may the promise to keep the rest (`Status.keeps`).

The collector drops what it already has, so saying it again is safe. All gateways of a run share one `Window`:
when it is full the town's clock waits, so nothing is ever dropped here. That is the closed loop, and it is also
what keeps an embedded broker's bounded log from overflowing during a backfill.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import NamedTuple

import msgspec
import structlog

from haina.contract import Clock, Command, Reply, Status, Topic, TopicClass, Watermark, decode, encode
from haina.contract.topic import CLOCK_TOPIC, PREFIX, BadTopic
from haina.mqtt.codec import Publish, Will
from haina.mqtt.connection import BrokerAddress, Connection, ConnectOptions, stay_connected
from simulator.town import Emission, Site

log = structlog.get_logger()

MAX_IN_FLIGHT = 100  # of one gateway towards the broker; more does not help, the collector's own 100 bound the line
KEEP_ALIVE_S = 30
GAP_RESEND_S = 2.0  # a reading that a watermark left uncovered may still be under way; after this long it is a gap
GAP_RESEND_CAP_S = 10.0  # and doubling, up to this
LEAST_SAID_AGAIN = 4  # readings, of a gap or after a silence; assumed: little enough for any line
SILENCE_RESEND_S = 30.0  # and doubling, up to:
SILENCE_RESEND_CAP_S = 600.0
STUCK_S = 60.0  # nothing of a site has become durable for so long; twice what the first resending takes. Assumed
GOODBYE_S = 1.0  # how long a goodbye waits for room on the wire
REMEMBERED_COMMANDS = 1_000


class Slice:
    """A stretch of simulated time whose readings travel together. `pending` counts those not durable yet.

    `offline` are the sites whose gateways held readings of this slice, or of earlier ones, at its end.
    """

    __slots__ = ("end_ms", "offline", "pending")

    def __init__(self, end_ms: int) -> None:
        self.end_ms = end_ms
        self.pending = 0
        self.offline: tuple[str, ...] = ()


class Window:
    """How many readings of the whole run may be said and not yet durable. The town waits while it is full."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.outstanding = 0
        self.durable = 0
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()

    def take(self, count: int) -> None:
        self.outstanding += count
        if count:
            self._empty.clear()
        if self.outstanding >= self.limit:
            self._room.clear()

    def release(self, count: int) -> None:
        self.outstanding -= count
        self.durable += count
        if self.outstanding < self.limit:
            self._room.set()
        if not self.outstanding:
            self._empty.set()

    async def room(self) -> None:
        """Wait until something more may be said."""
        await self._room.wait()

    async def settled(self) -> None:
        """Wait until everything said is durable."""
        await self._empty.wait()

    @property
    def full(self) -> bool:
        return not self._room.is_set()


class _Held(NamedTuple):
    """A reading that is not durable yet."""

    device: str
    seq: int
    message: tuple[bytes, bytes]
    slice: Slice


Obey = Callable[[Topic, Command], Reply]


class Gateway:
    """One site's session. Implements the wire's `Receiver`."""

    def __init__(self, site: Site, window: Window, obey: Obey) -> None:
        self.site = site
        self.published = 0  # readings handed to the broker for the first time
        self.resent = 0
        self._window = window
        self._obey = obey
        self._boot = site.town.boot
        self._connection: Connection | None = None
        self._introduced = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._unsent: deque[_Held] = deque()
        self._sent: deque[_Held] = deque()
        self._sent_before = 0  # how many of the first in `_unsent` are being said again
        self._again: deque[_Held] = deque()  # of `_sent`, to be said again while they keep their places
        self._again_count = LEAST_SAID_AGAIN
        self._again_first: _Held | None = None  # the first of those said again last
        self._again_through = 0  # so many have been let go of when a watermark covers them all
        self._let_go = 0
        self._looks = 0  # so often it looks yet whether more is missing, also after a watermark that freed something
        self._last_said_s = 0.0
        self._progress_s = 0.0  # when it last had nothing to wait for, or something became durable
        self._gap_s = GAP_RESEND_S
        self._suspected: _Held | None = None  # the first reading said, that a watermark left uncovered
        self._silence_s = SILENCE_RESEND_S
        self._durable: dict[str, int] = {}  # as watermarks have told
        self._obeyed: dict[str, None] = {}
        self._status_due = False
        self._leaves = False
        self._watermark_topic = str(Topic(TopicClass.WATERMARK, site.area, site.id, "gateway", "durable")).encode()
        self._status_topic = str(Topic(TopicClass.STATUS, site.area, site.id, "gateway", "connection")).encode()

    @property
    def is_connected(self) -> bool:
        """Whether it may speak. A connection that was just reset is closed before `disconnected` tells so."""
        return self._introduced.is_set() and self._connection is not None and self._connection.is_open

    # What the run asks of it

    def outstanding(self) -> Counter[str]:
        """How many readings of each device are not known to be durable."""
        return Counter(reading.device for held in (self._sent, self._unsent) for reading in held)

    async def introduced(self) -> None:
        """Wait until it may speak."""
        await self._introduced.wait()

    def say(self, emission: Emission, slice_: Slice) -> None:
        """Take a reading into custody; `pump` sends it."""
        device = emission.device
        if not (self._unsent or self._sent):
            self._progress_s = time.monotonic()
        message = (device.topic(emission.measurement), emission.payload)
        self._unsent.append(_Held(device.id, emission.seq, message, slice_))

    def pump(self) -> None:
        """Send what there is room for."""
        self._say_status()
        connection = self._connection
        if connection is None or self._leaves or not self.is_connected or not connection.writable:
            return
        again = self._next_again(connection.room)
        count = min(connection.room - len(again), len(self._unsent))
        if len(again) + count <= 0:
            return
        connection.publish([reading.message for reading in chain(again, islice(self._unsent, count))])
        self._sent.extend(self._unsent.popleft() for _ in range(count))
        before = min(count, self._sent_before)
        self._sent_before -= before
        self.resent += before + len(again)
        self.published += count - before
        self._last_said_s = time.monotonic()

    def _next_again(self, room: int) -> list[_Held]:
        """What is to be said again and still uncovered, as much as there is room for."""
        again: list[_Held] = []
        while self._again and len(again) < room:
            reading = self._again.popleft()
            if not self._is_durable(reading):
                again.append(reading)
        return again

    def turn(self) -> None:
        """Tell whether the site is online, now that this has changed; when there is no room, as soon as there is.

        The session itself stays: that the site is offline is the town's truth, not the wire's.
        """
        self._status_due = True
        self._say_status()

    def _say_status(self) -> None:
        connection = self._connection
        if connection is not None and self._status_due and not self._leaves and self.is_connected and connection.room:
            self._status_due = False
            connection.publish([(self._status_topic, encode(self._status()))], retain=True)

    def _status(self) -> Status:
        return Status(self.site.held is None, self._boot, self.site.town.now_ms, self._durable, keeps=True)

    def publish_clock(self, clock: Clock) -> None:
        """Tell the town's time; dropped when not connected, because the next one replaces it."""
        if self._connection is not None and self.is_connected and self._connection.room:
            self._connection.publish([(CLOCK_TOPIC.encode(), encode(clock))], retain=True)

    def check_silence(self, now_s: float) -> None:
        """Say the first again when nothing became durable for long; called about once a second.

        The watermark that answers it shows what else has to be said.
        """
        since_s = max(self._last_said_s, self._progress_s)
        if self._sent and self._connection is not None and now_s - since_s > self._silence_s:
            self._silence_s = min(self._silence_s * 2, SILENCE_RESEND_CAP_S)
            self._say_again(looks=1)

    def stuck_on(self, now_s: float) -> str | None:
        """The device all others wait behind, if it is connected and nothing has become durable for `STUCK_S`."""
        stuck = self._sent and self._connection is not None and now_s - self._progress_s > STUCK_S
        return self._sent[0].device if stuck else None

    async def stay(self, address: BrokerAddress, *, speaks: bool) -> None:
        """Keep the session until cancelled. One gateway of a run `speaks` in the log for all."""
        vanished = encode(Status(online=False, boot=self._boot, keeps=True))
        offline = Will(self._status_topic, vanished, qos=1, retain=True)
        options = ConnectOptions(
            client_id=f"haina-gw-{self.site.area}-{self.site.id}",
            keep_alive_s=KEEP_ALIVE_S,
            will=offline,
            max_in_flight=MAX_IN_FLIGHT,
        )
        await stay_connected(address, options, self, self._introduce, quiet=not speaks)

    async def leave(self) -> None:
        """Say goodbye, so that the will is not needed: it keeps nothing any more.

        Follow it by cancelling `stay`, which closes the session.
        """
        self._leaves = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                if self._connection is not None:
                    await self._has_room(self._connection)
        connection = self._connection
        if connection is not None and self.is_connected and connection.room:
            goodbye = Status(online=False, boot=self._boot, time=self.site.town.now_ms)
            connection.publish([(self._status_topic, encode(goodbye))], retain=True)

    async def _introduce(self, connection: Connection) -> None:
        """Say who is here before saying anything else."""
        self._connection = connection
        site = self.site
        await connection.subscribe(
            [self._watermark_topic.decode(), f"{PREFIX}/{TopicClass.COMMAND}/{site.area}/{site.id}/+/+"], qos=1
        )
        introduction = [(self._status_topic, encode(self._status()))]
        introduction += [
            (str(Topic(TopicClass.META, site.area, site.id, device.id, "info")).encode(), encode(device.meta()))
            for device in site.devices.values()
        ]
        while introduction:
            await self._has_room(connection)
            count = connection.room
            connection.publish(introduction[:count], retain=True)
            del introduction[:count]
        self._silence_s = SILENCE_RESEND_S
        self._progress_s = time.monotonic()
        self._introduced.set()
        self.pump()

    async def _has_room(self, connection: Connection) -> None:
        """Wait until it has room for a message, or is closed."""
        while connection.is_open and not connection.room:
            self._acknowledged.clear()
            await self._acknowledged.wait()

    def _take_back(self) -> None:
        """Put what was said, and is not known to be durable, in front of what was not."""
        uncovered = []
        for reading in self._sent:
            if self._is_durable(reading):
                reading.slice.pending -= 1
            else:
                uncovered.append(reading)
        self._window.release(len(self._sent) - len(uncovered))
        self._sent_before += len(uncovered)
        self._unsent.extendleft(reversed(uncovered))
        self._sent.clear()
        self._again.clear()
        self._looks = 0

    # What the wire tells it

    def connected(self, session_present: bool) -> None:
        """Nothing is known about what the broker still has: everything not durable goes out again."""
        self._take_back()

    def disconnected(self, reason: str) -> None:
        self._connection = None
        self._introduced.clear()
        self._acknowledged.set()

    def acknowledged(self, packet_ids: list[int]) -> None:
        self._acknowledged.set()
        self.pump()

    def received(self, batch: Iterable[Publish]) -> None:
        """Watermarks free what they cover; commands are obeyed."""
        for publish in batch:
            if publish.topic == self._watermark_topic:
                self._covered(publish.payload)
            else:
                self._commanded(publish)
        if self._connection is not None:
            self._connection.acknowledge([publish.packet_id for publish in batch if publish.qos])
            self.pump()

    def _covered(self, payload: bytes) -> None:
        try:
            watermark = decode(Watermark, payload)
        except msgspec.DecodeError as error:
            log.warning("a watermark cannot be read", site=self.site.id, reason=str(error))
            return
        if watermark.boot != self._boot:
            return  # an earlier life's
        known = self._durable
        known |= {device: seq for device, seq in watermark.durable.items() if seq > known.get(device, 0)}
        freed = self._free_durable()
        if watermark.again:
            self._take_back()
        elif self._sent and self._suspected is None and (self._looks or not freed):
            self._suspect()

    def _suspect(self) -> None:
        """Look in a while whether the first reading that is not covered still is not."""
        self._suspected = self._sent[0]
        asyncio.get_running_loop().call_later(self._gap_s, self._check_gap)

    def _check_gap(self) -> None:
        suspected, self._suspected = self._suspected, None
        if not self._sent:
            return
        if self._sent[0] is suspected:
            self._say_again(looks=2)
        elif self._looks:
            self._looks -= self._let_go > self._again_through  # beyond them it came by itself, or over another gap
            if self._looks:
                self._suspect()

    def _say_again(self, looks: int) -> None:
        """Say the first uncovered again: twice as many as last time if that helped, else a few, and more rarely."""
        self._free_durable()  # a watermark of this boot may have come before the reading was said
        if not self._sent:
            return
        if self._looks and self._sent[0] is not self._again_first:
            self._again_count = min(self._again_count * 2, len(self._sent))
            self._gap_s = GAP_RESEND_S
        else:
            self._again_count = LEAST_SAID_AGAIN
            self._gap_s = min(self._gap_s * 2, GAP_RESEND_CAP_S)
        uncovered = ((place, reading) for place, reading in enumerate(self._sent) if not self._is_durable(reading))
        places, again = zip(*islice(uncovered, self._again_count), strict=True)
        self._again, self._again_first = deque(again), again[0]
        self._again_through = self._let_go + places[-1] + 1
        self._looks = looks
        self._status_due = True
        self.pump()

    def _is_durable(self, reading: _Held) -> bool:
        return reading.seq <= self._durable.get(reading.device, 0)

    def _free_durable(self) -> int:
        """Let go of what is durable with nothing before it that is not; how many readings."""
        freed = self._free(self._sent)
        self._let_go += freed
        if not self._sent:  # after a reconnect, readings that were durable all along wait to be said again
            freed_unsent = self._free(self._unsent)
            self._sent_before = max(0, self._sent_before - freed_unsent)
            freed += freed_unsent
            self._gap_s, self._looks = GAP_RESEND_S, 0
        if freed:
            self._window.release(freed)
            self._progress_s = time.monotonic()
            self._silence_s = SILENCE_RESEND_S
        return freed

    def _free(self, held: deque[_Held]) -> int:
        freed, durable = 0, self._durable
        while held and held[0].seq <= durable.get(held[0].device, 0):
            held.popleft().slice.pending -= 1
            freed += 1
        return freed

    def _commanded(self, publish: Publish) -> None:
        try:
            topic = Topic.parse(publish.topic.decode())
            command = decode(Command, publish.payload)
        except (BadTopic, UnicodeDecodeError, msgspec.DecodeError) as error:
            log.warning("a command cannot be read", site=self.site.id, reason=str(error))
            return
        if command.id in self._obeyed:
            return
        self._obeyed[command.id] = None
        if len(self._obeyed) > REMEMBERED_COMMANDS:
            del self._obeyed[next(iter(self._obeyed))]
        reply = self._obey(topic, command)
        if self.is_connected and self._connection is not None and self._connection.room:
            reply_topic = Topic(TopicClass.REPLY, topic.area, topic.site, topic.device, topic.name)
            self._connection.publish([(str(reply_topic).encode(), encode(reply))])
