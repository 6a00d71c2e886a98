"""A network that misbehaves on request: a TCP proxy for MQTT, and a front for the store that fails as HTTP fails."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable
from typing import Final

CHUNK_BYTES: Final = 65_536


class Proxy:
    """Listens on a port of its own and stands before another; what it does in between is its subclass's to say."""

    def __init__(self, port: int, dice: random.Random) -> None:
        self.port = 0
        self.mode = ""
        self._to = port
        self._dice = dice
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):  # either side, or we, are gone
                await self._serve(reader, writer)
        finally:
            if self.mode == "reset":
                reset(writer)
            else:
                writer.close()
            self._connections.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Network(Proxy):
    """A TCP proxy, perfect until its `mode` is one of `plan.NETWORK_MODES`.

    *delay* holds every chunk back for up to 0.3 s; *slice* writes 1 to 9 bytes at a time; *cut* and *reset* end
    connections in the middle of a chunk, with FIN or RST; *refuse* drops whoever connects; *silence* keeps
    connections open and lets nothing through until it ends.
    """

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            return
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
        pumps = [
            asyncio.ensure_future(self._pump(reader, to_writer)),
            asyncio.ensure_future(self._pump(to_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dice = self._dice
        while chunk := await reader.read(CHUNK_BYTES):
            while self.mode == "silence":  # noqa: ASYNC110 - a campaign's clock is coarse
                await asyncio.sleep(0.05)
            if self.mode == "delay":
                await asyncio.sleep(dice.uniform(0, 0.3))
            if self.mode in {"cut", "reset"} and dice.random() < 0.3:
                writer.write(chunk[: dice.randrange(len(chunk))])
                await writer.drain()
                return
            if self.mode == "slice":
                chunk = await self._slice(chunk, writer)
            writer.write(chunk)
            await writer.drain()

    async def _slice(self, chunk: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Write in tiny pieces while it lasts; answer what is left then."""
        start = 0
        while start < len(chunk) and self.mode == "slice":
            end = start + self._dice.randint(1, 9)
            writer.write(chunk[start:end])
            await writer.drain()
            await asyncio.sleep(0)
            start = end
        return chunk[start:]


class StoreFront(Proxy):
    """An HTTP proxy before the store, perfect until its `mode` is one of `plan.STORE_MODES`.

    The nastiest is *lost answer*: the store has committed the batch, and the collector is told of a broken connection.
    """

    def __init__(self, port: int, dice: random.Random, rewrite: Callable[[bytes], bytes] = bytes) -> None:
        super().__init__(port, dice)
        self._rewrite = rewrite

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self._answer(self._rewrite(await _message(reader)), writer):
            await writer.drain()
        reset(writer)

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be reset."""
        mode, dice = self.mode, self._dice
        if mode and dice.random() < 0.2:
            mode = ""  # not everything fails, or a batch would never be written in part
        if mode == "429":
            writer.write(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
            return True
        if mode == "500":
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<h1>Oops</h1>")
            return True
        if mode == "slow":
            await asyncio.sleep(dice.uniform(0.3, 2.0))
        if mode == "reset":
            return False
        try:
            answer = await self._ask(request)
        except (OSError, EOFError):
            return False
        if mode == "lost answer":
            return False
        if mode == "half answer":
            writer.write(answer[: dice.randrange(1, len(answer))])
            await writer.drain()
            return False
        writer.write(answer)
        return True

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            writer.write(request)
            await writer.drain()
            return await _message(reader)
        finally:
            writer.close()


def for_influxdb_1(request: bytes) -> bytes:
    """What InfluxDB 1.6 calls the write path of 1.8 and later."""
    line, end, rest = request.partition(b"\r\n")
    line = (
        line.replace(b"/api/v2/write?", b"/write?").replace(b"bucket=", b"db=").replace(b"precision=ns", b"precision=n")
    )
    return line + end + rest


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with its body, as bytes. Raises EOFError when the other side is gone."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
