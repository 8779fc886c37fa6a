"""Compaction: the change log forgets what is old, in small steps beside the writers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, text, tuple_, update

from .database import Database
from .tables import model_config_changes as changes
from .tables import model_configs as heads
from .tables import store_meta

_BATCH_ROWS = 500

_place = tuple_(changes.c.config_id, changes.c.version)
_columns = (changes.c.config_id, changes.c.version, changes.c.revision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What the change log keeps: every version that was made at `since` or later, and at least the last
    `min_versions` of each config, the current one among them.

    A deleted config is kept whole until its deletion is older than that, and then goes whole. Raises ValueError for
    `min_versions` below 1.
    """

    since: datetime
    min_versions: int

    def __post_init__(self) -> None:
        if self.min_versions < 1:
            raise ValueError("the current version of a config is always kept: min_versions is at least 1")


async def compact(database: Database, retention: Retention, *, batch_rows: int = _BATCH_ROWS) -> AsyncIterator[int]:
    """Take out of the log what need not be kept; yields how many rows each batch took.

    Each batch is a short transaction of its own, with which `compacted_revision` moves: a position from before it
    gets a reset. Several may run at once, and what was done stays done when this is not driven to its end.
    """
    for statement in (_outdated(retention), _deleted(retention)):
        after: Any = None
        # Searched without the write lock: what is outdated once stays so.
        while rows := await _next_rows(database, statement, after, batch_rows):
            after = rows[-1]
            yield await _drop(database, rows)


def _outdated(retention: Retention) -> Select[Any]:
    """Old versions of configs that there are."""
    return (
        select(*_columns)
        .join(heads, heads.c.id == changes.c.config_id)
        .where(
            # Implied by the next one; it lets the database begin with the few configs that have so many versions.
            heads.c.version > retention.min_versions,
            changes.c.version <= heads.c.version - retention.min_versions,
            changes.c.changed_at < retention.since,
        )
    )


def _deleted(retention: Retention) -> Select[Any]:
    """All versions of configs whose deletion is old; the order has the deletion itself go last."""
    # The words of the index of deletions: for a parameter in their place it would not be used.
    deletions = select(changes.c.config_id).where(text("operation = 'delete'"), changes.c.changed_at < retention.since)
    return select(*_columns).where(changes.c.config_id.in_(deletions))


async def _next_rows(database: Database, statement: Select[Any], after: Any, limit: int) -> list[Any]:
    if after is not None:
        statement = statement.where(_place > (after.config_id, after.version))
    async with database.read() as connection:
        return list((await connection.execute(statement.order_by(*_place.clauses).limit(limit))).all())


async def _drop(database: Database, rows: list[Any]) -> int:
    revision = max(row.revision for row in rows)
    statement = delete(changes).where(
        # Implied by the last one, which alone has SQLite read the whole log.
        changes.c.config_id.in_({row.config_id for row in rows}),
        changes.c.version <= max(row.version for row in rows),
        _place.in_([(row.config_id, row.version) for row in rows]),
    )
    async with database.write() as connection:
        dropped = (await connection.execute(statement)).rowcount
        await connection.execute(
            update(store_meta).where(store_meta.c.compacted_revision < revision).values(compacted_revision=revision)
        )
    return dropped
