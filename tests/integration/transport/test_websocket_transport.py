"""graphql-transport-ws on a real server: every close code, independent operations, and peers that stop reading."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from modelwire.server.graphql import GraphQLEndpoint, Limits, connections, uvicorn_protocol, websocket
from modelwire.store import StoreUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")

INIT = {"type": "connection_init", "payload": {"authorization": "Bearer good"}}
EVENTS = "subscription { events }"


async def close_of(peer: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(peer.recv(), 20)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def next_(id_: str, **data: Any) -> dict[str, Any]:
    return {"id": id_, "type": "next", "payload": {"data": data}}


# Introducing oneself


async def test_the_acknowledgement_says_when_the_token_expires(serve: Any) -> None:
    async with serve() as server:
        for expires_at, told in (
            (None, None),
            (datetime(2200, 1, 2, 3, 4, 5, tzinfo=UTC), "2200-01-02T03:04:05Z"),
        ):
            server.expires_at = expires_at
            async with server.connect() as peer:
                await peer.send(json.dumps(INIT))
                answer = json.loads(await peer.recv())
                assert answer == {"type": "connection_ack", "payload": {"tokenExpiresAt": told}}


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"authorization": None}}])
async def test_the_header_of_the_upgrade_counts_when_init_has_no_credential(
    server: Any, payload: dict[str, Any]
) -> None:
    async with server.connect(additional_headers={"Authorization": "Bearer good"}) as peer:
        await peer.send(json.dumps({"type": "connection_init", **payload}))
        assert json.loads(await peer.recv())["type"] == "connection_ack"


async def test_a_credential_of_init_is_not_helped_by_the_header(server: Any) -> None:
    async with server.connect(additional_headers={"Authorization": "Bearer good"}) as peer:
        await peer.send('{"type": "connection_init", "payload": {"authorization": "Bearer wrong"}}')
        assert await close_of(peer) == (4401, "a bearer token is needed")


@pytest.mark.parametrize("payload", [None, {"authorization": "Bearer wrong"}, {"authorization": ""}])
async def test_no_or_a_wrong_credential_is_4401(server: Any, payload: Any) -> None:
    async with server.connect() as peer:
        await peer.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert await close_of(peer) == (4401, "a bearer token is needed")


async def test_a_store_that_is_down_at_init_is_1013(serve: Any) -> None:
    async with serve() as server, server.connect() as peer:
        server.failure = StoreUnavailable("no connection to db.internal")
        await peer.send(json.dumps(INIT))
        code, reason = await close_of(peer)
        assert code == 1013
        assert "db.internal" not in reason


async def test_a_bug_at_init_is_1011_and_masked(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as server, server.connect() as peer:
        server.failure = RuntimeError("canary")
        await peer.send(json.dumps(INIT))
        code, reason = await close_of(peer)
        assert code == 1011
        assert reason.startswith("Internal error ")
        assert reason.removeprefix("Internal error ") in caplog.text


async def test_subscribe_before_the_acknowledgement_is_4401(server: Any) -> None:
    async with server.connect() as peer:
        await peer.send('{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}}')
        assert await close_of(peer) == (4401, "Unauthorized")


async def test_a_pong_is_no_authentication(server: Any) -> None:
    async with server.connect() as peer:
        await peer.send('{"type": "pong", "payload": {"authorization": "Bearer good"}}')
        await peer.send('{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}}')
        assert await close_of(peer) == (4401, "Unauthorized")


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"], ["chat", "graphql-ws"]])
async def test_another_subprotocol_is_4406(server: Any, subprotocols: list[str] | None) -> None:
    async with server.connect(subprotocols=subprotocols) as peer:
        assert peer.subprotocol is None
        assert await close_of(peer) == (4406, "Subprotocol not acceptable")


async def test_the_right_subprotocol_is_chosen_among_several(server: Any) -> None:
    async with server.connect(subprotocols=["graphql-ws", "graphql-transport-ws"]) as peer:
        assert peer.subprotocol == "graphql-transport-ws"


async def test_no_init_in_time_is_4408(serve: Any) -> None:
    async with serve(Limits(init_timeout_seconds=0.05)) as server, server.client() as client:
        async with server.connect() as peer:
            assert await close_of(peer) == (4408, "Connection initialisation timeout")
        # The one that was acknowledged, and whose time would have been over before, is still there.
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}


async def test_a_second_init_is_4429(server: Any) -> None:
    async with server.client() as client:
        await client.send(**INIT)
        assert await client.closed() == (4429, "Too many initialisation requests")


@pytest.mark.parametrize(
    "message", ["[]", "null", "{", '{"type": "nonsense"}', '{"type": "ping", "payload": "x"}', b"x"]
)
async def test_an_invalid_message_is_4400(server: Any, message: str | bytes) -> None:
    async with server.client() as client:
        await client.socket.send(message)
        code, reason = await client.closed()
        assert code == 4400
        assert reason.startswith("Invalid message: ")


async def test_an_invalid_component_is_4400(server: Any) -> None:
    async with server.connect() as peer:
        await peer.send(
            json.dumps(
                {"type": "connection_init", "payload": {"authorization": "Bearer good", "component": {"name": "n"}}}
            )
        )
        code, reason = await close_of(peer)
        assert code == 4400
        assert reason.startswith("Invalid component: instanceId")


async def test_a_message_that_is_too_big_is_1009(serve: Any) -> None:
    async with serve(Limits(message_bytes=1000)) as server, server.client() as client:
        await client.send(type="ping", payload={"x": "y" * 1000})
        assert (await client.closed())[0] == 1009


async def test_another_origin_is_refused_before_the_upgrade(serve: Any) -> None:
    async with serve(allowed_origins=frozenset({"https://console.example"})) as server:
        with pytest.raises(InvalidStatus) as caught:
            async with server.connect(origin="https://evil.example"):
                pass
        assert caught.value.response.status_code == 403
        for origin in (f"http://127.0.0.1:{server.port}", "https://console.example"):
            async with server.connect(origin=origin) as peer:
                assert peer.subprotocol == "graphql-transport-ws"


async def test_a_principal_has_so_many_connections(serve: Any) -> None:
    async with serve(Limits(connections_per_principal=2)) as server:
        async with server.client(), server.client():
            async with server.connect() as peer:
                await peer.send(json.dumps(INIT))
                assert await close_of(peer) == (1013, "Too many connections")
            # One that does not introduce itself takes no place.
            async with server.connect():
                pass
        async with server.client() as client:
            await client.subscribe("1", "{ hello }")
            assert await client.receive() == next_("1", hello="Ada")


# Operations


async def test_queries_and_mutations_give_one_result_and_complete(server: Any) -> None:
    async with server.client() as client:
        await client.subscribe("q", "{ hello }")
        assert [await client.receive() for _ in range(2)] == [next_("q", hello="Ada"), {"id": "q", "type": "complete"}]
        query = "mutation A { double(number: 1) } mutation B($n: Int!) { double(number: $n) }"
        await client.subscribe("m", query, operationName="B", variables={"n": 21})
        assert [await client.receive() for _ in range(2)] == [next_("m", double=42), {"id": "m", "type": "complete"}]


async def test_the_extensions_of_subscribe_reach_the_resolvers(server: Any) -> None:
    async with server.client() as client:
        await client.subscribe("1", "{ extension }", extensions={"word": "w"})
        assert await client.receive() == next_("1", extension="w")


async def test_events_of_one_operation_come_in_order_and_then_it_completes(server: Any) -> None:
    async with server.client() as client:
        await client.subscribe("1", "subscription { count(to: 500) }")
        received = [await client.receive() for _ in range(501)]
        assert received == [*(next_("1", count=i) for i in range(500)), {"id": "1", "type": "complete"}]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "BAD_USER_INPUT"),
        ("{ unknown }", "BAD_USER_INPUT"),
        ("subscription { unknown }", "BAD_USER_INPUT"),
        ("subscription($n: Int!) { count(to: $n) }", "BAD_USER_INPUT"),
        ("subscription { " + " ".join(f"a{i}: count(to: 1)" for i in range(31)) + " }", "BAD_USER_INPUT"),
        (
            "subscription { count(to: 1) } # " + "x " * 10 + "\n" + "query Q { " + "hello " * 2000 + "}",
            "LIMIT_EXCEEDED",
        ),
        ("query { " + " ".join(f"a{i}: hello" for i in range(31)) + " }", "LIMIT_EXCEEDED"),
    ],
)
async def test_an_error_ends_its_operation_and_no_other(serve: Any, query: str, code: str) -> None:
    async with serve() as server, server.client() as client:
        await client.subscribe("good", EVENTS)
        await client.subscribe("bad", query)
        refused = await client.receive()
        assert (refused["id"], refused["type"], refused["payload"][0]["extensions"]["code"]) == ("bad", "error", code)
        server.probe.events.put_nowait(1)
        assert await client.receive() == next_("good", events=1)
        # The id of the refused operation is free.
        await client.subscribe("bad", "{ hello }")
        assert await client.receive() == next_("bad", hello="Ada")


async def test_an_error_of_a_field_is_part_of_the_result(server: Any) -> None:
    async with server.client() as client:
        await client.subscribe("1", "{ broken }")
        message = await client.receive()
        assert (message["type"], message["payload"]["data"]) == ("next", {"broken": None})
        assert message["payload"]["errors"][0]["message"] == "Internal error"
        assert (await client.receive())["type"] == "complete"


async def test_an_id_in_use_is_4409(serve: Any) -> None:
    async with serve() as server, server.client() as client:
        await client.subscribe("1", EVENTS)
        await client.subscribe("1", EVENTS)
        assert await client.closed() == (4409, "Subscriber for 1 already exists")
        await server.probe.until(lambda: server.probe.running == 0)


async def test_complete_closes_the_source_and_frees_the_id(serve: Any) -> None:
    async with serve() as server, server.client() as client:
        for round_ in range(3):
            await client.subscribe("1", EVENTS)
            server.probe.events.put_nowait(round_)
            assert await client.receive() == next_("1", events=round_)
            await client.send(type="complete", id="1")
            await server.probe.until(lambda: server.probe.running == 0)


async def test_complete_and_subscribe_in_one_go(serve: Any) -> None:
    async with serve() as server, server.client() as client:
        await client.subscribe("1", EVENTS)
        await client.send(type="complete", id="1")
        await client.subscribe("1", "{ hello }")
        assert await client.receive() == next_("1", hello="Ada")
        assert await client.receive() == {"id": "1", "type": "complete"}
        await server.probe.until(lambda: server.probe.running == 0)


async def test_complete_of_an_unknown_operation_is_ignored(server: Any) -> None:
    async with server.client() as client:
        await client.send(type="complete", id="never")
        await client.subscribe("1", "{ hello }")
        assert await client.receive() == next_("1", hello="Ada")


async def test_a_connection_has_so_many_operations(serve: Any) -> None:
    async with serve(Limits(operations_per_connection=2)) as server, server.client() as client:
        for id_ in "12":
            await client.subscribe(id_, EVENTS)
        await client.subscribe("3", "{ hello }")
        refused = await client.receive()
        assert (refused["id"], refused["type"]) == ("3", "error")
        assert refused["payload"][0]["extensions"] == {"code": "LIMIT_EXCEEDED"}
        await client.send(type="complete", id="1")
        await server.probe.until(lambda: server.probe.running == 1)
        await client.subscribe("3", "{ hello }")
        assert await client.receive() == next_("3", hello="Ada")


async def test_what_runs_on_a_connection_is_asked_for_with_so_much_text(serve: Any) -> None:
    """It is kept while it runs: fifty operations of a megabyte, on a thousand sockets, would fill all memory."""
    async with serve(Limits(message_bytes=1_000)) as server, server.client() as client:
        long = {"query": EVENTS, "variables": {"unused": "x" * 700}}
        await client.send(type="subscribe", id="1", payload=long)
        await client.send(type="subscribe", id="2" * 700, payload={"query": EVENTS})
        await server.probe.until(lambda: server.probe.running == 2)
        await client.send(type="subscribe", id="3", payload=long)
        refused = await client.receive()
        assert (refused["id"], refused["type"]) == ("3", "error")
        assert refused["payload"][0]["extensions"] == {"code": "LIMIT_EXCEEDED"}
        await client.send(type="complete", id="2" * 700)
        await server.probe.until(lambda: server.probe.running == 1)
        await client.send(type="subscribe", id="3", payload={**long, "query": "{ hello }"})
        assert await client.receive() == next_("3", hello="Ada")


async def test_ping_is_answered_before_and_after_the_acknowledgement(server: Any) -> None:
    async with server.connect() as peer:
        await peer.send('{"type": "ping"}')
        assert json.loads(await peer.recv()) == {"type": "pong"}
    async with server.client() as client:
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}


# Renewing the token. Which tokens are taken, and what becomes of rights, is tested with the connection itself.


async def test_a_ping_renews_the_token_and_the_pong_says_until_when(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = datetime(2200, 1, 1, tzinfo=UTC), datetime(2200, 1, 2, tzinfo=UTC)
    monkeypatch.setattr(connections, "_now", lambda: first - timedelta(seconds=0.01))
    async with serve() as server:
        server.expires_at = first
        async with server.client() as client:
            await client.subscribe("1", EVENTS)
            server.expires_at = second
            await client.send(type="ping", payload={"authorization": "Bearer good"})
            assert await client.receive() == {"type": "pong", "payload": {"tokenExpiresAt": "2200-01-02T00:00:00Z"}}
            # The first token's time is over.
            monkeypatch.setattr(connections, "_now", lambda: first)
            server.probe.events.put_nowait(1)
            assert await client.receive() == next_("1", events=1)
            await client.send(type="ping", payload={"authorization": "Bearer wrong"})
            assert await client.receive() == {"type": "pong", "payload": {"error": "a bearer token is needed"}}
            assert server.probe.running == 1


async def test_a_token_is_not_renewed_before_the_acknowledgement(server: Any) -> None:
    async with server.connect() as peer:
        await peer.send('{"type": "ping", "payload": {"authorization": "Bearer good"}}')
        assert "after connection_ack" in json.loads(await peer.recv())["payload"]["error"]
        await peer.send('{"type": "subscribe", "id": "1", "payload": {"query": "{ hello }"}}')
        assert await close_of(peer) == (4401, "Unauthorized")


async def test_a_revoked_credential_closes_its_sockets(serve: Any) -> None:
    async with serve() as server:
        server.credential = "api_key:b"
        async with server.client() as other:
            server.credential = "api_key:a"
            async with server.client() as client, server.client() as idle:
                for peer in (other, client):
                    await peer.subscribe("1", EVENTS)
                await server.probe.until(lambda: server.probe.running == 2)
                assert server.endpoint.credentials() == {"api_key:a", "api_key:b"}
                server.endpoint.revoke({"api_key:a": "the API key was revoked"})
                assert await client.closed() == (4403, "the API key was revoked")
                # Its operations ended before, and those of others go on.
                assert server.probe.running == 1
                assert await idle.closed() == (4403, "the API key was revoked")
            server.probe.events.put_nowait(1)
            assert await other.receive() == next_("1", events=1)


# The end


async def test_a_client_that_leaves_has_its_sources_closed(serve: Any) -> None:
    async with serve() as server:
        async with server.client() as client:
            for id_ in "123":
                await client.subscribe(id_, EVENTS)
            await server.probe.until(lambda: server.probe.running == 3)
        await server.probe.until(lambda: server.probe.running == 0)


async def test_a_client_that_vanishes_has_its_sources_closed(serve: Any) -> None:
    async with serve() as server, server.client() as client:
        await client.subscribe("1", EVENTS)
        await server.probe.until(lambda: server.probe.running == 1)
        client.socket.transport.abort()
        await server.probe.until(lambda: server.probe.running == 0)


async def test_at_expiry_the_operations_end_first_and_then_the_socket(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expires_at = datetime(2200, 1, 1, tzinfo=UTC)
    # The clock stands still just before, so the timer fires too early and has to look again.
    monkeypatch.setattr(connections, "_now", lambda: expires_at - timedelta(seconds=0.01))
    async with serve() as server:
        server.expires_at = expires_at
        async with server.client() as client:
            await client.subscribe("1", EVENTS)
            server.probe.events.put_nowait(1)
            assert await client.receive() == next_("1", events=1)
            monkeypatch.setattr(connections, "_now", lambda: expires_at)
            assert await client.closed() == (4403, "Token expired")
            assert server.probe.running == 0


async def test_close_says_1012_and_ends_everything(serve: Any) -> None:
    async with serve() as server, server.client() as client, server.connect() as silent:
        await client.subscribe("1", EVENTS)
        await server.probe.until(lambda: server.probe.running == 1)
        assert server.endpoint.open_connections == 2
        async with asyncio.timeout(120):
            await server.endpoint.close()
        assert (server.probe.running, server.endpoint.open_connections) == (0, 0)
        assert await client.closed() == (1012, "Server stopping")
        assert await close_of(silent) == (1012, "Server stopping")
        with pytest.raises(InvalidStatus) as caught:
            async with server.connect():
                pass
        assert caught.value.response.status_code == 503


async def test_the_server_stopping_by_itself_is_1012_too(serve: Any) -> None:
    async with serve() as server, server.client() as client:
        await client.subscribe("1", EVENTS)
        await server.probe.until(lambda: server.probe.running == 1)
        async with asyncio.timeout(120):
            await server.uvicorn.shutdown()
        assert server.probe.running == 0
        assert (await client.closed())[0] == 1012


# Peers that do not read


@asynccontextmanager
async def frozen_client(port: int) -> AsyncIterator[socket.socket]:
    """A client that subscribes to large events over a raw socket, and never reads any."""
    loop = asyncio.get_running_loop()
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    with raw:
        await loop.sock_connect(raw, ("127.0.0.1", port))
        await loop.sock_sendall(
            raw,
            b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
            b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n",
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await loop.sock_recv(raw, 4096)
        await loop.sock_sendall(raw, frame(INIT) + frame(subscription("1", "subscription { large }")))
        yield raw


def subscription(id_: str, query: str) -> dict[str, Any]:
    return {"type": "subscribe", "id": id_, "payload": {"query": query}}


def frame(message: dict[str, Any]) -> bytes:
    text = json.dumps(message).encode()
    assert len(text) < 126
    # A mask of zeros leaves the text as it is.
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def connections_gone(server: Any) -> None:
    """Wait until uvicorn holds no socket any more."""
    connection, *_ = server.uvicorn.server_state.connections
    lost = asyncio.Event()
    original = connection.connection_lost

    def connection_lost(exc: Exception | None) -> None:
        original(exc)
        lost.set()

    connection.connection_lost = connection_lost
    async with asyncio.timeout(120):
        await lost.wait()


async def test_a_frozen_client_is_released_with_its_socket(serve: Any) -> None:
    async with (
        serve(Limits(send_timeout_seconds=0.2)) as server,
        frozen_client(server.port),
    ):
        await server.probe.until(lambda: server.probe.running == 1)
        gone = asyncio.ensure_future(connections_gone(server))
        await server.probe.until(lambda: server.probe.running == 0)
        await gone
        assert server.endpoint.open_connections == 0
        assert not server.uvicorn.server_state.connections


async def test_a_frozen_client_is_ended_at_the_expiry_and_finds_the_close_frame_when_it_thaws(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing on the way waits for the client: each wait would be longer than the test."""
    expires_at = datetime(2200, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(connections, "_now", lambda: expires_at - timedelta(seconds=0.01))
    monkeypatch.setattr(websocket, "CLOSE_FRAME_TIMEOUT_SECONDS", 300)
    monkeypatch.setattr(uvicorn_protocol, "LINGER_SECONDS", 300)
    async with serve(Limits(send_timeout_seconds=300)) as server:
        server.expires_at = expires_at
        async with frozen_client(server.port) as raw:
            await server.probe.until(lambda: server.probe.running == 1)
            (protocol,) = server.uvicorn.server_state.connections
            async with asyncio.timeout(120):
                while protocol.writable.is_set():
                    await server.probe.until(lambda pulled=server.probe.pulled: server.probe.pulled > pulled)
            pulled = server.probe.pulled
            monkeypatch.setattr(connections, "_now", lambda: expires_at)
            await server.probe.until(lambda: server.probe.running == 0)
            async with asyncio.timeout(120):
                while server.endpoint.open_connections:  # noqa: ASYNC110 - the server has no event for its tests
                    await asyncio.sleep(0)
            assert protocol.close_sent
            last = await read_all(raw)
        assert last.endswith(b"\x88" + bytes([2 + len("Token expired")]) + (4403).to_bytes(2, "big") + b"Token expired")
        assert server.probe.pulled <= pulled + 1


async def read_all(raw: socket.socket) -> bytes:
    """Read until the close frame, which the server waits to have answered; the last of it."""
    loop = asyncio.get_running_loop()
    last = b""
    async with asyncio.timeout(120):
        while not last.endswith(b"Token expired"):
            last = last[-100:] + await loop.sock_recv(raw, 2**20)
    return last


async def test_a_frozen_client_is_not_read_ahead_for(serve: Any) -> None:
    async with serve(Limits(send_timeout_seconds=0.2)) as server, frozen_client(server.port):
        await server.probe.until(lambda: server.probe.running == 1)
        await server.probe.until(lambda: server.probe.running == 0)
        # What the kernel's buffers took, and no queue of ours: 500 kB each.
        assert server.probe.pulled < 30


async def test_a_frozen_client_stops_no_other(serve: Any) -> None:
    async with serve(Limits(send_timeout_seconds=15)) as server, frozen_client(server.port):
        await server.probe.until(lambda: server.probe.running == 1)
        async with server.client() as client:
            await client.subscribe("1", "subscription { count(to: 100) }")
            received = [await client.receive() for _ in range(101)]
            assert received[-1] == {"id": "1", "type": "complete"}
        assert server.probe.running == 1


async def test_close_does_not_wait_for_a_frozen_client(serve: Any) -> None:
    async with serve(Limits(send_timeout_seconds=300)) as server, frozen_client(server.port):
        await server.probe.until(lambda: server.probe.running == 1)
        async with asyncio.timeout(120):
            await server.endpoint.close()
        assert (server.probe.running, server.endpoint.open_connections) == (0, 0)


async def test_no_task_is_left_behind(serve: Any) -> None:
    before = asyncio.all_tasks()
    async with serve() as server:
        async with server.client() as client:
            for id_ in range(20):
                await client.subscribe(str(id_), EVENTS)
            await server.probe.until(lambda: server.probe.running == 20)
            for id_ in range(10):
                await client.send(type="complete", id=str(id_))
            await server.probe.until(lambda: server.probe.running == 10)
        await server.probe.until(lambda: server.probe.running == 0)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("answer", ["websocket.accept", "websocket.http.response.start"])
async def test_a_handshake_that_the_stopping_server_answered_is_not_answered_again(
    serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    async with serve() as server, asyncio.timeout(120):

        async def late(_endpoint: Any, _scope: Any, _receive: Any, send: Any) -> None:
            # The application is called after that, and before its connection is lost.
            for connection in list(server.uvicorn.server_state.connections):
                connection.shutdown()
            await send({"type": answer, "status": 503, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"stopping"})

        monkeypatch.setattr(GraphQLEndpoint, "__call__", late)
        # uvicorn's own do not propagate.
        monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
        with pytest.raises(InvalidStatus) as refused:
            await server.connect()
        while server.uvicorn.server_state.tasks:
            await asyncio.wait(server.uvicorn.server_state.tasks)
    assert refused.value.response.status_code == 500
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
