"""What a reading costs the collector, and what it would cost others in its place, in one run.

    make bench-collector
    HAINA_BENCH_TELEGRAF=…/telegraf HAINA_BENCH_INFLUXD=…/influxd make bench-collector
    python -m benchmarks.collector --rounds 1 --json costs.json

Every contender gets the same readings in the same way: Mosquitto keeps them, at QoS 1, for a persistent session; then
the contender is started and drains them, into the same store where it has one. What counts is the CPU time of its
process from just before it connects until all is stored (by a reader: taken); the least of the rounds, for a busy
machine only adds. Contenders are

- Haina's collector, whole -- validation, accounting, journal with fsync, acknowledgement, shipping -- into InfluxDB,
  into DuckDB (whose store process counts as well) and into `null:`;
- `plain`: paho-mqtt, `json.loads` and the batching writer of influxdb-client, as tutorials have it, which acknowledges
  what it may yet lose; `safe`: the same, acknowledging what is written;
- Telegraf in its safe mode (persistent session, acknowledged when written), if HAINA_BENCH_TELEGRAF names a binary;
- readers that acknowledge and keep nothing: Haina's own connection (`null reader`), paho-mqtt, gmqtt, aiomqtt.

InfluxDB is the binary that HAINA_BENCH_INFLUXD names; without one, a sink that counts lines stands in. Broker and
contender have a core each. At the end readings come at 5,000 a second, and the collector says how long they took from
the socket into the store; Telegraf and the tutorials' collector get the same stream, to compare CPU. `--soak` does
nothing but the first, for so many minutes, and looks at memory.

The last line is one sentence. The exit code is 1 when a goal is missed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from benchmarks._load import Load, blast, pace, readings, subscribe_once
from benchmarks._process import cpu_s, pin, rss_mib
from benchmarks._stores import BenchStore, duckdb_store, influx_or_sink
from tests.brokers import RunningBroker, free_port, mosquitto_broker

SESSION = "haina-collector"
BROKER_CORE, CONTENDER_CORE = 0, 1
DONE_S = 120.0
LIVE_HZ = 5_000
NULL_TIMES = 4
"""So many times the readings where nothing is stored: they take no longer, and it is their rate that is wanted."""
ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench-collector -->", "<!-- /bench-collector -->"

Running = subprocess.Popen[str]


@dataclass(frozen=True)
class Cost:
    """What a contender took for one message: microseconds of CPU, and messages a second."""

    contender: str
    messages: int
    cpu_us: float
    store_cpu_us: float | None
    rate_hz: float

    @classmethod
    def of(cls, contender: str, count: int, used_s: float, store_s: float | None, took_s: float) -> "Cost":
        per_message = 1e6 / count
        return cls(
            contender,
            count,
            used_s * per_message,
            None if store_s is None else store_s * per_message,
            count / took_s,
        )


@dataclass(frozen=True)
class Goal:
    """A figure that the collector must reach."""

    what: str
    figure: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def is_met(self) -> bool:
        if self.at_most is not None:
            return self.figure <= self.at_most
        return self.at_least is None or self.figure >= self.at_least

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{'met' if self.is_met else 'MISSED'}: {self.what}, {self.figure:.3g} {self.unit} ({bound})"


# -- contenders --------------------------------------------------------------------------------


@contextlib.contextmanager
def queued(load: Load) -> Iterator[RunningBroker]:
    """A Mosquitto that keeps the load for the session."""
    with mosquitto_broker(max_inflight_messages=5_000) as broker:  # as deploy/mosquitto has it
        pin(broker.pid, BROKER_CORE)
        asyncio.run(subscribe_once(broker.url, SESSION))
        asyncio.run(blast(broker.url, load))
        yield broker


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator[Running]:
    """A contender's process on its core; ended at the end."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        ["taskset", "-c", str(CONTENDER_CORE), *command] if (os.cpu_count() or 1) > 1 else command,
        stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


