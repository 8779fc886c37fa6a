"""How other requests fare while LiteLLM is loaded for the first time.

    python benchmarks/litellm_import.py

Starts servers of its own and measures a small query, one after the other: while nothing else happens, and while the
first question or call of each kind waits for LiteLLM: `supportedParams`, an import of a model without its provider, and
`testModelConfig`. All belong together; the numbers alone depend on the machine.
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
FIRST = {
    "supportedParams": '{ provider(name: "openai") { supportedParams(model: "gpt-4o") } }',
    "importModelConfigs": """mutation {
      importModelConfigs(
        input: {content: "model_list: [{model_name: a, litellm_params: {model: gpt-4o}}]", dryRun: true}
      ) { ... on ImportModelConfigsPayload { entries { action } } }
    }""",
    # Nobody listens there, which is all the same to those who wait meanwhile.
    "testModelConfig": """mutation {
      testModelConfig(
        input: {
          provider: "openai", model: "m", apiBase: "http://127.0.0.1:1/v1", auth: {apiKey: {apiKey: "none"}}
        }
      ) { ... on TestModelConfigPayload { error { class } } }
    }""",
}
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
    print(f"{label:<26} {len(times):5d} queries  {shown}")


async def run(url: str, name: str) -> None:
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
        first = asyncio.ensure_future(execute(client, FIRST[name]))
        report(f"first {name}", await measure(client, first))
        second = asyncio.ensure_future(execute(client, FIRST[name]))
        report(f"second {name}", await measure(client, second))
        print(f"the first {name} took {first.result():.2f} s, the second {second.result():.3f} s")


def main() -> None:
    for name in FIRST:
        serve_and_run(name)


def serve_and_run(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "modelwire", "serve", f"--data-dir={folder}", f"--port={port}"]
        environment = {
            **os.environ,
            "MODELWIRE_ADMIN_KEY": ADMIN_KEY,
            "MODELWIRE_OUTBOUND_PRIVATE_ADDRESSES": "true",
        }
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            asyncio.run(asyncio.wait_for(run(f"http://127.0.0.1:{port}", name), 120))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
