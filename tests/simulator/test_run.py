"""A run: the same bytes for the same seed, start and commands; and it waits rather than loses."""

import asyncio
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import structlog
from typer.testing import CliRunner

from haina.command import compose
from haina.contract import Clock, Command, Phase, Reply, Topic, Watermark, decode, encode, measurement, point_hash
from haina.contract.point import stored_point_hash
from haina.contract.topic import TopicClass
from haina.ledger import read_ledger
from haina.mqtt.codec import Publish
from haina.mqtt.connection import Connection, ConnectOptions
from simulator.clock import RunClock
from simulator.gateway import Gateway
from simulator.population import build_town
from simulator.run import LiveRun, RunFolderTaken, RunState, begin, read_commands, record
from simulator.scenario import Scenario, parse
from simulator.town import Town
from simulator.truth import NoTruth
from tests.brokers import mosquitto_broker

START = 1_772_380_800_000  # 2026-03-02T00:00+08:00
HOUR = 3_600_000


def build_scenario() -> Scenario:
    return parse("title: Two places\nareas:\n  a01: {centres: 1, homes: 2}\n", "two-places.yaml").model_copy(
        update={"name": "two-places"}
    )


def build_state(seed: int = 7) -> RunState:
    return RunState.new("two-places", seed, START)


def recorded(hours: float, seed: int = 7, commands: list[tuple[int, Topic, Command]] | None = None) -> bytes:
    out = io.BytesIO()
    record(build_scenario(), build_state(seed), START + round(hours * HOUR), out, commands=commands or ())
    return out.getvalue()


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others() -> None:
    assert recorded(3) == recorded(3)
    assert recorded(3) != recorded(3, seed=8)


def test_a_longer_run_begins_with_the_bytes_of_a_shorter_one() -> None:
    assert recorded(4).startswith(recorded(2))


def test_how_simulated_time_is_sliced_changes_nothing() -> None:
    def said(step_s: float) -> list[bytes]:
        town = Town(seed=3, start_ms=START, run="r", boot=1, truth=NoTruth())
        build_town(build_scenario(), town)
        until_s = step_s
        while until_s <= 7_200:
            town.env.run(until=until_s)
            until_s += step_s
        return [emission.payload for emission in town.outbox]

    assert said(7_200) == said(0.9) == said(450)


def test_every_recorded_message_is_one_the_contract_accepts_and_an_audit_would_find_again() -> None:
    kinds = set()
    for line in recorded(6).splitlines():
        entry = json.loads(line)
        topic = Topic.parse(entry["topic"])
        kinds.add(topic.topic_class)
        if topic.topic_class is TopicClass.TELEMETRY:
            declared = measurement(topic.name)
            payload = line[line.index(b'"payload":') + len(b'"payload":') : -1]
            reading = declared.decoder.decode(payload)
            kept = msgspec.structs.asdict(reading.values)
            assert stored_point_hash(declared, reading.time, reading.boot, reading.seq, kept) == point_hash(
                declared.name, payload
            ), f"not in canonical form, so an audit would call it altered: {payload!r}"
    assert kinds == {TopicClass.META, TopicClass.TELEMETRY}


def test_recorded_commands_replay_at_their_times(tmp_path: Path) -> None:
    restart = Topic.parse("haina/v1/command/a01/c01/kiosk-1/restart")
    command = Command(id="c1", expires=START + 9 * HOUR)
    path = tmp_path / "run.commands"
    entry = {"time": START + HOUR, "topic": str(restart), "command": json.loads(encode(command))}
    path.write_text(json.dumps(entry) + "\n")
    replay = read_commands(path)
    assert replay == [(START + HOUR, restart, command)]
    with_command = recorded(3, commands=replay)
    assert with_command == recorded(3, commands=replay)
    assert with_command.startswith(recorded(0.9))


def test_the_command_line_writes_the_same_file_in_any_zone_and_process(tmp_path: Path) -> None:
    def digest(zone: str, name: str) -> str:
        target = tmp_path / name
        subprocess.run(
            [sys.executable, "-m", "haina", "simulate", "--scenario", "laptop", "--seed", "7",
             "--start", "2026-03-02T00:00+08:00", "--duration", "20m", "--to", str(target)],
            check=True, capture_output=True, env={**os.environ, "TZ": zone, "PYTHONHASHSEED": zone[:1] and "random"},
        )  # fmt: skip
        return hashlib.sha256(target.read_bytes()).hexdigest()

    assert digest("America/New_York", "one.jsonl") == digest("Asia/Shanghai", "two.jsonl")


def test_a_run_goes_on_in_its_folder_with_the_next_boot_and_another_scenario_may_not(tmp_path: Path) -> None:
    first = begin(tmp_path, "laptop", 1, START)
    assert first.start_ms == START
    replace(first, reached_ms=START + 5 * HOUR).save(tmp_path)
    again = begin(tmp_path, "laptop", 1, START + HOUR)
    assert (again.run, again.boot, again.start_ms) == (first.run, first.boot + 1, START + 5 * HOUR)
    with pytest.raises(RunFolderTaken, match="holds a run of scenario 'laptop' with seed 1"):
        begin(tmp_path, "pilot-zone", 1, START)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunFolderTaken, match="cannot be read"):
        begin(tmp_path, "laptop", 1, START)


