"""`haina store` keeps the points; `haina audit` compares what was sent with what is kept."""

from pathlib import Path
from typing import Annotated

import typer

from haina.command_line import DataOption, fail
from haina.store_url import StoreURL

app = typer.Typer()


@app.command()
def store(
    data: DataOption = Path("data/store"),
    listen: Annotated[
        str, typer.Option(envvar="HAINA_STORE_LISTEN", help="HOST:PORT; beyond loopback only with HAINA_STORE_TOKEN.")
    ] = "127.0.0.1:8790",
    memory_limit: Annotated[str, typer.Option(help="What DuckDB may use, such as 512MiB.")] = "1GiB",
    threads: Annotated[int, typer.Option(min=1, max=256, help="How many threads DuckDB may use.")] = 2,
    keep_days: Annotated[
        float, typer.Option(min=0, help="Points with an event time older than this are deleted; 0 keeps them for ever.")
    ] = 400,
    query_seconds: Annotated[float, typer.Option(min=0.1, help="A query is stopped after this long.")] = 10,
) -> None:
    """Run the store: one process that owns a DuckDB file, takes points from collectors and answers the console.

    Example:

      haina store --data data/store --listen 127.0.0.1:8790
    """
    from collector.duckdb_store.service import Limits, serve  # noqa: PLC0415  --help stays quick
    from collector.duckdb_store.tables import StoreProblem  # noqa: PLC0415

    try:
        serve(
            data,
            listen,
            memory_limit=memory_limit,
            threads=threads,
            limits=Limits(keep_days=keep_days, query_s=query_seconds),
            token=StoreURL("duckdb").token(),
        )
    except StoreProblem as problem:
        fail(str(problem))
