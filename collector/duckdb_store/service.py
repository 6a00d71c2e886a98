"""The store process's door: eight paths over HTTP.

| path | |
|---|---|
| `POST /write?source=&cursor=&count=` | Arrow IPC streams, one per measurement; one transaction with the cursor |
| `POST /query` | a page of queries (`haina.query.wire`) and their answers |
| `GET /points?measurement=&start_ms=&end_ms=` | raw points as one Arrow IPC stream; or `&first_boot=&last_boot=` |
| `GET /hourly?area=&site=&device=` | hourly rollups as one Arrow IPC stream |
| `GET /describe` | what there is, from when to when |
| `POST /forget` | `{"site": …, "area": …}`: keep nothing of this site |
| `GET /healthz`, `GET /metrics` | alive; Prometheus text |

Writes go one after another through one thread; reads run beside them in a few threads, each with its own cursor. What
waits is counted and refused past a limit, for a queue that nobody bounds only moves the trouble. An error is
`{"error": sentence}`: 401 token, 409 has part of it (`have`), 413 too large, 422 refused for ever, 503 not now, 507
disk full or the limit on the file's size reached.

The process listens on loopback. Elsewhere it demands a token (`HAINA_STORE_TOKEN`, as a bearer). A web page the user
happens to have open can reach loopback too: hence bodies need a content type no form can send, and a host name of ours.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import msgspec
import prometheus_client
import pyarrow as pa
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from collector.bearer import doorkeeper
from collector.duckdb_store.database import (
    AlreadyHas,
    BatchNotTaken,
    BatchRefused,
    Database,
    DiskFull,
    Keep,
    TooMuch,
)
from collector.duckdb_store.tables import StoreProblem
from haina.command_line import run_until_signalled
from haina.contract import MEASUREMENTS
from haina.contract.point import NS_PER_MS, TAGS
from haina.listen import NotHostPort, host_port, joined
from haina.query import Query
from haina.query.wire import MAX_QUERIES, Answer, Answers, Description, Question, Whom
from haina.store_url import is_loopback

ARROW_STREAM = "application/vnd.apache.arrow.stream"

_log = structlog.get_logger()
_T = TypeVar("_T")


@dataclass(frozen=True)
class Limits:
    """What the process takes on at once; past each there is a named answer. All assumed, for a laptop."""

    body_bytes: int = 64 * 2**20  # a batch of 5,000 points is about 0.4 MB; 413 past it
    waiting_writes: int = 16  # 503 with Retry-After past it
    waiting_reads: int = 256  # queries, not requests; 503 with Retry-After past it
    streams: int = 4  # of raw points at once; 503 with Retry-After past it
    readers: int = 4  # threads
    query_s: float = 10.0  # an error in that query's answer past it
    query_rows: int = 100_000  # likewise
    retain_every_s: float = 30.0  # what is due by `Keep` is done at least so often, and at once at the limit


class Service:
    """The application around one Database, which it closes at the end."""

    def __init__(self, database: Database, limits: Limits, token: str | None = None, host: str = "127.0.0.1") -> None:
        self._database = database
        self._limits = limits
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._readers = ThreadPoolExecutor(limits.readers, thread_name_prefix="reader")
        self._streamers = ThreadPoolExecutor(max(1, limits.streams), thread_name_prefix="streamer")
        self._waiting_writes = self._waiting_reads = self._streams = 0
        self._full = False
        self._retain_now = asyncio.Event()
        self._early_before_ms = 0
        self._count = _Metrics(database)
        self.application = Starlette(
            routes=[
                Route("/write", self._write, methods=["POST"]),
                Route("/query", self._query, methods=["POST"]),
                Route("/points", self._points),
                Route("/hourly", self._hourly),
                Route("/describe", self._describe),
                Route("/forget", self._forget, methods=["POST"]),
                Route("/healthz", self._healthz),
                Route("/metrics", self._metrics),
            ],
            middleware=doorkeeper(token, host),
            # A collector that is killed halfway through a batch is no news.
            exception_handlers={ClientDisconnect: lambda request, gone: Response(status_code=400)},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, application: Starlette) -> AsyncIterator[None]:
        retaining = asyncio.create_task(self._retain())
        try:
            yield
        finally:
            retaining.cancel()
            self.stop_reading()
            for threads in (self._streamers, self._readers, self._writer):
                threads.shutdown(wait=True, cancel_futures=True)
            self._database.close()

    def stop_reading(self) -> None:
        """Interrupt queries and streams, so that the process can end soon."""
        self._database.interrupt()

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _write(self, request: Request) -> Response:
        try:
            source = request.query_params["source"]
            cursor, count = int(request.query_params["cursor"]), int(request.query_params["count"])
        except (KeyError, ValueError):
            return _error(422, "say source, cursor and count in the query string")
        if not (0 < len(source) <= 100 and 0 < count <= cursor < 2**63):
            return _error(422, "a source has 1 to 100 characters, and 0 < count <= cursor")
        if request.headers.get("content-type") != ARROW_STREAM:
            return _error(422, f"the body is {ARROW_STREAM}")
        if self._waiting_writes >= self._limits.waiting_writes:
            return _busy("writes")
        self._waiting_writes += 1
        try:
            body = await _body(request, self._limits.body_bytes)
            started = time.perf_counter()
            rows = await self._in(self._writer, self._write_streams, source, cursor, count, body)
        except BodyTooLarge as wrong:
            return _error(413, str(wrong))
        except AlreadyHas as part:
            return JSONResponse({"error": str(part), "have": part.have}, 409)
        except BatchRefused as wrong:
            self._count.writes.labels("refused").inc()
            return _error(422, str(wrong))
        except BatchNotTaken as wrong:
            self._count.writes.labels("not_taken").inc()
            full = isinstance(wrong, DiskFull)
            if full and not self._full:
                _log.error("there is no room; points stay with the collector until there is", reason=str(wrong))
            self._full = full
            self._retain_now.set()
            return _error(507 if full else 503, str(wrong), retry_after_s=5 if full else 1)
        finally:
            self._waiting_writes -= 1
        if self._full:
            _log.info("there is room again")
            self._full = False
        self._count.write_seconds.observe(time.perf_counter() - started)
        self._count.writes.labels("written" if rows else "skipped").inc()
        self._count.points.inc(rows)
        return JSONResponse({"written": rows})

    def _write_streams(self, source: str, cursor: int, count: int, body: bytes) -> int:
        try:
            batches = list(_batches(body))
        except (pa.ArrowException, ValueError, OSError) as wrong:
            raise BatchRefused(f"the body is no Arrow IPC stream: {str(wrong).partition(chr(10))[0][:200]}") from None
        return self._database.write(source, cursor, count, batches)

    async def _retain(self) -> None:
        """Do what is due by `Keep`, in pieces between which others write; tell once a pass, and once of the limit."""
        while True:
            rolled_up = 0
            try:
                while piece := await self._in(self._writer, self._database.retain, time.time_ns() // NS_PER_MS):
                    rolled_up += piece.points
                    if piece.early:
                        if not self._early_before_ms:
                            _log.warning(
                                "the file nears its limit: the oldest raw points are rolled up before their time",
                                limit_bytes=self._database.keep.max_bytes,
                                used_bytes=self._database.used_bytes(),
                            )
                        self._early_before_ms = max(self._early_before_ms, piece.before_ns // NS_PER_MS)
            except (BatchNotTaken, BatchRefused) as wrong:
                _log.warning("old points stay raw until the next pass", reason=str(wrong))
            if rolled_up:
                _log.info("rolled up old points", points=rolled_up)
            self._retain_now.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.retain_every_s):
                    await self._retain_now.wait()

    async def _forget(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _error(422, "the body is application/json")
        try:
            whom = _WHOM.decode(await _body(request, 2**12))
            forgotten = await self._in(self._writer, self._database.forget, whom.site, whom.area)
        except msgspec.DecodeError as wrong:
            return _error(422, f"say whom to forget: {wrong}")
        except BodyTooLarge as wrong:
            return _error(413, str(wrong))
        except BatchNotTaken as wrong:
            return _error(503, str(wrong), retry_after_s=1)
        _log.info("a site was forgotten", rows=forgotten)
        return JSONResponse({"forgotten": forgotten})

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _query(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/json"):
            return _error(422, "the body is application/json")
        try:
            question = _QUESTION.decode(await _body(request, 2**20))
        except BodyTooLarge as wrong:
            return _error(413, str(wrong))
        except msgspec.DecodeError as wrong:
            return _error(422, f"not a question: {wrong}")
        if len(question.queries) > MAX_QUERIES:
            return _error(413, f"at most {MAX_QUERIES} queries in one request")
        if self._waiting_reads + len(question.queries) > self._limits.waiting_reads:
            return _busy("queries")
        self._waiting_reads += len(question.queries)
        try:
            answers = await asyncio.gather(*(self._answer(query, question) for query in question.queries))
        finally:
            self._waiting_reads -= len(question.queries)
        return Response(msgspec.json.encode(Answers(answers)), media_type="application/json")

    async def _answer(self, raw: msgspec.Raw, question: Question) -> Answer:
        try:
            query = _QUERY.decode(raw)
        except msgspec.DecodeError as wrong:
            return Answer(error=str(wrong))
        deadline: list[asyncio.TimerHandle] = []
        loop = asyncio.get_running_loop()

        def limit_time(cursor: duckdb.DuckDBPyConnection) -> None:
            stop = partial(self._database.interrupt_one, cursor)
            loop.call_soon_threadsafe(lambda: deadline.append(loop.call_later(self._limits.query_s, stop)))

        def answer() -> Answer:
            with self._count.query_seconds.time():
                try:
                    return Answer(
                        series=self._database.answer(
                            query,
                            question.start_ms,
                            question.end_ms,
                            question.now_ms,
                            max_rows=self._limits.query_rows,
                            started=limit_time,
                        )
                    )
                except TooMuch as wrong:
                    return Answer(error=str(wrong))

        try:
            return await self._in(self._readers, answer)
        finally:
            for handle in deadline:
                handle.cancel()

    async def _points(self, request: Request) -> Response:
        parameters = dict(request.query_params)
        try:
            name = parameters.pop("measurement")
            start_ms, end_ms = int(parameters.pop("start_ms")), int(parameters.pop("end_ms"))
            boots = None
            if "first_boot" in parameters:
                boots = range(int(parameters.pop("first_boot")), int(parameters.pop("last_boot")) + 1)
        except (KeyError, ValueError):
            return _error(422, "say measurement, start_ms and end_ms in the query string, and both boots or none")
        if name not in MEASUREMENTS:
            return _error(422, f"unknown measurement {name[:64]!r}; declared are {', '.join(MEASUREMENTS)}")
        choosable = (*TAGS, *MEASUREMENTS[name].texts)
        if not set(parameters) <= set(choosable):
            return _error(422, f"points of {name} are chosen by {', '.join(choosable)}")
        if self._streams >= self._limits.streams:
            return _busy("streams")
        self._streams += 1
        parts = self._database.points(name, start_ms, end_ms, parameters, boots)
        return StreamingResponse(self._stream(parts), media_type=ARROW_STREAM)

    async def _hourly(self, request: Request) -> Response:
        parameters = dict(request.query_params)
        if not set(parameters) <= set(TAGS):
            return _error(422, f"rollups are chosen by {', '.join(TAGS)}")
        if self._streams >= self._limits.streams:
            return _busy("streams")
        self._streams += 1
        return StreamingResponse(self._stream(self._database.rollups(parameters)), media_type=ARROW_STREAM)

    async def _stream(self, parts: Iterator[bytes]) -> AsyncIterator[bytes]:
        # DuckDB's reader belongs to whoever pulls it; a lock keeps a late pull and the end from meeting.
        pulling = threading.Lock()

        def pull() -> bytes:
            with pulling:
                return next(parts, b"")

        def end() -> None:
            with pulling, suppress(duckdb.Error, OSError):
                parts.close()  # type: ignore[attr-defined]  # a generator

        try:
            while part := await self._in(self._streamers, pull):
                yield part
        except (duckdb.Error, OSError) as wrong:  # Arrow says where a stream ends, so the reader sees that it was cut
            _log.warning("a stream of points was cut", reason=str(wrong).partition("\n")[0])
        finally:
            self._streams -= 1
            with suppress(RuntimeError):  # the threads have ended, and the reader with them
                await asyncio.shield(self._in(self._streamers, end))

    async def _describe(self, request: Request) -> Response:
        held = await self._in(self._readers, self._database.held)
        return Response(msgspec.json.encode(Description(held)), media_type="application/json")

    async def _healthz(self, request: Request) -> Response:
        database = self._database
        return JSONResponse(
            {
                "status": "full" if self._full else "ok",
                "points": sum(database.rows.values()),
                "bytes": database.size_bytes(),
                "limit_bytes": database.keep.max_bytes,
                "rolled_up_early_before_ms": self._early_before_ms or None,
            }
        )

    async def _metrics(self, request: Request) -> Response:
        return Response(
            prometheus_client.generate_latest(self._count.registry), media_type=prometheus_client.CONTENT_TYPE_LATEST
        )


_QUESTION = msgspec.json.Decoder(Question)
_QUERY = msgspec.json.Decoder(Query)
_WHOM = msgspec.json.Decoder(Whom)


class BodyTooLarge(Exception):
    """A request's body passes the limit, which the message names."""