def test_another_run_has_other_boots_so_no_collector_takes_it_for_the_last_one(tmp_path: Path) -> None:
    runs = [RunState.new("laptop", seed, START + minute * 60_000) for seed in range(4) for minute in range(25)]
    assert len({run.boot for run in runs}) == len(runs)
    assert RunState.new("laptop", 1, START) == RunState.new("laptop", 1, START)
    replace(runs[0], boot=runs[0].boot + 1_021).save(tmp_path)
    last = begin(tmp_path, "laptop", 0, START)
    last.save(tmp_path)
    with pytest.raises(RunFolderTaken, match="choose another --data folder"):
        begin(tmp_path, "laptop", 0, START)


class Listener:
    """Hears everything and keeps the last clock; never says that anything is durable."""

    def __init__(self) -> None:
        self.readings = 0
        self.replies: dict[str, Reply] = {}
        self.clock: Clock | None = None
        self.connection: Connection | None = None

    def connected(self, session_present: bool) -> None: ...

    def acknowledged(self, packet_ids: list[int]) -> None: ...

    def disconnected(self, reason: str) -> None: ...

    def received(self, batch: Iterable[Publish]) -> None:
        for publish in batch:
            if publish.topic == b"haina/v1/clock":
                self.clock = decode(Clock, publish.payload)
            elif publish.topic.startswith(b"haina/v1/reply/"):
                reply = decode(Reply, publish.payload)
                self.replies[reply.id] = reply
            else:
                self.readings += 1
        assert self.connection is not None
        self.connection.acknowledge([publish.packet_id for publish in batch if publish.qos])


def test_without_anybody_to_make_readings_durable_the_town_waits_at_its_window(tmp_path: Path) -> None:
    async def scene() -> None:
        with mosquitto_broker() as broker:
            listener = Listener()
            listener.connection = await Connection.open(broker.address, ConnectOptions("listener"), listener)
            await listener.connection.subscribe([TopicClass.TELEMETRY.filter, "haina/v1/clock"])
            clock = RunClock(start_ms=START, wall_ms=START + 24 * HOUR)
            run = LiveRun(build_scenario(), build_state(), tmp_path, clock, window=500)
            task = asyncio.create_task(run.run(broker.address))
            async with asyncio.timeout(30):
                while listener.readings < 500 or listener.clock is None:  # noqa: ASYNC110 - it is another process's truth
                    await asyncio.sleep(0.05)
            lived_ms = clock.now_ms
            await asyncio.sleep(1.0)
            assert clock.now_ms == lived_ms
            assert clock.phase is Phase.HISTORY
            assert listener.clock.time == START, "the clock told of time whose readings are not durable"
            run.stop()
            summary = await task
            assert summary.acknowledged == 0
            assert summary.outstanding == summary.published == listener.readings
            assert sum(summary.outstanding_by_device.values()) == summary.outstanding, "each of them is named"
            assert all(len(device.split("/")) == 3 for device in summary.outstanding_by_device)
            sent = sum(minute.readings for minute in read_ledger(tmp_path / "run.sent"))
            assert sent == summary.published
            await listener.connection.close()

    asyncio.run(scene())


