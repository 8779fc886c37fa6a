"""`modelwire serve` as a user runs it: its first start, who gets in, how it refuses to start and how it stops."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import socket
import stat
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

VIEWER = "{ viewer { name scopes } }"
SECRET_HEX = "c0ffee" * 10 + "dead"
ADMIN_KEY = f"mw_canary0123_{SECRET_HEX}"
ENCRYPTION_KEY = base64.urlsafe_b64encode(b"canary-encryption-key-32-bytes-!").decode()


def websocket(url: str) -> connect:
    return connect(url.replace("http", "ws", 1) + "/graphql", subprotocols=["graphql-transport-ws"], proxy=None)


async def subscribe(socket: ClientConnection, token: str) -> dict[str, Any]:
    """Follow all model configs; the first event."""
    await send(socket, type="connection_init", payload={"authorization": f"Bearer {token}"})
    assert (await receive(socket))["type"] == "connection_ack"
    query = "subscription { modelConfigChanged { __typename revision } }"
    await send(socket, type="subscribe", id="1", payload={"query": query})
    event: dict[str, Any] = (await receive(socket))["payload"]["data"]["modelConfigChanged"]
    return event


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def close_code(socket: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_the_first_start_shows_the_administrator_key_once(server, make_client) -> None:
    key = server.admin_key
    viewer = (await make_client(server, key).execute(VIEWER))["viewer"]
    assert "api_key:admin" in viewer["scopes"]
    assert server.stop() == 0
    secret = key.rpartition("_")[2]
    for path in server.data_dir.iterdir():
        assert secret.encode() not in path.read_bytes()
        assert bytes.fromhex(secret) not in path.read_bytes()
    shown = server.output
    server.start()
    later = server.output.removeprefix(shown)
    assert "serving" in later
    assert "Administrator key" not in later
    assert key not in later
    assert (await make_client(server, key).execute(VIEWER))["viewer"] == viewer


async def test_the_first_start_says_where_everything_is(shared_server) -> None:
    key_file = shared_server.data_dir / "modelwire.db.key"
    for line in (
        f"Console:           {shared_server.url}",
        f"GraphQL:           {shared_server.url}/graphql",
        f"Database:          {shared_server.data_dir}/modelwire.db",
        f"Encryption keys:   {key_file} (made now",
    ):
        assert line in shared_server.output
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(shared_server.data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("token", [None, "mw_aaaaaaaaaa_" + "0" * 64, "admin", "mw_é"])
async def test_http_without_a_valid_key_is_refused(shared_server, token: str | None) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}".encode()}
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as http:
        response = await http.post("/graphql", json={"query": VIEWER}, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_another_scheme_than_bearer_is_refused(shared_server) -> None:
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as http:
        answers = [
            await http.post(
                "/graphql", json={"query": VIEWER}, headers={"authorization": f"{scheme} {shared_server.admin_key}"}
            )
            for scheme in ("Basic", "Token", "Bearer-Token", "bearer")
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 200]


@pytest.mark.parametrize("payload", [None, {}, {"authorization": "Bearer mw_aaaaaaaaaa_" + "0" * 64}])
async def test_a_socket_without_a_valid_key_is_closed_with_4401(shared_server, payload: dict[str, str] | None) -> None:
    async with websocket(shared_server.url) as socket:
        await send(socket, type="connection_init", payload=payload)
        assert await close_code(socket) == 4401


async def test_health_and_pages_need_no_key(shared_server) -> None:
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as http:
        health, ready, page = [await http.get(path) for path in ("/healthz", "/readyz", "/")]
    assert health.json() == {"status": "alive"}
    assert ready.json() == {"status": "ready"}
    assert "<title>Modelwire</title>" in page.text


async def test_what_is_not_there_is_a_clear_answer(shared_server) -> None:
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as http:
        missing, wrong_method, traversal = (
            await http.get("/nothing"),
            await http.post("/healthz"),
            await http.get("/assets/%2e%2e/index.html"),
        )
    assert (missing.status_code, missing.json()) == (404, {"error": "Not Found"})
    assert (wrong_method.status_code, wrong_method.json()) == (405, {"error": "Method Not Allowed"})
    assert traversal.status_code == 404


async def test_every_answer_carries_the_security_headers(shared_server) -> None:
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as http:
        answers = [await http.get(path) for path in ("/", "/readyz", "/nothing", "/graphql")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers


async def test_a_port_in_use_is_one_sentence_and_changes_nothing(server_process) -> None:
    with socket.create_server(("127.0.0.1", server_process.port)):
        server_process.spawn()
        assert server_process.wait() == 1
    assert server_process.output == (
        f"modelwire: port {server_process.port} of 127.0.0.1 is in use: stop what listens there, "
        "or choose another port with --port or MODELWIRE_PORT\n"
    )
    assert not server_process.data_dir.exists()


def refusal(server_process, *arguments: str) -> str:
    """Start a server that must not start; the one line that it says, with its exit code in front."""
    server_process.spawn(*arguments)
    code = server_process.wait()
    lines = [line for line in server_process.output.splitlines() if line.startswith("modelwire: ")]
    assert "Traceback" not in server_process.output
    assert len(lines) == 1, server_process.output
    return f"{code} {lines[0]}"


async def test_a_settings_file_with_an_unknown_name_is_refused(server_process) -> None:
    (server_process.folder / "modelwire.toml").write_text("prot = 8400\n")
    said = refusal(server_process)
    assert said == "2 modelwire: modelwire.toml has 'prot', which is no setting; did you mean 'port'?"
    assert not server_process.data_dir.exists()


async def test_a_file_that_is_no_database_is_refused(server_process) -> None:
    server_process.data_dir.mkdir()
    (server_process.data_dir / "modelwire.db").write_bytes(b"these are notes and no database" * 200)
    server_process.environment["MODELWIRE_ENCRYPTION_KEYS"] = ENCRYPTION_KEY
    said = refusal(server_process)
    assert said.startswith("1 modelwire: ")
    assert "modelwire.db" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_closes_sockets_with_1012_and_ends_in_order(server, number: signal.Signals) -> None:
    """Also with a client that has stopped reading and one that never sends the rest of its request."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    async with websocket(server.url) as socket, websocket(server.url) as frozen:
        for connection in (socket, frozen):
            assert (await subscribe(connection, server.admin_key))["__typename"] == "ModelConfigSnapshot"
        frozen.transport.pause_reading()
        server.process.send_signal(number)
        assert await close_code(socket) == 1012
        assert await asyncio.to_thread(server.wait) == 0
        frozen.transport.abort()
    writer.close()
    assert "Traceback" not in server.output
    assert not (server.data_dir / "modelwire.db-wal").exists()


