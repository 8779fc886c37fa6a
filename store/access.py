"""The counter by which every server notices that access was taken away from somebody."""

from __future__ import annotations

from sqlalchemy import update

from .database import Connection
from .tables import store_meta


async def note_access_change(connection: Connection) -> None:
    """Have all servers look what is revoked by now. Called in the write transaction that takes access away."""
    await connection.execute(update(store_meta).values(access_revision=store_meta.c.access_revision + 1))
