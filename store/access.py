"""The counter by which every server notices that access was taken away from somebody."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import update

from .database import Connection
from .tables import store_meta

logger = logging.getLogger(__name__)

AccessState = tuple[str, int]
"""The identity of the store, and its counter."""


async def note_access_change(connection: Connection) -> AccessState:
    """Have all servers look what is revoked by now. Called in the write transaction that takes access away.

    Returns the state that holds once it is committed, for `Access.saw`.
    """
    counted = update(store_meta).values(access_revision=store_meta.c.access_revision + 1)
    returning = counted.returning(store_meta.c.store_id, store_meta.c.access_revision)
    row = (await connection.execute(returning)).one()
    return row.store_id, row.access_revision


class Access:
    """What this process knows of the counter, by whatever it read last.

    `state` only moves forward: while it stays the same, nobody's access was taken away that this process could know
    of. The counter is -1 until it was read for the first time.
    """

    def __init__(self, store_id: str) -> None:
        self.state: AccessState = (store_id, -1)
        self._former_ids: set[str] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._seen_at = 0.0

    @property
    def age_seconds(self) -> float:
        """How long ago the state was last read."""
        return time.monotonic() - self._seen_at

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, in the event loop, when access was taken away, or a backup was restored."""
        self._callbacks.append(callback)

    def saw(self, store_id: str, revision: int) -> None:
        """Take note of what was read, or was committed by this process."""
        known_id, known = self.state
        # A read that began before a change, or a restore, may end after others that saw it.
        if store_id in self._former_ids or (store_id == known_id and revision < known):
            return
        self._seen_at = time.monotonic()
        if (store_id, revision) == self.state:
            return
        if store_id != known_id:
            self._former_ids.add(known_id)
        self.state = store_id, revision
        if known >= 0:
            self._call_back()

    def _call_back(self) -> None:
        for callback in self._callbacks:
            try:
                callback()
            except Exception:  # it is somebody's read or write that ends here, which must not fail for a listener
                logger.exception("a listener failed after access was taken away")
