"""The audit log: who did what and who was denied what, in rows that are only ever appended.

Each row carries the hash of the row before it, so that `audit_chain` finds rows that were changed, removed or put in.
The hashes cover nothing that may go or change: no row of the change log, which is compacted, and no sealed secret,
which is sealed anew when keys are rotated. No entry holds a secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection as SyncConnection
from sqlalchemy import insert, select

from .chunks import chunks
from .database import Connection, Database
from .errors import StoreCorrupt
from .records import Json
from .tables import audit_log

GENESIS = "0" * 64
"""What the first row has in place of the hash of a row before it."""

last_row = select(audit_log.c.sequence, audit_log.c.hash).order_by(audit_log.c.sequence.desc()).limit(1)
"""The row that the next one follows: its sequence and hash. None in an empty log."""

_append = insert(audit_log)


class AuditAction(StrEnum):
    """What happened. The values are in stored rows: none is ever renamed."""

    MODEL_CONFIG_CREATE = "model_config.create"
    MODEL_CONFIG_UPDATE = "model_config.update"
    MODEL_CONFIG_ROLLBACK = "model_config.rollback"
    MODEL_CONFIG_DELETE = "model_config.delete"
    MODEL_CONFIG_TEST = "model_config.test"
    API_KEY_CREATE = "api_key.create"
    SESSION_CREATE = "session.create"
    SESSION_END = "session.end"
    SESSION_REUSE = "session.reuse"
    API_KEY_RECOVER = "api_key.recover"
    API_KEY_REVOKE = "api_key.revoke"
    ACCESS_DENIED = "access.denied"
    STORE_RESTORE = "store.restore"
    KEYS_ROTATE = "keys.rotate"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something to be remembered. `actor` names a subject such as `api_key:k3j9x2q8ab`; `details` are JSON."""

    action: AuditAction
    actor: str
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A row of the audit log. `sequence` counts from 1 without gaps; `action` may be one of a newer version."""

    sequence: int
    at: datetime
    action: str
    actor: str
    details: Mapping[str, Json]
    hash: str


class AuditLog:
    """The audit log of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, events: Sequence[AuditEvent]) -> None:
        """Append what belongs to no other write, in a transaction of its own."""
        if events:
            async with self._database.write() as connection:
                await append(connection, events, at=datetime.now(UTC))

    async def page(self, *, first: int, before: int | None = None) -> list[AuditEntry]:
        """At most `first` entries, newest first, with a lower sequence than `before`. Raises StoreCorrupt."""
        statement = select(audit_log).order_by(audit_log.c.sequence.desc()).limit(first)
        if before is not None:
            statement = statement.where(audit_log.c.sequence < before)
        async with self._database.read() as connection:
            return [_entry(row) for row in await connection.execute(statement)]


async def append(
    connection: Connection, events: Sequence[AuditEvent], *, at: datetime, last: tuple[int, str] | None = None
) -> None:
    """Append events in the write transaction that they belong to; it is what keeps the rows in one chain.

    `last` is what `last_row` gives in this transaction, None when it was not asked.
    """
    if last is None:
        last = _end((await connection.execute(last_row)).first())
    rows = list(_chain(events, at, *last))
    for some in chunks(rows):
        # Of several rows drivers make a loop, which costs more than one row needs.
        connection.write(_append, some if len(some) > 1 else some[0])


def append_synchronously(connection: SyncConnection, event: AuditEvent, *, at: datetime) -> None:
    """As `append`, without asyncio."""
    last = _end(connection.execute(last_row).first())
    connection.execute(_append, list(_chain([event], at, *last)))


def _end(last: Any) -> tuple[int, str]:
    return (0, GENESIS) if last is None else (last.sequence, last.hash)


def row_hash(previous_hash: str, entry: str) -> str:
    """SHA-256 over the canonical JSON of what a row holds. The entry has the row's sequence in it."""
    return hashlib.sha256(_canonical([previous_hash, entry]).encode()).hexdigest()


def _chain(events: Sequence[AuditEvent], at: datetime, last: int, previous: str) -> Iterator[dict[str, Any]]:
    for sequence, event in enumerate(events, start=last + 1):
        content = {"action": event.action, "actor": event.actor, "details": event.details}
        entry = _canonical({"sequence": sequence, "at": at.isoformat(), **content})
        hashed = row_hash(previous, entry)
        yield {"sequence": sequence, "entry": entry, "previous_hash": previous, "hash": hashed}
        previous = hashed


def _canonical(value: Json) -> str:
    # ASCII, so that no database changes a character.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=dict)


def _entry(row: Any) -> AuditEntry:
    try:
        content = json.loads(row.entry)
        return AuditEntry(
            sequence=row.sequence,
            at=datetime.fromisoformat(content["at"]),
            action=content["action"],
            actor=content["actor"],
            details=content["details"],
            hash=row.hash,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"row {row.sequence} of the audit log cannot be read, it was changed from outside: "
            "run `modelwire audit verify`"
        ) from error
