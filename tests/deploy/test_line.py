"""The whole line with docker-compose.yml's own commands, environment and roles: town, Mosquitto, collector, InfluxDB.

On Debian's InfluxDB 1.6 always, and on InfluxDB 2, set up as its image would, when HAINA_TEST_INFLUXD names a binary.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from haina.contract import CLOCK_TOPIC, Clock, Phase, decode
from tests.brokers import ROOT, RunningBroker, free_port
from tests.deploy.stack import Stack, stack_broker
from tests.influx import influxdb_1

START_S = 60.0
RUN_S = 90.0
OURS = ("collector", "simulator", "console")


@dataclass
class Line:
    """What runs, and where."""

    stack: Stack
    influx_version: int
    places: dict[str, str]
    folder: Path

    @property
    def influx_url(self) -> str:
        return f"http://{self.places['influxdb:8086']}"

    def here(self, text: str, name: str = "") -> str:
        """A text of docker-compose.yml with this machine's addresses, and a service's own /data."""
        places = self.places | {"/data": str(self.folder / name), "/secrets": str(self.stack.credentials / name)}
        return re.sub("|".join(rf"{re.escape(place)}(?!\w)" for place in places), lambda found: places[found[0]], text)

    def environment(self, name: str) -> dict[str, str]:
        """The service's environment, and of our own only what no setting of Haina's is."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("HAINA_")}
        return own | {key: self.here(value, name) for key, value in self.stack.services[name]["environment"].items()}

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        command = [self.here(argument, name) for argument in self.stack.services[name]["command"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "haina", *command],
                cwd=self.folder,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def health_check(self, name: str) -> int:
        """The exit code of the service's own health check."""
        kind, program, *arguments = self.stack.services[name]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        command = [sys.executable, *(self.here(argument) for argument in arguments)]
        return subprocess.run(command, env=self.environment(name), capture_output=True, check=False).returncode

    def await_health(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        deadline_s = time.monotonic() + START_S
        while self.health_check(name):
            assert process.poll() is None, f"{name} ended:\n{self.log(name)}"
            assert time.monotonic() < deadline_s, f"{name} does not become healthy:\n{self.log(name)}"
            time.sleep(0.3)

    def collector_status(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.stack.secrets['HAINA_COLLECTOR_TOKEN']}"}
        url = f"http://{self.places['collector:8791']}/status"
        answer: dict[str, Any] = httpx.get(url, headers=headers, timeout=10).json()
        return answer

    def ask(self, influxql: str) -> httpx.Response:
        """A question as the provisioned data source puts it."""
        [source] = yaml.safe_load((ROOT / "deploy/grafana/datasources/haina.yaml").read_text())["datasources"]
        variable = source["secureJsonData"]["basicAuthPassword"].removeprefix("$")
        account = (source["basicAuthUser"], self.stack.services["grafana"]["environment"][variable])
        return httpx.request(
            source["jsonData"]["httpMode"],
            self.here(source["url"]) + "/query",
            params={"db": source["jsonData"]["dbName"], "epoch": "ms"},
            data={"q": influxql},
            auth=account if self.influx_version == 2 else None,
            timeout=20,
        )


@pytest.fixture(scope="module", params=[1, 2], ids=["InfluxDB 1.6", "InfluxDB 2"])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Mosquitto, InfluxDB and collector; then the town from half an hour ago until now; then the console."""
    folder = tmp_path_factory.mktemp("line")
    stack = Stack(folder, HAINA_HISTORY="30m")
    with ExitStack() as running:
        influx = running.enter_context(influx_1() if request.param == 1 else influx_2(stack, folder))
        broker = running.enter_context(stack_broker(stack))
        collector, console = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        places = {
            "mosquitto:8883": f"{broker.host}:{broker.port}",
            "influxdb:8086": influx,
            "0.0.0.0:8791": collector,
            "127.0.0.1:8791": collector,
            "collector:8791": collector,
            "0.0.0.0:8080": console,
            "127.0.0.1:8080": console,
        }
        line = Line(stack, request.param, places, folder)
        processes: dict[str, subprocess.Popen[bytes]] = {}
        running.callback(lambda: [stopped(process) for process in reversed(processes.values())])
        processes["collector"] = line.start("collector")
        line.await_health("collector", processes["collector"])
        processes["simulator"] = line.start("simulator")
        await_live(line, broker, processes["simulator"])
        assert stopped(processes["simulator"]) == 0, line.log("simulator")
        until(lambda: line.collector_status()["stores"][0]["pending"] == 0, lambda: line.log("collector"))
        processes["console"] = line.start("console")
        line.await_health("console", processes["console"])
        yield line


@contextmanager
def influx_1() -> Iterator[str]:
    with influxdb_1() as influx:
        influx.create_bucket("haina")
        influx.create_bucket("haina-hourly")
        yield influx.url.removeprefix("http://")


@contextmanager
def influx_2(stack: Stack, folder: Path) -> Iterator[str]:
    """InfluxDB 2 with the environment of its service, set up by the requests that its image's script makes."""
    program = os.environ.get("HAINA_TEST_INFLUXD")
    if not program:
        pytest.skip("HAINA_TEST_INFLUXD names no InfluxDB 2 binary")
    service = stack.services["influxdb"]["environment"]
    where = f"127.0.0.1:{free_port()}"
    (folder / "influx").mkdir()
    paths = ("--bolt-path", "influxd.bolt", "--engine-path", "engine", "--http-bind-address", where)
    with (folder / "influxdb.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "run", *paths],
            cwd=folder / "influx",
            env=os.environ | service | {"HOME": str(folder / "influx")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: httpx.get(f"http://{where}/ready", timeout=2).status_code == 200)
        set_up(where, service)
        yield where
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def set_up(where: str, service: dict[str, str]) -> None:
    """What `influx setup`, and `bucket create` and `v1 auth create` of deploy/influxdb/reader.sh, ask of the server."""
    days = re.fullmatch(r"(\d+)d", service["DOCKER_INFLUXDB_INIT_RETENTION"])
    assert days is not None
    asked = {
        "username": service["DOCKER_INFLUXDB_INIT_USERNAME"],
        "password": service["DOCKER_INFLUXDB_INIT_PASSWORD"],
        "org": service["DOCKER_INFLUXDB_INIT_ORG"],
        "bucket": service["DOCKER_INFLUXDB_INIT_BUCKET"],
        "token": service["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"],
        "retentionPeriodSeconds": int(days[1]) * 86_400,
    }
    made = httpx.post(f"http://{where}/api/v2/setup", json=asked)
    assert made.status_code == 201, made.text
    organisation, bucket = made.json()["org"]["id"], made.json()["bucket"]["id"]
    script = (ROOT / "deploy/influxdb/reader.sh").read_text()
    assert re.search(r"--username reader\b", script)
    assert 'bucket create --name "$DOCKER_INFLUXDB_INIT_BUCKET-hourly"' in script
    assert '--read-bucket "$DOCKER_INFLUXDB_INIT_BUCKET_ID"' in script
    assert "write" not in script.split("influx v1 auth create")[1]
    accounts = f"http://{where}/private/legacy/authorizations"
    headers = {"Authorization": f"Token {asked['token']}"}
    beside = {"name": f"{asked['bucket']}-hourly", "orgID": organisation, "retentionRules": []}
    hourly = httpx.post(f"http://{where}/api/v2/buckets", json=beside, headers=headers).json()["id"]
    reading = [
        {"action": "read", "resource": {"type": "buckets", "id": id_, "orgID": organisation}}
        for id_ in (bucket, hourly)
    ]
    account = httpx.post(
        accounts, json={"token": "reader", "orgID": organisation, "permissions": reading}, headers=headers
    )
    assert account.status_code == 201, account.text
    password = {"password": service["HAINA_INFLUX_READER_PASSWORD"]}
    done = httpx.post(f"{accounts}/{account.json()['id']}/password", json=password, headers=headers)
    assert done.status_code == 204, done.text


def until(true: Callable[[], bool], why: Callable[[], str] = str, within_s: float = START_S) -> None:
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            if true():
                return
        except (httpx.HTTPError, KeyError, IndexError):
            pass
        assert time.monotonic() < deadline_s, why()
        time.sleep(0.1)


def stopped(process: "subprocess.Popen[bytes]") -> int:
    """Ask it to stop as Compose does, and wait as long as Compose would."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def await_live(line: Line, broker: RunningBroker, simulator: "subprocess.Popen[bytes]") -> None:
    """Until the clock, heard in the console's role, says that the town has arrived at now."""
    live = threading.Event()

    def heard(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if decode(Clock, bytes(message.payload)).phase is Phase.LIVE:
            live.set()

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("console", line.stack.accounts("console")["console"])
    client.tls_set(str(line.stack.credentials / "console/ca.pem"))
    client.on_message = heard
    client.on_connect = lambda client, *_: client.subscribe(CLOCK_TOPIC)
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        deadline_s = time.monotonic() + RUN_S
        while not live.wait(0.2):
            assert simulator.poll() is None, f"the simulator ended:\n{line.log('simulator')}"
            assert time.monotonic() < deadline_s, f"{line.log('simulator')}\n{line.collector_status()}"
    finally:
        client.disconnect()
        client.loop_stop()


def test_what_the_town_said_is_in_influxdb_once_and_unaltered(line: Line) -> None:
    command = line.stack.services["collector"]["command"]
    store = line.here(command[command.index("--store") + 1])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "haina",
            "audit",
            "--sent",
            line.folder / "simulator/laptop-1/run.sent",
            "--store",
            store,
            "--json",
        ],
        cwd=line.folder,
        env=line.environment("console"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["lost"], found["duplicates"]) == (0, 0)
    status = line.collector_status()
    assert not status["rejected"]
    [stored] = [kept["stored"] for kept in status["stores"]]
    assert stored > 1_000  # half an hour of `laptop` is about eight thousand


def test_every_container_of_ours_passes_its_own_health_check(line: Line) -> None:
    assert {name: line.health_check(name) for name in ("collector", "console")} == {"collector": 0, "console": 0}


def test_no_log_shows_a_secret(line: Line) -> None:
    logs = {path.name: path.read_text(errors="replace") for path in line.folder.glob("*.log")}
    assert {f"{name}.log" for name in OURS} <= set(logs)
    assert all(logs[f"{name}.log"] for name in OURS)
    secrets = [secret for name, secret in line.stack.secrets.items() if name != "COMPOSE_PROJECT_NAME"]
    secrets += [secret for part in OURS for secret in line.stack.accounts(part).values()]
    assert not [name for name, log in logs.items() for secret in secrets if secret in log]


def test_the_console_lets_nobody_in_without_its_password(line: Line) -> None:
    url = f"http://{line.places['127.0.0.1:8080']}/"
    secret = line.stack.secrets["HAINA_CONSOLE_PASSWORD"]
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=("", "wrong")).status_code == 401
    assert httpx.get(url, auth=("anybody", secret), follow_redirects=True).status_code == 200


def test_the_console_reads_what_was_stored(line: Line) -> None:
    answer = httpx.get(
        f"http://{line.places['127.0.0.1:8080']}/api/sites",
        auth=("", line.stack.secrets["HAINA_CONSOLE_PASSWORD"]),
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()


def test_every_statement_of_every_dashboard_is_answered_to_grafanas_account(line: Line) -> None:
    answered = 0
    for file in sorted((ROOT / "dashboards/grafana/en").glob("*.json")):
        dashboard = json.loads(file.read_text())
        statements = [target["query"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        statements += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
        for statement in statements:
            for macro, value in (
                ("$timeFilter", "time >= now() - 1h AND time < now()"),
                ("$__interval_ms", "60000"),
                ("$__interval", "60s"),
                ("${area:regex}", ".*"),
                ("${site:regex}", ".*"),
                ("${hours:raw}", "haina-hourly"),
            ):
                statement = statement.replace(macro, value)  # noqa: PLW2901
            answer = line.ask(statement)
            assert answer.status_code == 200, f"{file.name}: {statement}: {answer.text}"
            [result] = answer.json()["results"]
            assert "error" not in result, f"{file.name}: {statement}: {result}"
            answered += "series" in result
    assert answered > 10


def test_grafanas_account_can_neither_write_nor_delete(line: Line) -> None:
    if line.influx_version == 1:
        pytest.skip("InfluxDB 1 stands in without accounts")
    password = line.stack.secrets["HAINA_INFLUX_READER_PASSWORD"]
    account = ("reader", password)
    count = 'SELECT count("boot") FROM "wearable"'
    before = line.ask(count).json()
    assert "error" not in line.ask('SELECT * FROM "haina-hourly".."wearable"').text, "it may read the hours as well"
    line_protocol = "wearable,site=forged boot=1i"
    written = httpx.post(f"{line.influx_url}/write?db=haina", content=line_protocol, auth=account)
    written_2 = httpx.post(
        f"{line.influx_url}/api/v2/write?org=haina&bucket=haina", content=line_protocol, auth=account
    )
    deleted = line.ask('DELETE FROM "wearable"')
    assert {written.status_code, written_2.status_code} <= {401, 403}
    assert "error" in deleted.text or deleted.status_code >= 400
    assert line.ask(count).json() == before
    assert httpx.post(f"{line.influx_url}/query?db=haina", data={"q": count}).status_code == 401
