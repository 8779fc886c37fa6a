"""Watching model configs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime

from ..store import Position, Selector, WatchEvent
from .access import Context, Scope
from .errors import BadUserInput, Unauthenticated, store_errors_translated
from .model_configs import require_alias
from .validation import can_be_stored

MAX_WATCHED = 1_000


def watch(
    context: Context, *, ids: Iterable[str] = (), aliases: Iterable[str] = (), since: str | None = None
) -> AsyncGenerator[WatchEvent, None]:
    """The events of the configs with these ids and aliases, or of all when none is named.

    Raises at once: Forbidden (also for an alias that the caller's key does not open), BadUserInput for a `since` that
    is no revision. The generator raises Unauthenticated when the caller's credential has expired; the caller closes it.
    """
    principal = context.principal
    principal.require(Scope.MODEL_CONFIG_READ)
    named_ids, named_aliases = frozenset(ids), frozenset(aliases)
    if len(named_ids) + len(named_aliases) > MAX_WATCHED:
        raise BadUserInput(f"a watch names at most {MAX_WATCHED} configs; without `by` it sees all")
    if not all(can_be_stored(name) for name in named_ids | named_aliases):
        raise BadUserInput("by names a config with a control character, which none has")
    for alias in sorted(named_aliases):
        require_alias(principal, alias)
    selector = Selector(ids=named_ids or None, aliases=named_aliases or None, visible=principal.aliases)
    return _events(context, selector, _position(since))


def _position(since: str | None) -> Position | None:
    if since is None:
        return None
    try:
        return Position.parse(since)
    except ValueError:
        raise BadUserInput("since must be a revision as an earlier event gave it") from None


async def _events(context: Context, selector: Selector, since: Position | None) -> AsyncGenerator[WatchEvent, None]:
    expires_at = context.principal.expires_at
    with store_errors_translated():
        async with aclosing(context.feed.watch(selector, since)) as events:
            async for event in events:
                if expires_at is not None and datetime.now(UTC) >= expires_at:
                    raise Unauthenticated("the credential has expired")
                yield event