@contextlib.contextmanager
def collector(broker: RunningBroker, store: BenchStore | None, profile: str = "") -> Iterator[tuple[Running, str]]:
    """A collector that is about to connect, and where it serves its status."""
    http = f"127.0.0.1:{free_port()}"
    module = ["-m", "cProfile", "-o", profile, "-m"] if profile else ["-m"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *module, "collector.command", "collect", "--broker", broker.url, "--data", folder]
        command += ["--store", store.url if store else "null:", "--http", http]
        with running(command, store.environment if store else None) as process:
            _line(process)
            yield process, http


def haina(load: Load, store: BenchStore | None, profile: str = "") -> Cost:
    """Haina's collector, from a queued session into a store, or into none."""
    name = f"haina → {store.name if store else 'null'}"
    with queued(load) as broker, collector(broker, store, profile) as (process, http):
        return _drain(name, load, process, store, lambda: None, lambda: _stored(http))


def plain(load: Load, store: BenchStore, rival: str = "plain") -> Cost:
    """The tutorials' collector, as it is or made safe."""
    with queued(load) as broker, running(_rival(rival, broker, load), store.environment) as process:
        _line(process)
        return _drain(f"{rival} → {store.name}", load, process, store, lambda: _go(process), store.stored)


def telegraf(load: Load, store: BenchStore, program: str) -> Cost:
    """Telegraf in its safe mode; its start, some 0.1 s, counts."""
    with queued(load) as broker, running_telegraf(broker, store, program) as process:
        return _drain(f"telegraf → {store.name}", load, process, store, lambda: None, store.stored)


@contextlib.contextmanager
def running_telegraf(broker: RunningBroker, store: BenchStore, program: str) -> Iterator[Running]:
    """Telegraf between a broker and a store."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "telegraf.conf"
        configuration.write_text(_telegraf_configuration(broker, store))
        with running([program, "--config", str(configuration), "--quiet"]) as process:
            yield process


def reader(load: Load, rival: str) -> Cost:
    """Somebody who takes and acknowledges, and keeps nothing."""
    with queued(load) as broker, running(_rival(rival, broker, load)) as process:
        _line(process)
        before_s, began_s = cpu_s(process.pid), time.monotonic()
        _go(process)
        _line(process)
        took_s = time.monotonic() - began_s
        return Cost.of(f"{rival} reader", len(load), cpu_s(process.pid) - before_s, None, took_s)


def _drain(
    name: str,
    load: Load,
    process: Running,
    store: BenchStore | None,
    go: Callable[[], None],
    stored: Callable[[], int],
) -> Cost:
    store_before_s = store.cpu_s() if store else 0.0
    before_s, began_s = cpu_s(process.pid), time.monotonic()
    go()
    wait_s = 0.5
    while (have := stored()) < len(load):
        took_s = time.monotonic() - began_s
        if process.poll() is not None or took_s > DONE_S:
            raise RuntimeError(f"{name} has stored {have:,} of {len(load):,} and is not going on")
        if have:  # asking costs: ask seldom until the end is near
            wait_s = min(max(0.7 * took_s * (len(load) - have) / have, 0.01), 2 * wait_s)
        time.sleep(wait_s)
    took_s = time.monotonic() - began_s
    store_s = store.cpu_s() - store_before_s if store else None
    return Cost.of(name, len(load), cpu_s(process.pid) - before_s, store_s, took_s)


def _stored(http: str) -> int:
    return min(store["stored"] for store in status(http)["stores"])


def status(http: str) -> Any:
    return httpx.get(f"http://{http}/status", timeout=30, trust_env=False).json()


def _line(process: Running) -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"{' '.join(process.args)} ended before it began")  # type: ignore[arg-type]


def _go(process: Running) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _rival(name: str, broker: RunningBroker, load: Load) -> list[str]:
    return [sys.executable, "-m", "benchmarks._rivals", name, f"{broker.host}:{broker.port}", SESSION, str(len(load))]


def _telegraf_configuration(broker: RunningBroker, store: BenchStore) -> str:
    others = store.environment
    return f"""
