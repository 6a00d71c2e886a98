"""`haina collect` and `haina status`, and with them the store's commands (`store_command`)."""

import asyncio
import gc
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from collector.deadletter_command import app as deadletter_app
from collector.resident_command import app as resident_app
from collector.store_command import app as store_app
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
    keep_private,
    loop_factory,
    run_until_signalled,
)
from haina.store_url import DEFAULT_STORE

app = typer.Typer()

DEFAULT_HTTP = "127.0.0.1:8791"

GC_S = 60.0
"""How often garbage is looked for. A reading in flight is a few tracked tuples that never form a cycle: looking at them
after every 700 allocations took a quarter of the CPU time of a message, after every 50,000 still 1 %."""

MAX_CLIENT_ID_BYTES = 65_535  # MQTT 3.1.1, 1.5.3

LEAST_LIMIT_S = 60.0
"""What is said in good order differs by some seconds from the run's clock, which is told every two. Assumed."""

LEAST_GIVE_UP_S = 1.0
"""Even where nothing is resent a reading may overtake another. Assumed."""

FORGETTING_S = 600.0
"""How long a collector that has just forgotten waits for its journal, should another `haina forget` be at it."""


@app.command()
def collect(
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    credentials: CredentialsOption = None,
    ca_file: CAFileOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    store: Annotated[
        list[str],
        typer.Option(
            envvar="HAINA_STORE",
            help="Where readings go; may be given several times. duckdb+http://host:port of a `haina store`, "
            "influxdb+http://host:port/bucket?org=ORG, or null: to keep them nowhere.",
        ),
    ] = [DEFAULT_STORE],  # noqa: B006 - how Typer spells the default of an option that may be repeated
    data: DataOption = Path("data/collector"),
    http: Annotated[
        str,
        typer.Option(
            help="Where to serve /status, /metrics and /healthz; empty for nowhere; beyond loopback only with "
            "HAINA_COLLECTOR_TOKEN."
        ),
    ] = DEFAULT_HTTP,
    client_id: Annotated[
        str, typer.Option(help="MQTT client id; the broker keeps messages under it, so each collector needs its own.")
    ] = ("haina-collector"),
    area: Annotated[
        list[str] | None,
        typer.Option(
            "--areas",
            "--area",
            help="Collect only these areas: a01,a02; may be given several times. An area that is new to this collector "
            "is taken over where the last one's watermarks end; one that is left out is handed over.",
        ),
    ] = None,
    journal_limit_mib: Annotated[
        int, typer.Option(min=1, help="Readings kept on disk for stores that are behind, in MiB; then reading stops.")
    ] = 2_048,
    max_devices: Annotated[int, typer.Option(min=1, help="More devices than this are rejected.")] = 200_000,
    future: Annotated[str, typer.Option(help="How far past the run's clock, at its pace, a reading may be.")] = "1h",
    past: Annotated[str, typer.Option(help="How long before the run's clock a reading may be.")] = "400d",
    give_up: Annotated[
        str, typer.Option(help="How long to wait for a missing reading that its gateway does not keep.")
    ] = "30s",
) -> None:
    r"""Collect readings into a store, and lose none.

    Validates, journals, acknowledges and ships; loses nothing it acknowledged.

    Examples:

      haina collect

      haina collect --broker mqtt://127.0.0.1:1883 --store null: --http ''

      haina collect --broker mqtts://broker.example --ca-file ca.pem \
        --credentials secrets/collector/accounts
    """
    from collector.forgetting import obey
    from collector.ingest import TimeLimits
    from collector.journal import JournalUnusable
    from collector.service import CannotStart, Collector, Settings
    from collector.stores import open_store
    from haina.contract import BadTopic
    from haina.credentials import BadCredentials, broker_address
    from haina.store_url import BadStoreURL

    keep_private()
    if not 0 < len(client_id.encode()) <= MAX_CLIENT_ID_BYTES or not client_id.isprintable():
        fail(f"--client-id must be 1 to {MAX_CLIENT_ID_BYTES:,} bytes of printable text")
    try:
        settings = Settings(
            broker=broker_address(broker, credentials, ca_file, certificate, key),
            stores=tuple(store),
            data=data,
            client_id=client_id,
            http=http or None,
            areas=tuple(name for names in area or () for name in names.split(",")),
            journal_limit_bytes=journal_limit_mib * 1024 * 1024,
            max_devices=max_devices,
            time_limits=TimeLimits(
                duration_s(future, "--future", LEAST_LIMIT_S), duration_s(past, "--past", LEAST_LIMIT_S)
            ),
            give_up_s=duration_s(give_up, "--give-up", LEAST_GIVE_UP_S),
        )
    except BadCredentials as error:
        fail(str(error))

    async def begin(settings: Settings, patience_s: float) -> Collector:
        give_up_s = time.monotonic() + patience_s
        while True:
            try:
                obey(settings.data)
                return Collector(settings, partial(open_store, ca_file=ca_file))
            except JournalUnusable:
                if time.monotonic() > give_up_s:
                    raise
                await asyncio.sleep(0.2)  # `haina forget` is at the journal, and not for long

    async def run(settings: Settings, patience_s: float = 0.0) -> Settings | None:
        """Collect, and answer what to go on with if it ended for the sake of `haina forget`."""
        collector = await begin(settings, patience_s)
        gc.freeze()
        gc.disable()
        collecting = asyncio.create_task(_collect_garbage())
        async with run_until_signalled(collector.stop):
            await collector.run(lambda: typer.echo(_first_line(settings, collector.http_url)))
        collecting.cancel()
        if not collector.ends_to_forget:
            return None
        return replace(settings, http=collector.http_url and urlsplit(collector.http_url).netloc)

    async def run_for_good(settings: Settings) -> None:
        goes_on = await run(settings)
        while goes_on is not None:
            gc.unfreeze()
            gc.collect()  # the collector that ended, with all its devices
            goes_on = await run(goes_on, FORGETTING_S)

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(run_for_good(settings))
    except BadTopic as error:
        fail(f"--areas: {error}")
    except (BadStoreURL, CannotStart, JournalUnusable) as error:
        fail(str(error))


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(GC_S)
        gc.collect()


