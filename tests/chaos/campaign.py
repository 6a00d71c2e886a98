"""The fault campaign: the whole line as real processes, hurt at random moments, then judged by the sent ledger.

A *seed* draws a plan: which broker and stores, how large the gateways' window, how fast the town lives, and what goes
wrong when. The line starts, faults run, faults stop, everything that was killed is started again. Then the oracle
judges, and only then; how long it takes is not judged, the machine may be busy:

- *liveness*: readings that the town says after the faults become durable, and reach each store while another is down;
- *accounting*: ``received = rejected + duplicates + journaled + in_memory`` whenever the collector was asked, even
  amid faults; ``journaled = stored + pending + refused``; what was durable before a kill -9 is durable after it;
- *memory*: the collector believes of no device that a reading is missing, for none is;
- *conservation*: nothing said by the town is outstanding, and `haina audit` finds nothing lost, extra, doubled or
  altered in any store; each holds as many points as the journal counted, hostile strangers' included;
- *no nonsense*: no traceback in any log, and every part ends well when asked to.
"""

import asyncio
import contextlib
import json
import multiprocessing
import resource
import shutil
import signal
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from haina.command_line import loop_factory
from haina.contract import Command, encode
from haina.mqtt import Connection, ConnectOptions, MQTTError
from simulator.run import LATE_READING_MS
from tests.chaos.line import CollectorUnderTest, Line, StoreUnderTest
from tests.chaos.machine import own_mounts
from tests.chaos.parts import SETTLE_S, Part, die_with_parent, haina, until
from tests.chaos.plan import Fault, Plan, plan

SETTLED: Final = ("stored", "pending", "refused", "forgotten")

MISSING_S: Final = 20.0
"""The collector sums up what is missing only every few seconds."""


@dataclass
class Verdict:
    """What became of a seed."""

    plan: Plan
    folder: Path
    wall_s: float = 0.0
    cpu_s: float = 0.0  # of all processes
    told: list[str] = field(default_factory=list)  # faults, as they happened
    offences: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.offences

    def __str__(self) -> str:
        if self.clean:
            figures = ", ".join(f"{number} {name}" for name, number in self.figures.items())
            took = f"{self.wall_s:.0f} s, {self.cpu_s:.0f} s of CPU"
            return f"seed {self.plan.seed}: clean, {len(self.plan.faults)} faults, {took}; {figures}"
        lines = [f"seed {self.plan.seed} FAILED", *(f"  {offence}" for offence in self.offences), f"  {self.plan}"]
        return "\n".join([*lines, *(f"    {told}" for told in self.told), f"  logs: {self.folder}"])


def run_seed(seed: int, *, full: bool = False, keep: bool = False) -> Verdict:
    """Run one seed. Its folder stays when it failed; when all is well it goes, unless `keep`."""
    folder = Path(tempfile.mkdtemp(prefix=f"haina-chaos-{seed}-"))
    verdict = Verdict(plan(seed, full=full), folder)
    began_s, cpu_s = time.monotonic(), _cpu_s()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_try(verdict, keep=keep))
    except Exception as error:  # whatever it is, the other seeds want their turn
        verdict.offences.append(f"{type(error).__name__}: {error}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    verdict.wall_s, verdict.cpu_s = time.monotonic() - began_s, _cpu_s() - cpu_s
    if verdict.clean and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return verdict


def run_seeds(numbers: Sequence[int], jobs: int = 1, *, full: bool = False, keep: bool = False) -> Iterator[Verdict]:
    """Run seeds, so many at a time, each in a process of its own; the verdicts come as seeds end."""
    run = partial(run_seed, full=full, keep=keep)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_begin_worker) as pool:
        try:
            for ended in as_completed([pool.submit(run, seed) for seed in numbers]):
                yield ended.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    die_with_parent()
    own_mounts()


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


async def _try(verdict: Verdict, *, keep: bool) -> None:
    line = Line(verdict.plan, verdict.folder)
    try:
        await _Trial(verdict, line).run()
    except Exception as error:
        verdict.offences.append(f"{type(error).__name__}: {error}")
    finally:
        await line.close(verdict.folder / "disk-kept" if keep or not verdict.clean else None)


