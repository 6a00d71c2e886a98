"""What the town is made of.

A *town* has *areas*, an area has *sites* (a centre, a home, the weather station), a site has *devices*. Each
site has one gateway; the device of that name stands for the site itself. Models are SimPy processes of
`town.env` that live at a site and let its devices speak: `device.send(measurement, values)`.

What is said goes into `town.outbox` in the order it is said, already encoded. Whoever drives the run empties
the outbox after each slice of simulated time, so a model never knows whether it feeds a file, a broker or
nothing. What *happens* (a fall, a broken kiosk) goes to the truth ledger when it `begins` and `ends` at a site; it
never travels on the wire.

A site may lose its *uplink*: its devices speak on, its gateway holds what they say, and says it all when the uplink is
back, late, in order and with the event times it was measured at. Or it may lose its *power*: then nobody speaks, and
nothing was measured. `town.offline` names the sites that cannot be reached now.

Time inside models is `env.now`: seconds since the run's start. Schedules are local: `town.local_hour()` and
friends speak Asia/Shanghai, whatever zone the machine is in.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import simpy

from haina.contract import REFUSALS, Command, Measurement, Meta, Reply, Topic, TopicClass, telemetry_payload
from haina.contract.measurement import Value
from haina.contract.topic import GATEWAY, check_level
from simulator.randomness import Stream

SHANGHAI_OFFSET_S = 8 * 3600  # Asia/Shanghai has kept UTC+8 without daylight saving since 1991
DAY_S = 86_400
HELD_READINGS = 100_000
"""What a gateway without uplink keeps: days of a large centre. Beyond it, it keeps the oldest: newer readings are not
taken, and counted in `Site.untaken`."""
BOOTS = 1_024
"""How often a run can be started in its folder: the boot's last digits in this base count its starts, from 1."""
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


class Emission(msgspec.Struct, gc=False):
    """One encoded reading on its way out.

    A town makes millions of them, and the garbage collector need not look at each: whoever drives the town empties its
    outbox, so they are in no lasting circle.
    """

    device: "Device"
    measurement: Measurement
    time_ms: int
    seq: int
    payload: bytes


class Truth(Protocol):
    """The ledger of what really happened."""

    def record(self, kind: str, site: "Site", **details: Any) -> None:
        """Note an event of this kind at a site now. Details are JSON values, times in ms since 1970."""


CommandHandler = Callable[[Mapping[str, Any]], str | dict[str, Any] | None]
"""Obeys a command; returns None or the values of the reply when done, or one sentence saying why not."""


class Refused(Exception):
    """Raised by a command's handler instead of returning that sentence; `code` and `values` go into the reply.

    A code is one of `REFUSALS`, and has the values that are declared there.
    """

    def __init__(self, reason: str, code: str = "", **values: Any) -> None:
        super().__init__(reason)
        assert not code or set(REFUSALS[code]) <= set(values), code
        self.code = code
        self.values = values


class Device:
    """Something that speaks for itself. Made by `Site.device`."""

    __slots__ = ("commands", "id", "kind", "labels", "position", "questions", "seq", "site", "topics")

    def __init__(self, site: "Site", device_id: str, kind: str, labels: dict[str, str]) -> None:
        self.site = site
        self.id = check_level(device_id)
        self.kind = kind
        self.labels = labels
        self.position = site.position
        self.seq = 0
        self.topics: dict[str, bytes] = {}
        self.commands: dict[str, CommandHandler] = {}
        self.questions: dict[str, CommandHandler] = {}
        """Commands that change nothing, and so are in no ledger of commands."""

    def __repr__(self) -> str:
        return f"<Device {self.site.area}/{self.site.id}/{self.id}>"

    def send(self, measurement: Measurement, values: dict[str, Value], at_s: float | None = None) -> None:
        """Say a reading now, or one that was taken at `at_s` (seconds since the run's start, not after now).

        `values` holds the present fields in declared order, floats rounded to the field's decimals.
        """
        site = self.site
        town = site.town
        outbox = town.outbox
        if site.held is not None:
            if not site.takes_a_reading():
                return
            outbox = site.held
        self.seq = seq = self.seq + 1
        time_ms = town.start_ms + round((town.env.now if at_s is None else at_s) * 1000)
        payload = telemetry_payload(time_ms, town.boot, seq, values)
        outbox.append(Emission(self, measurement, time_ms, seq, payload))

    def topic(self, measurement: Measurement) -> bytes:
        """The telemetry topic of this device for a measurement, encoded once."""
        topic = self.topics.get(measurement.name)
        if topic is None:
            text = str(Topic(TopicClass.TELEMETRY, self.site.area, self.site.id, self.id, measurement.name))
            topic = self.topics[measurement.name] = text.encode()
        return topic

    def meta(self) -> Meta:
        return Meta(kind=self.kind, run=self.site.town.run, origin="sim", position=self.position, labels=self.labels)


