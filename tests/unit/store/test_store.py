"""What goes wrong with an open store: locks, modes, rows changed from outside, statements that fail."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from modelwire.store import (
    AliasPatterns,
    DatabaseOptions,
    Keyring,
    ModelConfig,
    ModelConfigDraft,
    Secrets,
    Selector,
    Store,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    UnknownKey,
    migrate,
    open_store,
)
from modelwire.store import change_log as log
from modelwire.store.database import PoolUse

KEYRING = Keyring.parse("first:" + "A" * 43)
SECRETS = Secrets(auth={"api_key": "canary-3b1f"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "modelwire.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{path}?timeout=0.05", KEYRING)
    yield store
    await store.close()


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def create(store: Store, alias: str, secrets: Secrets = SECRETS) -> ModelConfig:
    async with store.transaction(by="x") as transaction:
        return await transaction.create(ModelConfigDraft(alias=alias, secrets=secrets))


async def test_a_database_locked_by_another_process_can_be_read_and_written_later(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwire.store.database.PATIENCE_SECONDS", 0.05)
    with raw(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked by another process; try again"):
            await create(store, "a")
        with pytest.raises(StoreUnavailable, match="locked by another process"):
            migrate(f"sqlite:///{path}")
        assert await store.revision() == 1
    assert (await create(store, "a")).revision == 2


async def test_a_read_only_database_can_be_read(store: Store, path: Path) -> None:
    config = await create(store, "a")
    read_only = await open_store(f"sqlite:///file:{path}?mode=ro&uri=true", KEYRING)
    assert await read_only.find(id=config.id) == config
    with pytest.raises(StoreUnavailable, match="read-only: check the modes"):
        await create(read_only, "b")
    await read_only.close()
    assert await store.revision() == 2


async def test_who_gets_no_connection_in_time_is_told_so_and_gets_one_later(path: Path) -> None:
    options = DatabaseOptions(pool_size=1, connect_timeout_seconds=0.05, statement_timeout_seconds=0.0)
    store = await open_store(f"sqlite:///{path}", KEYRING, options)
    async with store.transaction(by="x") as transaction:
        await transaction.base_revision()
        assert store.pool == PoolUse(in_use=1, size=1)
        with pytest.raises(StoreUnavailable, match="no connection became free in time"):
            await store.revision()
        await transaction.create(ModelConfigDraft(alias="a"))
    assert store.pool.in_use == 0
    assert await store.revision() == 2
    await store.close()


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.revision()
    with pytest.raises(StoreUnavailable, match="closed"):
        await create(store, "a")


async def test_a_damaged_file_is_corrupt(path: Path) -> None:
    store = await open_store(f"sqlite:///{path}", KEYRING)
    await store.close()
    with raw(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'model_config_changes'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    store = await open_store(f"sqlite:///{path}", KEYRING)
    with pytest.raises(StoreCorrupt, match="damaged: restore a backup"):
        await store.snapshot(Selector())
    await store.close()


async def test_a_row_sealed_under_a_key_that_is_not_given(store: Store, path: Path) -> None:
    config = await create(store, "a")
    other = await open_store(f"sqlite:///{path}", Keyring.parse("second:" + "B" * 43))
    found = await other.find(id=config.id)
    assert found == config
    with pytest.raises(UnknownKey, match="'first'"):
        other.open_secrets(found)
    await other.close()


async def test_sealed_secrets_that_were_tampered_with(store: Store, path: Path) -> None:
    config = await create(store, "a")
    assert store.open_secrets(config) == SECRETS
    with raw(path) as connection:
        (sealed,) = connection.execute("SELECT sealed FROM model_config_changes WHERE alias = 'a'").fetchone()
        tampered = sealed[:-1] + bytes([sealed[-1] ^ 1])
        connection.execute("UPDATE model_config_changes SET sealed = ? WHERE alias = 'a'", (tampered,))
    found = await store.find(id=config.id)
    assert found is not None
    with pytest.raises(StoreCorrupt, match=f"config {config.id} at version 1"):
        store.open_secrets(found)


async def test_sealed_secrets_that_were_copied_to_another_row_or_version(store: Store, path: Path) -> None:
    victim = await create(store, "victim")
    thief = await create(store, "thief", Secrets(auth={"api_key": "own"}))
    async with store.transaction(by="x") as transaction:
        await transaction.update(victim, ModelConfigDraft(alias="victim", secrets=Secrets(auth={"api_key": "new"})))
    with raw(path) as connection:
        connection.execute(
            "UPDATE model_config_changes SET sealed = (SELECT sealed FROM model_config_changes WHERE config_id = ?1 "
            "AND version = 1) WHERE config_id = ?2 OR (config_id = ?1 AND version = 2)",
            (victim.id, thief.id),
        )
    for config_id, version in ((thief.id, 1), (victim.id, 2)):
        found = await store.find(id=config_id)
        assert found is not None
        with pytest.raises(StoreCorrupt, match=f"config {config_id} at version {version}") as caught:
            store.open_secrets(found)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "auth = 'no json'",
        "auth = '{}'",
        'auth = \'{"type": "unknown", "fields": {}, "hints": {}}\'',
        "params = '{'",
        "sealing_key = NULL",
        "sealed_params = '1'",
        "operation = 'unknown'",
    ],
)
async def test_a_row_that_cannot_be_read_is_corrupt(store: Store, path: Path, change: str) -> None:
    await create(store, "a")
    with raw(path) as connection:
        assert connection.execute(f"UPDATE model_config_changes SET {change} WHERE alias = 'a'").rowcount == 1
    with pytest.raises(StoreCorrupt, match="changed from outside: restore a backup"):
        await store.changes(after=0)
    if "operation" not in change:
        with pytest.raises(StoreCorrupt, match="changed from outside"):
            await store.find(alias="a")


async def test_nothing_is_committed_when_the_head_is_not_the_one_that_was_read(store: Store, path: Path) -> None:
    config = await create(store, "a")
    with raw(path) as connection:
        connection.execute(
            "CREATE TRIGGER moved AFTER INSERT ON model_config_changes BEGIN DELETE FROM model_configs; END"
        )

    async def write() -> None:
        async with store.transaction(by="x") as transaction:
            await transaction.update(config, ModelConfigDraft(alias="a", description="new"))

    with pytest.raises(StoreUnavailable, match="changed meanwhile, nothing was written; try again"):
        await write()
    assert await store.find(id=config.id) == config
    assert await store.revision() == config.revision
    assert (await store.audit_log.page(first=1))[0].details["version"] == 1


async def test_nothing_is_committed_after_a_statement_failed(store: Store, path: Path) -> None:
    """Also when the writer caught the error: SQLite may have ended the transaction, and the rest would stand alone."""
    with raw(path) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON model_configs WHEN new.alias = 'b' "
            "BEGIN SELECT raise(ROLLBACK, 'x'); END"
        )

    async def write() -> None:
        async with store.transaction(by="x") as transaction:
            await transaction.create(ModelConfigDraft(alias="a"))
            await transaction.create(ModelConfigDraft(alias="b"))
            with pytest.raises(StoreError):
                # What was written is sent with the next thing that is read.
                await transaction.find(alias="b")
            with pytest.raises(StoreUnavailable, match="failed"):
                await transaction.create(ModelConfigDraft(alias="c"))

    calls = []
    store.on_commit(lambda _: calls.append(1))
    with pytest.raises(StoreUnavailable, match="nothing of it was written"):
        await write()
    assert calls == []
    assert await store.revision() == 1
    assert len(await store.changes(after=0)) == 2
    assert (await create(store, "d")).revision == 2


@pytest.mark.parametrize(
    "selector",
    [
        Selector(ids=frozenset({"a"})),
        Selector(aliases=frozenset({"a", "b"})),
        Selector(ids=frozenset({"a"}), aliases=frozenset({"b"})),
        Selector(visible=AliasPatterns(("a", "b"))),
        Selector(ids=frozenset({"a"}), aliases=frozenset({"b"}), visible=AliasPatterns(("a", "b"))),
    ],
)
@pytest.mark.parametrize("after", [None, "a"])
async def test_exact_names_are_looked_up_and_never_searched_for(
    path: Path, selector: Selector, after: str | None
) -> None:
    statement = select(log.heads.c.id).where(*log._exact_conditions(selector)).order_by(log.heads.c.alias)
    if after is not None:
        statement = statement.where(log.heads.c.alias > after)
    with raw(path) as connection:
        # As if there were many: without statistics SQLite cannot know that a table is small.
        compiled = statement.compile(compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {compiled}")]
    searches = [step for step in plan if "model_configs" in step]
    assert searches
    assert all(step.startswith("SEARCH") and "=?" in step for step in searches)
