"""InfluxDB as a store: batches of ready line protocol through `influxdb-client`, synchronously.

The client's own batching would queue, retry for three minutes and then drop; here the journal is the queue, so a write
either returns or says what happened. InfluxDB keeps no cursor, and needs none: a point's measurement, tags and
nanosecond time are its key, so a batch written again after a lost answer changes nothing. For the same reason the
caller may halve a refused batch to find the offender although InfluxDB 1.x keeps the good lines of a batch it refuses.

What the answers mean was read off InfluxDB 2.9 and 1.6: 400 malformed, 413 too large, 422 type conflict or outside the
bucket's retention are about the points (1.x says 400 for all of them); everything else is about the store.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from collector.stores.protocol import StoreRefused, StoreUnavailable
from haina.contract import Point, lines
from haina.store_url import TOKEN_VARIABLES, StoreURL
from haina.tls import client_context

TIMEOUT_MS = 10_000  # assumed: a 5,000-point batch takes InfluxDB about 50 ms
_ABOUT_THE_POINTS = frozenset({400, 413, 422})
_MAX_REASON_CHARS = 300


class InfluxStore:
    """A bucket of InfluxDB 2, or a database of 1.8 and later 1.x, whose `/api/v2/write` takes the same lines."""

    name = "influxdb"

    def __init__(
        self, url: StoreURL, token: str | None, timeout_ms: int = TIMEOUT_MS, ca_file: Path | None = None
    ) -> None:
        self._url = url
        # Only parts of this library are annotated.
        self._client: Any = InfluxDBClient(
            # An organisation must be named; 1.x ignores it, 2.x finds "-" nowhere and says so.
            url=url.base_url,
            token=token or "",
            org=url.org or "-",
            timeout=timeout_ms,
            enable_gzip=False,
            ssl_context=client_context(ca_file),
        )
        self._api: Any = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, source: str, cursor: int, points: Sequence[Point]) -> None:
        """Write the points; see `Store.write`. Takes about 1.5 µs a point before the network."""
        if not points:
            return
        try:
            body = lines(points).encode()
        except (UnicodeEncodeError, ValueError, KeyError, TypeError) as wrong:
            raise StoreRefused(f"a point cannot become line protocol: {wrong}") from None
        try:
            self._api.write(self._url.bucket, record=body, write_precision=WritePrecision.NS)
        except ApiException as answer:
            raise self._meaning(answer) from None
        except (HTTPError, OSError) as failed:
            raise StoreUnavailable(f"InfluxDB at {self._url.base_url} does not answer ({_cause(failed)})") from None

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        self._client.close()

    def _meaning(self, answer: ApiException) -> StoreUnavailable | StoreRefused:
        status: int = answer.status or 0
        reason = _reason(answer)
        if status in _ABOUT_THE_POINTS:
            return StoreRefused(f"InfluxDB refused points ({status}): {reason}")
        where = f"InfluxDB at {self._url.base_url}"
        headers: Any = answer.headers or {}
        retry_after_s = _retry_after_s(headers.get("Retry-After"))
        if status in {401, 403}:
            return StoreUnavailable(
                f"{where} does not let this token write to {self._url.bucket!r} ({status}); set "
                f"{TOKEN_VARIABLES['influxdb']} to one that may",
                retry_after_s,
            )
        if status == 404:
            return StoreUnavailable(
                f"{where} has no bucket {self._url.bucket!r} in organisation {self._url.org!r}, or not this path "
                f"(404: {reason}); create the bucket or correct the store URL",
                retry_after_s,
            )
        return StoreUnavailable(f"{where} cannot take points now ({status}): {reason}", retry_after_s)


def _reason(answer: ApiException) -> str:
    """The server's own sentence: `message` in 2.x, `error` in 1.x, else what there is."""
    body = answer.body or answer.reason or "no reason given"
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        decoded = json.loads(text)
        text = str(decoded.get("message") or decoded.get("error") or text)
    except (ValueError, AttributeError):
        pass
    text = " ".join(text.split())
    return text if len(text) <= _MAX_REASON_CHARS else text[:_MAX_REASON_CHARS] + "…"


def _cause(failed: BaseException) -> str:
    """The innermost exception's kind: the message of a urllib3 error repeats the URL and object addresses."""
    inner = getattr(failed, "reason", None)
    return type(inner if isinstance(inner, BaseException) else failed).__name__


def _retry_after_s(value: str | None) -> float | None:
    """`Retry-After` as seconds from now: a number or an HTTP date (RFC 9110, 10.2.3); None when neither."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
