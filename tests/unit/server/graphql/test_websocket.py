"""The connection between ASGI and the protocol, where order and clean-up matter. The peer is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import strawberry

from modelwire.resolvers.access import Principal
from modelwire.server.graphql import websocket
from modelwire.server.graphql.connections import Connections
from modelwire.server.graphql.environment import Environment
from modelwire.server.graphql.execution import Executor
from modelwire.server.graphql.limits import Limits
from modelwire.server.graphql.protocol import Component
from modelwire.server.graphql.websocket import Connection


class Gate:
    """Where the source of a subscription waits, and what became of it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.cleaning = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cleaned = False
        self.interrupted = False


GATES: dict[str, Gate] = {}
PRINCIPAL = Principal(subject="s", name="n", scopes=frozenset())


@strawberry.type
class Query:
    a: int = 1


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def endless(self) -> AsyncGenerator[int, None]:
        gate = GATES["gate"]
        try:
            yield 1
            await gate.event.wait()
            while True:
                yield 2
        finally:
            gate.cleaning.set()
            try:
                await gate.may_end.wait()
                gate.cleaned = True
            except asyncio.CancelledError:
                gate.interrupted = True
                raise

    @strawberry.subscription
    async def deaf(self) -> AsyncGenerator[int, None]:
        gate = GATES["gate"]
        yield 1
        with contextlib.suppress(asyncio.CancelledError):
            await gate.event.wait()
        yield 2


SCHEMA = strawberry.Schema(Query, subscription=Subscription)


