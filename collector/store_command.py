"""`haina store` keeps the points; `haina audit` compares what was sent with what is kept."""

import json
import math
import re
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haina.command_line import (
    CAFileOption,
    DataOption,
    JsonOption,
    StoreOption,
    duration_s,
    fail,
    keep_private,
    refuse_twice,
)
from haina.store_url import DEFAULT_STORE, BadStoreURL, StoreURL

if TYPE_CHECKING:
    from collector.audit import AuditReport

app = typer.Typer()

MAX_DAYS = 36_525  # a hundred years, as with every duration
LEAST_MEMORY_BYTES = 64 * 1024**2
"""Below it DuckDB cannot even open a file that is not empty. Assumed."""
LEAST_SIZE_BYTES = 64 * 1024**2
"""Of it the log takes up to 16 MiB. Below it a store hardly takes a write before it rolls up. Assumed."""


@app.command()
def store(
    data: DataOption = Path("data/store"),
    listen: Annotated[
        str, typer.Option(envvar="HAINA_STORE_LISTEN", help="HOST:PORT; beyond loopback only with HAINA_STORE_TOKEN.")
    ] = "127.0.0.1:8790",
    memory_limit: Annotated[str, typer.Option(help="Memory that DuckDB may use, such as 512MiB.")] = "1GiB",
    threads: Annotated[int, typer.Option(min=1, max=256, help="How many threads DuckDB may use.")] = 2,
    keep_days: Annotated[
        float,
        typer.Option(min=0, max=MAX_DAYS, help="Points older than this become hourly rollups; 0 keeps them for ever."),
    ] = 30,
    keep_hourly_days: Annotated[
        float,
        typer.Option(min=0, max=MAX_DAYS, help="Hourly rollups older than this are deleted; 0 keeps them for ever."),
    ] = 1_826,
    max_size: Annotated[
        str,
        typer.Option(
            help="What the file may use, such as 500MiB or 10GiB; near it the oldest points are rolled up early, at it "
            "writes are not taken. 0 for no limit."
        ),
    ] = "10GiB",
    query_seconds: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="A query is stopped after so many seconds.")
    ] = 10,
) -> None:
    """Run the store: one process that owns a DuckDB file.

    It takes points from collectors and answers the console.

    Examples:

      haina store --data data/store --listen 127.0.0.1:8790

      haina store --keep-days 7 --keep-hourly-days 400 --max-size 2GiB
    """
    from collector.duckdb_store.database import Keep
    from collector.duckdb_store.service import Limits, serve
    from collector.duckdb_store.tables import StoreProblem

    keep_private()
    memory_bytes = _bytes(memory_limit, "--memory-limit")
    if not LEAST_MEMORY_BYTES <= memory_bytes <= 1024**5:
        fail(f"--memory-limit {memory_limit!r}: DuckDB wants 64MiB or more, and 1024TiB at most")
    max_bytes = _bytes(max_size, "--max-size")
    if 0 < max_bytes < LEAST_SIZE_BYTES:
        fail(f"--max-size {max_size!r}: a store wants 64MiB or more; 0 for no limit")
    try:
        serve(
            data,
            listen,
            memory_limit=f"{memory_bytes}B",
            threads=threads,
            keep=Keep(keep_days, keep_hourly_days, max_bytes),
            limits=Limits(query_s=query_seconds),
            token=StoreURL("duckdb").token(),
        )
    except (BadStoreURL, StoreProblem) as problem:
        fail(str(problem))


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\Z", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def _bytes(text: str, option: str) -> int:
    """Read a size such as 0, 500MB or 10GiB, in bytes; end the command when it is none."""
    match = _SIZE.match(text.strip())
    if match is None:
        fail(f"{option} {text!r} is not a size; say 500MiB or 10GiB")
    unit = (match[2] or "").upper()
    base: int = 1024 if unit.endswith("I") else 1000
    return round(float(match[1]) * float(base ** _POWERS[unit[:1]]))


@app.command()
def audit(
    sent: Annotated[
        list[Path], typer.Option("--sent", exists=True, dir_okay=False, help="A run's sent ledger; may be repeated.")
    ],
    store: StoreOption = DEFAULT_STORE,
    ca_file: CAFileOption = None,
    as_json: JsonOption = False,
    worst: Annotated[int, typer.Option(min=0, help="How many offending device-minutes to name.")] = 20,
) -> None:
    r"""Compare what a run sent with what the store keeps.

    Counts lost, extra, duplicated and altered readings. Exit code 0 when they are the same, 1 when not, 2 when it could
    not compare, also because there is nothing to compare: no reading in the ledger, or none that is neither forgotten
    nor gone by retention.

    The run may go on meanwhile. What differs is then asked for again until it has come to rest; what was still changing
    after ten seconds is left out and counted, and a later audit compares it.

    Example:

      haina audit --sent data/demo/run/run.sent \
        --store duckdb+http://127.0.0.1:8790
    """
    from collector.audit import audit as compare
    from haina.ledger import BadLedger
    from haina.query.reader import StoreError, open_reader
    from haina.tls import BadCertificate

    refuse_twice("--sent", sent)
    try:
        with open_reader(store, ca_file=ca_file) as reader:
            report = compare(sent, reader, worst)
    except (BadCertificate, BadStoreURL, BadLedger, StoreError) as problem:
        fail(str(problem))
    except OSError as problem:
        fail(f"{problem.filename}: {problem.strerror}")
    if not report.minutes:
        left_out = [f"{report.left_out} device-minutes that were still changing"] if report.left_out else []
        holds = " and ".join(_not_compared(report) + left_out)
        ledgers = ", ".join(map(str, sent))
        fail(f"there is nothing to compare: {ledgers} holds {f'only {holds}' if holds else 'no reading'}")
    if as_json:
        print(json.dumps({"clean": report.clean, **asdict(report)}))
    else:
        _show(report)
    if not report.clean:
        if report.under_way and report.lost:
            typer.echo(
                "haina: the run is under way: what the store lacks may be pending yet (haina status); compare again",
                err=True,
            )
        raise typer.Exit(1)


