"""The `haina` command: what every room offers, under one name, with one way to configure it.

Rooms announce their commands through the `haina.commands` entry points (see pyproject.toml), so that this package
imports none of them. Settings come from flags, then `HAINA_…` variables, then a TOML file, then defaults.
"""

import difflib
import json
import signal
import tomllib
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption

from haina import __version__
from haina.command_line import JsonOption, duration_s, fail, keep_private
from haina.logs import LogFormat, LogLevel, configure_logs


class _Haina(TyperGroup):
    """All commands, `demo` first, with their examples as they were written and a variable for every option."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, command in self.commands.items():
            _complete(command, name)

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "demo")


def _complete(command: Any, *names: str) -> None:
    """Keep the lines of examples, and name variables after flags: HAINA_COLLECT_HTTP is `haina collect --http`.

    And take no empty path, which would be the current folder.
    """
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(f"\b\n{text}" if text.startswith("  ") else text for text in paragraphs)
    for option in command.params:
        if isinstance(option, TyperOption):
            if option.envvar is None:
                flag = next(name for name in option.opts if name.startswith("--"))
                option.envvar = "_".join(("haina", *names, flag[2:])).replace("-", "_").upper()
            option.process_value = partial(_refuse_empty_path, option, option.process_value)  # type: ignore[method-assign]
    for name, inner in getattr(command, "commands", {}).items():
        _complete(inner, *names, name)


def _refuse_empty_path(option: TyperOption, process: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    """What Typer makes of an option's value, unless that is a path and the text is empty."""
    made = process(context, value)
    texts, paths = (value or (), made or ()) if option.multiple else ([value], [made])
    if any(text == "" and isinstance(path, Path) for text, path in zip(texts, paths, strict=True)):
        fail(f"{option.opts[0]} is empty; give a path, or leave it out")
    return made


app = typer.Typer(
    name="haina",
    cls=_Haina,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would cut long names, and take the [ ] of URLs for its own
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Simulate a smart town over MQTT, collect what it says without losing any, and watch it.\n\n"
    "Begin with `haina demo`. Settings: flags, then HAINA_… variables, then haina.toml, then defaults. "
    "Exit codes: 0 done, 1 the answer is no or a part died, 2 it could not begin, 130 interrupted.",
)


def _show_version(value: bool) -> None:
    if value:
        print(f"haina {__version__}")
        raise typer.Exit


def _read_config(context: typer.Context, config: Path | None) -> Path | None:
    """Take the settings file as defaults, before any other option is looked at."""
    if config is None and Path("haina.toml").is_file():
        config = Path("haina.toml")
    if config is not None:
        context.default_map = read_settings(config, context.command)
    return config


@app.callback()
def settings(
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="HAINA_CONFIG",
            callback=_read_config,
            is_eager=True,
            help="TOML file with settings; haina.toml if there is one.",
        ),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(envvar="HAINA_LOG_LEVEL", help="How much to log.")] = "info",
    log_format: Annotated[
        LogFormat, typer.Option(envvar="HAINA_LOG_FORMAT", help="auto: console on a terminal, JSON elsewhere.")
    ] = "auto",
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Configure the logs before any command runs."""
    configure_logs(log_level, log_format)


def read_settings(path: Path, group: Any) -> dict[str, Any]:
    """Turn a settings file into Typer's `default_map`; ends the command with a sentence when it is wrong.

    A top-level key sets that option wherever a command has it; a table named after a command sets its own:

        log-level = "warning"
        broker = "mqtts://broker.example"
        [collect]
        http = "127.0.0.1:9000"
        [dashboards.push]
        grafana = "https://grafana.example"
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except ValueError as error:  # not TOML, or not even UTF-8
        fail(f"{path}: {error}")
    return _defaults(path, "", group, found, {})


