"""`modelwire serve` stops in time and in order, whatever is open."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

# What is promised, and far more than it takes (0.7 s): without a bound of its own, such a stop never ends.
STOP_SECONDS = 5.0
WATCH = "subscription { modelConfigChanged { __typename revision } }"
STREAMS = ("text/event-stream", "multipart/mixed;subscriptionSpec=1.0")


async def watch(server: Any, socket: ClientConnection) -> None:
    """Have the watch's first event come over the websocket."""
    init = {"type": "connection_init", "payload": {"authorization": f"Bearer {server.admin_key}"}}
    await socket.send(json.dumps(init))
    await socket.recv()
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": WATCH}}))
    assert "ModelConfigSnapshot" in str(await socket.recv())


async def test_a_stop_ends_websockets_and_streams_in_time(server: Any) -> None:
    headers = {"Authorization": f"Bearer {server.admin_key}"}
    url = f"{server.url}/graphql"
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(headers=headers, trust_env=False, timeout=120))
        streams = []
        for accept in STREAMS * 2:
            opened = http.stream("POST", url, json={"query": WATCH}, headers={"Accept": accept})
            chunks = (await stack.enter_async_context(opened)).aiter_text()
            text = ""
            while "ModelConfigSnapshot" not in text:
                text += await anext(chunks)
            streams.append(chunks)
        sockets = []
        for _ in range(2):
            opening = connect(url.replace("http", "ws", 1), subprotocols=["graphql-transport-ws"], proxy=None)  # type: ignore[list-item]
            sockets.append(await stack.enter_async_context(opening))
            await watch(server, sockets[-1])
        # One of them has stopped reading.
        sockets[1].transport.pause_reading()
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, STOP_SECONDS) == 0
        # The streams end in order, and say by what is missing that there was more to come.
        rest = ["".join([chunk async for chunk in chunks]) for chunks in streams]
        assert not any("complete" in text or "--graphql--" in text for text in rest)
        with contextlib.suppress(ConnectionClosed):
            await sockets[0].recv()
        assert sockets[0].close_code == 1012
        sockets[1].transport.abort()
    assert "Traceback" not in server.output
    assert "ERROR" not in server.output
