"""From every earlier schema, with data in it, forward to this one; and many that want to at once."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, DateTime, LargeBinary, MetaData, Table, insert

from modelwire.store import (
    AliasPatterns,
    ComponentListing,
    ModelConfigDraft,
    Operation,
    Selector,
    migrate,
    verify_audit_log,
)
from modelwire.store.database import synchronous_transaction
from modelwire.store.migrate import _alembic_config, _known_revisions
from modelwire.store.tables import metadata

# What the version with this schema wrote, each table's rows in the order in which they can be inserted.
DATA = Path(__file__).parents[1] / "data" / "migrations"
REVISIONS = sorted(_known_revisions(_alembic_config()))


class Backend(Protocol):
    name: str
    new_url: Callable[[], str]
    open: Callable[[str], Any]


def upgrade(connection: Connection, revision: str) -> None:
    config = _alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def rows_of(table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a data file as the driver takes them."""

    def value(name: str, given: Any) -> Any:
        kind = table.c[name].type
        if given is not None and isinstance(kind, DateTime):
            return datetime.fromisoformat(given)
        return bytes.fromhex(given) if given is not None and isinstance(kind, LargeBinary) else given

    return [{name: value(name, given) for name, given in row.items()} for row in rows]


def fill(connection: Connection, revision: str) -> None:
    """Insert what a version with this schema wrote, or the last one before it that wrote something else."""
    newest = max(path.stem for path in DATA.glob("*.json") if path.stem <= revision)
    for name, rows in json.loads((DATA / f"{newest}.json").read_text(encoding="utf-8")).items():
        table = Table(name, MetaData(), autoload_with=connection)
        connection.execute(insert(table), rows_of(table, rows))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_an_upgrade_keeps_all_that_was_there(backend: Backend, revision: str) -> None:
    url = backend.new_url()
    with synchronous_transaction(url, write=True) as connection:
        upgrade(connection, revision)
        fill(connection, revision)
    migrate(url)
    async with backend.open(url) as store:
        assert store.id == "ybop2kvt1lw8"
        snapshot = await store.snapshot(Selector())
        assert snapshot.revision == 4
        assert [(c.alias, c.version, c.model) for c in snapshot.configs] == [
            ("general", 2, "llama3"),
            ("planning", 1, None),
            ("team", 2, "gpt-4o"),
        ]
        team = snapshot.configs[-1]
        assert team.params == {"temperature": 1.0, "seed": 1, "stop": ["a", {"b": None}], "big": 2**70}
        assert (team.max_input_tokens, team.auth.hints, team.description) == (
            2**31 - 1,
            {"api_key": "6789"},
            "für alle",
        )
        assert store.open_secrets(team).auth == {"api_key": "sk-123456789"}
        assert store.open_secrets(team).params == {"extra_headers": {"x": "y"}}
        assert (team.created_by, team.updated_by) == ("api_key:writer", "api_key:second")
        assert team.updated_at.tzinfo is UTC
        changes = await store.changes(after=0)
        assert [(c.revision, c.operation) for c in changes] == [
            (1, Operation.CREATE),
            (1, Operation.CREATE),
            (2, Operation.CREATE),
            (2, Operation.CREATE),
            (3, Operation.UPDATE),
            (3, Operation.UPDATE),
            (4, Operation.DELETE),
        ]
        assert all(store.open_secrets(c.config) is not None for c in changes if c.config is not None)
        key = await store.api_keys.find("aaaaaaaaaa")
        assert key is not None
        assert key.aliases == AliasPatterns(("team", "g*"))
        assert key.created_at == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        assert (key.expires_at, key.revoked_at) == (key.created_at + timedelta(30), key.created_at + timedelta(1))
        # And it can be written to.
        async with store.transaction(by="x") as transaction:
            await transaction.delete(team)
        assert transaction.revision == 5


@pytest.mark.parametrize("revision", [revision for revision in REVISIONS if revision >= "0006"])
async def test_an_upgrade_keeps_who_was_there_and_what_was_done(backend: Backend, revision: str) -> None:
    """The audit log, sessions and components, as the version with schema 0006 wrote them."""
    url = backend.new_url()
    with synchronous_transaction(url, write=True) as connection:
        upgrade(connection, revision)
        fill(connection, revision)
    migrate(url)
    report = await verify_audit_log(url)
    assert (report.rows, report.problems) == (3, ())
    async with backend.open(url) as store:
        assert [entry.action for entry in await store.audit_log.page(first=10)] == [
            "session.create",
            "keys.rotate",
            "access.denied",
        ]
        session = await store.sessions.find("s" * 20)
        assert session is not None
        assert (session.api_key_id, session.generation, session.ended_at) == ("aaaaaaaaaa", 1, None)
        at = session.created_at
        [team] = [config for config in (await store.snapshot(Selector())).configs if config.alias == "team"]
        [rollout] = (await store.components.rollouts([team.id], now=at)).values()
        assert (rollout.applied, rollout.refused, rollout.pending, rollout.offline) == (0, 1, 0, 0)
        [component] = await store.components.page(ComponentListing(), now=at, first=10)
        assert (component.name, component.labels, component.online) == ("orders-agent", {"zone": "a"}, True)


async def test_the_migrations_make_the_tables_that_the_code_works_with(backend: Backend) -> None:
    url = backend.new_url()
    migrate(url)
    with synchronous_transaction(url, write=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


async def test_servers_that_start_at_once_make_one_store(backend: Backend) -> None:
    code = "import sys; from modelwire.store import migrate; sys.stdin.readline(); migrate(sys.argv[1])"
    url = backend.new_url()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, url, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    ended = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    assert [(process.returncode, err) for process, (_, err) in zip(processes, ended, strict=True)] == [(0, b"")] * 4
    async with backend.open(url) as store:
        snapshot = await store.snapshot(Selector())
        assert (snapshot.revision, len(snapshot.configs)) == (1, 2)


async def test_a_migration_waits_for_the_writer_and_the_writer_for_it(backend: Backend) -> None:
    """Four migrations beside a writer: each comes between two of its transactions."""
    url = backend.new_url()
    migrate(url)
    async with backend.open(url) as store:

        async def write() -> None:
            for number in range(20):
                async with store.transaction(by="x") as transaction:
                    config = await transaction.find(alias="general")
                    assert config is not None
                    assert config.version == number + 1
                    await transaction.update(config, ModelConfigDraft(alias="general", model=f"model-{number}"))

        await asyncio.gather(write(), *(asyncio.to_thread(migrate, url) for _ in range(4)))
        assert await store.revision() == 21
