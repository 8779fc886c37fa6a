"""What is particular to PostgreSQL: its URL, its settings, its transactions and its errors."""

from __future__ import annotations

from collections.abc import Callable
from select import POLLIN, poll
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, event, inspect, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from .errors import StoreCorrupt, StoreError, StoreUnavailable
from .options import DatabaseOptions

DRIVER = "postgresql+psycopg"

DRIVER_ERROR: type[Exception] = psycopg.Error

CHANNEL = "modelwire_changes"
"""Notified by every transaction that may have changed something; the notification says who wrote, and carries no data.
"""

# Of Modelwire, in every database: it keeps apart those who migrate at the same moment.
_MIGRATION_LOCK = 0x6D6F64656C776972

# How long a notification that was lost may stay unnoticed.
_HEARTBEAT_SECONDS = 1.0

# A writer that froze within a transaction holds the row that every other writer waits for.
_IDLE_SECONDS = 60.0


def connect_url(url: URL, *, create: bool) -> URL:  # noqa: ARG001 - the driver makes no database
    """The URL as the driver shall have it. Raises StoreError for another driver, or without the database's name."""
    if url.drivername not in {"postgres", "postgresql", DRIVER}:
        raise StoreError(f"the driver of {url.drivername} is not supported: write postgresql://USER@HOST/DATABASE")
    if not url.database:
        raise StoreError("the database URL names no database: write postgresql://USER@HOST/DATABASE")
    return url.set(drivername=DRIVER)


def location(url: URL) -> str:
    """How messages name the database: without user and password, and without what else may be in the URL's query."""
    host = url.host or "the local socket"
    return f"the PostgreSQL database {url.database} on {host}{f':{url.port}' if url.port else ''}"


def engine_arguments(url: URL, options: DatabaseOptions) -> dict[str, Any]:
    """What SQLAlchemy is told."""
    return {
        # psycopg would begin a transaction by itself, which is a round trip of its own.
        "connect_args": {**connect_arguments(url, options), "autocommit": True},
        "use_native_hstore": False,
    }


def connect_arguments(url: URL, options: DatabaseOptions) -> dict[str, Any]:
    """What libpq is told, where the URL says nothing else: to notice a server that is gone without a word."""
    silence_seconds = options.connect_timeout_seconds + (options.statement_timeout_seconds or _IDLE_SECONDS)
    arguments = {
        # libpq counts in whole seconds, and takes 1 for 2.
        "connect_timeout": max(2, round(options.connect_timeout_seconds)),
        "application_name": "modelwire",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": round(silence_seconds * 1000),
    }
    return {name: value for name, value in arguments.items() if name not in url.query}


