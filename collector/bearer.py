"""The door of what this room serves over HTTP: a token, or on loopback a host name of ours."""

import hmac
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


def doorkeeper(token: str | None, host: str) -> list[Middleware]:
    """The middleware that asks for a token. Without one, who listens at `host` must be on loopback.

    There any page in a browser on this machine could ask too, under a name that it lets point here (DNS rebinding): so
    the request must name us as its `Host`.
    """
    if token:
        return [Middleware(_Bearer, token=token)]
    ours = ["127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host]
    return [Middleware(TrustedHostMiddleware, allowed_hosts=ours, www_redirect=False)]


class _Bearer:
    """Lets in who knows the token, and anybody to ask at ``/healthz`` whether the process is alive."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected: Final = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                refusal = JSONResponse({"error": "a token is needed: Authorization: Bearer …"}, 401)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)
