"""When API keys were last used, on its way to the database: collected for a minute, then written together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Protocol

from ..resolvers.access import API_KEY
from ..store import ApiKeys, StoreError

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0


class Endpoint(Protocol):
    """What is open, as `GraphQLEndpoint` has it."""

    def subjects(self) -> set[str]: ...


@contextlib.asynccontextmanager
async def key_uses_written(api_keys: ApiKeys, endpoint: Endpoint) -> AsyncIterator[None]:
    """Write them every minute in the background, and the rest at the end."""
    stopping = asyncio.Event()
    task = asyncio.create_task(_run(api_keys, endpoint, stopping), name="key uses")
    try:
        yield
    finally:
        # Not cancelled: what was used in the last minute would not be written.
        stopping.set()
        await task


async def _run(api_keys: ApiKeys, endpoint: Endpoint, stopping: asyncio.Event) -> None:
    stopped = False
    while not stopped:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), INTERVAL_SECONDS)
        stopped = stopping.is_set()
        # Who keeps a socket open for months shows the key once, and uses it all the time.
        for subject in endpoint.subjects():
            if subject.startswith(API_KEY):
                api_keys.note_use(subject.removeprefix(API_KEY), datetime.now(UTC))
        try:
            await api_keys.write_uses()
        except StoreError as error:
            logger.warning("when API keys were last used was not written: %s", error)
        except Exception:  # whatever it is, the next minute's must not be lost with it
            logger.exception("when API keys were last used was not written")