[agent]
  flush_interval = "200ms"
  metric_batch_size = 5000
  metric_buffer_limit = 100000
  round_interval = false
  omit_hostname = true
  skip_processors_after_aggregators = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://{broker.host}:{broker.port}"]
  topics = ["haina/v1/telemetry/+/+/+/+"]
  topic_tag = ""
  qos = 1
  client_id = "{SESSION}"
  persistent_session = true
  max_undelivered_messages = 10000
  data_format = "json_v2"
  [[inputs.mqtt_consumer.topic_parsing]]
    topic = "haina/v1/telemetry/+/+/+/+"
    measurement = "_/_/_/_/_/_/measurement"
    tags = "_/_/_/area/site/device/_"
  [[inputs.mqtt_consumer.json_v2]]
    timestamp_path = "time"
    timestamp_format = "unix_ms"
    [[inputs.mqtt_consumer.json_v2.field]]
      path = "boot"
      type = "int"
    [[inputs.mqtt_consumer.json_v2.field]]
      path = "seq"
      type = "int"
    [[inputs.mqtt_consumer.json_v2.object]]
      path = "values"
[[outputs.influxdb_v2]]
  urls = ["{others["STORE_URL"]}"]
  token = "{others["STORE_TOKEN"]}"
  organization = "{others["STORE_ORG"]}"
  bucket = "{others["STORE_BUCKET"]}"
