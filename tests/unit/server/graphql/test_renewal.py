"""Tokens that are renewed on an open socket: which are taken, what becomes of rights and deadlines, and its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import strawberry

from modelwire.resolvers.access import Context, Principal, Scope
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server.graphql import connections
from modelwire.server.graphql.connections import Connections
from modelwire.server.graphql.environment import Environment
from modelwire.server.graphql.execution import Executor
from modelwire.server.graphql.limits import Limits
from modelwire.server.graphql.websocket import Connection
from modelwire.store import StoreUnavailable

NOW = datetime(2200, 1, 1, tzinfo=UTC)
FIRST = Principal(
    subject="s", name="n", scopes=frozenset({Scope.AUDIT_READ}), credential="session:1", expires_at=NOW + timedelta(1)
)
SECOND = replace(FIRST, scopes=frozenset(), credential="session:2", expires_at=NOW + timedelta(2))
WAKE: dict[str, asyncio.Queue[None]] = {}

Info = strawberry.Info[Context, None]


@strawberry.type
class Query:
    @strawberry.field
    def scopes(self, info: Info) -> list[str]:
        return sorted(info.context.principal.scopes)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def scopes(self, info: Info) -> AsyncGenerator[list[str], None]:
        while True:
            yield sorted(info.context.principal.scopes)
            await WAKE["wake"].get()


SCHEMA = strawberry.Schema(Query, subscription=Subscription)


class Peer:
    """The ASGI server's side of a connection. `tokens` are what authentication makes of them; exceptions are raised."""

    def __init__(self) -> None:
        self.tokens: dict[str, Principal | Exception] = {"1": FIRST, "2": SECOND}
        self.asked: list[str | None] = []
        self.may_authenticate = asyncio.Event()
        self.may_authenticate.set()
        self.sent: list[dict[str, Any]] = []
        self.unread: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._written = asyncio.Condition()
        self.connections = Connections()
        scope = {"type": "websocket", "headers": [], "subprotocols": ["graphql-transport-ws"], "scheme": "ws"}
        self.denied: list[tuple[str, str]] = []
        executor = Executor(SCHEMA, Limits(), self._refused)
        environment = Environment(executor, self._authenticate, self._context, Limits(), frozenset())
        self.connection = Connection(scope, self.unread.get, self._send, environment, self.connections)
        self.unread.put_nowait({"type": "websocket.connect"})

    def _refused(self, context: Context, field: str | None, error: Exception) -> None:
        assert field is None
        self.denied.append((context.principal.subject, str(error)))

    @staticmethod
    def _context(principal: Principal) -> Context:
        return Context(principal, None, None)  # type: ignore[arg-type]

    async def _authenticate(self, authorization: str | None) -> Principal:
        self.asked.append(authorization)
        await self.may_authenticate.wait()
        found = self.tokens.get(authorization or "", Unauthenticated("the token is not valid"))
        if isinstance(found, Exception):
            raise found
        return found

    async def _send(self, message: Any) -> None:
        async with self._written:
            self.sent.append(message)
            self._written.notify_all()

    def says(self, **message: Any) -> None:
        self.unread.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def until(self, predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(120), self._written:
            await self._written.wait_for(predicate)

    async def next(self) -> dict[str, Any]:
        """The next frame, taken off `sent`."""
        await self.until(lambda: any(message["type"] == "websocket.send" for message in self.sent))
        place = next(place for place, message in enumerate(self.sent) if message["type"] == "websocket.send")
        frame: dict[str, Any] = json.loads(self.sent.pop(place)["text"])
        return frame

    async def renews(self, token: str) -> Any:
        """Renew; the payload of the pong."""
        self.says(type="ping", payload={"authorization": token})
        frame = await self.next()
        assert frame["type"] == "pong"
        return frame["payload"]


@dataclass
class Clock:
    now: datetime = NOW


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the timers take for the time. They look again after the least of waits."""
    clock = Clock()
    monkeypatch.setattr(connections, "_now", lambda: clock.now)
    return clock


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Peer, asyncio.Task[None]]]:
    """A connection whose client is acknowledged with the token 1."""
    WAKE["wake"] = asyncio.Queue()
    peer = Peer()
    task = asyncio.create_task(peer.connections.serve(peer.connection))
    try:
        peer.says(type="connection_init", payload={"authorization": "1"})
        assert (await peer.next())["payload"] == {"tokenExpiresAt": "2200-01-02T00:00:00Z"}
        yield peer, task
    finally:
        peer.may_authenticate.set()
        peer.unread.put_nowait({"type": "websocket.disconnect", "code": 1001})
        async with asyncio.timeout(120):
            await task


async def test_operations_that_run_and_those_to_come_have_the_new_rights(clock: Clock) -> None:
    async with connected() as (peer, _):
        peer.says(type="subscribe", id="1", payload={"query": "subscription { scopes }"})
        assert (await peer.next())["payload"] == {"data": {"scopes": ["audit:read"]}}
        assert await peer.renews("2") == {"tokenExpiresAt": "2200-01-03T00:00:00Z"}
        assert peer.connection.principal is SECOND
        WAKE["wake"].put_nowait(None)
        assert (await peer.next())["payload"] == {"data": {"scopes": []}}
        peer.says(type="subscribe", id="2", payload={"query": "{ scopes }"})
        assert (await peer.next())["payload"] == {"data": {"scopes": []}}


async def test_nothing_is_kept_of_operations_that_are_over(clock: Clock) -> None:
    async with connected() as (peer, _):
        peer.says(type="subscribe", id="1", payload={"query": "subscription { scopes }"})
        await peer.next()
        assert len(peer.connection._contexts) == 1
        peer.says(type="subscribe", id="2", payload={"query": "{ scopes }"})
        assert [(await peer.next())["type"] for _ in range(2)] == ["next", "complete"]
        peer.says(type="complete", id="1")
        peer.says(type="subscribe", id="3", payload={"query": "{ scopes }"})
        assert [(await peer.next())["type"] for _ in range(2)] == ["next", "complete"]
        assert peer.connection._contexts == {}


REFUSED = [
    (replace(SECOND, subject="other"), "the token is somebody else's"),
    (replace(SECOND, expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "the token has expired"),
    (Unauthenticated("the API key was revoked"), "the API key was revoked"),
    (StoreUnavailable("db.internal"), "The server cannot reach its database"),
    (RuntimeError("canary"), "Internal error "),
]


@pytest.mark.parametrize(("found", "error"), REFUSED, ids=[error for _, error in REFUSED])
async def test_what_is_refused_changes_nothing(clock: Clock, found: Any, error: str) -> None:
    async with connected() as (peer, task):
        peer.says(type="subscribe", id="1", payload={"query": "subscription { scopes }"})
        await peer.next()
        peer.tokens["2"] = found
        payload = await peer.renews("2")
        assert list(payload) == ["error"]
        assert payload["error"].startswith(error)
        assert "canary" not in payload["error"]
        assert peer.connection.principal is FIRST
        # What authentication refuses is counted there.
        assert peer.denied == ([("s", payload["error"])] if "somebody else" in error else [])
        WAKE["wake"].put_nowait(None)
        assert (await peer.next())["payload"] == {"data": {"scopes": ["audit:read"]}}
        clock.now = NOW + timedelta(days=1)
        expire(peer)
        async with asyncio.timeout(120):
            await task
        assert peer.sent[-1] == {"type": "websocket.close", "code": 4403, "reason": "Token expired"}


def expire(peer: Peer) -> None:
    """Have the timer look at the clock."""
    timer: Any = peer.connection._timer
    timer._check()


@pytest.mark.parametrize("expires_at", [NOW + timedelta(hours=1), NOW + timedelta(days=3), None])
async def test_the_deadline_is_that_of_the_new_token(clock: Clock, expires_at: datetime | None) -> None:
    """An earlier one too."""
    async with connected() as (peer, task):
        peer.tokens["2"] = replace(SECOND, expires_at=expires_at)
        old = peer.connection._timer
        told = None if expires_at is None else expires_at.isoformat().replace("+00:00", "Z")
        assert await peer.renews("2") == {"tokenExpiresAt": told}
        assert isinstance(old, connections.ExpiryTimer)
        assert old._handle is not None
        assert old._handle.cancelled()
        if expires_at is None:
            assert peer.connection._timer is old
            return
        clock.now = expires_at - timedelta(seconds=1)
        expire(peer)
        peer.says(type="ping")
        assert await peer.next() == {"type": "pong"}
        clock.now = expires_at
        expire(peer)
        async with asyncio.timeout(120):
            await task
        assert peer.sent[-1]["code"] == 4403


async def test_one_renewal_is_dealt_with_at_a_time_and_nothing_piles_up(clock: Clock) -> None:
    async with connected() as (peer, _):
        peer.may_authenticate.clear()
        tasks = asyncio.all_tasks()
        for _ in range(100):
            peer.says(type="ping", payload={"authorization": "2"})
        peer.says(type="ping")
        for _ in range(50):
            await asyncio.sleep(0)
        assert peer.asked == ["1", "2"]
        assert peer.unread.qsize() == 100
        assert asyncio.all_tasks() == tasks
        peer.may_authenticate.set()
        answers = [await peer.next() for _ in range(101)]
        assert answers[-1] == {"type": "pong"}
        assert all("tokenExpiresAt" in answer["payload"] for answer in answers[:-1])


async def test_events_go_on_while_a_renewal_waits(clock: Clock) -> None:
    async with connected() as (peer, _):
        peer.says(type="subscribe", id="1", payload={"query": "subscription { scopes }"})
        await peer.next()
        peer.may_authenticate.clear()
        peer.says(type="ping", payload={"authorization": "2"})
        WAKE["wake"].put_nowait(None)
        assert (await peer.next())["payload"] == {"data": {"scopes": ["audit:read"]}}


async def test_a_token_that_expires_while_its_renewal_waits_ends_the_connection(clock: Clock) -> None:
    async with connected() as (peer, task):
        peer.may_authenticate.clear()
        peer.says(type="ping", payload={"authorization": "2"})
        for _ in range(10):
            await asyncio.sleep(0)
        clock.now = NOW + timedelta(days=1)
        expire(peer)
        async with asyncio.timeout(120):
            await task
        assert peer.sent == [
            {"type": "websocket.accept", "subprotocol": "graphql-transport-ws"},
            {"type": "websocket.close", "code": 4403, "reason": "Token expired"},
        ]


async def test_an_event_that_is_sooner_than_the_timer_is_not_sent_and_no_error_is(clock: Clock) -> None:
    """An error would end the subscription for good, where the close has clients come back."""
    async with connected() as (peer, task):
        peer.says(type="subscribe", id="1", payload={"query": "subscription { scopes }"})
        await peer.next()
        clock.now = NOW + timedelta(days=1)
        WAKE["wake"].put_nowait(None)
        async with asyncio.timeout(120):
            await task
        assert peer.sent == [
            {"type": "websocket.accept", "subprotocol": "graphql-transport-ws"},
            {"type": "websocket.close", "code": 4403, "reason": "Token expired"},
        ]


async def test_renewals_count_as_one_connection_of_their_subject(clock: Clock) -> None:
    async with connected() as (peer, _):
        await peer.renews("2")
        assert not peer.connections.admit("s", 1)
    assert peer.connections.admit("s", 1)


async def test_no_token_is_logged(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with connected() as (peer, _):
        peer.tokens["mw_canary"] = RuntimeError("a bug")
        await peer.renews("mw_canary")
    assert "a bug" in caplog.text
    assert "mw_canary" not in caplog.text
