"""Connections and transactions, and the one boundary at which errors of SQLAlchemy and the driver become ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, CursorResult, Engine, Executable, NullPool, QueuePool, create_engine, make_url
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from . import sqlite
from .errors import StoreError, StoreUnavailable
from .options import PATIENCE_SECONDS, DatabaseOptions

_T = TypeVar("_T")


class Dialect(Protocol):
    """What the modules `sqlite` and `postgresql` say about their database."""

    DRIVER_ERROR: type[Exception]

    READ_OPTIONS: Mapping[str, Any]
    """Execution options of transactions that only read."""

    WRITE_OPTIONS: Mapping[str, Any]
    """Execution options of transactions that write."""

    BEGIN_WRITE: Executable | None
    """The statement that waits for the writers before this one, where beginning the transaction does not."""

    def connect_url(self, url: URL, *, asynchronous: bool, create: bool) -> URL: ...

    def engine_arguments(self, url: URL, options: DatabaseOptions) -> dict[str, Any]: ...

    def configure(self, engine: Engine, options: DatabaseOptions, *, prepare: bool) -> None: ...

    def lock_for_migration(self, connection: SyncConnection) -> None: ...

    async def listen(
        self, connection: Any, connected: Callable[[], None], wake: Callable[[], None], *, poll_seconds: float
    ) -> None: ...

    def location(self, url: URL) -> str: ...

    def translate(self, error: BaseException, location: str) -> StoreError: ...


class Connection:
    """A connection in a transaction.

    What it does is done to its end although its task is cancelled. A driver that is left in the middle of a statement
    closes its connection, but SQLite's stays behind with its locks until the garbage collector finds the statement.
    """

    def __init__(self, connection: AsyncConnection, errors: Errors) -> None:
        self._connection = connection
        self._errors = errors

    async def execute(
        self, statement: Executable, row: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement, with `row` as its parameters, or once for each of several rows. Raises StoreError."""
        with self._errors.translated():
            return await _to_the_end(self._connection.execute(statement, row))


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How many connections a pool has in use, of how many that it may have."""

    in_use: int
    size: int


class Database:
    """The pool of connections to one database, in one event loop."""

    def __init__(self, url: str, options: DatabaseOptions | None = None) -> None:
        options = options or DatabaseOptions()
        parsed = _parse_url(url)
        dialect = _dialect_of(parsed)
        self._errors = Errors(dialect, dialect.location(parsed))
        self._dialect = dialect
        connect_url = dialect.connect_url(parsed, asynchronous=True, create=False)
        # Parameters would put sealed values and API key hashes into error texts.
        arguments = {**dialect.engine_arguments(parsed, options), "hide_parameters": True}
        engine = create_async_engine(
            connect_url,
            **arguments,
            pool_size=options.pool_size,
            max_overflow=0,
            pool_timeout=options.connect_timeout_seconds + options.statement_timeout_seconds,
        )
        dialect.configure(engine.sync_engine, options, prepare=False)
        self._engine = engine
        # Its connection stays open for as long as the process lives, and must not be missing in the pool.
        self._listener_engine = create_async_engine(connect_url, **arguments, poolclass=NullPool)
        self._readers = engine.execution_options(**dialect.READ_OPTIONS)
        self._writers = engine.execution_options(**dialect.WRITE_OPTIONS)
        self._begin_write = dialect.BEGIN_WRITE
        self._writer_lock = asyncio.Lock()
        self._closed = False

    @property
    def location(self) -> str:
        """How messages name the database, without credentials."""
        return self._errors.location

    @property
    def pool(self) -> PoolUse:
        """How many of its connections are in use."""
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)  # noqa: S101 - what engines have that are made with a pool size
        return PoolUse(pool.checkedout(), pool.size())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A read transaction: all that is read in it is of one moment. It does not wait for the writer."""
        async with self._connect(self._readers) as connection:
            yield Connection(connection, self._errors)

    @asynccontextmanager
    async def write(self, after_commit: Callable[[], None] | None = None) -> AsyncIterator[Connection]:
        """A write transaction: serialised with all others from its begin, committed at the end, rolled back by any
        exception. `after_commit` is called once the commit happened, also when the caller was cancelled during it.
        """
        async with self._writer_lock, self._connect(self._writers) as raw_connection:
            connection = Connection(raw_connection, self._errors)
            if self._begin_write is not None:
                await connection.execute(self._begin_write)
            yield connection
            # An exception does not come here, and the connection rolls back when it is given back.
            await _to_the_end(self._commit(raw_connection, after_commit))

    async def _commit(self, connection: AsyncConnection, after_commit: Callable[[], None] | None) -> None:
        with self._errors.translated():
            await connection.commit()
        if after_commit is not None:
            after_commit()

    @asynccontextmanager
    async def _connect(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        if self._closed:
            raise StoreUnavailable(f"{self.location} was closed by this process")
        connection = engine.connect()
        try:
            with self._errors.translated():
                await _to_the_end(connection.start())
            yield connection
        finally:
            if connection.sync_connection is not None:
                # What was read is read, and what was committed is committed. The pool drops a connection that broke.
                with suppress(StoreUnavailable), self._errors.translated():
                    await _to_the_end(connection.close())

    async def listen(self, connected: Callable[[], None], wake: Callable[[], None], *, poll_seconds: float) -> None:
        """Call `connected`, then `wake` whenever something may have been committed, until the connection breaks or
        the task is cancelled. Raises StoreError.
        """
        # The driver's own connection. A cancellation while it is made must not leave it behind.
        connection: Any = None

        async def connect() -> None:
            nonlocal connection
            pooled = await self._listener_engine.raw_connection()
            connection = pooled.driver_connection
            pooled.detach()

        with self._errors.translated():
            try:
                await _to_the_end(connect())
                await self._dialect.listen(connection, connected, wake, poll_seconds=poll_seconds)
            finally:
                if connection is not None:
                    await _to_the_end(connection.close())

    async def close(self) -> None:
        """Close the connections, after the transaction that is being written now. Later use raises StoreUnavailable."""
        async with self._writer_lock:
            self._closed = True
            await self._engine.dispose()


@contextmanager
def synchronous_transaction(url: str, *, write: bool) -> Iterator[SyncConnection]:
    """One transaction on a connection of its own, without asyncio. With `write` it makes a SQLite file that is not
    there, is serialised with all other writers, for which it waits longer than requests do, and may take as long as it
    takes.
    """
    parsed = _parse_url(url)
    dialect = _dialect_of(parsed)
    options = DatabaseOptions()
    if write:
        options = DatabaseOptions(statement_timeout_seconds=0.0, lock_timeout_seconds=PATIENCE_SECONDS)
    with Errors(dialect, dialect.location(parsed)).translated():
        engine = create_engine(
            dialect.connect_url(parsed, asynchronous=False, create=write),
            **dialect.engine_arguments(parsed, options),
            poolclass=NullPool,
            hide_parameters=True,
            execution_options=dialect.WRITE_OPTIONS if write else dialect.READ_OPTIONS,
        )
        dialect.configure(engine, options, prepare=write)
        with engine.begin() as connection:
            if write:
                dialect.lock_for_migration(connection)
            yield connection


def database_location(url: str) -> str:
    """How to name the database of a URL without user and password. Raises StoreError when it cannot be used."""
    parsed = _parse_url(url)
    dialect = _dialect_of(parsed)
    dialect.connect_url(parsed, asynchronous=True, create=False)
    return dialect.location(parsed)


def _dialect_of(url: URL) -> Dialect:
    match url.get_backend_name():
        case "sqlite":
            return sqlite
        case "postgresql" | "postgres":
            # Only now: who has the embedded database needs no driver of PostgreSQL.
            from . import postgresql

            return postgresql
    raise StoreError(
        f"databases of the kind {url.drivername!r} are not supported: give a sqlite:/// or a postgresql:// URL"
    )


def _parse_url(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # The text of the error repeats the URL, or a part of it, and with it perhaps a password.
        raise StoreError(
            "the database URL is malformed: it must look like sqlite:////absolute/path/modelwire.db or "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE, the password percent-encoded"
        ) from None


class Errors:
    """Translates what SQLAlchemy and the driver raise about one database."""

    def __init__(self, dialect: Dialect, location: str) -> None:
        self._dialect = dialect
        self.location = location

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Translate what SQLAlchemy and the driver raise into StoreError; all else passes."""
        try:
            yield
        except DBAPIError as error:
            raise self._dialect.translate(error.orig or error, self.location) from error
        except self._dialect.DRIVER_ERROR as error:
            raise self._dialect.translate(error, self.location) from error
        except PoolTimeoutError as error:
            raise StoreUnavailable(
                f"{self.location} is overloaded: no connection became free in time; try again"
            ) from error
        except SQLAlchemyError as error:
            raise StoreError(f"{self.location} gave an unexpected error: {error}") from error


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
