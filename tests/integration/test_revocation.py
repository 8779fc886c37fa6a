"""A key that is revoked on one server process closes what is open with it on every other one."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from live_server import live_server, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from modelwire.server import revocation
from modelwire.store import Keyring, ModelConfigDraft, Store, open_store

ADMIN = "mw_canary0123_" + "c0ffee" * 10 + "dead"
ENVIRONMENT = {
    "MODELWIRE_ADMIN_KEY": ADMIN,
    "MODELWIRE_ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(range(32))).decode(),
}
SUBSCRIPTION = "subscription { modelConfigChanged { __typename revision } }"
CREATE = """
mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { ... on CreateApiKeyPayload { secret apiKey { id } } ... on UserError { message } }
}
"""
REVOKE = """
mutation ($input: RevokeApiKeyInput!) {
  revokeApiKey(input: $input) { ... on RevokeApiKeyPayload { apiKey { revokedAt } } ... on UserError { message } }
}
"""
REASON = "the API key was revoked"
SSE = "text/event-stream"
MULTIPART = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path, server_process: Any) -> Any:
    """Two servers on one database, the first of them with two workers."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/both.db"
    (tmp_path / "second").mkdir()
    second = type(server_process)(tmp_path / "second")
    both = (server_process, second)
    for server, arguments in zip(both, (["--workers=2"], []), strict=True):
        server.environment = {**ENVIRONMENT, "MODELWIRE_DATABASE_URL": url}
        server.start(*arguments)
    yield both
    for server in both:
        assert server.stop() == 0


async def websocket(stack: AsyncExitStack, url: str, token: str) -> ClientConnection:
    socket = await stack.enter_async_context(
        connect(url.replace("http", "ws", 1) + "/graphql", subprotocols=["graphql-transport-ws"], proxy=None)
    )
    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}}))
    assert json.loads(await socket.recv())["type"] == "next"
    return socket


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """How the server closes it."""
    while True:
        try:
            message = json.loads(await socket.recv())
        except ConnectionClosed as ended:
            return (0, "without a word") if ended.rcvd is None else (ended.rcvd.code, ended.rcvd.reason)
        assert message["type"] == "next"
        assert message["payload"]["data"]["modelConfigChanged"]["__typename"] == "Bookmark"


@asynccontextmanager
async def streamed(url: str, token: str, accept: str) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of a stream whose first event has come."""
    headers = {"authorization": f"Bearer {token}", "accept": accept}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=120) as http,
        http.stream("POST", f"{url}/graphql", json={"query": SUBSCRIPTION}, headers=headers) as response,
    ):
        lines = aiter(response.aiter_lines())
        while "modelConfigChanged" not in await anext(lines):
            pass
        yield lines


async def told(lines: AsyncIterator[str]) -> str:
    """All that comes up to the end of the stream."""
    return "\n".join([line async for line in lines])


def connections(pid: int) -> int:
    return sum(1 for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED)


def workers(server: Any) -> list[int]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


async def sockets_of_every_process(stack: AsyncExitStack, first: Any, second: Any, token: str) -> list[Any]:
    opened = [await websocket(stack, second.url, token)]
    async with asyncio.timeout(120):
        while True:
            opened.append(await websocket(stack, first.url, token))
            if all(connections(pid) for pid in workers(first)):
                return opened


async def test_a_revoked_key_is_closed_on_every_process(
    servers: tuple[Any, Any], make_client: Callable[[Any, str], Any]
) -> None:
    first, second = servers
    admin = make_client(second, ADMIN)
    made = (await admin.execute(CREATE, input={"name": "agent", "scopes": ["model_config:read"]}))["createApiKey"]
    token = made["secret"]
    async with AsyncExitStack() as stack:
        sockets = await sockets_of_every_process(stack, first, second, token)
        untouched = await websocket(stack, first.url, ADMIN)
        streams = [
            await stack.enter_async_context(streamed(server.url, token, accept))
            for server in servers
            for accept in (SSE, MULTIPART)
        ]
        waiting = asyncio.gather(*map(closed, sockets), *map(told, streams))
        answer = (await admin.execute(REVOKE, input={"id": made["apiKey"]["id"]}))["revokeApiKey"]
        assert answer["apiKey"]["revokedAt"]
        async with asyncio.timeout(120):
            ends = await waiting
        assert ends[: len(sockets)] == [(4403, REASON)] * len(sockets)
        for text in ends[len(sockets) :]:
            assert REASON in text
            assert '"UNAUTHENTICATED"' in text
        for server in servers:
            refused = await make_client(server, token).post("{ viewer { name } }")
            assert (refused.status_code, refused.json()["errors"][0]["message"]) == (401, REASON)
        await untouched.send('{"type": "ping"}')
        assert json.loads(await untouched.recv())["type"] == "pong"


async def test_nothing_that_changes_later_is_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    look = revocation.revoked

    async def slow(store: Store, credentials: Any) -> Any:
        reasons = await look(store, credentials)
        asked.set()
        await answer.wait()
        return reasons

    monkeypatch.setattr(revocation, "revoked", slow)
    async with live_server(tmp_path / "data") as server, AsyncExitStack() as stack, asyncio.timeout(120):
        socket = await websocket(stack, server.url.removesuffix("/graphql"), server.admin_key)
        before = server.services.feed.revision
        # As another process: this one hears of both at once, or of the one after the other.
        url = f"sqlite:///{tmp_path}/data/modelwire.db"
        other = await open_store(url, Keyring.from_file(tmp_path / "data" / "modelwire.db.key")[0])
        key_id = server.admin_key.split("_")[1]
        await other.api_keys.revoke(key_id, by="system", at=datetime.now(UTC), check=lambda _key, _others: None)
        async with other.transaction(by="system") as transaction:
            await transaction.create(ModelConfigDraft(alias="later"))
        await other.close()
        await asked.wait()
        server.services.feed.wake()
        await socket.send('{"type": "ping"}')
        assert json.loads(await socket.recv())["type"] == "pong"
        assert server.services.feed.revision == before
        answer.set()
        # `closed` fails when an event with the change comes first.
        assert await closed(socket) == (4403, REASON)
        await until(lambda: server.services.feed.revision > before)
