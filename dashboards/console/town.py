"""The town as the broker tells it: its clock, its sites and who is connected; and commands back.

All of it is retained, so a console that starts late knows the same as one that was there; only who travels, and what
helpers found, it hears as it is said. What the broker still
keeps of an earlier run is left out once the clock says which run this is. Nothing here asks the store.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import structlog

from haina.contract import CLOCK_TOPIC, Clock, Command, Meta, Reply, Status, Topic, TopicClass, decode, encode
from haina.contract.crew import CREW_MEMBER, MEMBER_STATES
from haina.contract.help import HELP_DESK, HELP_REPORT
from haina.contract.measurement import LAST_MS
from haina.contract.topic import GATEWAY, PREFIX, BadTopic
from haina.mqtt.codec import Publish
from haina.mqtt.connection import BrokerAddress, Connection, ConnectOptions, MQTTError, stay_connected

log = structlog.get_logger()

MAX_MEMBERS = 2_000  # of all crews; further ones are not drawn
MAX_SITES = 20_000  # ten times the pilot zone; further ones are not drawn, and the log says so once
CLOCK_STALE_S = 10.0  # the clock is told about once a second
FIRST_ANSWER_S = 3.0  # a broker that has not answered by then is unavailable
REPLY_S = 8.0
EXPIRES_WALL_S = 30.0  # a command that waited longer than this is not meant any more

SiteState = Literal["online", "offline", "fault", "unknown"]
Health = Literal["ok", "problem", "stale", "unavailable", "unknown"]


class NotDone(Exception):
    """A command did not get through; one sentence, and as in a refusing reply its code and what it is about."""

    def __init__(self, sentence: str, code: str = "", **values: Any) -> None:
        super().__init__(sentence)
        self.code = code
        self.values = values

    def told(self) -> dict[str, Any]:
        """It, as browsers get it."""
        return {"reason": str(self), "code": self.code, "values": self.values}


@dataclass
class Site:
    """What is known of a site. `faults` are its kiosks in fault, as the store has them."""

    id: str
    area: str
    kind: str = ""
    run: str = ""
    is_simulated: bool = True
    position: tuple[float, float] | None = None
    is_online: bool | None = None
    faults: tuple[str, ...] = field(default=())
    help: dict[str, Any] | None = None  # what a helper last found there

    @property
    def state(self) -> SiteState:
        if self.is_online is None:
            return "unknown"
        if not self.is_online:
            return "offline"
        return "fault" if self.faults else "online"

    def told(self) -> dict[str, Any]:
        """The site as browsers get it."""
        longitude, latitude = self.position or (0.0, 0.0)
        return {
            "id": self.id,
            "area": self.area,
            "kind": self.kind,
            "lon": longitude,
            "lat": latitude,
            "state": self.state,
            "faults": self.faults,
            "help": self.help,
        }


@dataclass(frozen=True)
class HelpDesk:
    """Where help may be asked for: whom it sends, and which area it serves, or `all`."""

    area: str
    site: str
    crew: str
    serves: str


class TownWatch:
    """Listens to the broker. Implements the wire's `Receiver`."""

    def __init__(self, address: BrokerAddress) -> None:
        self.clock: Clock | None = None
        self.sites: dict[str, Site] = {}
        self.members: dict[str, dict[str, Any]] = {}
        self._desks: dict[str, HelpDesk] = {}
        self._moved: set[str] = set()
        self._address = address
        self._began_s = time.monotonic()
        self._clock_heard_s = 0.0
        self._connection: Connection | None = None
        self._reason = ""
        self._changed: set[str] = set()
        self._everything_changed = False
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._is_over_limit = False

    async def stay(self) -> None:
        """Listen until cancelled; reconnects by itself."""
        options = ConnectOptions(client_id=f"haina-console-{uuid.uuid4().hex[:12]}")
        await stay_connected(self._address, options, self, self._subscribe)

    # What browsers want to know

    @property
    def now_ms(self) -> int:
        """The town's time; the wall's as long as the town has said none."""
        return self.clock.time if self.clock is not None else round(time.time() * 1000)

    def broker_health(self) -> tuple[Health, str]:
        if self._connection is not None:
            return "ok", ""
        if not self._reason and time.monotonic() - self._began_s < FIRST_ANSWER_S:
            return "unknown", ""
        return "unavailable", self._reason or f"{self._address} does not answer"

    def clock_health(self) -> tuple[Health, str]:
        """Whether the clock can be believed, and for how many seconds it has said nothing."""
        if self.clock is None:
            return "unknown", ""
        silent_s = time.monotonic() - self._clock_heard_s
        if self._connection is None or (silent_s > CLOCK_STALE_S and not self.clock.paused):
            return "stale", f"{silent_s:.0f}"
        return "ok", ""

    def shown(self) -> list[Site]:
        """The sites of this run that have a place on the map."""
        return [site for site in self.sites.values() if self._is_shown(site)]

    def changes(self) -> tuple[bool, list[Site]]:
        """Whether everything may have changed, and the sites that did, since this was last asked."""
        everything, self._everything_changed = self._everything_changed, False
        changed, self._changed = self._changed, set()
        return everything, [
            self.sites[name] for name in changed if name in self.sites and self._is_shown(self.sites[name])
        ]

    def moved(self) -> list[dict[str, Any]]:
        """The members of crews that have said something since this was last asked."""
        moved, self._moved = self._moved, set()
        return [self.members[name] for name in sorted(moved) if name in self.members]

    def help_desk(self, home: Site, helper: str) -> HelpDesk | None:
        """The desk to ask for this helper at a home; the one with volunteers telephones."""
        crew = "volunteer" if helper == "telephone" else helper
        serving = {home.area, "all"}
        return next((desk for desk in self._desks.values() if desk.crew == crew and desk.serves in serving), None)

    def set_faults(self, faults: dict[str, tuple[str, ...]]) -> None:
        """The kiosks in fault of every site, as the store has them now."""
        for site in self.sites.values():
            now = faults.get(site.id, ())
            if now != site.faults:
                site.faults = now
                self._changed.add(site.id)

    def _is_shown(self, site: Site) -> bool:
        if site.position is None or not site.kind or site.kind == "simulator":
            return False
        return self.clock is None or not site.is_simulated or site.run == self.clock.run

    # Commands

    async def command(self, area: str, site: str, device: str, name: str, args: dict[str, Any]) -> Reply:
        """Send a command and wait for its reply. Raises NotDone with a sentence when there is none."""
        connection = self._connection
        if connection is None:
            raise NotDone("the broker is unavailable", "no_broker")
        if self.clock is None:
            raise NotDone("the town has not told its time, so a command cannot say when it expires", "no_clock")
        pace = max(1.0, self.clock.speed, self.clock.achieved)
        expires = min(self.clock.time + math.ceil(EXPIRES_WALL_S * 1000 * pace), LAST_MS)
        wish = Command(id=uuid.uuid4().hex, expires=expires, args=args)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[wish.id] = answer
        topic = Topic(TopicClass.COMMAND, area, site, device, name)
        try:
            connection.publish([(str(topic).encode(), encode(wish))])
            async with asyncio.timeout(REPLY_S):
                return await answer
        except MQTTError as failed:
            raise NotDone(str(failed)) from None
        except TimeoutError:
            sentence = f"{site}/{device} did not reply within {REPLY_S:g} s"
            raise NotDone(sentence, "no_reply", site=site, device=device, span=f"{REPLY_S:g}") from None
        finally:
            del self._waiting[wish.id]

    # What the wire tells it

    async def _subscribe(self, connection: Connection) -> None:
        self._connection, self._reason = connection, ""  # first, for what is retained waits to be acknowledged
        told = [
            f"{PREFIX}/{TopicClass.META}/+/+/{GATEWAY}/info",
            f"{PREFIX}/{TopicClass.META}/+/+/{HELP_DESK}/info",
            f"{PREFIX}/{TopicClass.STATUS}/+/+/{GATEWAY}/connection",
            f"{PREFIX}/{TopicClass.TELEMETRY}/+/+/+/{CREW_MEMBER.name}",
            f"{PREFIX}/{TopicClass.TELEMETRY}/+/+/+/{HELP_REPORT.name}",
        ]
        await connection.subscribe(told, qos=0)  # the embedded broker holds retained messages back at QoS 1
        await connection.subscribe([CLOCK_TOPIC, TopicClass.REPLY.filter], qos=1)

    def connected(self, session_present: bool) -> None:
        """Nothing to do before the subscriptions are there."""

    def acknowledged(self, packet_ids: list[int]) -> None:
        """Nobody waits for the broker; the reply says more."""

    def disconnected(self, reason: str) -> None:
        self._connection, self._reason = None, reason

    def received(self, batch: Iterable[Publish]) -> None:
        """Clock, meta, status and replies; what cannot be read is somebody else's to complain about."""
        for publish in batch:
            try:
                self._heard(publish.topic.decode(), publish.payload)
            except (UnicodeDecodeError, BadTopic, msgspec.DecodeError) as wrong:
                log.debug("a message cannot be read", reason=str(wrong))
        if self._connection is not None:
            self._connection.acknowledge([publish.packet_id for publish in batch if publish.qos])

    def _heard(self, name: str, payload: bytes) -> None:
        if name == CLOCK_TOPIC:
            clock = decode(Clock, payload)
            if self.clock is None or self.clock.run != clock.run:
                self._everything_changed = True
                self.members.clear()
            self.clock, self._clock_heard_s = clock, time.monotonic()
            return
        topic = Topic.parse(name)
        match topic.topic_class:
            case TopicClass.REPLY:
                reply = decode(Reply, payload)
                answer = self._waiting.get(reply.id)
                if answer is not None and not answer.done():
                    answer.set_result(reply)
            case TopicClass.STATUS:
                site = self._site(topic)
                if site is not None:
                    site.is_online = decode(Status, payload).online if payload else None
                    self._changed.add(site.id)
            case TopicClass.TELEMETRY if topic.name == CREW_MEMBER.name:
                self._member_said(topic, CREW_MEMBER.decoder.decode(payload).values)
            case TopicClass.TELEMETRY if topic.name == HELP_REPORT.name:
                said = HELP_REPORT.decoder.decode(payload)
                home = self.sites.get(said.values.home)
                if home is not None:
                    home.help = {"time": said.time, "helper": said.values.helper, "found": said.values.found}
                    self._changed.add(home.id)
            case TopicClass.META if topic.device == HELP_DESK:
                meta = decode(Meta, payload) if payload else None
                self._desks.pop(topic.site, None)
                if meta is not None and meta.kind == "help-desk":
                    crew, serves = meta.labels.get("crew", ""), meta.labels.get("serves", "")
                    self._desks[topic.site] = HelpDesk(topic.area, topic.site, crew, serves)
            case TopicClass.META if topic.device == GATEWAY:
                site = self._site(topic)
                if site is not None:
                    self._introduced(site, payload)

    def _member_said(self, topic: Topic, said: Any) -> None:
        name = f"{topic.site}/{topic.device}"
        if name in self.members or len(self.members) < MAX_MEMBERS:
            self.members[name] = {
                "name": name,
                "device": topic.device,
                "state": MEMBER_STATES[said.state],
                "lon": said.longitude_deg,
                "lat": said.latitude_deg,
                "destination": said.destination or "",
                "errand": said.errand or "",
            }
            self._moved.add(name)

    def _introduced(self, site: Site, payload: bytes) -> None:
        if not payload:  # a retained message is taken back by an empty one
            self.sites.pop(site.id, None)
            self._everything_changed = True
            return
        meta = decode(Meta, payload)
        site.kind = meta.labels.get("site_kind", "site")
        site.run, site.is_simulated, site.position = meta.run, meta.origin == "sim", meta.position
        self._changed.add(site.id)

    def _site(self, topic: Topic) -> Site | None:
        site = self.sites.get(topic.site)
        if site is None:
            if len(self.sites) >= MAX_SITES:
                if not self._is_over_limit:
                    log.warning("more sites than the console draws; the others are left out", limit=MAX_SITES)
                    self._is_over_limit = True
                return None
            site = self.sites[topic.site] = Site(topic.site, topic.area)
        return site
