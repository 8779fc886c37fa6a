"""The limit of the websockets library: its server and its `broadcast()`, no ASGI. GET /change sends the ready text."""

from __future__ import annotations

import asyncio
import socket

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from .ready import ACK, PING_SECONDS, SUBPROTOCOL, ready_frames

SNAPSHOT, CHANGE = ready_frames()
_subscribers: set[ServerConnection] = set()


async def subscribe(connection: ServerConnection) -> None:
    for answer in (ACK, SNAPSHOT):
        await connection.recv()
        await connection.send(answer)
    _subscribers.add(connection)
    try:
        await connection.wait_closed()
    finally:
        _subscribers.discard(connection)


def answer(connection: ServerConnection, request: Request) -> Response | None:
    if request.path != "/change":
        return None
    broadcast(_subscribers, CHANGE)
    return connection.respond(200, "ok")


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = serve(
            subscribe,
            sock=listener,
            compression=None,
            ping_interval=PING_SECONDS,
            process_request=answer,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
        )
        async with server:
            print(listener.getsockname()[1], flush=True)
            await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
