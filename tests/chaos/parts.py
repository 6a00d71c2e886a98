"""The processes of the line, each of which can be killed, frozen and started again at the same address.

What they print goes to files that stay, so that a seed that fails can be understood afterwards.
"""

import asyncio
import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from tests.brokers import ROOT, find_mosquitto
from tests.influx import RunningInflux, command_1, command_2

START_S = 90.0  # a machine that is shared may need long to start a Python; only truth is judged, never speed
STOP_S = 60.0
SETTLE_S = 240.0
"""How long the line may take to come to rest; its own longest pauses are 30 s (backoff, silence, gaps)."""

TOKEN = "a-token-for-tests-alone"


class Part:
    """One process of the line, through all its lives."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self.out = folder / f"{name}.out"
        self.command = list(command)
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    async def start(self) -> None:
        """Start, and wait until its port answers; somebody else may hold the port for a moment."""
        give_up_s = asyncio.get_running_loop().time() + START_S
        while True:
            self.spawn()
            while self.is_running:
                if self.port is None or self._accepts():
                    return
                if asyncio.get_running_loop().time() > give_up_s:
                    raise RuntimeError(f"{self.name} does not answer; its log: {self.log}")
                await asyncio.sleep(0.05)
            if asyncio.get_running_loop().time() > give_up_s:
                raise RuntimeError(f"{self.name} ends at once; its log: {self.log}")
            await asyncio.sleep(1.0)

    def spawn(self) -> None:
        assert not self.is_running
        with self.log.open("ab") as log, self.out.open("ab") as out:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=None if self._environment is None else {**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, from the main thread
            )

    def _accepts(self) -> bool:
        assert self.port is not None
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return self.is_running

    def send(self, number: int) -> None:
        if self._process is not None and self.is_running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as `kill -9` does, frozen or not."""
        if self._process is not None:
            if self.is_running:
                self._process.kill()
            self._process.wait()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and wait: its exit code."""
        assert self._process is not None
        self.send(signal.SIGCONT)
        self.send(number)
        give_up_s = asyncio.get_running_loop().time() + STOP_S
        while self.is_running:
            if asyncio.get_running_loop().time() > give_up_s:
                self.kill()
                raise RuntimeError(f"{self.name} does not stop when asked; its log: {self.log}")
            await asyncio.sleep(0.05)
        return self._process.wait()


def mosquitto(folder: Path) -> Part:
    """Mosquitto that keeps every queued message and saves its state when asked to stop, and only then."""
    port = steady_port()
    state = folder / "mosquitto"
    state.mkdir()
    lines = [
        f"listener {port} 127.0.0.1",
        "persistence true",
        f"persistence_location {state}/",
        "max_inflight_messages 1000",
        "max_queued_messages 0",
        "max_queued_bytes 0",
        "allow_anonymous true",
        "log_dest stderr",
    ]
    if os.geteuid() == 0:  # it would become a user who cannot write into the folder
        lines.append("user root")
    configuration = state / "mosquitto.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return Part("broker", [find_mosquitto(), "-c", str(configuration)], folder, port)


def embedded_broker(folder: Path) -> Part:
    port = steady_port()
    return Part("broker", haina("broker", "--listen", f"127.0.0.1:{port}"), folder, port)


def influxdb(folder: Path) -> tuple[Part, RunningInflux]:
    """InfluxDB 2 where HAINA_TEST_INFLUXD names one, else Debian's 1.6; without a bucket. Raises FileNotFoundError."""
    state, port = folder / "influxdb", steady_port()
    state.mkdir()
    url = f"http://127.0.0.1:{port}"
    if program := os.environ.get("HAINA_TEST_INFLUXD"):
        return Part("influxdb", command_2(program, state, port), folder, port), RunningInflux(2, url, TOKEN)
    if (program := shutil.which("influxd")) is None:
        raise FileNotFoundError("a seed with a second store needs InfluxDB (Debian and Ubuntu: apt install influxdb)")
    return Part("influxdb", command_1(program, state, port), folder, port), RunningInflux(1, url, "")


def haina(*arguments: str) -> list[str]:
    """The command line of a part."""
    return [sys.executable, "-m", "haina", *arguments]


def die_with_parent() -> None:
    """Nothing may be left running, even when the campaign itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def steady_port() -> int:
    """A free port that no connection is given by chance while its part is down."""
    dice = random.Random()
    while True:
        port = dice.randrange(10_000, 32_000)  # Linux gives out 32768 and above
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def until(
    true: Callable[[], Awaitable[object]], limit_s: float, what: str, progress: Callable[[], object] = lambda: None
) -> None:
    """Ask again and again until it is so. Raises TimeoutError saying what did not become so.

    The time begins anew whenever `progress` is another: a busy machine may be slow, but it must not stand still.
    """
    loop = asyncio.get_running_loop()
    give_up_s, before = loop.time() + limit_s, progress()
    while True:
        if (now := progress()) != before:
            give_up_s, before = loop.time() + limit_s, now
        with contextlib.suppress(OSError):
            if await true():
                return
        if loop.time() > give_up_s:
            raise TimeoutError(f"after {limit_s:g} s still not: {what}")
        await asyncio.sleep(0.2)
