"""How much a scenario says: a day of it is simulated, and its messages are counted."""

import json
import sys
import time
from collections import Counter
from typing import NamedTuple, TextIO

from rich.console import Console
from rich.table import Table

from simulator.population import build_town
from simulator.scenario import Scenario
from simulator.town import DAY_S, Device, Town
from simulator.truth import NoTruth

_START_MS = 1_790_006_400_000  # Tuesday 22 September 2026, midnight in Shanghai
_SLICE_S = 600.0


class TrafficRow(NamedTuple):
    """What a measurement adds to the traffic of a day."""

    measurement: str
    devices: int
    messages: int
    payload_bytes: int


class Traffic(NamedTuple):
    """A day's traffic."""

    sites: int
    devices: int
    messages: int
    payload_bytes: int
    rows: tuple[TrafficRow, ...]
    simulated_s: float
    took_s: float

    @property
    def rate_hz(self) -> float:
        """Messages a second on average at 1×; at 60× it is sixty times as many."""
        return self.messages / self.simulated_s

    @property
    def fastest_hz(self) -> float:
        """Messages a second that the models alone made on this machine, with nobody to send them to."""
        return self.messages / self.took_s


def traffic(scenario: Scenario, *, seed: int = 1, simulated_s: float = DAY_S) -> Traffic:
    """Simulate a day (or `simulated_s` seconds from midnight) and count what is said."""
    town = Town(seed=seed, start_ms=_START_MS, run="traffic", boot=1, truth=NoTruth())
    began = time.perf_counter()
    build_town(scenario, town)
    messages: Counter[str] = Counter()
    octets: Counter[str] = Counter()
    devices: dict[str, set[Device]] = {}
    while town.env.now < simulated_s:
        town.env.run(until=min(town.env.now + _SLICE_S, simulated_s))
        for emission in town.outbox:
            name = emission.measurement.name
            messages[name] += 1
            octets[name] += len(emission.payload)
            devices.setdefault(name, set()).add(emission.device)
        town.outbox.clear()
    rows = tuple(TrafficRow(name, len(devices[name]), count, octets[name]) for name, count in messages.most_common())
    return Traffic(
        sites=len(town.sites),
        devices=sum(len(site.devices) for site in town.sites.values()),
        messages=messages.total(),
        payload_bytes=octets.total(),
        rows=rows,
        simulated_s=simulated_s,
        took_s=time.perf_counter() - began,
    )


def show_traffic(scenario: Scenario, *, as_json: bool = False, to: TextIO | None = None) -> None:
    """Measure a scenario's traffic and print it as a table, or as one JSON object."""
    measured = traffic(scenario)
    out = to or sys.stdout
    rates = {"rate_hz": measured.rate_hz, "rate_at_60x_hz": 60 * measured.rate_hz, "fastest_hz": measured.fastest_hz}
    if as_json:
        answer = {
            "scenario": scenario.name,
            "sites": measured.sites,
            "devices": measured.devices,
            "messages_per_day": measured.messages,
            "payload_bytes_per_day": measured.payload_bytes,
            **{name: round(rate, 1) for name, rate in rates.items()},
            "measurements": [row._asdict() for row in measured.rows],
        }
        out.write(json.dumps(answer) + "\n")
        return
    table = Table(title=scenario.title, caption_justify="left")
    for heading in ("measurement", "devices", "messages a day", "bytes each"):
        table.add_column(heading, justify="left" if heading == "measurement" else "right")
    for row in measured.rows:
        size = f"{row.payload_bytes / row.messages:.0f}"
        table.add_row(row.measurement, f"{row.devices:,}", f"{row.messages:,}", size)
    table.add_section()
    mean_size = f"{measured.payload_bytes / max(measured.messages, 1):.0f}"
    table.add_row("all", f"{measured.devices:,}", f"{measured.messages:,}", mean_size)
    table.caption = (
        f"{measured.sites:,} sites. On average {measured.rate_hz:,.1f} messages/s at 1×, "
        f"{60 * measured.rate_hz:,.0f}/s at 60×. The models alone made {measured.fastest_hz:,.0f}/s here."
    )
    Console(file=out).print(table)
