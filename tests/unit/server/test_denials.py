"""Denials are counted, bounded, and written in time; none is lost because the database was away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from modelwire.resolvers.access import Context, Principal
from modelwire.resolvers.errors import BadUserInput, Forbidden, Unauthenticated
from modelwire.server import denials as module
from modelwire.server.denials import MAX_KINDS, Denials, source
from modelwire.store import AuditEvent, AuditLog, StoreUnavailable

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Log:
    """An audit log that keeps what it is given; `errors` are raised first, one at a time."""

    def __init__(self, *errors: Exception) -> None:
        self.events: list[AuditEvent] = []
        self.written = asyncio.Event()
        self.before_error: Any = None
        self._errors = list(errors)

    async def record(self, events: Sequence[AuditEvent]) -> None:
        if self._errors:
            if self.before_error is not None:
                self.before_error()
            raise self._errors.pop(0)
        self.events += events
        if events:
            self.written.set()


def denials_of(log: Log) -> Denials:
    moments: Iterator[datetime] = (NOW + timedelta(seconds=second) for second in range(10_000))
    return Denials(cast(AuditLog, log), now=lambda: next(moments))


def context_of(subject: str) -> Context:
    return Context(Principal(subject=subject, name="x", scopes=frozenset()), cast(Any, None), cast(Any, None))


async def test_denials_of_one_kind_are_one_row() -> None:
    log = Log()
    denials = denials_of(log)
    source.set("192.0.2.1")
    for _ in range(3):
        denials.unauthenticated(Unauthenticated("the API key is not valid"))
    denials.refused(context_of("api_key:a"), "createModelConfig", Forbidden("no, canary"))
    denials.refused(context_of("api_key:a"), "createModelConfig", BadUserInput("not a denial"))
    await denials.write()
    await denials.write()
    assert [(event.action, event.actor, event.details) for event in log.events] == [
        (
            "access.denied",
            "anonymous",
            {
                "code": "UNAUTHENTICATED",
                "source": "192.0.2.1",
                "reason": "the API key is not valid",
                "count": 3,
                "first": NOW.isoformat(),
                "last": (NOW + timedelta(seconds=2)).isoformat(),
            },
        ),
        (
            "access.denied",
            "api_key:a",
            {
                "code": "FORBIDDEN",
                "source": "192.0.2.1",
                "field": "createModelConfig",
                "count": 1,
                "first": (NOW + timedelta(seconds=3)).isoformat(),
                "last": (NOW + timedelta(seconds=3)).isoformat(),
            },
        ),
    ]


async def test_subjects_sources_fields_and_reasons_are_kept_apart() -> None:
    log = Log()
    denials = denials_of(log)
    for subject in ("a", "b"):
        for field in ("x", "y"):
            denials.refused(context_of(subject), field, Forbidden("no"))
    for address in ("192.0.2.1", "192.0.2.2"):
        source.set(address)
        denials.unauthenticated(Unauthenticated("revoked"))
        denials.unauthenticated(Unauthenticated("expired"))
    await denials.write()
    assert len(log.events) == 8


async def test_an_attacker_from_everywhere_fills_neither_memory_nor_log() -> None:
    log = Log()
    denials = denials_of(log)
    for number in range(5000):
        source.set(f"2001:db8::{number:x}")
        denials.unauthenticated(Unauthenticated("the API key is not valid"))
        denials.refused(context_of("api_key:a"), "x", Forbidden("no"))
    assert len(denials._counts) == MAX_KINDS + 2
    await denials.write()
    rest = [event for event in log.events if event.actor == "several"]
    assert len(log.events) == MAX_KINDS + 2
    assert sum(event.details["count"] for event in log.events) == 10_000
    assert [(event.details["code"], event.details["source"]) for event in rest] == [
        ("UNAUTHENTICATED", None),
        ("FORBIDDEN", None),
    ]


async def test_what_could_not_be_written_is_written_later() -> None:
    log = Log(StoreUnavailable("away"))
    denials = denials_of(log)
    denials.unauthenticated(Unauthenticated("old"))
    log.before_error = lambda: [denials.unauthenticated(Unauthenticated(reason)) for reason in ("old", "new")]
    with pytest.raises(StoreUnavailable):
        await denials.write()
    await denials.write()
    counts = {event.details["reason"]: event.details["count"] for event in log.events}
    assert counts == {"old": 2, "new": 1}
    old = log.events[0].details
    assert (old["first"], old["last"]) == (NOW.isoformat(), (NOW + timedelta(seconds=1)).isoformat())


async def test_they_are_written_while_the_server_runs_and_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="modelwire.server")
    log = Log(StoreUnavailable("the database is away"), RuntimeError("a bug"))
    denials = denials_of(log)
    denials.unauthenticated(Unauthenticated("running"))
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.0)
    async with asyncio.timeout(120), denials.written():
        await log.written.wait()
        monkeypatch.setattr(module, "INTERVAL_SECONDS", 3600.0)
        denials.unauthenticated(Unauthenticated("ending"))
    assert [event.details["reason"] for event in log.events] == ["running", "ending"]
    assert "the database is away" in caplog.text
    assert "a bug" in caplog.text
