"""The health checks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwire.server import monitoring
from modelwire.server.app import Services, create_app
from modelwire.server.settings import Settings
from modelwire.store import StoreUnavailable


class Store:
    """The part of a store that the health check asks."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def revision(self) -> int:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        return 1


class Feed:
    def __init__(self, error: Exception | None) -> None:
        self.error = error


async def get(tmp_path: Path, path: str, store: Store, feed_error: Exception | None = None) -> httpx.Response:
    settings, feed = Settings(data_dir=tmp_path), Feed(feed_error)
    app = create_app(settings, lambda start: None)
    app.state.services = Services(store, feed, None, monitoring.Monitored(settings, store, feed, None, None, None))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        return await client.get(path)


async def test_ready(tmp_path: Path) -> None:
    response = await get(tmp_path, "/readyz", Store(1))
    assert (response.status_code, response.json()) == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("store", "feed_error", "reason"),
    [
        (Store(StoreUnavailable("the disk is full")), None, "the database cannot be read: the disk is full"),
        (Store(None), None, "the database does not answer"),
        (Store(1), StoreUnavailable("locked"), "the change log cannot be followed: locked"),
    ],
)
async def test_not_ready_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store, feed_error: Exception | None, reason: str
) -> None:
    monkeypatch.setattr(monitoring, "READY_TIMEOUT_SECONDS", 0.01)
    response = await get(tmp_path, "/readyz", store, feed_error)
    assert (response.status_code, response.json()) == (503, {"status": "not ready", "reason": reason})


async def test_a_process_lives_although_its_database_does_not(tmp_path: Path) -> None:
    assert (await get(tmp_path, "/healthz", Store(StoreUnavailable("gone")))).status_code == 200
