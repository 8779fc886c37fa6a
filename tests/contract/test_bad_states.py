"""Rows that were changed from outside: they cost what they are, and nothing beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Executable, literal_column, select, update

from modelwire.store import (
    Feed,
    KeyringError,
    ModelConfig,
    ModelConfigDraft,
    Secrets,
    Selector,
    Store,
    StoreCorrupt,
    StoreError,
    WatchChange,
    WatchSnapshot,
)
from modelwire.store.database import synchronous_transaction
from modelwire.store.tables import model_config_changes as changes

NEVER = 3600.0


async def outside(url: str, statement: Executable) -> list[Any]:
    """Do something to the database that Modelwire would not do."""

    def execute() -> list[Any]:
        with synchronous_transaction(url, write=True) as connection:
            result = connection.execute(statement)
            return list(result) if result.returns_rows else []

    return await asyncio.to_thread(execute)


async def write(store: Store, *aliases: str, model: str = "m") -> dict[str, ModelConfig]:
    """Create or update configs, each with a secret."""
    written = {}
    async with store.transaction(by="test") as transaction:
        for alias in aliases:
            secrets = Secrets(auth={"api_key": f"canary of {alias}"}, params={"extra_headers": {"a": "canary"}})
            draft = ModelConfigDraft(alias=alias, provider="openai", model=model, secrets=secrets)
            config = await transaction.find(alias=alias)
            written[alias] = await (transaction.update(config, draft) if config else transaction.create(draft))
    return written


def row_of(config: ModelConfig) -> Any:
    return (changes.c.config_id == config.id) & (changes.c.version == config.version)


Damage = Callable[[str, dict[str, ModelConfig]], Awaitable[Any]]


async def flipped(url: str, configs: dict[str, ModelConfig]) -> None:
    """One bit of the sealed text."""
    ((sealed,),) = await outside(url, select(changes.c.sealed).where(row_of(configs["bad"])))
    await outside(
        url, update(changes).where(row_of(configs["bad"])).values(sealed=sealed[:-1] + bytes([sealed[-1] ^ 1]))
    )


async def cut_off(url: str, configs: dict[str, ModelConfig]) -> None:
    await outside(url, update(changes).where(row_of(configs["bad"])).values(sealed=b"x"))


async def moved(url: str, configs: dict[str, ModelConfig]) -> None:
    """The sealed value of another config."""
    ((sealed,),) = await outside(url, select(changes.c.sealed).where(row_of(configs["good"])))
    await outside(url, update(changes).where(row_of(configs["bad"])).values(sealed=sealed))


async def renamed_key(url: str, configs: dict[str, ModelConfig]) -> None:
    await outside(url, update(changes).where(row_of(configs["bad"])).values(sealing_key="lost"))


@pytest.fixture(params=[flipped, cut_off, moved, renamed_key])
def damage(request: pytest.FixtureRequest) -> Damage:
    damage: Damage = request.param
    return damage


@asynccontextmanager
async def feed_of(store: Store) -> AsyncIterator[Feed]:
    feed = Feed(store, poll_seconds=NEVER, bookmark_seconds=NEVER)
    store.on_commit(feed.committed)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def test_secrets_that_do_not_open_cost_only_themselves(store: Store, url: str, damage: Damage) -> None:
    async with feed_of(store) as feed, aclosing(feed.watch(Selector())) as watch:
        await anext(watch)
        configs = await write(store, "bad", "good")
        await anext(watch)
        await damage(url, configs)
        snapshot = await store.snapshot(Selector())
        assert [config.alias for config in snapshot.configs] == ["bad", "general", "good", "planning"]
        bad, _, good, _ = snapshot.configs
        with pytest.raises((StoreCorrupt, KeyringError)) as caught:
            store.open_secrets(bad)
        assert "canary" not in str(caught.value)
        assert store.open_secrets(good).auth == {"api_key": "canary of good"}

        # Writers and watches go on, and a write with new secrets heals it.
        await write(store, "good", model="m2")
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert [config.alias for config in event.put] == ["good"]
        await write(store, "bad", model="m3")
        event = await anext(watch)
        assert isinstance(event, WatchChange)
        assert store.open_secrets(event.put[0]).auth == {"api_key": "canary of bad"}
        async with aclosing(feed.watch(Selector())) as late:
            first = await anext(late)
            assert isinstance(first, WatchSnapshot)
            assert [config.model for config in first.configs if config.configured] == ["m3", "m2"]


async def test_a_rotation_goes_past_secrets_that_do_not_open(
    store: Store, url: str, damage: Damage, backend: Any
) -> None:
    configs = await write(store, "bad", "good", "other")
    await damage(url, configs)
    keys = f"new:{'E' * 43},{backend.keys}"
    async with replace(backend, keys=keys).open(url) as rotating:
        batches = [batch async for batch in rotating.sealed_rows.reseal(batch_rows=1)]
        assert sum(batch.rows for batch in batches) == 2
        problems = [problem for batch in batches for problem in batch.problems]
        assert len(problems) == 1
        assert "canary" not in problems[0]
        unused, _ = await rotating.sealed_rows.retire_unused_keys()
        # The old key is not called unneeded while a row says that it is sealed under it.
        assert unused == (("test",) if damage is renamed_key else ())


async def test_one_tampered_row_is_no_reason_to_refuse_the_start(store: Store, url: str) -> None:
    configs = await write(store, "bad")
    await flipped(url, configs)
    await store.sealed_rows.check()
    configs = await write(store, "bad", "good")
    await cut_off(url, configs)
    await store.sealed_rows.check()


@pytest.mark.parametrize("auth", ["no JSON at all", '"text"', '{"type": "unknown"}'])
async def test_a_row_that_is_not_ours_is_named_and_others_are_read(store: Store, url: str, auth: str) -> None:
    configs = await write(store, "bad", "good")
    text = literal_column("'" + auth.replace("'", "''") + "'")
    try:
        await outside(url, update(changes).where(row_of(configs["bad"])).values(auth=text))
    except StoreError:
        # PostgreSQL keeps what is no JSON out of the column by itself.
        assert auth == "no JSON at all"
        assert not url.startswith("sqlite")
        return
    with pytest.raises(StoreCorrupt, match="changed from outside: restore a backup"):
        await store.find(alias="bad")
    found = await store.find(alias="good")
    assert found == configs["good"]
    await write(store, "good", model="m2")
