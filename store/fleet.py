"""Watching components: one reader per server process, while anybody watches, brings what is new to all who do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import select

from .access import Access
from .database import Database
from .errors import StoreError
from .fleet_image import FleetImage, read_update
from .fleet_watch import FleetWatch
from .records import Selector
from .tables import store_meta

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.1
"""How long what is new is collected after each read, so that a storm costs few of them."""

RETRY_SECONDS = 1.0


class Fleet:
    """The components of a store, watched. It reads when another read of the store, such as the Feed's, saw that
    something was noted or committed, and when the lease of a server process ends; never while nobody watches.
    """

    def __init__(self, database: Database, access: Access) -> None:
        self._database = database
        self._access = access
        self._image = FleetImage()
        self._watches: set[FleetWatch] = set()
        self._beginning = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._wakeup = asyncio.Event()
        self._settle: Callable[[], Awaitable[None]] | None = None

    @property
    def watching(self) -> int:
        """How many watches there are."""
        return len(self._watches)

    def deliver_after(self, settle: Callable[[], Awaitable[None]]) -> None:
        """As `Feed.deliver_after`."""
        self._settle = settle

    def saw(self, store_id: str, revision: int, component_revision: int) -> None:
        """Take note of the counters that were read."""
        moment = self._image.moment
        known = moment and (moment.store_id, moment.revision, moment.component_revision)
        if known != (store_id, revision, component_revision):
            self.wake()

    def wake(self) -> None:
        """Say that something new was committed."""
        self._wakeup.set()

    @contextlib.asynccontextmanager
    async def watch(self, selector: Selector) -> AsyncIterator[FleetWatch]:
        """Who watches what `selector` names: what they are to be told first is there at once.

        Raises StoreError when it cannot be read; later the watch waits until it can be.
        """
        watch = FleetWatch(selector)
        self._watches.add(watch)
        try:
            async with self._beginning:
                if self._reader is None:
                    self._wakeup.clear()
                    await self._read(self._image)
                    self._reader = asyncio.create_task(self._run(self._image), name="modelwire fleet")
            watch.begin(self._image)
            yield watch
        finally:
            self._watches.discard(watch)
            if not self._watches:
                await self.stop()

    async def stop(self) -> None:
        """Stop reading. Open watches hear nothing more; whoever holds them closes them."""
        reader, self._reader, self._image = self._reader, None, FleetImage()
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _run(self, image: FleetImage) -> None:
        failed = False
        while True:
            await self._due(image)
            self._wakeup.clear()
            try:
                await self._read(image)
            except Exception as error:
                # Whatever it is, who watches must not be left without a reader.
                if not failed:
                    unexpected = None if isinstance(error, StoreError) else error
                    logger.warning("those who watch components wait: %s", error, exc_info=unexpected)
                failed = True
                self._wakeup.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                failed = False
                await asyncio.sleep(PAUSE_SECONDS)

    async def _due(self, image: FleetImage) -> None:
        """Wait until there may be something new."""
        end = image.moment.next_end if image.moment is not None else None
        patience_seconds = None if end is None else max(0.0, (end - datetime.now(UTC)).total_seconds())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await self._wakeup.wait()

    async def _read(self, image: FleetImage) -> None:
        async with self._database.read() as connection:
            meta = (await connection.execute(select(store_meta))).one()
            update = await read_update(connection, image, meta, now=datetime.now(UTC))
        self._access.saw(meta.store_id, meta.access_revision)
        if self._settle is not None:
            await self._settle()
        image.apply(update)
        for watch in self._watches:
            watch.offer(update)
