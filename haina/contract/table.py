"""A measurement as a table: the columns a relational store keeps its points in.

`time_ns` is nanoseconds since 1970, with the sequence number in the digits below a millisecond (`point.time_ns`);
the tags, `boot` and `seq` follow, then the fields. Booleans are 0 and 1, as in every store of Haina.
"""

from haina.contract.measurement import Measurement
from haina.contract.point import TAGS

COLUMN_TYPES = {"float": "DOUBLE", "int": "BIGINT", "bool": "TINYINT", "str": "VARCHAR"}
ALWAYS_THERE = ("time_ns", *TAGS, "boot", "seq")


def columns_of(declared: Measurement) -> dict[str, str]:
    """The column names and SQL types of a measurement's table, in order."""
    return {
        "time_ns": "BIGINT",
        **dict.fromkeys(TAGS, "VARCHAR"),
        "boot": "INTEGER",
        "seq": "BIGINT",
        **{field.name: COLUMN_TYPES[field.type] for field in declared.fields},
    }


def create_table(declared: Measurement) -> str:
    """The SQL that creates a measurement's table."""
    columns = ", ".join(
        f'"{name}" {kind}{" NOT NULL" if name in ALWAYS_THERE else ""}' for name, kind in columns_of(declared).items()
    )
    return f'CREATE TABLE "{declared.name}" ({columns})'
