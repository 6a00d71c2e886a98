"""Asking a store: one `Reader`, whatever answers.

A reader turns queries into one HTTP request and the answer into series, for `haina store` in JSON and for InfluxDB in
InfluxQL (`/query?db=BUCKET`, which 1.x has and 2.x answers too). What is sent and how it is understood is the same for
threads (`run`) and for an event loop (`run_async`); a reader may be used from many threads at once.

    StoreError
    ├── StoreUnreachable    nobody answers, or it does not let us in: try again later, mend the address or token
    └── QueryRefused        it answered, and will not answer this

Raw points come as Arrow batches (`batches`), which the audit counts without touching each, or one by one (`points`).
"""

import contextlib
import io
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec

from haina.contract import MEASUREMENTS, Measurement, Point, measurement
from haina.contract.measurement import LAST_MS
from haina.contract.point import NS_PER_MS, TAGS
from haina.query.influxql import compile_influxql, compile_with_hours, hourly_bucket, quote_name, quote_text, time_range
from haina.query.value import HOUR_S, Query, Series, fits_rollups
from haina.query.wire import Answers, Description, Held, Question, Whom
from haina.store_url import TOKEN_VARIABLES, BadStoreURL, StoreURL, is_loopback
from haina.tls import client_context

TIMEOUT_S = 20.0  # assumed; the stores' own limits on a query are shorter
CHUNK_ROWS = 10_000  # of raw points in one of InfluxDB's chunks: its own default

DELETES = 500  # in one request to InfluxDB

ROLLED_KNOWN_S = 600.0
"""For so long it is remembered from when on InfluxDB has raw points: retention takes many hours of them at once."""

KEY_COLUMNS = ("time_ns", *TAGS, "boot", "seq")


class StoreError(Exception):
    """A question to a store failed; one sentence."""


class StoreUnreachable(StoreError):
    """Nobody answers at the store's address, or it does not let us in."""


class QueryRefused(StoreError):
    """The store answered that it will not answer: unknown, too long, too much."""


def open_reader(
    store_url: str, token: str | None = None, timeout_s: float = TIMEOUT_S, ca_file: Path | None = None
) -> "Reader":
    """A reader of the store behind a URL; nothing is sent yet.

    The token comes from the environment (`haina.store_url`) unless given; `ca_file` are the authorities to trust over
    HTTPS, None the system's. Raises BadStoreURL, and `haina.tls.BadCertificate` for the file.
    """
    url = StoreURL.parse(store_url)
    token = token or url.token()
    if url.kind == "duckdb":
        return Reader(url, _DuckDB(), {"Authorization": f"Bearer {token}"} if token else {}, timeout_s, ca_file)
    if url.kind == "influxdb":
        entry = {"Authorization": _entry(token)} if token else {}
        return Reader(url, _InfluxDB(url.bucket, url.org), entry, timeout_s, ca_file)
    raise BadStoreURL("null: keeps nothing, so there is nothing to read")


def _entry(token: str) -> str:
    """A token enters as one; `user:password`, an InfluxDB 1-style account that may only read, by basic auth."""
    return f"Basic {b64encode(token.encode()).decode()}" if ":" in token else f"Token {token}"


