"""How long after its token's expiry a socket is closed, when many expire at the same moment.

All sockets show the same access token and watch a config that changes every 50 ms; some of them stop reading, and thaw
0.3 s after the expiry. For those it says what the close frame comes behind.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from .figures import Figure
from .lab import Lab
from .servers import ADMIN_KEY, AUTHORIZATION

THAW_SECONDS = 0.3
EVENT_SECONDS = 0.05

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


def run(lab: Lab) -> list[Figure]:
    reading, frozen, token_seconds = lab.choose((280, 20, 4.0), (4, 2, 4.0))
    server = lab.modelwire(access_token_seconds=token_seconds)
    ended = asyncio.run(_expired(f"http://127.0.0.1:{server.port}", reading, frozen))
    lab.stop(server)
    millis = {which: [end.late_seconds * 1e3 for end in ends] for which, ends in ended.items()}
    every = [end for ends in ended.values() for end in ends]
    margin = min(end.margin_seconds for end in every) * 1e3
    codes = ", ".join(str(code) for code in sorted({end.code for end in every}))
    notes = [f"close codes {codes}; the newest event came {margin:.0f} ms before the expiry"]
    return [Figure(name="a socket is closed after its token expired", unit="ms", runs=millis, notes=notes)]


async def _expired(url: str, reading: int, frozen: int) -> dict[str, list[Ended]]:
    headers = {"authorization": AUTHORIZATION}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        changing = asyncio.ensure_future(change(client))
        token = (await execute(client, SIGN_IN, key=ADMIN_KEY))["signIn"]["accessToken"]
        kinds = [False] * reading + [True] * frozen
        ended = await asyncio.gather(*(watch(url, token, frozen=kind) for kind in kinds))
        changing.cancel()
    return {"reading": ended[:reading], "frozen": ended[reading:]}