class Site:
    """A place with a gateway. `kind` is `centre`, `home`, `weather` …; `labels` go into the gateway's meta."""

    def __init__(
        self,
        town: "Town",
        area: str,
        site_id: str,
        kind: str,
        position: tuple[float, float],
        labels: dict[str, str] | None = None,
    ) -> None:
        self.town = town
        self.area = check_level(area)
        self.id = check_level(site_id)
        self.kind = kind
        self.position = position
        self.devices: dict[str, Device] = {}
        self.held: list[Emission] | None = None
        """What the gateway holds while the site is offline; None while it is not."""
        self.untaken = 0
        self._has_power = self._has_uplink = True
        self._events = 0
        self.gateway = self.device(GATEWAY, GATEWAY, site_kind=kind, **(labels or {}))

    def __repr__(self) -> str:
        return f"<Site {self.name}>"

    @property
    def name(self) -> str:
        """What its gateway's account is called."""
        return f"{self.area}/{self.id}"

    @property
    def env(self) -> simpy.Environment:
        return self.town.env

    def device(self, device_id: str, kind: str, **labels: str) -> Device:
        """Install a device. Its id is unique within the site."""
        if device_id in self.devices:
            raise ValueError(f"{self!r} has a device {device_id!r} already")
        device = self.devices[device_id] = Device(self, device_id, kind, labels)
        return device

    @property
    def has_power(self) -> bool:
        return self._has_power

    @property
    def has_uplink(self) -> bool:
        return self._has_uplink

    def switch_power(self, on: bool) -> None:
        """Cut the power or bring it back. What the gateway holds outlasts it."""
        self._has_power = on
        self._turn()

    def switch_uplink(self, on: bool) -> None:
        """Cut the uplink or bring it back; once there is power too, the gateway says what it holds."""
        self._has_uplink = on
        self._turn()

    def _turn(self) -> None:
        if self._has_power and self._has_uplink:
            if self.held is not None:
                self.town.outbox.extend(self.held)
                self.held = None
            self.town.offline.pop(self.id, None)
        elif self.held is None:
            self.held = []
            self.town.offline[self.id] = self

    def takes_a_reading(self) -> bool:
        """Whether the offline gateway takes one more: there is power, and room."""
        if not self._has_power:
            return False
        if self.held is not None and len(self.held) >= HELD_READINGS:
            self.untaken += 1
            return False
        return True

    def begins(self, kind: str, **details: Any) -> str:
        """Something begins here: tell the truth ledger, and return the id under which it `ends`."""
        self._events += 1
        event = f"{self.id}-{self.town.boot}-{self._events}"
        self.town.truth.record(kind, self, event=event, **details)
        return event

    def ends(self, kind: str, event: str, **details: Any) -> None:
        """What began under this id is over."""
        self.town.truth.record(f"{kind}_end", self, event=event, **details)

    def happens(self, kind: str, **details: Any) -> None:
        """Something begins here and is over at once."""
        self.ends(kind, self.begins(kind, **details))

    def stream(self, purpose: str) -> Stream:
        """The site's own random numbers for a purpose."""
        return Stream(self.town.seed, f"{self.area}/{self.id}", purpose)


