"""Who asks, what they may do, and what every resolver is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..store import AliasPatterns, Feed, Position, Selector, Store, WatchEvent
from .errors import Forbidden
from .outbound import Outbound
from .presence import ComponentLink, Reports
from .session_rules import RefreshCookie, SessionRules


class Scope(StrEnum):
    """A permission. The value is what API keys and tokens carry."""

    MODEL_CONFIG_READ = "model_config:read"
    MODEL_CONFIG_WRITE = "model_config:write"
    MODEL_CONFIG_TEST = "model_config:test"
    MODEL_CONFIG_RESOLVE = "model_config:resolve"
    COMPONENT_READ = "component:read"
    COMPONENT_REPORT = "component:report"
    AUDIT_READ = "audit:read"
    API_KEY_ADMIN = "api_key:admin"


ALL_SCOPES = frozenset(Scope)


API_KEY = "api_key:"
SESSION = "session:"
"""How the subject of an API key begins, and the credentials of keys and sessions; their ids follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody whose credential was accepted.

    `subject` names them in history, for example `api_key:k3j9x2q8ab`; `name` is for people. `credential` names what
    can be taken away from them, `api_key:ID` or `session:ID`; empty when nothing can. `expires_at` (UTC) is when the
    credential ends, None when it does not.
    """

    subject: str
    name: str
    scopes: frozenset[Scope]
    aliases: AliasPatterns = field(default_factory=AliasPatterns)
    credential: str = ""
    expires_at: datetime | None = None

    def require(self, scope: Scope) -> None:
        """Raise Forbidden without this scope."""
        if scope not in self.scopes:
            raise Forbidden(f"this needs the scope {scope.value}, which {self.name!r} does not have")


ANONYMOUS = Principal(subject="anonymous", name="anonymous", scopes=frozenset(), aliases=AliasPatterns(()))
"""Who shows no credential. They may sign in."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What the subscriber has of a watch that goes on elsewhere: up to which position, of which aliases."""

    position: Position
    visible: AliasPatterns


@dataclass(slots=True, eq=False)
class Context:
    """What a resolver works with: one request, or one operation on a socket, of one principal.

    `principal` is replaced, by another of the same subject, when the client renews its token on the open socket: what
    lasts longer than a moment looks at it again for each event. Nothing else changes. `outbound` is the only way to
    call anybody; by default it reaches the internet and nothing private.
    """

    principal: Principal
    store: Store
    feed: Feed
    outbound: Outbound = field(default_factory=Outbound)
    # For signing in: the rules of this process, the address that the request came from (None: not known), and the
    # browser's cookie (None: the caller is no web page, or one that may not have it).
    sessions: SessionRules = field(default_factory=SessionRules)
    source: str | None = None
    cookie: RefreshCookie | None = None
    # The component at the other end of the socket (None: no socket, or no component), and who hears what it says.
    component: ComponentLink | None = None
    reports: Reports | None = None
    # For a watch that the transport follows: where it goes on (None: where its arguments say), and who hears what it is
    # a watch of, and each event, before it is given.
    resumed: Resumed | None = None
    observe: Callable[[Selector, WatchEvent], None] | None = None
    # What gathers the look-ups of one answer, by name: the schema's.
    loaders: dict[Any, Any] = field(default_factory=dict)
