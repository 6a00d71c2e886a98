"""What a store keeps: a *point*, identified by measurement, tags and a time in nanoseconds.

The digits of that time below a millisecond are `seq mod 1,000,000`: two events of a device in the same
millisecond never overwrite each other, and writing a point twice changes nothing.
"""

from typing import Any, NamedTuple

import xxhash

from haina.contract.catalogue import measurement
from haina.contract.measurement import FieldType, Measurement, Value
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
    name, area, site, device, time_ms, boot, seq, values = point
    absent = tuple([value is None for value in values])
    template, texts = _TEMPLATES.get((name, absent)) or _template(name, absent)
    if True in absent:
        values = tuple([value for value in values if value is not None])
    if texts:
        values = tuple([_escape(value) if isinstance(value, str) else value for value in values])
    return template % (area, device, site, *values, boot, seq, time_ms * NS_PER_MS + seq % NS_PER_MS)


_LINE_FORMS: dict[FieldType, str] = {"float": "%r", "int": "%di", "bool": "%di", "str": '"%s"'}
_TEMPLATES: dict[tuple[str, tuple[bool, ...]], tuple[str, bool]] = {}  # few: a measurement has few optional fields


def _template(name: str, absent: tuple[bool, ...]) -> tuple[str, bool]:
    """The line's form for a measurement when these fields are absent, and whether any text is in it."""
    declared = measurement(name)
    present = [field for field, missing in zip(declared.fields, absent, strict=True) if not missing]
    fields = ",".join(f"{field.name}={_LINE_FORMS[field.type]}" for field in present)
    template = f"{name},area=%s,device=%s,site=%s {fields}{',' if fields else ''}boot=%di,seq=%di %d"
    made = _TEMPLATES[(name, absent)] = (template, any(field.type == "str" for field in present))
    return made


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')  # control characters never pass validation


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
