"""What tests of resolvers work with: a new store of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal
from modelwire.store import Feed, Keyring, migrate, open_store


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    """An administrator's context on a new store."""
    url = f"sqlite:///{tmp_path / 'modelwire.db'}"
    keyring, _ = Keyring.from_file(tmp_path / "keys")
    await asyncio.to_thread(migrate, url)
    store = await open_store(url, keyring)
    yield Context(Principal(subject="test", name="test", scopes=ALL_SCOPES), store, Feed(store))
    await store.close()
