"""Closing what is open with a credential that was taken away, whichever server it was taken away on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from ..resolvers.identity import revoked
from ..store import Store, StoreError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.2


class Endpoint(Protocol):
    """What is open, as `GraphQLEndpoint` has it."""

    def credentials(self) -> set[str]: ...

    def revoke(self, reasons: Mapping[str, str]) -> None: ...


class Revocation:
    """Looks, whenever somebody's access was taken away, whether it is that of something which is open here."""

    def __init__(self, store: Store, endpoint: Endpoint) -> None:
        self._store = store
        self._endpoint = endpoint
        self._settled = store.access_state
        self._looking = asyncio.Lock()
        self._changed = asyncio.Event()
        store.on_access_change(self._changed.set)

    async def settle(self) -> None:
        """Return when all that this process could read to be revoked is closed. Raises StoreError."""
        if self._store.access_state == self._settled:
            return
        async with self._looking:
            state = self._store.access_state
            if state != self._settled:
                self._endpoint.revoke(await revoked(self._store, self._endpoint.credentials()))
                self._settled = state

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Settle in the background, whoever reads that access was taken away."""
        task = asyncio.create_task(self._follow(), name="revocation")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        failed = False
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.settle()
                failed = False
            except Exception as error:
                # Whatever it is, what was revoked must not stay open.
                if not failed:
                    unexpected = None if isinstance(error, StoreError) else error
                    logger.warning("whether credentials were revoked cannot be read: %s", error, exc_info=unexpected)
                failed = True
                await asyncio.sleep(RETRY_SECONDS)
                self._changed.set()
