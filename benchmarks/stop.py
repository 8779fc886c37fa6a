"""How long `modelwire serve` takes to stop with nothing open, and with streams and sockets open that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from .figures import Figure, Goal
from .lab import Lab
from .servers import AUTHORIZATION

WATCH = "subscription { modelConfigChanged { __typename revision } }"
ACCEPT = ("text/event-stream", "multipart/mixed;subscriptionSpec=1.0")


def run(lab: Lab) -> list[Figure]:
    rounds, sockets, streams = lab.choose((3, 100, 40), (1, 6, 4))
    busy = f"{sockets} sockets, half frozen, and {streams} streams"
    seconds: dict[str, list[float]] = {"nothing open": [], busy: []}
    for _ in range(rounds):
        seconds["nothing open"].append(asyncio.run(_stop_seconds(lab, 0, 0)))
        seconds[busy].append(asyncio.run(_stop_seconds(lab, sockets, streams)))
    return [Figure(name="a stop", unit="s", runs=seconds, goals=[Goal(over=busy, at_most=5)])]


async def _stop_seconds(lab: Lab, sockets: int, streams: int) -> float:
    server = await asyncio.to_thread(lab.modelwire)
    async with contextlib.AsyncExitStack() as stack:
        await _watched(stack, f"http://127.0.0.1:{server.port}", sockets, streams)
        began = time.perf_counter()
        await asyncio.to_thread(server.process.stop)
        return time.perf_counter() - began


async def _watched(stack: contextlib.AsyncExitStack, url: str, sockets: int, streams: int) -> None:
    """Open all of them, half of the sockets frozen, and see the first event of each."""
    address = url.replace("http", "ws", 1) + "/graphql"
    for number in range(sockets):
        opening = connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None, close_timeout=0.1)
        socket = await stack.enter_async_context(opening)
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": AUTHORIZATION}}))
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": WATCH}}))
        await socket.recv()
        await socket.recv()
        if number % 2:
            socket.transport.pause_reading()
    limits = httpx.Limits(max_connections=None)
    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30, limits=limits))
    for number in range(streams):
        headers = {"Authorization": AUTHORIZATION, "Accept": ACCEPT[number % 2]}
        opened = client.stream("POST", f"{url}/graphql", json={"query": WATCH}, headers=headers)
        chunks = (await stack.enter_async_context(opened)).aiter_text()
        while "ModelConfigSnapshot" not in await anext(chunks):
            pass
