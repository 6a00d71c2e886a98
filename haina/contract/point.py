"""What a store keeps: a *point*, identified by measurement, tags and a time in nanoseconds.

The digits of that time below a millisecond are `seq mod 1,000,000`: two events of a device in the same
millisecond never overwrite each other, and writing a point twice changes nothing.
"""

from typing import Any, NamedTuple

import xxhash

from haina.contract.catalogue import measurement
from haina.contract.measurement import Measurement, Value
from haina.contract.message import telemetry_payload

TAGS = ("area", "site", "device")
NS_PER_MS = 1_000_000


class Point(NamedTuple):
    """One accepted reading, in no store's own form. `values` follows the measurement's fields; None is absent."""

    measurement: str
    area: str
    site: str
    device: str
    time_ms: int
    boot: int
    seq: int
    values: tuple[Value, ...]


def time_ns(time_ms: int, seq: int) -> int:
    """The point's time in nanoseconds since 1970."""
    return time_ms * NS_PER_MS + seq % NS_PER_MS


def line_protocol(point: Point) -> str:
    """The point as one line of InfluxDB line protocol with nanosecond time. Booleans become 0 and 1."""
    declared = measurement(point.measurement)
    fields = [
        _line_field(name, value)
        for name, value in zip(declared.field_names, point.values, strict=True)
        if value is not None
    ]
    fields.append(f"boot={point.boot}i,seq={point.seq}i")
    return (
        f"{point.measurement},area={point.area},device={point.device},site={point.site} "
        f"{','.join(fields)} {time_ns(point.time_ms, point.seq)}"
    )


def _line_field(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return f"{name}={int(value)}i"
    if isinstance(value, int):
        return f"{name}={value}i"
    if isinstance(value, float):
        return f"{name}={value!r}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')  # control characters never pass validation
    return f'{name}="{text}"'


def point_hash(measurement_name: str, payload: bytes) -> int:
    """A 64-bit fingerprint of a reading. Sums of it (mod 2**64) compare sets of readings in any order."""
    return xxhash.xxh3_64_intdigest(payload, seed=_seed(measurement_name))


def stored_point_hash(declared: Measurement, time_ms: int, boot: int, seq: int, values: dict[str, Any]) -> int:
    """`point_hash` of a point read back from a store, by rebuilding its canonical payload.

    `values` may come as the store has them (0/1 for booleans, floats for ints): the declared types decide.
    """
    canonical: dict[str, Value] = {}
    for field in declared.fields:
        value = values.get(field.name)
        if value is None:
            continue
        match field.type:
            case "bool":
                canonical[field.name] = bool(value)
            case "int":
                canonical[field.name] = int(value)
            case "float":
                canonical[field.name] = float(value)
            case "str":
                canonical[field.name] = str(value)
    return point_hash(declared.name, telemetry_payload(time_ms, boot, seq, canonical))


_seeds: dict[str, int] = {}


def _seed(measurement_name: str) -> int:
    seed = _seeds.get(measurement_name)
    if seed is None:
        seed = _seeds[measurement_name] = xxhash.xxh3_64_intdigest(measurement_name.encode())
    return seed
