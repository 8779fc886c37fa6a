"""Messages are taken in the step in which they arrive, in their order, and until somebody objects.

It needs nothing but the subscriber: test_adk.py runs it with the oldest websockets that the subscriber takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from modelwire.subscriber.connection import Socket, open_socket
from modelwire.subscriber.errors import ConnectionFailed, ConnectionLost
from modelwire.subscriber.protocol import SUBPROTOCOL
from modelwire.subscriber.timing import Timing

MANY = [str(number) if number % 7 else [str(number), "and", "more"] for number in range(1, 100)]


@asynccontextmanager
async def connected(talk: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[Socket]:
    async with (
        asyncio.timeout(120),
        serve(talk, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server,
        open_socket(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", Timing()) as socket,
    ):
        yield socket


async def listened(
    talk: Callable[[ServerConnection], Awaitable[None]],
    take: Callable[[str | bytes, Socket], None],
    *,
    say: str | None = None,
) -> None:
    """Listen to the end, and say something once listening has begun."""
    async with connected(talk) as socket:
        listening = asyncio.create_task(socket.listen(lambda message: take(message, socket)))
        await asyncio.sleep(0)
        if say is not None:
            await socket.send(say)
        await listening


async def test_a_message_is_taken_where_it_arrives_and_one_in_parts_where_it_is_waited_for() -> None:
    async def talk(peer: ServerConnection) -> None:
        for message in ("begin", "one", ["t", "wo"], "three"):
            await peer.send(message)
            await peer.recv()

    taken: list[tuple[str | bytes, bool]] = []
    sending: list[asyncio.Task[None]] = []

    def take(message: str | bytes, socket: Socket) -> None:
        taken.append((message, asyncio.current_task() is None))
        sending.append(asyncio.create_task(socket.send("next")))

    with pytest.raises(ConnectionLost):
        await listened(talk, take)
    assert taken[1:] == [("one", True), ("two", False), ("three", True)]
    await asyncio.gather(*sending)


async def test_many_at_once_come_in_their_order() -> None:
    async def talk(peer: ServerConnection) -> None:
        for message in MANY:
            await peer.send(message)

    taken: list[str | bytes] = []
    with pytest.raises(ConnectionLost):
        await listened(talk, lambda message, _socket: taken.append(message))
    assert taken == ["".join(message) for message in MANY]


@pytest.mark.parametrize("waits", [False, True])
async def test_what_is_raised_ends_the_listening(waits: bool) -> None:
    async def talk(peer: ServerConnection) -> None:
        if waits:
            await peer.recv()
        for message in MANY:
            await peer.send(message)
        await peer.wait_closed()

    taken: list[str | bytes] = []

    def take(message: str | bytes, _socket: Socket) -> None:
        taken.append(message)
        if message == "3":
            raise KeyError(message)

    with pytest.raises(KeyError):
        await listened(talk, take, say="begin" if waits else None)
    assert taken == ["1", "2", "3"]


async def test_after_the_end_of_the_listening_messages_wait() -> None:
    async def talk(peer: ServerConnection) -> None:
        await peer.send(await peer.recv())
        await peer.wait_closed()

    taken: list[str | bytes] = []
    async with connected(talk) as socket:
        listening = asyncio.create_task(socket.listen(taken.append))
        await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait([listening])
        await socket.send("late")
        assert await socket.recv() == "late"
    assert taken == []


async def test_text_that_is_none_closes_the_connection() -> None:
    codes: list[int] = []

    async def talk(peer: ServerConnection) -> None:
        await peer.recv()
        await peer.send(b"\xff", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await peer.recv()
        assert closed.value.rcvd is not None
        codes.append(closed.value.rcvd.code)

    taken: list[str | bytes] = []
    with pytest.raises(ConnectionLost):
        await listened(talk, lambda message, _socket: taken.append(message), say="begin")
    assert (taken, codes) == ([], [1007])


@pytest.mark.parametrize(
    ("origin", "followed"), [("ws://127.0.0.1", True), ("ws://localhost", False), ("https://127.0.0.1", False)]
)
async def test_a_server_may_send_us_to_another_place_but_not_to_another_host(origin: str, followed: bool) -> None:
    """The token is in the first message: whoever answers has it."""

    async def talk(peer: ServerConnection) -> None:
        await peer.send("hello")

    asked: list[str] = []

    def answer(peer: ServerConnection, request: Request) -> Response | None:
        asked.append(request.path)
        if request.path == "/":
            there = f"{origin}:{peer.local_address[1]}/graphql?secret=1"
            return Response(302, "Found", Headers({"Location": there, "Content-Length": "0"}))
        return None

    async with (
        asyncio.timeout(120),
        serve(talk, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)], process_request=answer) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        opening = open_socket(f"ws://127.0.0.1:{port}/", Timing())
        if followed:
            async with opening as socket:
                assert await socket.recv() == "hello"
        else:
            with pytest.raises(ConnectionFailed) as caught:
                await opening.__aenter__()
            told = f"HTTP 302 and refers to {origin}:{port}: if that is right, give its URL"
            assert str(caught.value) == f"the server answered the handshake with {told}"
    assert asked == (["/", "/graphql?secret=1"] if followed else ["/"])


async def test_a_server_may_send_us_nowhere() -> None:
    def answer(_: ServerConnection, __: Request) -> Response:
        return Response(302, "Found", Headers({"Location": "http://[x", "Content-Length": "0"}))

    async def talk(_: ServerConnection) -> None:
        raise AssertionError("it is open")

    async with asyncio.timeout(120), serve(talk, "127.0.0.1", 0, process_request=answer) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(ConnectionFailed, match=r"HTTP 302$"):
            await open_socket(url, Timing()).__aenter__()
