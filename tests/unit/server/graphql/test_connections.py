"""When a token expires, whatever the clock does meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from modelwire.server.graphql import connections
from modelwire.server.graphql.connections import ExpiryTimer

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
