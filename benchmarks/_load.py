"""Readings to be collected, and how they get into the broker."""

import asyncio
import time

from haina.contract import telemetry_payload
from haina.contract.measurement import Value
from haina.mqtt import BrokerAddress, Connection, ConnectOptions, Publishes

FILTERS = ["haina/v1/telemetry/+/+/+/+"]
MEASUREMENT = "wearable"
_HOUR_MS = 3_600_000

Load = list[tuple[bytes, bytes]]


class Sender:
    """Hears when acknowledgements make room."""

    def __init__(self) -> None:
        self.room = asyncio.Event()

    def connected(self, session_present: bool) -> None: ...

    def received(self, batch: Publishes) -> None: ...

    def acknowledged(self, packet_ids: list[int]) -> None:
        self.room.set()

    def disconnected(self, reason: str) -> None:
        self.room.set()


def readings(count: int, *, boot: int = 7, sites: int = 120, devices: int = 15) -> Load:
    """Wristbands of so many homes with so many each, taking turns; 184 bytes with their topics, an hour ago."""
    begin_ms = int(time.time() * 1000) - _HOUR_MS
    topics = [
        f"haina/v1/telemetry/area-{site % 8:02}/home-{site:04}/wearable-{device:02}/{MEASUREMENT}".encode()
        for site in range(sites)
        for device in range(devices)
    ]
    values: dict[str, Value] = {"worn": True, "steps": 17, "battery_pct": 81.5, "heart_rate_bpm": 71.0}
    return [
        (topics[index % len(topics)], telemetry_payload(begin_ms + index, boot, index // len(topics) + 1, values))
        for index in range(count)
    ]


async def subscribe_once(url: str, session: str) -> None:
    """Begin a persistent session, so that the broker keeps messages for it."""
    connection = await Connection.open(BrokerAddress.parse(url), ConnectOptions(session, clean_session=False), Sender())
    await connection.subscribe(FILTERS)
    await connection.close()


async def blast(url: str, load: Load) -> None:
    """Publish all, as fast as the broker takes them, and wait for every acknowledgement."""
    sender = Sender()
    options = ConnectOptions("bench-sender", max_in_flight=2_000)
    connection = await Connection.open(BrokerAddress.parse(url), options, sender)
    sent = 0
    while sent < len(load) or connection.room < options.max_in_flight:
        batch = load[sent : sent + min(connection.room, 500)]
        if batch:
            connection.publish(batch, qos=1)
            sent += len(batch)
            await connection.drain()
        else:
            sender.room.clear()
            await sender.room.wait()
    await connection.close()


async def pace(url: str, load: Load, rate_hz: float) -> None:
    """Publish at a steady rate whatever the line does (open loop), a few at a time, every millisecond or so."""
    sender = Sender()
    options = ConnectOptions("bench-pacer", max_in_flight=20_000)
    connection = await Connection.open(BrokerAddress.parse(url), options, sender)
    began_s, sent = time.monotonic(), 0
    while sent < len(load):
        due = min(int((time.monotonic() - began_s) * rate_hz) + 1, len(load))
        batch = load[sent : min(due, sent + connection.room)]
        if batch:
            connection.publish(batch, qos=1)
            sent += len(batch)
            await connection.drain()
        await asyncio.sleep(0.001)
    while connection.room < options.max_in_flight:
        sender.room.clear()
        await sender.room.wait()
    await connection.close()
