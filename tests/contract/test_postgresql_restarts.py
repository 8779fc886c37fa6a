"""PostgreSQL goes away and comes back while a feed runs: every watch ends with the truth, and nobody is told a lie."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

import psycopg
import pytest
from postgres import Databases, PostgresServer

from modelwire.store import (
    Feed,
    Keyring,
    ModelConfigDraft,
    Selector,
    Store,
    StoreUnavailable,
    WatchChange,
    WatchSnapshot,
    open_store,
)

KEYRING = Keyring.parse("A" * 43)
SELECTORS = [Selector(), Selector(aliases=frozenset({"general"}))]
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@dataclass
class Running:
    """A server of its own with one database, and the store and feed of one process on it."""

    server: PostgresServer
    url: str
    store: Store
    feed: Feed
    models: dict[Selector, str | None] = field(default_factory=dict)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self, selector: Selector) -> None:
        """Keep the last model of `general` that this watch was told."""
        async with aclosing(self.feed.watch(selector)) as watch:
            async for event in watch:
                assert not (isinstance(event, WatchSnapshot) and event.reset)
                if isinstance(event, WatchSnapshot | WatchChange):
                    configs = event.configs if isinstance(event, WatchSnapshot) else event.put
                    async with self.moved:
                        for config in configs:
                            if config.alias == "general":
                                self.models[selector] = config.model
                        self.moved.notify_all()

    async def until(self, model: str | None) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: [self.models.get(each, "") for each in SELECTORS] == [model, model])

    async def write(self, model: str, store: Store | None = None) -> None:
        async with (store or self.store).transaction(by="test") as transaction:
            config = await transaction.find(alias="general")
            assert config is not None
            await transaction.update(config, ModelConfigDraft(alias="general", model=model))

    async def write_elsewhere(self, model: str) -> None:
        """As another process would."""
        other = await open_store(self.url, KEYRING)
        try:
            await self.write(model, other)
        finally:
            await other.close()


@asynccontextmanager
async def following(server: PostgresServer) -> AsyncIterator[Running]:
    url = Databases(server.url).create()
    store = await open_store(url, KEYRING)
    feed = Feed(store, poll_seconds=0.05, bookmark_seconds=0.05)
    store.on_commit(feed.committed)
    await feed.start()
    running = Running(server, url, store, feed)
    tasks = [asyncio.create_task(running.follow(selector)) for selector in SELECTORS]
    try:
        await running.until(None)
        yield running
        # A watch that failed says why.
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await feed.stop()
        await store.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_watches_outlive_the_server(
    own_postgres: Callable[..., PostgresServer], end: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "modelwire.store")
    async with following(own_postgres(durable=True)) as running:
        for number in range(3):
            await running.write(f"before-{number}")
            await asyncio.to_thread(getattr(running.server, end))
            with pytest.raises(StoreUnavailable):
                await running.write("refused")
            while running.feed.error is None:  # noqa: ASYNC110 - the feed tells nobody but the log
                await asyncio.sleep(0.01)
            await asyncio.to_thread(running.server.start)
            await running.write_elsewhere(f"after-{number}")
            await running.until(f"after-{number}")
            assert (await running.store.snapshot(SELECTORS[1])).configs[0].model == f"after-{number}"
    told = [record.message for record in caplog.records if record.name == "modelwire.store.feed"]
    # Once down and once up each time, however often it was tried in between.
    assert len([message for message in told if "cannot be read" in message]) == 3
    assert len([message for message in told if "can be read again" in message]) == 3


async def test_watches_outlive_their_connections(own_postgres: Callable[..., PostgresServer]) -> None:
    """`kill -9` of one backend: PostgreSQL cuts off all others and recovers, without anybody starting it."""
    async with following(own_postgres(durable=True)) as running:
        for number in range(3):
            with suppress(psycopg.OperationalError), psycopg.connect(running.url) as admin:
                pids = [row[0] for row in admin.execute(BACKENDS).fetchall()]
                assert len(pids) >= 2
                running.server.kill_backend(pids[number % len(pids)])
            while True:
                with suppress(StoreUnavailable):
                    await running.write(f"model-{number}")
                    break
                await asyncio.sleep(0.05)
            await running.until(f"model-{number}")
