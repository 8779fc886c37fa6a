"""The feed on a real store: what a watch is told, in which order, and after which trouble."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from modelwire.store import (
    Change,
    Feed,
    ModelConfig,
    ModelConfigDraft,
    Position,
    Selector,
    Snapshot,
    Store,
    StoreUnavailable,
    Transaction,
    WatchBookmark,
    WatchChange,
    WatchEvent,
    WatchSnapshot,
)
from modelwire.store.mirror import Mirror

OpenAgain = Callable[[], Awaitable[Store]]

GENERAL = Selector(aliases=frozenset({"general"}))
NEVER = 3600.0


def draft(alias: str, model: str = "gpt-4o") -> ModelConfigDraft:
    return ModelConfigDraft(alias=alias, provider="openai", model=model)


@asynccontextmanager
async def feed_of(store: Store, *, poll_seconds: float = NEVER, bookmark_seconds: float = NEVER) -> AsyncIterator[Feed]:
    feed = Feed(store, poll_seconds=poll_seconds, bookmark_seconds=bookmark_seconds)
    store.on_commit(feed.committed)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def change_alias(store: Store, old: str, new: str | None, model: str = "gpt-4o") -> int:
    async with store.transaction(by="test") as transaction:
        config = await transaction.find(alias=old)
        assert config is not None
        if new is None:
            await transaction.delete(config)
        else:
            await transaction.update(config, draft(new, model))
    assert transaction.revision is not None
    return transaction.revision


async def create(store: Store, *aliases: str) -> int:
    async with store.transaction(by="test") as transaction:
        for alias in aliases:
            await transaction.create(draft(alias))
    assert transaction.revision is not None
    return transaction.revision


async def test_a_watch_begins_with_the_state_and_goes_on_with_changes(store: Store) -> None:
    async with feed_of(store) as feed, aclosing(feed.watch(GENERAL)) as watch:
        first = await anext(watch)
        assert isinstance(first, WatchSnapshot)
        assert not first.reset
        assert [config.alias for config in first.configs] == ["general"]
        assert first.position == Position(store.id, 1)
        revision = await change_alias(store, "general", "general", "gpt-5")
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert event.position == Position(store.id, revision)
        assert [(config.model, config.version, config.revision) for config in event.put] == [("gpt-5", 2, revision)]
        assert event.removed == ()


async def test_an_alias_that_does_not_exist_is_delivered_once_somebody_creates_it(store: Store) -> None:
    async with feed_of(store) as feed, aclosing(feed.watch(Selector(aliases=frozenset({"later"})))) as watch:
        first = await anext(watch)
        assert isinstance(first, WatchSnapshot)
        assert first.configs == ()
        await create(store, "sooner")
        await create(store, "later")
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert [config.alias for config in event.put] == ["later"]


async def test_one_transaction_is_one_event(store: Store) -> None:
    async with feed_of(store) as feed, aclosing(feed.watch(Selector())) as watch:
        await anext(watch)
        revision = await create(store, "a", "b", "c")
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert {config.alias for config in event.put} == {"a", "b", "c"}
        assert {config.revision for config in event.put} == {revision}


async def test_a_rename_is_a_removal_by_alias_and_an_update_by_id(store: Store) -> None:
    await create(store, "team")
    config = await store.find(alias="team")
    assert config is not None
    by_id = Selector(ids=frozenset({config.id}))
    by_alias = Selector(aliases=frozenset({"team"}))
    async with feed_of(store) as feed, aclosing(feed.watch(by_id)) as id_watch, aclosing(feed.watch(by_alias)) as watch:
        await anext(id_watch)
        await anext(watch)
        await change_alias(store, "team", "crew")
        followed, left = await anext(id_watch), await anext(watch)
        assert isinstance(followed, WatchChange)
        assert isinstance(left, WatchChange)
        assert [put.alias for put in followed.put] == ["crew"]
        assert [(gone.id, gone.alias) for gone in left.removed] == [(config.id, "team")]
        assert left.put == ()


async def test_who_does_not_read_is_told_the_last_state_only(store: Store) -> None:
    async with feed_of(store) as feed, aclosing(feed.watch(GENERAL)) as watch:
        await anext(watch)
        for number in range(20):
            last = await change_alias(store, "general", "general", f"model-{number}")
        await reached(feed, last)
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert [(config.model, config.version) for config in event.put] == [("model-19", 21)]


async def test_a_quiet_watch_says_where_it_stands(store: Store) -> None:
    async with feed_of(store, bookmark_seconds=0.01) as feed, aclosing(feed.watch(GENERAL)) as watch:
        await anext(watch)
        revision = await create(store, "elsewhere")
        await reached(feed, revision)
        assert await anext(watch) == WatchBookmark(Position(store.id, revision))


async def test_resuming_gives_what_was_missed_or_a_bookmark(store: Store) -> None:
    async with feed_of(store) as feed:
        start = Position(store.id, await store.revision())
        assert await first_event(feed.watch(GENERAL, start)) == WatchBookmark(start)
        await create(store, "elsewhere")
        last = await change_alias(store, "general", "general", "gpt-5")
        await reached(feed, last)
        event = await first_event(feed.watch(GENERAL, start))
        assert isinstance(event, WatchChange)
        assert [(config.alias, config.model) for config in event.put] == [("general", "gpt-5")]
        assert event.position.revision == last
        assert await first_event(feed.watch(GENERAL, event.position)) == WatchBookmark(event.position)


async def test_positions_that_cannot_be_resumed_from_give_a_marked_reset(store: Store) -> None:
    revision = await store.revision()
    async with feed_of(store) as feed:
        for position in (Position("another", revision), Position(store.id, revision + 1)):
            event = await first_event(feed.watch(GENERAL, position))
            assert isinstance(event, WatchSnapshot)
            assert event.reset
            assert event.position == Position(store.id, revision)


async def test_a_commit_of_another_process_is_seen_by_the_poll(store: Store, open_again: OpenAgain) -> None:
    other = await open_again()
    async with feed_of(store, poll_seconds=0.01) as feed, aclosing(feed.watch(GENERAL)) as watch:
        await anext(watch)
        await change_alias(other, "general", "general", "gpt-5")
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert [config.model for config in event.put] == ["gpt-5"]


async def test_a_position_ahead_of_this_process_is_read_up_to(store: Store, open_again: OpenAgain) -> None:
    other = await open_again()
    async with feed_of(store) as feed:
        revision = await create(other, "seen-elsewhere")
        position = Position(store.id, revision)
        assert await first_event(feed.watch(GENERAL, position)) == WatchBookmark(position)


class UnreliableLog:
    """A store that cannot be read for a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.error: Exception | None = None
        self.failures = 0
        self.failed = asyncio.Event()

    @property
    def id(self) -> str:
        return self._store.id

    @property
    def mirror(self) -> Mirror:
        return self._store.mirror

    async def load_mirror(self) -> int:
        return await self._store.load_mirror()

    async def snapshot(self, selector: Selector) -> Snapshot:
        return await self._store.snapshot(selector)

    async def changes(self, *, after: int, concerning: Selector | None = None) -> list[Change]:
        if self.error is not None:
            self.failed.set()
            raise self.error
        return await self._store.changes(after=after, concerning=concerning)

    async def follow_commits(self, wake: Callable[[], None], *, poll_seconds: float) -> None:
        await self._store.follow_commits(wake, poll_seconds=poll_seconds)


