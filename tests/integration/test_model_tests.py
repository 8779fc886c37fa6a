"""Tests of models on the whole server: they end with the operation that asked for them, and their secrets are in no
output of the server.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from live_server import LiveServer, live_server
from stand_ins.chat import KEY, ChatStandIn, running_chat_stand_in
from websockets.asyncio.client import ClientConnection, connect

from modelwire.resolvers import litellm_process

TEST = """
mutation ($input: TestModelConfigInput!) {
  testModelConfig(input: $input) { ... on TestModelConfigPayload { success error { class message } } }
}
"""
PING = "{ viewer { name } }"


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    litellm_process._process.close()


@pytest.fixture
async def stand_in() -> AsyncIterator[ChatStandIn]:
    async with running_chat_stand_in() as running:
        yield running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path, outbound_private_addresses=True, log_level="debug") as running:
        yield running


def variables(stand_in: ChatStandIn, mode: str) -> dict[str, Any]:
    api_base = f"{stand_in.url}/{mode}"
    return {"input": {"provider": "openai", "model": "m", "apiBase": api_base, "auth": {"apiKey": {"apiKey": KEY}}}}


def headers(server: LiveServer, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {server.admin_key}", **more}


async def socket_with_a_test(server: LiveServer, stand_in: ChatStandIn) -> ClientConnection:
    """A socket on which a test runs that gets no answer."""
    socket = await connect(server.url.replace("http", "ws"), subprotocols=["graphql-transport-ws"], proxy=None)  # type: ignore[list-item]
    payload = {"authorization": f"Bearer {server.admin_key}"}
    await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    request = {"query": TEST, "variables": variables(stand_in, "never")}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": request}))
    async with asyncio.timeout(120):
        await stand_in.began.wait()
    return socket


def calls() -> list[psutil.Process]:
    process = litellm_process._process._process
    assert process is not None
    return psutil.Process(process.pid).children()


async def outcomes(server: LiveServer) -> list[str]:
    entries = await server.services.store.audit_log.page(first=10)
    return [str(entry.details["outcome"]) for entry in entries if entry.action == "model_config.test"]


async def test_complete_ends_it(server: LiveServer, stand_in: ChatStandIn) -> None:
    socket = await socket_with_a_test(server, stand_in)
    await socket.send(json.dumps({"type": "complete", "id": "1"}))
    async with asyncio.timeout(120):
        await stand_in.gone.wait()
        # The socket is as good as before.
        await socket.send(json.dumps({"type": "subscribe", "id": "2", "payload": {"query": PING}}))
        assert json.loads(await socket.recv())["payload"]["data"]["viewer"]
        await socket.close()
        # Written when the process has ended, which nothing announces.
        while not (found := await outcomes(server)):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    assert found == ["cancelled"]


async def test_the_end_of_the_socket_ends_it(server: LiveServer, stand_in: ChatStandIn) -> None:
    socket = await socket_with_a_test(server, stand_in)
    socket.transport.abort()
    async with asyncio.timeout(120):
        await stand_in.gone.wait()


async def test_the_end_of_the_stream_ends_it(server: LiveServer, stand_in: ChatStandIn) -> None:
    """The same over server-sent events."""
    request = {"query": TEST, "variables": variables(stand_in, "never")}
    async with httpx.AsyncClient(trust_env=False, timeout=120) as client:
        accepting = headers(server, accept="text/event-stream")
        async with client.stream("POST", server.url, json=request, headers=accepting):
            async with asyncio.timeout(120):
                await stand_in.began.wait()
    async with asyncio.timeout(120):
        await stand_in.gone.wait()


async def leaving_post(server: LiveServer, query: str, given: dict[str, Any]) -> asyncio.StreamWriter:
    """A POST that was sent whole, and whose client will not wait for the answer."""
    url = httpx.URL(server.url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    body = json.dumps({"query": query, "variables": given})
    lines = [f"POST {url.path} HTTP/1.1", f"Host: {url.host}:{url.port}", f"Content-Length: {len(body)}"]
    lines += ["Content-Type: application/json", f"Authorization: Bearer {server.admin_key}", "", body]
    writer.write("\r\n".join(lines).encode())
    return writer


async def test_the_end_of_the_connection_of_a_post_ends_it(server: LiveServer, stand_in: ChatStandIn) -> None:
    writer = await leaving_post(server, TEST, variables(stand_in, "never"))
    async with asyncio.timeout(120):
        await stand_in.began.wait()
        (process,) = calls()
        writer.close()
        await stand_in.gone.wait()
        while not (found := await outcomes(server)):  # noqa: ASYNC110 - written when it has ended, as above
            await asyncio.sleep(0.01)
    assert found == ["cancelled"]
    _, alive = await asyncio.to_thread(psutil.wait_procs, [process], 120)
    assert alive == []


async def test_a_write_whose_client_leaves_is_undone_as_a_whole(server: LiveServer) -> None:
    create = "mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) { __typename } }"
    store = server.services.store
    writers = store._database._writer_lock
    async with asyncio.timeout(120):
        async with store.transaction(by="test"):
            writer = await leaving_post(server, create, {"input": {"alias": "left"}})
            while not writers._waiters:  # noqa: ASYNC110 - nothing announces that it waits for the writer
                await asyncio.sleep(0.01)
            writer.close()
            while any(not waiter.done() for waiter in writers._waiters or ()):  # noqa: ASYNC110 - nor that it does not
                await asyncio.sleep(0.01)
        # Behind it in the queue of writers, so it would have been written before.
        async with store.transaction(by="test") as transaction:
            assert await transaction.find(alias="left") is None
    async with httpx.AsyncClient(trust_env=False, timeout=120, headers=headers(server)) as client:
        answer = await client.post(server.url, json={"query": create, "variables": {"input": {"alias": "left"}}})
    assert answer.json() == {"data": {"createModelConfig": {"__typename": "CreateModelConfigPayload"}}}


async def test_a_stop_of_the_server_ends_it(tmp_path: Path, stand_in: ChatStandIn) -> None:
    async with live_server(tmp_path, outbound_private_addresses=True) as server:
        socket = await socket_with_a_test(server, stand_in)
    async with asyncio.timeout(120):
        await stand_in.gone.wait()
    await socket.close()


async def test_no_output_has_its_secrets(
    server: LiveServer, stand_in: ChatStandIn, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with httpx.AsyncClient(trust_env=False, timeout=120, headers=headers(server)) as client:
        for mode in ("ok", "401", "500", "text"):
            request = {"query": TEST, "variables": variables(stand_in, mode)}
            answer = await client.post(server.url, json=request)
            assert answer.json()["data"]["testModelConfig"]["success"] is (mode == "ok")
            assert "canary" not in answer.text
    entries = await server.services.store.audit_log.page(first=10)
    printed = capfd.readouterr()
    assert len(await outcomes(server)) == 4
    for told in (str(entries), caplog.text, printed.out, printed.err):
        assert "canary" not in told
        assert "9c51/e2d8" not in told


async def test_the_settings_bound_it(tmp_path: Path, stand_in: ChatStandIn) -> None:
    bounds = {"test_timeout_seconds": 0.5, "outbound_allowed_hosts": frozenset({"127.0.0.1"})}
    async with live_server(tmp_path, **bounds) as server, httpx.AsyncClient(trust_env=False, timeout=120) as client:
        request = {"query": TEST, "variables": variables(stand_in, "never")}
        answer = await client.post(server.url, json=request, headers=headers(server))
    error = answer.json()["data"]["testModelConfig"]["error"]
    assert error == {"class": "TIMEOUT", "message": "there was no whole answer within 0.5 seconds"}