class Keeper(Listener):
    """Hears everything, and says that it is durable when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.durable: dict[Topic, Watermark] = {}

    def received(self, batch: Iterable[Publish]) -> None:
        super().received(batch)
        for publish in batch:
            if publish.topic != b"haina/v1/clock":
                topic, said = Topic.parse(publish.topic.decode()), msgspec.json.decode(publish.payload)
                site = Topic(TopicClass.WATERMARK, topic.area, topic.site, "gateway", "durable")
                watermark = self.durable.setdefault(site, Watermark(said["boot"], {}))
                watermark.durable[topic.device] = max(said["seq"], watermark.durable.get(topic.device, 0))

    def keep(self) -> None:
        assert self.connection is not None
        self.connection.publish([(str(topic).encode(), encode(kept)) for topic, kept in self.durable.items()])


def test_a_run_that_is_at_its_end_waits_until_all_it_said_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.run.STOP_WAIT_S", 0.0)

    async def scene() -> None:
        with mosquitto_broker() as broker:
            keeper = Keeper()
            keeper.connection = await Connection.open(broker.address, ConnectOptions("keeper"), keeper)
            await keeper.connection.subscribe([TopicClass.TELEMETRY.filter, "haina/v1/clock"])
            clock = RunClock(start_ms=START, wall_ms=START + 24 * HOUR, end_ms=START + HOUR // 2)
            run = LiveRun(build_scenario(), build_state(), tmp_path, clock)
            task = asyncio.create_task(run.run(broker.address))
            async with asyncio.timeout(60):
                while not clock.finished or not keeper.readings:  # noqa: ASYNC110 - it is another process's truth
                    await asyncio.sleep(0.05)
                while not task.done():
                    keeper.keep()
                    await asyncio.sleep(0.05)
            summary = await task
            assert summary.outstanding == 0
            assert summary.acknowledged == summary.published == keeper.readings
            await keeper.connection.close()

    asyncio.run(scene())


def test_a_run_that_nobody_listens_to_ends_with_a_sentence_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.run.END_WAIT_S", 0.1)
    monkeypatch.chdir(tmp_path)
    arguments = ["simulate", "--broker", "mqtt://127.0.0.1:2", "--duration", "1m", "--data", "run"]
    done = CliRunner().invoke(compose(), arguments, catch_exceptions=False)
    sent = sum(minute.readings for minute in read_ledger(tmp_path / "run/run.sent"))
    assert sent > 0
    assert done.exit_code == 1
    assert f"haina: {sent:,} readings are not known to be kept (" in done.stderr
    assert "`haina audit --sent run/run.sent`" in done.stderr


@pytest.mark.parametrize(("signals", "code"), [(1, 1), (2, 130)])
def test_a_run_that_is_asked_to_end_says_what_is_left_and_asked_twice_ends_at_once(
    tmp_path: Path, signals: int, code: int
) -> None:
    arguments = ["simulate", "--broker", "mqtt://127.0.0.1:2", "--history", "1h", "--data", str(tmp_path)]
    run = subprocess.Popen([sys.executable, "-m", "haina", *arguments], stderr=subprocess.PIPE, text=True)
    ledger = tmp_path / "run.sent"
    deadline_s = time.monotonic() + 60
    while not (ledger.exists() and list(read_ledger(ledger))) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    for _ in range(signals):
        run.send_signal(signal.SIGINT)
        while is_pending(signal.SIGINT, run.pid) and time.monotonic() < deadline_s:
            time.sleep(0.01)
    _, complained = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in complained
    assert ("readings are not known to be kept" in complained) == (code == 1)


def is_pending(number: signal.Signals, pid: int) -> bool:
    """Whether the process has not taken note of a signal yet; one more would then be the same one."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) >> number - 1 & 1 for line in lines if line.startswith(("SigPnd", "ShdPnd")))


def test_a_town_that_nobody_makes_durable_says_so_once_and_whom_it_waits_for(tmp_path: Path) -> None:
    async def scene() -> list[str]:
        run = LiveRun(build_scenario(), build_state(), tmp_path, RunClock(start_ms=START, wall_ms=START))
        stuck: dict[Gateway, str] = {}
        for gateway in run._gateways.values():
            gateway.stuck_on = lambda now_s, gateway=gateway: stuck.get(gateway)  # type: ignore[method-assign]
        with structlog.testing.capture_logs() as logs:
            for devices in ({}, {"c01": "kiosk-1"}, {"c01": "kiosk-1", "h0001": "band"}, {}, {}):
                stuck = {run._gateways[site]: device for site, device in devices.items()}
                run._tell_stuck(0.0)
        return [f"{log['event'][:38]} {log.get('devices')}" for log in logs]

    assert asyncio.run(scene()) == [
        "nothing of these sites has become dura ['a01/c01/kiosk-1']",
        "readings of all sites become durable a None",
    ]


def test_a_clock_at_the_present_says_what_it_needs_and_only_what_changes_something_is_recorded(tmp_path: Path) -> None:
    wishes = {
        "too-fast": ("town/simulator/clock/set", {"speed": 60}),
        "question": ("a01/k01/desk/incidents", {}),
        "wish": ("a01/k01/desk/automatic", {"on": False}),
        "ahead": ("town/simulator/clock/set", {"speed": 60, "future": True}),
    }

    async def scene() -> dict[str, Reply]:
        now_ms = time.time_ns() // 1_000_000
        scenario = parse("title: A block\nareas:\n  a01: {blocks: 1}\n", "block.yaml").model_copy(
            update={"name": "block"}
        )
        run = LiveRun(scenario, RunState.new("block", 7, now_ms), tmp_path, RunClock(start_ms=now_ms, wall_ms=now_ms))
        with mosquitto_broker() as broker:
            listener = Listener()
            connection = listener.connection = await Connection.open(
                broker.address, ConnectOptions("listener"), listener
            )
            await connection.subscribe([TopicClass.REPLY.filter, "haina/v1/clock"])
            task = asyncio.create_task(run.run(broker.address))
            async with asyncio.timeout(60):
                while listener.clock is None:  # noqa: ASYNC110 - it is another process's truth
                    await asyncio.sleep(0.05)
                for name, (topic, args) in wishes.items():
                    wish = Command(id=name, expires=now_ms + 24 * HOUR, args=args)
                    while name not in listener.replies:  # said again until it is heard: its desk may not listen yet
                        connection.publish([(f"haina/v1/command/{topic}".encode(), encode(wish))])
                        await asyncio.sleep(0.2)
            run.stop()
            await task
            await connection.close()
        return listener.replies

    replies = asyncio.run(scene())
    assert (replies["too-fast"].done, replies["too-fast"].values) == (False, {"needs": "future"})
    assert replies["question"].values["incidents"] == []
    assert replies["wish"].done
    assert replies["ahead"].done
    assert {command.id for _, _, command in read_commands(tmp_path / "run.commands")} == {"wish"}
