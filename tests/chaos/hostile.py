"""A publisher that means harm, as far as a broker's access rules would let it: it says whatever the wire carries.

It forges no reading of a real device: who may do that is for the broker to say. But it says real readings again, in
any order and as often as it likes, and that must change nothing.
"""

import asyncio
import contextlib
import random
import time
from typing import Final

from haina.contract import telemetry_payload
from haina.mqtt import BrokerAddress, Connection, ConnectOptions, MQTTError, Publishes
from haina.mqtt.codec import MAX_PACKET_BYTES

STRANGE_BOOT: Final = 999  # of no run, so that no ledger misses its readings
LIVE_AGO_S: Final = 86_400 * 10
"""How long before the machine's time the town's live time begins, so that what is said of then is believed."""
ECHOED: Final = 900  # fewer than wait behind a hole before a collector gives it up

Message = tuple[bytes, bytes]


def garbage(dice: random.Random) -> list[Message]:
    """Messages that break the contract, each in its own way, on topics that real devices could have."""
    site = f"home-{dice.randrange(5)}"
    real = f"haina/v1/telemetry/a01/{site}/band/wearable".encode()
    now_ms = time.time_ns() // 1_000_000
    good = telemetry_payload(now_ms, STRANGE_BOOT, 1, {"worn": True, "steps": 1, "battery_pct": 50.0})
    bad = [
        b"",
        b"{",
        b"null",
        b'"' * 100,
        good[:-1],
        good + b"x",
        good.replace(b"50.0", b"NaN"),
        good.replace(b"50.0", b"-Infinity"),
        good.replace(b"50.0", b"1e999"),
        good.replace(b"50.0", b"9" * 400),
        good.replace(b"true", b'"\xff\xfe\xc0\x80"'),
        good.replace(b"true", b'"\\ud800"'),
        good.replace(b'"seq":1', b'"seq":-1'),
        good.replace(b'"seq":1', b'"seq":1e18'),
        good.replace(b'"seq":1', b'"seq":99999999999999999999999'),
        good.replace(str(now_ms).encode(), b"8999999999999"),
        good.replace(str(now_ms).encode(), b"1"),
        b'{"values":' * 5_000,
        b"[" * 15_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b"\x00" * 1_000,
        dice.randbytes(2_000),
        b"7" * 19_000,
    ]
    messages = [(real, payload) for payload in bad]
    messages += [
        (b"haina/v1/telemetry/a01/%s/band/no_such_measurement" % site.encode(), good),
        (b"haina/v1/telemetry/A 01/ /../wearable", good),
        ("haina/v1/telemetry/a01/家/設備/wearable".encode(), good),
        (b"haina/v1/telemetry/%s/x/y/wearable" % (b"a" * 3_000), good),
        (b"haina/v1/status/a01/home-1/gateway/connection2", b"[[[["),
        (b"haina/v1/clock", b'{"run":1'),
        (b"haina/v1/clock", b""),
        (b"haina/v1/watermark/a01/home-1/gateway/durable", b'{"boot":"no"}'),
        (b"haina/v1/command/a01/home-1/band/set", b"{"),
    ]
    return messages


def oversize(dice: random.Random) -> list[Message]:
    """Larger than any reading; the embedded broker shows whoever sends it the door."""
    return [(b"haina/v1/telemetry/a01/home-1/band/wearable", b"[" * dice.choice((70_000, 300_000, 2_000_000)))]


def strangers(dice: random.Random, devices: int) -> list[Message]:
    """Good readings of thousands of devices nobody knows, more of them on one site than a site may have."""
    now_ms = time.time_ns() // 1_000_000 - LIVE_AGO_S * 1_000
    crowd = f"crowd-{dice.randrange(10**6)}"
    messages = []
    for number in range(devices):
        site = crowd if number % 2 else f"lone-{dice.randrange(10**6)}"
        topic = f"haina/v1/telemetry/strange/{site}/d{number}/home_motion"
        messages.append((topic.encode(), telemetry_payload(now_ms, STRANGE_BOOT, 1, {"motion": True})))
    return messages


class Hostile:
    """One session of the hostile publisher; it comes back when it is thrown out. A `Receiver` of the wire."""

    def __init__(self, port: int, dice: random.Random) -> None:
        self.said = 0
        self.address = BrokerAddress.parse(f"mqtt://127.0.0.1:{port}")
        self._dice = dice
        self._overheard: list[Message] = []
        self._news = asyncio.Event()

    async def act(self, kind: str, for_s: float, *, gently: bool) -> None:
        """Do harm of that kind for so long; `gently` means nothing so large that the broker ends the session."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                while True:
                    with contextlib.suppress(MQTTError, OSError):
                        await self._session(kind, for_s, gently=gently)
                    await asyncio.sleep(0.3)

    async def _session(self, kind: str, for_s: float, *, gently: bool) -> None:
        options = ConnectOptions(
            f"hostile-{self._dice.randrange(10**9)}", max_in_flight=200, max_packet_bytes=MAX_PACKET_BYTES
        )
        connection = await Connection.open(self.address, options, self)
        try:
            if kind == "garbage":
                messages = garbage(self._dice) * 10
                if not gently:
                    messages += oversize(self._dice)
                self._dice.shuffle(messages)
                await self._say(connection, messages)
            elif kind == "strangers":
                await self._say(connection, strangers(self._dice, 3_000))
            else:
                self._overheard.clear()
                await connection.subscribe([f"haina/v1/telemetry/+/+/+/{self._dice.choice(('wearable', '+'))}"], qos=0)
                await asyncio.sleep(for_s / 4)
                messages = self._overheard * 3
                self._dice.shuffle(messages)
                await self._say(connection, messages)
        finally:
            await connection.close()

    async def _say(self, connection: Connection, messages: list[Message]) -> None:
        while messages:
            while not connection.room:
                self._news.clear()
                await self._news.wait()
            count = min(connection.room, 50)
            connection.publish(messages[:count])
            self.said += min(count, len(messages))
            del messages[:count]
            await connection.drain()

    def connected(self, session_present: bool) -> None:
        self._news.set()

    def received(self, batch: Publishes) -> None:
        room = ECHOED - len(self._overheard)
        self._overheard += list(zip(batch.topics, batch.payloads, strict=True))[: max(0, room)]

    def acknowledged(self, packet_ids: list[int]) -> None:
        self._news.set()

    def disconnected(self, reason: str) -> None:
        self._news.set()
