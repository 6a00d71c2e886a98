"""The stores that contenders write into, each a process of its own whose CPU time is read beside theirs."""

import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from benchmarks._load import MEASUREMENT
from benchmarks._process import cpu_s
from tests.brokers import free_port
from tests.haina_store import haina_store
from tests.influx import ORG, RunningInflux, influxdb_2


class BenchStore:
    """A store: its name, its URL for Haina, the variables that contenders need, and what it has cost so far."""

    def __init__(self, name: str, url: str, pid: int, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.url = url
        self.environment = environment or {}
        self._pid = pid

    def cpu_s(self) -> float:
        return cpu_s(self._pid)

    def stored(self) -> int:
        """Points stored in all. Only an InfluxDB is asked: others write nowhere else."""
        raise NotImplementedError


class Influx(BenchStore):
    """A bucket of InfluxDB 2, new: contenders disagree on the types of fields."""

    def __init__(self, influx: RunningInflux, bucket: str) -> None:
        assert influx.process is not None
        environment = {"HAINA_INFLUX_TOKEN": influx.token, **_where(influx.url, influx.token, bucket)}
        super().__init__("influxdb", influx.create_bucket(bucket), influx.process.pid, environment)
        self._influx, self._bucket = influx, bucket

    def stored(self) -> int:
        for series in self._influx.query(self._bucket, f"SELECT count(seq) FROM {MEASUREMENT}"):
            rows: list[list[int]] = series["values"]  # type: ignore[assignment]
            return rows[0][1]
        return 0


class Sink(BenchStore):
    """Something that answers as InfluxDB does, and counts the lines."""

    def __init__(self, url: str, pid: int, bucket: str) -> None:
        super().__init__("sink", f"influxdb+{url}/{bucket}?org={ORG}", pid, _where(url, "none", bucket))
        self._url = url
        self._before = self._lines()

    def stored(self) -> int:
        return self._lines() - self._before

    def _lines(self) -> int:
        return int(httpx.get(self._url, trust_env=False).text)


def _where(url: str, token: str, bucket: str) -> dict[str, str]:
    return {"STORE_URL": url, "STORE_TOKEN": token, "STORE_ORG": ORG, "STORE_BUCKET": bucket}


@contextlib.contextmanager
def influx_or_sink() -> Iterator[Callable[[], BenchStore]]:
    """New buckets of InfluxDB 2 if HAINA_BENCH_INFLUXD names its binary, else of a sink."""
    names = (f"bucket-{number}" for number in itertools.count())
    program = os.environ.get("HAINA_BENCH_INFLUXD")
    if program:
        os.environ["HAINA_TEST_INFLUXD"] = program
        with influxdb_2() as influx:
            yield lambda: Influx(influx, next(names))
        return
    port = free_port()
    with subprocess.Popen([sys.executable, "-m", "benchmarks._stores", str(port)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield lambda: Sink(f"http://127.0.0.1:{port}", process.pid, next(names))
        finally:
            process.kill()


@contextlib.contextmanager
def duckdb_store() -> Iterator[BenchStore]:
    """`haina store`."""
    with tempfile.TemporaryDirectory() as folder, haina_store(Path(folder)) as store:
        yield BenchStore("duckdb", store.url, store.pid)


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lines = 0

    def do_POST(self) -> None:
        body = b"".join(self._chunks())
        _Sink.lines += body.count(b"\n") + (not body.endswith(b"\n"))
        self.send_response(204)
        self.end_headers()

    def _chunks(self) -> Iterator[bytes]:
        if "Content-Length" in self.headers:
            yield self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_GET(self) -> None:
        text = str(_Sink.lines).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Sink) as server:
        print("ready", flush=True)
        server.serve_forever()
