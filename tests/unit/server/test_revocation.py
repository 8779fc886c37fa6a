"""Looking for revoked credentials in the background, also when the database fails meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from outage import away

from modelwire.server import revocation as module
from modelwire.server.revocation import Revocation
from modelwire.store import AliasPatterns, ApiKey, Keyring, Store, StoreUnavailable, migrate, open_store

KEY = ApiKey(
    id="good",
    name="x",
    scopes=frozenset(),
    aliases=AliasPatterns(),
    created_at=datetime.now(UTC),
    created_by="system",
    secret_hash="0" * 64,
)


class Endpoint:
    """What is open; `revoked` gets the reasons of each look."""

    def __init__(self) -> None:
        self.open = {"api_key:good"}
        self.revoked: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()
        self.on_look: Callable[[], Any] = lambda: None

    def credentials(self) -> set[str]:
        self.on_look()
        return self.open

    def revoke(self, reasons: Mapping[str, str]) -> None:
        self.revoked.put_nowait(reasons)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(url)
    store = await open_store(url, Keyring.parse("test:" + "A" * 43))
    await store.api_keys.add(KEY)
    await store.revision()
    yield store
    await store.close()


async def revoke(store: Store) -> None:
    await store.api_keys.revoke("good", by="x", at=datetime.now(UTC), check=lambda _key, _others: None)


async def test_a_revoked_key_is_told_once(store: Store) -> None:
    endpoint = Endpoint()
    async with asyncio.timeout(120), Revocation(store, endpoint).followed():
        await revoke(store)
        assert await endpoint.revoked.get() == {"api_key:good": "the API key was revoked"}
    assert endpoint.revoked.empty()


async def test_a_look_that_fails_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    endpoint = Endpoint()
    failures: list[Exception] = [StoreUnavailable("away"), ValueError("a bug"), StoreUnavailable("away")]

    def look() -> None:
        if failures:
            raise failures.pop(0)

    endpoint.on_look = look
    async with asyncio.timeout(120), Revocation(store, endpoint).followed():
        await revoke(store)
        assert await endpoint.revoked.get() == {"api_key:good": "the API key was revoked"}
    assert failures == []
    # Said once, however often it fails.
    assert [record.getMessage() for record in caplog.records] == [
        "whether credentials were revoked cannot be read: away"
    ]


async def test_nothing_is_settled_before_what_was_revoked_is_closed(store: Store) -> None:
    endpoint = Endpoint()
    revocation = Revocation(store, endpoint)
    await revocation.settle()
    assert endpoint.revoked.empty()
    await revoke(store)
    await asyncio.gather(revocation.settle(), revocation.settle())
    # One look is enough for all who wait for it.
    assert endpoint.revoked.get_nowait() == {"api_key:good": "the API key was revoked"}
    assert endpoint.revoked.empty()


async def test_what_cannot_be_looked_at_is_not_settled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint()
    revocation = Revocation(store, endpoint)
    await revoke(store)
    async with away(store, monkeypatch):
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await revocation.settle()
    await revocation.settle()
    assert endpoint.revoked.get_nowait() == {"api_key:good": "the API key was revoked"}
