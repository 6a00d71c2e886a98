"""The tables of the file, derived from the contract: one per measurement.

A point's row is `time_ns` (nanoseconds since 1970, with the sequence number in the digits below a millisecond), the
tags, `boot`, `seq` and the fields; booleans are 0 and 1, as in every store of Haina. Nanoseconds as an integer insert
and scan as fast as DuckDB's own TIMESTAMP_NS and align to windows by division; whoever opens the file by hand finds the
same rows with a readable UTC `time` in the views of schema `readable`.

`haina_hourly` holds what is left of points whose time is up (`hourly`). `haina_cursor` holds, per source, the number of
the last point written. `haina_store` holds the format.
"""

from typing import TYPE_CHECKING

from collector.duckdb_store import hourly
from haina.contract import MEASUREMENTS, Measurement
from haina.contract.table import columns_of, create_table

if TYPE_CHECKING:
    import duckdb

FORMAT = 1


class StoreProblem(Exception):
    """The store cannot start; one sentence says why and what to do."""


def prepare(connection: "duckdb.DuckDBPyConnection", path: str) -> None:
    """Create what is missing and check what is there. Raises StoreProblem when the file does not fit this version."""
    connection.begin()  # one transaction: a start that fails halfway leaves nothing behind
    _check_format(connection, path)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS haina_cursor "
        "(source VARCHAR PRIMARY KEY, cursor BIGINT NOT NULL, written_ms BIGINT)"
    )
    connection.execute("CREATE SCHEMA IF NOT EXISTS readable")
    connection.execute(hourly.CREATE)
    connection.execute(hourly.CREATE_VIEW)
    for declared in MEASUREMENTS.values():
        _prepare_measurement(connection, declared, path)
    connection.commit()


def _check_format(connection: "duckdb.DuckDBPyConnection", path: str) -> None:
    tables = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if not tables:
        connection.execute("CREATE TABLE haina_store (format INTEGER NOT NULL)")
        connection.execute("INSERT INTO haina_store VALUES (?)", [FORMAT])
        return
    if "haina_store" not in tables:
        raise StoreProblem(f"{path} is a DuckDB file of something else; give --data another folder")
    row = connection.execute("SELECT max(format) FROM haina_store").fetchone()
    found = row[0] if row else None
    if found != FORMAT:
        raise StoreProblem(
            f"{path} has format {found}, this version writes format {FORMAT}; "
            "use the version that wrote it, or give --data another folder"
        )


def _prepare_measurement(connection: "duckdb.DuckDBPyConnection", declared: Measurement, path: str) -> None:
    wanted = columns_of(declared)
    found: dict[str, str] = dict(
        connection.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = ?",
            [declared.name],
        ).fetchall()
    )
    if found == wanted:
        return
    if not found:
        connection.execute(create_table(declared))
    for name, kind in wanted.items():
        if found.get(name, kind) != kind:
            raise StoreProblem(
                f"{declared.name}.{name} is {found[name]} in {path} and {kind} in this version's contract; a field "
                "never changes its type: declare a new measurement, or give --data another folder"
            )
        if found and name not in found:
            connection.execute(f'ALTER TABLE "{declared.name}" ADD COLUMN "{name}" {kind}')
    connection.execute(
        f'CREATE OR REPLACE VIEW readable."{declared.name}" AS '
        f'SELECT make_timestamp_ns(time_ns) AS time, * EXCLUDE (time_ns) FROM main."{declared.name}"'
    )
