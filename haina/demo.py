"""The whole town on one machine: a supervisor of the ordinary commands.

The demo has no machinery of its own. It starts `haina broker`, `store`, `collect`, `simulate` and `console` as child
processes, the way a person would in five terminals, on free loopback ports, each with its log in the data folder. It
watches them, shows how the history fills in, and stops them in the order in which data flows, so that nothing is
left half way. If one dies, all stop, and the last words of its log are shown.

Without a terminal to look at (`--headless`) it ends with an account: what was published, and, by comparing the sent
ledger with the store, what was lost or doubled.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from haina.contract import CLOCK_TOPIC, Clock, Phase, decode
from haina.listen import NotHostPort, host_port
from haina.store_url import collector_entry

NEEDED_DISK_BYTES = 500 * 1024 * 1024  # a day of `laptop` takes about a tenth of it; the rest is for going on
START_S = 60.0  # the longest a part may take to answer after it was started
SHIP_S = 30.0  # the longest the account waits for the store to have everything
LAST_WORDS = 12
PORTS = {"broker": 1883, "store": 8790, "collector": 8791}
ANOTHER_BROKERS = {"HAINA_CREDENTIALS", "HAINA_CA_FILE", "HAINA_CERTIFICATE", "HAINA_KEY"}  # ours asks for nothing
ORDER_OF_STOPPING = (("simulate", 2.2), ("collect", 1.0), ("store", 0.8), ("broker", 0.3))  # with the console, 4.5 s
"""Who is stopped when, and how long each may take, in seconds: in all less than the 5 s that Ctrl-C may take."""


class DemoFailed(Exception):
    """The demo cannot begin (code 2) or go on (code 1); the message says why and what to do."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class _Part:
    """A child process and what it leaves behind."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    out: Path
    peak_rss_bytes: int = 0

    def poll(self) -> int | None:
        """The exit code once it has ended; reaping it tells the memory it took at most."""
        if self.process.returncode is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.peak_rss_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return self.process.returncode

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-LAST_WORDS:])


@dataclass
class Demo:
    """One demo. `run` lives it and returns the exit code."""

    scenario: str
    seed: int
    history: str
    speed: float
    data: Path
    listen: str | None
    live_s: float | None
    as_json: bool
    _parts: dict[str, _Part] = field(default_factory=dict)
    _stopping: bool = False

    def run(self) -> int:
        """Live until Ctrl-C, or for `live_s`. Raises DemoFailed."""
        began_s = time.monotonic()
        screen = Console(stderr=self.as_json or self.listen is None)
        if self.listen is not None:
            self.listen = _checked_listen(self.listen)
        with self._folder(), self._signals():
            try:
                with _taking_ports():
                    urls = self._start()
                self._show(screen, urls)
                backfill_s = self._fill_history(screen, urls["broker"], began_s)
                self._live()
                if self.listen is None or self.as_json:
                    return self._account(screen, urls, began_s, backfill_s)
            except KeyboardInterrupt:
                screen.print("Stopping …")
                if self.as_json:
                    raise
            finally:
                self._stop_all()
        used = sum(file.stat().st_size for file in self.data.rglob("*") if file.is_file())
        screen.print(
            f"Stopped. The data is in [bold]{self.data}[/] ({used / 2**20:.0f} MiB): the next demo there goes on "
            f"where this one stopped; delete the folder to start anew."
        )
        return 0

    # Before anything starts

    @contextlib.contextmanager
    def _folder(self) -> Iterator[None]:
        """Take the data folder for this demo alone."""
        try:
            (self.data / "logs").mkdir(parents=True, exist_ok=True)
            lock = (self.data / "demo.lock").open("a+")
            free = shutil.disk_usage(self.data).free
        except OSError as error:
            raise DemoFailed(f"--data {self.data}: {error.strerror}; choose another folder") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                raise DemoFailed(
                    f"another demo (process {lock.read().strip() or 'unknown'}) runs on {self.data}; "
                    "stop it, or give this one another folder with --data and another port with --listen"
                ) from None
            if free < NEEDED_DISK_BYTES:
                raise DemoFailed(
                    f"only {free / 2**20:.0f} MiB are free where {self.data} is, and the demo wants "
                    f"{NEEDED_DISK_BYTES / 2**20:.0f}; free some, or choose another folder with --data"
                )
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM ends the demo as Ctrl-C does."""
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    # Starting

    def _start(self) -> dict[str, str]:
        """Start the parts; return where they are."""
        ports = {name: _free_port(port) for name, port in PORTS.items()}
        urls = {
            "broker": f"mqtt://127.0.0.1:{ports['broker']}",
            "store": f"duckdb+http://127.0.0.1:{ports['store']}",
            "collector": f"http://127.0.0.1:{ports['collector']}",
        }
        data = self.data
        health = f"{urls['collector']}/healthz"
        self._begin("broker", "--listen", f"127.0.0.1:{ports['broker']}")
        self._begin("store", "--data", str(data / "store"), "--listen", f"127.0.0.1:{ports['store']}")
        self._begin(
            "simulate", "--scenario", self.scenario, "--seed", str(self.seed), "--history", self.history,
            "--speed", str(self.speed), "--broker", urls["broker"], "--data", str(data / "run"),
            "--wait-for", health, "--json",
        )  # fmt: skip
        if self.listen is not None:
            urls["console"] = f"http://{self.listen}"
            self._begin(
                "console", "--store", urls["store"], "--broker", urls["broker"], "--collector", urls["collector"],
                "--listen", self.listen, "--data", str(data / "console"),
            )  # fmt: skip
        self._await(lambda: _answers(f"http://127.0.0.1:{ports['store']}/healthz"), "store")
        self._await(lambda: not _is_free("127.0.0.1", ports["broker"]), "broker")
        self._begin(
            "collect", "--broker", urls["broker"], "--store", urls["store"], "--data", str(data / "collector"),
            "--http", f"127.0.0.1:{ports['collector']}",
        )  # fmt: skip
        self._await(lambda: _answers(health), "collect")
        if self.listen is not None:
            self._await(lambda: _answers(f"{urls['console']}/"), "console")
        return urls

    def _begin(self, name: str, *arguments: str) -> None:
        logs = self.data / "logs"
        log, out = logs / f"{name}.log", logs / f"{name}.out"
        command = [sys.executable, "-m", "haina", "--log-format", "console", name, *arguments]
        with log.open("wb") as stderr, out.open("wb") as stdout:
            process = subprocess.Popen(  # in a session of its own, so that Ctrl-C reaches only us and order is kept
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=_environment(),
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one prctl call; no threads run yet that could mind
            )
        self._parts[name] = _Part(name, process, log, out)

    def _await(self, ready: Any, name: str) -> None:
        deadline_s = time.monotonic() + START_S
        while not ready():
            self._check()
            if time.monotonic() > deadline_s:
                raise DemoFailed(f"{name} does not answer after {START_S:.0f} s; its log: {self._parts[name].log}", 1)
            time.sleep(0.05)

    def _check(self) -> None:
        """Notice a part that died."""
        for part in self._parts.values():
            code = part.poll()
            if code is not None and not self._stopping:
                words = part.last_words().removeprefix("haina: ")
                if code == 2:
                    raise DemoFailed(words)
                raise DemoFailed(f"{part.name} ended with exit code {code}; the end of {part.log}:\n{words}", 1)

    # Showing

    def _show(self, screen: Console, urls: dict[str, str]) -> None:
        table = Table.grid(padding=(0, 2))
        if "console" in urls:
            table.add_row("[bold]Console", f"[bold link={urls['console']}]{urls['console']}[/]")
        table.add_row("Broker", urls["broker"], "embedded, MQTT 3.1.1; topics haina/v1/#")
        table.add_row("Store", urls["store"].removeprefix("duckdb+"), f"DuckDB, {self.data / 'store'}")
        table.add_row("Collector", f"{urls['collector']}/status", f"or: haina status --url {urls['collector']}")
        table.add_row("Simulator", f"scenario {self.scenario}, seed {self.seed}", f"ledgers in {self.data / 'run'}")
        table.add_row("Logs", str(self.data / "logs"))
        screen.print(Panel(table, title="Haina Town is running", subtitle="Ctrl-C stops everything", expand=False))

    def _fill_history(self, screen: Console, broker_url: str, began_s: float) -> float:
        """Show how history fills in, from the clock that everybody sees; return how long it took since the start."""
        clocks: list[Clock] = []

        def heard(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            with contextlib.suppress(msgspec.DecodeError):
                clocks[:] = [decode(Clock, bytes(message.payload))]

        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"haina-demo-{os.getpid()}")
        client.on_message = heard
        host, port = host_port(broker_url.removeprefix("mqtt://"))
        client.on_connect = lambda client, *_: client.subscribe(CLOCK_TOPIC)
        client.connect(host, port)
        client.loop_start()
        columns = (TextColumn("filling in history"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        try:
            with Progress(*columns, console=screen, transient=True) as progress:
                task = progress.add_task("", total=1.0)
                while not (clocks and clocks[0].phase is Phase.LIVE):
                    self._check()
                    if clocks and clocks[0].start is not None:
                        end_ms = clocks[0].live_from or time.time() * 1000
                        progress.update(
                            task, completed=(clocks[0].time - clocks[0].start) / max(end_ms - clocks[0].start, 1)
                        )
                    time.sleep(0.1)
        finally:
            client.disconnect()
            client.loop_stop()
        took_s = time.monotonic() - began_s
        screen.print(f"History is in after {took_s:.0f} s; the town is live.")
        return took_s

    def _live(self) -> None:
        until_s = None if self.live_s is None else time.monotonic() + self.live_s
        while until_s is None or time.monotonic() < until_s:
            self._check()
            time.sleep(0.2)

    # Ending

    def _account(self, screen: Console, urls: dict[str, str], began_s: float, backfill_s: float) -> int:
        """Stop the town, let everything reach the store, and compare what was sent with what is there."""
        self._stop("simulate", 5.0)
        summary = json.loads(self._parts["simulate"].out.read_text())
        deadline_s = time.monotonic() + SHIP_S
        while (status := self._collector_status(urls["collector"]))["pending"] and time.monotonic() < deadline_s:
            time.sleep(0.1)
        wall_s = time.monotonic() - began_s
        audit = subprocess.run(
            [sys.executable, "-m", "haina", "audit", "--sent", str(self.data / "run" / "run.sent"),
             "--store", urls["store"], "--json"],
            env=_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        try:
            found = json.loads(audit.stdout)
        except ValueError:
            raise DemoFailed(f"the audit could not be made: {audit.stderr.strip()}", 1) from None
        self._stop_all()
        account = {
            "published": summary["published"],
            "acknowledged": summary["acknowledged"],
            **status,
            "lost": found["lost"],
            "duplicates": found["duplicates"],
            "simulated_s": summary["simulated_s"],
            "backfill_s": round(backfill_s, 3),
            "wall_s": round(wall_s, 3),
            "peak_rss_mib": round(sum(part.peak_rss_bytes for part in self._parts.values()) / 2**20, 1),
        }
        if self.as_json:
            sys.stdout.write(json.dumps(account) + "\n")
        else:
            screen.print_json(data=account)
        if not found["clean"]:
            screen.print(f"The store does not hold what was sent: {found}", style="red")
        return 0 if found["clean"] else 1

    @staticmethod
    def _collector_status(url: str) -> dict[str, int]:
        with urlopen(Request(f"{url}/status", headers=collector_entry()), timeout=10) as answer:
            status = json.load(answer)
        [store], counters = status["stores"], status["counters"]
        return {
            "received": counters["received"],
            "stored": store["stored"],
            "rejected": counters["rejected"],
            "refused": store["refused"],
            "pending": store["pending"] + counters["in_memory"],
        }

    def _stop_all(self) -> None:
        self._stopping = True
        if "console" in self._parts:
            self._parts["console"].process.send_signal(signal.SIGTERM)
        for name, patience_s in ORDER_OF_STOPPING:
            self._stop(name, patience_s)
        self._stop("console", 0.2)

    def _stop(self, name: str, patience_s: float) -> None:
        """Ask a part to end; after a while, end it."""
        self._stopping = True
        part = self._parts.get(name)
        if part is None or part.poll() is not None:
            return
        part.process.send_signal(signal.SIGTERM)
        deadline_s = time.monotonic() + patience_s
        while part.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.02)
        if part.poll() is None:
            part.process.kill()
            while part.poll() is None:
                time.sleep(0.01)


def _checked_listen(listen: str) -> str:
    """Where the console can listen, with a free port for port 0. Raises DemoFailed."""
    try:
        host, port = host_port(listen)
    except NotHostPort as wrong:
        raise DemoFailed(f"--listen {wrong}") from None
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            return f"{listen.rpartition(':')[0]}:{probe.getsockname()[1]}"
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            why = str(error.strerror).partition(" (")[0]
            raise DemoFailed(f"cannot listen on {listen}: {why}; choose another --listen") from None
        other = f"{host}:{port + 1}"
        raise DemoFailed(
            f"port {port} is in use; stop what uses it, or choose another: "
            f"make demo LISTEN={other}, or haina demo --listen {other}"
        ) from None


def _end_with_parent() -> None:
    """On Linux, let the kernel stop this child when the supervisor dies without a word."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ANOTHER_BROKERS}


@contextlib.contextmanager
def _taking_ports() -> Iterator[None]:
    """Demos of a machine take their ports one after another, or two that start together would choose the same.

    Whose turn it is says a lock on the folder for temporary files, which leaves nothing behind.
    """
    turn = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
    finally:
        os.close(turn)


def _free_port(preferred: int) -> int:
    """The usual port, or any free one when something else has it."""
    if _is_free("127.0.0.1", preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
