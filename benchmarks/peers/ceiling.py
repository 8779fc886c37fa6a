"""The limit within ASGI: an application on uvicorn that sends ready text to all. GET /change sends it, and is answered
with the moment at which that began, in nanoseconds of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .ready import ACK, SUBPROTOCOL, ready_frames
from .serving import serve

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


if __name__ == "__main__":
    asyncio.run(serve(app))
