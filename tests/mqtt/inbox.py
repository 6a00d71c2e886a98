"""A receiver that remembers what it was told."""

import asyncio
from collections.abc import Callable, Iterable

from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publish


class Inbox:
    """Remembers, acknowledges if told to, and can be waited on."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.acknowledges = acknowledges
        self.connection: Connection | None = None
        self.calls: list[str] = []
        self.session_present: bool | None = None
        self.messages: list[Publish] = []
        self.acknowledged_ids: list[int] = []
        self.reason: str | None = None
        self._changed = asyncio.Event()

    def connected(self, session_present: bool) -> None:
        self.calls.append("connected")
        self.session_present = session_present
        self._changed.set()

    def received(self, batch: Iterable[Publish]) -> None:
        self.calls.append("received")
        self.messages += batch
        if self.acknowledges:
            assert self.connection is not None
            self.connection.acknowledge([message.packet_id for message in batch if message.qos])
        self._changed.set()

    def acknowledged(self, packet_ids: list[int]) -> None:
        self.calls.append("acknowledged")
        self.acknowledged_ids += packet_ids
        self._changed.set()

    def disconnected(self, reason: str) -> None:
        self.calls.append("disconnected")
        self.reason = reason
        self._changed.set()

    async def until(self, true: Callable[["Inbox"], object], timeout_s: float = 30.0) -> None:
        """Wait until something is true of this inbox."""
        async with asyncio.timeout(timeout_s):
            while not true(self):
                self._changed.clear()
                await self._changed.wait()

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    async def open(self, address: BrokerAddress, options: ConnectOptions) -> Connection:
        self.connection = await Connection.open(address, options, self)
        return self.connection


async def open_inbox(
    address: BrokerAddress, options: ConnectOptions, *, acknowledges: bool = True
) -> tuple[Connection, Inbox]:
    inbox = Inbox(acknowledges=acknowledges)
    return await inbox.open(address, options), inbox


async def send_all(connection: Connection, inbox: Inbox, messages: list[tuple[bytes, bytes]]) -> None:
    """Publish at QoS 1, within the room there is, and wait for every acknowledgement."""
    sent = 0
    before = len(inbox.acknowledged_ids)
    while sent < len(messages):
        await inbox.until(lambda _: connection.room)
        batch = messages[sent : sent + connection.room]
        connection.publish(batch)
        sent += len(batch)
    await inbox.until(lambda inbox: len(inbox.acknowledged_ids) - before == len(messages))