class Reader:
    """An open way to ask one store. Close it, or use it as a context manager (`async with` closes both halves)."""

    def __init__(
        self,
        url: StoreURL,
        language: "_Language",
        headers: dict[str, str],
        timeout_s: float,
        ca_file: Path | None = None,
    ) -> None:
        self.url = str(url)
        self._kind = url.kind
        self._where = url.base_url
        self._language = language
        # A proxy from the environment is meant for other hosts than this one.
        self._options: dict[str, Any] = {
            "base_url": url.base_url,
            "headers": headers,
            "timeout": timeout_s,
            "trust_env": not is_loopback(url.host),
            "verify": client_context(ca_file),
        }
        self._client = httpx.Client(**self._options)
        self._async_client: httpx.AsyncClient | None = None

    def run(self, query: Query, start_ms: int, end_ms: int) -> list[Series]:
        """The query's series over `start_ms` … `end_ms` (exclusive), by tags. Raises StoreUnreachable, QueryRefused."""
        return _only(self.run_many([query], start_ms, end_ms))

    def run_many(self, queries: Sequence[Query], start_ms: int, end_ms: int) -> list["list[Series] | QueryRefused"]:
        """An answer per query, in order and from one request. Raises StoreUnreachable.

        A refused query does not spoil the others (InfluxDB, though, leaves out those after it and says so).
        """
        if not queries:
            return []
        with self._failures():
            if asked := self._language.ask_rolled(queries, start_ms):
                self._language.understand_rolled([self._client.request(**each) for each in asked])
            answer = self._client.request(**self._language.ask(queries, start_ms, end_ms))
            return self._language.understand(self._accepted(answer), queries, start_ms)

    async def run_async(self, query: Query, start_ms: int, end_ms: int) -> list[Series]:
        """`run` for an event loop."""
        return _only(await self.run_many_async([query], start_ms, end_ms))

    async def run_many_async(
        self, queries: Sequence[Query], start_ms: int, end_ms: int
    ) -> list["list[Series] | QueryRefused"]:
        """`run_many` for an event loop."""
        if not queries:
            return []
        if self._async_client is None:
            self._async_client = httpx.AsyncClient(**self._options)
        with self._failures():
            if asked := self._language.ask_rolled(queries, start_ms):
                self._language.understand_rolled([await self._async_client.request(**each) for each in asked])
            answer = await self._async_client.request(**self._language.ask(queries, start_ms, end_ms))
            return self._language.understand(self._accepted(answer), queries, start_ms)

    def batches(
        self, name: str, start_ms: int, end_ms: int, boots: range | None = None, /, **tags: str
    ) -> Iterator[Any]:
        """Raw points of a measurement as pyarrow RecordBatches, some ten thousand at a time and in no promised order.

        Columns: `time_ns`, the tags, `boot`, `seq` and the fields, null where absent, booleans as 0 and 1. `boots`
        chooses those of a run, `tags` one area, site or device, or those with one text in a field; the store does
        so. Raises StoreUnreachable and QueryRefused, also on the way.
        """
        declared = _declared(name)
        request = self._language.ask_points(declared, start_ms, end_ms, boots, tags)
        with self._failures(), self._client.stream(**request, timeout=None) as answer:
            if answer.status_code != 200:
                answer.read()
            yield from self._language.understand_points(self._accepted(answer), declared)

    def points(self, name: str, start_ms: int, end_ms: int, **tags: str) -> Iterator[Point]:
        """Raw points of a measurement one by one; see `batches`."""
        declared = _declared(name)
        names = (*KEY_COLUMNS, *declared.field_names)
        booleans = {field.name for field in declared.fields if field.type == "bool"}
        for batch in self.batches(name, start_ms, end_ms, **tags):
            columns = [
                batch.column(column).cast("bool").to_pylist()
                if column in booleans
                else batch.column(column).to_pylist()
                for column in names
            ]
            for time_ns, area, site, device, boot, seq, *values in zip(*columns, strict=True):
                yield Point(name, area, site, device, time_ns // NS_PER_MS, boot, seq, tuple(values))

    def describe(self) -> dict[str, Held]:
        """What the store holds, by measurement: from when to when, and how many points if it can tell cheaply."""
        request = self._language.ask_description()
        with self._failures():
            return self._language.understand_description(self._accepted(self._client.request(**request)))

    def term_s(self) -> int:
        """For how long a bucket of InfluxDB keeps its points, in seconds; 0 when for ever, or when it may not be known.

        What `haina store` rolled up says `describe`. Raises StoreUnreachable.
        """
        with self._failures():
            for request in self._language.ask_term():
                answer = self._client.request(**request)
                if answer.status_code == 200 and (term_s := self._language.understand_term(answer)):
                    return term_s
        return 0

    def rollups(self, **tags: str) -> Iterator[Any]:
        """Hourly rollups of an area, site or device as pyarrow RecordBatches; InfluxDB keeps its own."""
        request = self._language.ask_rollups(tags)
        if request is None:
            return
        with self._failures(), self._client.stream(**request, timeout=None) as answer:
            if answer.status_code != 200:
                answer.read()
            yield from _arrow_batches(self._accepted(answer))

    def forget(self, site: str, area: str | None = None) -> int:
        """Have the store forget a site, raw points and rollups, and points that name it; how many there were.

        The one thing a reader takes away. Takes as long as it takes. Raises StoreUnreachable and QueryRefused.
        """
        with self._failures():
            forgotten = 0
            if (question := self._language.ask_who_names(site)) is not None:
                answer = self._accepted(self._client.request(**question, timeout=None))
                forgotten, requests = self._language.ask_to_forget_named(answer)
                for request in requests:
                    self._language.understand_forgotten(self._accepted(self._client.request(**request, timeout=None)))
            for request in self._language.ask_to_forget(site, area):
                answer = self._accepted(self._client.request(**request, timeout=None))
                forgotten += self._language.understand_forgotten(answer)
            return forgotten

    def latest_ms(self) -> int | None:
        """The newest event time of all, in Unix milliseconds; None when the store is empty."""
        return max((held.latest_ms for held in self.describe().values()), default=None)

    def close(self) -> None:
        """Close the connections that threads used."""
        self._client.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self._client.close()
        if self._async_client is not None:
            await self._async_client.aclose()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    async def __aenter__(self) -> "Reader":
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.aclose()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as failed:
            raise StoreUnreachable(f"the store at {self._where} took too long ({type(failed).__name__})") from None
        except httpx.HTTPError as failed:
            reason = str(failed) or type(failed).__name__
            raise StoreUnreachable(f"the store at {self._where} does not answer ({reason})") from None
        except (msgspec.DecodeError, ValueError, KeyError, IndexError, TypeError, OSError) as strange:
            raise StoreUnreachable(
                f"what answers at {self._where} is not the store it should be ({type(strange).__name__})"
            ) from None

    def _accepted(self, answer: httpx.Response) -> httpx.Response:
        """The answer if it is one. Raises StoreUnreachable or QueryRefused by its status."""
        status = answer.status_code
        if status == 200:
            return answer
        reason = _reason(answer)
        if status in {401, 403}:
            raise StoreUnreachable(
                f"the store at {self._where} does not accept the token ({status}); "
                f"set {TOKEN_VARIABLES[self._kind]} to one that may read"
            )
        if status in {400, 413, 422}:
            raise QueryRefused(f"the store refused ({status}): {reason}")
        if status == 404:
            raise StoreUnreachable(
                f"the store at {self._where} does not have this path, bucket or database (404): {reason}"
            )
        raise StoreUnreachable(f"the store at {self._where} cannot answer now ({status}): {reason}")


_Request = dict[str, Any]  # keyword arguments of httpx's `request`


class _Language(Protocol):
    """How one kind of store is asked, and how its answers are understood."""

    def ask_rolled(self, queries: Sequence[Query], start_ms: int) -> list[_Request]: ...

    def understand_rolled(self, answers: Sequence[httpx.Response]) -> None: ...

    def ask(self, queries: Sequence[Query], start_ms: int, end_ms: int) -> _Request: ...

    def understand(
        self, answer: httpx.Response, queries: Sequence[Query], start_ms: int
    ) -> list[list[Series] | QueryRefused]: ...

    def ask_points(
        self, declared: Measurement, start_ms: int, end_ms: int, boots: range | None, tags: dict[str, str]
    ) -> _Request: ...

    def understand_points(self, answer: httpx.Response, declared: Measurement) -> Iterator[Any]: ...

    def ask_description(self) -> _Request: ...

    def understand_description(self, answer: httpx.Response) -> dict[str, Held]: ...

    def ask_term(self) -> list[_Request]: ...

    def understand_term(self, answer: httpx.Response) -> int: ...

    def ask_rollups(self, tags: dict[str, str]) -> _Request | None: ...

    def ask_to_forget(self, site: str, area: str | None) -> list[_Request]: ...

    def understand_forgotten(self, answer: httpx.Response) -> int: ...

    def ask_who_names(self, site: str) -> _Request | None: ...

    def ask_to_forget_named(self, answer: httpx.Response) -> tuple[int, list[_Request]]: ...


class _DuckDB:
    """`haina store`: queries and answers as JSON values, raw points as an Arrow stream."""

    def ask_rolled(self, queries: Sequence[Query], start_ms: int) -> list[_Request]:
        return []  # it knows itself what it rolled up

    def understand_rolled(self, answers: Sequence[httpx.Response]) -> None: ...

    def ask(self, queries: Sequence[Query], start_ms: int, end_ms: int) -> _Request:
        question = Question([msgspec.Raw(msgspec.json.encode(query)) for query in queries], start_ms, end_ms)
        return {
            "method": "POST",
            "url": "/query",
            "content": msgspec.json.encode(question),
            "headers": {"Content-Type": "application/json"},
        }

    def understand(
        self, answer: httpx.Response, queries: Sequence[Query], start_ms: int
    ) -> list[list[Series] | QueryRefused]:
        understood: list[list[Series] | QueryRefused] = []
        answers = msgspec.json.decode(answer.content, type=Answers).answers
        for query, found in zip(queries, answers, strict=True):
            if found.error is not None:
                understood.append(QueryRefused(f"the store refused: {found.error}"))
                continue
            kind = _KINDS[query.answer_type]
            understood.append(
                [Series(line.tags, line.times_ms, [kind(value) for value in line.values]) for line in found.series]
            )
        return understood

    def ask_points(
        self, declared: Measurement, start_ms: int, end_ms: int, boots: range | None, tags: dict[str, str]
    ) -> _Request:
        parameters = {"measurement": declared.name, "start_ms": start_ms, "end_ms": end_ms, **tags}
        if boots:
            parameters |= {"first_boot": boots[0], "last_boot": boots[-1]}
        return {"method": "GET", "url": "/points", "params": parameters}

    def understand_points(self, answer: httpx.Response, declared: Measurement) -> Iterator[Any]:
        return _arrow_batches(answer)

    def ask_term(self) -> list[_Request]:
        return []

    def understand_term(self, answer: httpx.Response) -> int:
        return 0

    def ask_rollups(self, tags: dict[str, str]) -> _Request | None:
        return {"method": "GET", "url": "/hourly", "params": tags}

    def ask_to_forget(self, site: str, area: str | None) -> list[_Request]:
        return [
            {
                "method": "POST",
                "url": "/forget",
                "content": msgspec.json.encode(Whom(site, area)),
                "headers": {"Content-Type": "application/json"},
            }
        ]

    def understand_forgotten(self, answer: httpx.Response) -> int:
        return int(answer.json()["forgotten"])

    def ask_who_names(self, site: str) -> _Request | None:
        return None  # it finds them itself

    def ask_to_forget_named(self, answer: httpx.Response) -> tuple[int, list[_Request]]:
        return 0, []

    def ask_description(self) -> _Request:
        return {"method": "GET", "url": "/describe"}

    def understand_description(self, answer: httpx.Response) -> dict[str, Held]:
        return msgspec.json.decode(answer.content, type=Description).measurements


def _arrow_batches(answer: httpx.Response) -> Iterator[Any]:
    """The batches of an Arrow IPC stream. Raises StoreUnreachable when it ends before its end."""
    import pyarrow as pa  # noqa: PLC0415  only raw points need it

    incoming = _Incoming(answer.iter_bytes())
    with pa.ipc.open_stream(pa.PythonFile(incoming, mode="r")) as stream:
        yield from stream
    if not incoming.read_to_end().endswith(_END_OF_ARROW_STREAM):
        raise StoreUnreachable("the store cut its points short; ask again")


_END_OF_ARROW_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow columnar format 1.5, "IPC streaming format"


class _Incoming(io.RawIOBase):
    """An answer's body as a file to read from."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""
        self._last = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = [self._rest]
        length = len(self._rest)
        while size < 0 or length < size:
            part = next(self._parts, b"")
            if not part:
                break
            found.append(part)
            length += len(part)
        whole = b"".join(found)
        if size < 0:
            size = length
        self._rest = whole[size:]
        if size:
            self._last = (self._last + whole[max(0, size - 8) : size])[-8:]
        return whole[:size]

    def read_to_end(self) -> bytes:
        """Read what is left; the last 8 bytes of all that was read."""
        self.read()
        return self._last


class _InfluxSeries(msgspec.Struct):
    columns: list[str]
    values: list[list[Any]] = []
    tags: dict[str, str] = {}
    name: str = ""


class _InfluxResult(msgspec.Struct):
    series: list[_InfluxSeries] = []
    error: str | None = None


class _InfluxAnswer(msgspec.Struct):
    results: list[_InfluxResult] = []
    error: str | None = None


_INFLUX_ANSWER = msgspec.json.Decoder(_InfluxAnswer)
_HOUR_MS = HOUR_S * 1000
_GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")  # as 9600h0m0s; a bucket's term is whole hours at least


class _InfluxDB:
    """InfluxDB 1 and 2: InfluxQL, one statement per query, and JSON that prints 12.0 as 12.

    Where retention has taken raw points, and `haina rollup` had made hours of them before, questions that fit are
    answered from both.
    """

    def __init__(self, bucket: str, org: str) -> None:
        self._bucket, self._org = bucket, org
        self._hours = hourly_bucket(bucket)
        self._raw_from_ms: dict[str, int] = {}  # by measurement, where there are older hours: from which hour on
        self._rolled_until_s = float("-inf")

    def ask_rolled(self, queries: Sequence[Query], start_ms: int) -> list[_Request]:
        if time.monotonic() < self._rolled_until_s or not any(map(fits_rollups, queries)):
            return []
        firsts = [f'SELECT first("boot") FROM {quote_name(name)}' for name in MEASUREMENTS]
        hours = [f"SELECT /_count$/ FROM {quote_name(name)} LIMIT 1" for name in MEASUREMENTS]
        return [self._statements(firsts), self._statements(hours, db=self._hours)]

    def understand_rolled(self, answers: Sequence[httpx.Response]) -> None:
        self._rolled_until_s = time.monotonic() + ROLLED_KNOWN_S
        self._raw_from_ms = {}
        if any(answer.status_code != 200 for answer in answers):
            return  # there are no hours, or they are not for us
        points, hours = (_INFLUX_ANSWER.decode(answer.content).results for answer in answers)
        for name, point, hour in zip(MEASUREMENTS, points, hours, strict=False):  # as far as it was not refused
            if hour.series:
                first_ms = point.series[0].values[0][0] if point.series else LAST_MS
                if hour.series[0].values[0][0] < first_ms // _HOUR_MS * _HOUR_MS:
                    self._raw_from_ms[name] = -(-first_ms // _HOUR_MS) * _HOUR_MS  # the next whole hour

    def ask(self, queries: Sequence[Query], start_ms: int, end_ms: int) -> _Request:
        return self._statements([self._statement(query, start_ms, end_ms) for query in queries])

    def _statement(self, query: Query, start_ms: int, end_ms: int) -> str:
        raw_from_ms = self._raw_from_ms.get(query.measurement, 0)
        if start_ms < raw_from_ms and fits_rollups(query):
            return compile_with_hours(query, start_ms, end_ms, raw_from_ms, self._hours)
        return compile_influxql(query, time_range=time_range(start_ms, end_ms))

    def understand(
        self, answer: httpx.Response, queries: Sequence[Query], start_ms: int
    ) -> list[list[Series] | QueryRefused]:
        results = _INFLUX_ANSWER.decode(answer.content).results
        understood: list[list[Series] | QueryRefused] = []
        for query, result in zip(queries, results, strict=True):
            if result.error is not None:
                understood.append(QueryRefused(f"the store refused: {result.error}"))
                continue
            kind = _KINDS[query.answer_type]
            found = []
            for line in result.series:
                rows = [(time_ms, kind(value)) for time_ms, value in line.values if value is not None]
                # Without windows a selector answers with its point's time; the value is named by the range's start.
                times_ms = [start_ms] if query.window_s is None else [time_ms for time_ms, _ in rows]
                found.append(Series(line.tags, times_ms, [value for _, value in rows]))
            understood.append(sorted(found, key=lambda line: [line.tags[tag] for tag in query.group]))
        return understood

    def ask_points(
        self, declared: Measurement, start_ms: int, end_ms: int, boots: range | None, tags: dict[str, str]
    ) -> _Request:
        columns = ", ".join(quote_name(name) for name in ("boot", "seq", *declared.field_names))
        conditions = [time_range(start_ms, end_ms)]
        conditions += [f"{quote_name(tag)} = {quote_text(text)}" for tag, text in tags.items()]
        if boots:
            conditions.append(f'"boot" >= {boots[0]} AND "boot" <= {boots[-1]}')
        statement = (
            f"SELECT {columns} FROM {quote_name(declared.name)} WHERE {' AND '.join(conditions)} "
            f"GROUP BY {', '.join(quote_name(tag) for tag in TAGS)}"
        )
        return self._statements([statement], epoch="ns", chunked="true", chunk_size=str(CHUNK_ROWS))

    def understand_points(self, answer: httpx.Response, declared: Measurement) -> Iterator[Any]:
        for line in answer.iter_lines():
            if not line:
                continue
            chunk = _INFLUX_ANSWER.decode(line)
            for result in chunk.results:
                if result.error is not None:
                    raise QueryRefused(f"the store refused: {result.error}")
                for series in result.series:
                    yield _record_batch(series, declared)

    def ask_description(self) -> _Request:
        return self._statements(
            [
                f'SELECT {function}("boot") FROM {quote_name(name)}'
                for name in MEASUREMENTS
                for function in ("first", "last")
            ]
        )

    def understand_description(self, answer: httpx.Response) -> dict[str, Held]:
        results = _INFLUX_ANSWER.decode(answer.content).results
        found = {}
        for name, first, last in zip(MEASUREMENTS, results[::2], results[1::2], strict=True):
            if first.series and last.series:
                found[name] = Held(first.series[0].values[0][0], last.series[0].values[0][0])
        return found

    def ask_term(self) -> list[_Request]:
        # 2.x answers the first with a duration of 0 whatever it is, 1.x does not know the second.
        named = {"name": self._bucket, **({"org": self._org} if self._org else {})}
        return [
            self._statements([f"SHOW RETENTION POLICIES ON {quote_name(self._bucket)}"]),
            {"method": "GET", "url": "/api/v2/buckets", "params": named},
        ]

    def understand_term(self, answer: httpx.Response) -> int:
        said = answer.json()
        if "buckets" in said:
            return sum(int(rule["everySeconds"]) for bucket in said["buckets"] for rule in bucket["retentionRules"])
        for series in _INFLUX_ANSWER.decode(answer.content).results[0].series:
            for row in series.values:
                policy = dict(zip(series.columns, row, strict=True))
                if policy["default"]:
                    hours, minutes, seconds = _GO_DURATION.fullmatch(policy["duration"]).groups("0")  # type: ignore[union-attr]
                    return int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
        return 0

    def ask_rollups(self, tags: dict[str, str]) -> _Request | None:
        return None

    def ask_to_forget(self, site: str, area: str | None) -> list[_Request]:
        whose = f"{quote_name('site')} = {quote_text(site)}"
        if area is not None:
            whose += f" AND {quote_name('area')} = {quote_text(area)}"
        count = f'SELECT count("boot") FROM /.*/ WHERE {whose}'
        return [self._statements([count]), self._statements([f"DELETE WHERE {whose}"])]

    def understand_forgotten(self, answer: httpx.Response) -> int:
        results = _INFLUX_ANSWER.decode(answer.content).results
        if errors := [result.error for result in results if result.error]:
            raise QueryRefused(f"the store refused: {errors[0]}")
        return sum(series.values[0][1] for result in results for series in result.series)

    def ask_who_names(self, site: str) -> _Request | None:
        statements = [
            f'SELECT "boot" FROM {quote_name(name)} WHERE {quote_name(text)} = {quote_text(site)} '
            f"GROUP BY {', '.join(map(quote_name, TAGS))}"
            for name, declared in MEASUREMENTS.items()
            for text in declared.texts
        ]
        return self._statements(statements, epoch="ns")

    def ask_to_forget_named(self, answer: httpx.Response) -> tuple[int, list[_Request]]:
        """A statement for each point: DELETE knows tags and times, but not fields."""
        statements = [
            f"DELETE FROM {quote_name(series.name)} WHERE "
            + " AND ".join(f"{quote_name(tag)} = {quote_text(series.tags[tag])}" for tag in TAGS)
            + f" AND time >= {row[0]} AND time <= {row[0]}"
            for result in _INFLUX_ANSWER.decode(answer.content).results
            for series in result.series
            for row in series.values
        ]
        pieces = range(0, len(statements), DELETES)
        return len(statements), [self._statements(statements[first : first + DELETES]) for first in pieces]

    def _statements(self, statements: Sequence[str], **parameters: str) -> _Request:
        return {
            "method": "POST",
            "url": "/query",
            "params": {"db": self._bucket, "epoch": "ms", **parameters},
            "data": {"q": "; ".join(statements)},
        }


def _record_batch(series: _InfluxSeries, declared: Measurement) -> Any:
    import pyarrow as pa  # noqa: PLC0415  only raw points need it

    types = {"float": pa.float64(), "int": pa.int64(), "bool": pa.int8(), "str": pa.string()}
    by_name = dict(zip(series.columns, zip(*series.values, strict=True), strict=True))
    count = len(series.values)
    columns = {
        "time_ns": pa.array(by_name["time"], pa.int64()),
        **{
            tag: pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int32()).fill_null(0), [series.tags[tag]])
            for tag in TAGS
        },
        "boot": pa.array(by_name["boot"], pa.int32()),
        "seq": pa.array(by_name["seq"], pa.int64()),
        **{field.name: pa.array(by_name[field.name], types[field.type]) for field in declared.fields},
    }
    return pa.RecordBatch.from_pydict(columns)


_KINDS: dict[str, Callable[[Any], float | int | str]] = {"float": float, "int": round, "str": str}


def _only(answers: list[list[Series] | QueryRefused]) -> list[Series]:
    (answer,) = answers
    if isinstance(answer, QueryRefused):
        raise answer
    return answer


def _declared(name: str) -> Measurement:
    try:
        return measurement(name)
    except KeyError as unknown:
        raise QueryRefused(str(unknown.args[0])) from None


def _reason(answer: httpx.Response) -> str:
    """The store's own sentence, whichever way it says it."""
    try:
        decoded = answer.json()
        text = str(decoded.get("error") or decoded.get("message"))
    except (ValueError, AttributeError):
        text = answer.text or answer.reason_phrase
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "…"


__all__ = ["Held", "QueryRefused", "Reader", "StoreError", "StoreUnreachable", "open_reader"]
