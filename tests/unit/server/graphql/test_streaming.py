"""A streamed response where order and clean-up matter. The peer is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import Principal
from modelwire.server.graphql import streaming
from modelwire.server.graphql.connections import Connections
from modelwire.server.graphql.execution import Result
from modelwire.server.graphql.limits import Limits
from modelwire.server.graphql.protocol import CloseCode
from modelwire.server.graphql.stream_formats import EventStream
from modelwire.server.graphql.streaming import Stream
from modelwire.server.graphql.uvicorn_protocol import ABORT

PRINCIPAL = Principal(subject="s", name="n", scopes=frozenset())
COMPLETE = "event: complete\ndata:\n\n"


class Source:
    """Results that the test releases, and what became of their generator."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.cleaning = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cleaned = False
        self.interrupted = False

    async def results(self) -> AsyncGenerator[Result, None]:
        try:
            while (event := await self.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield Result(b"%d" % event, [])
        finally:
            self.cleaning.set()
            try:
                await self.may_end.wait()
                self.cleaned = True
            except asyncio.CancelledError:
                self.interrupted = True
                raise


class Peer:
    """The ASGI server's side of a response. `writable` is cleared to have every `send` wait."""

    def __init__(self, limits: Limits, principal: Principal, *, can_abort: bool) -> None:
        self.source = Source()
        self.sent: list[dict[str, Any]] = []
        self.aborted = False
        self.writable = asyncio.Event()
        self.writable.set()
        self.broken: Exception | None = None
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._written = asyncio.Condition()
        self.connections = Connections()
        scope = {"type": "http", "extensions": {ABORT: self._abort} if can_abort else {}}
        results = self.source.results()
        self.stream = Stream(scope, self._received.get, self._send, EventStream(), results, principal, limits)

    async def _send(self, message: Any) -> None:
        await self.writable.wait()
        if self.broken is not None:
            raise self.broken
        async with self._written:
            self.sent.append(message)
            self._written.notify_all()

    def _abort(self) -> None:
        self.aborted = True
        self.leaves()

    def leaves(self) -> None:
        self._received.put_nowait({"type": "http.disconnect"})

    @property
    def body(self) -> str:
        return b"".join(message["body"] for message in self.sent[1:]).decode()

    @property
    def ended(self) -> bool:
        """Whether the response is complete."""
        return not self.sent[-1].get("more_body", True)

    async def until(self, predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(120), self._written:
            await self._written.wait_for(predicate)


@contextlib.asynccontextmanager
async def served(
    limits: Limits | None = None, principal: Principal = PRINCIPAL, *, can_abort: bool = True
) -> AsyncIterator[tuple[Peer, asyncio.Task[None]]]:
    """A stream that is served in a task."""
    peer = Peer(limits or Limits(), principal, can_abort=can_abort)
    task = asyncio.create_task(peer.connections.serve(peer.stream))
    try:
        yield peer, task
    finally:
        peer.writable.set()
        peer.source.may_end.set()
        peer.leaves()
        async with asyncio.timeout(120):
            await task


async def test_it_ends_with_the_results() -> None:
    async with served() as (peer, task):
        peer.source.may_end.set()
        for event in (1, 2, None):
            peer.source.events.put_nowait(event)
        await task
        assert peer.body == f":\n\nevent: next\ndata: 1\n\nevent: next\ndata: 2\n\n{COMPLETE}"
        assert peer.ended
        assert not peer.aborted
        assert peer.source.cleaned
        assert len(peer.connections) == 0


async def stop(peer: Peer) -> None:
    peer.stream.stop(CloseCode.SERVER_STOPPING, "Server stopping")


async def leave(peer: Peer) -> None:
    peer.leaves()


async def break_(peer: Peer) -> None:
    peer.broken = OSError("broken pipe")
    peer.source.events.put_nowait(2)


@pytest.mark.parametrize("end", [stop, leave, break_])
async def test_the_clean_up_of_the_results_is_waited_for_and_not_interrupted(end: Any) -> None:
    async with served() as (peer, task):
        peer.source.events.put_nowait(1)
        await peer.until(lambda: "data: 1" in peer.body)
        await end(peer)
        async with asyncio.timeout(120):
            await peer.source.cleaning.wait()
        peer.stream.stop(CloseCode.FORBIDDEN, "too late")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        peer.source.may_end.set()
        await task
        assert peer.source.cleaned
        assert not peer.source.interrupted
        assert COMPLETE not in peer.body


async def test_a_stop_while_a_result_waits_to_be_written_interrupts_no_clean_up() -> None:
    async with served() as (peer, task):
        await peer.until(lambda: len(peer.sent) == 2)
        peer.writable.clear()
        peer.source.events.put_nowait(1)
        for _ in range(5):
            await asyncio.sleep(0)
        await stop(peer)
        async with asyncio.timeout(120):
            await peer.source.cleaning.wait()
        peer.writable.set()
        peer.source.may_end.set()
        await task
        assert peer.source.cleaned
        assert peer.body == ":\n\n"
        assert peer.ended


async def test_clean_up_that_does_not_end_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Limits(send_timeout_seconds=0.01)) as (peer, task):
        peer.source.events.put_nowait(1)
        await peer.until(lambda: "data: 1" in peer.body)
        await stop(peer)
        await task
        assert peer.ended
        assert "did not end in time" in caplog.text


async def test_nothing_is_written_after_a_stop() -> None:
    async with served() as (peer, task):
        peer.source.may_end.set()
        await peer.until(lambda: len(peer.sent) == 2)
        peer.source.events.put_nowait(1)
        peer.stream.stop(CloseCode.FORBIDDEN, "Revoked")
        await task
        error = '{"errors":[{"message":"Revoked","extensions":{"code":"UNAUTHENTICATED"}}]}'
        assert peer.body == f":\n\nevent: next\ndata: {error}\n\n{COMPLETE}"


async def test_a_token_that_has_expired_already_gets_no_result() -> None:
    async with served(principal=dataclasses.replace(PRINCIPAL, expires_at=datetime.now(UTC))) as (peer, task):
        peer.source.events.put_nowait(1)
        await task
        assert "Token expired" in peer.body
        assert "data: 1" not in peer.body


async def test_a_stream_that_is_over_is_not_kept_until_its_token_expires() -> None:
    expires_at = datetime.now(UTC) + timedelta(days=1)
    async with served(principal=dataclasses.replace(PRINCIPAL, expires_at=expires_at)) as (peer, task):
        peer.source.may_end.set()
        peer.source.events.put_nowait(None)
        await task
        stream = weakref.ref(peer.stream)
        del peer.stream
        gc.collect()
        assert stream() is None


@pytest.mark.parametrize("can_abort", [True, False])
async def test_a_peer_that_does_not_read_is_given_up(can_abort: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LAST_PART_TIMEOUT_SECONDS", 0.01)
    async with served(Limits(send_timeout_seconds=0.01), can_abort=can_abort) as (peer, task):
        await peer.until(lambda: len(peer.sent) == 2)
        peer.source.may_end.set()
        peer.writable.clear()
        peer.source.events.put_nowait(1)
        async with asyncio.timeout(120):
            await task
        assert peer.aborted is can_abort
        assert not peer.ended


async def test_a_peer_that_does_not_even_read_the_head_is_given_up() -> None:
    peer = Peer(Limits(send_timeout_seconds=0.01), PRINCIPAL, can_abort=True)
    peer.writable.clear()
    async with asyncio.timeout(120):
        await peer.connections.serve(peer.stream)
    assert peer.aborted
    assert peer.sent == []


async def test_a_request_that_is_cancelled_ends_its_operation() -> None:
    peer = Peer(Limits(), PRINCIPAL, can_abort=True)
    task = asyncio.create_task(peer.connections.serve(peer.stream))
    peer.source.events.put_nowait(1)
    peer.source.may_end.set()
    await peer.until(lambda: "data: 1" in peer.body)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert peer.source.cleaned
    assert peer.aborted


async def test_a_bug_is_told_and_masked() -> None:
    async with served() as (peer, task):
        peer.source.may_end.set()
        peer.source.events.put_nowait(RuntimeError("canary"))
        await task
        assert "Internal error" in peer.body
        assert "canary" not in peer.body
        assert peer.body.endswith(COMPLETE)
