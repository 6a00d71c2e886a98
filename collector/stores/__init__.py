"""Where points end up: one `Store` (`protocol`) per kind of database, chosen by its URL.

`duckdb` hands batches to a `haina store` process, `influx` to InfluxDB, `null` to nobody. None of them queues or
retries: that is the shipper's work, and the journal is its queue. They only say, for each batch, whether it is
written, whether the store cannot take anything now, or whether something in the batch will never be taken.
"""

from pathlib import Path

from collector.stores.protocol import Store, StoreRefused, StoreUnavailable
from haina.store_url import BadStoreURL, StoreURL

__all__ = ["BadStoreURL", "Store", "StoreRefused", "StoreUnavailable", "open_store"]


def open_store(url: str, token: str | None = None, ca_file: Path | None = None) -> Store:
    """The store behind a URL; nothing is sent before the first write.

    The token comes from the environment (`haina.store_url`) unless given; `ca_file` are the authorities to trust over
    HTTPS, None the system's. Raises BadStoreURL, and `haina.tls.BadCertificate` for the file.
    """
    parsed = StoreURL.parse(url)
    token = token or parsed.token()
    if parsed.kind == "duckdb":
        from collector.stores.duckdb import DuckDBStore  # noqa: PLC0415  pyarrow and httpx load only where used

        return DuckDBStore(parsed, token, ca_file=ca_file)
    if parsed.kind == "influxdb":
        from collector.stores.influx import InfluxStore  # noqa: PLC0415  in line with the others

        return InfluxStore(parsed, token, ca_file=ca_file)
    from collector.stores.null import NullStore  # noqa: PLC0415  in line with the others

    return NullStore()
