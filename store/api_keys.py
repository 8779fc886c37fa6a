"""API keys at rest: who may sign in, with the SHA-256 of the secret instead of the secret."""

from __future__ import annotations

import time

from sqlalchemy import insert, select

from .audit import AuditAction, AuditEvent, append
from .database import Database
from .errors import StoreUnavailable
from .records import AliasPatterns, ApiKey
from .tables import api_keys

MEMORY_SECONDS = 900.0
"""How long a key is believed in that cannot be looked up: one that another server revoked still opens this one."""

_MEMORY_KEYS = 10_000


class ApiKeys:
    """The API keys of a store. They are no model configs: writing one makes no revision."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[float, ApiKey]] = {}

    async def add(self, key: ApiKey) -> None:
        """Keep a new key. Raises StoreError when one with this id exists."""
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
        }
        told = {
            "id": key.id,
            "name": key.name,
            "scopes": row["scopes"],
            "aliases": row["aliases"],
            "expiresAt": None if key.expires_at is None else key.expires_at.isoformat(),
        }
        event = AuditEvent(action=AuditAction.API_KEY_CREATE, actor=key.created_by, details=told)
        async with self._database.write() as connection:
            await connection.execute(insert(api_keys), row)
            await append(connection, [event], at=key.created_at)

    async def find(self, id: str) -> ApiKey | None:  # noqa: A002 - the API's name
        """The key with this id, revoked and expired ones too; None when there is none.

        While the database is away: as it was the last time, if that is not longer ago than MEMORY_SECONDS.
        """
        try:
            key = await self._find(id)
        except StoreUnavailable:
            seen_at, key = self._seen.get(id, (0.0, None))
            if key is None or time.monotonic() - seen_at > MEMORY_SECONDS:
                raise
            return key
        self._seen.pop(id, None)
        if key is not None:
            self._seen[id] = time.monotonic(), key
            if len(self._seen) > _MEMORY_KEYS:
                # The one that was not asked for for the longest time.
                del self._seen[next(iter(self._seen))]
        return key

    async def _find(self, id: str) -> ApiKey | None:  # noqa: A002 - the API's name
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.id == id))).first()
        if row is None:
            return None
        return ApiKey(
            id=row.id,
            name=row.name,
            scopes=frozenset(row.scopes),
            aliases=AliasPatterns(None if row.aliases is None else tuple(row.aliases)),
            created_at=row.created_at,
            created_by=row.created_by,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            secret_hash=row.secret_hash,
        )

    async def any(self) -> bool:
        """Whether there is any key, usable or not."""
        async with self._database.read() as connection:
            return (await connection.execute(select(api_keys.c.id).limit(1))).first() is not None
