"""API keys read back as they were added."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from modelwire.store import AliasPatterns, ApiKey, Store, StoreError

KEY = ApiKey(
    id="k3j9x2q8ab",
    name="orders agent",
    scopes=frozenset({"model_config:read", "model_config:resolve"}),
    aliases=AliasPatterns(("general", "team/*")),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    created_by="system",
    expires_at=datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    revoked_at=datetime(2026, 6, 1, tzinfo=UTC),
    secret_hash="0" * 64,
)


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        replace(KEY, aliases=AliasPatterns(), expires_at=None, revoked_at=None),
        replace(KEY, aliases=AliasPatterns(()), scopes=frozenset()),
    ],
)
async def test_a_key_reads_back_exactly(store: Store, key: ApiKey) -> None:
    assert not await store.api_keys.any()
    await store.api_keys.add(key)
    assert await store.api_keys.any()
    found = await store.api_keys.find(key.id)
    assert found == key
    assert found.created_at.tzinfo is UTC
    assert await store.api_keys.find("other") is None


async def test_an_id_is_given_once(store: Store) -> None:
    await store.api_keys.add(KEY)
    with pytest.raises(StoreError) as caught:
        await store.api_keys.add(replace(KEY, name="other", secret_hash="1" * 64))
    assert "1111" not in str(caught.value)
    assert await store.api_keys.find(KEY.id) == KEY


async def test_keys_are_no_model_configs(store: Store) -> None:
    calls = []
    store.on_commit(lambda: calls.append(1))
    await store.api_keys.add(KEY)
    assert await store.revision() == 1
    assert calls == []
