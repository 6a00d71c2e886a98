"""Small towns for tests: built from a few lines of YAML, run into a list."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from haina.contract import telemetry_payload
from haina.contract.message import Command
from haina.contract.topic import Topic, TopicClass
from simulator.population import build_town
from simulator.scenario import parse
from simulator.town import Emission, Site, Town

MIDNIGHT_MS = 1_790_006_400_000  # Tuesday 22 September 2026, 00:00 in Shanghai
HOUR_S, DAY_S = 3_600, 86_400


class Happening(NamedTuple):
    """An entry of the truth ledger."""

    at_s: float
    kind: str
    site: str
    details: dict[str, Any]


class TruthList:
    """A truth ledger in memory."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def record(self, kind: str, site: Site, **details: Any) -> None:
        self.happenings.append(Happening(site.env.now, kind, site.id, details))

    def of(self, kind: str) -> list[Happening]:
        return [happening for happening in self.happenings if happening.kind == kind]


def build(text: str, *, seed: int = 1, start_ms: int = MIDNIGHT_MS, boot: int = 1) -> tuple[Town, TruthList]:
    """A town of the scenario in `text` (a title is added), and its truth."""
    truth = TruthList()
    town = Town(seed=seed, start_ms=start_ms, run="test", boot=boot, truth=truth)
    build_town(parse(f"title: A town for a test\n{text}", "test.yaml"), town)
    return town, truth


def homes(count: int, **care: float) -> str:
    """A scenario of so many homes and care parameters."""
    return f"areas: {{a01: {{homes: {count}}}}}\nparameters: {{care: {care}}}\n"


CALM = {
    "away_per_year": 0.0,
    "falls_per_1000_men": 0.0,
    "falls_per_1000_women": 0.0,
    "false_falls_per_week": 0.0,
    "sos_mistakes_per_year": 0.0,
    "cooking_smoke_per_year": 0.0,
    "taps_left_open_per_year": 0.0,
    "wristband_drops_per_year": 0.0,
    "charging_forgotten_per_year": 0.0,
    "infections_per_year": 0.0,
    "exacerbations_per_year": 0.0,
    "paroxysms_per_year": 0.0,
    "wanderings_per_year": 0.0,
    "visits_per_week": 0.0,
    "cleanings_per_week": 0.0,
    "contact_losses_per_year": 0.0,
    "uplink_losses_per_year": 0.0,
}


def calm_but(count: int, **care: float) -> str:
    """Homes to which nothing happens but what is named."""
    return homes(count, **{**CALM, "outings_per_day": 0.0, "wears_at_night": 1.0, "battery_h": 9_000, **care})


def spans(truth: TruthList, kind: str) -> list[tuple[Happening, Happening]]:
    """Beginnings and ends of what has ended."""
    ends = {end.details["event"]: end for end in truth.of(f"{kind}_end")}
    return [(begin, ends[begin.details["event"]]) for begin in truth.of(kind) if begin.details["event"] in ends]


def centres(count: int, **centre: float) -> str:
    """A scenario of so many centres and centre parameters."""
    return f"areas: {{a01: {{centres: {count}}}}}\nparameters: {{centre: {centre}}}\n"


def live(
    town: Town, until_s: float, slice_s: float = 6 * HOUR_S, hear: Callable[[Emission], None] | None = None
) -> None:
    """Let the town live until then, giving each reading to `hear`; without it they stay in the outbox."""
    while town.env.now < until_s:
        town.env.run(until=min(town.env.now + slice_s, until_s))
        if hear is not None:
            for emission in town.outbox:
                hear(emission)
            town.outbox.clear()


def values(emission: Emission) -> Any:
    """The decoded values; fails when the contract would reject them, or a store would give them back as other bytes."""
    measurement, payload = emission.measurement, emission.payload
    reading = measurement.decoder.decode(payload)
    found = zip(measurement.field_names, msgspec.structs.astuple(reading.values), strict=True)
    present = {name: value for name, value in found if value is not None}
    assert telemetry_payload(reading.time, reading.boot, reading.seq, present) == payload
    return reading.values


def at_s(emission: Emission) -> float:
    """When it was taken, seconds since the run's start."""
    return (emission.time_ms - emission.device.site.town.start_ms) / 1000


def readings(town: Town, measurement: str) -> list[tuple[float, Emission, Any]]:
    """What the outbox holds of a measurement: time, reading, values."""
    return [(at_s(e), e, values(e)) for e in town.outbox if e.measurement.name == measurement]


def by_device(town: Town) -> dict[str, list[tuple[str, bytes]]]:
    """Each device's readings in order: measurement and payload."""
    said: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for emission in town.outbox:
        said[f"{emission.device.site.id}/{emission.device.id}"].append((emission.measurement.name, emission.payload))
    return said


def command(town: Town, site: str, device: str, name: str, **args: Any) -> Any:
    """Give a command now; the reply."""
    topic = Topic(TopicClass.COMMAND, town.sites[site].area, site, device, name)
    return town.obey(topic, Command(id="x", expires=town.now_ms + 60_000, args=args))
