"""What is particular to SQLite: its URL, its settings, its transactions and its errors."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import ConnectionPoolEntry

from .errors import StoreCorrupt, StoreError, StoreUnavailable
from .options import DatabaseOptions

DRIVER_ERROR: type[Exception] = sqlite3.Error

BEGIN_READ = "BEGIN"
# Takes the database's one write lock at once, instead of failing later on because another writer was between.
BEGIN_MIGRATION = "BEGIN IMMEDIATE"

_BUSY_TIMEOUT_SECONDS = 5.0
# The listener asks in the event loop.
_LISTENER_TIMEOUT_SECONDS = 0.01


def connect_url(url: URL, *, create: bool) -> URL:
    """The URL as the driver shall have it: absolute. With `create` the file is made when it is not there, else never.

    Raises StoreError when it does not name a file.
    """
    database = url.database or ""
    if database in ("", ":memory:") or url.query.get("mode") == "memory":
        raise StoreError("SQLite needs a file here: sqlite:///modelwire.db, or sqlite:////absolute/path/modelwire.db")
    query = {"timeout": str(_BUSY_TIMEOUT_SECONDS), **url.query}
    if not database.startswith("file:"):
        if create:
            _make_file(Path(database))
        database = "file:" + quote(str(Path(database).absolute()))
        query |= {"uri": "true", "mode": "rwc" if create else "rw"}
    return url.set(drivername="sqlite+pysqlite", database=database, query=query)


def location(url: URL) -> str:
    """How messages name the database."""
    return f"the database {url.database}"


def engine_arguments(_url: URL, _options: DatabaseOptions) -> dict[str, Any]:
    """What SQLAlchemy is told."""
    # sqlite3 would open a transaction by itself before some statements and not before others.
    # A connection is used in one thread after the other.
    return {"connect_args": {"isolation_level": None, "check_same_thread": False, "factory": _Connection}}


class _Connection(sqlite3.Connection):
    """A connection whose statements are read to their end where they are executed."""

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)


class _Cursor(sqlite3.Cursor):
    """Fetches all rows at once: sqlite3 would search for each row when it is asked for, in the event loop then."""

    _rows: Iterator[Any] = iter(())

    def execute(self, *arguments: Any) -> Self:
        super().execute(*arguments)
        self._rows = iter(super().fetchall())
        return self

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return list(islice(self._rows, size or self.arraysize))

    def fetchall(self) -> list[Any]:
        return list(self._rows)


def configure(engine: Engine, options: DatabaseOptions, *, prepare: bool) -> None:
    """Set up each connection of an engine. `prepare` also makes the settings that the file keeps."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        if options.lock_timeout_seconds is not None:
            cursor.execute(f"PRAGMA busy_timeout = {round(options.lock_timeout_seconds * 1000)}")
        cursor.execute("PRAGMA foreign_keys = ON")
        # In WAL mode the default survives a crash of the process only; FULL survives a loss of power as well.
        cursor.execute("PRAGMA synchronous = FULL")
        if prepare:
            _use_write_ahead_log(cursor, options.lock_timeout_seconds or _BUSY_TIMEOUT_SECONDS)
        cursor.close()


def begin_write(_writer: str) -> str:
    """The statement that begins a transaction which writes; the file does not tell who wrote."""
    return BEGIN_MIGRATION


def lock_for_migration(_connection: Connection) -> None:
    """Nothing: the transaction began with the write lock."""


def _use_write_ahead_log(cursor: DBAPICursor, timeout_seconds: float) -> None:
    """Readers and the writer do not block each other any more; the file remembers it."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # SQLite itself does not wait here for others that start at the same moment.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _make_file(path: Path) -> None:
    """Make the file of a new database, for its user only: it holds hashes of API keys and all that is configured."""
    # What goes wrong here goes wrong again when SQLite opens the file, and is told then.
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


async def listen(
    url: URL,
    _options: DatabaseOptions,
    connected: Callable[[], None],
    wake: Callable[[], None],
    *,
    poll_seconds: float,
    listener: str,  # noqa: ARG001 - the file does not tell who wrote
) -> None:
    """Call `wake` when another connection has committed something, until cancelled."""
    url = url.update_query_dict({"timeout": str(_LISTENER_TIMEOUT_SECONDS)})
    [file], named = url.get_dialect()().create_connect_args(url)
    seen: int | None = None
    with closing(sqlite3.connect(file, **named)) as connection:
        while True:
            # Only the file knows: it costs a look at the memory that all connections share, and no read of the log.
            [version] = connection.execute("PRAGMA data_version").fetchone()
            if seen is None:
                connected()
            elif version != seen:
                wake()
            seen = version
            await asyncio.sleep(poll_seconds)


def translate(error: BaseException, location: str) -> StoreError:
    """What an error of the driver means. `location` names the database for the message."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return StoreUnavailable(
                f"{location} is locked by another process; try again, and look for one that holds it open "
                "(a backup, a database browser)"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreUnavailable(
                f"{location} cannot be opened: check that its folder exists and that this user may read and write there"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreUnavailable(f"{location} is read-only: check the modes of the file and its folder")
        case sqlite3.SQLITE_FULL:
            return StoreUnavailable(f"the disk that holds {location} is full: free some space")
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(f"the disk that holds {location} gives errors: {error}")
        case sqlite3.SQLITE_NOTADB:
            return StoreCorrupt(f"{location} is not a SQLite database: check the path, or restore a backup")
        case sqlite3.SQLITE_CORRUPT:
            return StoreCorrupt(f"{location} is damaged: restore a backup")
    return StoreError(f"{location} gave an unexpected error: {error}")
