"""A run: one execution of a scenario, from its start through history into live time, on a broker or into a file.

The loop is short. Ask the clock how far the town may go; let SimPy live that *slice*; write what was said into
the sent ledger; hand it to the gateways; wait while the window of readings that are not durable yet is full.
The clock message for a slice goes out only after all its readings are durable, so whoever reasons in event
time may trust it as a watermark. What the gateway of an offline site holds belongs to the slice in which it is said;
until that is durable the clock goes on, and names the site as an exception. A run that is stopped meanwhile never said
it: neither ledger nor store knows of it.

A run keeps a folder: `run.json` (who it is, how far it came), `run.sent` (the sent ledger), `run.truth` (the truth
ledger), `run.commands` (commands obeyed, replayable). Started again in the same folder, the same scenario goes
on where it stopped, with the next *boot* number.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import structlog
import xxhash

from haina.contract import Clock, Command, Phase, Reply, Topic, TopicClass, encode, point_hash
from haina.credentials import CLOCK_SITE, BadCredentials
from haina.ledger import SentDevice, SentLedger
from haina.mqtt.connection import BrokerAddress
from simulator.clock import BadSpeed, PastPresent, RunClock
from simulator.gateway import Gateway, Slice, Window
from simulator.population import build_town
from simulator.scenario import Scenario
from simulator.town import BOOTS, Device, Emission, Refused, Town
from simulator.truth import NoTruth, TruthLedger

log = structlog.get_logger()

DEFAULT_WINDOW = 20_000
"""Readings of a run that may be said and not yet durable. Small against the embedded broker's log (see
`haina.broker`), large against what is under way at 40,000 a second and 0.25 s between watermarks."""

LATE_READING_MS = 5_000
"""A reading may be handed over this long after its event time (`Device.send(at_s=…)`), so the clock stays behind."""


SLICE_READINGS = 2_000  # what a slice of simulated time should hold: some 20 ms of work
SLICE_MIN_S, SLICE_MAX_S = 0.05, 900.0
LIVE_TICK_S = 0.1
CLOCK_EVERY_S = 0.25
CLOCK_HEARTBEAT_S = 2.0
STATE_EVERY_S = 2.0
STOP_WAIT_S = 2.0  # for what was said to become durable, when asked to end
END_WAIT_S = 30.0  # for more of it to become durable, at the end of the run; as long as a gateway waits in silence
NAMED = 5  # devices that a log line names


class RunFolderTaken(Exception):
    """The folder holds another scenario's run; the message says which and what to do."""


