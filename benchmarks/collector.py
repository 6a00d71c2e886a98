"""What a reading costs the collector: CPU time per message, from the socket to the acknowledgement, store `null:`.

Mosquitto keeps N QoS 1 messages for the collector's persistent session; then the collector is started and drains
them. Start-up is excluded by reading its CPU time before it may connect. Run it from the repository:

    python -m benchmarks.collector --messages 300000
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from haina.contract import telemetry_payload
from haina.contract.measurement import Value
from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publish
from tests.brokers import embedded_broker, free_port, mosquitto_broker

BASE_MS = int(time.time() * 1000) - 3_600_000


class Sender:
    """Publishes as fast as acknowledgements come."""

    def __init__(self) -> None:
        self.room = asyncio.Event()

    def connected(self, session_present: bool) -> None: ...

    def received(self, batch: list[Publish]) -> None: ...

    def acknowledged(self, packet_ids: list[int]) -> None:
        self.room.set()

    def disconnected(self, reason: str) -> None:
        self.room.set()


def messages(number: int, sites: int, devices: int) -> list[tuple[bytes, bytes]]:
    """Wearables of `sites` homes with `devices` each, taking turns."""
    topics = [
        f"haina/v1/telemetry/area-{site % 8:02}/home-{site:04}/wearable-{device:02}/wearable".encode()
        for site in range(sites)
        for device in range(devices)
    ]
    values: dict[str, Value] = {"worn": True, "steps": 17, "battery_pct": 81.5, "heart_rate_bpm": 71.0}
    return [
        (topics[index % len(topics)], telemetry_payload(BASE_MS + index, 7, index // len(topics) + 1, values))
        for index in range(number)
    ]


async def blast(url: str, load: list[tuple[bytes, bytes]]) -> float:
    """Publish all and wait for every acknowledgement; seconds."""
    sender = Sender()
    options = ConnectOptions("bench-sender", max_in_flight=2_000)
    connection = await Connection.open(BrokerAddress.parse(url), options, sender)
    began_s = time.monotonic()
    sent = 0
    while sent < len(load):
        room = min(connection.room, 500)
        if room < 100 and len(load) - sent > room:
            sender.room.clear()
            await sender.room.wait()
            continue
        connection.publish(load[sent : sent + room], qos=1)
        sent += room
        await connection.drain()
    while connection.room < options.max_in_flight:
        sender.room.clear()
        await sender.room.wait()
    await connection.close()
    return time.monotonic() - began_s


async def subscribe_once(url: str) -> None:
    """Begin the collector's persistent session, so that the broker keeps messages for it."""
    options = ConnectOptions("haina-collector", clean_session=False)
    connection = await Connection.open(BrokerAddress.parse(url), options, Sender())
    await connection.subscribe(["haina/v1/telemetry/+/+/+/+", "haina/v1/status/+/+/+/+", "haina/v1/clock"])
    await connection.close()


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(http: str) -> dict[str, dict[str, int]]:
    with urllib.request.urlopen(f"http://{http}/status", timeout=10) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
        return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=300_000)
    arguments.add_argument("--sites", type=int, default=120)
    arguments.add_argument("--devices", type=int, default=15)
    arguments.add_argument("--store", default="null:")
    arguments.add_argument("--live", action="store_true", help="send while the collector runs, not before")
    arguments.add_argument("--broker", choices=("mosquitto", "embedded"), default="mosquitto")
    arguments.add_argument("--profile", help="write a cProfile of the collector to this file")
    options = arguments.parse_args()
    load = messages(options.messages, options.sites, options.devices)
    broker_of = mosquitto_broker if options.broker == "mosquitto" else embedded_broker
    with broker_of() as broker, tempfile.TemporaryDirectory() as folder:
        asyncio.run(subscribe_once(broker.url))
        if not options.live:
            print(f"preloaded at {len(load) / asyncio.run(blast(broker.url, load)):,.0f} messages/s")
        http = f"127.0.0.1:{free_port()}"
        profiler = ["-m", "cProfile", "-o", options.profile, "-m"] if options.profile else ["-m"]
        command = [sys.executable, *profiler, "collector.command", "collect", "--broker", broker.url]
        command += ["--store", options.store, "--data", folder, "--http", http]
        collector = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert collector.stdout is not None
            collector.stdout.readline()
            began_cpu_s, began_s = cpu_s(collector.pid), time.monotonic()
            if options.live:
                asyncio.run(blast(broker.url, load))
            while (found := status(http))["counters"]["journaled"] < len(load):
                if time.monotonic() - began_s > 300:
                    sys.exit(f"not done after 300 s: {found['counters']}")
                time.sleep(0.25)
            used_s, took_s = cpu_s(collector.pid) - began_cpu_s, time.monotonic() - began_s
            time.sleep(1.0)
            print(json.dumps(status(http), indent=1))
        finally:
            collector.terminate()
            collector.wait(20)
    print(f"{len(load):,} messages in {took_s:.1f} s, {len(load) / took_s:,.0f}/s")
    print(f"{used_s / len(load) * 1e6:.2f} µs of CPU a message")


if __name__ == "__main__":
    main()
