"""The console's HTTP: pages, windows, streams, commands, and what keeps strangers out.

It serves this machine alone unless it has a password. Even then a page of some other site, open in the same browser,
could try to talk to it; so a request must name us as its `Host` (or a page that has another name for us would pass as
one of ours) and, if it says where it comes from (`Origin`), come from here. The Content-Security-Policy keeps our own
pages from asking anybody else for anything.
"""

import asyncio
import base64
import binascii
import errno
import hmac
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.console import page
from dashboards.console.feed import MAX_VIEWERS, Chosen, Feeds, TooMany, Viewer, encode_event
from dashboards.console.headlines import headlines, read_headlines
from dashboards.console.pulse import Pulse
from dashboards.console.settings import Settings
from dashboards.console.town import NotDone, Site, TownWatch
from haina import zone
from haina.command_line import run_until_signalled
from haina.contract import Reply
from haina.contract.governance import INCIDENT_DESK
from haina.contract.help import HELP_DESK
from haina.contract.topic import BadTopic, check_level
from haina.listen import joined
from haina.query.reader import Reader, StoreError, open_reader

log = structlog.get_logger()

BROWSER = Path(__file__).parent / "browser"
GRID_STATION = "grid-station"
KEEP_ALIVE_S = 15.0  # a silent stream says so, lest something between closes it
GRACEFUL_S = 1  # how long open requests may take to end after Ctrl-C
MAX_BODY_BYTES = 4_096
ASK_STORE_S = 15.0

_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)


class CannotListen(Exception):
    """The console cannot serve at its address; one sentence."""


class ClockWish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/clock`."""

    speed: float | None = None
    paused: bool | None = None
    future: bool | None = None


class KioskWish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/restart` and `POST /api/dispatch`."""

    area: str
    site: str
    device: str


class HelpWish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/help`: somebody to go to a home, or to call there."""

    site: str
    helper: Literal["volunteer", "nurse", "ambulance", "telephone"]


