"""Closing what is open with a credential that was taken away, whichever server it was taken away on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from ..resolvers.errors import Unavailable
from ..resolvers.identity import revoked
from ..store import Store

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.2


class Endpoint(Protocol):
    """What is open, as `GraphQLEndpoint` has it."""

    def credentials(self) -> set[str]: ...

    def revoke(self, reasons: Mapping[str, str]) -> None: ...


@contextlib.asynccontextmanager
async def revocation(store: Store, endpoint: Endpoint) -> AsyncIterator[None]:
    """Look, whenever somebody's access was taken away, whether it is one of ours, in the background."""
    changed = asyncio.Event()
    store.on_access_change(changed.set)
    task = asyncio.create_task(_follow(store, endpoint, changed), name="revocation")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(store: Store, endpoint: Endpoint, changed: asyncio.Event) -> None:
    failed = False
    while True:
        await changed.wait()
        changed.clear()
        try:
            endpoint.revoke(await revoked(store, endpoint.credentials()))
            failed = False
        except Exception as error:
            # Whatever it is, what was revoked must not stay open.
            if not failed:
                unexpected = None if isinstance(error, Unavailable) else error
                logger.warning("whether credentials were revoked cannot be read: %s", error, exc_info=unexpected)
            failed = True
            await asyncio.sleep(RETRY_SECONDS)
            changed.set()
