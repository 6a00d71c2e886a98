"""The fault campaign: the whole line as real processes, hurt at random moments, then judged by the sent ledger.

A *seed* draws a plan: which broker, how large the gateways' window, how fast the town lives, and a dozen faults with
their moments and lengths. The line starts, faults run, faults stop, everything that was killed is started again. Then
the oracle judges, and only then; how long it takes is not judged, the machine may be busy:

- *liveness*: the town's clock goes on and new readings become durable;
- *accounting*: ``received = rejected + duplicates + journaled + in_memory`` whenever the collector was asked, even
  amid faults; ``journaled = stored + pending + refused``; what was durable before a kill -9 is durable after it;
- *memory*: the collector believes of no device that a reading is missing, for none is;
- *conservation*: nothing said by the town is outstanding, and `haina audit` finds nothing lost, extra, doubled or
  altered; the store holds as many points as the journal counted, hostile strangers' included;
- *no nonsense*: no traceback in any log, and every part ends well when asked to.
"""

import asyncio
import contextlib
import json
import multiprocessing
import random
import shutil
import signal
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from haina.contract import Command, encode
from haina.mqtt import BrokerAddress, Connection, ConnectOptions, MQTTError
from haina.query.reader import open_reader
from simulator.run import LATE_READING_MS
from tests.brokers import free_port
from tests.chaos.hostile import HOSTILE_KINDS, LIVE_AGO_S, Hostile
from tests.chaos.network import NETWORK_MODES, STORE_MODES, Network, Proxy, StoreFront
from tests.chaos.parts import Part, die_with_parent, embedded_broker, haina, mosquitto, until

SCENARIO: Final = "title: A small town in trouble\nareas:\n  a01: {centres: 2, homes: 30}\n"
SETTLE_S: Final = 240.0
"""How long the line may take to come to rest; its own longest pauses are 30 s (backoff, silence, gaps)."""

MISSING_S: Final = 20.0
"""The collector sums up what is missing only every few seconds."""

KINDS: Final = {
    "collector": ("killed", "killed", "frozen"),
    "store": ("killed", "frozen"),
    "broker": ("stopped", "killed"),
    "gateways' network": NETWORK_MODES,
    "collector's network": NETWORK_MODES,
    "store front": STORE_MODES,
    "hostile": HOSTILE_KINDS,
}
"""What may be hurt, and how."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong: what, how, when and for how long, in seconds after the line has begun to flow."""

    target: str
    kind: str
    at_s: float
    for_s: float

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.target} {self.kind} for {self.for_s:.1f} s"


@dataclass(frozen=True)
class Plan:
    """What a seed means."""

    seed: int
    embedded: bool
    window: int
    speed: int
    history_h: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        broker = "embedded broker" if self.embedded else "Mosquitto"
        return f"seed {self.seed}: {broker}, window {self.window}, {self.speed}×, {self.history_h} h of history"


def plan(seed: int, *, full: bool = False) -> Plan:
    """Draw the plan of a seed; `full` makes outages of up to 60 s."""
    dice = random.Random(seed)
    span_s, longest_s = (150.0, 60.0) if full else (14.0, 5.0)
    embedded = seed % 4 == 0
    faults: list[Fault] = []
    for target, kinds in KINDS.items():
        at_s = dice.uniform(0.0, span_s * 0.7)
        while at_s < span_s and dice.random() < 0.85:
            for_s = dice.uniform(2.0, longest_s)
            kind = dice.choice(kinds)
            if kind == "killed":
                for_s = dice.choice((0.0, for_s))
            faults.append(Fault(target, kind, round(at_s, 2), round(for_s, 2)))
            at_s += for_s + dice.uniform(1.0, span_s * 0.6)
    faults.sort(key=lambda fault: fault.at_s)
    return Plan(
        seed,
        embedded,
        window=dice.choice((2_000, 5_000, 20_000)),
        speed=dice.choice((60, 300, 600)),
        history_h=dice.choice((240, 480)) if full else dice.choice((36, 72)),
        faults=tuple(faults),
    )


