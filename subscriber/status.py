"""The two status axes, never merged: whether calls can be made, and how fresh what they use is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ModelStatus(StrEnum):
    """Whether calls can be made. A lost link never changes it."""

    NONE = "none"
    """There is nothing to make calls with: the alias does not exist, is a placeholder, or was deleted."""
    INITIALIZING = "initializing"
    """The configuration was asked for and none could be used yet."""
    READY = "ready"
    """Calls can be made."""


class LinkState(StrEnum):
    """How fresh the configurations are."""

    CONNECTING = "connecting"
    """A first connection is being made: not all that was asked for is known yet."""
    LIVE = "live"
    """Everything that was asked for is current, and changes arrive as they happen."""
    STALE = "stale"
    """The link was live once and is not now, or never was and models run from the cache: they go on with what they had,
    and the link comes back by itself."""
    CLOSED = "closed"
    """The provider was closed. Final."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The state of the link, since when (UTC), and the last thing that went wrong (None when nothing did yet)."""

    state: LinkState
    since: datetime
    last_error: str | None = None
