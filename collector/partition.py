"""Which areas a collector serves, and how an area moves to another collector with nothing lost and nothing doubled.

*Handing over.* A collector that is started again without an area it had served hears it on as long as readings are
missing in between, for no watermark can say what came beyond a hole. Then it unsubscribes, takes what its session
still brings, and goes on telling the area's watermarks until all of that is durable; should there be holes after all,
it hears the area again. It gives none up, and waits for none longer than a minute (twice `--give-up`). Then it says
that the area is handed over, and never speaks for it again. Its journal still ships what it has.

*Taking over.* A collector that is new to an area first reads the watermarks that the broker retains and begins every
device there: what they cover is the last collector's, what comes after is new. Readings that were said while nobody
listened are covered by no watermark, so their gateways say them again. Where the broker has forgotten a watermark, the
gateway has not: its status says what it was told and has let go of. One that comes later says so then (`Ingest.take`).

Which areas are served is part of the journal. So a kill -9 anywhere in between only means that the step is done again,
and a restart without a change does none of this. If the two overlap after all, or the first has waited for a hole in
vain and has readings beyond it, both have some, which the same store holds once, by their keys; the counters of the two
then add up to more.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

import msgspec
import structlog

from haina.contract import CLOCK_TOPIC, Status, Topic, TopicClass, Watermark, decode
from haina.contract.topic import GATEWAY, PREFIX, BadTopic, check_level
from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publish

ALL: Final = "+"
"""Every area: what a collector serves when it is told none."""

QUIET_S: Final = 0.5
"""Retained messages have all come when none came for so long. Mosquitto sends them before it answers the next
SUBSCRIBE, which is waited for as well; the embedded broker promises nothing."""

HANDED_OVER_S: Final = 2.0
"""For so long nothing of an area may have come before it is handed over."""

SiteKey = tuple[str, str]

_CLOCK: Final = CLOCK_TOPIC.encode()


class Partition:
    """The areas a collector serves from now on, those it is new to, and those it is about to leave."""

    def __init__(self, wanted: Collection[str], served: Collection[str] | None, *, is_new: bool) -> None:
        """`served` is what the journal says was served before. Raises `haina.contract.BadTopic`.

        No area wanted means all. A new collector for all of them takes nothing over: it is the first. A journal that
        says nothing and is not new is older than this module.
        """
        self.wanted: Final = frozenset(check_level(area) for area in wanted) or frozenset({ALL})
        if served is None:
            served = () if is_new and wanted else self.wanted
        before = frozenset(served)
        self.arriving = frozenset() if ALL in before else self.wanted - before
        self.leaving = frozenset() if ALL in self.wanted else before - self.wanted

    @property
    def served(self) -> list[str]:
        """The areas that have been taken over and not handed over, for the journal."""
        return sorted((self.wanted - self.arriving) | self.leaving)

    def speaks_for(self, area: str) -> bool:
        """Whether this collector tells the watermarks of that area."""
        return self.keeps(area) or self.leaves(area)

    def keeps(self, area: str) -> bool:
        """Whether this collector goes on with that area."""
        return area in self.wanted or ALL in self.wanted

    def leaves(self, area: str) -> bool:
        """Whether the area is about to be handed over."""
        return not self.keeps(area) and (area in self.leaving or ALL in self.leaving)

    @property
    def filters(self) -> list[str]:
        """What to subscribe to at QoS 1: readings."""
        return _filters(TopicClass.TELEMETRY, self.wanted)

    @property
    def state_filters(self) -> list[str]:
        """What to subscribe to at QoS 0, because it is retained or told again: statuses and the clock.

        While readings wait, the embedded broker gives all its messages in flight to them, and of retained ones it
        brings no more than fit into those, ever. At QoS 0 neither holds; and a broker that is asked anew tells anew.
        """
        return [*_filters(TopicClass.STATUS, self.wanted), CLOCK_TOPIC]

    @property
    def leaving_filters(self) -> list[str]:
        """What to unsubscribe from."""
        return _filters(TopicClass.TELEMETRY, self.leaving) + _filters(TopicClass.STATUS, self.leaving)


def _filters(kind: TopicClass, areas: Iterable[str]) -> list[str]:
    return [f"{PREFIX}/{kind}/{area}/+/+/+" for area in sorted(areas)]


class _Ear:
    """Hears retained watermarks, and what gateways say of them. A `Receiver` of the wire."""

    def __init__(self) -> None:
        self.watermarks: dict[SiteKey, Watermark] = {}
        self.let_go: dict[SiteKey, Watermark] = {}
        self.heard = 0

    def connected(self, session_present: bool) -> None: ...

    def received(self, batch: Iterable[Publish]) -> None:
        for message in batch:
            self.heard += 1
            if message.topic == _CLOCK:  # the session of a collector that begins anew hears it as well
                continue
            try:
                topic = Topic.parse(message.topic.decode())
                if topic.topic_class is TopicClass.WATERMARK and message.payload:
                    self._hear((topic.area, topic.site), decode(Watermark, message.payload))
                elif topic.topic_class is TopicClass.STATUS and message.payload:
                    status = decode(Status, message.payload)
                    if status.durable:
                        self.let_go[topic.area, topic.site] = Watermark(status.boot, status.durable)
            except (BadTopic, UnicodeDecodeError, msgspec.DecodeError) as wrong:
                structlog.get_logger().warning("a watermark or status cannot be read", reason=str(wrong))

    def _hear(self, site: SiteKey, watermark: Watermark) -> None:
        before = self.watermarks.get(site)
        if before is not None and before.boot == watermark.boot:  # one of what was turned away names no other device
            watermark.durable = before.durable | watermark.durable
        self.watermarks[site] = watermark

    def acknowledged(self, packet_ids: list[int]) -> None: ...

    def disconnected(self, reason: str) -> None: ...


async def read_watermarks(
    address: BrokerAddress, options: ConnectOptions, areas: Collection[str]
) -> dict[SiteKey, Watermark]:
    """What the broker retains of these areas' watermarks, or else what their gateways say that they were told.

    By a short session of its own. Raises `MQTTError`.
    """
    ear = _Ear()
    own = replace(options, client_id=f"{options.client_id}-takes-over", clean_session=True)
    connection = await Connection.open(address, own, ear)
    try:
        # At QoS 0: the embedded broker brings no more than a hundred retained messages at QoS 1.
        for kind, name in ((TopicClass.WATERMARK, "durable"), (TopicClass.STATUS, "connection")):
            await connection.subscribe([f"{PREFIX}/{kind}/{area}/+/{GATEWAY}/{name}" for area in sorted(areas)], qos=0)
        await connection.subscribe([CLOCK_TOPIC], qos=0)
        heard = -1
        while heard != ear.heard:
            heard = ear.heard
            await asyncio.sleep(QUIET_S)
    finally:
        await connection.close()
    return ear.let_go | ear.watermarks


async def forget_session(address: BrokerAddress, options: ConnectOptions) -> None:
    """Have the broker forget a session that is not connected, and all it was subscribed to. Raises `MQTTError`."""
    connection = await Connection.open(address, replace(options, clean_session=True), _Ear())
    await connection.close()
