"""Real InfluxDBs for tests: each a process of its own, on free loopback ports, with a folder of its own.

::

    with influxdb_1() as influx:                    # Debian's 1.6
        url = influx.create_bucket("town")          # influxdb+http://127.0.0.1:…/town?org=haina
    with influxdb_2() as influx:                    # the binary HAINA_TEST_INFLUXD names

1.6 is older than `/api/v2/write`, which 1.8 has: a small server in front maps that path to `/write?db=`.
"""

import http.client
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.brokers import free_port

ORG = "haina"
START_TIMEOUT_S = 60.0


class RunningInflux:
    """An InfluxDB process: where it is, and what tests do to it."""

    def __init__(self, version: int, url: str, token: str) -> None:
        self.version = version
        self.url = url
        self.token = token
        self._organisation_id = ""
        self.process: subprocess.Popen[bytes] | None = None

    def create_bucket(self, name: str, keep_s: int | None = None) -> str:
        """Make a bucket (1.x: a database) that keeps points for `keep_s` seconds or for ever; its store URL."""
        if self.version == 1:
            retention = f" WITH DURATION {keep_s}s" if keep_s else ""
            self.query("", f'CREATE DATABASE "{name}"{retention}', post=True)
        else:
            rules = [{"type": "expire", "everySeconds": keep_s}] if keep_s else []
            body = {"name": name, "orgID": self._organisation_id, "retentionRules": rules}
            answer = httpx.post(f"{self.url}/api/v2/buckets", json=body, headers=self._headers())
            assert answer.status_code == 201, answer.text
        return f"influxdb+{self.url}/{name}?org={ORG}"

    def query(self, bucket: str, influxql: str, post: bool = False) -> list[dict[str, object]]:
        """The series of one InfluxQL statement."""
        parameters = {"db": bucket, "q": influxql, "epoch": "ns"}
        method = "POST" if post else "GET"
        answer = httpx.request(method, f"{self.url}/query", params=parameters, headers=self._headers(), timeout=20)
        assert answer.status_code == 200, answer.text
        result = answer.json().get("results", [{}])[0]  # 2.x answers a DELETE with {}
        assert "error" not in result, result
        series: list[dict[str, object]] = result.get("series", [])
        return series

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.token}"} if self.token else {}

    def set_up_2(self) -> None:
        """Give a new InfluxDB 2 its organisation and token."""
        body = {"username": "tester", "password": "for-tests-alone", "org": ORG, "bucket": "first", "token": self.token}
        answer = httpx.post(f"{self.url}/api/v2/setup", json=body)
        assert answer.status_code == 201, answer.text
        self._organisation_id = answer.json()["org"]["id"]


@contextmanager
def influxdb_1(extra: Sequence[str] = ()) -> Iterator[RunningInflux]:
    """Debian's InfluxDB 1.6; `extra` is more lines for the `[http]` part of its configuration."""
    program = shutil.which("influxd")
    if program is None:
        _missing("InfluxDB 1 is not installed (Debian and Ubuntu: apt install influxdb)")
    with tempfile.TemporaryDirectory(prefix="haina-test-influx-") as folder:
        port = free_port()
        command = command_1(program, folder, port, extra)
        with _process(command, folder, f"http://127.0.0.1:{port}/ping") as process, _write_path(port) as url:
            influx = RunningInflux(1, url, "")
            influx.process = process
            yield influx


@contextmanager
def influxdb_2() -> Iterator[RunningInflux]:
    """InfluxDB 2, set up with an organisation and a token."""
    program = os.environ.get("HAINA_TEST_INFLUXD", "")
    if not program:
        pytest.skip("HAINA_TEST_INFLUXD names no InfluxDB 2 binary")
    with tempfile.TemporaryDirectory(prefix="haina-test-influx-") as folder:
        port = free_port()
        command = command_2(program, folder, port)
        influx = RunningInflux(2, f"http://127.0.0.1:{port}", "a-token-for-tests-alone")
        with _process(command, folder, f"{influx.url}/api/v2/setup") as process:
            influx.process = process
            influx.set_up_2()
            yield influx


def command_1(program: str, folder: str | Path, port: int, extra: Sequence[str] = ()) -> list[str]:
    """The command line of an InfluxDB 1 that keeps everything in `folder`."""
    lines = [
        "reporting-disabled = true",
        f'bind-address = "127.0.0.1:{free_port()}"',
        "[meta]",
        f'dir = "{folder}/meta"',
        "[data]",
        f'dir = "{folder}/data"',
        f'wal-dir = "{folder}/wal"',
        "query-log-enabled = false",
        "[monitor]",
        "store-enabled = false",
        "[http]",
        f'bind-address = "127.0.0.1:{port}"',
        "log-enabled = false",
        *extra,
    ]
    configuration = Path(folder) / "influxdb.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return [program, "-config", str(configuration)]


def command_2(program: str, folder: str | Path, port: int) -> list[str]:
    """The command line of an InfluxDB 2 that keeps everything in `folder`."""
    command = [program, "--bolt-path", f"{folder}/bolt", "--engine-path", f"{folder}/engine"]
    command += ["--sqlite-path", f"{folder}/sqlite", "--http-bind-address", f"127.0.0.1:{port}"]
    return [*command, "--reporting-disabled", "--log-level", "error"]


def _missing(sentence: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextmanager
def _process(command: Sequence[str], folder: str, ready_url: str) -> Iterator[subprocess.Popen[bytes]]:
    log = Path(folder) / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                answer = httpx.get(ready_url, timeout=2)
                if answer.is_success and "starting" not in answer.text:
                    break
            except httpx.HTTPError:
                pass
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{command[0]} does not answer:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _write_path(port: int) -> Iterator[str]:
    """A server before InfluxDB 1.6 that gives it the write path of 1.8."""

    class Rewrite(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            path = urlsplit(self.path)
            target = self.path
            if path.path == "/api/v2/write":
                said = parse_qs(path.query)
                target = "/write?" + urlencode({"db": said["bucket"][0], "precision": said["precision"][0][0]})
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in {"host", "accept-encoding"}}
            try:
                upstream.request(self.command, target, body, headers)
                answer = upstream.getresponse()
                content = answer.read()
            except OSError:
                self.close_connection = True
                return
            finally:
                upstream.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "connection", "date"}:
                    self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815  the name http.server looks for

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Rewrite) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