@dataclass
class Verdict:
    """What became of a seed."""

    plan: Plan
    folder: Path
    wall_s: float = 0.0
    told: list[str] = field(default_factory=list)  # faults, as they happened
    offences: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.offences

    def __str__(self) -> str:
        if self.clean:
            figures = ", ".join(f"{number} {name}" for name, number in self.figures.items())
            return f"seed {self.plan.seed}: clean, {len(self.plan.faults)} faults, {self.wall_s:.0f} s; {figures}"
        lines = [f"seed {self.plan.seed} FAILED", *(f"  {offence}" for offence in self.offences), f"  {self.plan}"]
        return "\n".join([*lines, *(f"    {told}" for told in self.told), f"  logs: {self.folder}"])


def run_seed(seed: int, *, full: bool = False, keep: bool = False) -> Verdict:
    """Run one seed. Its folder stays when it failed; when all is well it goes, unless `keep`."""
    folder = Path(tempfile.mkdtemp(prefix=f"haina-chaos-{seed}-"))
    verdict = Verdict(plan(seed, full=full), folder)
    began_s = time.monotonic()
    try:
        asyncio.run(_Line(verdict).run())
    except Exception as error:  # whatever it is, the other seeds want their turn
        verdict.offences.append(f"{type(error).__name__}: {error}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    verdict.wall_s = time.monotonic() - began_s
    if verdict.clean and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return verdict


def run_seeds(numbers: Sequence[int], jobs: int = 1, *, full: bool = False, keep: bool = False) -> Iterator[Verdict]:
    """Run seeds, so many at a time, each in a process of its own; the verdicts come in the order of the seeds."""
    run = partial(run_seed, full=full, keep=keep)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=die_with_parent) as pool:
        try:
            yield from pool.map(run, numbers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Line:
    """The line under test, and what is done to it."""

    def __init__(self, verdict: Verdict) -> None:
        plan, folder = verdict.plan, verdict.folder
        self._plan = plan
        self._verdict = verdict
        self._dice = random.Random(plan.seed + 1_000_000)
        self._run_folder = folder / "run"
        self._broker = (embedded_broker if plan.embedded else mosquitto)(folder)
        assert self._broker.port is not None
        store_port, self._http_port = free_port(), free_port()
        self._store_url = f"duckdb+http://127.0.0.1:{store_port}"
        self._store = Part(
            "store",
            haina("store", "--data", str(folder / "store"), "--listen", f"127.0.0.1:{store_port}"),
            folder,
            store_port,
        )
        self._networks: dict[str, Proxy] = {
            "gateways' network": Network(self._broker.port, self._dice),
            "collector's network": Network(self._broker.port, self._dice),
            "store front": StoreFront(store_port, self._dice),
        }
        self._hostile = Hostile(self._broker.port, self._dice)
        self._began_s = 0.0
        self._turns: dict[Part, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._durable = {"journaled": 0, "duplicates": 0, "rejected": 0}  # the most that was ever claimed
        self._asked = 0

    async def run(self) -> None:
        parts: list[Part] = [self._broker, self._store]
        try:
            for network in self._networks.values():
                await network.open()
            await asyncio.gather(self._broker.start(), self._store.start())
            self._collector = self._make_collector()
            self._simulator = self._make_simulator()
            parts += [self._collector, self._simulator]
            await self._collector.start()
            await self._simulator.start()
            await until(self._flows, SETTLE_S, "a first thousand readings are durable")
            self._began_s = time.monotonic()
            watching = asyncio.create_task(self._watch())
            try:
                await asyncio.gather(*map(self._hurt, self._plan.faults))
                self._tell("the faults are over")
                await self._judge()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            for part in (self._collector, self._store, self._broker):
                code = await part.stop()
                if code and part is not self._broker:
                    self._offend(f"{part.name} ended with exit code {code} when asked to stop")
            self._judge_logs(parts)
        finally:
            for part in parts:
                part.kill()
            for network in self._networks.values():
                await network.close()

    def _through(self, network: str, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self._networks[network].port}"

    def _make_collector(self) -> Part:
        folder = self._verdict.folder
        return Part(
            "collector",
            haina(
                "collect",
                *("--broker", self._through("collector's network", "mqtt")),
                *("--store", self._through("store front", "duckdb+http")),
                *("--data", str(folder / "collector")),
                *("--http", f"127.0.0.1:{self._http_port}"),
            ),
            folder,
            self._http_port,
        )

    def _make_simulator(self) -> Part:
        folder = self._verdict.folder
        scenario = folder / "town.yaml"
        scenario.write_text(SCENARIO)
        live_s = int(time.time()) - LIVE_AGO_S
        start_s = live_s - self._plan.history_h * 3_600
        return Part(
            "simulator",
            haina(
                "simulate",
                *("--scenario", str(scenario), "--seed", str(self._plan.seed), "--json"),
                *("--start", _iso(start_s), "--live-from", _iso(live_s), "--speed", str(self._plan.speed)),
                *("--window", str(self._plan.window), "--data", str(self._run_folder)),
                *("--broker", self._through("gateways' network", "mqtt")),
            ),
            folder,
        )

    # Hurting

    def _tell(self, what: str) -> None:
        self._verdict.told.append(f"{time.monotonic() - self._began_s:5.1f} s  {what}")

    def _offend(self, what: str) -> None:
        if len(self._verdict.offences) < 20:
            self._verdict.offences.append(what)

    async def _hurt(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, fault.at_s - (time.monotonic() - self._began_s)))
        self._tell(f"{fault.target} {fault.kind} for {fault.for_s:.1f} s")
        if fault.target == "hostile":
            await self._hostile.act(fault.kind, fault.for_s, gently=self._plan.embedded)
        elif (network := self._networks.get(fault.target)) is not None:
            network.mode = fault.kind
            await asyncio.sleep(fault.for_s)
            network.mode = ""
        else:
            part = {"collector": self._collector, "store": self._store}.get(fault.target, self._broker)
            async with self._turns[part]:  # the machine may be slow, and the part still be starting
                await self._hurt_part(part, fault)
        self._tell(f"{fault.target} is well again")

    @staticmethod
    async def _hurt_part(part: Part, fault: Fault) -> None:
        if fault.kind == "frozen":
            part.send(signal.SIGSTOP)
            await asyncio.sleep(fault.for_s)
            part.send(signal.SIGCONT)
            return
        if fault.kind == "killed":
            part.kill()
        else:
            await part.stop()
        await asyncio.sleep(fault.for_s)
        await part.start()

    # Watching

    async def _status(self) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self._http_port}/status")
                found: dict[str, Any] = answer.raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                raise ConnectionError(str(error)) from None
        self._check_accounts(found)
        return found

    def _check_accounts(self, found: dict[str, Any]) -> None:
        counters = found["counters"]
        self._asked += 1
        accounted = sum(counters[name] for name in ("rejected", "duplicates", "journaled", "in_memory"))
        if counters["received"] != accounted:
            self._offend(f"the accounts do not close: {counters}")
        for store in found["stores"]:
            if counters["journaled"] - store["since"] != store["stored"] + store["pending"] + store["refused"]:
                self._offend(f"the store's accounts do not close: journaled {counters['journaled']}, {store}")
        for name, most in self._durable.items():
            if counters[name] < most:
                self._offend(f"{name} was {most} and durable, and then {counters[name]}")
            self._durable[name] = max(most, counters[name])

    async def _watch(self) -> None:
        """Ask for the accounts all the time, whenever anybody is there to answer."""
        while True:
            with contextlib.suppress(OSError):
                await self._status()
            await asyncio.sleep(0.3)

    async def _flows(self) -> bool:
        return int((await self._status())["counters"]["journaled"]) > 1_000

    # Judging

    async def _judge(self) -> None:
        await self._judge_liveness()
        await self._rest()
        code = await self._simulator.stop(signal.SIGINT)
        if code:
            self._offend(f"the simulator ended with exit code {code}")
        summary = json.loads(self._simulator.out.read_text() or "{}")
        if summary.get("outstanding") != 0 or summary.get("published") != summary.get("acknowledged"):
            self._offend(f"the gateways hold readings that are not durable: {summary}")
        await until(self._shipped, SETTLE_S, "the store has all that was journaled")
        await until(self._nothing_missing, MISSING_S, "the collector knows of every device that nothing is missing")
        counters = (await self._status())["counters"]
        self._verdict.figures.update(
            published=summary.get("published", 0),
            resent=summary.get("resent", 0),
            duplicates=counters["duplicates"],
            rejected=counters["rejected"],
            missing=counters["missing"],
            accounts=self._asked,
        )
        await self._audit(counters["journaled"], (await self._status())["stores"][0]["refused"])

    async def _judge_liveness(self) -> None:
        before: dict[str, int] = {}

        async def goes_on() -> bool:
            found = await self._status()
            self._check_the_simulator_lives()
            if found["clock"] is None:
                return False
            now = {"time": found["clock"]["time"], "journaled": found["counters"]["journaled"]}
            if not before:
                before.update(now)
            return all(now[name] > before[name] for name in before)

        await until(goes_on, SETTLE_S, "the clock goes on and new readings become durable")
        self._tell("the town lives on")

    async def _rest(self) -> None:
        """Pause the town, and wait until all it has said is durable, which its clock tells."""

        async def at_rest() -> bool:
            self._check_the_simulator_lives()
            found = await self._status()
            if not found["clock"].get("paused"):
                await self._pause_the_town()
                await asyncio.sleep(2.0)
                return False
            reached_ms = json.loads((self._run_folder / "run.json").read_text())["reached_ms"]
            return bool(found["clock"]["time"] == reached_ms - LATE_READING_MS)

        await until(at_rest, SETTLE_S, "all that the town has said is durable")
        self._tell("the town is at rest")

    def _check_the_simulator_lives(self) -> None:
        if not self._simulator.is_running:
            raise RuntimeError(f"the simulator died by itself; its log: {self._simulator.log}")

    async def _pause_the_town(self) -> None:
        command = Command(id=uuid.uuid4().hex, expires=9_000_000_000_000, args={"paused": True})
        port = self._broker.port
        with contextlib.suppress(MQTTError):
            connection = await Connection.open(
                BrokerAddress.parse(f"mqtt://127.0.0.1:{port}"), ConnectOptions("chaos-pause"), self._hostile
            )
            connection.publish([(b"haina/v1/command/town/simulator/clock/set", encode(command))])
            await connection.drain()
            await asyncio.sleep(0.2)
            await connection.close()

    async def _shipped(self) -> bool:
        found = await self._status()
        return found["counters"]["in_memory"] == 0 and all(store["pending"] == 0 for store in found["stores"])

    async def _nothing_missing(self) -> bool:
        return int((await self._status())["counters"]["missing"]) == 0

    async def _audit(self, journaled: int, refused: int) -> None:
        command = haina("audit", "--sent", str(self._run_folder / "run.sent"), "--store", self._store_url, "--json")
        audit = Part("audit", command, self._verdict.folder)
        audit.spawn()
        try:
            await until(lambda: _ended(audit), SETTLE_S, "the audit is done")
        finally:
            audit.kill()
        if audit.exit_code == 2:
            self._offend(f"the audit could not compare: {audit.log.read_text()}")
            return
        report = json.loads(audit.out.read_text())
        if not report["clean"] or audit.exit_code:
            self._offend(f"the audit: {json.dumps(report)}")
        if report["sent"] != self._verdict.figures["published"]:
            self._offend(f"{self._verdict.figures['published']} published, but the ledger has {report['sent']}")
        with open_reader(self._store_url) as reader:
            points = sum(held.points or 0 for held in reader.describe().values())
        if points != journaled - refused:
            self._offend(f"the store holds {points} points, where {journaled} were journaled and {refused} refused")
        self._verdict.figures.update(stored=points, lost=report["lost"])

    def _judge_logs(self, parts: list[Part]) -> None:
        for part in parts:
            if "Traceback (most recent call last)" in part.log.read_text(errors="replace"):
                self._offend(f"a traceback in {part.log}")


async def _ended(part: Part) -> bool:
    return not part.is_running


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def seeds(text: str) -> Iterator[int]:
    """Read seeds such as ``1-20`` or ``3,7,100-110``. Raises ValueError."""
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        yield from range(int(first), int(last or first) + 1)
