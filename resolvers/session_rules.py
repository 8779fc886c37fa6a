"""What the resolvers of sessions are given: how long tokens live, and where a browser keeps one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from .attempts import Attempts


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How long tokens live, and how often one may try to sign in. One for the whole process."""

    access_token_seconds: float = 900.0
    session_seconds: float = 30 * 86_400.0
    attempts: Attempts = field(default_factory=lambda: Attempts(30))
    now: Callable[[], datetime] = _utc_now


class RefreshCookie(Protocol):
    """The cookie in which a browser keeps its refresh token, where no script reads it."""

    @property
    def token(self) -> str | None:
        """What the request came with; None without."""

    @property
    def writable(self) -> bool:
        """Whether the answer can still carry one: a stream has begun already."""

    def keep(self, token: str, expires_at: datetime) -> None:
        """Have the browser keep this one from now on."""

    def forget(self) -> None:
        """Have the browser keep none."""
