"""`haina simulate` and `haina scenario`: run a scenario on a broker or into a file, check it, print its schema."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from haina.command_line import (
    BrokerOption,
    CAFileOption,
    CertificateOption,
    CredentialsOption,
    DataOption,
    JsonOption,
    KeyOption,
    duration_s,
    fail,
    in_range_ms,
    keep_private,
    local_time_ms,
    loop_factory,
    refuse_flags,
    run_until_signalled,
)
from haina.store_url import is_web_address
from simulator.credentials_command import app as credentials_app
from simulator.validation.command import app as validation_app

if TYPE_CHECKING:
    from simulator.run import LiveRun

app = typer.Typer(no_args_is_help=True)
scenario_app = typer.Typer(no_args_is_help=True, help="Check scenarios and print what they may say.")
app.add_typer(scenario_app, name="scenario")
app.add_typer(validation_app)
app.registered_commands.extend(credentials_app.registered_commands)

ScenarioOption = Annotated[
    str,
    typer.Option("--scenario", envvar="HAINA_SCENARIO", help="A shipped scenario (laptop, pilot-zone) or a YAML file."),
]


OF_A_BROKER = (
    "broker", "credentials", "ca_file", "certificate", "key", "data", "window", "wait_for", "history", "speed",
    "live_from", "future",
)  # fmt: skip
NAMED = 10
"""Devices that are named in a sentence; --json has them all."""


@app.command()
def simulate(
    context: typer.Context,
    scenario: ScenarioOption = "laptop",
    seed: Annotated[int, typer.Option(envvar="HAINA_SEED", help="Same seed, same start, same town.")] = 1,
    start: Annotated[
        str | None, typer.Option(help="When the run begins, ISO 8601 with zone: 2026-03-02T00:00+08:00.")
    ] = None,
    history: Annotated[
        str, typer.Option(help="Without --start: begin this long before now and race towards it: 24h, 90m, 0s.")
    ] = "24h",
    duration: Annotated[str | None, typer.Option(help="Stop after this much simulated time: 6h, 2d.")] = None,
    speed: Annotated[
        float, typer.Option(help="Simulated seconds per second once live; 0 is as fast as the line takes.")
    ] = 1.0,
    live_from: Annotated[
        str | None, typer.Option(help="Where history ends, ISO 8601; without it history races to now.")
    ] = None,
    future: Annotated[bool, typer.Option("--future", help="Let simulated time pass the present.")] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="Write JSON Lines to this file instead of using a broker; - is stdout."),
    ] = None,
    commands: Annotated[
        Path | None, typer.Option(help="With --to: obey the commands recorded in this run.commands file.")
    ] = None,
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    credentials: CredentialsOption = None,
    ca_file: CAFileOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    data: DataOption = Path("data/run"),
    window: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Readings that may be sent and not yet durable.")
    ] = 20_000,
    wait_for: Annotated[
        str | None, typer.Option(help="Do not begin before this URL answers 200: the collector's /healthz.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Run a scenario, over MQTT or into a file.

    Publishes what the town's devices say. On a broker the run keeps a folder with its ledgers and goes on from there
    when started again. With --credentials each site's gateway enters the broker by its own account.

    It ends after --duration, once a collector keeps all that was said; it waits until nothing more has become so for 30
    seconds. Ctrl-C ends it cleanly; then it waits for two. Exit code 1 when readings are left that nobody is known to
    keep: a run that goes on does not say them again.

    Examples:

      haina simulate --scenario laptop --broker mqtt://127.0.0.1:1883

      haina simulate --broker mqtts://broker.example --ca-file ca.pem \
        --credentials secrets/simulator/accounts

      haina simulate --scenario laptop --seed 7 --start 2026-03-02T00:00+08:00 \
        --duration 6h --to out.jsonl
    """
    from simulator.scenario import BadScenario, load

    try:
        town_plan = load(scenario)
    except BadScenario as error:
        fail(str(error))
    wanted_s = duration_s(duration, "--duration") if duration else None
    if to is not None:
        if start is None or wanted_s is None:
            fail("--to writes a file that is the same each time: give --start and --duration")
        refuse_flags(context, "goes with a broker, and not with --to", *OF_A_BROKER)
        _simulate_to_file(town_plan, seed, local_time_ms(start, "--start"), wanted_s, to, commands)
        return
    if commands is not None:
        fail("--commands goes with --to; on a broker, commands come over MQTT")
    if wait_for and not is_web_address(wait_for):
        fail("--wait-for must be http://host:port/healthz or https://…, without user or password")
    import time

    from haina.credentials import BadCredentials, read_accounts, trusting
    from simulator.clock import BadSpeed, RunClock
    from simulator.run import LiveRun, RunFolderTaken, begin

    if start:
        refuse_flags(context, "counts back from now; give it or --start, not both", "history")
    now_ms = time.time_ns() // 1_000_000
    past_ms = round(duration_s(history, "--history") * 1000)
    start_ms = local_time_ms(start, "--start") if start else in_range_ms(now_ms - past_ms, "what --history begins with")
    if start_ms > now_ms and not future:
        fail(f"--start {start} is in the future; add --future if that is meant")
    try:
        address = trusting(broker, ca_file, certificate, key)
        accounts = read_accounts(credentials) if credentials else None
        if accounts and address.username:
            fail("the broker's URL names a user, and --credentials names one for each site; drop one of them")
        keep_private()
        state = begin(data, town_plan.name, seed, start_ms // 1000 * 1000)
        clock = RunClock(
            start_ms=state.start_ms,
            wall_ms=now_ms,
            live_from_ms=local_time_ms(live_from, "--live-from") if live_from else None,
            end_ms=None if wanted_s is None else _end_ms(state.start_ms, wanted_s),
            speed=speed,
            future=future,
        )
        data.mkdir(parents=True, exist_ok=True)
    except (BadCredentials, BadSpeed, RunFolderTaken) as error:
        fail(str(error))
    except OSError as error:
        fail(f"--data {data}: {error.strerror}")

    shown = _show_history() if sys.stderr.isatty() else contextlib.nullcontext(lambda _clock: None)

    async def live(progress: Any) -> Any:
        run = LiveRun(town_plan, state, data, clock, accounts=accounts, window=window, progress=progress)
        async with run_until_signalled(run.stop):
            if wait_for:
                await _wait_for(wait_for, run, ca_file)
            return await run.run(address)

    try:
        with shown as progress, asyncio.Runner(loop_factory=loop_factory()) as runner:
            summary = runner.run(live(progress))
    except BadCredentials as error:
        fail(f"--credentials {credentials}: {error}")
    except OSError as error:
        fail(f"--data {data}: {error.strerror or error}", code=1)
    from dataclasses import asdict

    if as_json:
        print(json.dumps(asdict(summary)))
    else:
        typer.echo(
            f"{summary.run} (boot {summary.boot}): {summary.simulated_s / 3600:.1f} simulated hours in "
            f"{summary.wall_s:.0f} s; {summary.published:,} readings published, {summary.acknowledged:,} durable, "
            f"{summary.outstanding:,} outstanding"
        )
    if summary.outstanding:
        named = [f"{device} {readings:,}" for device, readings in summary.outstanding_by_device.items()]
        more = f" and {len(named) - NAMED:,} more devices (--json names all)" if len(named) > NAMED else ""
        fail(
            f"{summary.outstanding:,} readings are not known to be kept ({', '.join(named[:NAMED])}{more}); the "
            "collector gets what the broker has of them, the rest is lost, for a run that goes on does not say it "
            f"again: once the collector has run, compare with `haina audit --sent {data / 'run.sent'}`",
            code=1,
        )


@contextlib.contextmanager
def _show_history() -> Iterator[Any]:
    """Show how history fills in, on a terminal; then step aside."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from haina.command_line import stderr_console
    from haina.contract import Phase
    from simulator.clock import RunClock

    columns = (TextColumn("filling in history"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=stderr_console(), transient=True)
    task = bar.add_task("", total=1.0)

    def progress(clock: RunClock) -> None:
        if clock.phase is Phase.HISTORY:
            end_ms = clock.live_from_ms or clock.wall_ms
            bar.update(task, completed=(clock.now_ms - clock.start_ms) / max(end_ms - clock.start_ms, 1))
            bar.start()
        elif bar.live.is_started:
            bar.stop()
            bar.console.print("History is in; the town is live. Ctrl-C ends it.")

    try:
        yield progress
    finally:
        bar.stop()


def _end_ms(start_ms: int, wanted_s: float) -> int:
    return in_range_ms(start_ms + round(wanted_s * 1000), "the end of the run, by --duration,")


def _simulate_to_file(
    town_plan: Any, seed: int, start_ms: int, wanted_s: float, to: Path, commands: Path | None
) -> None:
    """Write to a file beside the target first, so that an interrupted run leaves no half file under its name."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from haina.command_line import stderr_console
    from simulator.run import RunState, read_commands, record

    state = RunState.new(town_plan.name, seed, start_ms)
    end_ms = _end_ms(start_ms, wanted_s)
    try:
        replay = read_commands(commands) if commands else []
    except OSError as error:
        fail(f"--commands {commands}: {error.strerror}")
    except ValueError as error:
        fail(f"--commands: {error}")
    if to.is_dir():
        fail(f"--to {to}: Is a directory")
    part = to.with_name(to.name + ".part")
    if str(to) != "-":
        try:
            part.touch()
        except OSError as error:
            fail(f"--to {to}: {error.strerror}")
    said = TextColumn("{task.fields[count]:,} readings")
    console = stderr_console()
    columns = (TextColumn("simulating"), BarColumn(), said, TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=end_ms - start_ms, count=0)

            def show(now_ms: int, count: int) -> None:
                progress.update(task, completed=now_ms - start_ms, count=count)

            if str(to) == "-":
                record(town_plan, state, end_ms, sys.stdout.buffer, commands=replay, progress=show)
                sys.stdout.flush()
                return
            with part.open("wb") as file:
                count = record(town_plan, state, end_ms, file, commands=replay, progress=show)
        part.replace(to)
    except KeyboardInterrupt:
        part.unlink(missing_ok=True)
        fail("interrupted; nothing was written", code=130)
    except BrokenPipeError:
        raise typer.Exit(1) from None
    except OSError as error:
        part.unlink(missing_ok=True)
        fail(f"--to {to}: {error.strerror or error}", code=1)
    typer.echo(f"{count:,} readings written to {to}", err=True)


async def _wait_for(url: str, run: "LiveRun", ca_file: Path | None) -> None:
    """Ask until it answers 200, or until the run is stopped before it began."""
    import httpx

    from haina.tls import client_context

    async with httpx.AsyncClient(timeout=2.0, verify=client_context(ca_file)) as client:
        while not run.stopped:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)


@scenario_app.command("check")
def scenario_check(
    scenario: Annotated[str, typer.Argument(help="A shipped scenario or a YAML file.")] = "laptop",
    as_json: JsonOption = False,
) -> None:
    """Check a scenario and show the traffic it makes.

    Devices, messages a day and rates at 1×, 60× and full speed: a day of it is simulated for that, into nothing. Exit
    code 2 when the scenario is wrong.

    Example:

      haina scenario check pilot-zone
    """
    from simulator.scenario import BadScenario, load
    from simulator.traffic import show_traffic

    try:
        town_plan = load(scenario)
    except BadScenario as error:
        fail(str(error))
    show_traffic(town_plan, as_json=as_json)


@scenario_app.command("schema")
def scenario_schema() -> None:
    """Print the JSON Schema of scenario files.

    It has every key, with its unit, default and source.

    Example:

      haina scenario schema > scenario.schema.json
    """
    from simulator.scenario import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@scenario_app.command("parameters")
def scenario_parameters() -> None:
    """Print every parameter of the models as Markdown.

    With default, unit, what it is, and its source or *assumed*.

    Example:

      haina scenario parameters
    """
    from simulator.scenario import parameters_markdown

    print(parameters_markdown(), end="")
