"""A ready frame is for those who negotiated no extension; to others the application has to send."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

from modelwire.server.graphql.uvicorn_protocol import WRITE_FRAME, WebSocketProtocol, ready_frame

TEXT = "the same for all " * 10


@pytest.mark.parametrize(("compression", "is_ready"), [(None, True), ("deflate", False)])
async def test_one_who_compresses_is_sent_to(compression: str | None, is_ready: bool) -> None:
    written: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        write_frame = scope["extensions"][WRITE_FRAME]
        await receive()
        written.append(write_frame(ready_frame(TEXT.encode())))
        await send({"type": "websocket.accept"})
        written.append(write_frame(ready_frame(TEXT.encode())))
        if not written[-1]:
            await send({"type": "websocket.send", "text": TEXT})
        await receive()
        written.append(write_frame(ready_frame(TEXT.encode())))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, ws=WebSocketProtocol, ws_per_message_deflate=True, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        async with asyncio.timeout(120):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
            async with connect(url, compression=compression, proxy=None) as client:
                assert await client.recv() == TEXT
            server.should_exit = True
            await serving
    # Before it is accepted, and after the goodbye, nobody is sent anything.
    assert written == [False, is_ready, False]
