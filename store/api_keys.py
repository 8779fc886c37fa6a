"""API keys at rest: who may sign in, with the SHA-256 of the secret instead of the secret."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, update

from .access import Access, AccessState, note_access_change
from .audit import AuditAction, AuditEvent, append
from .chunks import chunks
from .database import Connection, Database
from .errors import StoreUnavailable
from .records import AliasPatterns, ApiKey
from .tables import api_keys, store_meta

MEMORY_SECONDS = 900.0
"""How long keys are believed in without a look at the database, since something could last be read from it."""

USE_SECONDS = 60.0
"""How much later than the one that is stored a use must be to be stored."""

_MEMORY_KEYS = 10_000

# One statement, so that the keys and the counter are of one moment.
_keys_and_counter = select(store_meta.c.store_id, store_meta.c.access_revision, api_keys).select_from(
    store_meta.outerjoin(api_keys, api_keys.c.id.in_(bindparam("ids", expanding=True)))
)

Check = Callable[[ApiKey, Sequence[ApiKey]], None]
"""Takes a key, and all others that are neither revoked nor expired. Raises to have nothing done."""


class ApiKeys:
    """The API keys of a store. They are no model configs: writing one makes no revision."""

    def __init__(self, database: Database, access: Access) -> None:
        self._database = database
        self._access = access
        self._seen: dict[str, tuple[AccessState, ApiKey]] = {}
        self._uses: dict[str, datetime] = {}
        # A look at the database that has not begun, and what is asked for until then.
        self._next_look: tuple[set[str], asyncio.Task[dict[str, ApiKey]]] | None = None
        self._looking = asyncio.Lock()

    async def add(
        self, key: ApiKey, *, action: AuditAction = AuditAction.API_KEY_CREATE, only_first: bool = False
    ) -> bool:
        """Keep a new key; `action` is what the audit log calls it. Raises StoreError when one with this id exists.

        With `only_first` nothing is done when there is any key; whether this one was kept.
        """
        patterns = key.aliases.patterns
        row = {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(key.scopes),
            "aliases": None if patterns is None else list(patterns),
            "secret_hash": key.secret_hash,
            "created_at": key.created_at,
            "created_by": key.created_by,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "last_used_at": key.last_used_at,
        }
        told = {
            "id": key.id,
            "name": key.name,
            "scopes": row["scopes"],
            "aliases": row["aliases"],
            "expiresAt": None if key.expires_at is None else key.expires_at.isoformat(),
        }
        event = AuditEvent(action=action, actor=key.created_by, details=told)
        async with self._database.write() as connection:
            if only_first and await _any(connection):
                return False
            await connection.execute(insert(api_keys), row)
            await append(connection, [event], at=key.created_at)
        return True

    async def find(self, id: str) -> ApiKey | None:  # noqa: A002 - the API's name
        """The key with this id, revoked and expired ones too; None when there is none.

        While the database is away: as it was the last time, if by all that was read since then nobody's access was
        taken away, and something was read in the last MEMORY_SECONDS. A key that another server revokes after this
        process could last read opens what is in its memory until the database is back, and nothing newer.
        """
        try:
            return (await self._look_with_others(id)).get(id)
        except StoreUnavailable:
            state, key = self._seen.get(id, (None, None))
            if key is None or state != self._access.state or self._access.age_seconds > MEMORY_SECONDS:
                raise
            return key

    async def _look_with_others(self, key_id: str) -> dict[str, ApiKey]:
        """What a look that begins after this call finds: one for all who ask while another one is under way."""
        if self._next_look is None:
            ids: set[str] = set()
            self._next_look = ids, asyncio.create_task(self._look(ids), name="look for API keys")
        wanted, look = self._next_look
        wanted.add(key_id)
        # Who is cancelled must not take it from the others.
        return await asyncio.shield(look)

    async def _look(self, ids: set[str]) -> dict[str, ApiKey]:
        async with self._looking:
            self._next_look = None
            return await self.find_many(ids)

    async def find_many(self, ids: Collection[str]) -> dict[str, ApiKey]:
        """Those of these keys that there are, by id, revoked and expired ones too: never from memory."""
        found: dict[str, ApiKey] = {}
        for batch in chunks(sorted(ids)):
            rows = await self._database.rows(_keys_and_counter, {"ids": batch})
            keys = {row.id: _key(row) for row in rows if row.id is not None}
            for row in rows[:1]:
                self._access.saw(row.store_id, row.access_revision)
                self._remember(batch, keys, (row.store_id, row.access_revision))
            found |= keys
        return found

    def _remember(self, asked: Sequence[str], keys: dict[str, ApiKey], state: AccessState) -> None:
        for key_id in asked:
            self._seen.pop(key_id, None)
            if key_id in keys:
                self._seen[key_id] = state, keys[key_id]
        while len(self._seen) > _MEMORY_KEYS:
            # The one that was not asked for for the longest time.
            del self._seen[next(iter(self._seen))]

    async def page(self, *, first: int, before: tuple[datetime, str] | None = None) -> list[ApiKey]:
        """At most `first` keys, the newest first, behind the one that was made then and has this id."""
        statement = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc()).limit(first)
        if before is not None:
            at, key_id = before
            same_moment = and_(api_keys.c.created_at == at, api_keys.c.id < key_id)
            statement = statement.where(or_(api_keys.c.created_at < at, same_moment))
        async with self._database.read() as connection:
            return [_key(row) for row in await connection.execute(statement)]

    async def revoke(self, id: str, *, by: str, at: datetime, check: Check) -> ApiKey | None:  # noqa: A002 - the API's name
        """Make a key useless for ever, once `check` has nothing against it; None when there is none.

        One that is revoked already stays as it is, unchecked. Every server hears of it by `Store.on_access_change`.
        """
        state: AccessState | None = None

        def after_commit() -> None:
            if state is not None:
                self._access.saw(*state)

        async with self._database.write(after_commit) as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == id))).first()
            if row is None or row.revoked_at is not None:
                return None if row is None else _key(row)
            key = _key(row)
            check(key, await _usable(connection, but=id, now=at))
            await connection.execute(update(api_keys).where(api_keys.c.id == id).values(revoked_at=at))
            details = {"id": key.id, "name": key.name, "expiresAt": key.expires_at and key.expires_at.isoformat()}
            event = AuditEvent(action=AuditAction.API_KEY_REVOKE, actor=by, details=details)
            await append(connection, [event], at=at)
            state = await note_access_change(connection)
            revoked = (await connection.execute(select(api_keys).where(api_keys.c.id == id))).one()
        return _key(revoked)

    def note_use(self, id: str, at: datetime) -> None:  # noqa: A002 - the API's name
        """Remember that a key was accepted, until `write_uses`. Costs no write."""
        self._uses[id] = at

    async def write_uses(self) -> None:
        """Store when the keys were last used that were since the last time; a key at most once in USE_SECONDS.

        Raises StoreError, and then keeps what was to be stored for the next time.
        """
        uses, self._uses = self._uses, {}
        try:
            known = await self.find_many(uses)
            due = [key for key in known.values() if _is_later(uses[key.id], key.last_used_at)]
            if due:
                async with self._database.write() as connection:
                    for key in due:
                        where = api_keys.c.id == key.id
                        await connection.execute(update(api_keys).where(where).values(last_used_at=uses[key.id]))
        except BaseException:
            self._uses = uses | self._uses
            raise

    async def any(self) -> bool:
        """Whether there is any key, usable or not."""
        async with self._database.read() as connection:
            return await _any(connection)


async def _any(connection: Connection) -> bool:
    return (await connection.execute(select(api_keys.c.id).limit(1))).first() is not None


async def _usable(connection: Connection, *, but: str, now: datetime) -> list[ApiKey]:
    unexpired = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    statement = select(api_keys).where(api_keys.c.id != but, api_keys.c.revoked_at.is_(None), unexpired)
    return [_key(row) for row in await connection.execute(statement)]


def _is_later(use: datetime, stored: datetime | None) -> bool:
    return stored is None or use - stored >= timedelta(seconds=USE_SECONDS)


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=frozenset(row.scopes),
        aliases=AliasPatterns(None if row.aliases is None else tuple(row.aliases)),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        secret_hash=row.secret_hash,
    )