"""


# -- the race ----------------------------------------------------------------------------------


def race(messages: int, slow_messages: int, rounds: int) -> dict[str, Cost]:
    """Every contender in every round with readings of its own; the least CPU of each, and its median rate."""
    found: dict[str, list[Cost]] = {}
    program = os.environ.get("HAINA_BENCH_TELEGRAF")
    boots = iter(range(1, 1_000_000))

    def fresh(count: int) -> Load:
        return readings(count, boot=next(boots))

    with influx_or_sink() as influx, duckdb_store() as duckdb:
        contenders: list[Callable[[], Cost]] = [
            lambda: haina(fresh(NULL_TIMES * messages), None),
            lambda: reader(fresh(NULL_TIMES * messages), "null"),
            lambda: haina(fresh(messages), influx()),
            lambda: haina(fresh(messages), duckdb),
            lambda: plain(fresh(slow_messages), influx()),
            lambda: plain(fresh(slow_messages), influx(), "safe"),
            *(lambda name=name: reader(fresh(slow_messages), name) for name in ("paho", "gmqtt", "aiomqtt")),
        ]
        if program:
            contenders.insert(3, lambda: telegraf(fresh(messages), influx(), program))
        for _ in range(rounds):
            for contender in contenders:
                cost = contender()
                print(f"  {cost.contender:<20} {cost.cpu_us:8.2f} µs {cost.rate_hz:10,.0f} /s", flush=True)
                found.setdefault(cost.contender, []).append(cost)
    return {name: _best(costs) for name, costs in found.items()}


def _best(costs: list[Cost]) -> Cost:
    best = min(costs, key=lambda cost: cost.cpu_us + (cost.store_cpu_us or 0.0))
    return Cost(
        best.contender, best.messages, best.cpu_us, best.store_cpu_us, statistics.median(c.rate_hz for c in costs)
    )


@dataclass(frozen=True)
class Live:
    """What a steady stream was like: milliseconds from the socket into the store, and memory through time."""

    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mib: tuple[float, ...]

    @property
    def growth(self) -> float:
        """Memory in the last tenth of the time against that after the first fifth."""
        tenth = max(len(self.rss_mib) // 10, 1)
        return statistics.mean(self.rss_mib[-tenth:]) / statistics.mean(self.rss_mib[2 * tenth : 3 * tenth])


def live(seconds: float) -> Live:
    """Readings at a steady rate into InfluxDB, or what stands in for it."""
    with influx_or_sink() as influx, mosquitto_broker() as broker, collector(broker, influx()) as (process, http):
        return asyncio.run(_live(broker.url, process.pid, http, seconds))


def live_peers(seconds: float) -> dict[str, float]:
    """The same stream to others: microseconds of CPU a reading."""
    program = os.environ.get("HAINA_BENCH_TELEGRAF")
    count, found = int(seconds * LIVE_HZ), dict[str, float]()
    with influx_or_sink() as influx:
        for number, peer in enumerate(("plain", *(["telegraf"] if program else []))):
            load, store = readings(count, boot=number + 1), influx()
            with contextlib.ExitStack() as stack:
                broker = stack.enter_context(mosquitto_broker())
                asyncio.run(subscribe_once(broker.url, SESSION))
                if program and peer == "telegraf":
                    process = stack.enter_context(running_telegraf(broker, store, program))
                else:
                    process = stack.enter_context(running(_rival(peer, broker, load), store.environment))
                    _line(process)
                    _go(process)
                time.sleep(2.0)  # to connect
                before_s = cpu_s(process.pid)
                asyncio.run(pace(broker.url, load, LIVE_HZ))
                while store.stored() < count:
                    time.sleep(0.2)
                found[peer] = 1e6 * (cpu_s(process.pid) - before_s) / count
    return found


async def _live(url: str, pid: int, http: str, seconds: float) -> Live:
    memory: list[float] = []
    before_s = cpu_s(pid)

    async def watch() -> None:
        while True:
            memory.append(rss_mib(pid))
            await asyncio.sleep(min(seconds / 60, 10.0))

    watching = asyncio.create_task(watch())
    count, boot = 0, 0
    minute = int(60 * LIVE_HZ)
    while count < seconds * LIVE_HZ:
        boot += 1  # a new life for every device, so that a minute's readings can be made at a time
        load = readings(min(minute, int(seconds * LIVE_HZ) - count), boot=boot)
        await pace(url, load, LIVE_HZ)
        count += len(load)
    while status(http)["stores"][0]["stored"] < count:  # noqa: ASYNC110 - another process is asked
        await asyncio.sleep(0.1)
    watching.cancel()
    store = status(http)["stores"][0]
    return Live(store["latency_ms_p50"], store["latency_ms_p99"], 1e6 * (cpu_s(pid) - before_s) / count, tuple(memory))


# -- what is said ------------------------------------------------------------------------------


def into_influxdb(costs: dict[str, Cost]) -> Cost:
    """Haina's cost into InfluxDB, or into the sink that stood in for it."""
    return next(costs[name] for name in ("haina → influxdb", "haina → sink") if name in costs)


def goals(costs: dict[str, Cost], steady: Live) -> list[Goal]:
    ours, duckdb = into_influxdb(costs), costs["haina → duckdb"]
    store = ours.contender.rpartition(" ")[2]
    found = [
        Goal(f"CPU of a reading into {store}", ours.cpu_us, "µs", at_most=9),
        Goal("CPU into DuckDB, its store included", duckdb.cpu_us + (duckdb.store_cpu_us or 0), "µs", at_most=12),
        Goal("paho and influxdb-client to Haina", costs[f"plain → {store}"].cpu_us / ours.cpu_us, "×", at_least=20),
        Goal(
            "draining into null, of what a null reader gets",
            100 * costs["haina → null"].rate_hz / costs["null reader"].rate_hz,
            "%",
            at_least=80,
        ),
        Goal(f"from the socket into {store} at {LIVE_HZ:,}/s, p50", steady.p50_ms, "ms", at_most=50),
        Goal(f"from the socket into {store} at {LIVE_HZ:,}/s, p99", steady.p99_ms, "ms", at_most=250),
    ]
    if f"telegraf → {store}" in costs:
        found.insert(3, Goal("Telegraf to Haina", costs[f"telegraf → {store}"].cpu_us / ours.cpu_us, "×", at_least=3.5))
    return found