class _Trial:
    """A line is hurt, and judged."""

    def __init__(self, verdict: Verdict, line: Line) -> None:
        self._verdict = verdict
        self._line = line
        self._began_s = 0.0
        self._durable = Counter[tuple[str, str]]()  # the most that each collector ever claimed
        self._asking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asked = 0

    async def run(self) -> None:
        line = self._line
        await line.start()
        await until(self._flows, SETTLE_S, "a first thousand readings are durable")
        self._began_s = time.monotonic()
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.gather(*map(self._hurt, line.plan.faults))
            self._tell("the faults are over")
            await self._revive()
            await self._judge()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        for part in line.parts:
            code = await part.stop()
            if code and part is not line.broker:
                self._offend(f"{part.name} ended with exit code {code} when asked to stop")
        self._judge_logs()

    def _tell(self, what: str) -> None:
        self._verdict.told.append(f"{time.monotonic() - self._began_s:5.1f} s  {what}")

    def _offend(self, what: str) -> None:
        if len(self._verdict.offences) < 20:
            self._verdict.offences.append(what)

    async def _hurt(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, fault.at_s - (time.monotonic() - self._began_s)))
        self._tell(f"{fault.target} {fault.kind} for {fault.for_s:.1f} s")
        if fault.target == "area":
            await self._line.move_area(self._handed_over)
        else:
            await self._line.hurt(fault)
        self._tell(f"{fault.target} is well again")

    async def _revive(self) -> None:
        """Whoever cannot go on may end, with one sentence; then it is started again."""
        for last_words in await self._line.revive():
            self._tell(f"started again {last_words}")
            if ": haina: " not in last_words:
                self._offend(f"it ended by itself, and without a sentence: {last_words}")

    # Watching

    async def _ask(self, collector: CollectorUnderTest) -> dict[str, Any]:
        # One question at a time, or an older answer could come after a newer one.
        async with self._asking[collector.part.name], httpx.AsyncClient(trust_env=False, timeout=10) as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{collector.http_port}/status")
                found: dict[str, Any] = answer.raise_for_status().json()
            except (httpx.HTTPError, ValueError, AttributeError) as error:  # the last, of anyio, for a reset
                raise ConnectionError(str(error)) from None
            self._check_accounts(collector.part.name, found)
        return found

    async def _status(self) -> list[dict[str, Any]]:
        """What each collector says of itself."""
        return [await self._ask(collector) for collector in self._line.collectors]

    def _check_accounts(self, name: str, found: dict[str, Any]) -> None:
        counters = found["counters"]
        self._asked += 1
        accounted = sum(counters[name] for name in ("rejected", "duplicates", "journaled", "in_memory"))
        if counters["received"] != accounted:
            self._offend(f"the accounts do not close: {counters}")
        for store in found["stores"]:
            if counters["journaled"] - store["since"] != sum(store[name] for name in SETTLED):
                self._offend(f"the store's accounts do not close: journaled {counters['journaled']}, {store}")
        for kind in ("journaled", "duplicates", "rejected"):
            most = self._durable[name, kind]
            if counters[kind] < most:
                self._offend(f"{kind} was {most} and durable, and then {counters[kind]}")
            self._durable[name, kind] = max(most, counters[kind])

    async def _watch(self) -> None:
        """Ask for the accounts all the time, whenever anybody is there to answer."""
        while True:
            for collector in self._line.collectors:
                with contextlib.suppress(OSError):
                    await self._ask(collector)
            await asyncio.sleep(0.3)

    async def _counters(self) -> Counter[str]:
        """The counters of all collectors, added up."""
        total = Counter[str]()
        for found in await self._status():
            total.update(found["counters"])
        return total

    async def _flows(self) -> bool:
        return (await self._counters())["journaled"] > 1_000

    async def _handed_over(self, collector: CollectorUnderTest) -> bool:
        return not (await self._ask(collector))["areas"]["handing_over"]

    # Judging

    async def _judge(self) -> None:
        await self._judge_liveness()
        if len(self._line.stores) > 1:
            await self._judge_stores_apart()
        await self._rest()
        simulator = self._line.simulator
        code = await simulator.stop(signal.SIGINT)
        if code:
            self._offend(f"the simulator ended with exit code {code}")
        summary = json.loads(simulator.out.read_text() or "{}")
        if summary.get("outstanding") != 0 or summary.get("published") != summary.get("acknowledged"):
            self._offend(f"the gateways hold readings that are not durable: {summary}")
        await until(self._shipped, SETTLE_S, "the stores have all that was journaled")
        await until(self._nothing_missing, MISSING_S, "the collector knows of every device that nothing is missing")
        counters = await self._counters()
        self._verdict.figures.update(
            published=summary.get("published", 0),
            resent=summary.get("resent", 0),
            duplicates=counters["duplicates"],
            rejected=counters["rejected"],
            missing=counters["missing"],
            accounts=self._asked,
        )
        for store in self._line.stores:
            settled = [self._accounts_of(store, found) for found in await self._status()]
            await self._audit(store, counters["journaled"] - sum(accounts["refused"] for accounts in settled))

    @staticmethod
    def _accounts_of(store: StoreUnderTest, found: dict[str, Any]) -> dict[str, Any]:
        accounts: dict[str, Any] = next(one for one in found["stores"] if one["name"] == store.part.name)
        return accounts

    def _journaled(self) -> int:
        return sum(most for (_, kind), most in self._durable.items() if kind == "journaled")

    async def _judge_liveness(self) -> None:
        """What the town says from now on must become durable: its clock tells when it is."""
        said_ms = self._reached_ms()

        async def goes_on() -> bool:
            self._check_the_simulator_lives()
            clocks = [found["clock"] for found in await self._status()]
            return all(clock is not None and clock["time"] > said_ms for clock in clocks)

        await until(goes_on, SETTLE_S, "what the town says after the faults becomes durable", self._journaled)
        self._tell("the town lives on")

    async def _judge_stores_apart(self) -> None:
        """A store that is down holds back no other."""
        down, other = self._line.stores if self._line.plan.seed % 2 else reversed(self._line.stores)
        down.part.kill()
        journaled = (await self._counters())["journaled"]

        async def other_goes_on() -> bool:
            settled = [self._accounts_of(other, found) for found in await self._status()]
            return bool(sum(accounts["stored"] + accounts["refused"] for accounts in settled) > journaled)

        await until(other_goes_on, SETTLE_S, f"new readings are in {other.part.name} while {down.part.name} is down")
        await down.part.start()
        self._tell(f"{down.part.name} was down, and the other store was not held back")

    def _reached_ms(self) -> int:
        reached_ms: int = json.loads((self._line.run_folder / "run.json").read_text())["reached_ms"]
        return reached_ms

    async def _rest(self) -> None:
        """Pause the town, and wait until all it has said is durable, which its clock tells."""

        async def at_rest() -> bool:
            self._check_the_simulator_lives()
            clock = (await self._status())[0]["clock"]
            if not clock.get("paused"):
                await self._pause_the_town()
                await asyncio.sleep(0.5)
                return False
            return bool(clock["time"] == self._reached_ms() - LATE_READING_MS)

        await until(at_rest, SETTLE_S, "all that the town has said is durable", self._journaled)
        self._tell("the town is at rest")

    def _check_the_simulator_lives(self) -> None:
        if not self._line.simulator.is_running:
            raise RuntimeError(f"the simulator died by itself; its log: {self._line.simulator.log}")

    async def _pause_the_town(self) -> None:
        command = Command(id=uuid.uuid4().hex, expires=9_000_000_000_000, args={"paused": True})
        hostile = self._line.hostile
        with contextlib.suppress(MQTTError):
            connection = await Connection.open(hostile.address, ConnectOptions("chaos-pause"), hostile)
            connection.publish([(b"haina/v1/command/town/simulator/clock/set", encode(command))])
            await connection.drain()
            await asyncio.sleep(0.2)
            await connection.close()

    async def _shipped(self) -> bool:
        everybody = await self._status()
        pending = [store["pending"] for found in everybody for store in found["stores"]]
        return not any(pending) and not any(found["counters"]["in_memory"] for found in everybody)

    async def _nothing_missing(self) -> bool:
        return (await self._counters())["missing"] == 0

    async def _audit(self, store: StoreUnderTest, expected: int) -> None:
        name, figures = store.part.name, self._verdict.figures
        command = haina("audit", "--sent", str(self._line.run_folder / "run.sent"), "--store", store.url, "--json")
        audit = Part(f"audit-{name}", command, self._verdict.folder, None, self._line.environment)
        audit.spawn()
        try:
            await until(lambda: _ended(audit), SETTLE_S, f"the audit of {name} is done")
        finally:
            audit.kill()
        if audit.exit_code == 2:
            self._offend(f"the audit of {name} could not compare: {audit.log.read_text()}")
            return
        report = json.loads(audit.out.read_text())
        if not report["clean"] or audit.exit_code:
            self._offend(f"the audit of {name}: {json.dumps(report)}")
        if report["sent"] != figures["published"]:
            self._offend(f"{figures['published']} published, but the ledger has {report['sent']}")
        points = self._line.count(store)
        if points != expected:
            self._offend(f"{name} holds {points} points, where {expected} were journaled and not refused")
        figures["stored"] = points
        figures["lost"] = figures.get("lost", 0) + report["lost"]

    def _judge_logs(self) -> None:
        for part in (*self._line.parts, self._line.simulator):
            if "Traceback (most recent call last)" in part.log.read_text(errors="replace"):
                self._offend(f"a traceback in {part.log}")


async def _ended(part: Part) -> bool:
    return not part.is_running
