"""Watching model configs, and the components that use them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from ..store import FleetEvent, Position, Selector, WatchChange, WatchEvent, WatchSnapshot, tracing
from .access import Context, Principal, Scope
from .errors import BadUserInput, Unauthenticated, store_errors_translated
from .model_configs import require_alias
from .presence import ComponentLink
from .validation import MAX_NAME_LENGTH, can_be_stored

MAX_WATCHED = 1_000


def watch(
    context: Context, *, ids: Iterable[str] = (), aliases: Iterable[str] = (), since: str | None = None
) -> AsyncGenerator[WatchEvent, None]:
    """The events of the configs with these ids and aliases, or of all when none is named.

    Raises at once: Forbidden (also for an alias that the caller's key does not open), BadUserInput for a `since` that
    is no revision. The caller closes the generator.

    Before each event the rights of `context.principal`, which may be another by then, are looked at anew. The generator
    raises Unauthenticated when the credential has expired, and Forbidden without the scope or one of the named aliases.
    When the caller may see other aliases than before, a watch of all, or of ids, goes on with a snapshot (`reset`) of
    what it may see now. So does one that goes on (`context.resumed`) from a position with other rights.
    """
    selector = _selector(context.principal, ids, aliases, Scope.MODEL_CONFIG_READ)
    position = _position(since)
    if (resumed := context.resumed) is not None:
        selector, position = replace(selector, visible=resumed.visible), resumed.position
    events = _events(context, selector, position)
    return events if context.component is None else _noted(context.component, selector, events)


def watch_components(
    context: Context, *, ids: Iterable[str] = (), aliases: Iterable[str] = ()
) -> AsyncGenerator[FleetEvent, None]:
    """The components that use the configs with these ids and aliases, or all when none is named, and the rollouts of
    these configs. Raises as `watch` does; the caller closes the generator.

    The rights are looked at anew before each event, as `watch` does. When the caller may see other aliases than before,
    the next event is the difference that this makes.
    """
    return _fleet_events(context, _selector(context.principal, ids, aliases, Scope.COMPONENT_READ))


async def _fleet_events(context: Context, selector: Selector) -> AsyncGenerator[FleetEvent, None]:
    with store_errors_translated():
        async with context.store.fleet.watch(selector) as fleet:
            while True:
                await fleet.news()
                principal = context.principal
                _require_time(principal)
                _require_rights(principal, selector, Scope.COMPONENT_READ)
                if principal.aliases != fleet.visible:
                    fleet.see(principal.aliases)
                if (event := fleet.take()) is not None:
                    yield event


def _selector(principal: Principal, ids: Iterable[str], aliases: Iterable[str], scope: Scope) -> Selector:
    """What is watched with this scope. Raises Forbidden, BadUserInput."""
    principal.require(scope)
    named_ids, named_aliases = frozenset(ids), frozenset(aliases)
    if len(named_ids) + len(named_aliases) > MAX_WATCHED:
        raise BadUserInput(f"a watch names at most {MAX_WATCHED} configs; without `by` it sees all")
    if not all(can_be_stored(name) for name in named_ids | named_aliases):
        raise BadUserInput("by names a config with a control character, which none has")
    if any(len(alias) > MAX_NAME_LENGTH for alias in named_aliases):
        # What a component waits for is written down, with what all others on this server do.
        raise BadUserInput(f"by names an alias of more than {MAX_NAME_LENGTH} characters, which no config has")
    selector = Selector(ids=named_ids or None, aliases=named_aliases or None, visible=principal.aliases)
    _require_rights(principal, selector, scope)
    return selector


async def _noted(
    component: ComponentLink, selector: Selector, events: AsyncGenerator[WatchEvent, None]
) -> AsyncGenerator[WatchEvent, None]:
    component.watches(selector)
    try:
        async with aclosing(events):
            async for event in events:
                yield event
                # The next one is asked for when this one is sent.
                component.delivered(selector, event)
    finally:
        component.leaves(selector)


def _position(since: str | None) -> Position | None:
    if since is None:
        return None
    try:
        return Position.parse(since)
    except ValueError:
        raise BadUserInput("since must be a revision as an earlier event gave it") from None


async def _events(
    context: Context, selector: Selector | None, since: Position | None
) -> AsyncGenerator[WatchEvent, None]:
    reset, checked = False, None
    with store_errors_translated():
        while selector is not None:
            watched, selector = selector, None
            async with aclosing(context.feed.watch(watched, since)) as events:
                async for event in events:
                    principal = context.principal
                    _require_time(principal)
                    if principal is not checked:
                        _require_rights(principal, watched, Scope.MODEL_CONFIG_READ)
                        checked = principal
                    if _sees_others(principal, watched):
                        # What the subscriber knows of them is not known here, so it begins anew.
                        selector, since, reset = replace(watched, visible=principal.aliases), None, True
                        break
                    told = replace(event, reset=True) if reset and isinstance(event, WatchSnapshot) else event
                    if context.observe is not None:
                        context.observe(watched, told)
                    delivered = tracing.begin("modelwire.deliver", _revisions(told))
                    yield told
                    # The next one is asked for when this one is sent.
                    delivered()
                    reset = False


def _revisions(event: WatchEvent) -> Iterator[str]:
    """Those of the changes in an event; what a snapshot has is no news."""
    for config in event.put if isinstance(event, WatchChange) else ():
        yield str(Position(event.position.store_id, config.revision))


def _require_time(principal: Principal) -> None:
    if principal.expires_at is not None and datetime.now(UTC) >= principal.expires_at:
        raise Unauthenticated("the credential has expired")


def _require_rights(principal: Principal, selector: Selector, scope: Scope) -> None:
    principal.require(scope)
    for alias in sorted(selector.aliases or ()):
        require_alias(principal, alias)


def _sees_others(principal: Principal, selector: Selector) -> bool:
    if not selector.everything and selector.ids is None:
        return False  # of the aliases that it names it sees each
    return principal.aliases != selector.visible