class Town:
    """Everything that lives on one clock. `start_ms` is the event time at which `env.now` is 0."""

    def __init__(self, *, seed: int, start_ms: int, run: str, boot: int, truth: Truth) -> None:
        self.env = simpy.Environment(initial_time=0.0)  # a float from the start: 0 would be said as 0, not 0.0
        self.seed = seed
        self.start_ms = start_ms
        self.run = run
        self.boot = boot
        self.truth = truth
        self.sites: dict[str, Site] = {}
        self.offline: dict[str, Site] = {}
        """Sites without power or uplink now, in the order in which they lost it."""
        self.outbox: list[Emission] = []
        self._local_start_s = start_ms / 1000 + SHANGHAI_OFFSET_S

    def site(
        self, area: str, site_id: str, kind: str, position: tuple[float, float], labels: dict[str, str] | None = None
    ) -> Site:
        """Found a site. Its id is unique within the town."""
        if site_id in self.sites:
            raise ValueError(f"the town has a site {site_id!r} already")
        site = self.sites[site_id] = Site(self, area, site_id, kind, position, labels)
        return site

    def stream(self, entity: str, purpose: str) -> Stream:
        """Random numbers of something that is not a site, such as the weather."""
        return Stream(self.seed, entity, purpose)

    @property
    def starts(self) -> int:
        """How often the run was started in its folder, this time included."""
        return self.boot % BOOTS

    @property
    def now_ms(self) -> int:
        """Event time now, ms since 1970."""
        return self.start_ms + round(self.env.now * 1000)

    def local_s(self, at_s: float | None = None) -> float:
        """Seconds since local midnight, of now or of `at_s` seconds after the start."""
        return (self._local_start_s + (self.env.now if at_s is None else at_s)) % DAY_S

    def local_hour(self, at_s: float | None = None) -> float:
        """Hour of the local day, 0 … 24, with its fraction."""
        return self.local_s(at_s) / 3600

    def local_day(self, at_s: float | None = None) -> int:
        """Local days since 1970-01-01."""
        return int((self._local_start_s + (self.env.now if at_s is None else at_s)) // DAY_S)

    def weekday(self, at_s: float | None = None) -> int:
        """Day of the local week; Monday is 0."""
        return (self.local_day(at_s) + _EPOCH_WEEKDAY) % 7

    def obey(self, topic: Topic, command: Command) -> Reply:
        """Let the addressed device obey a command now."""
        try:
            answer = self._obeyed(topic, command)
        except Refused as refused:
            reason, code, values = str(refused), refused.code, refused.values
        else:
            if not isinstance(answer, str):
                return Reply(id=command.id, time=self.now_ms, done=True, values=answer or {})
            reason, code, values = answer, "", {}
        return Reply(id=command.id, time=self.now_ms, done=False, reason=reason, code=code, values=values)

    def _obeyed(self, topic: Topic, command: Command) -> str | dict[str, Any] | None:
        site = self.sites.get(topic.site)
        device = site.devices.get(topic.device) if site and site.area == topic.area else None
        if device is None:
            return f"there is no device {topic.area}/{topic.site}/{topic.device}"
        assert site is not None
        if site.held is not None:
            lost = "uplink" if site.has_power else "power"
            raise Refused(f"{site.id} has no {lost} and cannot be reached", f"no_{lost}", site=site.id)
        handler = device.commands.get(topic.name) or device.questions.get(topic.name)
        if handler is None:
            known = ", ".join(sorted(device.commands | device.questions)) or "none"
            return f"a {device.kind} does not know the command {topic.name!r}; it knows {known}"
        if command.expires < self.now_ms:
            raise Refused("the command had expired", "expired")
        return handler(command.args)

    def is_question(self, topic: Topic) -> bool:
        """Whether a command to this topic changes nothing."""
        site = self.sites.get(topic.site)
        device = site.devices.get(topic.device) if site and site.area == topic.area else None
        return device is not None and topic.name in device.questions
