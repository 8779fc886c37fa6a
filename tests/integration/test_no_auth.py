"""A server that asks nobody who they are, and what protects it from the web pages of others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import LiveServer, live_server
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

VIEWER = "{ viewer { name scopes aliases tokenExpiresAt } }"
CREATE = """mutation { createModelConfig(input: {alias: "made"}) {
  ... on CreateModelConfigPayload { modelConfig { createdBy } } } }"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path, no_auth=True) as server:
        yield server


async def post(server: LiveServer, query: str, path: str = "/graphql", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        url = f"http://127.0.0.1:{server.port}{path}"
        return await http.post(url, json={"query": query}, headers=headers)


def websocket(server: LiveServer, host: str = "localhost", **headers: str) -> Any:
    return connect(
        f"ws://{host}/graphql",
        host="127.0.0.1",
        port=server.port,
        subprotocols=["graphql-transport-ws"],
        proxy=None,
        additional_headers=headers,
    )


async def test_everybody_may_do_everything(server: LiveServer) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"host": f"localhost:{server.port}"}):
        viewer = (await post(server, VIEWER, **headers)).json()["data"]["viewer"]
        assert (viewer["name"], viewer["aliases"], viewer["tokenExpiresAt"]) == ("no_auth", None, None)
        assert "api_key:admin" in viewer["scopes"]
    made = (await post(server, CREATE)).json()["data"]["createModelConfig"]["modelConfig"]
    assert made == {"createdBy": "no_auth"}
    async with websocket(server) as socket:
        await socket.send('{"type": "connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8400", "127.0.0.1.evil.example"])
async def test_a_name_that_was_made_to_lead_here_is_refused(server: LiveServer, host: str) -> None:
    # As a browser sends it that was shown a page of this name: to it, this is the same origin.
    page = {"host": host, "origin": f"http://{host}"}
    for path in ("/graphql", "/graphiql", "/", "/readyz"):
        refused = await post(server, CREATE, path, **page)
        assert (refused.status_code, "--no-auth" in refused.text) == (403, True)
    with pytest.raises(InvalidStatus) as caught:
        async with websocket(server, **page):
            pass
    assert caught.value.response.status_code == 403
    assert await server.services.store.find(alias="made") is None


async def test_pages_of_other_origins_are_refused(server: LiveServer) -> None:
    assert (await post(server, CREATE, origin="https://evil.example")).status_code == 403
    with pytest.raises(InvalidStatus) as caught:
        async with websocket(server, origin="https://evil.example"):
            pass
    assert caught.value.response.status_code == 403
    assert await server.services.store.find(alias="made") is None


async def test_other_servers_are_called_by_any_name(tmp_path: Path) -> None:
    async with live_server(tmp_path) as server:
        answered = await post(server, VIEWER, host="modelwire.example", authorization=f"Bearer {server.admin_key}")
        assert answered.json()["data"]["viewer"]["name"] == "administrator"
