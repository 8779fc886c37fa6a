"""Sessions at rest: who signed in with which API key, and which of the refresh tokens that came of it is good."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from .access import Access, AccessState, note_access_change
from .audit import AuditAction, AuditEvent, append
from .chunks import chunks
from .database import Connection, Database
from .errors import StoreUnavailable
from .tables import sessions, store_meta

GRACE_SECONDS = 10.0
"""How long the refresh token before the last one may be shown again. docs/decisions/0010 says why it may."""

MEMORY_SECONDS = 900.0
"""How long sessions are believed in without a look at the database, since something could last be read from it."""

_MEMORY_SESSIONS = 10_000

# One statement, so that the sessions and the counter are of one moment.
_sessions_and_counter = select(store_meta.c.store_id, store_meta.c.access_revision, sessions).select_from(
    store_meta.outerjoin(sessions, sessions.c.id.in_(bindparam("ids", expanding=True)))
)


class EndReason(StrEnum):
    """Why a session ended before its time. The values are in stored rows: none is ever renamed."""

    SIGN_OUT = "sign_out"
    REUSE = "reuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in with an API key. `generation` counts its refresh tokens from 1, and is that of the only good one.

    `refreshed_at` is when that one was made. `ended_at` None: it was not ended, but `expires_at` may be over.
    `end_reason` may be one of a newer version.
    """

    id: str
    api_key_id: str
    generation: int
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None


class Sessions:
    """The sessions of a store. They are no model configs: writing one makes no revision."""

    def __init__(self, database: Database, access: Access) -> None:
        self._database = database
        self._access = access
        self._seen: dict[str, tuple[AccessState, Session]] = {}

    async def create(self, session: Session, *, source: str | None, limit: int) -> bool:
        """Keep a new session, unless its API key has `limit` that go on already; whether it was kept.

        `source` is the address that the sign-in came from, None when it is not known; it is for the audit log.
        """
        going_on = and_(
            sessions.c.api_key_id == session.api_key_id,
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > session.created_at,
        )
        event = AuditEvent(
            action=AuditAction.SESSION_CREATE,
            actor=f"api_key:{session.api_key_id}",
            details={"session": session.id, "source": source, "expiresAt": session.expires_at.isoformat()},
        )
        async with self._database.write() as connection:
            count = (await connection.execute(select(func.count()).select_from(sessions).where(going_on))).scalar_one()
            if count >= limit:
                return False
            row = {column.name: getattr(session, column.name) for column in sessions.columns}
            await connection.execute(insert(sessions), row)
            await append(connection, [event], at=session.created_at)
            return True

    async def rotate(self, id: str, *, generation: int, now: datetime, source: str | None) -> Session | None:  # noqa: A002 - the API's name
        """Take the refresh token of this generation, which is then good no longer; the session as it is afterwards.

        Its `generation` is that of the token to give out. The token before it, shown again within GRACE_SECONDS,
        changes nothing. Any other was used before or never made: it ends the session, for somebody else may have it.
        One that has ended or expired is given back as it is; None when there is none.
        """
        async with self._writing() as (connection, ended):
            row = (await connection.execute(select(sessions).where(sessions.c.id == id))).first()
            session = None if row is None else _session(row)
            if session is None or session.ended_at is not None or now >= session.expires_at:
                return session
            if generation == session.generation:
                session = replace(session, generation=generation + 1, refreshed_at=now)
                values = {"generation": session.generation, "refreshed_at": now}
                await connection.execute(update(sessions).where(sessions.c.id == id).values(values))
                return session
            grace = generation == session.generation - 1
            if grace and abs((now - session.refreshed_at).total_seconds()) <= GRACE_SECONDS:
                return session
            details = {"session": id, "apiKey": session.api_key_id, "source": source}
            event = AuditEvent(action=AuditAction.SESSION_REUSE, actor="anonymous", details=details)
            ended.append(await _end(connection, [id], EndReason.REUSE, event, now))
            return replace(session, ended_at=now, end_reason=EndReason.REUSE)

    async def end(self, id: str, *, by: str, now: datetime, source: str | None) -> bool:  # noqa: A002 - the API's name
        """End a session in the name of `by`. False, and nothing is changed, when it has ended before or is none."""
        return bool(await self._sign_out(sessions.c.id == id, by=by, now=now, source=source))

    async def end_all(self, api_key_id: str, *, by: str, now: datetime, source: str | None) -> int:
        """End all sessions that go on of an API key; how many."""
        return await self._sign_out(sessions.c.api_key_id == api_key_id, by=by, now=now, source=source)

    async def _sign_out(self, which: Any, *, by: str, now: datetime, source: str | None) -> int:
        going_on = and_(which, sessions.c.ended_at.is_(None), sessions.c.expires_at > now)
        async with self._writing() as (connection, ended):
            ids = [row.id for row in await connection.execute(select(sessions.c.id).where(going_on))]
            if ids:
                details = {"sessions": sorted(ids), "source": source}
                event = AuditEvent(action=AuditAction.SESSION_END, actor=by, details=details)
                ended.append(await _end(connection, ids, EndReason.SIGN_OUT, event, now))
            return len(ids)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[tuple[Connection, list[AccessState]]]:
        """A write transaction, and a list for what it makes of the counter, believed once it is committed."""
        ended: list[AccessState] = []

        def after_commit() -> None:
            for state in ended:
                self._access.saw(*state)

        async with self._database.write(after_commit) as connection:
            yield connection, ended

    async def find(self, id: str) -> Session | None:  # noqa: A002 - the API's name
        """The session with this id, ended and expired ones too; None when there is none.

        While the database is away, under the same conditions as an API key (see ApiKeys.find): as it was the last time.
        """
        try:
            return (await self.find_many([id])).get(id)
        except StoreUnavailable:
            state, session = self._seen.get(id, (None, None))
            if session is None or state != self._access.state or self._access.age_seconds > MEMORY_SECONDS:
                raise
            return session

    async def find_many(self, ids: Collection[str]) -> Mapping[str, Session]:
        """Those of these sessions that there are, by id, ended and expired ones too: never from memory."""
        found: dict[str, Session] = {}
        for batch in chunks(sorted(ids)):
            rows = await self._database.rows(_sessions_and_counter, {"ids": batch})
            some = {row.id: _session(row) for row in rows if row.id is not None}
            for row in rows[:1]:
                self._access.saw(row.store_id, row.access_revision)
                self._remember(batch, some, (row.store_id, row.access_revision))
            found |= some
        return found

    def _remember(self, asked: Sequence[str], found: Mapping[str, Session], state: AccessState) -> None:
        for session_id in asked:
            self._seen.pop(session_id, None)
            if session_id in found:
                self._seen[session_id] = state, found[session_id]
        while len(self._seen) > _MEMORY_SESSIONS:
            # The one that was not asked for for the longest time.
            del self._seen[next(iter(self._seen))]

    async def forget(self, *, before: datetime) -> int:
        """Take out the sessions that ended or expired before this time; how many there were."""
        over = or_(sessions.c.expires_at < before, sessions.c.ended_at < before)
        async with self._database.write() as connection:
            return (await connection.execute(delete(sessions).where(over))).rowcount


async def _end(
    connection: Connection, ids: list[str], reason: EndReason, event: AuditEvent, now: datetime
) -> AccessState:
    for some in chunks(ids):
        await connection.execute(
            update(sessions).where(sessions.c.id.in_(some)).values(ended_at=now, end_reason=reason)
        )
    await append(connection, [event], at=now)
    return await note_access_change(connection)


def _session(row: Any) -> Session:
    return Session(**{column.name: getattr(row, column.name) for column in sessions.columns})
