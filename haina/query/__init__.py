"""Questions to a store (`value`), in the stores' own languages (`influxql`, `sql`), and asking them (`reader`)."""

from haina.query.value import Aggregate, Filter, Query, Series

__all__ = ["Aggregate", "Filter", "Query", "Series"]
