from __future__ import annotations

import socket
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from modelwire.server.graphql import WebSocketProtocol


async def test_an_answer_after_the_server_refused_the_handshake_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """The server stops while the application is about to refuse a socket itself."""
    answered = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for protocol in list(server.server_state.connections):
            protocol.shutdown()
        try:
            await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
        finally:
            answered.append(scope["type"])

    config = uvicorn.Config(app, lifespan="off", ws=WebSocketProtocol, log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup(sockets=[listener])
        try:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{listener.getsockname()[1]}", proxy=None)
        finally:
            await server.shutdown(sockets=[listener])
    assert refused.value.response.status_code == 500
    assert answered == ["websocket"]
    assert "Exception in ASGI application" not in caplog.text
