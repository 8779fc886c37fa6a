"""How long after its token's expiry a socket is closed, when many expire at the same moment.

    python benchmarks/token_expiry.py

Starts a server of its own. All sockets show the same access token of four seconds and watch a config that changes every
50 ms; some of them stop reading, and thaw 0.3 s after the expiry. For those it says what the close frame comes behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

SOCKETS = 300
FROZEN = 20
THAW_SECONDS = 0.3
TOKEN_SECONDS = 4.0
EVENT_SECONDS = 0.05
ADMIN_KEY = "mw_benchmark0_" + "0" * 64

SIGN_IN = "mutation ($key: String!) { signIn(input: {apiKey: $key}) { ... on SignInPayload { accessToken } } }"
READ = '{ modelConfig(by: {alias: "general"}) { id version } }'
CHANGE = """mutation ($id: ID!, $version: Int!, $params: JSON!) {
  updateModelConfig(input: {id: $id, expectedVersion: $version, params: $params}) {
    ... on UpdateModelConfigPayload { modelConfig { version } }
  }
}"""
WATCH = """subscription { modelConfigChanged {
  ... on ModelConfigSnapshot { modelConfigs { updatedAt params } }
  ... on ModelConfigChange { put { updatedAt params } }
} }"""


@dataclass(frozen=True)
class Ended:
    """`late_seconds` after the expiry the close came; the newest change that came is older by `margin_seconds`."""

    code: int
    late_seconds: float
    margin_seconds: float


async def execute(client: httpx.AsyncClient, query: str, **variables: Any) -> Any:
    answer = (await client.post("/graphql", json={"query": query, "variables": variables})).raise_for_status().json()
    if "errors" in answer:
        raise SystemExit(answer["errors"])
    return answer["data"]


async def change(client: httpx.AsyncClient) -> None:
    """One change after the other, large enough to fill the buffers of who does not read."""
    found = (await execute(client, READ))["modelConfig"]
    version = found["version"]
    while True:
        params = {"user": f"{version} ".ljust(5_000, "x")}
        changed = await execute(client, CHANGE, id=found["id"], version=version, params=params)
        version = changed["updateModelConfig"]["modelConfig"]["version"]
        await asyncio.sleep(EVENT_SECONDS)


async def watch(url: str, token: str, *, frozen: bool) -> Ended:
    websocket = f"{url.replace('http', 'ws')}/graphql"
    subprotocols = [Subprotocol("graphql-transport-ws")]
    newest = 0.0
    async with connect(websocket, subprotocols=subprotocols, proxy=None, max_queue=1 if frozen else 16) as peer:
        await peer.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        expires = datetime.fromisoformat(json.loads(await peer.recv())["payload"]["tokenExpiresAt"]).timestamp()
        await peer.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": WATCH}}))
        if frozen:
            await asyncio.sleep(expires + THAW_SECONDS - time.time())
        try:
            while True:
                frame = json.loads(await peer.recv())
                if frame["type"] != "next":
                    raise SystemExit(frame)
                event = frame["payload"]["data"]["modelConfigChanged"]
                for config in event.get("modelConfigs") or event.get("put") or ():
                    newest = max(newest, datetime.fromisoformat(config["updatedAt"]).timestamp())
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 0
            return Ended(code, datetime.now(UTC).timestamp() - expires, expires - newest)


def report(label: str, ended: list[Ended]) -> None:
    late = sorted(end.late_seconds * 1000 for end in ended)
    codes = sorted({end.code for end in ended})
    print(
        f"{label:<8} {len(ended):4d} sockets  close code {codes}  after the expiry: p50 {late[len(late) // 2]:.0f} ms  "
        f"max {late[-1]:.0f} ms  newest event before it: {min(end.margin_seconds for end in ended) * 1000:.0f} ms"
    )


async def run(url: str) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        while True:
            try:
                await client.get("/readyz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        changing = asyncio.ensure_future(change(client))
        token = (await execute(client, SIGN_IN, key=ADMIN_KEY))["signIn"]["accessToken"]
        ended = await asyncio.gather(*(watch(url, token, frozen=number < FROZEN) for number in range(SOCKETS)))
        changing.cancel()
        report("reading", ended[FROZEN:])
        report("frozen", ended[:FROZEN])


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "modelwire", "serve", f"--data-dir={folder}", f"--port={port}"]
        environment = {
            **os.environ,
            "MODELWIRE_ADMIN_KEY": ADMIN_KEY,
            "MODELWIRE_ACCESS_TOKEN_SECONDS": str(TOKEN_SECONDS),
        }
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