def _defaults(path: Path, where: str, group: Any, found: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The defaults of a group's commands: what its own table says, and what the tables above it say."""
    tables = {key: value for key, value in found.items() if isinstance(value, dict)}
    values = {key: value for key, value in found.items() if key not in tables}
    _known(path, where, tables, group.commands)
    options = {name: option for name, option in _options(group).items() if name.startswith("log-")}
    defaults: dict[str, Any] = _chosen(options, values)
    all_options = set(options)
    for name, command in group.commands.items():
        own = tables.get(name, {})
        inside = f"[{where.strip('[] ')}.{name}] ".replace("[.", "[")
        if hasattr(command, "commands"):
            defaults[name] = _defaults(path, inside, command, own, above | values)
            all_options |= {option for inner in command.commands.values() for option in _options(inner)}
            continue
        options = _options(command)
        all_options |= options.keys()
        _known(path, inside, own, options)
        defaults[name] = _chosen(options, above | values | own)
    _known(path, where, values, all_options)
    return defaults


def _options(command: Any) -> dict[str, TyperOption]:
    """Options by the names that people write, such as `journal-limit-mib`."""
    return {
        name.removeprefix("--"): option
        for option in command.params
        if isinstance(option, TyperOption)
        for name in option.opts
        if name.startswith("--") and name != "--help"
    }


def _chosen(options: dict[str, TyperOption], values: dict[str, Any]) -> dict[str, Any]:
    """Values by the parameter that each sets; one value will do where an option may be given several times."""
    chosen = {}
    for name, value in values.items():
        if option := options.get(name):
            chosen[str(option.name)] = [value] if option.multiple and not isinstance(value, list) else value
    return chosen


def _known(path: Path, where: str, found: Any, known: Any) -> None:
    for key in found:
        if key not in known:
            close = difflib.get_close_matches(key, list(known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            fail(f"{path}: {where}unknown setting {key!r}{hint}")


@app.command()
def contract(
    form: Annotated[
        str, typer.Argument(help="docs, topics, asyncapi, tables, or schema (of one measurement with --measurement).")
    ] = "docs",
    measurement: Annotated[str | None, typer.Option(help="Only this measurement's JSON Schema.")] = None,
) -> None:
    """Print the contract: topics, measurements and payloads.

    As tables of Markdown, JSON Schema, SQL or AsyncAPI 3.

    Examples:

      haina contract

      haina contract asyncapi > asyncapi.json

      haina contract schema --measurement wearable
    """
    from haina.contract import document

    if measurement is not None and form != "schema":
        fail("--measurement goes with schema: haina contract schema --measurement wearable")
    match form:
        case "docs":
            print(document.markdown())
        case "topics":
            print(document.topics_markdown())
        case "asyncapi":
            print(json.dumps(document.asyncapi(), indent=2, ensure_ascii=False))
        case "tables":
            print(document.sql_tables())
        case "schema":
            try:
                print(json.dumps(document.json_schema(measurement), indent=2, ensure_ascii=False))
            except KeyError as error:
                fail(str(error.args[0]))
        case _:
            fail(f"the contract can be printed as docs, topics, asyncapi, tables or schema, not {form!r}")


@app.command()
def broker(
    listen: Annotated[
        str, typer.Option(help="HOST:PORT; beyond loopback only with --allow-anonymous.")
    ] = "127.0.0.1:1883",
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Let other machines in, and whoever is there.")
    ] = False,
) -> None:
    """Run the embedded MQTT broker.

    Good for demos and tests; it forgets everything when it stops, and it asks nobody for a password.

    Example:

      haina broker --listen 127.0.0.1:1883
    """
    from haina.broker import BrokerFailed, PortInUse, run_embedded_broker
    from haina.listen import NotHostPort, host_port
    from haina.store_url import is_loopback

    try:
        host, port = host_port(listen)
        if not is_loopback(host) and not allow_anonymous:
            fail(
                f"--listen {listen} lets anybody in from other machines, for this broker knows no passwords; take "
                "Mosquitto with `haina credentials`, listen on 127.0.0.1, or say --allow-anonymous"
            )
        run_embedded_broker(host, port)
    except NotHostPort as wrong:
        fail(f"--listen {wrong}")
    except PortInUse as error:
        fail(f"{error}; stop what uses it, or choose another with --listen")
    except OSError as error:
        fail(f"cannot listen on {listen}: {error.strerror}; choose another --listen")
    except BrokerFailed as error:
        fail(str(error), code=1)


@app.command()
def demo(
    scenario: Annotated[
        str, typer.Option(envvar="HAINA_SCENARIO", help="A shipped scenario (laptop, pilot-zone) or a YAML file.")
    ] = "laptop",
    seed: Annotated[int, typer.Option(envvar="HAINA_SEED", help="Same seed, same start, same town.")] = 1,
    history: Annotated[str, typer.Option(help="How much of the past to fill in first: 24h, 90m, 0s.")] = "24h",
    speed: Annotated[
        float, typer.Option(help="Simulated seconds per second once live; 0 is as fast as the line takes.")
    ] = 1.0,
    data: Annotated[Path, typer.Option(help="Folder for all data; started again, the town goes on.")] = Path(
        "data/demo"
    ),
    listen: Annotated[
        str, typer.Option(help="Address and port of the console; port 0 for any free one.")
    ] = "127.0.0.1:8080",
    headless: Annotated[bool, typer.Option("--headless", help="Without the console.")] = False,
    for_: Annotated[
        str | None, typer.Option("--for", help="Stop by itself after living this long, history not counted: 30s.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the whole town on this machine.

    Starts broker, store, collector, simulator and console, fills in the last 24 simulated hours, then goes on live
    until Ctrl-C.

    Examples:

      haina demo

      haina demo --headless --for 30s --json
    """
    from haina.demo import Demo, DemoFailed

    plan = Demo(
        scenario=scenario,
        seed=seed,
        history=history,
        speed=speed,
        data=data,
        listen=None if headless else listen,
        live_s=None if for_ is None else duration_s(for_, "--for"),
        as_json=as_json,
    )
    duration_s(history, "--history")
    keep_private()
    try:
        raise typer.Exit(plan.run())
    except DemoFailed as error:
        fail(str(error), code=error.code)


def compose() -> typer.Typer:
    """Add every room's commands to the app."""
    for entry_point in sorted(entry_points(group="haina.commands"), key=lambda found: found.name):
        room: typer.Typer = entry_point.load()
        app.registered_commands += room.registered_commands
        app.registered_groups += room.registered_groups
    return app


def main() -> None:
    """Run the `haina` command. SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        compose()()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
