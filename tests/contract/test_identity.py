"""A store that gets another identity under running watches, as a restore gives it: a marked reset, not silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from modelwire.store import (
    Feed,
    ModelConfigDraft,
    Position,
    Selector,
    Store,
    WatchBookmark,
    WatchChange,
    WatchSnapshot,
    renew_identity,
    verify_audit_log,
)

NEVER = 3600.0
EVERYTHING = Selector()
GENERAL = Selector(aliases=frozenset({"general"}))


@asynccontextmanager
async def feed_of(store: Store, *, poll_seconds: float = 0.01) -> AsyncIterator[Feed]:
    feed = Feed(store, poll_seconds=poll_seconds, bookmark_seconds=NEVER)
    store.on_commit(feed.committed)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def create(store: Store, alias: str) -> int:
    async with store.transaction(by="test") as transaction:
        await transaction.create(ModelConfigDraft(alias=alias, provider="openai", model="m"))
    assert transaction.revision is not None
    return transaction.revision


async def renew(url: str) -> str:
    return await asyncio.to_thread(renew_identity, url)


async def test_every_watch_gets_a_marked_reset(store: Store, url: str) -> None:
    old = store.id
    async with (
        feed_of(store) as feed,
        aclosing(feed.watch(EVERYTHING)) as everything,
        aclosing(feed.watch(GENERAL)) as general,
        aclosing(feed.watch(Selector(ids=frozenset({"nobody"})))) as nobody,
    ):
        watches = {"everything": everything, "general": general, "nobody": nobody}
        for watch in watches.values():
            assert (await anext(watch)).position == Position(old, 1)
        new = await renew(url)
        assert new != old
        for name, aliases in (("everything", ["general", "planning"]), ("general", ["general"]), ("nobody", [])):
            event = await anext(watches[name])
            assert isinstance(event, WatchSnapshot)
            assert event.reset
            assert event.position == Position(new, 1)
            assert [config.alias for config in event.configs] == aliases
        assert store.id == new
        revision = await create(store, "later")
        change = await anext(everything)
        assert isinstance(change, WatchChange)
        assert change.position == Position(new, revision)


async def test_the_audit_log_says_that_an_older_state_was_put_in_place(store: Store, url: str) -> None:
    revision = await create(store, "a")
    await renew(url)
    restored, created = await store.audit_log.page(first=10)
    assert (created.action, restored.action) == ("model_config.create", "store.restore")
    assert (restored.actor, restored.details) == ("system", {"revision": revision})
    assert (await verify_audit_log(url)).problems == ()


async def test_what_was_not_read_yet_is_dropped_for_the_reset(store: Store, url: str) -> None:
    async with (
        feed_of(store, poll_seconds=NEVER) as feed,
        aclosing(feed.watch(EVERYTHING)) as watch,
        aclosing(feed.watch(EVERYTHING)) as reader,
    ):
        for each in (watch, reader):
            await anext(each)
        await create(store, "a")
        await anext(reader)
        new = await renew(url)
        await create(store, "b")
        event = await anext(watch)
        while event.position.store_id != new:
            event = await anext(watch)
        assert isinstance(event, WatchSnapshot)
        assert event.reset
        assert [config.alias for config in event.configs] == ["a", "b", "general", "planning"]


async def test_positions_before_and_after_are_told_apart(
    store: Store, url: str, open_again: Callable[[], Awaitable[Store]]
) -> None:
    revision = await create(store, "a")
    before = Position(store.id, revision)
    after = Position(await renew(url), revision)
    restarted = await open_again()
    assert restarted.id == after.store_id
    async with feed_of(store, poll_seconds=NEVER) as running, feed_of(restarted, poll_seconds=NEVER) as fresh:
        # The feed that was there may learn of it by the one who asks.
        for feed in (running, fresh):
            async with aclosing(feed.watch(EVERYTHING, since=before)) as watch:
                event = await anext(watch)
                while event.position.store_id != after.store_id:
                    feed.wake()
                    event = await anext(watch)
                assert isinstance(event, WatchSnapshot)
                assert event.reset
                assert event.position == after
            async with aclosing(feed.watch(EVERYTHING, since=after)) as watch:
                assert await anext(watch) == WatchBookmark(after)


async def test_a_snapshot_names_the_store_that_it_is_of(store: Store, url: str) -> None:
    assert (await store.snapshot(EVERYTHING)).store_id == store.id
    new = await renew(url)
    snapshot = await store.snapshot(EVERYTHING)
    assert (snapshot.store_id, store.id) == (new, new)
