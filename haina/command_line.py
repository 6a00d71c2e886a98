"""What all commands share at their edge: option names, ways to say no, times and durations, Ctrl-C.

Settings come from flags, then `HAINA_…` variables, then one TOML file (`haina.toml`, or what `--config` names),
then defaults; Typer resolves them in that order (see `command`). Exit codes are the same everywhere:

| code | means                                                        |
|------|--------------------------------------------------------------|
| 0    | done                                                         |
| 1    | it ran, and the answer is no: a check failed, a part died    |
| 2    | it could not begin: wrong flags, files, ports, addresses     |
| 130  | interrupted before it was done                               |
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

BrokerOption = Annotated[
    str,
    typer.Option("--broker", envvar="HAINA_BROKER", help="mqtt://[user[:password]@]host[:port], or mqtts:// for TLS."),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="HAINA_STORE",
        help="duckdb+http://host:port of a `haina store`, or influxdb+http://host:port/bucket?org=ORG.",
    ),
]
DataOption = Annotated[Path, typer.Option("--data", help="Folder for what this command keeps.", file_okay=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)?\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def fail(message: str, *, code: int = 2) -> NoReturn:
    """End the command with one sentence on stderr and an exit code."""
    typer.echo(f"haina: {message}", err=True)
    raise typer.Exit(code)


def duration_s(text: str, option: str) -> float:
    """Read a duration such as 90, 500ms, 30s, 5m, 24h or 2d, in seconds; end the command when it is none."""
    match = _DURATION.match(text.strip())
    if match is None:
        fail(f"{option} {text!r} is not a duration; say 30s, 5m, 24h or 2d")
    return float(match[1]) * _SECONDS[match[2]]


def local_time_ms(text: str, option: str) -> int:
    """Read an ISO 8601 time with its zone, as ms since 1970; end the command when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text!r} is not an ISO 8601 time such as 2026-03-02T00:00+08:00")
    if moment.tzinfo is None:
        fail(f"{option} {text!r} has no zone; write {text}+08:00 for Shanghai, or Z for UTC")
    return round(moment.timestamp() * 1000)


def stderr_console() -> "Console":
    """A rich console for progress and tables that must not mix with stdout."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to import, and --help does without

    return Console(stderr=True)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's event loop where there is one: it halves the cost of thousands of small sessions. Else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@contextlib.asynccontextmanager
async def run_until_signalled(stop: Callable[[], None]) -> AsyncIterator[None]:
    """While the body runs, SIGINT and SIGTERM call `stop`; a second one cancels the body."""
    loop = asyncio.get_running_loop()
    body = asyncio.current_task()
    asked = False

    def signalled() -> None:
        nonlocal asked
        if asked and body is not None:
            body.cancel()
        asked = True
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
