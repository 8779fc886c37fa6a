"""Denials on their way to the audit log: counted for a minute, then written together.

Whoever is denied a thousand times a second gets one row a minute, and whoever comes from a thousand addresses at most
a hundred: an attacker can fill neither the memory nor the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

from ..resolvers.access import ANONYMOUS, Context
from ..resolvers.errors import Forbidden, RequestError, Unauthenticated
from ..store import AuditAction, AuditEvent, AuditLog, StoreError

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
MAX_KINDS = 100

SEVERAL = "several"
"""The actor of the row that stands for all denials beyond MAX_KINDS."""

source: ContextVar[str | None] = ContextVar("source", default=None)
"""The address that the request of this task came from; None when it is not known."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is counted together. `what` is the field that was asked for, or why the credential is none."""

    code: str
    actor: str
    source: str | None
    what: str | None


@dataclass(frozen=True, slots=True)
class _Count:
    count: int
    first: datetime
    last: datetime


class Denials:
    """The denials of one server process that are not in the audit log yet."""

    def __init__(self, audit_log: AuditLog, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._audit_log = audit_log
        self._now = now
        self._counts: dict[_Kind, _Count] = {}

    def unauthenticated(self, error: Unauthenticated) -> None:
        """Count a credential that was not accepted. The error's text must hold nothing that came with the request."""
        self._add(_Kind(error.code, ANONYMOUS.subject, source.get(), str(error)))

    def refused(self, context: Context, field: str | None, error: RequestError) -> None:
        """Count what somebody may not do, or a credential that was shown to sign in with and was not accepted; `field`
        is what the schema calls it. Other errors are no denials.
        """
        if isinstance(error, Unauthenticated):
            self.unauthenticated(error)
        elif isinstance(error, Forbidden):
            self._add(_Kind(error.code, context.principal.subject, source.get(), field))

    def _add(self, kind: _Kind) -> None:
        now = self._now()
        self._merge(kind, _Count(1, now, now))

    def _merge(self, kind: _Kind, count: _Count) -> None:
        if kind not in self._counts and len(self._counts) >= MAX_KINDS:
            kind = _Kind(kind.code, SEVERAL, None, None)
        older = self._counts.get(kind)
        self._counts[kind] = count if older is None else _Count(older.count + count.count, older.first, count.last)

    async def write(self) -> None:
        """Write to the audit log what was counted. Raises StoreError, and then keeps it for the next time."""
        counts, self._counts = self._counts, {}
        try:
            await self._audit_log.record([_event(kind, count) for kind, count in counts.items()])
        except BaseException:
            newer, self._counts = self._counts, counts
            for kind, count in newer.items():
                self._merge(kind, count)
            raise

    @contextlib.asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Write them every minute in the background, and the rest at the end."""
        stopping = asyncio.Event()
        task = asyncio.create_task(self._run(stopping), name="denials")
        try:
            yield
        finally:
            # Not cancelled: a write that was cut off might have been done, and would be done again.
            stopping.set()
            await task

    async def _run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), INTERVAL_SECONDS)
            await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreError as error:
            logger.warning("denials were not written to the audit log: %s", error)
        except Exception:  # whatever it is, the next minute's must not be lost with it
            logger.exception("denials were not written to the audit log")


def _event(kind: _Kind, count: _Count) -> AuditEvent:
    details = {
        "code": kind.code,
        "source": kind.source,
        "field" if kind.code == Forbidden.code else "reason": kind.what,
        "count": count.count,
        "first": count.first.isoformat(),
        "last": count.last.isoformat(),
    }
    return AuditEvent(action=AuditAction.ACCESS_DENIED, actor=kind.actor, details=details)
