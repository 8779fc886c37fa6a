"""API keys read back as they were added."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from outage import away

from modelwire.store import (
    AliasPatterns,
    ApiKey,
    AuditAction,
    Feed,
    Store,
    StoreError,
    StoreUnavailable,
    verify_audit_log,
)

KEY = ApiKey(
    id="k3j9x2q8ab",
    name="orders agent",
    scopes=frozenset({"model_config:read", "model_config:resolve"}),
    aliases=AliasPatterns(("general", "team/*")),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    created_by="system",
    expires_at=datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    revoked_at=datetime(2026, 6, 1, tzinfo=UTC),
    last_used_at=datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC),
    secret_hash="0" * 64,
)
USABLE = replace(KEY, revoked_at=None, last_used_at=None)
NOW = datetime(2026, 6, 2, tzinfo=UTC)


def other(key_id: str, **fields: Any) -> ApiKey:
    return replace(USABLE, id=key_id, **fields)


def anything(_key: ApiKey, _others: Sequence[ApiKey]) -> None:
    """Has nothing against it."""


async def entries(store: Store) -> list[tuple[str, str, Any]]:
    """What the audit log has of keys, newest first."""
    return [(entry.action, entry.actor, entry.details["id"]) for entry in await store.audit_log.page(first=100)]


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


async def test_the_first_key_is_kept_once(store: Store) -> None:
    second = replace(KEY, id="b" * 10)
    assert await store.api_keys.add(KEY, only_first=True)
    assert not await store.api_keys.add(second, only_first=True)
    assert await store.api_keys.find(second.id) is None
    assert [key_id for _, _, key_id in await entries(store)] == [KEY.id]


async def test_keys_are_no_model_configs(store: Store) -> None:
    calls = []
    store.on_commit(lambda _: calls.append(1))
    await store.api_keys.add(KEY)
    assert await store.revision() == 1
    assert calls == []


async def test_pages_begin_with_the_newest_key(store: Store) -> None:
    same = KEY.created_at
    for key_id, at in (("a", same), ("c", same), ("b", same + timedelta(microseconds=1)), ("d", same)):
        await store.api_keys.add(other(key_id, created_at=at))
    first = await store.api_keys.page(first=2)
    assert [key.id for key in first] == ["b", "d"]
    rest = await store.api_keys.page(first=9, before=(first[-1].created_at, first[-1].id))
    assert [key.id for key in rest] == ["c", "a"]
    assert rest[0] == other("c")


async def test_a_revoked_key_stays_revoked_and_is_told_of_once(store: Store) -> None:
    await store.api_keys.add(USABLE)
    assert await store.api_keys.revoke("unknown", by="api_key:a", at=NOW, check=anything) is None
    revoked = await store.api_keys.revoke(KEY.id, by="api_key:a", at=NOW, check=anything)
    assert revoked == replace(USABLE, revoked_at=NOW) == await store.api_keys.find(KEY.id)
    again = await store.api_keys.revoke(KEY.id, by="api_key:b", at=NOW + timedelta(days=1), check=pytest.fail)
    assert again == revoked
    told = [("api_key.revoke", "api_key:a", KEY.id), ("api_key.create", "system", KEY.id)]
    assert await entries(store) == told
    assert await store.revision() == 1


async def test_a_recovered_key_is_told_apart(store: Store) -> None:
    await store.api_keys.add(USABLE, action=AuditAction.API_KEY_RECOVER)
    assert await entries(store) == [("api_key.recover", "system", KEY.id)]


async def test_a_check_hears_of_the_other_usable_keys_and_can_refuse(store: Store) -> None:
    await store.api_keys.add(USABLE)
    for key in (
        other("usable"),
        other("forever", expires_at=None),
        other("revoked", revoked_at=NOW),
        other("expired", expires_at=NOW),
    ):
        await store.api_keys.add(key)
    heard: list[Any] = []

    def refuse(key: ApiKey, others: Sequence[ApiKey]) -> None:
        heard.extend([key, {each.id for each in others}])
        raise PermissionError

    before, state = await entries(store), store.access_state
    with pytest.raises(PermissionError):
        await store.api_keys.revoke(KEY.id, by="api_key:a", at=NOW, check=refuse)
    assert heard == [USABLE, {"usable", "forever"}]
    assert await store.api_keys.find(KEY.id) == USABLE
    assert await entries(store) == before
    assert store.access_state[1] <= max(state[1], 0)


async def test_two_that_revoke_each_other_are_served_one_after_the_other(store: Store, other_store: Store) -> None:
    def not_the_last(_key: ApiKey, others: Sequence[ApiKey]) -> None:
        if not others:
            raise PermissionError

    await store.api_keys.add(other("a"))
    await store.api_keys.add(other("b"))
    first = store.api_keys.revoke("a", by="api_key:b", at=NOW, check=not_the_last)
    second = other_store.api_keys.revoke("b", by="api_key:a", at=NOW, check=not_the_last)
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ApiKey", "PermissionError"]


async def test_every_process_hears_that_access_was_taken_away(store: Store, other_store: Store) -> None:
    await store.api_keys.add(USABLE)
    here, there = asyncio.Event(), asyncio.Event()
    store.on_access_change(here.set)
    other_store.on_access_change(there.set)
    feed = Feed(other_store, poll_seconds=0.01)
    await feed.start()
    await store.revision()
    try:
        await store.api_keys.add(other("a"))
        await feed.stop()
        await feed.start()
        assert not here.is_set()
        assert not there.is_set()
        await store.api_keys.revoke(KEY.id, by="system", at=NOW, check=anything)
        assert here.is_set()
        async with asyncio.timeout(120):
            await there.wait()
        assert other_store.access_state == store.access_state
    finally:
        await feed.stop()


async def test_a_listener_that_fails_harms_nobody(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await store.api_keys.add(USABLE)
    await store.revision()
    heard: list[bool] = []
    store.on_access_change(lambda: int("no number"))
    store.on_access_change(lambda: heard.append(True))
    assert await store.api_keys.revoke(KEY.id, by="system", at=NOW, check=anything)
    assert heard == [True]
    assert "a listener failed" in caplog.text


async def test_uses_are_written_together_and_once_a_minute(store: Store, other_store: Store) -> None:
    for key_id in ("a", "b", "c"):
        await store.api_keys.add(other(key_id))
    await store.api_keys.write_uses()

    async def used(key_id: str) -> datetime | None:
        key = await other_store.api_keys.find(key_id)
        assert key is not None
        return key.last_used_at

    second = timedelta(seconds=1)
    store.api_keys.note_use("a", NOW - second)
    store.api_keys.note_use("a", NOW)
    store.api_keys.note_use("b", NOW)
    store.api_keys.note_use("gone", NOW)
    assert await used("a") is None
    await store.api_keys.write_uses()
    assert [await used(key_id) for key_id in "abc"] == [NOW, NOW, None]
    store.api_keys.note_use("a", NOW + 59 * second)
    store.api_keys.note_use("b", NOW + 60 * second)
    await store.api_keys.write_uses()
    assert [await used(key_id) for key_id in "ab"] == [NOW, NOW + 60 * second]
    # Nothing is kept of what was written.
    await store.api_keys.write_uses()
    assert await used("a") == NOW


async def test_uses_that_could_not_be_written_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.api_keys.add(USABLE)
    store.api_keys.note_use(KEY.id, NOW)
    async with away(store, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await store.api_keys.write_uses()
    await store.api_keys.write_uses()
    found = await store.api_keys.find(KEY.id)
    assert found is not None
    assert found.last_used_at == NOW


async def test_many_keys_are_found_at_once(store: Store) -> None:
    await store.api_keys.add(USABLE)
    await store.api_keys.add(other("a", revoked_at=NOW))
    ids = {KEY.id, "a"} | {f"unknown{number}" for number in range(1200)}
    assert await store.api_keys.find_many(ids) == {KEY.id: USABLE, "a": other("a", revoked_at=NOW)}
    assert await store.api_keys.find_many([]) == {}


async def test_no_key_is_believed_in_once_access_was_taken_away(
    store: Store, other_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.api_keys.add(USABLE)
    await store.api_keys.add(other("a"))
    await store.api_keys.find_many([KEY.id, "a"])
    await other_store.api_keys.revoke("a", by="system", at=NOW, check=anything)
    async with away(store, monkeypatch):
        # Of this moment this process knows no later one.
        assert await store.api_keys.find("a") == other("a")
    await store.revision()
    async with away(store, monkeypatch):
        for key_id in (KEY.id, "a"):
            with pytest.raises(StoreUnavailable):
                await store.api_keys.find(key_id)
    assert await store.api_keys.find(KEY.id) == USABLE
    async with away(store, monkeypatch):
        assert await store.api_keys.find(KEY.id) == USABLE


async def test_a_revocation_is_in_the_chain_of_the_audit_log(store: Store, url: str) -> None:
    await store.api_keys.add(USABLE)
    await store.api_keys.revoke(KEY.id, by="api_key:a", at=NOW, check=anything)
    report = await verify_audit_log(url)
    assert (report.rows, report.problems) == (2, ())


async def test_who_asks_at_the_same_time_shares_a_look_that_begins_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[set[str]] = []
    find_many = store.api_keys.find_many

    async def counted(ids: Collection[str]) -> dict[str, ApiKey]:
        looks.append(set(ids))
        return await find_many(ids)

    monkeypatch.setattr(store.api_keys, "find_many", counted)
    for each in ("one", "two"):
        await store.api_keys.add(other(each))
    found = await asyncio.gather(*(store.api_keys.find(each) for each in ["one", "two", "none"] * 20))
    assert [each.id if each else None for each in found] == ["one", "two", None] * 20
    assert looks == [{"one", "two", "none"}]
    # Who comes while a look is under way waits for the next one, whatever becomes of those who came with it.
    first = asyncio.create_task(store.api_keys.find("one"))
    while len(looks) == 1:  # noqa: ASYNC110 - nothing tells that a look begins
        await asyncio.sleep(0)
    impatient, patient = (asyncio.create_task(store.api_keys.find("two")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert [each and each.id for each in (await first, await patient)] == ["one", "two"]
    assert looks[1:] == [{"one"}, {"two"}]
