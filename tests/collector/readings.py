"""Readings as they come from the wire, and the parts a collector is made of, with sane values."""

import time
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from collector.accounting import Accounting
from collector.ingest import Ingest, TimeLimits
from haina.contract import Point, measurement, telemetry_payload
from haina.mqtt import Publish, Publishes

NOW_S = 1_790_035_200.0  # 2026-09-22T00:00Z, the wall clock of tests without a broker
NOW_MS = int(NOW_S * 1000)
AN_HOUR_AGO_MS = int(time.time() * 1000) - 3_600_000


def topic(device: str = "wearable-1", *, area: str = "caoyang", site: str = "home-1", name: str = "wearable") -> bytes:
    return f"haina/v1/telemetry/{area}/{site}/{device}/{name}".encode()


def payload(seq: int, *, boot: int = 1, time_ms: int | None = None, **values: Any) -> bytes:
    """A wearable's reading; a later number has a later event time."""
    moment = NOW_MS - 3_600_000 + seq if time_ms is None else time_ms
    return telemetry_payload(moment, boot, seq, {"worn": True, "steps": seq % 1_000, "battery_pct": 80.5, **values})


def live_payload(seq: int, *, boot: int = 1) -> bytes:
    """The same, an hour ago on the real clock; said again, it is the same to the byte."""
    return payload(seq, boot=boot, time_ms=AN_HOUR_AGO_MS + seq)


def publish(seq: int, device: str = "wearable-1", *, boot: int = 1, packet_id: int = 1, **values: Any) -> Publish:
    return message(topic(device), payload(seq, boot=boot, **values), packet_id)


def message(topic: bytes, payload: bytes, packet_id: int = 1) -> Publish:
    return Publish(topic, payload, 1 if packet_id else 0, False, False, packet_id)


def run_of(messages: Sequence[Publish]) -> Publishes:
    """Messages with the same flags, as they come from the wire."""
    [(qos, retain, dup)] = {(each.qos, each.retain, each.dup) for each in messages}
    topics, payloads = [each.topic for each in messages], [each.payload for each in messages]
    return Publishes(qos, retain, dup, topics, payloads, [each.packet_id for each in messages])


def hear(ingest: Ingest, messages: Iterable[Publish]) -> None:
    """Give messages to the collector, whatever their flags."""
    for _, run in groupby(messages, lambda message: (message.qos, message.retain, message.dup)):
        ingest.receive(run_of(list(run)))


def build_ingest(max_devices: int = 1_000, limits: TimeLimits = TimeLimits(), **options: Any) -> Ingest:
    return Ingest(Accounting(max_devices), limits, wall_s=lambda: NOW_S, **options)


def build_points(count: int, first: int = 1) -> list[Point]:
    values = (True, 3, 80.5, *[None] * (len(measurement("wearable").fields) - 3))
    return [
        Point("wearable", "caoyang", "home-1", "wearable-1", NOW_MS + number, 1, number, values)
        for number in range(first, first + count)
    ]


def copy_as_found_after_a_crash(folder: Path, copy: Path) -> Path:
    """What a kill -9 would leave of a journal that is still open: its files, without a goodbye."""
    copy.mkdir(parents=True)
    for name in ("journal.db", "journal.db-wal"):
        if (folder / name).exists():
            (copy / name).write_bytes((folder / name).read_bytes())
    return copy
