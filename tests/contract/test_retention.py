"""What the change log forgets, and what it must not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from modelwire.store import (
    Compacted,
    Feed,
    ModelConfig,
    ModelConfigDraft,
    Position,
    Retention,
    Secrets,
    Selector,
    Store,
    WatchBookmark,
    WatchChange,
    WatchSnapshot,
)
from modelwire.store.retention import compact
from modelwire.store.tables import model_config_changes

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=365)
EVERYTHING = Retention(since=NOW + timedelta(days=1), min_versions=1)


async def write(store: Store, alias: str, versions: int) -> ModelConfig:
    """A config with so many versions, each in a transaction of its own."""
    config = await store.find(alias=alias)
    for number in range(versions):
        async with store.transaction(by="x") as transaction:
            draft = ModelConfigDraft(alias=alias, model=f"m{number}", secrets=Secrets(auth={"api_key": f"{number}"}))
            config = await (transaction.update(config, draft) if config else transaction.create(draft))
    assert config is not None
    return config


async def remove(store: Store, alias: str) -> int:
    async with store.transaction(by="x") as transaction:
        config = await transaction.find(alias=alias)
        assert config is not None
        return (await transaction.delete(config)).revision


async def make_old(store: Store, *, up_to: int, config_id: str | None = None) -> None:
    statement = update(model_config_changes).where(model_config_changes.c.revision <= up_to).values(changed_at=LONG_AGO)
    if config_id is not None:
        statement = statement.where(model_config_changes.c.config_id == config_id)
    async with store._database.write() as connection:
        await connection.execute(statement)


async def compacted(store: Store, *, days: float = 90, min_versions: int = 1, batch_rows: int = 500) -> list[int]:
    retention = Retention(since=NOW - timedelta(days=days), min_versions=min_versions)
    return [rows async for rows in compact(store._database, retention, batch_rows=batch_rows)]


async def kept(store: Store, config_id: str) -> list[int]:
    return [change.version for change in await store.history(config_id, first=100)]


async def test_nothing_goes_before_its_time(store: Store) -> None:
    config = await write(store, "a", 5)
    await remove(store, "a")
    assert await compacted(store) == []
    assert await kept(store, config.id) == [6, 5, 4, 3, 2, 1]
    assert await store.compacted_revision() == 0


async def test_versions_are_kept_by_age_and_by_number(store: Store) -> None:
    many, few = await write(store, "many", 8), await write(store, "few", 3)
    await make_old(store, up_to=many.revision - 2)
    await make_old(store, up_to=few.revision, config_id=few.id)
    before = await store.snapshot(Selector())
    assert await compacted(store, min_versions=3) == [5]
    # Three of eight because of their number; the newest two are young besides.
    assert await kept(store, many.id) == [8, 7, 6]
    assert await kept(store, few.id) == [3, 2, 1]
    assert await compacted(store, min_versions=1) == [3]
    # Two of them because of their age.
    assert await kept(store, many.id) == [8, 7]
    assert await kept(store, few.id) == [3]
    assert await store.snapshot(Selector()) == before
    assert store.open_secrets(few).auth == {"api_key": "2"}


async def test_the_current_version_stays_however_old_it_is(store: Store) -> None:
    before = await store.snapshot(Selector())
    await make_old(store, up_to=await store.revision())
    assert await compacted(store) == []
    assert (await store.snapshot(Selector())).configs[0].alias == before.configs[0].alias
    with pytest.raises(ValueError, match="min_versions"):
        Retention(since=NOW, min_versions=0)


async def test_a_deleted_config_goes_whole_when_its_deletion_is_old(store: Store) -> None:
    old, young = await write(store, "old", 4), await write(store, "young", 4)
    old_deletion = await remove(store, "old")
    await make_old(store, up_to=old_deletion)
    young_deletion = await remove(store, "young")
    # The number of versions is for configs that there are.
    assert await compacted(store, min_versions=100) == [5]
    assert await kept(store, old.id) == []
    assert await kept(store, young.id) == [5, 4, 3, 2, 1]
    assert await store.compacted_revision() == old_deletion
    assert [change.revision for change in await store.changes(after=old_deletion)] == [young_deletion]


async def test_the_mark_is_the_newest_of_what_went(store: Store) -> None:
    first = await write(store, "a", 3)
    await write(store, "b", 1)
    await make_old(store, up_to=first.revision)
    await compacted(store)
    assert await store.compacted_revision() == first.revision - 1
    await write(store, "c", 2)
    await compacted(store)
    assert await store.compacted_revision() == first.revision - 1


async def test_batches_are_transactions_of_their_own(store: Store) -> None:
    config = await write(store, "a", 10)
    await write(store, "b", 4)
    await remove(store, "b")
    await make_old(store, up_to=await store.revision())
    run = compact(store._database, Retention(since=NOW, min_versions=1), batch_rows=3)
    assert await anext(run) == 3
    # Others see the batch and the mark together, and write in between.
    assert await kept(store, config.id) == [10, 9, 8, 7, 6, 5, 4]
    assert await store.compacted_revision() == config.revision - 7
    config = await write(store, "a", 1)
    # The one that was current when the run began is among them: it is old, and current no more.
    assert [rows async for rows in run] == [3, 3, 1, 3, 2]
    assert await kept(store, config.id) == [11]
    assert await store.compacted_revision() == config.revision - 1


async def test_a_batch_that_is_interrupted_leaves_nothing_half_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = await write(store, "a", 5)
    await make_old(store, up_to=config.revision)
    monkeypatch.setattr("modelwire.store.retention.update", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await compacted(store)
    assert await kept(store, config.id) == [5, 4, 3, 2, 1]
    assert await store.compacted_revision() == 0


async def test_many_servers_compact_beside_writers(store: Store, open_again: Callable[[], Awaitable[Store]]) -> None:
    others = [await open_again() for _ in range(3)]
    config = await write(store, "a", 40)
    await make_old(store, up_to=config.revision)

    async def run(each: Store) -> int:
        return sum(await compacted(each, min_versions=5, batch_rows=2))

    *counts, newest = await asyncio.gather(*(run(each) for each in [store, *others]), write(store, "a", 10))
    await run(store)
    assert sum(counts) <= 45
    assert newest.version == 50
    # The ten new ones are young; of the old ones none is among the last five.
    assert await kept(store, config.id) == list(range(50, 40, -1))
    assert await store.compacted_revision() == config.revision


async def test_a_position_from_before_the_mark_gets_a_marked_reset(store: Store) -> None:
    start = Position(store.id, await store.revision())
    await write(store, "gone", 1)
    deletion = await remove(store, "gone")
    await make_old(store, up_to=deletion)
    later = await write(store, "here", 1)
    feed = Feed(store, poll_seconds=3600)
    await feed.start()
    try:
        assert await compacted(store) == [2]
        assert await store.compacted_revision() == deletion
        event = await first_event(feed, start)
        assert isinstance(event, WatchSnapshot)
        assert event.reset
        assert {config.alias for config in event.configs} == {"general", "planning", "here"}
        # One behind the mark has all that it needs.
        event = await first_event(feed, Position(store.id, deletion))
        assert isinstance(event, WatchChange)
        assert event.put == (later,)
        assert isinstance(await first_event(feed, Position(store.id, later.revision)), WatchBookmark)
    finally:
        await feed.stop()


async def test_changes_that_are_gone_are_not_passed_over(store: Store) -> None:
    start = await store.revision()
    await write(store, "gone", 1)
    deletion = await remove(store, "gone")
    await make_old(store, up_to=deletion)
    assert sum(await compacted(store, min_versions=1)) > 0
    with pytest.raises(Compacted):
        await store.changes(after=start)
    assert await store.changes(after=deletion) == []


async def first_event(feed: Feed, since: Position) -> Any:
    async with aclosing(feed.watch(Selector(), since)) as watch:
        return await anext(watch)


async def test_what_is_left_after_any_compaction_resumes_or_resets_to_the_truth(store: Store) -> None:
    positions = [Position(store.id, await store.revision())]
    states: dict[int, dict[str, int]] = {positions[0].revision: await state_of(store)}
    for round_ in range(6):
        await write(store, f"config-{round_ % 3}", 2)
        if round_ == 3:
            await remove(store, "config-0")
        positions.append(Position(store.id, await store.revision()))
        states[positions[-1].revision] = await state_of(store)
    feed = Feed(store, poll_seconds=3600)
    await feed.start()
    try:
        for old in positions:
            await make_old(store, up_to=old.revision)
            await compacted(store)
            for since in positions:
                event = await first_event(feed, since)
                assert await applied(event, states[since.revision]) == await state_of(store)
    finally:
        await feed.stop()


async def state_of(store: Store) -> dict[str, int]:
    return {config.id: config.version for config in (await store.snapshot(Selector())).configs}


async def applied(event: Any, state: dict[str, int]) -> dict[str, int]:
    if isinstance(event, WatchSnapshot):
        assert event.reset
        return {config.id: config.version for config in event.configs}
    if isinstance(event, WatchBookmark):
        return state
    gone = {removed.id for removed in event.removed}
    put = {config.id: config.version for config in event.put}
    return {config_id: version for config_id, version in {**state, **put}.items() if config_id not in gone}
