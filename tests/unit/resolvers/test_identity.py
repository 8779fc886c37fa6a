"""Which credentials are good no longer, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from outage import away

from modelwire.resolvers.identity import revoked
from modelwire.store import AliasPatterns, ApiKey, Keyring, Session, Store, StoreUnavailable, migrate, open_store

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEY = ApiKey(
    id="good",
    name="x",
    scopes=frozenset(),
    aliases=AliasPatterns(),
    created_at=NOW - DAY,
    created_by="system",
    secret_hash="0" * 64,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db"
    migrate(url)
    store = await open_store(url, Keyring.parse("test:" + "A" * 43))
    for key in (KEY, replace(KEY, id="gone", revoked_at=NOW), replace(KEY, id="over", expires_at=NOW)):
        await store.api_keys.add(key)
    yield store
    await store.close()


async def sign_in(store: Store, session_id: str, key_id: str, *, expires_at: datetime = NOW + DAY) -> None:
    session = Session(
        id=session_id,
        api_key_id=key_id,
        generation=1,
        created_at=NOW - DAY,
        refreshed_at=NOW - DAY,
        expires_at=expires_at,
    )
    assert await store.sessions.create(session, source=None, limit=10)


async def test_keys(store: Store) -> None:
    asked = {"api_key:good", "api_key:gone", "api_key:over", "api_key:none", "oidc:somebody", ""}
    assert await revoked(store, asked) == {
        "api_key:gone": "the API key was revoked",
        "api_key:over": "the API key has expired",
        "api_key:none": "the API key is not there any more",
    }
    assert await revoked(store, set()) == {}


async def test_sessions_end_with_their_keys_too(store: Store) -> None:
    for key_id in ("good", "gone", "over"):
        await sign_in(store, f"of-{key_id}", key_id)
    await sign_in(store, "ended", "good")
    await store.sessions.end("ended", by="x", now=NOW, source=None)
    await sign_in(store, "expired", "good", expires_at=NOW)
    sessions = ("of-good", "of-gone", "of-over", "ended", "expired", "none")
    reasons = await revoked(store, [f"session:{session}" for session in sessions])
    assert reasons == {
        "session:of-gone": "the API key was revoked",
        "session:of-over": "the API key has expired",
        "session:ended": "the session was ended: sign in again",
        "session:expired": "the session has expired: sign in again",
        "session:none": "there is no such session: sign in again",
    }


async def test_nobody_is_told_from_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await store.api_keys.find("good")
    async with away(store, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await revoked(store, {"api_key:good"})
