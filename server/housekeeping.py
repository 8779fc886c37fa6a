"""What a server does from time to time besides answering: it has the store forget what is old."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from ..store import Retention, Store, StoreError
from .settings import Settings

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 3600.0
FIRST_SECONDS = 60.0
PAUSE_SECONDS = 0.05
"""Between two batches, so that writers get through."""

COMPONENTS_KEPT = timedelta(days=1)
"""How long a component that is gone is still shown, as offline."""

SESSIONS_KEPT = timedelta(days=7)
"""How long a session that is over is remembered, to say why it is."""


@contextlib.asynccontextmanager
async def housekeeping(store: Store, settings: Settings) -> AsyncIterator[None]:
    """Compact the change log and forget old sessions and components in the background, soon after the start and then
    every hour.

    Any number of servers may do so on one database: what one has taken out, the others do not find.
    """
    task = asyncio.create_task(_run(store, settings), name="housekeeping")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _run(store: Store, settings: Settings) -> None:
    # At a random moment, so that servers that start at once do not all search at once.
    await asyncio.sleep(random.uniform(0, FIRST_SECONDS))  # noqa: S311 - no secret
    while True:
        for forget in (compact, forget_sessions, forget_components):
            try:
                await forget(store, settings, now=datetime.now(UTC))
            except StoreError as error:
                logger.warning("not all that is old was forgotten, the next try is in an hour: %s", error)
            except Exception:  # whatever it is, the next run may succeed
                logger.exception("not all that is old was forgotten, the next try is in an hour")
        await asyncio.sleep(INTERVAL_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - no secret


async def compact(store: Store, settings: Settings, *, now: datetime) -> int:
    """Compact the change log once by the settings; how many of its rows went. Raises StoreError."""
    retention = Retention(
        since=now - timedelta(days=settings.history_retention_days), min_versions=settings.history_min_versions
    )
    total = 0
    async for rows in store.compact(retention):
        total += rows
        await asyncio.sleep(PAUSE_SECONDS)
    if total:
        logger.info("the change log forgot %d versions older than %d days", total, settings.history_retention_days)
    return total


async def forget_sessions(store: Store, _settings: Settings, *, now: datetime) -> int:
    """Take out the sessions that ended long ago; how many there were. Raises StoreError."""
    return await store.sessions.forget(before=now - SESSIONS_KEPT)


async def forget_components(store: Store, _settings: Settings, *, now: datetime) -> int:
    """Take out the components that are gone for long; how many there were. Raises StoreError."""
    return await store.components.forget(now=now, before=now - COMPONENTS_KEPT)
