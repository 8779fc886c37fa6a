"""Watching with access rules."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import Context, Principal, Scope
from modelwire.resolvers.errors import BadUserInput, Forbidden, Unauthenticated, Unavailable
from modelwire.resolvers.subscriptions import MAX_WATCHED, watch
from modelwire.resolvers.validation import MAX_NAME_LENGTH
from modelwire.store import (
    AliasPatterns,
    Position,
    Selector,
    StoreUnavailable,
    WatchBookmark,
    WatchEvent,
    WatchSnapshot,
)


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
    longest = "\N{SNAKE}" * MAX_NAME_LENGTH
    watch(context(feed), aliases=[longest])
    with pytest.raises(BadUserInput, match=f"more than {MAX_NAME_LENGTH} characters"):
        watch(context(feed), aliases=[longest, longest + "x"])


async def test_expiry_ends_the_stream_before_the_next_event() -> None:
    feed = ScriptedFeed(EVENT, EVENT)
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(Unauthenticated, match="expired"):
        await anext(watch(context(feed, expires_at=past)))
    assert feed.closed
    future = datetime.now(UTC) + timedelta(days=1)
    assert len([event async for event in watch(context(feed, expires_at=future))]) == 2


async def test_a_renewed_token_moves_the_expiry() -> None:
    feed = ScriptedFeed(EVENT, EVENT, EVENT)
    asking = context(feed, expires_at=datetime.now(UTC) + timedelta(days=1))
    async with aclosing(watch(asking)) as events:
        await anext(events)
        asking.principal = replace(asking.principal, expires_at=None)
        await anext(events)
        asking.principal = replace(asking.principal, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        with pytest.raises(Unauthenticated, match="expired"):
            await anext(events)
    assert feed.closed


async def test_a_lost_scope_ends_the_stream_before_the_next_event() -> None:
    feed = ScriptedFeed(EVENT, EVENT)
    asking = context(feed)
    async with aclosing(watch(asking)) as events:
        await anext(events)
        asking.principal = replace(asking.principal, scopes=frozenset({Scope.MODEL_CONFIG_RESOLVE}))
        with pytest.raises(Forbidden, match="model_config:read"):
            await anext(events)
    assert feed.closed


async def test_a_lost_alias_ends_the_watches_that_name_it() -> None:
    feeds = [ScriptedFeed(EVENT, EVENT) for _ in range(2)]
    for feed, aliases in zip(feeds, (["a", "b"], ["a"]), strict=True):
        asking = context(feed)
        async with aclosing(watch(asking, aliases=aliases)) as events:
            await anext(events)
            asking.principal = replace(asking.principal, aliases=AliasPatterns(("a",)))
            if "b" in aliases:
                with pytest.raises(Forbidden, match="'b'"):
                    await anext(events)
            else:
                assert await anext(events) == EVENT
    # The other goes on as it was: of what it names it sees all.
    assert [len(feed.asked) for feed in feeds] == [1, 1]


@pytest.mark.parametrize("ids", [[], ["1"]])
async def test_other_aliases_begin_a_watch_of_all_or_of_ids_anew(ids: list[str]) -> None:
    snapshot = WatchSnapshot(Position("store", 1), ())
    feed = ScriptedFeed(snapshot, EVENT)
    asking = context(feed)
    narrow, wide = AliasPatterns(("a", "b*")), AliasPatterns()
    async with aclosing(watch(asking, ids=ids, since="store-7")) as events:
        assert await anext(events) == snapshot
        for visible in (narrow, wide):
            asking.principal = replace(asking.principal, aliases=visible)
            assert await anext(events) == replace(snapshot, reset=True)
            assert feed.asked[-1] == (Selector(ids=frozenset(ids) or None, visible=visible), None)
        # The same aliases from another token are no others.
        asking.principal = replace(asking.principal, aliases=AliasPatterns())
        assert await anext(events) == EVENT
    assert len(feed.asked) == 3


async def test_a_database_out_of_reach_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="try again later"):
        await anext(watch(context(ScriptedFeed(StoreUnavailable("the path")))))
