"""What protects a server that asks nobody who they are: it is there for this machine alone, and for its own pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..resolvers.access import ALL_SCOPES, Principal
from .setting_values import is_loopback

NO_AUTH = Principal(subject="no_auth", name="no_auth", scopes=ALL_SCOPES)
"""Whoever asks a server that runs with --no-auth."""


class LoopbackHosts:
    """Middleware: answers only requests and websockets that call the server by a name of this machine.

    A web page can have its own name lead here (DNS rebinding), and is then of the same origin as the server. But the
    browser says by which name it came.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or names_loopback(Headers(scope=scope).getlist("host")):
            await self._app(scope, receive, send)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            error = "this server runs with --no-auth: call it by http://localhost or http://127.0.0.1"
            await JSONResponse({"error": error}, status_code=403)(scope, receive, send)
        else:
            await send({"type": "websocket.close"})


def names_loopback(hosts: list[str]) -> bool:
    """Whether this is one Host header, and a name of this machine with or without a port."""
    if len(hosts) != 1:
        return False
    try:
        parts = urlsplit(f"//{hosts[0]}")
        plain = parts.netloc == hosts[0] and parts.username is None and parts.port != 0
        return plain and is_loopback(parts.hostname or "")
    except ValueError:
        return False
