"""Reads while the database is away: what the feed has seen is told, and nothing that it has not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import pytest
from outage import away

from modelwire.store import (
    AliasPatterns,
    ApiKey,
    DatabaseOptions,
    Feed,
    Keyring,
    Listing,
    ModelConfigDraft,
    OrderBy,
    Position,
    Selector,
    Store,
    StoreUnavailable,
    WatchBookmark,
    WatchChange,
    WatchSnapshot,
    open_store,
)

GENERAL = Selector(aliases=frozenset({"general"}))
KEY = ApiKey(
    id="k3j9x2q8ab",
    name="x",
    scopes=frozenset(),
    aliases=AliasPatterns(),
    created_at=datetime.now(UTC),
    created_by="x",
    secret_hash="0" * 64,
)


async def write(store: Store, *drafts: ModelConfigDraft) -> int:
    async with store.transaction(by="test") as transaction:
        for draft in drafts:
            config = await transaction.find(alias=draft.alias)
            if config is None:
                await transaction.create(draft)
            else:
                await transaction.update(config, draft)
    assert transaction.revision is not None
    return transaction.revision


async def delete(store: Store, alias: str) -> None:
    async with store.transaction(by="test") as transaction:
        config = await transaction.find(alias=alias)
        assert config is not None
        await transaction.delete(config)


@asynccontextmanager
async def feed_of(store: Store, bookmark_seconds: float = 3600.0) -> AsyncIterator[Feed]:
    feed = Feed(store, poll_seconds=0.01, bookmark_seconds=bookmark_seconds)
    store.on_commit(feed.committed)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def caught_up(feed: Feed, revision: int) -> None:
    async with aclosing(feed.watch(Selector(), Position(feed._store_id, 0))) as watch:
        while (await anext(watch)).position.revision < revision:
            pass


async def test_reads_are_answered_as_the_database_answered_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    async with feed_of(store) as feed:
        for alias in ("b", "B", "é", "a/1", "\U0001f600"):
            draft = ModelConfigDraft(alias=alias, provider=dice.choice(["openai", "azure", None]), model=alias * 2)
            await write(store, draft)
        await delete(store, "b")
        await caught_up(feed, await write(store, ModelConfigDraft(alias="general", model="gpt-5")))
        everything = (await store.snapshot(Selector())).configs
        selectors = [Selector(), GENERAL, Selector(ids=frozenset({everything[0].id})), Selector(ids=frozenset())]
        listings = [
            Listing(order_by=order, descending=descending, search=search, provider=provider, configured=configured)
            for order in OrderBy
            for descending in (False, True)
            for search, provider, configured in ((None, None, None), ("É", None, None), (None, "openai", True))
        ] + [Listing(visible=AliasPatterns(("a*", "general"))), Listing(is_default=True), Listing(is_default=False)]

        async def answers() -> list[object]:
            told: list[object] = [await store.snapshot(selector) for selector in selectors]
            for listing in listings:
                first = await store.page(listing, first=2)
                told.append(first)
                if first:
                    told.append(await store.page(listing, first=3, after=listing.place_of(first[-1])))
            told += [await store.find(id=everything[1].id), await store.find(alias="b"), await store.find(alias="é")]
            return told

        before = await answers()
        async with away(store, monkeypatch):
            assert await answers() == before
            with pytest.raises(StoreUnavailable):
                await write(store, ModelConfigDraft(alias="c"))
            with pytest.raises(StoreUnavailable):
                await store.history(everything[0].id, first=1)
        assert await answers() == before


async def test_new_watches_begin_with_what_the_feed_has_seen(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with feed_of(store, bookmark_seconds=0.01) as feed:
        start = Position(store.id, await store.revision())
        seen = await write(store, ModelConfigDraft(alias="general", model="seen"))
        await caught_up(feed, seen)
        async with away(store, monkeypatch):
            unseen = await write(other_store, ModelConfigDraft(alias="general", model="unseen"))
            async with aclosing(feed.watch(GENERAL)) as watch:
                first = await anext(watch)
                assert isinstance(first, WatchSnapshot)
                assert [config.model for config in first.configs] == ["seen"]
                # It claims no more than it knows.
                assert await anext(watch) == WatchBookmark(Position(store.id, seen)) == WatchBookmark(first.position)
            async with aclosing(feed.watch(GENERAL, Position(store.id, seen))) as watch:
                assert await anext(watch) == WatchBookmark(Position(store.id, seen))
            async with aclosing(feed.watch(GENERAL, start)) as behind:
                event = await anext(behind)
                assert isinstance(event, WatchSnapshot)
                assert event.reset
            # Who knows more than this server is told nothing older.
            async with aclosing(feed.watch(GENERAL, Position(store.id, unseen))) as ahead:
                with pytest.raises(StoreUnavailable):
                    await anext(ahead)
        async with aclosing(feed.watch(GENERAL, Position(store.id, seen))) as watch:
            while isinstance(change := await anext(watch), WatchBookmark):
                pass
            assert isinstance(change, WatchChange)
            assert [config.model for config in change.put] == ["unseen"]


async def test_with_too_many_configs_none_is_kept(
    url: str, backend: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = await open_store(url, Keyring.parse("A" * 43), DatabaseOptions(mirror_configs=3))
    try:
        async with feed_of(store) as feed:
            await caught_up(feed, await write(store, ModelConfigDraft(alias="a")))
            async with away(store, monkeypatch):
                assert len((await store.snapshot(Selector())).configs) == 3
            await caught_up(feed, await write(store, ModelConfigDraft(alias="b")))
            assert "more than 3 configs" in caplog.text
            async with away(store, monkeypatch):
                with pytest.raises(StoreUnavailable):
                    await store.snapshot(Selector())
        async with feed_of(store), away(store, monkeypatch):
            with pytest.raises(StoreUnavailable):
                await store.find(alias="a")
    finally:
        await store.close()


async def test_keys_are_believed_in_for_a_while(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.api_keys.add(KEY)
    async with away(store, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await store.api_keys.find(KEY.id)
    assert await store.api_keys.find(KEY.id) == KEY
    async with away(store, monkeypatch):
        assert await store.api_keys.find(KEY.id) == KEY
        with pytest.raises(StoreUnavailable):
            await store.api_keys.find("unknown")
        monkeypatch.setattr("modelwire.store.api_keys.MEMORY_SECONDS", -1.0)
        with pytest.raises(StoreUnavailable):
            await store.api_keys.find(KEY.id)


async def test_a_closed_store_remembers_nothing(open_again: Callable[[], Awaitable[Store]]) -> None:
    store = await open_again()
    async with feed_of(store):
        pass
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.snapshot(Selector())
