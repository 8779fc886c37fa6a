"""PostgreSQL goes away under a running server: it says so, reads and watches go on from memory, and it comes back."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
from postgres import Databases, PostgresServer
from websockets.asyncio.client import ClientConnection, connect

KEY = "mw_canary0123_" + "c0ffee" * 10 + "dead"
SUBSCRIPTION = """
subscription {
  modelConfigChanged(by: [{ alias: "general" }]) {
    revision
    ... on ModelConfigSnapshot { modelConfigs { model } }
    ... on ModelConfigChange { put { model } }
  }
}
"""
UPDATE = """
mutation Update($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) {
    ... on UpdateModelConfigPayload { modelConfig { version } }
    ... on UserError { message }
  }
}
"""
QUERY = '{ modelConfig(by: {alias: "general"}) { id version model } modelConfigs { edges { node { alias } } } }'


async def subscribe(url: str) -> ClientConnection:
    socket = await connect(url.replace("http", "ws", 1) + "/graphql", subprotocols=["graphql-transport-ws"], proxy=None)
    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {KEY}"}}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}}))
    return socket


async def next_models(socket: ClientConnection) -> list[str]:
    """The models of the next event that has any."""
    while True:
        event = json.loads(await socket.recv())["payload"]["data"]["modelConfigChanged"]
        if configs := event.get("modelConfigs") or event.get("put"):
            return [config["model"] for config in configs]


async def until_ready(url: str, status: int) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        while (response := await http.get(f"{url}/readyz")).status_code != status:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)
    return response


async def test_a_server_outlives_its_database(
    server_process: Any, make_client: Callable[[Any, str], Any], own_postgres: Callable[..., PostgresServer]
) -> None:
    postgres = own_postgres(durable=True)
    url = Databases(postgres.url).create(migrated=False)
    server_process.environment = {
        "MODELWIRE_ADMIN_KEY": KEY,
        "MODELWIRE_DATABASE_URL": url,
        "MODELWIRE_ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(range(32))).decode(),
    }
    server_process.start()
    client = make_client(server_process, KEY)
    config = (await client.execute(QUERY))["modelConfig"]

    async def update(model: str) -> Any:
        values = {"id": config["id"], "expectedVersion": config["version"], "provider": "openai", "model": model}
        response = await client.post(UPDATE, input=values)
        config["version"] += "errors" not in response.json()
        return response.json()

    old_socket = await subscribe(server_process.url)
    await old_socket.recv()
    await update("before")
    assert await next_models(old_socket) == ["before"]
    before = await client.execute(QUERY)

    await asyncio.to_thread(postgres.kill)
    assert "cannot be re" in (await until_ready(server_process.url, 503)).json()["reason"]
    assert await client.execute(QUERY) == before
    [error] = (await update("refused"))["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    new_socket = await subscribe(server_process.url)
    assert await next_models(new_socket) == ["before"]

    await asyncio.to_thread(postgres.start)
    await until_ready(server_process.url, 200)
    assert "data" in await update("after")
    assert await next_models(old_socket) == await next_models(new_socket) == ["after"]
    await old_socket.close()
    await new_socket.close()
    assert server_process.stop() == 0
    password = str(postgres.url.password)
    assert password not in server_process.output
    assert "Traceback" not in server_process.output
