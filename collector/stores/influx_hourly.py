"""Hourly rollups and retention in InfluxDB, from outside: the same in 1.x and 2.x, and no task inside it.

InfluxQL is asked for count, mean, min and max of every field, hour and device, and the answers go into a second bucket,
`BUCKET-hourly`, under the same measurements and tags: `heart_rate_bpm_mean` and so on; of a text there is the count. An
hour's key is its start, so rolling it up again overwrites it with the same, or with what came late meanwhile. An hour
is rolled up when a newer one has begun, by the newest point and not by a clock. Only then is the first bucket told how
long to keep its points.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from haina.contract import Measurement, measurement
from haina.contract.point import NS_PER_MS, TAGS
from haina.query.influxql import hourly_bucket, quote_name, time_range
from haina.query.reader import Reader, open_reader
from haina.store_url import BadStoreURL, StoreURL, is_loopback
from haina.tls import client_context

HOUR_MS: Final = 3_600_000
PIECE_MS: Final = 24 * HOUR_MS  # asked for at once
TIMEOUT_S: Final = 60.0  # assumed
LINES: Final = 5_000  # in one write


class RollupFailed(Exception):
    """InfluxDB did not do as it was asked; one sentence."""


class Hourly:
    """A bucket and the one beside it that holds its hours; both are InfluxDB's, or BadStoreURL is raised."""

    def __init__(self, url: str, token: str | None = None, ca_file: Path | None = None) -> None:
        self._url = parsed = StoreURL.parse(url)
        if parsed.kind != "influxdb":
            raise BadStoreURL(f"{parsed}: `haina store` rolls up by itself; name a bucket of InfluxDB")
        self.name = hourly_bucket(parsed.bucket)
        token = token or parsed.token()
        self._open_reader: Callable[[], Reader] = partial(open_reader, url, token, TIMEOUT_S, ca_file)
        self._client = httpx.Client(
            base_url=parsed.base_url,
            headers={"Authorization": _entry(token)} if token else {},
            timeout=TIMEOUT_S,
            trust_env=not is_loopback(parsed.host),
            verify=client_context(ca_file),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def prepare(self, keep_s: int) -> None:
        """Make the hours' bucket, or have it keep them for so long; 0 is for ever. Raises RollupFailed."""
        if self._is_1:
            self._query("", f"CREATE DATABASE {quote_name(self.name)}")
        elif self._bucket(self.name) is None:
            [org] = self._asked("GET", "/api/v2/orgs", params={"org": self._url.org}).json()["orgs"]
            body = {"name": self.name, "orgID": org["id"], "retentionRules": []}
            self._asked("POST", "/api/v2/buckets", json=body)
        self._keep(self.name, keep_s)

    def keep_raw(self, keep_s: int) -> None:
        """Have the bucket keep its points for so long; 0 is for ever. Raises RollupFailed."""
        self._keep(self._url.bucket, keep_s)

    def roll_up(self, late_s: int) -> int:
        """Roll up every whole hour that is not yet, and again the last `late_s` seconds of those that are; values.

        Raises RollupFailed, StoreError.
        """
        with self._open_reader() as reader:
            held = reader.describe()
        newest_ms = max((found.latest_ms for found in held.values()), default=0)
        end_ms = newest_ms - newest_ms % HOUR_MS
        written = 0
        for name, found in held.items():
            declared = measurement(name)
            start_ms = max(found.first_ms, self._rolled_ms(declared) - late_s * 1000)
            start_ms -= start_ms % HOUR_MS
            for piece_ms in range(start_ms, end_ms, PIECE_MS):
                lines = list(self._hours(declared, piece_ms, min(piece_ms + PIECE_MS, end_ms)))
                for first in range(0, len(lines), LINES):
                    self._write(lines[first : first + LINES])
                written += len(lines)
        return written

    def _rolled_ms(self, declared: Measurement) -> int:
        """When the newest hour of a measurement begins; 0 when there is none."""
        # Not `last(/_count$/)`: of several fields at once it answers with the start of the range as time.
        statement = f"SELECT /_count$/ FROM {quote_name(declared.name)} ORDER BY time DESC LIMIT 1"
        return max((int(line["values"][0][0]) // NS_PER_MS for line in self._query(self.name, statement)), default=0)

    def _hours(self, declared: Measurement, start_ms: int, end_ms: int) -> Iterator[str]:
        wanted = [
            f'{function}({quote_name(field.name)}) AS "{field.name}_{function}"'
            for field in declared.fields
            for function in (("count",) if field.type == "str" else ("count", "mean", "min", "max"))
        ]
        statement = (
            f"SELECT {', '.join(wanted)} FROM {quote_name(declared.name)} WHERE {time_range(start_ms, end_ms)} "
            f"GROUP BY time(1h), {', '.join(map(quote_name, TAGS))} fill(none)"
        )
        for line in self._query(self._url.bucket, statement):
            tags = ",".join(f"{tag}={line['tags'][tag]}" for tag in sorted(TAGS))
            for time_ns, *values in line["values"]:
                fields = ",".join(
                    f"{name}={value}{'i' if name.endswith('_count') else ''}"
                    for name, value in zip(line["columns"][1:], values, strict=True)
                    if value is not None
                )
                if fields:
                    yield f"{declared.name},{tags} {fields} {time_ns}"

    def _write(self, lines: list[str]) -> None:
        parameters = {"bucket": self.name, "org": self._url.org or "-", "precision": "ns"}
        self._asked("POST", "/api/v2/write", params=parameters, content="\n".join(lines).encode())

    def _keep(self, name: str, keep_s: int) -> None:
        if self._is_1:
            duration = f"{keep_s}s" if keep_s else "INF"
            self._query("", f"ALTER RETENTION POLICY autogen ON {quote_name(name)} DURATION {duration}")
            return
        bucket = self._bucket(name)
        if bucket is None:
            raise RollupFailed(f"InfluxDB has no bucket {name!r} that this token may see")
        rules = [{"type": "expire", "everySeconds": keep_s}]
        self._asked("PATCH", f"/api/v2/buckets/{bucket['id']}", json={"retentionRules": rules})

    def _bucket(self, name: str) -> dict[str, Any] | None:
        found = self._asked("GET", "/api/v2/buckets", params={"name": name, "org": self._url.org}, may_lack=True)
        buckets = found.json().get("buckets", [])
        return buckets[0] if buckets else None

    @property
    def _is_1(self) -> bool:
        version: str = self._asked("GET", "/ping").headers.get("X-Influxdb-Version", "")
        return version.lstrip("v").startswith("1")

    def _query(self, database: str, statement: str) -> list[dict[str, Any]]:
        parameters = {"db": database, "epoch": "ns"}
        [result] = self._asked("POST", "/query", params=parameters, data={"q": statement}).json()["results"]
        if "error" in result:
            raise RollupFailed(f"InfluxDB refused: {result['error']}")
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def _asked(self, method: str, path: str, *, may_lack: bool = False, **more: Any) -> httpx.Response:
        where = f"InfluxDB at {self._url.base_url}"
        try:
            answer = self._client.request(method, path, **more)
        except httpx.HTTPError as failed:
            raise RollupFailed(f"{where} does not answer ({failed or type(failed).__name__})") from None
        if answer.is_success or (may_lack and answer.status_code == 404):
            return answer
        raise RollupFailed(f"{where} did not do it ({answer.status_code}): {' '.join(answer.text.split())[:300]}")


def _entry(token: str) -> str:
    return f"Basic {b64encode(token.encode()).decode()}" if ":" in token else f"Token {token}"
