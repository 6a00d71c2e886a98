"""InfluxDB as a store: batches of ready line protocol, one request each, over one connection that stays open.

`influxdb-client` could do it; but its own batching would queue, retry for three minutes and then drop, where here the
journal is the queue, and a synchronous write through its layers costs four times the CPU of the standard library's
`http.client`: half of what a quiet stream costs the collector. So a write either returns or says what happened.
InfluxDB keeps no cursor, and needs none: a point's measurement, tags and nanosecond time are its key, so a batch
written again after a lost answer changes nothing. For the same reason the caller may halve a refused batch to find the
offender although InfluxDB 1.x keeps the good lines of a batch it refuses.

What the answers mean was read off InfluxDB 2.9 and 1.6: 204 is written; 400 malformed, 413 too large, 422 type conflict
or outside the bucket's retention are about the points (1.x says 400 for all of them); everything else is about the
store. A proxy, or a server that expects TLS, says 400 and 413 too: only InfluxDB's own answer is about the points.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from collector.stores.protocol import StoreRefused, StoreUnavailable
from haina.contract import Point, lines
from haina.store_url import TOKEN_VARIABLES, StoreURL
from haina.tls import client_context

TIMEOUT_S = 10.0  # assumed: a 5,000-point batch takes InfluxDB about 50 ms
PART_POINTS = 1_000
"""A body is written in parts, each made and sent while it is in the processor's cache: 7 % less for a line."""
_ABOUT_THE_POINTS = frozenset({400, 413, 422})
_CODES = frozenset({"invalid", "request too large", "unprocessable entity"})
"""What InfluxDB 2 and its cloud call these three in the JSON of their error (their API's documentation)."""
_MAX_REASON_CHARS = 300
_MAX_ANSWER_BYTES = 64 * 1024


class InfluxStore:
    """A bucket of InfluxDB 2, or a database of 1.8 and later 1.x, whose `/api/v2/write` takes the same lines."""

    name = "influxdb"

    def __init__(
        self, url: StoreURL, token: str | None, timeout_s: float = TIMEOUT_S, ca_file: Path | None = None
    ) -> None:
        self._url = url
        where = urlsplit(url.base_url)
        host = where.hostname or ""
        self._connection = (
            HTTPSConnection(host, where.port, timeout=timeout_s, context=client_context(ca_file))
            if where.scheme == "https"
            else HTTPConnection(host, where.port, timeout=timeout_s)
        )
        # An organisation must be named; 1.x ignores it, 2.x finds "-" nowhere and says so.
        self._path = "/api/v2/write?" + urlencode({"org": url.org or "-", "bucket": url.bucket, "precision": "ns"})
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if token:
            self._headers["Authorization"] = f"Token {token}"

    def write(self, source: str, cursor: int, points: Sequence[Point]) -> None:
        """Write the points; see `Store.write`. Takes about 1 µs a point before the network."""
        if not points:
            return
        try:
            body = [f"{lines(points[at : at + PART_POINTS])}\n".encode() for at in range(0, len(points), PART_POINTS)]
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            raise StoreRefused(f"a point cannot become line protocol: {wrong}") from None
        status, headers, answer = self._post(body)
        if status != 204:
            raise self._meaning(status, headers, answer, len(points))

    def _post(self, body: list[bytes]) -> tuple[int, HTTPMessage, bytes]:
        """Status, headers and body of the answer. A connection that InfluxDB closed while idle is opened anew, once."""
        connection = self._connection
        headers = {**self._headers, "Content-Length": str(sum(map(len, body)))}
        while True:
            is_new = connection.sock is None
            try:
                connection.request("POST", self._path, body, headers)
                answer = connection.getresponse()
                said = answer.read(_MAX_ANSWER_BYTES) or answer.reason.encode()
            except (HTTPException, OSError) as failed:
                connection.close()
                if not is_new and isinstance(failed, ConnectionError):
                    continue
                cause = type(failed).__name__  # whose message may quote what it met
                raise StoreUnavailable(f"InfluxDB at {self._url.base_url} does not answer ({cause})") from None
            if not answer.isclosed():
                connection.close()
            return answer.status, answer.headers, said

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _meaning(
        self, status: int, headers: HTTPMessage, answer: bytes, points: int
    ) -> StoreUnavailable | StoreRefused:
        reason = _reason(answer)
        if status in _ABOUT_THE_POINTS:
            # A proxy that takes no body of this size may take half of it; what it says of a single point is its own.
            if _is_influxdbs(headers, answer) or (status == 413 and points > 1):
                return StoreRefused(f"InfluxDB refused points ({status}): {reason}")
            return StoreUnavailable(
                f"what answers at {self._url.base_url} is not InfluxDB itself ({status}: {reason}); correct the store "
                "URL (http or https, host, port), or the proxy before InfluxDB"
            )
        where = f"InfluxDB at {self._url.base_url}"
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
        if status < 400:
            return StoreUnavailable(f"what answers at {self._url.base_url} is no InfluxDB ({status}, not 204)")
        return StoreUnavailable(f"{where} cannot take points now ({status}): {reason}", retry_after_s)


def _is_influxdbs(headers: HTTPMessage, answer: bytes) -> bool:
    """Whether an error is InfluxDB's own: 1.x and 2.x say their version, the cloud a code, and 3 which lines."""
    if "X-Influxdb-Version" in headers:
        return True
    try:
        said = json.loads(answer)
    except ValueError:
        return False
    return isinstance(said, dict) and (
        (said.get("code") in _CODES and "message" in said) or ("error" in said and "data" in said)
    )


def _reason(answer: bytes) -> str:
    """The server's own sentence: `message` in 2.x, `error` in 1.x, else what there is."""
    text = answer.decode("utf-8", "replace") or "no reason given"
    try:
        decoded = json.loads(text)
        text = str(decoded.get("message") or decoded.get("error") or text)
    except (ValueError, AttributeError):
        pass
    text = " ".join(text.split())
    return text if len(text) <= _MAX_REASON_CHARS else text[:_MAX_REASON_CHARS] + "…"


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
