"""`modelwire serve` stops in time and in order, whatever is open."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import signal
import struct
import termios
from pathlib import Path
from typing import Any

import httpx
import psutil
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


async def test_a_library_that_hangs_does_not_hold_up_the_stop(server: Any) -> None:
    headers = {"Authorization": f"Bearer {server.admin_key}"}
    asked = {"query": '{ provider(name: "openai") { models { message } } }'}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False, timeout=120) as http:
        assert (await http.post("/graphql", json=asked)).json()["data"]["provider"]
        (library,) = psutil.Process(server.process.pid).children()
        library.send_signal(signal.SIGSTOP)
        asking = asyncio.create_task(http.post("/graphql", json=asked))
        while not waiting_for(library):  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.01)
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, STOP_SECONDS) == 0
        await asyncio.wait([asking])
    _, left = await asyncio.to_thread(psutil.wait_procs, [library], 15)
    assert left == []


def waiting_for(process: psutil.Process) -> int:
    """How many bytes are in the pipe that is its standard input."""
    with Path(f"/proc/{process.pid}/fd/0").open("rb") as pipe:
        count: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
        return count
