"""`haina export` hands over what there is of a resident; `haina forget` keeps nothing of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haina.command_line import (
    CAFileOption,
    CertificateOption,
    JsonOption,
    KeyOption,
    fail,
    keep_private,
    refuse_twice,
    without_password,
)

if TYPE_CHECKING:
    from collector.forgetting import Places
    from collector.resident import Resident
    from haina.mqtt import BrokerAddress

app = typer.Typer()

ResidentArgument = Annotated[str, typer.Argument(help="The home's pseudonym, such as h0001 or a01/h0001.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", envvar="HAINA_COLLECT_DATA", help="The collector's folder; it may be running.")
]
StoresOption = Annotated[
    list[str] | None, typer.Option("--store", envvar="HAINA_STORE", help="A store; may be given several times.")
]
RunsOption = Annotated[
    list[Path] | None,
    typer.Option("--run", exists=True, file_okay=False, help="A run's folder with its ledgers; may be repeated."),
]
BrokerOption = Annotated[
    str | None,
    typer.Option(
        "--broker",
        envvar="HAINA_BROKER",
        callback=without_password,
        help="The broker that retains meta, status and watermark.",
    ),
]
CredentialsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--credentials",
        envvar="HAINA_CREDENTIALS",
        help="File of accounts to enter the broker by; may be repeated: the collector's hears all and clears the "
        "watermark, the home's own gateway's clears meta and status.",
    ),
]


@app.command()
def export(
    resident: ResidentArgument,
    to: Annotated[Path, typer.Option("--to", help="The zip archive to write.", dir_okay=False)],
    data: DataOption = None,
    store: StoresOption = None,
    run: RunsOption = None,
    broker: BrokerOption = None,
    credentials: CredentialsOption = None,
    ca_file: CAFileOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    r"""Hand over everything there is of a resident.

    Writes one archive of JSON Lines, with a manifest of what was looked at.

    Examples:

      haina export h0001 --to h0001.zip --store duckdb+http://127.0.0.1:8790

      haina export a01/h0001 --to h0001.zip --data data/demo/collector \
        --store duckdb+http://127.0.0.1:8790 --run data/demo/run \
        --broker mqtt://127.0.0.1:1883
    """
    from collector.forgetting import export as hand_over

    whom, places = _understood(resident, data, store, run, broker, credentials, ca_file, certificate, key)
    if not to.absolute().parent.is_dir():
        fail(f"--to {to}: there is no folder {to.parent}")
    with _failures():
        lines = hand_over(whom, places, to)
    if as_json:
        print(json.dumps({"resident": str(whom), "archive": str(to), "lines": lines}))
        return
    for name, number in lines.items():
        if number:
            print(f"{number:>10,}  {name}")
    print(f"{sum(lines.values()):,} lines about {whom} in {to}")
    if not any(lines.values()):
        typer.echo(f"haina: nothing is known of {whom} where you looked; is that how the home is called?", err=True)


@app.command()
def forget(
    resident: ResidentArgument,
    data: DataOption = None,
    store: StoresOption = None,
    run: RunsOption = None,
    broker: BrokerOption = None,
    credentials: CredentialsOption = None,
    ca_file: CAFileOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; it cannot be undone.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Forget a resident in every place that is named, for good.

    Cut short, it is finished by calling it again. What the home's devices say afterwards is new: take them out of
    service first.

    Examples:

      haina forget h0001 --data data/demo/collector \
        --store duckdb+http://127.0.0.1:8790 --run data/demo/run

      haina forget a01/h0001 --yes --data data/collector \
        --store 'influxdb+http://127.0.0.1:8086/haina?org=haina' \
        --broker mqtts://broker.example --ca-file secrets/collector/ca.pem \
        --credentials secrets/collector/accounts \
        --credentials secrets/simulator/accounts
    """
    from collector.forgetting import forget as forget_everywhere
    from collector.forgetting import looked_at

    whom, places = _understood(resident, data, store, run, broker, credentials, ca_file, certificate, key)
    if not yes:
        typer.echo(f"Forgets everything about {whom} in:", err=True)
        for place in looked_at(places):
            typer.echo(f"  {place}", err=True)
        try:
            sure = typer.confirm("It cannot be undone. Go on?", err=True)
        except typer.Abort:  # nobody is there to answer
            sure = False
        if not sure:
            fail("nothing was forgotten", code=1)
    with _failures():
        counts = forget_everywhere(
            whom, places, lambda sentence: typer.echo(f"haina: forgetting in {sentence}", err=True)
        )
    if as_json:
        print(json.dumps({"forgotten": counts}))
        return
    for name, number in counts.items():
        print(f"{number:>10,}  {name.replace('_', ' ')}")
    if not any(counts.values()):
        typer.echo(f"haina: nothing was known of {whom} there; is that how the home is called?", err=True)


