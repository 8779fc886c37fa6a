"""Whether the audit log is as it was written: what was changed, removed or put in from outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from .audit import GENESIS, row_hash
from .database import Connection, Database
from .migrate import read_store_id
from .tables import audit_log

MAX_PROBLEMS = 100
_CHUNK_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What a verification found. `head` is the hash of the last row: whoever keeps it elsewhere can tell later that
    nothing up to it was cut off or rewritten. `problems` are sentences that name the rows, the first 100 of them.
    """

    rows: int
    head: str
    problems: tuple[str, ...]


async def verify_audit_log(url: str, *, head: str | None = None) -> AuditReport:
    """Check every row of the audit log of a database, as it is at one moment.

    `head` is a hash that an earlier verification gave; None to do without. Raises StoreUnavailable, StoreCorrupt,
    SchemaMismatch.
    """
    await asyncio.to_thread(read_store_id, url)
    database = Database(url)
    try:
        async with database.read() as connection:
            return await _verify(_rows(connection), head)
    finally:
        await database.close()


@dataclass(slots=True)
class _Chain:
    """How far the rows were followed: the last one's own number and hash, and how far off its place it stands."""

    number: int = 0
    hash: str = GENESIS
    offset: int = 0


async def _verify(rows: AsyncIterator[Any], head: str | None) -> AuditReport:
    chain, problems, count = _Chain(), [], 0
    head_found = head in {None, GENESIS}
    row = await anext(rows, None)
    while row is not None:
        following = await anext(rows, None)
        foreign = _foreign(chain, row, following)
        if foreign is not None:
            problems.append(foreign)
        else:
            problems.extend(_breaks(chain, row, following))
            chain = _Chain(_number(row), row.hash, row.sequence - _number(row))
            head_found = head_found or (row.hash == head and _intact(row))
        # What is beyond is not kept: a log that was written anew from outside may have a problem in each row.
        del problems[MAX_PROBLEMS:]
        count, row = count + 1, following
    if not head_found:
        problems.insert(
            0, f"the head {head} is not in the log: its end was cut off, or it was written anew from some row on"
        )
    return AuditReport(rows=count, head=chain.hash, problems=tuple(problems))


def _foreign(chain: _Chain, row: Any, following: Any) -> str | None:
    """Why a row was never one of the log; None when it is one, although perhaps not as it was. `chain` ends with the
    row before it.
    """
    inserted = f"row {row.sequence} was inserted"
    followed = following is not None and following.previous_hash == row.hash
    if not isinstance(row.sequence, int) or _number(row) <= chain.number:
        return f"{inserted}: the log has no such place"
    if not followed and following is not None and _intact(following) and following.previous_hash == chain.hash:
        return f"{inserted}: the row after it follows from the row before it"
    if not followed and not _intact(row) and row.previous_hash != chain.hash:
        return f"{inserted}: it does not follow from the row before it"
    return None


def _breaks(chain: _Chain, row: Any, following: Any) -> Iterator[str]:
    """What was done to a row of the log, or between it and the row before it."""
    expected, number = chain.number + 1, _number(row)
    if number > expected:
        yield (
            f"row {expected} was removed" if number == expected + 1 else f"rows {expected} to {number - 1} were removed"
        )
    elif row.previous_hash != chain.hash:
        yield _replaced(chain, row, following)
    if not _intact(row):
        or_inserted = ", or inserted" if following is None else ""
        yield f"row {row.sequence} was changed{or_inserted}: its content does not give its hash"
    elif row.sequence - number != chain.offset:
        yield f"row {number} was renumbered to {row.sequence}"


def _replaced(chain: _Chain, row: Any, following: Any) -> str:
    if chain.number == 0:
        return f"row {row.sequence} was changed: it is not the beginning of a log"
    if following is not None and following.previous_hash == row.hash:
        return f"row {chain.number} was changed: it has another hash than the row after it remembers"
    return f"row {chain.number} was changed, or row {row.sequence} was inserted: the one does not follow from the other"


def _number(row: Any) -> int:
    """The number that a row was written with; if that cannot be told, the one that it has."""
    if _intact(row):
        return int(json.loads(row.entry)["sequence"])
    return int(row.sequence)


def _intact(row: Any) -> bool:
    values = (row.entry, row.previous_hash, row.hash)
    if not all(isinstance(value, str) for value in values) or row.hash != row_hash(row.previous_hash, row.entry):
        return False
    # Whoever writes a row of his own can give it the right hash.
    try:
        return isinstance(json.loads(row.entry)["sequence"], int)
    except (KeyError, TypeError, ValueError):
        return False


async def _rows(connection: Connection) -> AsyncIterator[Any]:
    after: Any = None
    while True:
        statement = select(audit_log).order_by(audit_log.c.sequence).limit(_CHUNK_ROWS)
        if after is not None:
            statement = statement.where(audit_log.c.sequence > after)
        rows = (await connection.execute(statement)).all()
        for row in rows:
            yield row
        if len(rows) < _CHUNK_ROWS:
            return
        after = rows[-1].sequence
