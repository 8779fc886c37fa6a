"""Watching with access rules."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import Context, Principal, Scope
from modelwire.resolvers.errors import BadUserInput, Forbidden, Unauthenticated, Unavailable
from modelwire.resolvers.subscriptions import MAX_WATCHED, watch
from modelwire.store import AliasPatterns, Position, Selector, StoreUnavailable, WatchBookmark, WatchEvent


class ScriptedFeed:
    """Gives the events it is told to; an exception among them is raised."""

    def __init__(self, *events: WatchEvent | Exception) -> None:
        self.events = events
        self.asked: list[tuple[Selector, Position | None]] = []
        self.closed = False

    async def watch(self, selector: Selector, since: Position | None = None) -> AsyncGenerator[WatchEvent, None]:
        self.asked.append((selector, since))
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True


EVENT = WatchBookmark(Position("store", 1))


def context(feed: ScriptedFeed, **fields: Any) -> Any:
    principal = Principal(**({"subject": "s", "name": "n", "scopes": frozenset({Scope.MODEL_CONFIG_READ})} | fields))
    return Context(principal, None, feed)  # type: ignore[arg-type]


async def test_what_is_named_is_watched_within_what_is_visible() -> None:
    feed, visible = ScriptedFeed(EVENT), AliasPatterns(("a*",))
    events = watch(context(feed, aliases=visible), ids=["1"], aliases=["ab"], since="store-7")
    async with aclosing(events):
        assert await anext(events) == EVENT
    selector = Selector(ids=frozenset({"1"}), aliases=frozenset({"ab"}), visible=visible)
    assert feed.asked == [(selector, Position("store", 7))]
    assert feed.closed


async def test_nothing_named_is_all() -> None:
    feed = ScriptedFeed(EVENT)
    assert [event async for event in watch(context(feed))] == [EVENT]
    assert feed.asked == [(Selector(), None)]


def test_refusals_come_at_once() -> None:
    """Before the generator is asked for anything, so that they answer the subscribe itself."""
    feed = ScriptedFeed()
    with pytest.raises(Forbidden, match="model_config:read"):
        watch(context(feed, scopes=frozenset()))
    with pytest.raises(Forbidden, match="'b'"):
        watch(context(feed, aliases=AliasPatterns(("a",))), aliases=["a", "b"])
    with pytest.raises(BadUserInput, match="since"):
        watch(context(feed), since="yesterday")
    with pytest.raises(BadUserInput, match=str(MAX_WATCHED)):
        watch(context(feed), aliases=[str(number) for number in range(MAX_WATCHED + 1)])
    with pytest.raises(BadUserInput, match="control character"):
        watch(context(feed), ids=["\ud800"])


async def test_expiry_ends_the_stream_before_the_next_event() -> None:
    feed = ScriptedFeed(EVENT, EVENT)
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(Unauthenticated, match="expired"):
        await anext(watch(context(feed, expires_at=past)))
    assert feed.closed
    future = datetime.now(UTC) + timedelta(days=1)
    assert len([event async for event in watch(context(feed, expires_at=future))]) == 2


async def test_a_database_out_of_reach_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="try again later"):
        await anext(watch(context(ScriptedFeed(StoreUnavailable("the path")))))