def configure(engine: Engine, options: DatabaseOptions, *, prepare: bool) -> None:  # noqa: ARG001 - there is no file to prepare
    """Bound how long a statement may take on each connection of an engine; 0 is no bound. A connection that died in the
    pool, with a restart of PostgreSQL for example, is replaced and not noticed.
    """

    @event.listens_for(engine, "connect")
    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for name, seconds in (
            ("statement_timeout", options.statement_timeout_seconds),
            ("idle_in_transaction_session_timeout", _IDLE_SECONDS),
        ):
            cursor.execute("SELECT set_config(%s, %s, false)", (name, str(round(seconds * 1000))))
        cursor.close()

    @event.listens_for(engine, "checkout")
    def on_checkout(connection: Any, _: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        # A server that ends a connection says so. To ask it, as pool_pre_ping does, would cost a round trip each time.
        if connection.closed or _says_something(connection.fileno()):
            raise DisconnectionError


def _says_something(file: int) -> bool:
    poller = poll()
    poller.register(file, POLLIN)
    return bool(poller.poll(0))


# Under REPEATABLE READ all that a transaction reads is of the moment of its first statement.
BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

# Under READ COMMITTED each statement after the lock sees what the writers before have committed.
BEGIN_MIGRATION = "BEGIN ISOLATION LEVEL READ COMMITTED"


# The lock of the one counter row makes the order of commits the order of revisions. The notification is delivered to
# the listeners when the transaction commits, and never when it does not; here it costs no statement of its own.
def _lock(writer: str) -> str:
    return f"SELECT pg_notify('{CHANNEL}', '{writer}') FROM store_meta FOR UPDATE"  # noqa: S608 - no input


def begin_write(writer: str) -> str:
    """The statement that begins a transaction which writes. The listeners that `writer` names do not hear of it."""
    return f"{BEGIN_MIGRATION}; {_lock(writer)}"


def lock_for_migration(connection: Connection) -> None:
    """Wait until nobody else migrates this database or writes to it, and keep it so to the transaction's end."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    if inspect(connection).has_table("store_meta"):
        connection.exec_driver_sql(_lock(""))


async def listen(
    url: URL,
    options: DatabaseOptions,
    connected: Callable[[], None],
    wake: Callable[[], None],
    *,
    poll_seconds: float,
    listener: str,
) -> None:
    """Call `wake` when anybody has committed something that `begin_write(listener)` did not begin, until cancelled."""
    _, named = url.get_dialect()().create_connect_args(url)
    arguments = {**named, **connect_arguments(url, options), "autocommit": True}
    async with await psycopg.AsyncConnection.connect(**arguments) as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        connected()
        while True:
            async for notification in connection.notifies(timeout=max(poll_seconds, _HEARTBEAT_SECONDS)):
                if notification.payload != listener:
                    wake()
            # Should one ever be lost, the log tells.
            wake()


def translate(error: BaseException, location: str) -> StoreError:
    """What an error of the driver means. `location` names the database for the message."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return _without_state(error, location)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return StoreUnavailable(f"{location} took longer than the statement timeout; try again, it is overloaded")
    for prefix, kind, meaning in _MEANINGS:
        if state.startswith(prefix):
            return kind(f"{location} {meaning}")
    return StoreError(f"{location} gave an unexpected error ({state}): {_primary(error)}")


_MEANINGS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("08", StoreUnavailable, "has lost the connection: check that PostgreSQL runs there; try again"),
    ("57P", StoreUnavailable, "is starting or stopping; try again"),
    ("25P03", StoreUnavailable, "ended a transaction that stood still for too long; try again"),
    ("28", StoreUnavailable, "refuses the user: check the user and the password in MODELWIRE_DATABASE_URL"),
    ("3D000", StoreUnavailable, "does not exist: create it, or check MODELWIRE_DATABASE_URL"),
    ("42501", StoreUnavailable, "refuses the user the right to do this: it must own the tables of Modelwire"),
    ("25006", StoreUnavailable, "is read-only: give the address of the primary server"),
    ("53100", StoreUnavailable, "cannot be written to, the disk of PostgreSQL is full: free some space"),
    ("53300", StoreUnavailable, "has no connection free: raise max_connections there, or lower database_pool_size"),
    ("53", StoreUnavailable, "is out of resources; try again"),
    ("40", StoreUnavailable, "could not finish the transaction besides others; try again"),
    ("55P03", StoreUnavailable, "is locked by another process; try again"),
    ("58", StoreUnavailable, "cannot reach its files: look at the log of PostgreSQL"),
    ("XX", StoreCorrupt, "is damaged: look at the log of PostgreSQL, and restore a backup"),
)


def _without_state(error: BaseException, location: str) -> StoreError:
    if isinstance(error, psycopg.DataError):
        return StoreError(f"{location} cannot hold this text: {error}")
    # What libpq says about a connection that failed: host, user and reason, never the password.
    reason = " ".join(str(error).split()).rpartition("failed: ")[2]
    return StoreUnavailable(f"{location} cannot be reached: check that PostgreSQL runs there and lets us in ({reason})")


def _primary(error: BaseException) -> str:
    diagnostics = getattr(error, "diag", None)
    return (diagnostics.message_primary if diagnostics is not None else None) or type(error).__name__
