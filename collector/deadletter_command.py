"""`haina deadletter`: list, show and replay what the collector rejected or a store refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haina.command_line import (
    BrokerOption,
    CAFileOption,
    CertificateOption,
    CredentialsOption,
    JsonOption,
    KeyOption,
    fail,
)

if TYPE_CHECKING:
    from collector.dead_letters import Letter

app = typer.Typer(no_args_is_help=True, help="Messages that were rejected, and points that a store refused.")

ReasonOption = Annotated[str, typer.Option("--reason", help="Only those whose reason contains this.")]
TopicOption = Annotated[str, typer.Option("--topic", help="Only those on this MQTT topic filter, + and # allowed.")]

DataOption = Annotated[
    Path,
    typer.Option(
        "--data", envvar="HAINA_COLLECT_DATA", file_okay=False, help="The collector's folder; it may be running."
    ),
]
DEFAULT_DATA = Path("data/collector")


@app.command("list")
def list_letters(
    data: DataOption = DEFAULT_DATA,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first.

    Examples:

      haina deadletter list

      haina deadletter list --data data/demo/collector

      haina deadletter list --reason measurement --topic 'haina/v1/telemetry/#'
    """
    letters = _read(data, reason, topic)
    if as_json:
        print(json.dumps({"found": len(letters), "dead_letters": [letter.as_json() for letter in letters[:limit]]}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("number", justify="right", no_wrap=True)
    for heading in ("when (UTC)", "by", "topic", "reason"):
        table.add_column(heading, overflow="fold")
    for letter in letters[:limit]:
        texts = (_when(letter), letter.by, letter.topic, letter.reason)
        table.add_row(str(letter.number), *(Text(_printable(text)) for text in texts))
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file has no width: whole topics matter more there
    if letters:
        console.print(table)
    newest = f", the newest {limit} of them shown" if len(letters) > limit else ""
    print(f"{len(letters)} dead letter{'' if len(letters) == 1 else 's'}{newest}")


@app.command("show")
def show_letter(
    number: Annotated[int, typer.Argument(help="The letter's number, as `list` shows it.")],
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: what was kept of it, why and when.

    Example:

      haina deadletter show 17
    """
    found = [letter for letter in _read(data) if letter.number == number]
    if not found:
        fail(f"there is no dead letter {number}; `haina deadletter list` shows which there are")
    [letter] = found
    if as_json:
        print(json.dumps(letter.as_json()))
        return
    print(f"number   {letter.number}")
    print(f"when     {_when(letter)} UTC")
    print(f"by       {_printable(letter.by)}")
    print(f"topic    {_printable(letter.topic)}")
    print(f"reason   {_printable(letter.reason)}")
    print(f"payload  {len(letter.payload):,} bytes" + (", the rest was not kept" if letter.is_cut else ""))
    print(_printable(letter.payload.decode(errors="backslashreplace")))


@app.command("replay")
def replay_letters(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of letters, as `list` shows them.")] = None,
    data: DataOption = DEFAULT_DATA,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    everything: Annotated[bool, typer.Option("--all", help="Every letter, if numbers and filters do not say.")] = False,
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    store: Annotated[
        str, typer.Option("--store", help="Which of the collector's stores, where several have been called the same.")
    ] = "",
    credentials: CredentialsOption = None,
    ca_file: CAFileOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say dead letters again that there is hope for.

    Of the others it says why it would be in vain.

    Rejected readings are published again, for a contract that was extended: their letters stay, and what the collector
    has by now is dropped as a duplicate. Refused points are written into the store that refused them, for a store that
    was mended: when it has taken them they count as stored, and their letters leave.

    Exit code 1 when not all that were chosen could be said again. Where the broker has access rules, give --credentials
    with the gateways' accounts: a reading may be said by its own site alone. A store's token is in the environment.

    Examples:

      haina deadletter replay 17 18

      haina deadletter replay --reason 'not a measurement'

      haina deadletter replay --reason retention
    """
    import asyncio
    from functools import partial

    from collector.dead_letters import NoJournal, NotAlone, ReplayFailed, judge, replay
    from collector.forgetting import nobody_forgotten
    from collector.refused import write_again
    from collector.stores import open_store
    from haina.credentials import BadCredentials, read_accounts, trusting
    from haina.mqtt import MQTTError
    from haina.store_url import BadStoreURL
    from haina.tls import BadCertificate

    if not (numbers or reason or topic or everything):
        fail("say which: numbers, --reason, --topic or --all")
    published = written = 0
    try:
        address = trusting(broker, ca_file, certificate, key)
        accounts = read_accounts(credentials) if credentials else None
        with nobody_forgotten(data):
            letters = _chosen(_read(data, reason, topic), numbers)
            judged = [(letter, judge(letter)) for letter in letters]
            vain = {letter.number: found for letter, found in judged if isinstance(found, str)}
            hopeful = [(letter, found) for letter, found in judged if not isinstance(found, str)]
            rejected = [letter for letter, _ in hopeful if not letter.is_refused]
            refused = [(letter, point) for letter, point in hopeful if letter.is_refused]
            if rejected:
                published = asyncio.run(replay(rejected, address, accounts))
            if refused:
                written, refused_again = write_again(refused, data, partial(open_store, ca_file=ca_file), store)
                vain |= refused_again
    except (BadCertificate, BadCredentials, BadStoreURL, NoJournal) as error:
        fail(str(error))
    except (MQTTError, NotAlone, ReplayFailed) as error:
        fail(str(error), code=1)
    if as_json:
        in_vain = [{"number": number, "why": why} for number, why in sorted(vain.items())]
        answer = {"chosen": len(letters), "published": published, "written": written, "in_vain": in_vain}
        print(json.dumps(answer))
    else:
        for number, why in sorted(vain.items()):
            print(f"{number}: {_printable(why)}")
        if not letters:
            print("there is no such dead letter, so nothing was said again")
        elif rejected or not refused:
            print(f"{published} of {len(letters)} dead letters published to {address}")
        if refused:
            print(f"{written} of {len(letters)} dead letters written into the store that had refused them")
    if vain:
        raise typer.Exit(1)


def _chosen(letters: "list[Letter]", numbers: list[int] | None) -> "list[Letter]":
    if not numbers:
        return letters
    if unknown := sorted(set(numbers) - {letter.number for letter in letters}):
        fail(f"there is no dead letter {unknown[0]} among them; `haina deadletter list` shows which there are")
    return [letter for letter in letters if letter.number in numbers]


def _read(data: Path, reason: str = "", topic: str = "") -> "list[Letter]":
    from collector.dead_letters import NoJournal, read_letters

    try:
        return read_letters(data, reason=reason, topic=topic)
    except NoJournal as error:
        fail(str(error))


def _when(letter: "Letter") -> str:
    return datetime.fromtimestamp(letter.time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _printable(text: str) -> str:
    """Without what a hostile message could do to a terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
