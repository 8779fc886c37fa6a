"""What a mutation costs the database: few statements, each of which finds its rows by a key, however many there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal
from modelwire.resolvers.inputs import ModelConfigInput
from modelwire.resolvers.model_configs import update
from modelwire.store import AliasPatterns, ApiKey, Feed, ModelConfig, ModelConfigDraft, PresenceBatch, Store

MANY = 5_000


@pytest.fixture
async def config(store: Store) -> ModelConfig:
    async with store.transaction(by="x") as transaction:
        return await transaction.create(ModelConfigDraft(alias="a", provider="openai", model="gpt-4o"))


async def change(store: Store, config: ModelConfig) -> ModelConfig:
    """As `updateModelConfig` does it."""
    principal = Principal(subject="x", name="x", scopes=ALL_SCOPES)
    given = ModelConfigInput(description=f"after version {config.version}")
    context = Context(principal, store, Feed(store))
    updated = await update(context, id=config.id, expected_version=config.version, given=given)
    assert updated.config is not None
    return updated.config


@contextmanager
def recorded(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """All that goes to the database, but for commits."""
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    engine = store._database._engine
    event.listen(engine, "before_cursor_execute", record)
    yield statements
    event.remove(engine, "before_cursor_execute", record)


async def test_an_update_takes_seven_statements(store: Store, config: ModelConfig) -> None:
    config = await change(store, config)
    with recorded(store) as statements:
        config = await change(store, config)
    # The lock of the writers; the counters, with the end of the audit log; the config. Then the counter, the change,
    # the config's head and the entry of the audit log are written.
    assert len(statements) == 7, statements
    assert config.version == 3


async def test_an_update_goes_to_a_thread_twice(
    store: Store, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what it reads, and with its commit: each switch between threads costs as much as a statement."""
    threads = store._database._threads
    works: list[Any] = []
    run = threads.run

    async def counted(work: Any) -> Any:
        works.append(work)
        return await run(work)

    monkeypatch.setattr(threads, "run", counted)
    assert (await change(store, config)).version == 2
    assert len(works) == 2, works


async def test_a_look_at_the_log_or_at_an_api_key_takes_one_statement(store: Store) -> None:
    key = ApiKey(
        id="k",
        name="k",
        scopes=frozenset(),
        aliases=AliasPatterns(),
        created_at=datetime.now(UTC),
        created_by="x",
        secret_hash="0" * 64,
    )
    await store.api_keys.add(key)
    revision = await store.revision()
    with recorded(store) as statements:
        assert await store.api_keys.find("k") == key
        assert await store.changes(after=revision) == []
    assert len(statements) == 2, statements


async def test_no_statement_of_an_update_walks_through_a_table(store: Store, url: str, config: ModelConfig) -> None:
    fill(url)
    revision = await store.revision()
    with recorded(store) as statements:
        await change(store, config)
        assert len(await store.changes(after=revision)) == 1
        assert await store.api_keys.find("k") is None
    tables = ("model_config_changes", "model_configs", "audit_log", "api_keys")
    for statement, plan in plans(url, statements):
        walks = [line for line in plan if any(f"{scan} {table}" in line for scan in SCANS for table in tables)]
        # The last row of the audit log is the first one of a walk from its end.
        assert not walks or "LIMIT" in statement, (statement, plan)


@pytest.mark.parametrize("key", ["id", "alias"])
async def test_a_config_of_many_versions_is_found_by_one_of_them(
    store: Store, url: str, config: ModelConfig, key: str
) -> None:
    """Statistics come later than rows do: by those PostgreSQL has, the config has one version."""
    with connected(url) as connection:
        connection.execute("ANALYZE")
        connection.execute(
            f"WITH RECURSIVE s(n) AS (VALUES(2) UNION ALL SELECT n + 1 FROM s WHERE n < {MANY}) "
            "INSERT INTO model_config_changes (config_id, version, revision, operation, changed_at, changed_by) "
            f"SELECT '{config.id}', n, n, 'update', '2026-01-01 00:00:00+00', 'x' FROM s"
        )
    with recorded(store) as statements:
        assert await store.find(**{key: getattr(config, key)}) == config
    [plan] = [plan for statement, plan in plans(url, statements) if "model_config_changes" in statement]
    [look] = [line for line in plan if "version =" in line or "version=?" in line]
    assert "Index Cond" in look or "SEARCH" in look, plan


async def test_what_a_server_sent_a_component_is_found_by_both(store: Store, url: str) -> None:
    """SQLite counts on few rows for any key: one by the server alone would lead it through all that it sent to all."""
    now = datetime.now(UTC)
    with recorded(store) as statements:
        await store.components.write(PresenceBatch(server="s", at=now, lease_until=now, gone=["c"]))
        await store.components.present("s")
    found = [
        (statement, line)
        for statement, plan in plans(url, statements)
        if "count(bindings" in statement or "min(bindings" in statement
        for line in plan
    ]
    assert len({statement for statement, _ in found}) == 2, found
    for statement, line in found:
        # PostgreSQL knows how few rows there are, and walks through them.
        if url.startswith("sqlite") and "bindings" in line:
            assert "component_id=?" in line, (statement, line)


SCANS = ("SCAN", "Seq Scan on")


def fill(url: str) -> None:
    """A log of many versions of many configs, and a long audit log."""
    numbers = f"WITH RECURSIVE s(n) AS (VALUES(1) UNION ALL SELECT n + 1 FROM s WHERE n < {MANY}) "
    statements = [
        (
            "INSERT INTO model_config_changes (config_id, version, revision, operation, alias, changed_at, changed_by) "
            f"{numbers} SELECT 'c' || n, 1, n + 2, 'create', 'x' || n, '2026-01-01 00:00:00+00', 'x' FROM s"
        ),
        f"INSERT INTO model_configs (id, alias, version) {numbers} SELECT 'c' || n, 'x' || n, 1 FROM s",
        (
            "INSERT INTO audit_log (sequence, entry, previous_hash, hash) "
            f"{numbers} SELECT n + 1000, '{{}}', 'x', 'y' || n FROM s"
        ),
        (
            "INSERT INTO api_keys (id, name, scopes, secret_hash, created_at, created_by) "
            f"{numbers} SELECT 'k' || n, 'k', '[]', 'x', '2026-01-01 00:00:00+00', 'x' FROM s"
        ),
        f"UPDATE store_meta SET revision = {MANY + 2}",
        "ANALYZE",
    ]
    with connected(url) as connection:
        for statement in statements:
            connection.execute(statement)


def plans(url: str, statements: list[tuple[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    with connected(url) as connection:
        for statement, parameters in statements:
            if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
                explain = "EXPLAIN QUERY PLAN" if isinstance(connection, sqlite3.Connection) else "EXPLAIN"
                yield statement, [str(row[-1]) for row in connection.execute(f"{explain} {statement}", parameters)]


@contextmanager
def connected(url: str) -> Iterator[Any]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as embedded, embedded:
            yield embedded
    else:
        with psycopg.connect(url) as connection:
            yield connection
