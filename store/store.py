"""The store: one database's model configs and their change log, read and written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, select

from . import tracing
from .access import Access, AccessState
from .api_keys import ApiKeys
from .audit import AuditLog
from .change_log import find_changes, find_config, find_configs, find_versions, read_log
from .commits import follow_commits
from .components import Components
from .database import Connection, Database, PoolUse
from .errors import Compacted, StoreUnavailable
from .fleet import Fleet
from .listing import Listing, Place, find_page
from .migrate import read_store_id
from .mirror import Mirror
from .options import DatabaseOptions
from .records import Change, Commit, ModelConfig, Position, Secrets, Selector, Snapshot
from .retention import Retention, compact
from .rotation import SealedRows
from .secrets import Keyring
from .sessions import Sessions
from .tables import model_configs, store_meta
from .transaction import Transaction, beginning, open_secrets

logger = logging.getLogger(__name__)

_read_meta = select(store_meta)


async def open_store(url: str, keyring: Keyring, options: DatabaseOptions | None = None) -> Store:
    """Open a database that `migrate` made. Use it in this event loop only, and close it.

    Raises StoreUnavailable, StoreCorrupt, or SchemaMismatch when it was not migrated or is newer than this code.
    """
    # Without asyncio, because a connection of aiosqlite that could not be made leaves a thread behind.
    store_id = await asyncio.to_thread(read_store_id, url)
    options = options or DatabaseOptions()
    return Store(Database(url, options), keyring, store_id, options.mirror_configs)


class Store:
    """What `open_store` gives. All methods but `open_secrets` and `on_commit` raise StoreUnavailable when the database
    cannot be reached or written to, and StoreCorrupt when it is damaged.

    While it cannot be reached, `find`, `page` and `snapshot` answer from `mirror`, if a Feed keeps it: with the state
    at the Feed's position, which another server may be ahead of.
    """

    def __init__(self, database: Database, keyring: Keyring, store_id: str, max_mirrored: int = 0) -> None:
        self._database = database
        self._keyring = keyring
        self._access = Access(store_id)
        self._callbacks: list[Callable[[Commit], None]] = []
        self.mirror = Mirror(max_mirrored, keyring)
        self.api_keys = ApiKeys(database, self._access)
        self.sessions = Sessions(database, self._access)
        self.audit_log = AuditLog(database)
        self.components = Components(database)
        self.fleet = Fleet(database, self._access)
        self.sealed_rows = SealedRows(database, keyring)

    @property
    def id(self) -> str:
        """The store's identity, made with the database: a position of another store is told by it. A restore gives the
        database another one; this is the one that was last seen.
        """
        return self._access.state[0]

    @property
    def pool(self) -> PoolUse:
        """How many connections to the database are in use."""
        return self._database.pool

    @property
    def age_seconds(self) -> float:
        """How long ago this process read where the change log ends; a Feed does so every second."""
        return self._access.age_seconds

    async def close(self) -> None:
        """Close the connections, once a transaction in progress has ended. May be called twice."""
        self.mirror.clear()
        await self.fleet.stop()
        await self._database.close()

    @asynccontextmanager
    async def transaction(self, *, by: str, via: str | None = None) -> AsyncIterator[Transaction]:
        """Begin to write in the name of `by`, for example `api_key:k3j9x2q8ab`; waits until no other writer is in one.

        `via` is for the audit log, where each config that is written has a row: what wrote it, None for its writer.

        What was written is committed at the end of the block and undone when an exception, a cancellation included,
        leaves it. A transaction without a write takes no revision.
        """
        transaction: Transaction | None = None

        def after_commit() -> None:
            commit = None if transaction is None else transaction.outcome
            if commit is not None:
                revision = str(commit.position)
                logger.info("revision %s was committed by %s", revision, by, extra={"revision": revision})
                committed(revision)
                self.fleet.wake()
                self._call_back(commit)

        with tracing.writing() as committed:
            async with self._database.write(after_commit, opening=beginning) as connection:
                transaction = Transaction(connection, self._keyring, began=self._saw, by=by, via=via)
                yield transaction
                await transaction.complete()
            if transaction.revision is not None:
                # Those who watch first: the feed has its turn now, the watches that it wakes have the next.
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def find(self, *, id: str | None = None, alias: str | None = None) -> ModelConfig | None:  # noqa: A002 - the API's name
        """The current config with this id or this alias; give exactly one. None when there is none."""
        if (id is None) == (alias is None):
            raise TypeError("give exactly one of id and alias")
        try:
            async with self._database.read() as connection:
                return await find_config(connection, id=id, alias=alias)
        except StoreUnavailable:
            by_id = None if id is None else frozenset({id})
            by_alias = None if alias is None else frozenset({alias})
            remembered = self.mirror.snapshot(Selector(ids=by_id, aliases=by_alias))
            if remembered is None:
                raise
            return next(iter(remembered.configs), None)

    async def page(self, listing: Listing, *, first: int, after: Place | None = None) -> list[ModelConfig]:
        """The first `first` configs of a list, or all there are, behind a place in it (None: from its begin).

        By alias, in the order of code points, a page costs the same however many configs there are. In the order of
        changes it costs the rows of the change log between its ends. In that of providers, and with `search` or another
        filter, it costs a look at every config there is, in the database; for `search` and globs in Python.
        """
        try:
            async with self._database.read() as connection:
                return await find_page(connection, listing, first=first, after=after)
        except StoreUnavailable:
            remembered = self.mirror.page(listing, first=first, after=after)
            if remembered is None:
                raise
            return remembered

    async def snapshot(self, selector: Selector) -> Snapshot:
        """All that a selector names, by alias, and the revision at which it was so: both of one moment."""
        try:
            return await self._snapshot(selector)
        except StoreUnavailable:
            remembered = self.mirror.snapshot(selector)
            if remembered is None:
                raise
            return remembered

    async def _snapshot(self, selector: Selector) -> Snapshot:
        async with self._database.read() as connection:
            position = await self._position(connection)
            configs = tuple(await find_configs(connection, selector))
        return Snapshot(store_id=position.store_id, revision=position.revision, configs=configs)

    async def load_mirror(self) -> int:
        """Load the current configs into `mirror`, unless there are too many; the revision at which they are so."""
        self.mirror.clear()
        async with self._database.read() as connection:
            revision = (await self._position(connection)).revision
            too_many = select(model_configs.c.id).offset(self.mirror.max_configs).limit(1)
            if (await connection.execute(too_many)).first() is not None:
                return revision
        snapshot = await self._snapshot(Selector())
        self.mirror.load(snapshot)
        return snapshot.revision

    async def revision(self) -> int:
        """The revision of the last transaction that was committed."""
        async with self._database.read() as connection:
            return (await self._position(connection)).revision

    async def changes(self, *, after: int, concerning: Selector | None = None) -> list[Change]:
        """Every change with a revision greater than `after`, in the order of (revision, config id, version).

        With `concerning`, those alone that touch what it names, by the name before the change or the one after it;
        what is visible of them is the caller's to see to.

        They are of the store that `id` names when this returns, or of one that was there before it. Raises Compacted
        when some of them are no longer in the log.
        """
        if concerning is None:
            meta, found = await read_log(self._database, after=after)
            self._saw(meta)
        else:
            async with self._database.read() as connection:
                meta = await self._meta(connection)
                news = meta.revision > after
                found = await find_changes(connection, after=after, concerning=concerning) if news else []
        if after < meta.compacted_revision:
            raise Compacted(f"the change log begins behind revision {after}")
        return found

    async def history(self, config_id: str, *, first: int, before: int | None = None) -> list[Change]:
        """What the log still has of one config, newest first: `first` of them, or all there are, with a version lower
        than `before`. A deletion stays its last version.
        """
        async with self._database.read() as connection:
            return await find_versions(connection, config_id, first=first, before=before)

    async def compacted_revision(self) -> int:
        """Changes up to this revision, itself included, may be gone from the log; 0 while all are there."""
        async with self._database.read() as connection:
            return int((await self._meta(connection)).compacted_revision)

    def compact(self, retention: Retention) -> AsyncIterator[int]:
        """Take out of the change log what need not be kept, batch by batch; yields how many rows each one took."""
        return compact(self._database, retention)

    async def follow_commits(self, wake: Callable[[], None], *, poll_seconds: float) -> None:
        """Call `wake` soon after each commit by any other process, and more often than that, until cancelled.

        PostgreSQL tells; SQLite is asked every `poll_seconds`, and so is PostgreSQL while it cannot tell. What this
        Store commits, `on_commit` and `on_access_change` tell.
        """
        await follow_commits(self._database, wake, poll_seconds=poll_seconds)

    def open_secrets(self, config: ModelConfig) -> Secrets:
        """The secrets of a config at its version; empty when it has none.

        Raises UnknownKey when the keyring lacks the key, StoreCorrupt when they were changed outside of the store.
        """
        return open_secrets(self._keyring, config)

    @property
    def access_state(self) -> AccessState:
        """Stays the same for as long as nobody's access was taken away, as far as this process could read."""
        return self._access.state

    def on_access_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, in the event loop, soon after any process took somebody's access away, or restored a
        backup: some credentials may be good no more. Needs a Feed that runs, or reads otherwise.
        """
        self._access.on_change(callback)

    def derive_key(self, purpose: str, name: str | None = None) -> tuple[str, bytes]:
        """A key that serves this purpose alone, the same on all servers of this store: see Keyring.derive."""
        return self._keyring.derive(purpose, name)

    def on_commit(self, callback: Callable[[Commit], None]) -> None:
        """Have `callback` called, in the event loop, after each commit of this Store that has a revision."""
        self._callbacks.append(callback)

    def _call_back(self, commit: Commit) -> None:
        for callback in self._callbacks:
            try:
                callback(commit)
            except Exception:  # the change is committed: whatever a listener does, the writer must hear so
                logger.exception("a listener failed after a commit")

    async def _position(self, connection: Connection) -> Position:
        meta = await self._meta(connection)
        return Position(meta.store_id, meta.revision)

    async def _meta(self, connection: Connection) -> Row[Any]:
        meta = (await connection.execute(_read_meta)).one()
        self._saw(meta)
        return meta

    def _saw(self, meta: Any) -> None:
        """Take note of the row of `store_meta`, which was read now."""
        self._access.saw(meta.store_id, meta.access_revision)
        self.fleet.saw(meta.store_id, meta.revision, meta.component_revision)