@dataclass(frozen=True)
class RunState:
    """What `run.json` says: who this run is and how far it came. Times in ms since 1970."""

    run: str
    boot: int
    scenario: str
    seed: int
    start_ms: int
    reached_ms: int

    @classmethod
    def new(cls, scenario: str, seed: int, start_ms: int) -> "RunState":
        """A run's first boot.

        Boots of different runs differ, so that a collector that outlives a run's folder never takes the next run's
        readings for the last one's: 20 bits of the run's name, and 10 bits to count its starts.
        """
        run = run_name(scenario, seed, start_ms)
        boot = (xxhash.xxh3_64_intdigest(run.encode()) % (1 << 20)) * BOOTS + 1
        return cls(run, boot, scenario, seed, start_ms, start_ms)

    @classmethod
    def load(cls, folder: Path) -> "RunState | None":
        try:
            return cls(**json.loads((folder / "run.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise RunFolderTaken(f"{folder / 'run.json'} cannot be read ({error}); delete it to start anew") from None

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / "run.json.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(folder / "run.json")


def begin(folder: Path, scenario: str, seed: int, start_ms: int) -> RunState:
    """The state to run with: a new run's first boot at `start_ms`, or the next boot of the run that the folder holds.

    A run that goes on starts where it stopped, or at `start_ms` if that is later. Raises RunFolderTaken.
    """
    before = RunState.load(folder)
    if before is None:
        return RunState.new(scenario, seed, start_ms)
    if (before.scenario, before.seed) != (scenario, seed):
        raise RunFolderTaken(
            f"{folder} holds a run of scenario {before.scenario!r} with seed {before.seed}, "
            f"not {scenario!r} with seed {seed}; choose another --data folder, or delete it"
        )
    if (before.boot + 1) % BOOTS == 0:
        raise RunFolderTaken(f"{folder} holds a run that was started {BOOTS - 1} times; choose another --data folder")
    start_ms = max(start_ms, before.reached_ms)
    return replace(before, boot=before.boot + 1, start_ms=start_ms, reached_ms=start_ms)


def run_name(scenario: str, seed: int, start_ms: int) -> str:
    """A run's id says what it is, so that the same run has the same id everywhere."""
    moment = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(start_ms / 1000))
    return f"{scenario}-{seed}-{moment}"


def gateway_names(scenario: Scenario) -> list[str]:
    """The names ``area/site`` of all gateways that a run of the scenario has, the clock's among them."""
    town = found_town(scenario, RunState.new(scenario.name, seed=1, start_ms=0), NoTruth())
    return sorted({CLOCK_SITE, *(site.name for site in town.sites.values())})


def found_town(scenario: Scenario, state: RunState, truth: TruthLedger | NoTruth) -> Town:
    """A town with everything the scenario says, at its start."""
    town = Town(seed=state.seed, start_ms=state.start_ms, run=state.run, boot=state.boot, truth=truth)
    build_town(scenario, town)
    return town


def live_slices(
    town: Town, until_ms: int, commands: Iterable[tuple[int, Topic, Command]] = ()
) -> Iterator[list[Emission]]:
    """Let the town live until then, slice by slice, obeying recorded commands at their times."""
    waiting = deque(sorted(commands, key=lambda recorded: recorded[0]))
    slice_s = _SliceLength()
    while town.now_ms < until_ms:
        while waiting and waiting[0][0] <= town.now_ms:
            _, topic, command = waiting.popleft()
            town.obey(topic, command)
        end_ms = min(until_ms, town.now_ms + slice_s.ms)
        if waiting:
            end_ms = min(end_ms, waiting[0][0])
        yield slice_s.live(town, end_ms)


class _SliceLength:
    """Learns how much simulated time holds about SLICE_READINGS readings."""

    def __init__(self) -> None:
        self._s = 60.0

    @property
    def ms(self) -> int:
        return round(self._s * 1000)

    def live(self, town: Town, end_ms: int) -> list[Emission]:
        lived_s = (end_ms - town.now_ms) / 1000
        town.env.run(until=(end_ms - town.start_ms) / 1000)
        said, town.outbox = town.outbox, []
        if lived_s >= self._s * 0.5:
            wanted_s = lived_s * SLICE_READINGS / max(len(said), 1)
            self._s = min(max(wanted_s, self._s / 2, SLICE_MIN_S), self._s * 2, SLICE_MAX_S)
        return said


def record(
    scenario: Scenario,
    state: RunState,
    end_ms: int,
    to: BinaryIO,
    *,
    commands: Iterable[tuple[int, Topic, Command]] = (),
    progress: Callable[[int, int], None] = lambda _now_ms, _count: None,
) -> int:
    """Write the run's messages as JSON Lines, meta first; return how many readings there were."""
    town = found_town(scenario, state, NoTruth())
    for site in town.sites.values():
        for device in site.devices.values():
            topic = str(Topic(TopicClass.META, site.area, site.id, device.id, "info"))
            to.write(b'{"topic":"%s","payload":%s}\n' % (topic.encode(), encode(device.meta())))
    count = 0
    for said in live_slices(town, end_ms, commands):
        to.writelines(
            b'{"topic":"%s","payload":%s}\n' % (emission.device.topic(emission.measurement), emission.payload)
            for emission in said
        )
        count += len(said)
        progress(town.now_ms, count)
    return count


@dataclass(frozen=True)
class Summary:
    """What a live run did. `acknowledged` readings are covered by the collector's watermark, so durable there."""

    run: str
    boot: int
    published: int
    acknowledged: int
    outstanding: int
    resent: int
    simulated_s: float
    backfill_s: float | None
    wall_s: float
    outstanding_by_device: dict[str, int]
    """Readings that nobody is known to keep: what the collector does not get from the broker yet is lost.

    A run that goes on has another boot and says its own readings; it does not say these again."""


class LiveRun:
    """A run on a broker. Build it, then await `run`.

    With `accounts`, names ``area/site`` and passwords, each gateway enters by its own. Raises BadCredentials when one
    has none, and OSError when a ledger cannot be opened.
    """

    def __init__(
        self,
        scenario: Scenario,
        state: RunState,
        folder: Path,
        clock: RunClock,
        *,
        accounts: Mapping[str, str] | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[RunClock], None] = lambda _clock: None,
    ) -> None:
        self._state = state
        self._folder = folder
        self._clock = clock
        self._progress = progress
        self._truth = TruthLedger(folder / "run.truth")
        self._town = found_town(scenario, state, self._truth)
        area, site_id = CLOCK_SITE.split("/")
        desk = self._town.site(area, site_id, "simulator", (121.40, 31.25))
        desk.device("clock", "clock").commands["set"] = self._set_clock
        self._accounts = accounts
        self._check_accounts()
        self._sent = SentLedger(
            folder / "run.sent", run=state.run, boot=state.boot, scenario=scenario.name, start_ms=state.start_ms
        )
        self._commands = (folder / "run.commands").open("a", encoding="utf-8")
        self._recorders: dict[Device, SentDevice] = {}
        self._window = Window(window)
        self._slice_s = _SliceLength()
        self._slices: deque[Slice] = deque()
        self._durable_ms = clock.start_ms
        self._durable_offline: tuple[str, ...] = ()
        self._offline: set[str] = set()  # the sites last told to be offline
        self._stop = asyncio.Event()
        self._woken = asyncio.Event()
        self._pace: deque[tuple[float, int]] = deque(maxlen=20)
        self._stuck = False  # and told so
        self._told: Clock | None = None
        self._told_s = 0.0
        self._gateways = {site.id: Gateway(site, self._window, self._obey) for site in self._town.sites.values()}
        self._desk = self._gateways[desk.id]

    def stop(self) -> None:
        """End the run: from a signal handler, say."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to end."""
        return self._stop.is_set()

    async def run(self, address: BrokerAddress) -> Summary:
        """Live until the end, or until `stop`. Raises OSError when a ledger cannot be written."""
        began_s = time.monotonic()
        live_s: float | None = None
        self._state.save(self._folder)
        tasks = [asyncio.create_task(self._connect(address)), asyncio.create_task(self._watch())]
        try:
            while not self._stop.is_set() and not self._clock.finished:
                for task in tasks:
                    if task.done():
                        task.result()
                await self._live_a_slice()
                if live_s is None and self._clock.phase is Phase.LIVE:
                    live_s = time.monotonic()
            await self._drain()
            self._tell_clock(force=True)
            await asyncio.gather(*(gateway.leave() for gateway in self._gateways.values()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._keep_state()
            self._sent.close()
            self._truth.close()
            self._commands.close()
        return Summary(
            run=self._state.run,
            boot=self._state.boot,
            published=sum(gateway.published for gateway in self._gateways.values()),
            acknowledged=self._window.durable,
            outstanding=self._window.outstanding,
            resent=sum(gateway.resent for gateway in self._gateways.values()),
            simulated_s=(self._clock.now_ms - self._clock.start_ms) / 1000,
            backfill_s=None if live_s is None else round(live_s - began_s, 3),
            wall_s=round(time.monotonic() - began_s, 3),
            outstanding_by_device={
                f"{gateway.site.area}/{gateway.site.id}/{device}": readings
                for gateway in self._gateways.values()
                for device, readings in sorted(gateway.outstanding().items())
            },
        )

    # Living

    async def _live_a_slice(self) -> None:
        wall_ms = _wall_ms()
        end_ms = min(self._clock.may_reach_ms(wall_ms), self._clock.now_ms + self._slice_s.ms)
        if end_ms <= self._clock.now_ms:
            await self._pause(LIVE_TICK_S)
            return
        slice_ = Slice(end_ms)
        said = self._slice_s.live(self._town, end_ms)
        self._turn_gateways()
        slice_.offline = tuple(site.id for site in self._town.offline.values() if site.held)
        self._hand_over(said, slice_)
        self._slices.append(slice_)
        self._clock.reached(end_ms, wall_ms)
        self._progress(self._clock)
        if self._window.full:
            await _first(self._window.room(), self._stop.wait())
        elif end_ms < wall_ms - 2_000 and self._clock.phase is Phase.HISTORY:
            await asyncio.sleep(0)
        else:
            await self._pause(LIVE_TICK_S)

    def _turn_gateways(self) -> None:
        """Let the gateways of sites that went offline, or came back, say so."""
        offline = set(self._town.offline)
        for site_id in sorted(offline ^ self._offline):
            self._gateways[site_id].turn()
        self._offline = offline

    def _hand_over(self, said: list[Emission], slice_: Slice) -> None:
        """Into the ledger first, then into the gateways' custody."""
        recorders = self._recorders
        touched: dict[str, Gateway] = {}
        for emission in said:
            device = emission.device
            recorder = recorders.get(device)
            if recorder is None:
                recorder = recorders[device] = self._sent.device(device.site.area, device.site.id, device.id)
            recorder.record(emission.time_ms, emission.seq, point_hash(emission.measurement.name, emission.payload))
            site_id = device.site.id
            gateway = touched.get(site_id)
            if gateway is None:
                gateway = touched[site_id] = self._gateways[site_id]
            gateway.say(emission, slice_)
        slice_.pending += len(said)
        self._window.take(len(said))
        for gateway in touched.values():
            gateway.pump()

    async def _pause(self, seconds: float) -> None:
        """Wait for that long, or until a command changes the clock or the run is stopped."""
        self._woken.clear()
        await _first(self._woken.wait(), self._stop.wait(), within_s=seconds)

    async def _drain(self) -> None:
        """Let what was said become durable: while more of it does, or, when asked to end, for a moment."""
        durable = -1
        while not self.stopped and self._window.outstanding and self._window.durable > durable:
            durable = self._window.durable
            await _first(self._window.settled(), self._stop.wait(), within_s=END_WAIT_S)
        if self.stopped:
            await _first(self._window.settled(), within_s=STOP_WAIT_S)

    async def _connect(self, address: BrokerAddress) -> None:
        """Keep every gateway's session. The clock comes first: readings are judged by the time it tells."""
        async with asyncio.TaskGroup() as sessions:
            sessions.create_task(self._desk.stay(self._entry(self._desk, address), speaks=True))
            await self._desk.introduced()
            self._tell_clock(force=True)
            for gateway in self._gateways.values():
                if gateway is not self._desk:
                    sessions.create_task(gateway.stay(self._entry(gateway, address), speaks=False))

    def _entry(self, gateway: Gateway, address: BrokerAddress) -> BrokerAddress:
        """The broker as this gateway enters it."""
        if self._accounts is None:
            return address
        name = gateway.site.name
        return replace(address, username=name, password=self._accounts[name])

    def _check_accounts(self) -> None:
        if self._accounts is None:
            return
        lacking = sorted(site.name for site in self._town.sites.values() if site.name not in self._accounts)
        if lacking:
            others = f" and {len(lacking) - 1} others" if len(lacking) > 1 else ""
            raise BadCredentials(f"no account for {lacking[0]}{others}; make them with `haina credentials`")

    # Telling

    async def _watch(self) -> None:
        """Publish the clock, keep the state, notice silence."""
        kept_s = silent_s = 0.0
        while True:
            await asyncio.sleep(CLOCK_EVERY_S)
            now_s = time.monotonic()
            self._pace.append((now_s, self._clock.now_ms))
            self._tell_clock()
            if now_s - kept_s > STATE_EVERY_S:
                kept_s = now_s
                self._keep_state()
            if now_s - silent_s > 1.0:
                silent_s = now_s
                for gateway in self._gateways.values():
                    gateway.check_silence(now_s)
                self._tell_stuck(now_s)

    def _tell_stuck(self, now_s: float) -> None:
        """Say once that readings of connected sites do not become durable, and once when they do again."""
        gateways = [
            (gateway.site.name, device) for gateway in self._gateways.values() if (device := gateway.stuck_on(now_s))
        ]
        if gateways and not self._stuck:
            log.warning(
                "nothing of these sites has become durable for a minute; the town waits when the window is full. Is a "
                "collector running, and does it take these devices (haina status)?",
                sites=len(gateways),
                devices=[f"{site}/{device}" for site, device in gateways[:NAMED]],
            )
        elif self._stuck and not gateways:
            log.info("readings of all sites become durable again")
        self._stuck = bool(gateways)

    def _tell_clock(self, *, force: bool = False) -> None:
        while self._slices and self._slices[0].pending == 0:
            durable = self._slices.popleft()
            self._durable_ms, self._durable_offline = durable.end_ms, durable.offline
        message = Clock(
            run=self._state.run,
            time=max(self._clock.start_ms, self._durable_ms - LATE_READING_MS),
            speed=self._clock.speed,
            phase=self._clock.phase,
            achieved=round(self._achieved(), 2),
            paused=self._clock.paused,
            start=self._clock.start_ms,
            live_from=self._clock.live_from_ms,
            offline=self._durable_offline,
            reached=self._clock.now_ms,
        )
        now_s = time.monotonic()
        if force or self._clock_changed(message) or now_s - self._told_s > CLOCK_HEARTBEAT_S:
            self._desk.publish_clock(message)
            self._told, self._told_s = message, now_s

    def _clock_changed(self, message: Clock) -> bool:
        told = self._told
        return told is None or any(
            getattr(told, name) != getattr(message, name) for name in ("time", "speed", "phase", "paused", "offline")
        )

    def _achieved(self) -> float:
        if len(self._pace) < 2:
            return 0.0
        (first_s, first_ms), (last_s, last_ms) = self._pace[0], self._pace[-1]
        return (last_ms - first_ms) / 1000 / max(last_s - first_s, 1e-9)

    def _keep_state(self) -> None:
        self._truth.flush()
        self._sent.flush()
        replace(self._state, reached_ms=self._clock.now_ms).save(self._folder)

    # Obeying

    def _obey(self, topic: Topic, command: Command) -> Reply:
        reply = self._town.obey(topic, command)
        if topic.site != self._desk.site.id and not self._town.is_question(topic):
            entry = {"time": self._town.now_ms, "topic": str(topic), "command": json.loads(encode(command))}
            self._commands.write(json.dumps(entry) + "\n")
            self._commands.flush()
        return reply

    def _set_clock(self, args: Mapping[str, Any]) -> str | None:
        """The command `town/simulator/clock/set`: args `speed`, `paused`, `step_s`, `future`."""
        unknown = set(args) - {"speed", "paused", "step_s", "future"}
        if unknown:
            return f"the clock knows speed, paused, step_s and future, not {', '.join(sorted(unknown))}"
        wall_ms = _wall_ms()
        try:
            if "speed" in args or "future" in args:
                self._clock.set_speed(
                    float(args.get("speed", self._clock.speed)), wall_ms, future=bool(args.get("future", False))
                )
            if "paused" in args:
                self._clock.pause(bool(args["paused"]), wall_ms)
            if "step_s" in args:
                self._clock.step(float(args["step_s"]))
        except PastPresent as error:
            raise Refused(str(error), needs="future") from None
        except (BadSpeed, TypeError, ValueError) as error:
            return str(error)
        self._woken.set()
        self._tell_clock(force=True)
        return None


def read_commands(path: Path) -> list[tuple[int, Topic, Command]]:
    """Read a `run.commands` file for a replay. Raises ValueError naming the line."""
    recorded = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():  # it was about a site that was forgotten (`haina forget`)
            continue
        try:
            entry = json.loads(line)
            recorded.append((int(entry["time"]), Topic.parse(entry["topic"]), Command(**entry["command"])))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}:{number}: not a recorded command ({error})") from None
    return recorded


async def _first(*waits: Any, within_s: float | None = None) -> None:
    """Wait for whichever comes first, so long at most, and drop the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
