"""The commands that work on the database itself, and not through a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..server.database import StartError, database_url, read_keyring
from ..server.logs import configure_logging
from ..server.settings import Settings
from ..server.settings_loading import SettingsError, load_settings
from ..store import Store, StoreError, open_store
from .errors import CommandError, ExitCode


def database_settings(config: Path | None) -> Settings:
    """The settings that a server started here would have. Raises CommandError (USAGE)."""
    configure_logging("warning")
    try:
        return load_settings({}, config)
    except SettingsError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of a database that is there and of this version. Raises CommandError, also for a StoreError within."""
    if settings.embedded and not settings.database_path.exists():
        raise CommandError(f"there is no database {settings.database_path}: `modelwire serve` makes one")
    try:
        store = await open_store(database_url(settings), read_keyring(settings))
        try:
            yield store
        finally:
            await store.close()
    except (StartError, StoreError) as error:
        raise CommandError(str(error)) from None
