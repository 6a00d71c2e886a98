"""Which store: `duckdb+http://HOST:PORT`, `influxdb+http://HOST:PORT/BUCKET?org=ORG` (or `+https`), or `null:`.

A store URL says where, never who: a token in it would end up in logs and shell histories. Tokens come from the
environment, `HAINA_STORE_TOKEN` for `haina store` and `HAINA_INFLUX_TOKEN` for InfluxDB. So it is with the collector,
whose status is no store but is asked in the same way: `HAINA_COLLECTOR_TOKEN`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from haina.listen import is_host

DEFAULT_STORE = "duckdb+http://127.0.0.1:8790"
TOKEN_VARIABLES = {"duckdb": "HAINA_STORE_TOKEN", "influxdb": "HAINA_INFLUX_TOKEN"}
COLLECTOR_TOKEN = "HAINA_COLLECTOR_TOKEN"

_FORMS = "duckdb+http://HOST:PORT, influxdb+http://HOST:PORT/BUCKET?org=ORG or null:"


class BadStoreURL(ValueError):
    """The text is not a store URL, or what goes with it is no token; one sentence that never repeats a secret."""


@dataclass(frozen=True, slots=True)
class StoreURL:
    """A parsed store URL. `base_url` is what an HTTP client wants; `bucket` and `org` are InfluxDB's."""

    kind: Literal["duckdb", "influxdb", "null"]
    base_url: str = ""
    bucket: str = ""
    org: str = ""

    def __str__(self) -> str:
        if self.kind == "null":
            return "null:"
        path = f"/{self.bucket}" if self.bucket else ""
        return f"{self.kind}+{self.base_url}{path}" + (f"?org={self.org}" if self.org else "")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @classmethod
    def parse(cls, text: str) -> "StoreURL":
        """Parse and check. Raises BadStoreURL with a sentence that never repeats a password."""
        if text in {"null:", "null"}:
            return cls("null")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:  # whose message may quote a password
            raise BadStoreURL(f"a store URL is {_FORMS}") from None
        if parts.username is not None or parts.password is not None or "token" in parse_qs(parts.query):
            raise BadStoreURL(
                "a store URL holds no user, password or token; set "
                f"{' or '.join(TOKEN_VARIABLES.values())} in the environment instead"
            )
        kind, _, scheme = parts.scheme.partition("+")
        host = parts.hostname or ""
        if kind not in TOKEN_VARIABLES or scheme not in {"http", "https"} or not is_host(host):
            raise BadStoreURL(f"a store URL is {_FORMS}; got {text[:200]!r}")
        host = f"[{host}]" if ":" in host else host
        base_url = f"{scheme}://{host}" + (f":{port}" if port is not None else "")
        path = unquote(parts.path).strip("/")
        if kind == "duckdb":
            if path or parts.query:
                raise BadStoreURL(f"a duckdb store URL ends after the port; got {text[:200]!r}")
            return cls("duckdb", base_url)
        if not path or "/" in path:
            raise BadStoreURL(f"an influxdb store URL names one bucket, as in {_FORMS}; got {text[:200]!r}")
        return cls("influxdb", base_url, path, parse_qs(parts.query).get("org", [""])[0])

    def is_same_as(self, other: "StoreURL") -> bool:
        """Whether both mean one store, however they spell this machine, the usual port or no organisation."""
        return self._place() == other._place() and (self.org == other.org or not (self.org and other.org))

    def _place(self) -> tuple[str, str, int, str]:
        parts = urlsplit(self.base_url)
        host = "localhost" if is_loopback(self.host) else self.host
        return self.kind, host, parts.port or (443 if parts.scheme == "https" else 80), self.bucket

    def token(self) -> str | None:
        """The token the environment holds for this kind of store; None when it holds none. Raises BadStoreURL."""
        return _token(TOKEN_VARIABLES.get(self.kind, ""))


def all_different(urls: Sequence[str]) -> Sequence[str]:
    """The URLs themselves, if each means another store. Raises BadStoreURL."""
    for first, second in combinations(urls, 2):
        if StoreURL.parse(first).is_same_as(StoreURL.parse(second)):
            raise BadStoreURL(f"--store {second} is the same store as --store {first}; give it once")
    return urls


def collector_token() -> str | None:
    """The token the environment holds for the collector's status; None when it holds none. Raises BadStoreURL."""
    return _token(COLLECTOR_TOKEN)


def collector_entry() -> dict[str, str]:
    """The headers by which one enters there. Raises BadStoreURL."""
    token = collector_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _token(variable: str) -> str | None:
    """A variable's token, without what a file or an editor put around it.

    A header can carry no other characters than printable ones, and HTTP clients quote in full what they cannot send.
    """
    token = os.environ.get(variable, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise BadStoreURL(f"{variable} holds characters that cannot be sent; take letters and digits")
    return token or None


def is_web_address(text: str) -> bool:
    """Whether it is ``http://host[:port]`` or ``https://…``, without a user or a password."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and is_host(parts.hostname or "") and "@" not in parts.netloc


def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
