"""A peer that plays the broker by the test's script, for what no real broker can be made to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from haina.mqtt import BrokerAddress
from haina.mqtt.codec import ConnAck, Connect, Decoder, Packet, Publish, Publishes, encode


class Peer:
    """The broker's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._decoder = Decoder()
        self._packets: list[Packet | Publish] = []

    async def receive(self) -> Packet | Publish | None:
        """The next packet, or None at the end."""
        while not self._packets:
            data = await self._reader.read(65_536)
            if not data:
                return None
            for packet in self._decoder.feed(data):
                self._packets += packet if isinstance(packet, Publishes) else [packet]
        return self._packets.pop(0)

    async def accept(self, session_present: bool = False) -> Connect:
        connect = await self.receive()
        assert isinstance(connect, Connect)
        self.writer.write(encode(ConnAck(session_present, 0)))
        return connect

    def send(self, *packets: Packet | Publish | bytes) -> None:
        """All of it in one write."""
        self.writer.write(b"".join(p if isinstance(p, bytes) else encode(p) for p in packets))


@asynccontextmanager
async def playing(script: Callable[[Peer], Awaitable[object]]) -> AsyncIterator[BrokerAddress]:
    """A server that plays the script with whoever connects, and then hangs up."""
    scripts: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        scripts.add(task)
        try:
            await script(Peer(reader, writer))
        except (ConnectionError, asyncio.CancelledError):  # asyncio.streams would report even the cancelled as failed
            pass
        finally:
            scripts.discard(task)
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    try:
        yield BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(scripts):
            task.cancel()
        await asyncio.gather(*scripts, return_exceptions=True)
