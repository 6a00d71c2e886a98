"""A token at the door of what this room serves over HTTP."""

import hmac
from typing import Final

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


def doorkeeper(token: str | None) -> list[Middleware]:
    """The middleware that asks for a token; none, when there is no token to ask for."""
    return [Middleware(_Bearer, token=token)] if token else []


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
