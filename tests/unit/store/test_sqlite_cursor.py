"""Statements on SQLite: each is one step of the thread that has the connection."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text

from modelwire.store import migrate
from modelwire.store.database import Database
from modelwire.store.sqlite_cursor import connect


async def test_a_statement_of_the_store_takes_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/modelwire.db"
    migrate(url)
    database = Database(url)
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
    steps = 0
    execute = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, *arguments: Any, **options: Any) -> Any:
        nonlocal steps
        steps += 1
        return await execute(connection, *arguments, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT 1 UNION SELECT 2"))
    assert rows.all() == [(1,), (2,)]
    # The begin of the transaction, the statement, and the end.
    assert steps == 3
    await database.close()


async def test_a_statement_that_fails_leaves_the_connection_as_it_was(tmp_path: Path) -> None:
    async with connect(str(tmp_path / "some.db")) as connection:
        cursor = connection.cursor()
        with pytest.raises(sqlite3.OperationalError):
            await cursor.execute("nonsense")
        await cursor.execute("CREATE TABLE numbers (n)")
        await cursor.executemany("INSERT INTO numbers VALUES (?)", [(1,), (2,)])
        assert cursor.rowcount == 2
        await cursor.execute("SELECT n FROM numbers WHERE n > ?", (1,))
        assert list(await cursor.fetchall()) == [(2,)]
