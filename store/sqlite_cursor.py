"""Statements of aiosqlite in one step each: a step costs two switches between threads, and aiosqlite takes four."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Self

import aiosqlite


def connect(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    """Do as `aiosqlite.connect` does, for SQLAlchemy: its cursors are `WholeCursor`s."""
    connection = aiosqlite.connect(*arguments, **options)
    # As SQLAlchemy has it: a connection that was lost must not keep the process.
    connection._thread.daemon = True
    connection.cursor = lambda: WholeCursor(connection)  # type: ignore[assignment,method-assign,return-value]
    return connection


class WholeCursor:
    """What SQLAlchemy needs of a cursor. Executing a statement fetches all its rows and closes it, in one step."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self.arraysize = 1
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Iterable[Any] = ()) -> Self:
        return await self._whole(sqlite3.Cursor.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Iterable[Iterable[Any]]) -> Self:
        return await self._whole(sqlite3.Cursor.executemany, statement, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Nothing is open."""

    async def _whole(self, method: Any, statement: str, parameters: Iterable[Any]) -> Self:
        def step() -> None:
            cursor = self._connection._conn.cursor()
            try:
                method(cursor, statement, parameters)
                self._rows = cursor.fetchall() if cursor.description else []
                self.description, self.rowcount = cursor.description, cursor.rowcount
                self.lastrowid = cursor.lastrowid
            finally:
                cursor.close()

        await self._connection._execute(step)  # type: ignore[no-untyped-call]
        return self
