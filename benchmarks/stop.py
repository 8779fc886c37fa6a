"""How long `modelwire serve` takes to stop with nothing open, and with streams and sockets open that do not read.

    python benchmarks/stop.py

The bound is 5 s. It exits with 1 when a stop took longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

RUNS = 3
SOCKETS = 100
STREAMS = 40
BOUND_SECONDS = 5.0
ADMIN_KEY = "mw_benchmark0_" + "0" * 64
WATCH = "subscription { modelConfigChanged { __typename revision } }"
AUTHORIZATION = f"Bearer {ADMIN_KEY}"
ACCEPT = ("text/event-stream", "multipart/mixed;subscriptionSpec=1.0")


def start(folder: str) -> tuple[subprocess.Popen[str], str]:
    """A server of its own, and its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "modelwire", "serve", "--port=0", f"--data-dir={folder}"],
        env={**environment, "MODELWIRE_ADMIN_KEY": ADMIN_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Modelwire:"):
            return process, line.split()[-1]
    raise SystemExit("the server did not start")


async def watched(stack: contextlib.AsyncExitStack, url: str) -> None:
    """Open all of them, half of the sockets frozen, and see the first event of each."""
    address = url.replace("http", "ws", 1) + "/graphql"
    for number in range(SOCKETS):
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
    for number in range(STREAMS):
        headers = {"Authorization": AUTHORIZATION, "Accept": ACCEPT[number % 2]}
        opened = client.stream("POST", f"{url}/graphql", json={"query": WATCH}, headers=headers)
        chunks = (await stack.enter_async_context(opened)).aiter_text()
        while "ModelConfigSnapshot" not in await anext(chunks):
            pass


async def stop_seconds(*, busy: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        process, url = await asyncio.to_thread(start, folder)
        async with contextlib.AsyncExitStack() as stack:
            if busy:
                await watched(stack, url)
            began = time.perf_counter()
            process.terminate()
            await asyncio.to_thread(process.wait, 60)
            return time.perf_counter() - began


async def main() -> None:
    figures: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, busy in (("nothing open", False), (f"{SOCKETS} sockets, half frozen; {STREAMS} streams", True)):
            figures.setdefault(name, []).append(await stop_seconds(busy=busy))
    for name, seconds in figures.items():
        print(f"{name:<40} median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s")
    sys.exit(max(max(seconds) for seconds in figures.values()) >= BOUND_SECONDS)


asyncio.run(main())
