"""The feed's races, on a log in memory whose answers come at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from stored import NOW, model_config

from modelwire.store import (
    Change,
    Commit,
    Compacted,
    Feed,
    Operation,
    Position,
    Selector,
    Snapshot,
    StoreUnavailable,
    WatchChange,
    WatchEvent,
    WatchSnapshot,
)
from modelwire.store.mirror import Mirror


class MemoryLog:
    """A change log in a list."""

    id = "memory"

    def __init__(self) -> None:
        self.log: list[Change] = []
        self.compacted = 0
        self.readings = 0
        self.mirror = Mirror(0)

    async def load_mirror(self) -> int:
        return len(self.log)

    async def changes(self, *, after: int, concerning: Selector | None = None) -> list[Change]:
        self.readings += 1
        if after < self.compacted:
            raise Compacted
        return self.log[after:]

    async def follow_commits(self, wake: Callable[[], None], *, poll_seconds: float) -> None:
        await asyncio.Event().wait()

    async def snapshot(self, selector: Selector) -> Snapshot:
        return Snapshot(store_id=self.id, revision=len(self.log), configs=())

    def write(self, alias: str) -> Commit:
        revision = len(self.log) + 1
        config = model_config(f"id-{alias}", alias, revision=revision)
        self.log.append(
            Change(
                revision=revision,
                config_id=config.id,
                version=1,
                operation=Operation.CREATE,
                previous_alias=None,
                config=config,
                at=NOW,
                by="test",
            )
        )
        return Commit(Position(self.id, revision), tuple(self.log[-1:]))


async def test_a_change_that_comes_in_the_moment_of_a_bookmark_is_told_and_not_skipped() -> None:
    log = MemoryLog()
    feed = Feed(log, poll_seconds=3600.0, bookmark_seconds=0.02)
    loop = asyncio.get_running_loop()

    def commit_and_read() -> None:
        log.write("a")
        reading = feed._read()
        try:
            reading.send(None)
        except StopIteration:
            return
        raise AssertionError("the log in memory answers at once")

    # Not started: this test reads for it.
    feed._store_id = log.id
    async with aclosing(feed.watch(Selector())) as watch:
        await anext(watch)
        following = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        # Both are due in one turn of the loop: first the time for a bookmark, then the change, then the watch wakes.
        loop.call_later(0.021, commit_and_read)
        time.sleep(0.05)  # noqa: ASYNC251 - the loop has to be late
        event = await following
    assert isinstance(event, WatchChange)
    assert [config.alias for config in event.put] == ["a"]


async def test_a_feed_that_stood_still_for_longer_than_changes_are_kept_tells_the_state_anew() -> None:
    log = MemoryLog()
    feed = Feed(log, poll_seconds=3600.0)
    await feed.start()
    try:
        async with aclosing(feed.watch(Selector())) as watch:
            await anext(watch)
            log.write("a")
            log.write("b")
            log.compacted = 1
            feed.wake()
            event = await anext(watch)
            assert isinstance(event, WatchSnapshot)
            assert event.reset
            assert event.position.revision == feed.revision == 2
    finally:
        await feed.stop()


async def aliases_of(watch: AsyncGenerator[WatchEvent, None]) -> list[str]:
    event = await anext(watch)
    assert isinstance(event, WatchChange)
    return [config.alias for config in event.put]


@asynccontextmanager
async def reading_feed(log: MemoryLog) -> AsyncIterator[tuple[Feed, AsyncGenerator[WatchEvent, None]]]:
    """A feed that has read the log, in which one config was created, and a watch that was told of it."""
    feed = Feed(log, poll_seconds=3600.0)
    await feed.start()
    try:
        async with asyncio.timeout(120), aclosing(feed.watch(Selector())) as watch:
            await anext(watch)
            log.write("first")
            feed.wake()
            assert await aliases_of(watch) == ["first"]
            yield feed, watch
    finally:
        await feed.stop()


async def test_what_this_process_committed_is_told_without_a_look_at_the_log() -> None:
    log = MemoryLog()
    async with reading_feed(log) as (feed, watch):
        readings = log.readings
        feed.committed(log.write("a"))
        assert await aliases_of(watch) == ["a"]
        feed.committed(log.write("b"))
        feed.committed(log.write("c"))
        assert await aliases_of(watch) == ["b", "c"]
        assert log.readings == readings
        assert feed.revision == 4


@pytest.mark.parametrize("heard", [[1], [2, 0], [1, 2], [0, 2]])
async def test_the_log_tells_what_was_committed_between_the_commits_of_this_process(heard: list[int]) -> None:
    log = MemoryLog()
    async with reading_feed(log) as (feed, watch):
        commits = [log.write(alias) for alias in "abc"]
        for number in heard:
            feed.committed(commits[number])
        assert await aliases_of(watch) == ["a", "b", "c"]


@pytest.mark.parametrize("late", [0, 1])
async def test_a_commit_that_is_heard_of_late_is_not_told_again(late: int) -> None:
    log = MemoryLog()
    async with reading_feed(log) as (feed, watch):
        commits = [log.write(alias) for alias in "ab"]
        feed.wake()
        assert await aliases_of(watch) == ["a", "b"]
        feed.committed(commits[late])
        feed.committed(log.write("c"))
        assert await aliases_of(watch) == ["c"]


async def test_more_commits_than_are_remembered_are_told_all() -> None:
    log = MemoryLog()
    async with reading_feed(log) as (feed, watch):
        aliases = [f"alias-{number}" for number in range(1000)]
        for alias in aliases:
            feed.committed(log.write(alias))
        assert await aliases_of(watch) == aliases


async def test_a_commit_to_another_store_is_not_told_as_one_of_this_store() -> None:
    log = MemoryLog()
    async with reading_feed(log) as (feed, watch):
        commit = log.write("b")
        log.id = "restored"
        feed.committed(replace(commit, position=Position(log.id, commit.position.revision)))
        event = await anext(watch)
        assert isinstance(event, WatchSnapshot)
        assert event.reset
        assert event.position.store_id == "restored"


class Gate:
    """What is awaited before anything is delivered: `entered` counts, and it is passed when `open` is set."""

    def __init__(self) -> None:
        self.entered: asyncio.Queue[None] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def settle(self) -> None:
        self.entered.put_nowait(None)
        await self.open.wait()
        if self.error is not None:
            raise self.error


async def test_nothing_is_delivered_before_it_is_settled_who_may_still_hear_it() -> None:
    log, gate = MemoryLog(), Gate()
    feed = Feed(log, poll_seconds=0.001)
    feed.deliver_after(gate.settle)
    await feed.start()
    try:
        async with asyncio.timeout(120), aclosing(feed.watch(Selector())) as watch:
            await anext(watch)
            gate.open.clear()
            log.write("a")
            feed.wake()
            while not gate.entered.empty():
                gate.entered.get_nowait()
            await gate.entered.get()
            following = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            assert feed.revision == 0
            assert not following.done()
            # As long as it cannot be told, they wait.
            gate.error = StoreUnavailable("away")
            gate.open.set()
            for _ in range(3):
                await gate.entered.get()
            assert feed.revision == 0
            assert not following.done()
            gate.error = None
            change = await following
            assert isinstance(change, WatchChange)
            assert [config.alias for config in change.put] == ["a"]
    finally:
        await feed.stop()


async def test_a_first_event_is_not_delivered_before_it_is_settled_who_may_hear_it() -> None:
    log, gate = MemoryLog(), Gate()
    feed = Feed(log, poll_seconds=3600.0)
    await feed.start()
    feed.deliver_after(gate.settle)
    try:
        gate.error = StoreUnavailable("away")
        for since in (None, Position(log.id, 0)):
            async with aclosing(feed.watch(Selector(), since)) as watch:
                with pytest.raises(StoreUnavailable):
                    await anext(watch)
    finally:
        await feed.stop()


async def test_a_reset_is_not_delivered_before_it_is_settled_who_may_hear_it() -> None:
    log, gate = MemoryLog(), Gate()
    feed = Feed(log, poll_seconds=0.001)
    feed.deliver_after(gate.settle)
    await feed.start()
    try:
        async with asyncio.timeout(120), aclosing(feed.watch(Selector())) as watch:
            await anext(watch)
            gate.error = StoreUnavailable("away")
            log.write("a")
            log.compacted = 1
            feed.wake()
            following = asyncio.ensure_future(anext(watch))
            while not gate.entered.empty():
                gate.entered.get_nowait()
            for _ in range(3):
                await gate.entered.get()
            assert not following.done()
            gate.error = None
            event = await following
            assert isinstance(event, WatchSnapshot)
            assert event.reset
    finally:
        await feed.stop()
