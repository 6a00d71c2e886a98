"""Hourly rollups: what is left of raw points when their time is up.

One row for each device, field and hour of UTC in `haina_hourly`: how many values there were, their sum, least and
greatest. Mean is sum over count (the view `readable.hourly` shows it). Booleans count as 0 and 1; of a text there is
only the count.

A point is either raw or in a rollup, never both and never neither: one transaction adds a stretch of raw points to
the rollups and deletes them. So a kill -9 between the two cannot be, a late point waits as a raw one and is added when
the next pass comes by, and a question about any time is answered by both together (`haina.query.sql`). A point that
comes twice is known for as long as its first copy is raw; after that it is the collector that knows it, by boot and
seq, and the store by the source's cursor.
"""

from typing import TYPE_CHECKING

from haina.contract import Measurement
from haina.contract.point import NS_PER_MS, TAGS

if TYPE_CHECKING:
    import duckdb

HOUR_NS = 3_600_000 * NS_PER_MS
DAY_NS = 24 * HOUR_NS

CREATE = (
    "CREATE TABLE IF NOT EXISTS haina_hourly (measurement VARCHAR NOT NULL, field VARCHAR NOT NULL, "
    "hour_ns BIGINT NOT NULL, area VARCHAR NOT NULL, site VARCHAR NOT NULL, device VARCHAR NOT NULL, "
    "count BIGINT NOT NULL, sum DOUBLE, min DOUBLE, max DOUBLE)"
)
CREATE_VIEW = (
    "CREATE OR REPLACE VIEW readable.hourly AS SELECT make_timestamp_ns(hour_ns) AS hour, measurement, field, area, "
    "site, device, sum / count AS mean, min, max, count FROM main.haina_hourly"
)
_KEY = f"hour_ns, {', '.join(TAGS)}"


def move(writer: "duckdb.DuckDBPyConnection", declared: Measurement, start_ns: int, end_ns: int) -> int:
    """Turn the raw points of a stretch of whole hours into rollups; how many there were. Within a transaction."""
    span = [start_ns, end_ns]
    parts = [
        f"SELECT '{field.name}' AS field, time_ns // {HOUR_NS} * {HOUR_NS} AS hour_ns, {', '.join(TAGS)}, "
        f'count("{field.name}") AS count, {_numbers(field.name, field.type)} FROM "{declared.name}" '
        f'WHERE time_ns >= $1 AND time_ns < $2 AND "{field.name}" IS NOT NULL GROUP BY ALL'
        for field in declared.fields
    ]
    kept = "measurement = $3 AND hour_ns >= $1 AND hour_ns < $2"
    writer.execute(
        f"CREATE OR REPLACE TEMP TABLE moving AS SELECT field, {_KEY}, sum(count)::BIGINT AS count, sum(sum) AS sum, "
        f"min(min) AS min, max(max) AS max FROM ({' UNION ALL '.join(parts)} "
        f"UNION ALL SELECT field, {_KEY}, count, sum, min, max FROM haina_hourly WHERE {kept}) GROUP BY ALL "
        f"ORDER BY field, hour_ns",
        [*span, declared.name],
    )
    writer.execute(f"DELETE FROM haina_hourly WHERE {kept}", [*span, declared.name])
    writer.execute("INSERT INTO haina_hourly BY NAME SELECT $1 AS measurement, * FROM moving", [declared.name])
    writer.execute("DROP TABLE moving")
    row = writer.execute(f'DELETE FROM "{declared.name}" WHERE time_ns >= ? AND time_ns < ?', span).fetchone()
    return int(row[0]) if row else 0


def _numbers(field: str, kind: str) -> str:
    if kind == "str":
        return "NULL::DOUBLE AS sum, NULL::DOUBLE AS min, NULL::DOUBLE AS max"
    return ", ".join(f'{function}("{field}")::DOUBLE AS {function}' for function in ("sum", "min", "max"))
