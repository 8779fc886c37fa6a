"""When keys were last used, written in the background."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from modelwire.server import key_uses
from modelwire.server.key_uses import key_uses_written
from modelwire.store import StoreUnavailable


class Keys:
    """What the writer is told; it fails with `errors` first."""

    def __init__(self, *errors: Exception) -> None:
        self.noted: dict[str, datetime] = {}
        self.written: list[set[str]] = []
        self.enough = asyncio.Event()
        self._errors = list(errors)

    def note_use(self, key_id: str, at: datetime) -> None:
        self.noted[key_id] = at

    async def write_uses(self) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.written.append(set(self.noted))
        if len(self.written) == 3:
            self.enough.set()


class Endpoint:
    def subjects(self) -> set[str]:
        return {"api_key:open", "oidc:somebody", "no_auth"}


async def test_the_rest_is_written_at_the_end() -> None:
    keys: Any = Keys()
    before = datetime.now(UTC)
    async with key_uses_written(keys, Endpoint()):
        keys.note_use("shown", before)
        assert keys.written == []
    assert keys.written == [{"open", "shown"}]
    assert keys.noted["open"] >= before


async def test_a_write_that_fails_is_followed_by_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_uses, "INTERVAL_SECONDS", 0.001)
    keys: Any = Keys(StoreUnavailable("it is away"), ValueError("a bug"))
    async with asyncio.timeout(120), key_uses_written(keys, Endpoint()):
        await keys.enough.wait()
    assert [record.getMessage() for record in caplog.records] == [
        "when API keys were last used was not written: it is away",
        "when API keys were last used was not written",
    ]
