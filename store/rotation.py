"""Which key seals which row, and sealing rows again under the first key of the keyring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, tuple_, update

from .database import Connection, Database
from .errors import KeyringError, StoreCorrupt, UnknownKey
from .secrets import Envelope, Keyring
from .tables import model_config_changes as changes
from .tables import model_configs as heads
from .tables import store_meta

_BATCH_ROWS = 100
# A key that opens none of so many rows is another key, and not rows that were tampered with one by one.
_SAMPLE_ROWS = 20

_is_head = (heads.c.id == changes.c.config_id) & (heads.c.version == changes.c.version)
_place = tuple_(changes.c.config_id, changes.c.version)
_envelope = (changes.c.config_id, changes.c.version, changes.c.sealed, changes.c.sealing_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """What one key seals: `rows` of the change log, `current` of which are the configs as they are now."""

    rows: int
    current: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """What came of one batch. `problems` say which rows stay as they are and why; none of them holds a secret."""

    rows: int
    problems: tuple[str, ...]


class SealedRows:
    """The rows of the change log that hold secrets. Sealing one again changes no content: it makes no version and no
    revision, and nobody is told.
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the keys that are at hand, the one that seals first."""
        return self._keyring.names

    async def key_uses(self) -> dict[str, KeyUse]:
        """What is sealed under each key, by key name. Keys that seal nothing are not in it."""
        async with self._database.read() as connection:
            return await _key_uses(connection)

    async def check(self) -> None:
        """Raises UnknownKey when a key is missing that current configs need, KeyringError when one is another key
        than the one of that name that they were sealed under.
        """
        statement = (
            select(changes.c.sealing_key, func.count())
            .join(heads, _is_head)
            .where(changes.c.sealing_key.is_not(None))
            .group_by(changes.c.sealing_key)
            .order_by(changes.c.sealing_key)
        )
        async with self._database.read() as connection:
            needed: list[Any] = list(await connection.execute(statement))
        for name, count in needed:
            if not await self._fits(name):
                raise KeyringError(
                    f"the encryption key {name!r} does not open the secrets of {count} model configs that are sealed "
                    f"under a key of that name: give the right one in {self._keyring.source}, or restore a backup if "
                    "the database was changed from outside"
                )

    async def _fits(self, name: str) -> bool:
        statement = select(*_envelope).join(heads, _is_head).where(changes.c.sealing_key == name).limit(_SAMPLE_ROWS)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return not rows or any(
            self._keyring.fits(Envelope(name, row.sealed), config_id=row.config_id, version=row.version) for row in rows
        )

    async def reseal(self, *, batch_rows: int = _BATCH_ROWS) -> AsyncIterator[Resealed]:
        """Seal every row that is sealed under another key than the first of the keyring under that one, batch by batch.

        Each batch is a short transaction of its own: writers go on meanwhile, and what was done stays done when this is
        not driven to its end. Rows that a writer adds meanwhile under another key are left; see `key_uses`.
        """
        self._keyring.refresh()
        # Without an end, it would run after a writer that adds rows faster than it seals them.
        async with self._database.read() as connection:
            last = (await connection.execute(select(store_meta.c.revision))).scalar_one()
        after: Any = None
        while rows := await self._rows_to_reseal(after, last, batch_rows):
            after = rows[-1]
            yield await self._reseal(rows)

    async def _rows_to_reseal(self, after: Any, last: int, limit: int) -> list[Any]:
        statement = select(*_envelope).where(
            changes.c.sealing_key != self._keyring.names[0], changes.c.revision <= last
        )
        if after is not None:
            statement = statement.where(_place > (after.config_id, after.version))
        async with self._database.read() as connection:
            return list((await connection.execute(statement.order_by(*_place.clauses).limit(limit))).all())

    async def _reseal(self, rows: list[Any]) -> Resealed:
        resealed, problems = [], []
        for row in rows:
            place = {"config_id": row.config_id, "version": row.version}
            try:
                opened = self._keyring.open(Envelope(row.sealing_key, row.sealed), **place)
            except (UnknownKey, StoreCorrupt) as error:
                problems.append(str(error))
            else:
                resealed.append((row, self._keyring.seal(opened, **place)))
        async with self._database.write() as connection:
            done = 0
            for row, envelope in resealed:
                assert envelope is not None  # noqa: S101 -- what opened was not empty
                # Compaction may have taken the row, or another rotation have done it.
                statement = (
                    update(changes)
                    .where(
                        changes.c.config_id == row.config_id,
                        changes.c.version == row.version,
                        changes.c.sealing_key == row.sealing_key,
                    )
                    .values(sealed=envelope.sealed, sealing_key=envelope.key_name)
                )
                done += (await connection.execute(statement)).rowcount
        return Resealed(rows=done, problems=tuple(problems))

    async def add_key(self) -> str:
        """Make a new key, which seals from now on in every process that uses the key file; its name.

        Raises KeyringError when the keys do not come from a key file.
        """
        async with self._key_uses_locked():
            return self._keyring.add_key()

    async def retire_unused_keys(self) -> tuple[tuple[str, ...], Path | None]:
        """The names of the keys that nothing is sealed under, the first key excepted. They leave the key file, if the
        keys come from one, for the file that is returned: backups may still need them.
        """
        async with self._key_uses_locked() as uses:
            self._keyring.refresh()
            unused = tuple(name for name in self._keyring.names[1:] if name not in uses)
            return unused, self._keyring.retire_keys(unused) if unused and self._keyring.has_file else None

    @asynccontextmanager
    async def _key_uses_locked(self) -> AsyncIterator[dict[str, KeyUse]]:
        """As `key_uses`, and nobody seals anything until the end of the block."""
        async with self._database.write() as connection:
            # Writers seal within such a transaction, and they are serialised.
            yield await _key_uses(connection)


async def _key_uses(connection: Connection) -> dict[str, KeyUse]:
    statement = (
        select(changes.c.sealing_key, func.count().label("rows"), func.count(heads.c.id).label("current"))
        .outerjoin(heads, _is_head)
        .where(changes.c.sealing_key.is_not(None))
        .group_by(changes.c.sealing_key)
    )
    return {row.sealing_key: KeyUse(rows=row.rows, current=row.current) for row in await connection.execute(statement)}
