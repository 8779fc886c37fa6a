"""What both transports, HTTP and websocket, are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from ...resolvers.access import Principal
from .execution import Executor, MakeContext
from .fanout import Groups
from .limits import Limits
from .protocol import Component

Authenticate = Callable[[str | None], Awaitable[Principal]]
"""Takes the value of an Authorization header (None: there is none). Raises resolvers.errors.Unauthenticated."""

Introduce = Callable[[Principal, Component], Callable[[], None]]
"""Hears, in the context of a socket, of the component that is at its other end; gives what to call when it ends."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Environment:
    """`allowed_origins` are serialized origins (`https://console.example`) besides the server's own; `open_mutations`
    fields that may be asked for by HTTP without a credential. `introduce` None: nobody hears of components. `groups`
    None: nothing is shared.
    """

    executor: Executor
    authenticate: Authenticate
    make_context: MakeContext
    limits: Limits
    allowed_origins: frozenset[str]
    open_mutations: frozenset[str] = frozenset()
    introduce: Introduce | None = None
    groups: Groups | None = None

    def allows_origin(self, scope: Scope) -> bool:
        """Whether a browser that shows a page of this origin may act here. Only browsers send the header."""
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        if not origins:
            return True
        if len(origins) > 1:
            return False
        if origins[0] in self.allowed_origins:
            return True
        scheme = _HTTP_SCHEMES.get(scope["scheme"], scope["scheme"])
        own = _origin(f"{scheme}://{headers.get('host', '')}")
        return own is not None and _origin(origins[0]) == own


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.hostname is None or port is None:
        return None
    return parts.scheme, parts.hostname, port