async def test_secrets_never_reach_the_output(server_process, make_client) -> None:
    """Keys of the settings, stored credentials and created API keys, through every kind of request, at debug level."""
    server_process.environment |= {"MODELWIRE_ADMIN_KEY": ADMIN_KEY, "MODELWIRE_ENCRYPTION_KEYS": ENCRYPTION_KEY}
    server_process.start("--log-level", "debug")
    admin = make_client(server_process, ADMIN_KEY)
    create = "mutation($input: CreateModelConfigInput!) { createModelConfig(input: $input) { __typename } }"
    auth = {"apiKey": {"apiKey": "sk-canary-credential"}}
    for values in ({"alias": "a"}, {"alias": "a"}, {"alias": "\u0000"}, {"alias": "b", "nosuchfield": 1}):
        await admin.post(create, input={"provider": "openai", "model": "m", "auth": auth, **values})
    created = await admin.execute(
        """mutation($input: CreateApiKeyInput!) {
          createApiKey(input: $input) { ... on CreateApiKeyPayload { secret } }
        }""",
        input={"name": "component", "scopes": ["model_config:read", "model_config:resolve"]},
    )
    component_key = created["createApiKey"]["secret"]
    resolved = await make_client(server_process, component_key).execute(
        '{ modelConfig(by: {alias: "a"}) { litellmParams } }'
    )
    assert resolved["modelConfig"]["litellmParams"]["api_key"] == "sk-canary-credential"
    async with websocket(server_process.url) as socket:
        await subscribe(socket, component_key)
        await socket.send("[]")
        await close_code(socket)
    assert server_process.stop() == 0
    assert "DEBUG" in server_process.output or "INFO" in server_process.output
    for secret in (SECRET_HEX, ENCRYPTION_KEY, "sk-canary-credential", component_key.rpartition("_")[2]):
        assert secret not in server_process.output


async def test_it_listens_on_loopback_only(shared_server) -> None:
    connections = psutil.Process(shared_server.process.pid).net_connections()
    assert {connection.laddr.ip for connection in connections if connection.status == "LISTEN"} == {"127.0.0.1"}
