"""The line under test, and what is done to it."""

import asyncio
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from haina.query.reader import open_reader
from haina.store_url import TOKEN_VARIABLES
from tests.chaos.hostile import LIVE_AGO_S, Hostile
from tests.chaos.machine import Clock, Disk
from tests.chaos.mortal import lose_power, wish_death
from tests.chaos.network import Network, Proxy, StoreFront, for_influxdb_1
from tests.chaos.parts import SETTLE_S, Part, embedded_broker, haina, influxdb, mosquitto, steady_port, until
from tests.chaos.plan import Fault, Plan
from tests.influx import RunningInflux

SCENARIO: Final = """
title: A small town in trouble
areas:
  a01: {centres: 1, homes: 12}
  a02: {centres: 1, homes: 12}
  a03: {homes: 6}
"""
EAST, WEST, MOVED = "a01", "a03", "a02"
DIE_WITHIN_S: Final = 3.0
"""How long a collector that is to die in a commit may have none."""


@dataclass(frozen=True)
class StoreUnderTest:
    """A store: its process, the way to it that fails, and the way that does not."""

    part: Part
    front: Proxy
    url: str
    front_url: str  # with the front's port in the place of `{port}`


@dataclass
class CollectorUnderTest:
    """A collector: its process, where its status is, and its journal's folder."""

    part: Part
    http_port: int
    data: Path
    wishes: Path  # see `mortal`

    def serve(self, *areas: str) -> None:
        """Serve these areas from the next start on."""
        command = self.part.command
        if "--areas" in command:
            command = command[: command.index("--areas")]
        self.part.command = [*command, "--areas", ",".join(areas)]


