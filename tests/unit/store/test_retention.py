"""Compaction finds and drops rows by index: with a million of them, writers wait for no batch that reads them all."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from modelwire.store import Keyring, ModelConfigDraft, Retention, migrate, open_store


async def test_no_statement_reads_the_whole_log(tmp_path: Path) -> None:
    path = tmp_path / "modelwire.db"
    migrate(f"sqlite:///{path}")
    store = await open_store(f"sqlite:///{path}", Keyring.parse("A" * 43))
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    try:
        for alias in ("kept", "deleted"):
            async with store.transaction(by="x") as transaction:
                config = await transaction.create(ModelConfigDraft(alias=alias))
                config = await transaction.update(config, ModelConfigDraft(alias=alias))
                if alias == "deleted":
                    await transaction.delete(config)
        event.listen(store._database._engine, "before_cursor_execute", record)
        retention = Retention(since=datetime.now(UTC) + timedelta(days=1), min_versions=1)
        assert [rows async for rows in store.compact(retention)] == [1, 3]
    finally:
        await store.close()
    plans = _plans(path, statements)
    assert sum(statement.startswith("DELETE") for statement in plans) == 2
    for statement, plan in plans.items():
        assert not any(step.startswith("SCAN model_config_changes") for step in plan) or "ORDER BY" in statement, plan
    assert any("model_config_changes_deletions" in step for plan in plans.values() for step in plan)


def _plans(path: Path, statements: list[tuple[str, Any]]) -> dict[str, list[str]]:
    connection = sqlite3.connect(path)
    try:
        return {
            f"{statement} {number}": [
                row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            ]
            for number, (statement, parameters) in enumerate(statements)
            if statement.startswith(("SELECT", "DELETE"))
        }
    finally:
        connection.close()