def _understood(
    resident: str,
    data: Path | None,
    stores: list[str] | None,
    runs: list[Path] | None,
    broker: str | None,
    credentials: list[Path] | None,
    ca_file: Path | None,
    certificate: Path | None,
    key: Path | None,
) -> tuple["Resident", "Places"]:
    from collector.dead_letters import NoJournal, reading
    from collector.forgetting import Places
    from collector.resident import Resident
    from haina.contract import BadTopic
    from haina.credentials import BadCredentials, trusting
    from haina.store_url import BadStoreURL, all_different

    if data is None and not (stores or runs or broker):
        fail("say where: --data, --store, --run or --broker")
    keep_private()
    refuse_twice("--run", runs or ())
    for run in runs or ():
        if not any((run / name).is_file() for name in ("run.json", "run.sent", "run.truth", "run.commands")):
            fail(f"there is no run in {run}; give --run the folder of a simulator")
    try:
        if data is not None:
            with reading(data):
                pass
    except NoJournal as error:
        fail(str(error))
    try:
        all_different(stores or ())
        whom = Resident.parse(resident)
        entries = () if broker is None else _entries(whom, trusting(broker, ca_file, certificate, key), credentials)
    except BadTopic as error:
        fail(f"a resident is SITE or AREA/SITE, such as h0001: {error}")
    except (BadCredentials, BadStoreURL) as error:
        fail(str(error))
    return whom, Places(data, tuple(stores or ()), tuple(runs or ()), entries, ca_file)


def _entries(whom: "Resident", broker: "BrokerAddress", files: list[Path] | None) -> "tuple[BrokerAddress, ...]":
    """The broker, for each account that has to do with a resident. Raises BadCredentials."""
    from haina.credentials import BadCredentials, read_accounts

    if not files:
        return (broker,)
    if broker.username is not None:
        raise BadCredentials("the broker's URL names an account, and --credentials others; drop one of them")
    accounts = {user: password for file in files for user, password in read_accounts(file).items()}
    users = [user for user in accounts if "/" not in user or whom.is_of(*user.rpartition("/")[::2])]
    if all("/" in user for user in users):
        raise BadCredentials(
            "a gateway does not hear what the broker retains; give the collector's --credentials as well"
        )
    return tuple(replace(broker, username=user, password=accounts[user]) for user in users)


@contextmanager
def _failures() -> Iterator[None]:
    from collector.dead_letters import NoJournal, NotAlone
    from collector.forgetting import CannotForget
    from collector.journal import CommitFailed, JournalUnusable
    from haina.ledger import BadLedger
    from haina.mqtt import MQTTError
    from haina.query.reader import StoreError
    from haina.store_url import BadStoreURL

    try:
        yield
    except (BadStoreURL, NoJournal) as error:
        fail(str(error))
    except (CannotForget, NotAlone, CommitFailed, JournalUnusable, BadLedger, MQTTError, StoreError) as error:
        fail(str(error), code=1)
    except OSError as error:
        fail(f"{error.filename or 'the archive'}: {error.strerror or error}", code=1)