async def test_a_log_that_cannot_be_read_for_a_while_loses_nothing(store: Store) -> None:
    for error in (StoreUnavailable("away"), RuntimeError("a bug")):
        log = UnreliableLog(store)
        feed = Feed(log, poll_seconds=0.01)
        await feed.start()
        try:
            async with aclosing(feed.watch(GENERAL)) as watch:
                await anext(watch)
                log.error = error
                await log.failed.wait()
                await change_alias(store, "general", "general", f"after {error}")
                log.error = None
                event = await anext(watch)
                assert isinstance(event, WatchChange)
                assert [config.model for config in event.put] == [f"after {error}"]
                assert feed.error is None
        finally:
            await feed.stop()


async def test_subscribers_that_come_and_go_among_writers_end_with_the_truth(store: Store) -> None:
    dice = random.Random(7)
    aliases = ["general", "planning", "a", "b", "c"]
    selectors = [GENERAL, Selector(), Selector(aliases=frozenset({"a", "b"})), Selector(aliases=frozenset({"c"}))]
    async with feed_of(store, bookmark_seconds=0.05) as feed, asyncio.TaskGroup() as group:
        subscribers = [Subscriber(feed, selectors[number % len(selectors)], dice) for number in range(12)]
        tasks = [group.create_task(subscriber.run()) for subscriber in subscribers]
        for _ in range(120):
            async with store.transaction(by="test") as transaction:
                for alias in dice.sample(aliases, 2):
                    await change_at_random(transaction, alias, dice)
            await asyncio.sleep(0)
        last = await store.revision()
        for subscriber in subscribers:
            await subscriber.reached(last)
        for task in tasks:
            task.cancel()
    for subscriber in subscribers:
        truth = await store.snapshot(subscriber.selector)
        assert sorted(subscriber.replica.values(), key=lambda config: config.alias) == list(truth.configs)


