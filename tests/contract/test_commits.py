"""Hearing of the commits of other processes, and what a resume reads of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Protocol

import psycopg
import pytest
from sqlalchemy import text

from modelwire.store import (
    AuditAction,
    AuditEvent,
    Feed,
    Keyring,
    ModelConfigDraft,
    Selector,
    Store,
    Transaction,
    WatchChange,
    open_store,
)
from modelwire.store.change_log import find_changes
from modelwire.store.watch import Watch, WatchIndex

NEVER = 3600.0
LISTENERS = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


class Backend(Protocol):
    name: str
    open: Callable[[str], Any]


async def create(store: Store, *aliases: str) -> None:
    async with store.transaction(by="test") as transaction:
        for alias in aliases:
            await transaction.create(ModelConfigDraft(alias=alias))


class Wakes:
    """Counts the wake-ups of one store, which hears of commits but makes none."""

    def __init__(self) -> None:
        self.count = 0

    async def next(self) -> None:
        """Wait for one more than there were."""
        before = self.count
        while self.count == before:  # noqa: ASYNC110 - a wake-up tells nobody but the callback
            await asyncio.sleep(0.001)

    def __call__(self) -> None:
        self.count += 1


@asynccontextmanager
async def following(store: Store, *, poll_seconds: float) -> AsyncIterator[Wakes]:
    wakes = Wakes()
    task = asyncio.create_task(store.follow_commits(wakes, poll_seconds=poll_seconds))
    try:
        # Once the connection is there.
        await wakes.next()
        yield wakes
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_commit_of_another_process_wakes_once_it_can_be_read(
    store: Store, other_store: Store, backend: Backend
) -> None:
    # PostgreSQL tells; SQLite has to be asked.
    async with following(other_store, poll_seconds=NEVER if backend.name == "postgresql" else 0.001) as wakes:
        for number in range(5):
            woken = asyncio.create_task(wakes.next())
            await create(store, f"alias-{number}")
            await woken
            assert await other_store.revision() == number + 2


async def test_nothing_wakes_while_nothing_is_committed(store: Store, other_store: Store, backend: Backend) -> None:
    class Undone(Exception):
        pass

    async def change_nothing() -> None:
        async with store.transaction(by="test") as transaction:
            await transaction.create(ModelConfigDraft(alias="undone"))
            raise Undone

    async with following(other_store, poll_seconds=NEVER if backend.name == "postgresql" else 0.001) as wakes:
        before = wakes.count
        for _ in range(20):
            await store.snapshot(Selector())
            with suppress(Undone):
                await change_nothing()
        woken = asyncio.create_task(wakes.next())
        await create(store, "a")
        await woken
        assert wakes.count == before + 1


SELECTORS = [
    Selector(aliases=frozenset({"a"})),
    Selector(aliases=frozenset({"b", "c", "missing"})),
    Selector(ids=frozenset({"missing"})),
    Selector(ids=frozenset(), aliases=frozenset()),
    Selector(),
]


async def change_at_random(transaction: Transaction, alias: str, dice: random.Random) -> None:
    config = await transaction.find(alias=alias)
    other = dice.choice("abcdef")
    if config is None:
        await transaction.create(ModelConfigDraft(alias=alias))
    elif dice.random() < 0.25:
        await transaction.delete(config)
    elif await transaction.find(alias=other) is None:
        await transaction.update(config, ModelConfigDraft(alias=other))


async def test_a_resume_reads_what_a_live_watch_is_handed(store: Store) -> None:
    dice = random.Random(11)
    for _ in range(60):
        async with store.transaction(by="test") as transaction:
            await change_at_random(transaction, dice.choice("abcdef"), dice)
    log = await store.changes(after=0)
    ids = dice.sample(sorted({change.config_id for change in log}), 3)
    selectors = [
        *SELECTORS,
        Selector(ids=frozenset(ids)),
        Selector(ids=frozenset(ids[:1]), aliases=frozenset("d")),
    ]
    for selector in selectors:
        watch, index = Watch(selector), WatchIndex()
        index.add(watch)
        for after in (0, 20, log[-1].revision):
            expected = [change for change in log if change.revision > after and watch in index.concerned(change)]
            assert await store.changes(after=after, concerning=selector) == expected


async def test_a_resume_does_not_read_what_others_changed(store: Store, backend: Backend) -> None:
    """The plan of the database: look-ups by index, and no walk through the log."""
    numbers = (
        "SELECT generate_series(1, 20000) AS n"
        if backend.name == "postgresql"
        else "WITH RECURSIVE s(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s"
    )
    rows = text(
        f"""INSERT INTO model_config_changes (config_id, version, revision, operation, alias, previous_alias,
              changed_at, changed_by) SELECT 'c' || n, 1, n + 1, 'update', 'x' || n, 'y' || n,
              '2026-01-01 00:00:00+00', 'x' FROM ({numbers}) AS numbers"""
    )
    statements: list[Any] = []

    class Recorder:
        async def execute(self, statement: Any, _values: Any) -> Any:
            statements.append(statement)
            raise LookupError

    with suppress(LookupError):
        concerning = Selector(ids=frozenset({"c7"}), aliases=frozenset({"x9"}))
        await find_changes(Recorder(), after=5, concerning=concerning)  # type: ignore[arg-type] - it only records
    async with store._database.write() as connection:
        await connection.execute(rows)
        await connection.execute(text("ANALYZE"))
        dialect = store._database._engine.dialect
        sql = str(statements[0].compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace(":", "\\:")
        explain = "EXPLAIN" if backend.name == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = "\n".join(str(row) for row in (await connection.execute(text(f"{explain} {sql}"))).all())
    assert "model_config_changes_alias" in plan
    assert "model_config_changes_previous_alias" in plan
    assert "Seq Scan on model_config_changes" not in plan
    assert "SCAN model_config_changes" not in plan, plan


async def test_a_listener_that_is_cut_off_comes_back_and_misses_nothing(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "modelwire.store.commits")
    store = await open_store(postgres_url, Keyring.parse("A" * 43))
    other = await open_store(postgres_url, Keyring.parse("A" * 43))
    feed = Feed(store, poll_seconds=0.01, bookmark_seconds=NEVER)
    await feed.start()
    try:
        async with aclosing(feed.watch(Selector(aliases=frozenset("ab")))) as watch:
            await anext(watch)
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                for number, alias in enumerate("ab", 1):
                    await listening(admin)
                    assert admin.execute(f"SELECT pg_terminate_backend(pid) {LISTENERS}").fetchall() == [(True,)]
                    await create(other, alias)
                    event = await anext(watch)
                    assert isinstance(event, WatchChange)
                    assert [config.alias for config in event.put] == [alias]
                    async with asyncio.timeout(120):
                        while len(caplog.records) < 2 * number:  # noqa: ASYNC110 - no event for it
                            await asyncio.sleep(0.01)
    finally:
        await feed.stop()
        await store.close()
        await other.close()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2
    assert "again" in caplog.records[1].message


async def test_who_was_told_of_a_commit_already_is_not_woken(postgres_url: str) -> None:
    store = await open_store(postgres_url, Keyring.parse("A" * 43))
    other = await open_store(postgres_url, Keyring.parse("A" * 43))
    try:
        async with asyncio.timeout(120), following(store, poll_seconds=NEVER) as wakes:
            before = wakes.count
            for number in range(20):
                await create(store, f"alias-{number}")
            woken = asyncio.create_task(wakes.next())
            await create(other, "a")
            await woken
            assert wakes.count == before + 1
            # What no callback tells of.
            woken = asyncio.create_task(wakes.next())
            await store.audit_log.record([AuditEvent(action=AuditAction.ACCESS_DENIED, actor="test")])
            await woken
    finally:
        await store.close()
        await other.close()


async def listening(admin: psycopg.Connection) -> None:
    """Wait until one connection listens."""
    while admin.execute(f"SELECT count(*) {LISTENERS}").fetchall() != [(1,)]:  # noqa: ASYNC110 - it is in the database
        await asyncio.sleep(0.01)


async def test_a_listener_that_is_stopped_while_it_connects_leaves_nothing_behind(store: Store) -> None:
    """Cancelled after each number of turns of the loop; a connection that was left open warns when it is collected."""
    for turns in range(40):
        task = asyncio.create_task(store.follow_commits(Wakes(), poll_seconds=NEVER))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
