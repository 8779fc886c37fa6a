"""The limits of the API as an operator sets them: each is told by a code, and by what is allowed."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

FLAGS = {
    "max-depth": 3,
    "max-tokens": 60,
    "max-aliases": 2,
    "max-cost": 100,
    "max-message-bytes": 2048,
    "max-operations-per-connection": 2,
    "max-connections-per-principal": 1,
    "init-timeout-seconds": 0.2,
    "body-timeout-seconds": 0.2,
    "keep-alive-seconds": 0.1,
    "introspection": "false",
}
WATCH = "subscription { modelConfigChanged { revision } }"


@pytest.fixture
def strict(server_process: Any) -> Any:
    """A server with limits that are easily met."""
    server_process.start(*(f"--{name}={value}" for name, value in FLAGS.items()))
    return server_process


async def post(server: Any, query: str, accept: str = "application/json", **variables: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.admin_key}", "Accept": accept}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False, timeout=120) as http:
        return await http.post("/graphql", json={"query": query, "variables": variables})


def error_of(response: httpx.Response) -> tuple[str, str]:
    (error,) = response.json()["errors"]
    return error["extensions"]["code"], error["message"]


def websocket(server: Any) -> connect:
    return connect(f"{server.url.replace('http', 'ws', 1)}/graphql", subprotocols=["graphql-transport-ws"], proxy=None)


async def send(socket: ClientConnection, **message: Any) -> Any:
    """The answer to a message."""
    await socket.send(json.dumps(message))
    return json.loads(await socket.recv())


async def sign_in(server: Any, socket: ClientConnection) -> Any:
    return await send(socket, type="connection_init", payload={"authorization": f"Bearer {server.admin_key}"})


async def close_code(socket: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_documents(strict: Any) -> None:
    for query, message in (
        ("{ modelConfigs { edges { node { id } } } }", "The operation nests 4 fields; 3 are allowed."),
        ("{ " + "viewer { name } " * 15 + "}", "Document contains more than 60 tokens."),
        ("{ a: viewer { name } b: viewer { name } c: viewer { name } }", "The operation has 3 aliases; 2 are allowed."),
        ("{ modelConfigs(first: 100) { pageInfo { hasNextPage } } }", "The operation costs 201; 100 is allowed."),
    ):
        code, told = error_of(await post(strict, query))
        assert (code, told[: len(message)]) == ("LIMIT_EXCEEDED", message)
    query = "query($n: Int) { modelConfigs(first: $n) { pageInfo { hasNextPage } } }"
    assert "errors" not in (await post(strict, query, n=49)).json()
    assert error_of(await post(strict, query, n=50))[0] == "LIMIT_EXCEEDED"
    code, told = error_of(await post(strict, '{ __type(name: "Query") { name } }'))
    assert code == "BAD_USER_INPUT"
    assert "introspection" in told


async def test_sizes_and_times(strict: Any) -> None:
    too_large = await post(strict, "{ viewer { name } }", padding="x" * 2048)
    assert (too_large.status_code, error_of(too_large)[0]) == (413, "LIMIT_EXCEEDED")

    reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
        b"Authorization: Bearer %b\r\n\r\n{" % strict.admin_key.encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    async with websocket(strict) as socket:
        assert await close_code(socket) == 4408
    async with websocket(strict) as socket:
        await sign_in(strict, socket)
        await socket.send("x" * 2049)
        assert await close_code(socket) == 1009
    async with websocket(strict) as socket:
        assert (await sign_in(strict, socket))["type"] == "connection_ack"


async def test_connections(strict: Any) -> None:
    async with websocket(strict) as socket, websocket(strict) as second:
        assert (await sign_in(strict, socket))["type"] == "connection_ack"
        await second.send(
            json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {strict.admin_key}"}})
        )
        assert await close_code(second) == 1013
        stream = await post(strict, WATCH, "text/event-stream, application/json")
        assert (stream.status_code, error_of(stream)[0]) == (429, "LIMIT_EXCEEDED")
        for number in range(2):
            answer = await send(socket, type="subscribe", id=str(number), payload={"query": WATCH})
            assert answer["type"] == "next"
        refused = await send(socket, type="subscribe", id="2", payload={"query": WATCH})
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "LIMIT_EXCEEDED")
    headers = {"Authorization": f"Bearer {strict.admin_key}", "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=120) as http,
        http.stream("POST", f"{strict.url}/graphql", json={"query": WATCH}) as response,
    ):
        text = ""
        async for chunk in response.aiter_text():
            text += chunk
            # The first is the beginning of every stream.
            if text.count(":\n\n") > 2:
                break
        assert "revision" in text
