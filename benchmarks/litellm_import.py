"""How other requests fare while LiteLLM is loaded for the first time.

    python benchmarks/litellm_import.py

Starts a server of its own and measures a small query, one after the other: while nothing else happens, and while the
first `supportedParams` waits for LiteLLM. Both belong together; the numbers alone depend on the machine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time

import httpx

QUERY = "{ modelConfigs { edges { node { alias } } } }"
FIRST_QUESTION = '{ provider(name: "openai") { supportedParams(model: "gpt-4o") } }'
IDLE_SECONDS = 5.0
ADMIN_KEY = "mw_benchmark0_" + "0" * 64


async def execute(client: httpx.AsyncClient, query: str) -> float:
    """How long the query took, in seconds."""
    begin = time.perf_counter()
    answer = await client.post("/graphql", json={"query": query})
    if "errors" in answer.raise_for_status().json():
        raise SystemExit(answer.text)
    return time.perf_counter() - begin


async def measure(client: httpx.AsyncClient, until: asyncio.Future[float]) -> list[float]:
    """The times of one query after the other until the other thing is done, sorted."""
    times = []
    while not until.done():
        times.append(await execute(client, QUERY))
        await asyncio.sleep(0.01)
    return sorted(times)


def report(label: str, times: list[float]) -> None:
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    shown = "  ".join(
        f"{name} {times[min(int(len(times) * q), len(times) - 1)] * 1000:7.1f} ms" for name, q in at.items()
    )
    print(f"{label:<28} {len(times):5d} queries  {shown}")


async def run(url: str) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        while True:
            try:
                await client.get("/readyz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        await execute(client, QUERY)
        idle = asyncio.ensure_future(asyncio.sleep(IDLE_SECONDS, 0.0))
        report("nothing else happens", await measure(client, idle))
        first = asyncio.ensure_future(execute(client, FIRST_QUESTION))
        report("LiteLLM is being loaded", await measure(client, first))
        second = await execute(client, FIRST_QUESTION)
        print(f"the first question waited {first.result():.1f} s, the second {second:.3f} s")


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "modelwire", "serve", f"--data-dir={folder}", f"--port={port}"]
        environment = {**os.environ, "MODELWIRE_ADMIN_KEY": ADMIN_KEY}
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            asyncio.run(asyncio.wait_for(run(f"http://127.0.0.1:{port}"), 120))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