@app.command()
def rollup(
    store: StoreOption,
    keep: Annotated[str, typer.Option(help="How long the bucket keeps raw points after that; 0 for ever.")] = "400d",
    keep_hourly: Annotated[str, typer.Option(help="How long BUCKET-hourly keeps the hours; 0 for ever.")] = "1826d",
    late: Annotated[str, typer.Option(help="How much of what is rolled up already is done again, for late points.")] = (
        "48h"
    ),
    every: Annotated[str, typer.Option(help="Do it again after so long, until Ctrl-C; 0 for once.")] = "0",
    ca_file: CAFileOption = None,
) -> None:
    r"""Roll up InfluxDB's points into hours, and set terms for both.

    The hours are in a bucket beside the points', BUCKET-hourly. `haina store` does it itself. The token
    (HAINA_INFLUX_TOKEN) must be allowed to make a bucket.

    Examples:

      haina rollup --store 'influxdb+http://127.0.0.1:8086/haina?org=haina'

      haina rollup --store 'influxdb+http://127.0.0.1:8086/haina?org=haina' \
        --keep 30d --every 1h
    """
    from collector.stores.influx_hourly import Hourly, RollupFailed
    from haina.query.reader import StoreError
    from haina.tls import BadCertificate

    keep_s, keep_hourly_s, late_s, every_s = (
        math.ceil(duration_s(text, option))  # 0 means something else
        for text, option in ((keep, "--keep"), (keep_hourly, "--keep-hourly"), (late, "--late"), (every, "--every"))
    )
    if keep_s and keep_s <= late_s + 86_400:
        fail(f"--keep {keep} must be a day longer than --late {late}, or points would leave before they are rolled up")
    try:
        hourly = Hourly(store, ca_file=ca_file)
    except (BadStoreURL, BadCertificate) as problem:
        fail(str(problem))
    while True:
        try:
            hourly.prepare(keep_hourly_s)
            values = hourly.roll_up(late_s)
            hourly.keep_raw(keep_s)
        except (RollupFailed, StoreError) as problem:
            if not every_s:
                fail(str(problem), code=1)
            typer.echo(f"haina: {problem}; again in {every}", err=True)
        else:
            print(f"{values} hours of devices rolled up into {hourly.name}; raw points are kept for {keep}", flush=True)
        if not every_s:
            return
        time.sleep(every_s)


def _show(report: "AuditReport") -> None:
    from rich.console import Console
    from rich.table import Table

    if report.worst:
        numbers = ("sent", "stored", "lost", "extra", "duplicates")
        table = Table(title=f"{len(report.worst)} of {report.offences} device-minutes that differ")
        table.add_column("device", no_wrap=True)
        table.add_column("minute (UTC)", no_wrap=True)
        table.add_column("boot", justify="right")
        for heading in (*numbers, "altered"):
            table.add_column(heading, justify="right")
        for offence in report.worst:
            minute = datetime.fromtimestamp(offence.minute_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
            counts = (str(getattr(offence, number)) for number in numbers)
            device = f"{offence.area}/{offence.site}/{offence.device}"
            table.add_row(device, minute, str(offence.boot), *counts, "yes" if offence.altered else "")
        console = Console()
        if not console.is_terminal:
            console.width = 140  # a file has no width: whole names matter more there
        console.print(table)
    print(
        f"{report.sent} readings sent by {report.devices} devices in {report.minutes} device-minutes; "
        f"{report.stored} stored: {report.lost} lost, {report.extra} extra, {report.duplicates} duplicates, "
        f"{report.altered} altered minutes."
    )
    if report.up_to_ms:
        up_to = datetime.fromtimestamp(report.up_to_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        print(
            f"The run is under way: compared up to {up_to} UTC (town time); left out {report.left_out} device-minutes "
            f"({report.left_out_readings} readings) that were still changing."
        )
    if report.unchecked:
        print(
            f"Whether the {report.unchecked} readings stored in minutes that also lost or gained some are unaltered "
            "cannot be told from the ledger."
        )
    for what in _not_compared(report):
        print(f"Not compared: {what}.")


def _not_compared(report: "AuditReport") -> list[str]:
    found = []
    if report.gone:
        before = datetime.fromtimestamp(report.gone_before_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        found.append(f"{report.gone} device-minutes from before {before} UTC, whose raw points are gone by retention")
    if report.forgotten:
        found.append(f"{report.forgotten} devices of sites that were forgotten")
    if report.forgotten_minutes:
        found.append(f"{report.forgotten_minutes} device-minutes in which others named such a site")
    return found
