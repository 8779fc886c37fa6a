"""Connections and transactions, and the one boundary at which errors of SQLAlchemy and the driver become ours."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, CursorResult, Engine, Executable, NullPool, QueuePool, Row, create_engine, make_url
from sqlalchemy import Connection as SyncConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from . import sqlite
from .errors import StoreError, StoreUnavailable
from .options import PATIENCE_SECONDS, DatabaseOptions
from .threads import Threads

_T = TypeVar("_T")

Values = Mapping[str, Any]
"""The parameters of a statement, by name."""


class Dialect(Protocol):
    """What the modules `sqlite` and `postgresql` say about their database."""

    DRIVER_ERROR: type[Exception]

    BEGIN_READ: str
    """The statement that begins a transaction that only reads."""

    BEGIN_MIGRATION: str
    """The statement that begins a transaction which `lock_for_migration` is to be called in."""

    def connect_url(self, url: URL, *, create: bool) -> URL: ...

    def engine_arguments(self, url: URL, options: DatabaseOptions) -> dict[str, Any]: ...

    def configure(self, engine: Engine, options: DatabaseOptions, *, prepare: bool) -> None: ...

    def begin_write(self, writer: str) -> str:
        """The statement that begins a transaction that writes, once the writers before it have ended. Where the
        database tells of it, it does not tell the listeners that `writer` names.
        """
        ...

    def lock_for_migration(self, connection: SyncConnection) -> None: ...

    async def listen(
        self,
        url: URL,
        options: DatabaseOptions,
        connected: Callable[[], None],
        wake: Callable[[], None],
        *,
        poll_seconds: float,
        listener: str,
    ) -> None: ...

    def location(self, url: URL) -> str: ...

    def translate(self, error: BaseException, location: str) -> StoreError: ...


@dataclass(frozen=True, slots=True)
class _Write:
    """A statement that is to be executed, with its values. `rows`: how many it has to concern, None for any number."""

    statement: Executable
    values: Values | Sequence[Values]
    rows: int | None


class Connection:
    """A connection in a transaction, which begins with its first statement. docs/decisions/0019 says where it works.

    What it does is done to its end although its task is cancelled: a driver that is left in the middle of a statement
    has a connection that nobody can use. After an error it does nothing more.

    `begin` is the statement that begins the transaction, None where a single statement needs none around it. `opening`
    is one that is executed before its first one, in one go with it.
    """

    def __init__(
        self, engine: Engine, threads: Threads, errors: Errors, begin: str | None, opening: Executable | None = None
    ) -> None:
        self._engine = engine
        self._threads = threads
        self._errors = errors
        self._begin = begin
        self._opening = opening
        self._opened: CursorResult[Any] | None = None
        self._connection: SyncConnection | None = None
        self._writes: list[_Write] = []
        self._failed = False
        self._committed = False

    async def execute(
        self, statement: Executable, values: Values | Sequence[Values] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement, with its parameters, or once for each of several rows. Raises StoreError."""
        return await self._run(lambda: self._ready().execute(statement, values))

    def write(self, statement: Executable, values: Values | Sequence[Values], *, rows: int | None = None) -> None:
        """Have a statement executed before the next one that is waited for, or the commit, and in one go with it: that
        one raises its errors. `rows` is how many it has to concern, else StoreUnavailable is raised; None: any number.
        """
        self._writes.append(_Write(statement, values, rows))

    async def opened(self) -> CursorResult[Any]:
        """What `opening` gave, which is executed now if it was not. Raises StoreError."""
        if self._opened is None:
            await self._run(self._begun)
        assert self._opened is not None  # noqa: S101 - whoever asks has given one
        return self._opened

    async def rows(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        """All rows of the last statement that the connection is needed for. Raises StoreError."""
        return await self._run(lambda: self._rows(statement, values))

    async def commit(self, after_commit: Callable[[], None] | None) -> None:
        """End the transaction. `after_commit` is called once that happened, cancelled or not. Raises StoreError."""
        try:
            await self._run(self._commit)
        finally:
            if self._committed and after_commit is not None:
                after_commit()

    async def close(self) -> None:
        """Undo what was not committed."""
        if self._connection is not None and not self._connection.closed:
            await self._threads.run(self._close)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._failed:
            raise StoreUnavailable("the transaction failed before its end, nothing of it was written; try again")
        try:
            with self._errors.translated():
                return await self._threads.run(work)
        except BaseException:
            # The database may have ended the transaction by itself (a full disk); a later statement would stand alone.
            self._failed = True
            raise

    def _begun(self) -> SyncConnection:
        if self._connection is None:
            self._connection = self._engine.connect()
            if self._begin is not None:
                self._connection.exec_driver_sql(self._begin)
            if self._opening is not None:
                self._opened = self._connection.execute(self._opening)
        return self._connection

    def _ready(self) -> SyncConnection:
        """The connection with nothing left that was to be written before."""
        connection = self._begun()
        writes, self._writes = self._writes, []
        for write in writes:
            result = connection.execute(write.statement, write.values)
            if write.rows not in {None, result.rowcount}:
                raise StoreUnavailable("what was to be written was changed meanwhile, nothing was written; try again")
        return connection

    def _rows(self, statement: Executable, values: Values | None) -> Sequence[Row[Any]]:
        rows = self._ready().execute(statement, values).all()
        self._close()
        return rows

    def _commit(self) -> None:
        if self._connection is not None or self._writes:
            self._ready().commit()
            self._committed = True
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            # What was read is read, and what was committed is committed. The pool drops a connection that broke.
            with suppress(StoreUnavailable), self._errors.translated():
                self._connection.close()


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
        self._options = options
        self._engine = _engine(dialect, parsed, options, pool_size=options.pool_size, max_overflow=0)
        self._threads = Threads(options.pool_size)
        self._free = asyncio.Semaphore(options.pool_size)
        self._patience_seconds = options.connect_timeout_seconds + options.statement_timeout_seconds
        self._name = secrets.token_hex(8)
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

    async def rows(self, statement: Executable, values: Values | None = None) -> Sequence[Row[Any]]:
        """What one statement reads, which is of one moment by itself. It does not wait for the writer."""
        async with self._using(Connection(self._engine, self._threads, self._errors, None)) as connection:
            return await connection.rows(statement, values)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A read transaction: all that is read in it is of one moment. It does not wait for the writer."""
        begin = self._dialect.BEGIN_READ
        async with self._using(Connection(self._engine, self._threads, self._errors, begin)) as connection:
            yield connection

    @asynccontextmanager
    async def write(
        self, after_commit: Callable[[], None] | None = None, *, opening: Executable | None = None
    ) -> AsyncIterator[Connection]:
        """A write transaction: serialised with all others from its begin, committed at the end, rolled back by any
        exception. `after_commit` is called once the commit happened, also when the caller was cancelled during it: it
        is to tell this process, and `listen` need not. `opening` is a statement to begin with: see `Connection.opened`.
        """
        begin = self._dialect.begin_write("" if after_commit is None else self._name)
        writing = Connection(self._engine, self._threads, self._errors, begin, opening)
        async with self._writer_lock, self._using(writing) as connection:
            yield connection
            # An exception does not come here.
            await connection.commit(after_commit)

    @asynccontextmanager
    async def _using(self, connection: Connection) -> AsyncIterator[Connection]:
        """The connection, once the pool has one for it; given back at the end."""
        try:
            async with asyncio.timeout(self._patience_seconds if self._free.locked() else None):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                f"{self.location} is overloaded: no connection became free in time; try again"
            ) from None
        try:
            if self._closed:
                raise StoreUnavailable(f"{self.location} was closed by this process")
            yield connection
        finally:
            try:
                await connection.close()
            finally:
                self._free.release()

    async def listen(self, connected: Callable[[], None], wake: Callable[[], None], *, poll_seconds: float) -> None:
        """Call `connected`, then `wake` whenever something may have been committed of which no `after_commit` has told
        this process, until the connection breaks or the task is cancelled. Raises StoreError.

        The connection is the driver's own: it stays open for as long as the process lives, and must not be missing in
        the pool.
        """
        with self._errors.translated():
            await self._dialect.listen(
                self._engine.url, self._options, connected, wake, poll_seconds=poll_seconds, listener=self._name
            )

    async def close(self) -> None:
        """Close the connections, after the transaction that is being written now. Later use raises StoreUnavailable."""
        async with self._writer_lock:
            self._closed = True
            await self._threads.run(self._engine.dispose)


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
        engine = _engine(dialect, parsed, options, create=write, poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(dialect.BEGIN_MIGRATION if write else dialect.BEGIN_READ)
            if write:
                dialect.lock_for_migration(connection)
            yield connection


def _engine(dialect: Dialect, url: URL, options: DatabaseOptions, *, create: bool = False, **pool: Any) -> Engine:
    # Parameters would put sealed values and API key hashes into error texts.
    arguments = {**dialect.engine_arguments(url, options), "hide_parameters": True, **pool}
    engine = create_engine(dialect.connect_url(url, create=create), **arguments)
    dialect.configure(engine, options, prepare=create)
    return engine


def database_location(url: str) -> str:
    """How to name the database of a URL without user and password. Raises StoreError when it cannot be used."""
    parsed = _parse_url(url)
    dialect = _dialect_of(parsed)
    dialect.connect_url(parsed, create=False)
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
        except SQLAlchemyError as error:
            raise StoreError(f"{self.location} gave an unexpected error: {error}") from error
