"""Connections and transactions, and the one boundary at which errors of SQLAlchemy and the driver become ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import URL, CursorResult, Executable, NullPool, create_engine, make_url
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from . import sqlite
from .errors import StoreError, StoreUnavailable

_T = TypeVar("_T")

# Readers share these; a connection of aiosqlite is a thread.
_POOL_SIZE = 8


class Connection:
    """A connection in a transaction.

    What it does is done to its end although its task is cancelled. A driver that is left in the middle of a statement
    closes its connection, but SQLite's stays behind with its locks until the garbage collector finds the statement.
    """

    def __init__(self, connection: AsyncConnection, location: str) -> None:
        self._connection = connection
        self._location = location

    async def execute(self, statement: Executable, row: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Execute a statement, with `row` as its parameters. Raises StoreError."""
        with translated_errors(self._location):
            return await _to_the_end(self._connection.execute(statement, row))


class Database:
    """The pool of connections to one database, in one event loop."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.location = location(parsed)
        self._engine = create_async_engine(
            sqlite.connect_url(parsed, create=False).set(drivername=sqlite.ASYNC_DRIVER),
            connect_args=sqlite.CONNECT_ARGUMENTS,
            pool_size=_POOL_SIZE,
            max_overflow=0,
            # Parameters would put sealed values and API key hashes into error texts.
            hide_parameters=True,
        )
        sqlite.configure(self._engine.sync_engine)
        self._writer_engine = self._engine.execution_options(write=True)
        self._writer_lock = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A read transaction: all that is read in it is of one moment. It does not wait for the writer."""
        async with self._connect(self._engine) as connection:
            yield Connection(connection, self.location)

    @asynccontextmanager
    async def write(self, after_commit: Callable[[], None] | None = None) -> AsyncIterator[Connection]:
        """A write transaction: serialised with all others from its begin, committed at the end, rolled back by any
        exception. `after_commit` is called once the commit happened, also when the caller was cancelled during it.
        """
        async with self._writer_lock, self._connect(self._writer_engine) as connection:
            yield Connection(connection, self.location)
            # An exception does not come here, and the connection rolls back when it is given back.
            await _to_the_end(self._commit(connection, after_commit))

    async def _commit(self, connection: AsyncConnection, after_commit: Callable[[], None] | None) -> None:
        with translated_errors(self.location):
            await connection.commit()
        if after_commit is not None:
            after_commit()

    @asynccontextmanager
    async def _connect(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        if self._closed:
            raise StoreUnavailable(f"{self.location} was closed by this process")
        connection = engine.connect()
        try:
            with translated_errors(self.location):
                await _to_the_end(connection.start())
            yield connection
        finally:
            if connection.sync_connection is not None:
                await _to_the_end(connection.close())

    async def close(self) -> None:
        """Close the connections, after the transaction that is being written now. Later use raises StoreUnavailable."""
        async with self._writer_lock:
            self._closed = True
            await self._engine.dispose()


@contextmanager
def synchronous_transaction(url: str, *, write: bool) -> Iterator[SyncConnection]:
    """One transaction on a connection of its own, without asyncio. With `write` it makes a database that is not there
    and is serialised with all other writers.
    """
    parsed = parse_url(url)
    engine = create_engine(
        sqlite.connect_url(parsed, create=write).set(drivername=sqlite.SYNC_DRIVER),
        connect_args=sqlite.CONNECT_ARGUMENTS,
        poolclass=NullPool,
        hide_parameters=True,
        execution_options={"write": write},
    )
    sqlite.configure(engine, prepare=write)
    with translated_errors(location(parsed)), engine.begin() as connection:
        yield connection


def parse_url(url: str) -> URL:
    """Read a database URL. Raises StoreError when it is none, or of a database that is not supported."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text of SQLAlchemy's error repeats the URL, and with it a password.
        raise StoreError(
            "the database URL is malformed: it must look like sqlite:////absolute/path/modelwire.db"
        ) from None
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(f"databases of the kind {parsed.drivername!r} are not supported: give a sqlite:/// URL")
    return parsed


def location(url: URL) -> str:
    """How messages name the database, without credentials."""
    return f"the database {url.database}" if url.get_backend_name() == "sqlite" else f"the database {url!r}"


@contextmanager
def translated_errors(location: str) -> Iterator[None]:
    """Translate what SQLAlchemy and the driver raise into StoreError; all else passes."""
    try:
        yield
    except DBAPIError as error:
        raise sqlite.translate(error.orig or error, location) from error
    except PoolTimeoutError as error:
        raise StoreUnavailable(f"{location} is overloaded: no connection became free in time; try again") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{location} gave an unexpected error: {error}") from error


async def _to_the_end(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Await what must not stop half-way. A cancellation meanwhile is raised when it is done."""
    task = asyncio.create_task(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Retrieved, so that asyncio does not report a failure that the cancellation outranks.
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()
