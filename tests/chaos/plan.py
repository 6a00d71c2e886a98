"""What a seed means: which broker and stores, how large a window, how fast a town, and what goes wrong when.

A plan depends on nothing but its seed. Outages last 3 to 5 s and add up to some 25 s, within 15 s: several things are
broken at once. At full length they last up to a minute.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

NETWORK_MODES: Final = ("delay", "slice", "cut", "reset", "refuse", "silence")
STORE_MODES: Final = ("429", "500", "slow", "reset", "lost answer", "half answer")
HOSTILE_KINDS: Final = ("garbage", "strangers", "echo")

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "collector": ("killed", "killed in a commit", "power cut", "stopped", "frozen"),
    "broker": ("stopped", "killed"),
    "duckdb": ("killed", "frozen"),
    "influxdb": ("killed", "frozen"),
    "gateways' network": NETWORK_MODES,
    "collector's network": NETWORK_MODES,
    "duckdb's front": STORE_MODES,
    "influxdb's front": STORE_MODES,
    "hostile": HOSTILE_KINDS,
    "disk": ("full",),
    "clock": ("ahead", "back", "swinging"),
    "area": ("moved",),
}
"""What may be hurt, and how."""

OFTEN: Final = ("collector", "collector")
"""What is hurt more often than the rest, for it is what the campaign is about."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong: what, how, when and for how long, in seconds after the line has begun to flow."""

    target: str
    kind: str
    at_s: float
    for_s: float

    def __str__(self) -> str:
        return f"{self.at_s:5.1f} s  {self.target} {self.kind} for {self.for_s:.1f} s"


@dataclass(frozen=True)
class Plan:
    """What happens to whom."""

    seed: int
    embedded: bool  # the embedded broker rather than Mosquitto
    influxdb: bool  # as a second store
    two_collectors: bool  # that share the town's areas
    window: int
    speed: int
    history_h: int
    faults: tuple[Fault, ...]

    def hurts(self, target: str) -> bool:
        return any(fault.target == target for fault in self.faults)

    def __str__(self) -> str:
        broker = "embedded broker" if self.embedded else "Mosquitto"
        stores = "DuckDB and InfluxDB" if self.influxdb else "DuckDB"
        collectors = ", two collectors" if self.two_collectors else ""
        how = f"window {self.window}, {self.speed}×, {self.history_h} h of history"
        return f"seed {self.seed}: {broker}{collectors}, {stores}, {how}"


def plan(seed: int, *, full: bool = False) -> Plan:
    """Draw the plan of a seed; `full` makes outages of up to 60 s."""
    dice = random.Random(seed)
    embedded, influxdb = seed % 4 == 0, seed % 3 == 0
    two_collectors = seed % 5 == 0
    left_out = [target for target in ("influxdb", "influxdb's front") if not influxdb]
    targets = [target for target in (*KINDS, *OFTEN) if target not in {*left_out, "area"}]
    faults = list(_faults(dice, targets, full))
    if two_collectors:
        faults.append(Fault("area", "moved", round(dice.uniform(0.0, 10.0), 2), 0.0))
    return Plan(
        seed,
        embedded,
        influxdb,
        two_collectors,
        window=dice.choice((2_000, 5_000, 20_000)),
        speed=dice.choice((30, 60, 120)),
        history_h=dice.choice((48, 96)) if full else dice.choice((6, 12)),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
    )


def _faults(dice: random.Random, targets: list[str], full: bool) -> Iterator[Fault]:
    """Outages until they add up; no target has two at once."""
    (least_s, most_s), within_s, total_s = ((20.0, 60.0), 150.0, 300.0) if full else ((3.0, 5.0), 15.0, 25.0)
    waiting: list[str] = []
    free_s = dict.fromkeys(KINDS, 0.0)  # when the target has been well for a moment
    while total_s > 0:
        if not waiting:
            waiting = dice.sample(targets, len(targets))
        target = waiting.pop()
        kind, for_s = dice.choice(KINDS[target]), dice.uniform(least_s, most_s)
        if kind in {"killed", "killed in a commit", "power cut"}:
            for_s = dice.choice((0.0, for_s))
        total_s -= for_s
        at_s = free_s[target] + dice.uniform(0.0, max(1.0, within_s - for_s - free_s[target]))
        free_s[target] = at_s + for_s + 1.0
        yield Fault(target, kind, round(at_s, 2), round(for_s, 2))


def seeds(text: str) -> Iterator[int]:
    """Read seeds such as ``1-20`` or ``3,7,100-110``. Raises ValueError."""
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        yield from range(int(first), int(last or first) + 1)
