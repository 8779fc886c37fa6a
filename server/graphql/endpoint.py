"""The GraphQL endpoint: one ASGI application for HTTP and websockets."""

from __future__ import annotations

from collections.abc import Mapping

import strawberry
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from ...resolvers.access import Principal
from ...resolvers.errors import Forbidden, Unavailable
from .connections import Connections
from .environment import Authenticate, Environment, Introduce
from .execution import Executor, MakeContext, OnRefusal
from .fanout import Groups
from .http import HttpRefusal, error_response, refusal, serve_http
from .limits import Limits
from .sharing import Sharing
from .websocket import Connection


class GraphQLEndpoint:
    """An ASGI application for one path. It needs the extensions of `uvicorn_protocol.HttpProtocol` in its scope, and
    uses those of `WebSocketProtocol` where they are there.

    `authenticate` takes the value of an Authorization header, or of `authorization` in `connection_init` (None: there
    is none), and raises resolvers.errors.Unauthenticated. `context` makes `info.context` for each operation.
    `allowed_origins` (such as `https://console.example`) may act, and read answers, besides the endpoint's own origin.
    `open_mutations` are the fields of the schema that may be asked for by HTTP without a credential, as those that sign
    somebody in; empty when `authenticate` takes anybody. `on_refusal` hears of each RequestError that a resolver
    answers with, `introduce` of the component at the other end of each socket; neither must raise. `sharing` says which
    subscriptions of several websockets are executed once, and to which queries answers are kept; None: none. Contexts
    then have the attributes `component`, `resumed` and `observe` of `resolvers.access.Context`.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        *,
        authenticate: Authenticate,
        context: MakeContext,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        allowed_origins: frozenset[str] = frozenset(),
        open_mutations: frozenset[str] = frozenset(),
        on_refusal: OnRefusal | None = None,
        introduce: Introduce | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self._connections = Connections()
        # An executor of its own, as what is refused to a group is refused to its members, one by one.
        self._groups = None if sharing is None else Groups(Executor(schema, limits), context, sharing)

        async def authenticated(authorization: str | None) -> Principal:
            return await self._connections.authenticated(lambda: authenticate(authorization))

        self._environment = Environment(
            Executor(schema, limits, on_refusal, sharing),
            authenticated,
            context,
            limits,
            allowed_origins,
            open_mutations,
            introduce,
            self._groups,
        )
        self._stopping = False
        # Whoever is allowed may send any header: none of them means more to us than to a page of our own. With cookies:
        # one may hold the token that a session is refreshed with.
        self._http = CORSMiddleware(
            self._serve_http,
            allow_origins=allowed_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            allow_credentials=True,
        )

    @property
    def open_connections(self) -> int:
        """How many websockets and streams are open."""
        return len(self._connections)

    @property
    def shared_subscriptions(self) -> tuple[int, int]:
        """How many subscriptions are served together, and by how many watches."""
        return (0, 0) if self._groups is None else (self._groups.members, len(self._groups))

    def credentials(self) -> set[str]:
        """The credentials with which websockets and streams are open, as far as they can be taken away."""
        return self._connections.credentials()

    def subjects(self) -> set[str]:
        """Whose websockets and streams are open."""
        return self._connections.subjects()

    def revoke(self, reasons: Mapping[str, str]) -> None:
        """End what is open with these credentials, each with the reason why it is no longer good: the operations
        first, then websockets with 4403, and streams with an error UNAUTHENTICATED.
        """
        self._connections.revoke(reasons)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif self._stopping:
            await _refuse_websocket(_STOPPING, scope, receive, send)
        elif self._environment.allows_origin(scope):
            await self._connections.serve(Connection(scope, receive, send, self._environment, self._connections))
        else:
            refused = refusal(403, "This origin is not allowed.", Forbidden.code)
            await _refuse_websocket(refused, scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._stopping:
            await error_response(_STOPPING)(scope, receive, send)
        else:
            await serve_http(scope, receive, send, self._environment, self._connections)

    async def close(self, timeout_seconds: float = 8.0) -> None:
        """Accept nothing more, end all operations, close the websockets with 1012 and end the streams.

        Returns when they are closed, or after the timeout. Other HTTP requests that run are left to the server.
        """
        self._stopping = True
        await self._connections.stop(timeout_seconds)
        if self._groups is not None:
            await self._groups.close()


_STOPPING = refusal(503, "The server is stopping.", Unavailable.code, {"Connection": "close"})


async def _refuse_websocket(refused: HttpRefusal, scope: Scope, receive: Receive, send: Send) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        await error_response(refused)(scope, receive, send)
    else:
        await send({"type": "websocket.close"})