def _first_line(settings: Any, http_url: str | None) -> str:
    where = f"; {http_url}/status" if http_url else ""
    return f"haina collect: {settings.broker} -> {settings.data} -> {', '.join(settings.stores)}{where}"


@app.command()
def status(
    url: Annotated[
        str, typer.Option(envvar="HAINA_COLLECTOR", help="Where the collector serves its status.")
    ] = f"http://{DEFAULT_HTTP}",
    ca_file: CAFileOption = None,
    as_json: JsonOption = False,
    devices: Annotated[bool, typer.Option("--devices", help="List the devices as well.")] = False,
    state: Annotated[
        str, typer.Option(help="With --devices: only those that are online, silent, offline or unknown.")
    ] = "",
    area: Annotated[str, typer.Option(help="With --devices: only this area's.")] = "",
    site: Annotated[str, typer.Option(help="With --devices: only this site's.")] = "",
) -> None:
    """Show how a running collector is doing.

    Exit code 1 if something is wrong: what /healthz tells too, or a store is down, which costs the collector nothing.

    A device is offline when its gateway is, silent when its gateway is connected and it has said nothing for three
    times its habit, unknown when nobody has said, and else online.

    Where the collector has a token, set HAINA_COLLECTOR_TOKEN to the same.

    Examples:

      haina status

      haina status --devices --state silent

      haina status --json --devices
    """
    import httpx

    from collector.presence import State
    from collector.status_table import print_status
    from haina.store_url import COLLECTOR_TOKEN, BadStoreURL, collector_entry, is_web_address
    from haina.tls import BadCertificate, client_context

    chosen = {name: value for name, value in (("state", state), ("area", area), ("site", site)) if value}
    if state not in ("", *State):
        fail(f"--state must be one of {', '.join(State)} (got {state!r})")
    if chosen and not devices:
        fail(f"--{next(iter(chosen))} goes with --devices")
    if not is_web_address(url):
        fail("--url must be http://host:port or https://host:port, without user or password")
    try:
        answer = httpx.get(
            url.rstrip("/") + "/status",
            params={"devices": int(devices), **chosen},
            headers=collector_entry(),
            timeout=10.0,
            trust_env=False,
            verify=client_context(ca_file),
        )
        if answer.status_code == 401:
            fail(f"the collector at {url} asks for its token; set {COLLECTOR_TOKEN}")
        if answer.status_code == 404:
            fail(f"what answers at {url} is not a collector")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        wrong = bool(found["problems"]) or any(store["down"] for store in found["stores"])
    except (BadCertificate, BadStoreURL) as error:
        fail(str(error))
    except httpx.HTTPStatusError as error:
        fail(f"the collector at {url} answers {error.response.status_code} {error.response.reason_phrase}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"no collector answers at {url} ({error}); is `haina collect` running there?")
    except (ValueError, KeyError, TypeError):
        fail(f"what answers at {url} is not a collector")
    if as_json:
        print(answer.text)
    else:
        print_status(found)
    if wrong:
        raise typer.Exit(1)


app.registered_commands.extend(store_app.registered_commands + resident_app.registered_commands)
app.add_typer(deadletter_app, name="deadletter")

if __name__ == "__main__":
    from haina.logs import configure_logs

    configure_logs()
    app()