class Line:
    """Broker, stores, collectors and simulator as processes, with networks between them, on a machine of their own."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        dice = random.Random(plan.seed + 1_000_000)
        self.plan = plan
        self.folder = folder
        self.run_folder = folder / "run"
        self.broker = (embedded_broker if plan.embedded else mosquitto)(folder)
        assert self.broker.port is not None
        self.disk = Disk(folder / "disk", dice, mount=plan.hurts("disk") and dice.random() < 0.7)
        self.clock = Clock(folder, dice)
        self._influx: RunningInflux | None = None
        self.stores = [self._duckdb(dice), *([self._influxdb(dice)] if plan.influxdb else [])]
        self.hostile = Hostile(self.broker.port, dice)
        self._dice = dice
        self._networks: dict[str, Proxy] = {
            "gateways' network": Network(self.broker.port, dice),
            "collector's network": Network(self.broker.port, dice),
            **{f"{store.part.name}'s front": store.front for store in self.stores},
        }
        self._turns: dict[Part, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.collectors: list[CollectorUnderTest] = []

    def _duckdb(self, dice: random.Random) -> StoreUnderTest:
        port = steady_port()
        command = haina("store", "--data", str(self.disk.folder / "store"), "--listen", f"127.0.0.1:{port}")
        part = Part("duckdb", command, self.folder, port, self._environment())
        url = "duckdb+http://127.0.0.1:{port}"
        return StoreUnderTest(part, StoreFront(port, dice), url.format(port=port), url)

    def _influxdb(self, dice: random.Random) -> StoreUnderTest:
        part, influx = influxdb(self.folder)
        assert part.port is not None
        self._influx = influx
        front = StoreFront(part.port, dice, *([for_influxdb_1] if influx.version == 1 else []))
        url = "influxdb+http://127.0.0.1:{port}/chaos?org=haina"
        return StoreUnderTest(part, front, url.format(port=part.port), url)

    @property
    def environment(self) -> dict[str, str]:
        """Of who talks to stores, and believes the right clock."""
        return {TOKEN_VARIABLES["influxdb"]: token} if self._influx and (token := self._influx.token) else {}

    def _environment(self) -> dict[str, str]:
        return {**self.environment, **(self.clock.environment if self.plan.hurts("clock") else {})}

    @property
    def parts(self) -> list[Part]:
        """All but the simulator, which is never hurt itself."""
        return [
            *(collector.part for collector in self.collectors),
            *(store.part for store in self.stores),
            self.broker,
        ]

    async def start(self) -> None:
        """Start everything."""
        for network in self._networks.values():
            await network.open()
        self.collectors = [self._make_collector("collector")]
        if self.plan.two_collectors:
            self.collectors.append(self._make_collector("collector-west"))
            self.collectors[0].serve(EAST, MOVED)
            self.collectors[1].serve(WEST)
        self.simulator = self._make_simulator()
        await asyncio.gather(self.broker.start(), *(store.part.start() for store in self.stores))
        if self._influx is not None:
            if self._influx.version == 2:
                self._influx.set_up_2()
            self._influx.create_bucket("chaos")
        for collector in self.collectors:
            await collector.part.start()
        await self.simulator.start()

    def count(self, store: StoreUnderTest) -> int:
        """How many points a store holds, whoever said them."""
        if store.url.startswith("influxdb") and self._influx is not None:
            series: list[Any] = self._influx.query("chaos", "SELECT count(boot) FROM /.*/")
            return sum(one["values"][0][1] for one in series)
        with open_reader(store.url) as reader:
            return sum(held.points or 0 for held in reader.describe().values())

    async def close(self, keep: Path | None) -> None:
        """Kill whatever is left; what the disk held goes to `keep`, if that is wanted."""
        for part in self.parts:
            part.kill()
        if hasattr(self, "simulator"):
            self.simulator.kill()
        for network in self._networks.values():
            await network.close()
        self.disk.close(keep)

    def _through(self, network: str) -> str:
        return f"mqtt://127.0.0.1:{self._networks[network].port}"

    def _make_collector(self, name: str) -> CollectorUnderTest:
        stores = [("--store", store.front_url.format(port=store.front.port)) for store in self.stores]
        port, data, wishes = steady_port(), self.disk.folder / name, self.folder / f"{name}-wishes"
        wishes.mkdir()
        command = [
            *(sys.executable, "-m", "tests.chaos.mortal", str(wishes), "collect", "--client-id", name),
            *("--broker", self._through("collector's network")),
            *(argument for store in stores for argument in store),
            *("--data", str(data)),
            *("--http", f"127.0.0.1:{port}"),
        ]
        part = Part(name, command, self.folder, port, self._environment())
        return CollectorUnderTest(part, port, data, wishes)

    def _make_simulator(self) -> Part:
        scenario = self.folder / "town.yaml"
        scenario.write_text(SCENARIO)
        live_s = int(time.time()) - LIVE_AGO_S
        start_s = live_s - self.plan.history_h * 3_600
        return Part(
            "simulator",
            haina(
                "simulate",
                *("--scenario", str(scenario), "--seed", str(self.plan.seed), "--json"),
                *("--start", _iso(start_s), "--live-from", _iso(live_s), "--speed", str(self.plan.speed)),
                *("--window", str(self.plan.window), "--data", str(self.run_folder)),
                *("--broker", self._through("gateways' network")),
            ),
            self.folder,
        )

    async def hurt(self, fault: Fault) -> None:
        """Let it go wrong for as long as it says, and be well again."""
        if fault.target == "hostile":
            await self.hostile.act(fault.kind, fault.for_s, gently=self.plan.embedded)
        elif fault.target == "clock":
            await self.clock.be_wrong(fault.kind, fault.for_s)
        elif fault.target == "disk":
            await self._fill_disk(fault.for_s)
        elif (network := self._networks.get(fault.target)) is not None:
            network.mode = fault.kind
            await asyncio.sleep(fault.for_s)
            network.mode = ""
        elif fault.target == "collector":
            await self._hurt_collector(self._dice.choice(self.collectors), fault)
        else:
            part = next(part for part in self.parts if part.name == fault.target)
            async with self._turns[part]:  # the machine may be slow, and the part still be starting
                await self._hurt_part(part, fault)

    async def _fill_disk(self, for_s: float) -> None:
        on_it = [*(collector.part for collector in self.collectors), self.stores[0].part]
        await self.disk.fill(on_it)
        try:
            await asyncio.sleep(for_s)
        finally:
            await self.disk.empty(on_it)

    async def _hurt_part(self, part: Part, fault: Fault) -> None:
        match fault.kind:
            case "frozen":
                part.send(signal.SIGSTOP)
                await asyncio.sleep(fault.for_s)
                part.send(signal.SIGCONT)
                return
            case "stopped":
                await part.stop()
            case _:
                part.kill()
        await asyncio.sleep(fault.for_s)
        await part.start()

    async def _hurt_collector(self, collector: CollectorUnderTest, fault: Fault) -> None:
        async with self._turns[collector.part]:
            if fault.kind == "killed in a commit" or (fault.kind == "power cut" and self._dice.random() < 0.8):
                await self._kill_in_a_commit(collector)
            if fault.kind == "power cut":
                collector.part.kill()
                lose_power(collector.wishes, collector.data / "journal.db", self._dice)
            await self._hurt_part(collector.part, fault)

    async def _kill_in_a_commit(self, collector: CollectorUnderTest) -> None:
        wish_death(collector.wishes)
        patience_s = time.monotonic() + DIE_WITHIN_S
        while collector.part.is_running and time.monotonic() < patience_s:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        collector.part.kill()
        (collector.wishes / "die").unlink(missing_ok=True)

    async def move_area(self, handed_over: Callable[[CollectorUnderTest], Awaitable[bool]]) -> None:
        """Move an area from the first collector to the second, as docs/reliability.md says."""
        east, west = self.collectors
        await self._restart(east, EAST)
        await until(lambda: handed_over(east), SETTLE_S, f"{MOVED} is handed over")
        await self._restart(west, WEST, MOVED)

    async def _restart(self, collector: CollectorUnderTest, *areas: str) -> None:
        async with self._turns[collector.part]:
            collector.serve(*areas)
            await collector.part.stop()
            await collector.part.start()

    async def revive(self) -> list[str]:
        """Start what ended by itself, as whoever runs it would; their names, and their last words."""
        ended = [part for part in self.parts if not part.is_running]
        for part in ended:
            await part.start()
        return [f"{part.name}: {part.log.read_text().splitlines()[-1]}" for part in ended]


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
