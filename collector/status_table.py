"""A collector's status as tables for a terminal."""

import sys
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text


def print_status(status: dict[str, Any], console: Console | None = None) -> None:
    """Print what `/status` answered."""
    console = console or Console(width=None if sys.stdout.isatty() else 140)
    broker, journal, gateways = status["broker"], status["journal"], status["gateways"]
    for problem in status["problems"]:
        console.print(Text(f"✗ {problem}", style="bold red"))
    line = _table("Line")
    line.add_row("broker", f"{broker['url']} {'connected' if broker['connected'] else broker['reason']}")
    if broker["paused_for"]:
        line.add_row("reading stopped for", ", ".join(broker["paused_for"]))
    for name, areas in status["areas"].items():
        if areas and areas != ["+"]:
            line.add_row(f"areas {name.replace('_', ' ')}", ", ".join(areas))
    clock = status["clock"]
    if clock is None:
        line.add_row("clock", "unknown")
    else:
        line.add_row("clock", f"{_time(clock['time'])}  {clock['phase']}, run {clock['run']}")
    if broker["stall"]:
        line.add_row("slowed down", escape(broker["stall"]))
    line.add_row("gateways", _by_state(gateways))
    line.add_row("devices", _by_state(status["devices"]["states"]))
    line.add_row("devices known", f"{status['devices']['known']:,} of at most {status['devices']['limit']:,}")
    line.add_row("received", f"{status['rates']['received_hz']:,.0f} /s")
    line.add_row("journal", f"{_mib(journal['bytes'])} of at most {_mib(journal['limit_bytes'])}")
    dropped = f", {journal['dead_letters_dropped']:,} older ones dropped" if journal["dead_letters_dropped"] else ""
    line.add_row("dead letters", f"{journal['dead_letters']:,}{dropped}")
    if journal["commit_ms_p99"] is not None:
        line.add_row("commit p50, p99", f"{journal['commit_ms_p50']:.1f} ms, {journal['commit_ms_p99']:.1f} ms")
    console.print(line)

    counters = Table(title="Readings", title_justify="left", show_header=False)
    counters.add_column()
    counters.add_column(justify="right")
    for name, number in status["counters"].items():
        counters.add_row(name.replace("_", " "), f"{number:,}")
    console.print(counters)
    if status["rejected"]:
        console.print("rejected: " + ", ".join(f"{number:,} {kind}" for kind, number in status["rejected"].items()))

    if status["stores"]:
        stores = Table(title="Stores", title_justify="left")
        for name in (
            "store",
            "stored",
            "pending",
            "refused",
            "replayed",
            "forgotten",
            "rate /s",
            "lag s",
            "p50 ms",
            "p99 ms",
            "state",
        ):
            stores.add_column(name, justify="left" if name in {"store", "state"} else "right")
        for store in status["stores"]:
            stores.add_row(
                store["name"],
                f"{store['stored']:,}",
                f"{store['pending']:,}",
                f"{store['refused']:,}",
                f"{store['replayed']:,}",
                f"{store['forgotten']:,}",
                f"{store['rate_hz']:,.0f}",
                f"{store['lag_s']:,.1f}",
                *(
                    "" if store[name] is None else f"{store[name]:,.1f}"
                    for name in ("latency_ms_p50", "latency_ms_p99")
                ),
                escape(f"down: {store['down']}") if store["down"] else "up",
            )
        console.print(stores)

    if "device_table" in status:
        _print_devices("Devices", status["device_table"], console)
    elif status["devices"]["worst"]:
        _print_devices("Devices to look at first", status["devices"]["worst"], console)


_TEXTS = ("area", "site", "device", "state")
_COUNTS = ("expected", "received", "missing", "duplicates", "reordered")


def _print_devices(title: str, rows: list[dict[str, Any]], console: Console) -> None:
    devices = Table(title=title, title_justify="left")
    for name in (*_TEXTS, *_COUNTS, "last seen"):
        devices.add_column(name, justify="left" if name in _TEXTS else "right")
    for row in rows:
        last_seen = row["last_seen"]
        counts = (f"{row[name]:,}" for name in _COUNTS)
        devices.add_row(*(row[name] for name in _TEXTS), *counts, "never" if last_seen is None else _time(last_seen))
    console.print(devices)


def _by_state(numbers: dict[str, int]) -> str:
    in_order = sorted(numbers, key=lambda state: state != "online")
    return ", ".join(f"{numbers[state]:,} {state}" for state in in_order)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    return table


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _mib(size: int) -> str:
    return f"{size / 1024**2:,.1f} MiB"
