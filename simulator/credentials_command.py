"""`haina credentials`: accounts for everybody who enters the broker, and certificates when asked for."""

import json
from pathlib import Path
from typing import Annotated

import typer

from haina.command_line import JsonOption, fail, keep_private

app = typer.Typer()


@app.command()
def credentials(
    scenario: Annotated[
        str,
        typer.Option(envvar="HAINA_SCENARIO", help="Every site of this scenario gets an account."),
    ] = "laptop",
    to: Annotated[Path, typer.Option(help="Folder to keep them in, for its owner alone.", file_okay=False)] = Path(
        "secrets"
    ),
    site: Annotated[
        list[str] | None, typer.Option(help="AREA/SITE of a gateway of your own; may be given several times.")
    ] = None,
    rotate: Annotated[
        list[str] | None, typer.Option(help="Give this account a new password; may be given several times.")
    ] = None,
    tls: Annotated[
        list[str] | None,
        typer.Option(help="Make certificates too, for a broker of this host name or IP; may be given several times."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Make an account for each who enters the broker.

    For every gateway, the collector and the console, and for Mosquitto what it needs to know of them. Accounts that are
    there keep their passwords, so run it again after a scenario has grown. For the broker it writes mosquitto/passwords
    (hashed) and mosquitto/acl; for the others simulator/accounts, collector/accounts, console/accounts and, with
    --site, gateways/accounts. With --tls each of these folders also gets the authority's certificate, ca.pem, and a
    certificate of its own with its key, certificate.pem; one that has less than 30 days left is made anew. Cut short,
    it leaves the folder as it was.

    Examples:

      haina credentials --scenario laptop --to secrets --tls broker.example \
        --tls 127.0.0.1

      haina credentials --to secrets --rotate a01/c01 --rotate collector
    """
    from haina.authority import AuthorityFailed, certify
    from haina.contract.topic import BadTopic, check_level
    from haina.credentials import COLLECTOR, CONSOLE, BadCredentials, drafted, keep_accounts
    from simulator.run import gateway_names
    from simulator.scenario import BadScenario, load

    try:
        for name in site or ():
            levels = name.split("/")
            if len(levels) != 2:
                fail(f"--site {name!r} is not AREA/SITE")
            for level in levels:
                check_level(level)
        sites = gateway_names(load(scenario))
    except BadTopic as error:
        fail(f"--site: {error}")
    except BadScenario as error:
        fail(str(error))
    keep_private()
    parties = {"simulator": sites, COLLECTOR: [COLLECTOR], CONSOLE: [CONSOLE], "gateways": site or []}
    try:
        with drafted(to) as folder:
            made = keep_accounts(folder, parties, rotate or ())
            issued = certify(folder, parties, tls) if tls else []
    except (AuthorityFailed, BadCredentials) as error:
        fail(str(error))
    except OSError as error:
        fail(f"--to {to}: {error.strerror or error}")
    if as_json:
        print(json.dumps({"to": str(to), "passwords_made": made, "certificates_made": issued}))
        return
    typer.echo(f"{to}: {len(made):,} passwords and {len(issued)} certificates made; what was there is kept")
    if made or issued:
        typer.echo(f"Have Mosquitto read {to}/mosquitto again: SIGHUP, or a restart.")
