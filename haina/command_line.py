"""What all commands share at their edge: option names, ways to say no, times and durations, Ctrl-C.

Settings come from flags, then `HAINA_…` variables, then one TOML file (`haina.toml`, or what `--config` names),
then defaults; Typer resolves them in that order (see `command`). An empty variable is none. Exit codes are the same
everywhere:

| code | means                                                        |
|------|--------------------------------------------------------------|
| 0    | done                                                         |
| 1    | it ran, and the answer is no: a check failed, a part died    |
| 2    | it could not begin: wrong flags, files, ports, addresses     |
| 130  | interrupted before it was done                               |
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

_PASSWORD_IN_URL = re.compile(r"\w+://[^/@]*:.*@")


def not_on_the_command_line(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Refuse a secret given as a flag: whoever lists the processes of this machine would read it."""
    if value and _is_a_flag(context, parameter.name):
        fail(f"{parameter.opts[0]} would show a secret to whoever lists processes; set {parameter.envvar} instead")
    return value


def without_password(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Refuse a password in a URL given as a flag, for the same reason."""
    if value and _PASSWORD_IN_URL.match(value) and _is_a_flag(context, parameter.name):
        fail(
            f"{parameter.opts[0]} would show its password to whoever lists processes; "
            f"give --credentials FILE, or set {parameter.envvar} or haina.toml"
        )
    return value


def _is_a_flag(context: typer.Context, name: str | None) -> bool:
    """Whether the value stood on the command line, and not in the environment or in haina.toml."""
    source = context.get_parameter_source(name) if name else None
    return source is not None and source.name == "COMMANDLINE"


def refuse_flags(context: typer.Context, why: str, *names: str) -> None:
    """End the command when one of these options is a flag; said elsewhere it may be meant for another command."""
    for name in names:
        if _is_a_flag(context, name):
            fail(f"--{name.replace('_', '-')} {why}")


BrokerOption = Annotated[
    str,
    typer.Option(
        "--broker",
        envvar="HAINA_BROKER",
        callback=without_password,
        help="mqtt://[user@]host[:port], or mqtts:// for TLS; user:password@ only in HAINA_BROKER or haina.toml.",
    ),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        envvar="HAINA_CREDENTIALS",
        help="File with the account to enter the broker by, from `haina credentials`.",
        show_default=False,
    ),
]
CAFileOption = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar="HAINA_CA_FILE",
        help="PEM file of the authorities to trust for mqtts:// and https://, instead of the system's.",
        show_default=False,
    ),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        envvar="HAINA_CERTIFICATE",
        help="PEM file of a client certificate, for a broker that asks for one.",
        show_default=False,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", envvar="HAINA_KEY", help="PEM file of that certificate's key.", show_default=False),
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
_LONGEST_S = 100 * 365.25 * 86_400.0
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def fail(message: str, *, code: int = 2) -> NoReturn:
    """End the command with one sentence on stderr and an exit code."""
    typer.echo(f"haina: {message}", err=True)
    raise typer.Exit(code)


def keep_private() -> None:
    """What this process and its children write from now on is for its owner alone; what is there stays as it is."""
    os.umask(0o077)


def duration_s(text: str, option: str, least_s: float = 0.0) -> float:
    """Read a duration such as 90, 500ms, 30s, 5m, 24h or 2d, in seconds; end the command when it is none, or short."""
    match = _DURATION.match(text.strip())
    if match is None:
        fail(f"{option} {text!r} is not a duration; say 30s, 5m, 24h or 2d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_S:
        fail(f"{option} {text!r} is longer than 100 years")
    if seconds < least_s:
        fail(f"{option} must be {least_s:g} s or more (got {text!r})")
    return seconds


def refuse_twice(option: str, paths: Iterable[Path]) -> None:
    """End the command when one of the paths is another one too, however they are spelled."""
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            fail(f"{option} {path} is given twice; give it once")


def local_time_ms(text: str, option: str) -> int:
    """Read an ISO 8601 time with its zone, as ms since 1970; end the command when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option} {text!r} is not an ISO 8601 time such as 2026-03-02T00:00+08:00")
    if moment.tzinfo is None:
        fail(f"{option} {text!r} has no zone; write {text}+08:00 for Shanghai, or Z for UTC")
    return in_range_ms(round(moment.timestamp() * 1000), f"{option} {text!r}")


def in_range_ms(time_ms: int, what: str) -> int:
    """The time itself, if a reading can have it; else end the command."""
    from haina.contract.measurement import LAST_MS  # noqa: PLC0415 - a sixth of what --help takes, which does without

    if not 0 <= time_ms <= LAST_MS:
        fail(f"{what} is not between 1970 and 2255")
    return time_ms


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
    """While the body runs, SIGINT and SIGTERM call `stop`; a second one cancels it: exit code 130."""
    loop = asyncio.get_running_loop()
    body = asyncio.current_task()
    asked = 0

    def signalled() -> None:
        nonlocal asked
        asked += 1
        if asked > 1 and body is not None:
            logging.disable()  # what is torn down now has nothing to tell but tracebacks
            body.cancel()
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    try:
        yield
    except asyncio.CancelledError:
        if asked > 1:
            raise typer.Exit(130) from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
