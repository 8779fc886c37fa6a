"""The limit within ASGI: an application on uvicorn that sends ready text to all. GET /change sends it, and is answered
with the moment at which that began, in nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import uvicorn

from .ready import ACK, PING_SECONDS, SUBPROTOCOL, ready_frames

SNAPSHOT, CHANGE = ready_frames()
_subscribers: set[Any] = set()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await _subscribe(receive, send)
    elif scope["type"] == "http":
        began = b"%d" % time.monotonic_ns()
        if scope["path"] == "/change":
            message = {"type": "websocket.send", "text": CHANGE}
            for subscriber in _subscribers:
                await subscriber(message)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(began))]})
        await send({"type": "http.response.body", "body": began})


async def _subscribe(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    for answer in (ACK, SNAPSHOT):
        await receive()
        await send({"type": "websocket.send", "text": answer})
    _subscribers.add(send)
    while (await receive())["type"] != "websocket.disconnect":
        pass
    _subscribers.discard(send)


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=PING_SECONDS,
            log_config=None,
            access_log=False,
        )
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
