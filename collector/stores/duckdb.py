"""A `haina store` process as a store: batches become Arrow columns, one stream per measurement, in one request.

The process remembers, per source, up to which number it has written, in the same transaction as the points. A batch it
has is answered without writing; of a batch it has in part it names the part, and only the rest is sent again. So every
point is there exactly once, however a crash or a lost answer cut the batches.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa

from collector.stores.protocol import StoreRefused, StoreUnavailable
from haina.contract import Measurement, Point, measurement
from haina.contract.point import NS_PER_MS, TAGS, by_measurement
from haina.store_url import TOKEN_VARIABLES, StoreURL, is_loopback
from haina.tls import client_context

TIMEOUT_S = 30.0  # assumed: a write may wait behind a checkpoint or a retention pass
ARROW_STREAM = "application/vnd.apache.arrow.stream"

ARROW_TYPES = {"float": pa.float64(), "int": pa.int64(), "bool": pa.int8(), "str": pa.string()}
_TAG_TYPE = pa.dictionary(pa.int32(), pa.string())


class DuckDBStore:
    """The client of a `haina store`."""

    name = "duckdb"

    def __init__(
        self, url: StoreURL, token: str | None, timeout_s: float = TIMEOUT_S, ca_file: Path | None = None
    ) -> None:
        self._url = url
        headers = {"Content-Type": ARROW_STREAM}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            base_url=url.base_url,
            headers=headers,
            timeout=timeout_s,
            trust_env=not is_loopback(url.host),
            verify=client_context(ca_file),
        )

    def write(self, source: str, cursor: int, points: Sequence[Point]) -> None:
        """Write the points; see `Store.write`. Takes about 1 µs a point before the network."""
        while points:
            have = self._send(source, cursor, points)
            if have is None:
                return
            points = points[have - (cursor - len(points)) :]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _send(self, source: str, cursor: int, points: Sequence[Point]) -> int | None:
        """One request. None when the store now has the whole batch, else the number up to which it already had it."""
        try:
            body = arrow_streams(points)
        except (pa.ArrowException, ValueError, OverflowError, TypeError, KeyError) as wrong:
            raise StoreRefused(f"a point does not fit its columns: {wrong}") from None
        parameters = {"source": source, "cursor": str(cursor), "count": str(len(points))}
        where = f"the store at {self._url.base_url}"
        try:
            answer = self._client.post("/write", params=parameters, content=body)
        except httpx.TimeoutException as failed:
            raise StoreUnavailable(f"{where} took too long ({type(failed).__name__})") from None
        except httpx.HTTPError as failed:
            raise StoreUnavailable(f"{where} does not answer ({failed or type(failed).__name__})") from None
        if answer.status_code == 200:
            return None
        reason, have = _error(answer)
        if answer.status_code == 409 and have is not None and cursor - len(points) < have < cursor:
            return have
        if answer.status_code in {413, 422}:
            raise StoreRefused(f"{where} refused points ({answer.status_code}): {reason}")
        if answer.status_code == 401:
            raise StoreUnavailable(f"{where} does not accept the token (401); set {TOKEN_VARIABLES['duckdb']} to its")
        retry_after = answer.headers.get("Retry-After", "")
        raise StoreUnavailable(
            f"{where} cannot take points now ({answer.status_code}): {reason}",
            float(retry_after) if retry_after.isdigit() else None,
        )


def _error(answer: httpx.Response) -> tuple[str, int | None]:
    try:
        decoded = answer.json()
        return str(decoded["error"]), decoded.get("have")
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text[:200] or answer.reason_phrase, None


def arrow_streams(points: Sequence[Point]) -> bytes:
    """The points as Arrow IPC streams one after another, one per measurement, which each schema's metadata names."""
    sink = pa.BufferOutputStream()
    for name, group in by_measurement(points).items():
        batch = record_batch(measurement(name), group)
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def record_batch(declared: Measurement, points: Sequence[Point]) -> Any:
    """The points of one measurement as columns: time_ns, the tags, boot, seq and the fields; booleans as 0 and 1."""
    _, areas, sites, devices, times_ms, boots, seqs, values = zip(*map(msgspec.structs.astuple, points), strict=True)
    seq = np.array(seqs, dtype=np.int64)
    columns = [
        pa.array(np.array(times_ms, dtype=np.int64) * NS_PER_MS + seq % NS_PER_MS),
        *(pa.array(tags, _TAG_TYPE) for tags in (areas, sites, devices)),
        pa.array(boots, pa.int32()),
        pa.array(seq),
    ]
    for field, column in zip(declared.fields, zip(*values, strict=True), strict=True):
        if field.type == "bool":
            columns.append(pa.array(column, pa.bool_()).cast(pa.int8()))
        else:
            columns.append(pa.array(column, ARROW_TYPES[field.type]))
    schema = pa.schema(
        list(zip(("time_ns", *TAGS, "boot", "seq", *declared.field_names), (c.type for c in columns), strict=True)),
        metadata={"measurement": declared.name},
    )
    return pa.RecordBatch.from_arrays(columns, schema=schema)
