"""The commands that work on the database itself, and not through a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..server.database import StartError, database_url, read_keyring
from ..server.settings import Settings
from ..store import Store, StoreError, open_store
from .errors import CommandError


def require_database(settings: Settings) -> None:
    """Raise CommandError when the embedded database is not there."""
    if settings.embedded and not settings.database_path.exists():
        raise CommandError(f"there is no database {settings.database_path}: `modelwire serve` makes one")


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of a database that is there and of this version. Raises CommandError, also for a StoreError within."""
    require_database(settings)
    try:
        store = await open_store(database_url(settings), read_keyring(settings))
        try:
            yield store
        finally:
            await store.close()
    except (StartError, StoreError) as error:
        raise CommandError(str(error)) from None
