"""The change log is compacted by the settings and old sessions are forgotten, again and again, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from modelwire.server import housekeeping as module
from modelwire.server.housekeeping import compact, forget_sessions, housekeeping
from modelwire.server.settings import Settings
from modelwire.store import Retention, Store, StoreUnavailable

NOW = datetime(2030, 1, 31, tzinfo=UTC)


class Log:
    """A store whose compaction answers with these batches, or raises these errors, one after the other."""

    def __init__(self, *runs: list[int] | Exception) -> None:
        self.asked: list[Retention] = []
        self.changed = asyncio.Condition()
        self._runs = list(runs)
        self.sessions = self
        self.forgotten: list[datetime] = []

    async def forget(self, *, before: datetime) -> int:
        self.forgotten.append(before)
        return 2

    async def compact(self, retention: Retention) -> AsyncIterator[int]:
        run = self._runs.pop(0) if self._runs else []
        async with self.changed:
            self.asked.append(retention)
            self.changed.notify_all()
        if isinstance(run, Exception):
            raise run
        for rows in run:
            yield rows

    async def asked_for(self, times: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.asked) >= times)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INTERVAL_SECONDS", "FIRST_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(module, name, 0.0)


def settings(**given: Any) -> Settings:
    return Settings(**given)


async def test_the_settings_say_what_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="modelwire.server")
    log = Log([500, 3])
    given = settings(history_retention_days=30, history_min_versions=7)
    assert await compact(cast(Store, log), given, now=NOW) == 503
    assert log.asked == [Retention(since=NOW - timedelta(days=30), min_versions=7)]
    assert "503 versions" in caplog.text
    default = settings()
    await compact(cast(Store, log), default, now=NOW)
    assert log.asked[1] == Retention(since=NOW - timedelta(days=90), min_versions=20)


async def test_it_goes_on_after_trouble_and_ends_with_the_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="modelwire.server")
    log = Log(StoreUnavailable("the database is away"), RuntimeError("a bug"), [1])
    async with asyncio.timeout(120):
        async with housekeeping(cast(Store, log), settings()):
            await log.asked_for(4)
    asked = len(log.asked)
    # The sessions are seen to although the change log was not.
    assert len(log.forgotten) >= 3
    assert "the database is away" in caplog.text
    assert "a bug" in caplog.text
    await asyncio.sleep(0)
    assert len(log.asked) == asked
    assert [task for task in asyncio.all_tasks() if task.get_name() == "housekeeping"] == []


async def test_sessions_are_forgotten_a_week_after_their_end() -> None:
    log = Log()
    assert await forget_sessions(cast(Store, log), settings(), now=NOW) == 2
    assert log.forgotten == [NOW - timedelta(days=7)]


@pytest.mark.parametrize("given", [{"history_retention_days": 0}, {"history_min_versions": 0}])
def test_settings_that_would_lose_too_much_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        settings(**given)
