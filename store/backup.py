"""Backing up and restoring the embedded database while servers use it, and what a restore does on any database."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import make_url, update

from . import sqlite
from .audit import AuditAction, AuditEvent, append_synchronously
from .database import database_location, synchronous_transaction
from .errors import StoreCorrupt, StoreError, StoreUnavailable
from .migrate import migrate, new_store_id, read_store_id
from .records import Position
from .secrets import Keyring
from .store import open_store
from .tables import store_meta

_BUSY_SECONDS = 10.0
# What SQLite and Modelwire keep beside a database, by what is added to its name.
_BESIDE = ("", "-wal", "-shm", "-journal", ".key", ".key.retired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a backup holds, or what a restore put in place. `key_names` are the keys that its secrets need."""

    position: Position
    key_names: tuple[str, ...]


def back_up(url: str, file: Path, *, replace: bool = False) -> Copied:
    """Copy an embedded database, as it is at one moment, to a file of mode 0600. The file appears whole and checked or
    not at all, and takes the place of another only with `replace`. Blocks; call it in a thread.

    Raises StoreError when the database is not embedded, or the file is there or cannot be written; StoreUnavailable,
    StoreCorrupt, SchemaMismatch.
    """
    database = _embedded(url)
    read_store_id(url)
    file = file.absolute()
    if file in [database.with_name(database.name + suffix) for suffix in _BESIDE]:
        raise StoreError(f"{file} belongs to the database itself: give the backup another name")
    with _draft(file) as draft:
        with _translated(database, to=file), closing(_connect(database, "rw")) as source:
            _copy(source, draft)
        copied = _look(draft)
        _sync(draft)
        try:
            if replace:
                draft.replace(file)
            else:
                # A link never takes the place of a file that is there.
                os.link(draft, file)
        except FileExistsError:
            raise StoreError(f"{file} is there already: give another name, or say that it is to be replaced") from None
        except OSError as error:
            raise StoreError(f"the backup {file} cannot be written: {error.strerror}") from error
        _sync(file.parent)
    return copied


async def restore(url: str, file: Path, keyring: Keyring) -> Copied:
    """Put a backup in the place of an embedded database, in one transaction: servers that use it go on with the state
    of the backup, and their subscribers get it as a marked reset. A database that is not there is made.

    All is checked before: nothing changes when the backup is damaged, newer than this code, or sealed under keys that
    the keyring lacks. Raises StoreError, which says what of that it was.
    """
    database = _embedded(url)
    with _draft(database) as draft:
        await asyncio.to_thread(_take, file, draft)
        copy_url = f"sqlite:///{draft}"
        # The schema of this version, as the database has it; the copy must not announce itself as the original does.
        await asyncio.to_thread(migrate, copy_url)
        await asyncio.to_thread(renew_identity, copy_url)
        store = await open_store(copy_url, keyring)
        try:
            await store.sealed_rows.check()
        finally:
            await store.close()
        copied = await asyncio.to_thread(_look, draft)
        await asyncio.to_thread(_put_in_place, url, database, draft)
    return copied


def renew_identity(url: str) -> str:
    """Give the database another identity, which is returned: every subscriber gets its state anew, as a marked reset.
    The audit log says so: else it would only end earlier than it did.

    To be done when an older state of the database was put in its place. Blocks; call it in a thread.
    Raises SchemaMismatch, StoreUnavailable, StoreCorrupt.
    """
    read_store_id(url)
    store_id = new_store_id()
    with synchronous_transaction(url, write=True) as connection:
        renewed = update(store_meta).values(store_id=store_id).returning(store_meta.c.revision)
        details = {"revision": connection.execute(renewed).scalar_one()}
        event = AuditEvent(action=AuditAction.STORE_RESTORE, actor="system", details=details)
        append_synchronously(connection, event, at=datetime.now(UTC))
    return store_id


def _embedded(url: str) -> Path:
    location = database_location(url)
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(
            f"{location} is not embedded: use pg_dump for a backup and pg_restore to restore it, and run "
            "`modelwire restore --renew-identity` after the restore"
        )
    return Path(parsed.database or "").absolute()


def _take(file: Path, draft: Path) -> None:
    """Copy a backup to `draft` and check it."""
    file = file.absolute()
    if not file.is_file():
        raise StoreError(f"the backup {file} is not there, or is no file")
    with _translated(file, "the backup"):
        with closing(_connect(file, "ro")) as source:
            _copy(source, draft)
        with closing(_connect(draft, "ro")) as copy:
            tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if store_meta.name not in tables:
        raise StoreCorrupt(f"the backup {file} holds no store of Modelwire: check the path")


def _put_in_place(url: str, database: Path, draft: Path) -> None:
    if not database.exists():
        migrate(url)
    try:
        read_store_id(url)
    except StoreCorrupt as error:
        raise StoreCorrupt(
            f"{error}. To restore in its place, stop the servers that use it, move the file away, with those beside "
            f"it that end in -wal and -shm, and run this again"
        ) from error
    with _translated(database), closing(_connect(draft, "rw")) as source, closing(_connect(database, "rw")) as target:
        target.execute("PRAGMA synchronous = FULL")
        _copy_pages(source, target)


def _copy(source: sqlite3.Connection, draft: Path) -> None:
    with closing(_connect(draft, "rw")) as target:
        _copy_pages(source, target)
        # One file, without those that the write-ahead log has beside it.
        target.execute("PRAGMA journal_mode = DELETE")
        problems = [str(problem) for (problem,) in target.execute("PRAGMA integrity_check(3)")]
    if problems != ["ok"]:
        raise sqlite3.DatabaseError("; ".join(problems))


def _copy_pages(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _BUSY_SECONDS

    def give_up(status: int, _remaining: int, _total: int) -> None:
        # SQLite tries for ever.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise StoreUnavailable(
                "the database is locked by another process: try again, and look for one that holds it"
            )

    # All pages in one step: one read transaction there, one write transaction here.
    source.backup(target, pages=-1, progress=give_up, sleep=0.05)


def _look(copy: Path) -> Copied:
    with _translated(copy), closing(_connect(copy, "ro")) as connection:
        ((store_id, revision),) = connection.execute("SELECT store_id, revision FROM store_meta")
        names = connection.execute(
            "SELECT DISTINCT sealing_key FROM model_config_changes WHERE sealing_key IS NOT NULL ORDER BY 1"
        )
        return Copied(position=Position(store_id, revision), key_names=tuple(name for (name,) in names))


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
    )


@contextmanager
def _translated(path: Path, what: str = "the database", *, to: Path | None = None) -> Iterator[None]:
    """Translate SQLite's errors about the file at `path`, or about what is written to the file at `to`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if to is not None and code == sqlite3.SQLITE_FULL:
            path, what = to, "the backup"
        if code is None:
            raise StoreCorrupt(f"{what} {path} is damaged: {error}") from error
        raise sqlite.translate(error, f"{what} {path}") from error


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, for this user only, that is gone afterwards with all that SQLite put beside it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise StoreError(f"nothing can be written to {path.parent}: {error.strerror}") from error
    try:
        yield draft
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(OSError):
                draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
