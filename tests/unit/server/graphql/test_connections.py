"""When a token expires, whatever the clock does meanwhile; and what is closed when a credential is taken away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from modelwire.resolvers.access import Principal
from modelwire.server.graphql import connections
from modelwire.server.graphql.connections import Connections, ExpiryTimer
from modelwire.server.graphql.protocol import CloseCode

EXPIRES_AT = datetime(2026, 1, 1, tzinfo=UTC)


def clock(monkeypatch: pytest.MonkeyPatch, *remaining_seconds: float) -> list[float]:
    """Have the wall clock show these times before the expiry, one at each look; what is left of them."""
    left = list(remaining_seconds)
    monkeypatch.setattr(connections, "_now", lambda: EXPIRES_AT - timedelta(seconds=left.pop(0)))
    return left


@pytest.mark.parametrize("remaining_seconds", [0.0, -3600.0])
async def test_a_token_that_expired_already(monkeypatch: pytest.MonkeyPatch, remaining_seconds: float) -> None:
    clock(monkeypatch, remaining_seconds)
    expired: list[bool] = []
    ExpiryTimer(EXPIRES_AT, lambda: expired.append(True))
    assert expired == [True]


async def test_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    left = clock(monkeypatch, 0.01, 0.02, 0.01, 0.0)
    expired = asyncio.Event()
    ExpiryTimer(EXPIRES_AT, expired.set)
    async with asyncio.timeout(120):
        await expired.wait()
    assert left == []


async def test_a_timer_that_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    left = clock(monkeypatch, 0.01, 0.0, 0.01, 0.0)
    expired: list[str] = []
    ExpiryTimer(EXPIRES_AT, lambda: expired.append("cancelled")).cancel()
    left.pop(0)
    done = asyncio.Event()
    ExpiryTimer(EXPIRES_AT, done.set)
    async with asyncio.timeout(120):
        await done.wait()
    assert expired == []


class Open:
    """A connection that stays open until it is stopped."""

    def __init__(self, credential: str | None, subject: str = "somebody") -> None:
        self.principal: Principal | None = None
        if credential is not None:
            self.principal = Principal(subject=subject, name="x", scopes=frozenset(), credential=credential)
        self.stopped: list[tuple[CloseCode | None, str]] = []
        self._end = asyncio.Event()

    async def run(self) -> None:
        await self._end.wait()

    def stop(self, code: CloseCode | None, reason: str = "") -> None:
        self.stopped.append((code, reason))
        self._end.set()


async def serving(connections: Connections, *opened: Open) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(connections.serve(each)) for each in opened]
    await asyncio.sleep(0)
    assert len(connections) == len(opened)
    return tasks


async def test_what_is_open_with_a_revoked_credential_is_closed() -> None:
    served = Connections()
    first, second, other = Open("api_key:a", "A"), Open("api_key:a", "A"), Open("session:b", "B")
    unnamed, eternal = Open(None), Open("")
    tasks = await serving(served, first, second, other, unnamed, eternal)
    assert served.credentials() == {"api_key:a", "session:b"}
    assert served.subjects() == {"A", "B", "somebody"}
    served.revoke({"api_key:a": "it was revoked", "api_key:unknown": "x"})
    await asyncio.gather(*tasks[:2])
    assert first.stopped == second.stopped == [(CloseCode.FORBIDDEN, "it was revoked")]
    assert other.stopped == unnamed.stopped == eternal.stopped == []
    assert served.credentials() == {"session:b"}
    # Whose token was renewed with another credential is closed with that one.
    assert other.principal is not None
    other.principal = Principal(subject="B", name="x", scopes=frozenset(), credential="session:c")
    served.revoke({"session:b": "it was ended"})
    assert other.stopped == []
    await served.stop(120)


async def test_somebody_who_is_on_the_way_in_is_looked_at_again() -> None:
    served = Connections()
    good = Principal(subject="a", name="x", scopes=frozenset(), credential="api_key:a")
    looked: list[str] = []

    async def authenticate() -> Principal:
        looked.append("looked")
        if len(looked) < 3:
            # Access was taken away after this one was read, and before it is told.
            assert served.credentials() == set()
        return good

    assert await served.authenticated(authenticate) is good
    assert len(looked) == 3