class Peer:
    """The ASGI server's side of a connection. `writable` is cleared to have every `send` wait."""

    def __init__(self, limits: Limits, make_context: Callable[[Principal], Any] = lambda principal: None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.writable = asyncio.Event()
        self.writable.set()
        self.broken: Exception | None = None
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._written = asyncio.Condition()
        self.connections = Connections()
        scope = {"type": "websocket", "headers": [], "subprotocols": ["graphql-transport-ws"], "scheme": "ws"}
        environment = Environment(Executor(SCHEMA, limits), authenticate, make_context, limits, frozenset())
        self.connection = Connection(scope, self._received.get, self._send, environment, self.connections)
        self._received.put_nowait({"type": "websocket.connect"})

    async def _send(self, message: Any) -> None:
        await self.writable.wait()
        if self.broken is not None:
            raise self.broken
        async with self._written:
            self.sent.append(message)
            self._written.notify_all()

    def says(self, **message: Any) -> None:
        self._received.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def leaves(self) -> None:
        self._received.put_nowait({"type": "websocket.disconnect", "code": 1001})

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]

    @property
    def close(self) -> tuple[int, str] | None:
        """The code and reason of the close frame, None while there is none."""
        last = self.sent[-1]
        return (last["code"], last["reason"]) if last["type"] == "websocket.close" else None

    async def until(self, predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(120), self._written:
            await self._written.wait_for(predicate)


async def authenticate(authorization: str | None) -> Principal:
    return PRINCIPAL


@contextlib.asynccontextmanager
async def served(limits: Limits | None = None) -> AsyncIterator[tuple[Peer, asyncio.Task[None]]]:
    """A connection that is served in a task."""
    peer = Peer(limits or Limits())
    task = asyncio.create_task(peer.connections.serve(peer.connection))
    try:
        yield peer, task
    finally:
        peer.writable.set()
        GATES["gate"].may_end.set()
        peer.leaves()
        async with asyncio.timeout(120):
            await task


@pytest.fixture(autouse=True)
def gate() -> Gate:
    GATES["gate"] = Gate()
    return GATES["gate"]


async def subscribed(peer: Peer, query: str = "subscription { endless }") -> None:
    """Introduce the peer and subscribe, until the first event is sent."""
    peer.says(type="connection_init")
    peer.says(type="subscribe", id="1", payload={"query": query})
    await peer.until(lambda: len(peer.frames) == 2)


async def test_who_the_peer_is_stays_on_the_connection() -> None:
    async with served() as (peer, _):
        peer.says(type="connection_init", payload={"component": {"instanceId": "i", "name": "n"}})
        await peer.until(lambda: len(peer.frames) == 1)
        assert peer.connection.component == Component(instance_id="i", name="n")
        assert peer.connection.principal == await authenticate(None)
        assert len(peer.connections) == 1
    assert len(peer.connections) == 0


async def test_an_introduction_in_time_is_not_too_late_because_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()

    async def slowly(authorization: str | None) -> Principal:
        await looked.wait()
        return PRINCIPAL

    monkeypatch.setitem(globals(), "authenticate", slowly)
    limits = Limits(init_timeout_seconds=0.05)
    async with served(limits) as (peer, _), served(limits) as (silent, ended):
        peer.says(type="connection_init")
        await ended
        assert silent.close == (4408, "Connection initialisation timeout")
        looked.set()
        await peer.until(lambda: len(peer.frames) == 1)
        assert peer.frames[0]["type"] == "connection_ack"


async def test_the_next_event_is_pulled_only_when_the_last_one_is_written() -> None:
    async with served() as (peer, _):
        peer.says(type="connection_init")
        await peer.until(lambda: len(peer.frames) == 1)
        peer.writable.clear()
        peer.says(type="subscribe", id="1", payload={"query": "subscription { deaf }"})
        GATES["gate"].event.set()
        for _ in range(50):
            await asyncio.sleep(0)
        peer.writable.set()
        await peer.until(lambda: len(peer.frames) == 4)
        assert [frame["type"] for frame in peer.frames[1:]] == ["next", "next", "complete"]


async def test_a_peer_that_reads_again_after_the_send_timeout_is_told_why(gate: Gate) -> None:
    async with served(Limits(send_timeout_seconds=0.01)) as (peer, task):
        await subscribed(peer)
        gate.may_end.set()
        peer.writable.clear()
        peer.says(type="ping")
        await gate.cleaning.wait()
        peer.writable.set()
        await task
        assert peer.close == (1013, "The peer does not read")
        assert gate.cleaned


async def test_a_peer_that_never_reads_is_given_up(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_FRAME_TIMEOUT_SECONDS", 0.01)
    async with served(Limits(send_timeout_seconds=0.01)) as (peer, task):
        await subscribed(peer)
        gate.may_end.set()
        peer.writable.clear()
        peer.says(type="ping")
        await task
        assert gate.cleaned
        assert peer.close is None


@pytest.mark.parametrize("broken", [OSError("gone"), RuntimeError("closed by the server")])
async def test_a_socket_that_broke_ends_the_connection(gate: Gate, broken: Exception) -> None:
    async with served() as (peer, task):
        await subscribed(peer)
        gate.may_end.set()
        peer.broken = broken
        peer.says(type="ping")
        await task
        assert gate.cleaned
        assert peer.close is None


async def test_a_broken_socket_that_only_an_operation_notices_ends_the_connection(gate: Gate) -> None:
    async with served() as (peer, task):
        await subscribed(peer, "subscription { deaf }")
        peer.broken = OSError("gone")
        gate.event.set()
        await task


async def test_clean_up_is_waited_for_and_not_interrupted(gate: Gate) -> None:
    async with served() as (peer, task):
        await subscribed(peer)
        peer.says(type="complete", id="1")
        await gate.cleaning.wait()
        peer.connection.stop(websocket.CloseCode.SERVER_STOPPING, "Server stopping")
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        gate.may_end.set()
        await task
        assert (gate.cleaned, gate.interrupted) == (True, False)
        assert peer.close == (1012, "Server stopping")


async def test_an_operation_that_finds_the_peer_frozen_cleans_up_without_being_interrupted(gate: Gate) -> None:
    async with served(Limits(send_timeout_seconds=0.1)) as (peer, task):
        await subscribed(peer, "subscription { endless }")
        peer.writable.clear()
        gate.event.set()
        await gate.cleaning.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        gate.may_end.set()
        peer.writable.set()
        await task
        assert (gate.cleaned, gate.interrupted) == (True, False)
        assert peer.close == (1013, "The peer does not read")


async def test_a_token_that_has_expired_already_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    principal = dataclasses.replace(PRINCIPAL, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    monkeypatch.setitem(globals(), "PRINCIPAL", principal)
    async with served() as (peer, task):
        peer.says(type="connection_init")
        await task
        assert peer.frames == []
        assert peer.close == (4403, "Token expired")


async def test_clean_up_that_never_ends_is_not_waited_for_for_ever(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(Limits(send_timeout_seconds=0.05)) as (peer, task):
        await subscribed(peer)
        peer.leaves()
        await task
        assert not gate.cleaned
        assert "did not end in time" in caplog.text
    # It does end, once it may: the test leaves no task behind.
    async with asyncio.timeout(120):
        await asyncio.wait(peer.connection._cancelled)
    assert gate.cleaned


async def test_operations_that_still_clean_up_count_as_operations(gate: Gate) -> None:
    async with served(Limits(operations_per_connection=1)) as (peer, _):
        await subscribed(peer)
        peer.says(type="complete", id="1")
        await gate.cleaning.wait()
        peer.says(type="subscribe", id="2", payload={"query": "{ a }"})
        await peer.until(lambda: len(peer.frames) == 3)
        assert (peer.frames[2]["type"], peer.frames[2]["payload"][0]["extensions"]["code"]) == (
            "error",
            "LIMIT_EXCEEDED",
        )


async def test_nothing_is_sent_for_an_operation_that_ignores_its_end(gate: Gate) -> None:
    async with served() as (peer, task):
        await subscribed(peer, "subscription { deaf }")
        peer.connection.stop(websocket.CloseCode.FORBIDDEN, "Token expired")
        await task
        assert [frame["type"] for frame in peer.frames] == ["connection_ack", "next"]
        assert peer.close == (4403, "Token expired")


async def test_nothing_is_sent_for_an_operation_that_ignores_its_completion(gate: Gate) -> None:
    async with served() as (peer, _):
        await subscribed(peer, "subscription { deaf }")
        peer.says(type="complete", id="1")
        peer.says(type="ping")
        await peer.until(lambda: len(peer.frames) == 3)
        for _ in range(20):
            await asyncio.sleep(0)
        assert [frame["type"] for frame in peer.frames] == ["connection_ack", "next", "pong"]


async def test_a_context_that_cannot_be_made_ends_its_operation_only(caplog: pytest.LogCaptureFixture) -> None:
    peer = Peer(Limits())
    environment = peer.connection._environment

    def broken(principal: Principal) -> None:
        raise KeyError("canary")

    peer.connection._environment = Environment(
        environment.executor, environment.authenticate, broken, environment.limits, frozenset()
    )
    task = asyncio.create_task(peer.connections.serve(peer.connection))
    peer.says(type="connection_init")
    peer.says(type="subscribe", id="1", payload={"query": "{ a }"})
    await peer.until(lambda: len(peer.frames) == 2)
    assert (peer.frames[1]["type"], peer.frames[1]["payload"][0]["message"]) == ("error", "Internal error")
    peer.says(type="ping")
    await peer.until(lambda: len(peer.frames) == 3)
    peer.leaves()
    await task