class IncidentWish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /api/incident`: a command to the desk of a grid station, as its contract says."""

    site: str
    command: Literal["assign", "prioritise", "automatic"]
    incident: int | None = None
    priority: int | None = None
    on: bool | None = None


class Console:
    """Everything behind the pages: the town, the store, the feeds."""

    def __init__(self, settings: Settings, reader: Reader | None = None) -> None:
        self.settings = settings
        self.town = TownWatch(settings.broker)
        self.reader = reader or open_reader(str(settings.store), timeout_s=ASK_STORE_S, ca_file=settings.ca_file)
        self.pulse = Pulse(self.town, self.reader, settings.collector, settings.ca_file)
        self.feeds = Feeds(self.reader, lambda: self.town.now_ms, self.pulse.store_heard)
        self.pulse.feeds = self.feeds
        self.closing = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen to the broker and beat, while the body runs."""
        tasks = [asyncio.create_task(self.town.stay()), asyncio.create_task(self.pulse.beat_forever())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.feeds.close()
            await self.reader.aclose()

    # Reading

    async def window(self, request: Request) -> Response:
        """All series of a page."""
        plain, zipped = await self.feeds.feed(_chosen(request)).window()
        headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(zipped, media_type="application/json", headers={**headers, "Content-Encoding": "gzip"})
        return Response(plain, media_type="application/json", headers=headers)

    async def stream(self, request: Request) -> Response:
        """What changes on a page, as server-sent events, until the browser leaves."""
        if len(self.feeds.viewers) >= MAX_VIEWERS:
            raise TooMany(f"{MAX_VIEWERS} pages are open; close one")
        feed = self.feeds.feed(_chosen(request))
        return StreamingResponse(
            self._events(feed), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _events(self, feed: Any) -> AsyncIterator[bytes]:
        viewer = Viewer()
        feed.join(viewer)
        try:
            yield b"retry: 2000\n\n" + self.pulse.state_event() + self.pulse.line_event()
            while not self.closing.is_set():
                event = await viewer.next(KEEP_ALIVE_S)
                if not self.closing.is_set():
                    yield event or b": still here\n\n"
        finally:
            feed.leave(viewer)

    async def sites(self, request: Request) -> Response:
        return Response(msgspec.json.encode([site.told() for site in self.town.shown()]), media_type="application/json")

    async def members(self, request: Request) -> Response:
        return Response(msgspec.json.encode([*self.town.members.values()]), media_type="application/json")

    async def zone(self, request: Request) -> Response:
        return Response(zone.text(), media_type="application/geo+json", headers={"Cache-Control": "max-age=3600"})

    async def site(self, request: Request) -> Response:
        """The latest values of a site, for its popup."""
        known = self.town.sites.get(request.path_params["site"])
        if known is None:
            raise HTTPException(404, "no such site")
        wanted = headlines(known.kind)
        try:
            values = await read_headlines(self.reader, wanted, known.id, self.town.now_ms)
        except StoreError as failed:
            return JSONResponse({**known.told(), "values": [], "problem": str(failed)})
        return JSONResponse({**known.told(), "values": values, "problem": ""})

    # Wishes

    async def set_clock(self, request: Request) -> Response:
        """Change the clock's speed, or pause it; answer what the simulator replied."""
        wish = await _body(request, ClockWish)
        return await self._wish("town", "simulator", "clock", "set", _given(wish))

    async def restart(self, request: Request) -> Response:
        """Restart a kiosk; answer what it replied."""
        return await self._wish_of_kiosk(request, "restart")

    async def dispatch(self, request: Request) -> Response:
        """Send a technician to a kiosk; answer what it replied."""
        return await self._wish_of_kiosk(request, "dispatch")

    async def _wish_of_kiosk(self, request: Request, name: str) -> Response:
        wish = await _body(request, KioskWish)
        try:
            for level in (wish.area, wish.site, wish.device):
                check_level(level)
        except BadTopic as wrong:
            raise HTTPException(422, str(wrong)) from None
        return await self._wish(wish.area, wish.site, wish.device, name, {})

    async def help(self, request: Request) -> Response:
        """Send somebody to a home, or call there; answer what the desk replied."""
        wish = await _body(request, HelpWish)
        home = self.town.sites.get(wish.site)
        if home is None:
            raise HTTPException(404, "no such site")
        desk = self.town.help_desk(home, wish.helper)
        if desk is None:
            sentence = f"no desk of this town sends a {wish.helper} to {home.id}"
            return JSONResponse({"done": False, **NotDone(sentence, "no_desk", site=home.id).told()})
        args = {"home": home.id} if wish.helper == "telephone" else {"home": home.id, "reason": "asked by the console"}
        name = "call" if wish.helper == "telephone" else "send"
        return await self._wish(desk.area, desk.site, HELP_DESK, name, args)

    async def incidents(self, request: Request) -> Response:
        """What lies on the desks of the grid stations that are looked at, as they say it now."""
        area, site = request.query_params.get("area", ""), request.query_params.get("site", "")
        every = [each for each in self.town.shown() if each.kind == GRID_STATION]
        chosen = [each for each in every if each.id == site] or [each for each in every if area in {"", each.area}]
        return JSONResponse(await asyncio.gather(*(self._on_the_desk(station) for station in chosen)))

    async def _on_the_desk(self, station: Site) -> dict[str, Any]:
        told = {"site": station.id, "area": station.area}
        try:
            reply = await self.town.command(station.area, station.id, INCIDENT_DESK, "incidents", {})
        except NotDone as failed:
            return {**told, "refusal": failed.told()}
        return {**told, **reply.values, "refusal": None if reply.done else _refusal(reply)}

    async def incident(self, request: Request) -> Response:
        """Tell a grid station what to do; answer what its desk replied."""
        wish = await _body(request, IncidentWish)
        station = self.town.sites.get(wish.site)
        if station is None or station.kind != GRID_STATION:
            raise HTTPException(404, "no such grid station")
        args = {name: value for name, value in _given(wish).items() if name not in {"site", "command"}}
        return await self._wish(station.area, station.id, INCIDENT_DESK, wish.command, args)

    async def _wish(self, area: str, site: str, device: str, name: str, args: dict[str, Any]) -> Response:
        try:
            reply = await self.town.command(area, site, device, name, args)
        except NotDone as failed:
            return JSONResponse({"done": False, **failed.told()})
        log.info("a command was answered", command=name, site=site, device=device, done=reply.done)
        return JSONResponse({"done": reply.done, **_refusal(reply)})

    async def health(self, request: Request) -> Response:
        return JSONResponse({"version": 1, "state": self.pulse.state()})

    def app(self) -> FastAPI:
        """The ASGI application, pages included."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lambda _app: self.open())
        for path, answer, methods in (
            ("/api/window", self.window, ["GET"]),
            ("/api/stream", self.stream, ["GET"]),
            ("/api/sites", self.sites, ["GET"]),
            ("/api/members", self.members, ["GET"]),
            ("/api/site/{site}", self.site, ["GET"]),
            ("/api/zone.geojson", self.zone, ["GET"]),
            ("/api/clock", self.set_clock, ["POST"]),
            ("/api/restart", self.restart, ["POST"]),
            ("/api/dispatch", self.dispatch, ["POST"]),
            ("/api/help", self.help, ["POST"]),
            ("/api/incidents", self.incidents, ["GET"]),
            ("/api/incident", self.incident, ["POST"]),
            ("/healthz", self.health, ["GET"]),
        ):
            app.router.add_route(path, answer, methods=methods)
        app.add_exception_handler(TooMany, _too_many)
        app.mount("/assets", StaticFiles(directory=BROWSER), name="assets")
        page.lay_out(app)
        app.add_middleware(Door, settings=self.settings)
        return app


class Door:
    """Lets in who may come in, and says which outside things our pages may use: none."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = None if settings.password is not None else {"127.0.0.1", "localhost", "::1", settings.host}
        self._expected = None if settings.password is None else settings.password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(headers, scope.get("method", "GET"))
        if refusal is not None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await refusal(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self._app(scope, receive, guarded)

    def _refusal(self, headers: dict[str, str], method: str) -> Response | None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self._hosts is not None and name not in self._hosts:
            return Response("This console is served to this machine alone, by its own name.", 403)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return Response("A page of another site may not use this console.", 403)
        if self._expected is not None and not self._knows_password(headers.get("authorization", "")):
            return Response(
                "This console asks for a password; any user name will do.",
                401,
                headers={"WWW-Authenticate": 'Basic realm="Haina", charset="UTF-8"'},
            )
        return None

    def _knows_password(self, authorization: str) -> bool:
        assert self._expected is not None
        kind, _, encoded = authorization.partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            _, _, password = base64.b64decode(encoded, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(password, self._expected)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises CannotListen."""
    listener = _listener(settings)
    with suppress(KeyboardInterrupt), listener:
        asyncio.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    console = Console(settings)
    server = _Server(
        uvicorn.Config(
            console.app(),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=GRACEFUL_S,
            ws_max_size=1024 * 1024,
            server_header=False,
        )
    )

    def stop() -> None:
        console.closing.set()
        for viewer in console.feeds.viewers:
            viewer.tell(encode_event("again", {}))  # wakes the streams, so that they see that we close
        server.should_exit = True

    url = f"http://{joined(settings.host, listener.getsockname()[1])}"
    log.info("the console serves", url=url, store=str(settings.store))
    async with run_until_signalled(stop):
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """A server whose signals are ours to handle."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(settings: Settings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as failed:
        if failed.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"something listens on {where} already; stop it, or choose another port with --listen"
            ) from None
        raise CannotListen(f"cannot listen on {where}: {failed.strerror or failed}") from None
    return listener


def _chosen(request: Request) -> Chosen:
    query = request.query_params
    try:
        return Chosen(query.get("page", ""), query.get("range", "24h"), query.get("area", ""), query.get("site", ""))
    except ValueError as wrong:
        raise HTTPException(422, str(wrong)) from None


def _refusal(reply: Reply) -> dict[str, Any]:
    """Why a device did not do what it was told, as browsers get it."""
    return {"reason": reply.reason, "code": reply.code, "values": reply.values}


def _given(wish: msgspec.Struct) -> dict[str, Any]:
    """The fields of a body that were sent."""
    return {name: value for name, value in msgspec.structs.asdict(wish).items() if value is not None}


async def _body(request: Request, wanted: type[Any]) -> Any:
    """The JSON body as a struct. Only JSON is taken: a form of another site cannot send that without asking."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.DecodeError as wrong:
        raise HTTPException(422, str(wrong)) from None


async def _too_many(_request: Request, failed: Exception) -> Response:
    return JSONResponse({"detail": str(failed)}, 503, headers={"Retry-After": "30"})


__all__ = ["CannotListen", "Console", "serve"]