def machine() -> str:
    """Machine and versions, in a line."""
    packages = ("paho-mqtt", "influxdb-client", "gmqtt", "aiomqtt", "duckdb")
    versions = [f"{package} {version(package)}" for package in packages]
    programs = [_version(["mosquitto", "-h"], "mosquitto")]
    for name in ("HAINA_BENCH_INFLUXD", "HAINA_BENCH_TELEGRAF"):
        if program := os.environ.get(name):
            argument = "version" if name.endswith("INFLUXD") else "--version"
            programs.append(_version([program, argument], Path(program).name))
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; " + ", ".join(
        [*programs, *versions]
    )


def _version(command: list[str], name: str) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    words = (said.stdout + said.stderr).split()
    return next((f"{name} {word.lstrip('v')}" for word in words if word.lstrip("v")[:1].isdigit()), name)


def table(about: str, costs: dict[str, Cost], steady: Live, peers: dict[str, float], reached: list[Goal]) -> str:
    """The section of docs/performance.md."""
    ours = into_influxdb(costs)
    rows = [
        "| contender | CPU s per million | of its store | rate | to Haina |",
        "|---|---|---|---|---|",
        *(
            f"| {cost.contender} | {cost.cpu_us:.1f} | {_or_dash(cost.store_cpu_us)} | {cost.rate_hz:,.0f} /s "
            f"| {cost.cpu_us / ours.cpu_us:.1f}× |"
            for cost in costs.values()
        ),
    ]
    lines = [
        f"{about}.",
        "",
        *rows,
        "",
        f"At {LIVE_HZ:,} readings a second: {steady.p50_ms:.0f} ms from the socket into the store at the median, "
        f"{steady.p99_ms:.0f} ms at p99; {steady.cpu_us:.1f} µs of CPU a reading, "
        f"{' and '.join(f'{cpu_us:.1f} of {peer}' for peer, cpu_us in peers.items())}.",
        "",
        *(f"- {goal}" for goal in reached),
    ]
    return "\n".join(lines)


def _or_dash(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collector", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000, help="readings that a fast contender drains")
    parser.add_argument("--slow-messages", type=int, default=40_000, help="and a slow one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--live", type=float, default=60.0, help="seconds of a steady stream")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only a steady stream, so long; look at memory")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("--profile", help="only drain into null, and write its cProfile to this file")
    options = parser.parse_args()
    if options.profile:
        print(haina(readings(options.messages), None, options.profile))
        return 0
    if options.soak:
        return soak(options.soak)
    about = machine()
    print(about)
    costs = race(options.messages, options.slow_messages, options.rounds)
    steady, peers = live(options.live), live_peers(options.live / 2)
    reached = goals(costs, steady)
    told = table(about, costs, steady, peers, reached)
    print(told)
    if options.docs:
        before, _, rest = TABLE.read_text().partition(BEGIN)
        TABLE.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")
    figures = {
        "machine": about,
        "costs": [asdict(cost) for cost in costs.values()],
        "live": {**asdict(steady), "cpu_us_of_peers": peers},
        "goals": [{**asdict(goal), "met": goal.is_met} for goal in reached],
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    missed = [goal for goal in reached if not goal.is_met]
    print(
        "; ".join(f"{goal.what} {goal.figure:.3g} {goal.unit}" for goal in reached) + f"; {len(missed)} goals missed."
    )
    return 1 if missed else 0


def soak(minutes: float) -> int:
    """A steady stream for long; memory must be flat."""
    steady = live(60 * minutes)
    flat = Goal("memory at the end against after a fifth of the time", steady.growth, "×", at_most=1.05)
    print(json.dumps(asdict(steady)))
    print(
        f"{minutes:g} minutes at {LIVE_HZ:,} readings a second: {steady.cpu_us:.1f} µs of CPU a reading, p50 "
        f"{steady.p50_ms:.0f} ms, p99 {steady.p99_ms:.0f} ms, {steady.rss_mib[-1]:.0f} MiB at the end; {flat}."
    )
    return 0 if flat.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
