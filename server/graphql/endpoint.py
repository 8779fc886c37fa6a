"""The GraphQL endpoint: one ASGI application for HTTP and websockets."""

from __future__ import annotations

import strawberry
from starlette.types import Receive, Scope, Send

from ...resolvers.errors import Forbidden, Unavailable
from .environment import Authenticate, Environment, MakeContext
from .execution import Executor
from .http import HttpRefusal, error_response, refusal, serve_http
from .limits import Limits
from .websocket import Connection, Connections


class GraphQLEndpoint:
    """An ASGI application for one path.

    `authenticate` takes the value of an Authorization header, or of `authorization` in `connection_init` (None: there
    is none), and raises resolvers.errors.Unauthenticated. `context` makes `info.context` for each operation.
    `allowed_origins` (such as `https://console.example`) may act besides the endpoint's own origin.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        authenticate: Authenticate,
        context: MakeContext,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        allowed_origins: frozenset[str] = frozenset(),
    ) -> None:
        self._environment = Environment(Executor(schema, limits), authenticate, context, limits, allowed_origins)
        self._connections = Connections()
        self._stopping = False

    @property
    def open_connections(self) -> int:
        """How many websockets are open."""
        return len(self._connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._stopping:
            stopping = refusal(503, "The server is stopping.", Unavailable.code, {"Connection": "close"})
            await _refuse(stopping, scope, receive, send)
        elif scope["type"] == "http":
            await serve_http(scope, receive, send, self._environment)
        elif self._environment.allows_origin(scope):
            await self._connections.serve(Connection(scope, receive, send, self._environment, self._connections))
        else:
            await _refuse(refusal(403, "This origin is not allowed.", Forbidden.code), scope, receive, send)

    async def close(self, timeout_seconds: float = 8.0) -> None:
        """Accept nothing more, end all operations, and close the websockets with 1012.

        Returns when they are closed, or after the timeout. HTTP requests that run are left to the server.
        """
        self._stopping = True
        await self._connections.stop(timeout_seconds)


async def _refuse(refused: HttpRefusal, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
    else:
        await error_response(refused)(scope, receive, send)