async def _body(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit_bytes:
            raise BodyTooLarge(f"a body has at most {limit_bytes} bytes")
    return bytes(body)


def _batches(body: bytes) -> Iterator[Any]:
    buffer = pa.BufferReader(body)
    while buffer.tell() < len(body):
        with pa.ipc.open_stream(buffer) as stream:
            yield from stream


def _error(status: int, sentence: str, retry_after_s: int | None = None) -> Response:
    headers = {"Retry-After": str(retry_after_s)} if retry_after_s is not None else None
    return JSONResponse({"error": sentence}, status, headers)


def _busy(what: str) -> Response:
    return _error(503, f"too many {what} are waiting", retry_after_s=1)


class _Metrics:
    """What `/metrics` shows."""

    def __init__(self, database: Database) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        seconds = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
        self.writes = prometheus_client.Counter(
            "haina_store_writes", "Batches, by what became of them.", ["outcome"], registry=self.registry
        )
        self.points = prometheus_client.Counter("haina_store_points", "Points written.", registry=self.registry)
        self.write_seconds = prometheus_client.Histogram(
            "haina_store_write_seconds",
            "From a batch's last byte to its commit.",
            buckets=seconds,
            registry=self.registry,
        )
        self.query_seconds = prometheus_client.Histogram(
            "haina_store_query_seconds", "Time one query ran.", buckets=seconds, registry=self.registry
        )
        rows = prometheus_client.Gauge("haina_store_rows", "Points held.", ["measurement"], registry=self.registry)
        for name in MEASUREMENTS:
            rows.labels(name).set_function(partial(database.row_count, name))
        prometheus_client.Gauge(
            "haina_store_bytes", "Size of the file and its log.", registry=self.registry
        ).set_function(database.size_bytes)
        prometheus_client.Gauge(
            "haina_store_limit_bytes", "Limit on what the file uses; 0 for none.", registry=self.registry
        ).set(database.keep.max_bytes)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which would end the process by signal after a clean end."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listening_socket(listen: str, token: str | None) -> socket.socket:
    """A bound socket for `HOST:PORT` (port 0: any free one). Raises StoreProblem with one sentence."""
    try:
        host, port = host_port(listen)
    except NotHostPort as wrong:
        raise StoreProblem(f"--listen {wrong}") from None
    if not is_loopback(host) and not token:
        raise StoreProblem(
            f"listening on {host} lets other machines in; set HAINA_STORE_TOKEN to a secret they must know, "
            "or listen on 127.0.0.1"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)  # who connects from now on is served once the database is open
    except OSError as wrong:
        raise StoreProblem(
            f"cannot listen on {listen} ({wrong.strerror}); is another store running? Give --listen another port"
        ) from None
    return bound


def serve(
    folder: Path,
    listen: str,
    *,
    memory_limit: str = "1GiB",
    threads: int = 2,
    keep: Keep = Keep(),
    limits: Limits | None = None,
    token: str | None = None,
) -> None:
    """Own the folder's database and serve it until SIGTERM or Ctrl-C. Raises StoreProblem when it cannot start."""
    with listening_socket(listen, token) as bound:
        host, port = bound.getsockname()[:2]
        database = Database(folder, memory_limit=memory_limit, threads=threads, keep=keep)
        service = Service(database, limits or Limits(), token, host)
        config = uvicorn.Config(
            service.application,
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        _log.info(
            "store is ready",
            url=f"duckdb+http://{joined(host, port)}",
            path=str(database.path),
            rows=sum(database.rows.values()),
        )
        asyncio.run(_serve(_Server(config), bound, service))
        _log.info("store has ended", path=str(database.path))


async def _serve(server: uvicorn.Server, bound: socket.socket, service: Service) -> None:
    def stop() -> None:
        server.should_exit = True
        service.stop_reading()

    async with run_until_signalled(stop):
        await server.serve(sockets=[bound])
