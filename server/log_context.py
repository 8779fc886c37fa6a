"""What is known, where something is logged, of what it belongs to. No imports: everything may set these."""

from __future__ import annotations

from contextvars import ContextVar

request: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the HTTP request, or of the websocket, that is served in this context."""

component: ContextVar[str | None] = ContextVar("component", default=None)
"""The id of the component at the other end of the websocket that is served in this context."""
