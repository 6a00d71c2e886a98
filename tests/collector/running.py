"""A real `haina collect` process, and a gateway's side of the wire."""

import asyncio
import json
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publish
from haina.mqtt.codec import MAX_PACKET_BYTES
from tests.brokers import ROOT, RunningBroker

TIMEOUT_S = 60.0


def run_collector_command(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "collector.command", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class RunningCollector:
    """A collector process that can be stopped, well or badly, and started again on the same folder."""

    def __init__(self, broker: RunningBroker, folder: Path, options: Sequence[str]) -> None:
        self.folder = folder
        self.url = ""
        self.first_line = ""
        self._broker = broker
        self.options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start, and wait for its one line; RuntimeError, with what it logged, if there is none."""
        self._process = run_collector_command(
            "collect", "--broker", self._broker.url, "--data", str(self.folder), "--http", "127.0.0.1:0", *self.options
        )
        assert self._process.stdout is not None
        self.first_line = self._process.stdout.readline()
        if not self.first_line:
            raise RuntimeError(f"the collector did not start:\n{self._process.communicate()[1]}")
        self.url = self.first_line.rpartition(" ")[2].removesuffix("/status\n")

    def kill(self) -> None:
        """Stop it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self, meanwhile: Callable[[], None] = lambda: None) -> tuple[int, str, str]:
        """Ask it to stop (SIGTERM) and wait: its exit code, and what else it printed and logged."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        meanwhile()
        printed, logged = self._process.communicate(timeout=TIMEOUT_S)
        return self._process.returncode, printed, logged

    def limit_file_size(self, size_bytes: int | None) -> None:
        """Let no file of the process grow beyond this: for it, the disk is full. None: there is room again."""
        assert self._process is not None
        limit = resource.RLIM_INFINITY if size_bytes is None else size_bytes
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self, path: str = "/status") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get(path)[1])
        return found

    def until(self, true: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until something is true of its status, and answer that status."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not true(found := self.status()):
            assert time.monotonic() < deadline_s, f"still not true: {found}"
            time.sleep(0.05)
        return found

    def until_connected(self) -> None:
        self.until(lambda found: found["broker"]["connected"])


@contextmanager
def haina_collect(broker: RunningBroker, folder: Path, *options: str) -> Iterator[RunningCollector]:
    """A running `haina collect` on this broker and folder; stores as `--store` options."""
    collector = RunningCollector(broker, folder, options)
    collector.start()
    try:
        yield collector
    finally:
        collector.kill()


def assert_accounts_close(status: dict[str, Any]) -> None:
    counters = status["counters"]
    assert counters["received"] == (
        counters["rejected"] + counters["duplicates"] + counters["journaled"] + counters["in_memory"]
    ), counters
    for store in status["stores"]:
        settled = store["stored"] + store["pending"] + store["refused"] + store["forgotten"]
        assert counters["journaled"] - store["since"] == settled, (counters, store)


class Gateway:
    """Publishes at QoS 1 and hears watermarks."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.heard: list[Publish] = []
        self._changed = asyncio.Event()

    async def open(self, broker: RunningBroker, client_id: str, *filters: str) -> None:
        options = ConnectOptions(client_id, max_in_flight=1_000, max_packet_bytes=MAX_PACKET_BYTES)
        self.connection = await Connection.open(BrokerAddress.parse(broker.url), options, self)
        if filters:
            await self.connection.subscribe(list(filters))

    async def send(self, messages: Sequence[tuple[bytes, bytes]], batch: int = 200) -> None:
        """Publish all, and wait until the broker has them."""
        assert self.connection is not None
        for start in range(0, len(messages), batch):
            part = messages[start : start + batch]
            await self.until(lambda part=part: self.connection.room >= len(part))  # type: ignore[misc]
            self.connection.publish(part)
        await self.until(lambda: self.connection.room == 1_000)  # type: ignore[union-attr]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def close(self) -> None:
        assert self.connection is not None
        await self.connection.close()

    def connected(self, session_present: bool) -> None:
        self._changed.set()

    def received(self, batch: Iterable[Publish]) -> None:
        self.heard += batch
        assert self.connection is not None
        self.connection.acknowledge([message.packet_id for message in batch if message.packet_id])
        self._changed.set()

    def acknowledged(self, packet_ids: list[int]) -> None:
        self._changed.set()

    def disconnected(self, reason: str) -> None:
        self._changed.set()


def send(broker: RunningBroker, messages: Sequence[tuple[bytes, bytes]], client_id: str = "gateway") -> None:
    """Publish all and wait until the broker has them."""

    async def run() -> None:
        gateway = Gateway()
        await gateway.open(broker, client_id)
        await gateway.send(messages)
        await gateway.close()

    asyncio.run(run())