async def change_at_random(transaction: Transaction, alias: str, dice: random.Random) -> None:
    config = await transaction.find(alias=alias)
    if config is None:
        await transaction.create(draft(alias))
    elif dice.random() < 0.3:
        await transaction.delete(config)
    else:
        await transaction.update(config, draft(alias, f"model-{dice.random()}"))


class Subscriber:
    """Reads, cuts its watch at random and resumes; checks that positions only grow and no version comes twice."""

    def __init__(self, feed: Feed, selector: Selector, dice: random.Random) -> None:
        self.selector = selector
        self.replica: dict[str, ModelConfig] = {}
        self._feed = feed
        self._dice = dice
        self._position: Position | None = None
        self._moved = asyncio.Condition()

    async def run(self) -> None:
        while True:
            async with aclosing(self._feed.watch(self.selector, self._position)) as watch:
                async for event in watch:
                    await self._apply(event)
                    if self._dice.random() < 0.3:
                        break

    async def reached(self, revision: int) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: self._position is not None and self._position.revision >= revision)

    async def _apply(self, event: WatchEvent) -> None:
        assert self._position is None or event.position.revision >= self._position.revision
        if isinstance(event, WatchSnapshot):
            assert not event.reset
            self.replica = {config.id: config for config in event.configs}
        elif isinstance(event, WatchChange):
            for gone in event.removed:
                del self.replica[gone.id]
            for put in event.put:
                assert put.revision <= event.position.revision
                assert put.id not in self.replica or put.version > self.replica[put.id].version
                self.replica[put.id] = put
        async with self._moved:
            self._position = event.position
            self._moved.notify_all()


async def first_event(watch: AsyncGenerator[WatchEvent, None]) -> WatchEvent:
    async with aclosing(watch):
        return await anext(watch)


async def reached(feed: Feed, revision: int) -> None:
    """Wait until the feed has told its watches of this revision: a snapshot is never ahead of them."""
    event = await first_event(feed.watch(Selector()))
    assert event.position.revision >= revision


async def test_what_is_current_holds_all_that_was_committed_before_and_is_read_once_for_all(
    store: Store, open_again: OpenAgain
) -> None:
    other = await open_again()
    async with feed_of(store) as feed:
        revision = await change_alias(other, "general", "general", "m1")
        readings = 0
        changes = store.changes

        async def counted(*, after: int, concerning: Selector | None = None) -> list[Change]:
            nonlocal readings
            readings += 1
            return await changes(after=after, concerning=concerning)

        store.changes = counted  # type: ignore[method-assign]
        positions = await asyncio.gather(*(feed.current() for _ in range(50)))
        assert set(positions) == {Position(store.id, revision)}
        # The feed reads by itself, too, when it hears of a commit.
        assert readings < 5
        # Who is cancelled does not take it from the others.
        impatient, patient = asyncio.create_task(feed.current()), asyncio.create_task(feed.current())
        await asyncio.sleep(0)
        impatient.cancel()
        assert await patient == Position(store.id, revision)
        assert readings < 10


async def test_what_is_current_waits_for_whose_access_was_taken_away(store: Store) -> None:
    async with feed_of(store) as feed:

        async def broken() -> None:
            raise StoreUnavailable("it cannot be told who may not read any more")

        feed.deliver_after(broken)
        with pytest.raises(StoreUnavailable):
            await feed.current()


async def test_what_is_current_is_what_is_known_while_the_log_cannot_be_read(store: Store) -> None:
    async with feed_of(store) as feed:
        known = await feed.current()

        async def away(*, after: int, concerning: Selector | None = None) -> list[Change]:
            raise StoreUnavailable("the database is away")

        store.changes = away  # type: ignore[method-assign]
        assert await feed.current() == known
