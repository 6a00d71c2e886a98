"""What a store keeps: a *point*, identified by measurement, tags and a time in nanoseconds.

The digits of that time below a millisecond are `seq mod 1,000,000`: two events of a device in the same
millisecond never overwrite each other, and writing a point twice changes nothing.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import msgspec
import xxhash

from haina.contract.catalogue import measurement
from haina.contract.measurement import Field, FieldType, Measurement, Value
from haina.contract.message import telemetry_payload

TAGS = ("area", "site", "device")
NS_PER_MS = 1_000_000


class Point(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One accepted reading, in no store's own form. `values` follows the measurement's fields; None is absent.

    A struct, for the collector makes one for every reading, and a named tuple takes twice the time.
    """

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


def by_measurement(points: Iterable[Point]) -> dict[str, list[Point]]:
    """The points of each measurement, in their order."""
    found: defaultdict[str, list[Point]] = defaultdict(list)
    for point in points:
        found[point.measurement].append(point)
    return found


def line_protocol(point: Point) -> str:
    """The point as one line of InfluxDB line protocol with nanosecond time. Booleans become 0 and 1."""
    return lines([point])


def lines(points: Iterable[Point]) -> str:
    """The points in line protocol, a line each: what InfluxDB takes in one request.

    Those of a measurement follow one another, whatever their order was: InfluxDB knows none.
    """
    groups = by_measurement(points).items()
    return "\n".join(itertools.chain.from_iterable(_line_writer(name)(group) for name, group in groups))


_TEXT_FORMS: dict[FieldType, str] = {
    "float": "{%s!r}", "int": "{%s}i", "bool": "{bools[%s]}", "str": '"{_escape(%s)}"',
}  # fmt: skip

FEW_DECIMALS = 2
MAX_FLOAT_TEXTS = 20_000  # some 2 MB for a measurement


class FloatTexts(dict[float, str]):
    """The texts of floats with few decimals, remembered: making one takes three times as long as looking it up.

    Whoever asks first decides the text of all that are equal: so an int (1) or a NumPy float is made a float first.
    """

    def __missing__(self, value: float) -> str:
        if len(self) >= MAX_FLOAT_TEXTS:
            self.clear()
        text = repr(float(value))
        if value:  # there are two zeros, and they are equal
            self[value] = text
        return text


def _text_form(field: Field) -> str:
    return "{texts[%s]}" if field.type == "float" and field.decimals <= FEW_DECIMALS else _TEXT_FORMS[field.type]


@cache
def _line_writer(name: str) -> Callable[[list[Point]], list[str]]:
    """A function that writes the lines of one measurement, compiled from its declaration, as dataclasses do it.

    Nothing else that the collector does for a reading costs as much, and half of that was asking of each field what its
    declaration knows already. The source is one comprehension around one f-string, in which fields look like

        worn={bools[f0]},{"" if f3 is None else f'heart_rate_bpm={texts[f3]},'}
    """
    said = []
    for number, field in enumerate(measurement(name).fields):
        value = f"{field.name}={_text_form(field) % f'f{number}'},"
        said.append(value if field.required else f"{{\"\" if f{number} is None else f'{value}'}}")
    names, fields = "".join(f"f{number}, " for number in range(len(said))), "".join(said)
    source = (
        f"def lines(points):\n    return [\n"
        f"        f'''{name},area={{point.area}},device={{point.device}},site={{point.site}} {fields}"
        f"boot={{point.boot}}i,seq={{seq}}i {{point.time_ms * {NS_PER_MS} + seq % {NS_PER_MS}}}'''\n"
        f"        for point in points for seq in (point.seq,) for {names}in (point.values,)\n    ]\n"
    )
    made: dict[str, Any] = {"_escape": _escape, "texts": FloatTexts(), "bools": {True: "1i", False: "0i"}}
    exec(source, made)
    writer: Callable[[list[Point]], list[str]] = made["lines"]
    return writer


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
