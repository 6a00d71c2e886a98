"""The commands of this room: `haina console`, `haina dashboards render`, `haina dashboards push`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from haina.command_line import (
    BrokerOption,
    CAFileOption,
    CertificateOption,
    CredentialsOption,
    DataOption,
    KeyOption,
    StoreOption,
    fail,
    keep_private,
    not_on_the_command_line,
)

app = typer.Typer(no_args_is_help=True)
dashboards_app = typer.Typer(no_args_is_help=True, help="Render the panels as Grafana dashboards, and push them.")
app.add_typer(dashboards_app, name="dashboards")


@dashboards_app.command()
def render(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 and name files that differ.")] = False,
    to: Annotated[Path | None, typer.Option(help="Folder to write to; the package's own by default.")] = None,
) -> None:
    """Render the panels to Grafana's dashboard JSON.

    In English and in Chinese.

    Examples:

      haina dashboards render

      haina dashboards render --check
    """
    from dashboards.grafana import render as grafana

    folder = to or Path(grafana.__file__).parent
    if check:
        names = grafana.stale(folder)
        for name in names:
            typer.echo(f"{folder / name} differs from the panels", err=True)
        if names:
            fail(f"{len(names)} files are stale; run `haina dashboards render`", code=1)
        return
    files = grafana.render_all()
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    except OSError as failed:
        fail(f"{folder} cannot be written: {failed.strerror}")
    typer.echo(f"{len(files)} files in {folder}")


@dashboards_app.command()
def push(
    grafana: Annotated[str, typer.Option(envvar="HAINA_GRAFANA", help="Grafana's URL: http://127.0.0.1:3000.")],
    token: Annotated[
        str | None,
        typer.Option(
            envvar="HAINA_GRAFANA_TOKEN",
            callback=not_on_the_command_line,
            help="A service account's token; only in HAINA_GRAFANA_TOKEN or haina.toml.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[str, typer.Option(help="en, zh or both.")] = "both",
    influx: Annotated[
        str | None,
        typer.Option(help="Also push a data source for this store: influxdb+http://host:port/bucket?org=ORG."),
    ] = None,
) -> None:
    """Push folder and dashboards to a Grafana server.

    Pushing again replaces them.

    Example:

      haina dashboards push --grafana http://127.0.0.1:3000 --language en
    """
    from dashboards.grafana.push import NotPushable, PushRefused
    from dashboards.grafana.push import push as push_all
    from dashboards.text import LANGUAGES
    from haina.store_url import BadStoreURL, StoreURL

    languages = tuple(known for known in LANGUAGES if language in {known, "both"})
    if not languages:
        fail(f"--language is {', '.join(LANGUAGES)} or both, got {language!r}")
    try:
        store = StoreURL.parse(influx) if influx else None
        store_token = store.token() if store else None
    except BadStoreURL as wrong:
        fail(f"--influx: {wrong}")
    try:
        push_all(grafana, token, languages, store, store_token, typer.echo)
    except NotPushable as wrong:
        fail(str(wrong))
    except PushRefused as refused:
        fail(str(refused), code=1)


@app.command()
def console(
    store: StoreOption = "duckdb+http://127.0.0.1:8790",
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    credentials: CredentialsOption = None,
    ca_file: CAFileOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    collector: Annotated[
        str, typer.Option(envvar="HAINA_COLLECTOR", help="Where the collector tells its status.")
    ] = "http://127.0.0.1:8791",
    listen: Annotated[str, typer.Option(help="host:port to serve at.")] = "127.0.0.1:8080",
    data: DataOption = Path("data/console"),
    password: Annotated[
        str | None,
        typer.Option(
            envvar="HAINA_CONSOLE_PASSWORD",
            callback=not_on_the_command_line,
            help="Asked of every visitor; needed to listen beyond this machine. Only in HAINA_CONSOLE_PASSWORD or "
            "haina.toml.",
            show_default=False,
        ),
    ] = None,
) -> None:
    r"""Show the town live in a browser.

    With map, charts, and the run's clock.

    Examples:

      haina console

      HAINA_CONSOLE_PASSWORD=at-least-12-characters haina console \
        --listen 0.0.0.0:8080

      haina console --broker mqtts://broker.example --ca-file ca.pem \
        --credentials secrets/console/accounts
    """
    # NiceGUI decides where it may keep things when it is imported, and would choose the working directory.
    os.environ["NICEGUI_STORAGE_PATH"] = str(data)
    from dashboards.console.settings import BadSettings, Settings
    from haina.credentials import BadCredentials, broker_address

    try:
        address = broker_address(broker, credentials, ca_file, certificate, key)
        settings = Settings.read(
            store=store, broker=address, collector=collector, listen=listen, password=password, ca_file=ca_file
        )
    except (BadCredentials, BadSettings) as wrong:
        fail(str(wrong))
    if settings.store.kind == "null":
        fail("--store: null: keeps nothing, so there is nothing to show")
    try:
        keep_private()
        data.mkdir(parents=True, exist_ok=True)
    except OSError as failed:
        fail(f"--data {data}: {failed.strerror}")
    from dashboards.console.server import CannotListen, serve

    try:
        serve(settings)
    except CannotListen as refused:
        fail(str(refused))
