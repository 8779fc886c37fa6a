"""Sessions: which refresh token is good, and when one that is shown again ends them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from outage import away

from modelwire.store import EndReason, Session, Store, StoreUnavailable, verify_audit_log

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
SESSION = Session(
    id="00112233445566778899",
    api_key_id="k3j9x2q8ab",
    generation=1,
    created_at=NOW,
    refreshed_at=NOW,
    expires_at=NOW + timedelta(days=30),
)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def make(store: Store, session_id: str = SESSION.id, **fields: Any) -> Session:
    session = replace(SESSION, id=session_id, **fields)
    assert await store.sessions.create(session, source="192.0.2.1", limit=1000)
    return session


async def rotate(store: Store, generation: int, at: datetime, session_id: str = SESSION.id) -> Session:
    session = await store.sessions.rotate(session_id, generation=generation, now=at, source="192.0.2.2")
    assert session is not None
    return session


async def audited(store: Store) -> list[tuple[str, str, Any]]:
    """What the audit log has, oldest first."""
    entries = await store.audit_log.page(first=100)
    return [(entry.action, entry.actor, entry.details) for entry in reversed(entries)]


@pytest.fixture
async def changes(store: Store) -> list[int]:
    """One item for each time that the store says that access was taken away."""
    await store.revision()
    heard: list[int] = []
    store.on_access_change(lambda: heard.append(1))
    return heard


async def test_a_session_reads_back_exactly(store: Store, changes: list[int]) -> None:
    session = await make(store)
    other = await make(store, "other")
    assert await store.sessions.find(SESSION.id) == session
    assert await store.sessions.find("none") is None
    assert await store.sessions.find_many({"other", SESSION.id, "none"}) == {"other": other, SESSION.id: session}
    assert await store.sessions.find_many(()) == {}
    told = {"session": SESSION.id, "source": "192.0.2.1", "expiresAt": "2026-05-31T12:00:00.123456+00:00"}
    assert (await audited(store))[-2] == ("session.create", "api_key:k3j9x2q8ab", told)
    assert changes == []


async def test_more_sessions_than_one_statement_takes_are_found(store: Store) -> None:
    for number in range(3):
        await make(store, f"s{number}")
    found = await store.sessions.find_many([f"s{number}" for number in range(1200)])
    assert sorted(found) == ["s0", "s1", "s2"]


async def test_a_refresh_token_is_good_once(store: Store, changes: list[int]) -> None:
    session = await make(store)
    second = await rotate(store, 1, after(60))
    assert second == replace(session, generation=2, refreshed_at=after(60))
    assert await store.sessions.find(session.id) == second
    third = await rotate(store, 2, after(120))
    assert third == replace(session, generation=3, refreshed_at=after(120))
    assert [action for action, _, _ in await audited(store)] == ["session.create"]
    assert changes == []


async def test_a_lost_answer_is_given_again(store: Store) -> None:
    await make(store)
    second = await rotate(store, 1, after(60))
    for seconds in (60, 65, 70):
        assert await rotate(store, 1, after(seconds)) == second
    # A clock of another server that is a little behind.
    assert await rotate(store, 1, after(59)) == second
    assert (await rotate(store, 2, after(71))).generation == 3


@pytest.mark.parametrize(
    ("generation", "seconds"),
    [(2, 130.5), (1, 120), (4, 120), (0, 120), (-1, 120)],
    ids=["late", "older", "never made", "zero", "negative"],
)
async def test_any_other_token_ends_the_session(
    store: Store, changes: list[int], generation: int, seconds: float
) -> None:
    await make(store)
    bystander = await make(store, "bystander")
    await rotate(store, 1, after(60))
    await rotate(store, 2, after(120))
    ended = await rotate(store, generation, after(seconds))
    assert (ended.ended_at, ended.end_reason) == (after(seconds), EndReason.REUSE)
    assert changes == [1]
    # Whoever has the good token has none any more.
    assert await rotate(store, 3, after(seconds + 1)) == ended
    assert await store.sessions.find(SESSION.id) == ended
    assert await store.sessions.find("bystander") == bystander
    told = {"session": SESSION.id, "apiKey": "k3j9x2q8ab", "source": "192.0.2.2"}
    assert (await audited(store))[2:] == [("session.reuse", "anonymous", told)]


async def test_two_at_once_get_one_next_token(store: Store) -> None:
    await make(store)
    both = await asyncio.gather(rotate(store, 1, after(60)), rotate(store, 1, after(60)))
    assert [session.generation for session in both] == [2, 2]


async def test_two_servers_at_once_get_one_next_token(store: Store, other_store: Store) -> None:
    await make(store)
    both = await asyncio.gather(rotate(store, 1, after(60)), rotate(other_store, 1, after(60)))
    assert [session.generation for session in both] == [2, 2]
    assert await other_store.sessions.find(SESSION.id) == both[0]


async def test_a_session_that_is_over_is_not_refreshed(store: Store, changes: list[int]) -> None:
    session = await make(store)
    assert await rotate(store, 1, session.expires_at) == session
    assert await rotate(store, 7, session.expires_at) == session
    assert await store.sessions.rotate("none", generation=1, now=NOW, source=None) is None
    assert changes == []


async def test_signing_out_ends_one_session_or_all_of_a_key(store: Store, changes: list[int]) -> None:
    async def end(session_id: str, seconds: float) -> bool:
        return await store.sessions.end(session_id, by="api_key:k3j9x2q8ab", now=after(seconds), source=None)

    for session_id in ("a", "b", "c"):
        await make(store, session_id)
    other = await make(store, "other", api_key_id="other")
    assert await end("a", 1)
    assert changes == [1]
    assert not await end("a", 2)
    assert not await end("none", 2)
    a = await store.sessions.find("a")
    assert a is not None
    assert (a.ended_at, a.end_reason) == (after(1), EndReason.SIGN_OUT)
    assert await store.sessions.end_all("k3j9x2q8ab", by="api_key:x", now=after(3), source="192.0.2.3") == 2
    assert await store.sessions.end_all("k3j9x2q8ab", by="api_key:x", now=after(4), source=None) == 0
    # What is over already is not ended, nor written down.
    await make(store, "expired", expires_at=after(5))
    assert await store.sessions.end_all("k3j9x2q8ab", by="api_key:x", now=after(5), source=None) == 0
    assert not await end("expired", 5)
    assert changes == [1, 1]
    assert await store.sessions.find("other") == other
    assert [each for each in await audited(store) if each[0] == "session.end"] == [
        ("session.end", "api_key:k3j9x2q8ab", {"sessions": ["a"], "source": None}),
        ("session.end", "api_key:x", {"sessions": ["b", "c"], "source": "192.0.2.3"}),
    ]


async def test_a_key_has_so_many_sessions_at_a_time(store: Store) -> None:
    async def create(session_id: str, at: datetime = NOW, **fields: Any) -> bool:
        session = replace(SESSION, id=session_id, created_at=at, **fields)
        return await store.sessions.create(session, source=None, limit=2)

    assert await create("a")
    assert await create("b", expires_at=after(10))
    assert not await create("c")
    assert await store.sessions.find("c") is None
    assert await create("other", api_key_id="other")
    await store.sessions.end("a", by="x", now=NOW, source=None)
    assert await create("c")
    assert not await create("d", after(9))
    assert await create("d", after(10))


async def test_old_sessions_are_forgotten(store: Store) -> None:
    await make(store, "expired", expires_at=after(10))
    await make(store, "ended")
    await make(store, "going on")
    await store.sessions.end("ended", by="x", now=after(10), source=None)
    assert await store.sessions.forget(before=after(10)) == 0
    assert await store.sessions.forget(before=after(11)) == 2
    assert list(await store.sessions.find_many(["expired", "ended", "going on"])) == ["going on"]


async def test_the_audit_log_stays_whole(store: Store, url: str) -> None:
    await make(store)
    await rotate(store, 5, after(1))
    report = await verify_audit_log(url)
    assert (report.rows, report.problems) == (2, ())


async def test_a_session_is_remembered_while_the_database_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await make(store)
    await make(store, "unseen")
    await store.sessions.find(session.id)
    async with away(store, monkeypatch):
        assert await store.sessions.find(session.id) == session
        for session_id in ("unseen", "none"):
            with pytest.raises(StoreUnavailable):
                await store.sessions.find(session_id)
        # What closes sockets is never told of what was.
        with pytest.raises(StoreUnavailable):
            await store.sessions.find_many([session.id])


@pytest.mark.parametrize("by", ["this process", "another"])
async def test_nothing_is_remembered_of_before_access_was_taken_away(
    store: Store, monkeypatch: pytest.MonkeyPatch, backend: Any, url: str, by: str
) -> None:
    session = await make(store)
    await make(store, "other")
    await store.sessions.find(session.id)

    async def end_other(ender: Store) -> None:
        await ender.sessions.end("other", by="x", now=NOW, source=None)

    if by == "this process":
        await end_other(store)
    else:
        async with backend.open(url) as another:
            await end_other(another)
        await store.revision()
    async with away(store, monkeypatch):
        with pytest.raises(StoreUnavailable):
            await store.sessions.find(session.id)
