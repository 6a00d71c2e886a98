"""Real brokers for tests: each a process of its own, on a free loopback port, with a folder of its own.

::

    with mosquitto_broker() as broker:
        ...                    # broker.url, broker.address
        broker.kill()          # as kill -9 does it
        broker.restart()       # same port, same folder
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from haina.mqtt import BrokerAddress

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 20.0


class RunningBroker:
    """A broker process that can be stopped, well or badly, and started again at the same address."""

    def __init__(self, command: Sequence[str], port: int, folder: Path, scheme: str = "mqtt") -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.url = f"{scheme}://{self.host}:{port}"
        self.address = BrokerAddress.parse(self.url)
        self.folder = folder
        self.trusted: Path | None = None
        """The authority of its certificate, if there is one to be known."""
        self._command = command
        self._log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What the process has printed, through all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start, and wait until the port accepts; RuntimeError, with what it printed, if it does not."""
        assert not self.is_running
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            if not self.is_running:
                raise RuntimeError(f"{self._command[0]} stopped at once:\n{self.log}")
            if time.monotonic() > deadline_s:
                self.kill()
                raise RuntimeError(f"{self._command[0]} does not listen:\n{self.log}")
            time.sleep(0.02)

    def _accepts(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return self.is_running  # else somebody else took the port

    def terminate(self) -> int:
        """Ask it to stop (SIGTERM) and wait; the answer is its exit code."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """Stop it as `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start it again, at the same port and in the same folder; ask it to stop first if it runs."""
        if self.is_running:
            self.terminate()
        self.start()


def free_port() -> int:
    """A loopback port nobody listens on; somebody else may take it, so whoever starts there may have to try again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def embedded_broker(**options: Any) -> Iterator[RunningBroker]:
    """The broker of `haina.broker`, with the options of `run_embedded_broker`."""

    def build(port: int, folder: Path) -> RunningBroker:
        code = f"from haina.broker import run_embedded_broker; run_embedded_broker(port={port}, **{options!r})"
        return RunningBroker([sys.executable, "-c", code], port, folder)

    with _running(build) as broker:
        yield broker


@contextmanager
def mosquitto_broker(
    *,
    max_inflight_messages: int = 1_000,
    users: Mapping[str, str] | None = None,
    certificate: tuple[Path, Path] | None = None,
    secrets: Path | None = None,
    extra: Sequence[str] = (),
) -> Iterator[RunningBroker]:
    """Mosquitto, keeping every queued message and saving its state when it is asked to stop.

    `users` are names and passwords (without them, anybody may enter); `certificate` is the files of a certificate and
    its key, for TLS; `secrets` is a folder of `haina credentials`, whose accounts and rules hold; `extra` is more
    lines of its configuration.
    """
    program = find_mosquitto()

    def build(port: int, folder: Path) -> RunningBroker:
        lines = [
            f"listener {port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            f"max_inflight_messages {max_inflight_messages}",
            "max_queued_messages 0",
            "max_queued_bytes 0",
            f"allow_anonymous {'false' if users or secrets else 'true'}",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
        ]
        if os.geteuid() == 0:  # it would become a user who cannot write into the folder
            lines.append("user root")
        if users:
            passwords = folder / "passwords"
            passwords.write_text("".join(f"{name}:{password}\n" for name, password in users.items()))
            hasher = Path(program).parents[1] / "bin" / "mosquitto_passwd"
            subprocess.run([hasher, "-U", passwords], check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        if certificate:
            lines += [f"certfile {certificate[0]}", f"keyfile {certificate[1]}"]
        if secrets:
            lines += [f"password_file {secrets}/mosquitto/passwords", f"acl_file {secrets}/mosquitto/acl"]
        configuration = folder / "mosquitto.conf"
        configuration.write_text("\n".join([*lines, *extra]) + "\n")
        scheme = "mqtts" if certificate else "mqtt"
        return RunningBroker([program, "-c", str(configuration)], port, folder, scheme)

    with _running(build) as broker:
        yield broker


def find_mosquitto() -> str:
    """Where Mosquitto is; a test that needs it is skipped without it, and fails on a machine that sets CI."""
    folders = [*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]
    program = shutil.which("mosquitto", path=os.pathsep.join(folders))
    if program is None:
        sentence = "Mosquitto is not installed (Debian and Ubuntu: apt install mosquitto)"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(sentence)
        pytest.skip(sentence)
    return program


@contextmanager
def _running(build: Callable[[int, Path], RunningBroker]) -> Iterator[RunningBroker]:
    with tempfile.TemporaryDirectory(prefix="haina-test-broker-") as folder:
        for attempt in range(3):
            broker = build(free_port(), Path(folder))
            try:
                broker.start()
                break
            except RuntimeError:  # the port may have been taken meanwhile
                if attempt == 2:
                    raise
        try:
            yield broker
        finally:
            if broker.is_running:
                broker.kill()
