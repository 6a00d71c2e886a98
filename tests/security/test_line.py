"""The whole line behind TLS and accounts of its own: everything arrives, and no secret shows anywhere."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from haina.credentials import new_password, read_accounts
from tests.brokers import ROOT, RunningBroker, free_port, mosquitto_broker

WAIT_S = 90.0
TOWN = "title: One place\nareas:\n  a01: {centres: 1, homes: 2}\n"
STORE_TOKEN, COLLECTOR_TOKEN = new_password(), new_password()


class Line:
    """A folder in which commands run, each with what it needs to know and no more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"127.0.0.1:{free_port()}"
        self.collector = f"127.0.0.1:{free_port()}"
        self.console = f"127.0.0.1:{free_port()}"
        self.command_lines = ""
        self.said = ""
        (folder / "town.yaml").write_text(TOWN)
        self.haina("credentials", "--scenario", "town.yaml", "--to", "secrets", "--tls", "127.0.0.1")

    def haina(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "haina", *arguments],
            cwd=self.folder, env=self._environment(environment), capture_output=True, text=True,
            timeout=WAIT_S, check=False,
        )  # fmt: skip
        self.said += done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[None]:
        """While the body runs, so does this command."""
        log = self.folder / f"{arguments[0]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "haina", *arguments],
                cwd=self.folder, env=self._environment(environment),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield
            shown = subprocess.run(
                ["ps", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True, check=True
            )
            self.command_lines += shown.stdout
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
            self.said += log.read_text()

    @staticmethod
    def _environment(more: dict[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("HAINA_")}
        return own | {"PYTHONPATH": str(ROOT), "HAINA_LOG_LEVEL": "debug"} | more

    def entry(self, part: str) -> list[str]:
        """The flags by which a part of the line enters the broker."""
        secrets = f"secrets/{part}"
        return ["--credentials", f"{secrets}/accounts", "--ca-file", f"{secrets}/ca.pem", "--certificate",
                f"{secrets}/certificate.pem"]  # fmt: skip

    def simulate(self, broker: RunningBroker) -> dict[str, Any]:
        """An hour of the town; the run's summary."""
        hour = ["--start", "2026-03-02T08:00+08:00", "--duration", "1h"]
        said = self.haina(
            "simulate", "--scenario", "town.yaml", "--broker", broker.url, *self.entry("simulator"), *hour,
            "--data", "run", "--json",
        )  # fmt: skip
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found

    @staticmethod
    def until_answered(url: str) -> None:
        until(lambda: httpx.get(url).status_code == 200)


def until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        try:
            if true():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline_s, "it is not so in time"
        time.sleep(0.1)


def test_a_town_behind_tls_and_accounts_loses_nothing_and_shows_no_secret(tmp_path: Path) -> None:
    line = Line(tmp_path)
    secrets = tmp_path / "secrets"
    certificate = secrets / "mosquitto/certificate.pem"
    asking = [f"cafile {secrets}/mosquitto/ca.pem", "require_certificate true"]
    store, collector = f"duckdb+http://{line.store}", f"http://{line.collector}"
    with (
        mosquitto_broker(certificate=(certificate, certificate), secrets=secrets, extra=asking) as broker,
        line.running("store", "--data", "store", "--listen", line.store, HAINA_STORE_TOKEN=STORE_TOKEN),
    ):
        line.until_answered(f"http://{line.store}/healthz")
        entry = ["--broker", broker.url, *line.entry("collector")]
        keeping = ["--store", store, "--data", "collector", "--http", line.collector]
        tokens = {"HAINA_STORE_TOKEN": STORE_TOKEN, "HAINA_COLLECTOR_TOKEN": COLLECTOR_TOKEN}
        with (
            line.running("collect", *entry, *keeping, **tokens),
            line.running("console", "--broker", broker.url, *line.entry("console"), "--listen", line.console,
                         "--store", store, "--collector", collector, **tokens),
        ):  # fmt: skip
            line.until_answered(f"{collector}/healthz")
            summary = line.simulate(broker)
            assert summary["outstanding"] == 0
            status = json.loads(line.haina("status", "--json", "--url", collector, **tokens))
            assert status["counters"]["journaled"] == summary["acknowledged"] > 200
            assert "set HAINA_COLLECTOR_TOKEN" in line.haina("status", "--url", collector, code=2)
            assert [httpx.get(f"{collector}/{path}").status_code for path in ("status", "metrics")] == [401, 401]
            until(lambda: httpx.get(f"http://{line.console}/healthz").json()["state"]["broker"][0] == "ok")
        audit = json.loads(line.haina("audit", "--sent", "run/run.sent", "--store", store, "--json", **tokens))
        assert audit["clean"]
        assert audit["stored"] == summary["published"]

        nobodys = tmp_path / "two.yaml"
        nobodys.write_text(TOWN.replace("homes: 2", "homes: 4"))
        refused = line.haina(
            "simulate", "--scenario", "two.yaml", "--broker", broker.url, *line.entry("simulator"), code=2
        )
        assert "no account for a01/h" in refused

    passwords = [read_accounts(file) for file in secrets.glob("*/accounts")]
    secret = {STORE_TOKEN, COLLECTOR_TOKEN, *(password for held in passwords for password in held.values())}
    assert len(secret) == 2 + 2 + 9  # collector, console, weather, centre, two homes, four bases, the clock
    assert not [word for word in secret if word in line.said or word in line.command_lines or word in broker.log]
    assert all(part in line.command_lines for part in ("store", "collect", "console"))
