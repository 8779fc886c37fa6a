"""Operations whose results are streamed over HTTP, on a real server: server-sent events, and Apollo's multipart."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from modelwire.resolvers.errors import Unauthenticated
from modelwire.server.graphql import Limits, connections, streaming, uvicorn_protocol
from modelwire.server.graphql.execution import Executor

JSON = "application/json"
SSE = "text/event-stream"
MULTIPART = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
STREAMS = (SSE, MULTIPART)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Reader:
    """The results of a response as they come, and how it ends."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.raw = ""
        self._chunks = response.aiter_text()
        self._sse = response.headers["content-type"].startswith(SSE)

    async def next(self) -> dict[str, Any]:
        """The next part that is no heartbeat: of SSE `{event: data}`, of multipart its JSON."""
        while True:
            part = await self._part()
            if part not in ({}, ":"):
                return part if isinstance(part, dict) else self._event(part)

    async def heartbeat(self) -> None:
        """The next part, which has to be a heartbeat."""
        assert await self._part() in ({}, ":")

    async def rest(self) -> str:
        """What is left, up to the end of the body."""
        async with asyncio.timeout(120):
            async for chunk in self._chunks:
                self.raw += chunk
        return self.raw

    async def _part(self) -> Any:
        end = "\n\n" if self._sse else "\r\n--graphql"
        async with asyncio.timeout(120):
            while end not in self.raw:
                self.raw += await anext(self._chunks)
        part, _, self.raw = self.raw.partition(end)
        if self._sse:
            return part
        headers, _, content = part.removeprefix("--graphql").partition("\r\n\r\n")
        assert headers == "\r\nContent-Type: application/json"
        return json.loads(content)

    @staticmethod
    def _event(part: str) -> dict[str, Any]:
        lines = [line.partition(":") for line in part.split("\n")]
        assert [name for name, _, _ in lines] == ["event", "data"]
        event, data = (value.strip() for _, _, value in lines)
        return {event: json.loads(data) if data else None}


@asynccontextmanager
async def streamed(server: Any, query: str, accept: str = SSE, **request: Any) -> AsyncIterator[Reader]:
    headers = {"Authorization": "Bearer good", "Accept": accept}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=120) as http,
        http.stream("POST", server.url, json={"query": query, **request}, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Reader(response)


async def until(predicate: Callable[[], bool]) -> None:
    """Wait for what the server does after its last word."""
    async with asyncio.timeout(120):
        while not predicate():  # noqa: ASYNC110 - the server has nothing to wait on
            await asyncio.sleep(0.001)


def result_of(part: dict[str, Any]) -> Any:
    """The GraphQL response in a part."""
    (response,) = part.values()
    return response


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_is_left(server: Any) -> AsyncIterator[None]:
    yield
    await server.probe.until(lambda: server.probe.running == 0)
    while not server.probe.events.empty():
        server.probe.events.get_nowait()


async def test_server_sent_events_byte_for_byte(server: Any) -> None:
    async with streamed(server, "subscription { count(to: 2) }") as reader:
        assert reader.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reader.response.headers["cache-control"] == "no-store"
        assert reader.response.headers["x-accel-buffering"] == "no"
        assert await reader.rest() == (
            ":\n\n"
            'event: next\ndata: {"data":{"count":0}}\n\n'
            'event: next\ndata: {"data":{"count":1}}\n\n'
            "event: complete\ndata:\n\n"
        )


async def test_multipart_byte_for_byte(server: Any) -> None:
    async with streamed(server, "subscription { count(to: 2) }", MULTIPART) as reader:
        content_type = reader.response.headers["content-type"]
        assert content_type == 'multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"'
        text = await reader.rest()
    assert text == (
        "--graphql\r\nContent-Type: application/json\r\n\r\n"
        '{"payload":{"data":{"count":0}}}\r\n'
        "--graphql\r\nContent-Type: application/json\r\n\r\n"
        '{"payload":{"data":{"count":1}}}\r\n'
        "--graphql--\r\n"
    )
    parser = email.parser.Parser(policy=email.policy.HTTP)
    message = parser.parsestr(f"Content-Type: {content_type}\r\n\r\n{text}")
    assert [json.loads(part.get_content()) for part in message.iter_parts()] == [
        {"payload": {"data": {"count": 0}}},
        {"payload": {"data": {"count": 1}}},
    ]


@pytest.mark.parametrize("accept", STREAMS)
async def test_each_event_comes_when_it_happens(server: Any, accept: str) -> None:
    async with streamed(server, "subscription { events }", accept) as reader:
        for number in range(3):
            server.probe.events.put_nowait(number)
            part = await reader.next()
            assert result_of(part) == {"data": {"events": number}}
            assert list(part) == ["next" if accept == SSE else "payload"]


@pytest.mark.parametrize("accept", STREAMS)
@pytest.mark.parametrize(
    ("query", "data"), [("{ hello }", {"hello": "Ada"}), ("mutation { double(number: 2) }", {"double": 4})]
)
async def test_queries_and_mutations_are_one_result(server: Any, query: str, data: dict[str, Any], accept: str) -> None:
    async with streamed(server, query, accept) as reader:
        assert result_of(await reader.next()) == {"data": data}
        assert await reader.rest() == ("event: complete\ndata:\n\n" if accept == SSE else "--\r\n")


@pytest.mark.parametrize("accept", STREAMS)
@pytest.mark.parametrize("query", ["subscription {", "subscription { unknown }", "subscription { count(to: $x) }"])
async def test_a_document_that_is_refused_is_told_in_the_stream(server: Any, query: str, accept: str) -> None:
    async with streamed(server, query, accept) as reader:
        response = result_of(await reader.next())
        assert [error["extensions"]["code"] for error in response["errors"]] == ["BAD_USER_INPUT"]
        assert "data" not in response
        assert await reader.rest() == ("event: complete\ndata:\n\n" if accept == SSE else "--\r\n")


async def test_an_argument_that_is_refused_is_told_in_the_stream(server: Any) -> None:
    query = "subscription($to: Int!) { count(to: $to) }"
    async with streamed(server, query, variables={"to": "canary"}) as reader:
        text = await reader.rest()
    assert "BAD_USER_INPUT" in text
    assert "canary" not in text
    assert text.endswith("event: complete\ndata:\n\n")


@pytest.mark.parametrize(
    ("accept", "query_type", "subscription_type"),
    [
        ("application/graphql-response+json, application/json, text/event-stream, multipart/mixed", JSON, SSE),
        ("text/event-stream, multipart/mixed", SSE, SSE),
        ("application/json, text/event-stream", JSON, SSE),
        ("text/event-stream, application/json", SSE, SSE),
        ("text/event-stream;q=0.5, application/json", JSON, SSE),
        ("text/event-stream;q=0.5, multipart/mixed;subscriptionSpec=1.0", "multipart/mixed", "multipart/mixed"),
        ("multipart/mixed;subscriptionSpec=1.0, text/event-stream", "multipart/mixed", "multipart/mixed"),
        ('multipart/mixed;subscriptionSpec="1.0", application/json', "multipart/mixed", "multipart/mixed"),
        ("multipart/mixed;deferSpec=20220824, application/json", JSON, None),
        ("*/*", JSON, None),
        ("text/event-stream;q=0, */*", JSON, None),
    ],
)
async def test_what_the_client_takes(server: Any, accept: str, query_type: str, subscription_type: str | None) -> None:
    headers = {"Authorization": "Bearer good", "Accept": accept}
    async with httpx.AsyncClient(trust_env=False) as http:
        query = await http.post(server.url, json={"query": "{ hello }"}, headers=headers)
        subscription = await http.post(server.url, json={"query": "subscription { count(to: 1) }"}, headers=headers)
    assert query_type.replace("json", "") in query.headers["content-type"]
    assert query.status_code == 200
    if subscription_type is None:
        assert subscription.status_code == 400
    else:
        assert subscription.headers["content-type"].startswith(subscription_type)


async def test_get_streams_queries_and_subscriptions_but_no_mutations(server: Any) -> None:
    headers = {"Authorization": "Bearer good", "Accept": SSE}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        query = await http.get(server.url, params={"query": "{ hello }"})
        subscription = await http.get(server.url, params={"query": "subscription { count(to: 1) }"})
        mutation = await http.get(server.url, params={"query": "mutation { double(number: 1) }"})
    assert query.text == ':\n\nevent: next\ndata: {"data":{"hello":"Ada"}}\n\nevent: complete\ndata:\n\n'
    assert subscription.text == ':\n\nevent: next\ndata: {"data":{"count":0}}\n\nevent: complete\ndata:\n\n'
    assert (mutation.status_code, mutation.headers["allow"]) == (405, "POST")
    assert mutation.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("accept", STREAMS)
async def test_a_silent_stream_says_that_it_is_there(serve: Any, accept: str) -> None:
    async with (
        serve(Limits(keep_alive_seconds=0.01)) as server,
        streamed(server, "subscription { events }", accept) as reader,
    ):
        for number in range(2):
            for _ in range(3):
                await reader.heartbeat()
            server.probe.events.put_nowait(number)
            assert result_of(await reader.next()) == {"data": {"events": number}}


@pytest.mark.parametrize("accept", STREAMS)
async def test_a_client_that_leaves_ends_the_operation(server: Any, accept: str) -> None:
    async with streamed(server, "subscription { events }", accept) as reader:
        server.probe.events.put_nowait(1)
        await reader.next()
        assert server.probe.running == 1
        assert server.endpoint.open_connections == 1
    await server.probe.until(lambda: server.probe.running == 0)
    await until(lambda: server.endpoint.open_connections == 0)


async def test_an_expired_token_ends_a_stream_of_events(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve() as server:
        server.expires_at = expires_at = datetime.now(UTC) + timedelta(hours=1)
        monkeypatch.setattr(connections, "_now", lambda: expires_at - timedelta(seconds=0.01))
        async with streamed(server, "subscription { events }") as reader:
            monkeypatch.setattr(connections, "_now", lambda: expires_at)
            error = {"message": "Token expired", "extensions": {"code": "UNAUTHENTICATED"}}
            assert await reader.next() == {"next": {"errors": [error]}}
            # Too late.
            server.probe.events.put_nowait(1)
            assert await reader.rest() == "event: complete\ndata:\n\n"
        await server.probe.until(lambda: server.probe.running == 0)


async def test_an_expired_token_ends_a_multipart_stream(serve: Any) -> None:
    async with serve() as server:
        server.expires_at = datetime.now(UTC)
        async with streamed(server, "subscription { events }", MULTIPART) as reader:
            error = {"message": "Token expired", "extensions": {"code": "UNAUTHENTICATED"}}
            assert await reader.next() == {"payload": None, "errors": [error]}
            assert await reader.rest() == "--\r\n"


@pytest.mark.parametrize(
    ("accept", "told", "rest"),
    [(SSE, "next", "event: complete\ndata:\n\n"), (MULTIPART, None, "--\r\n")],
)
async def test_a_revoked_credential_ends_its_streams(serve: Any, accept: str, told: str | None, rest: str) -> None:
    async with serve() as server:
        server.credential = "api_key:b"
        async with streamed(server, "subscription { events }", accept) as other:
            server.credential = "api_key:a"
            async with streamed(server, "subscription { events }", accept) as reader:
                await server.probe.until(lambda: server.probe.running == 2)
                assert server.endpoint.credentials() == {"api_key:a", "api_key:b"}
                server.endpoint.revoke({"api_key:a": "the API key was revoked"})
                errors = [{"message": "the API key was revoked", "extensions": {"code": "UNAUTHENTICATED"}}]
                expected = {"payload": None, "errors": errors} if told is None else {told: {"errors": errors}}
                assert await reader.next() == expected
                assert await reader.rest() == rest
                # Its operation ended before, and those of others go on.
                assert server.probe.running == 1
            server.probe.events.put_nowait(1)
            assert result_of(await other.next()) == {"data": {"events": 1}}


async def test_what_is_revoked_while_the_body_comes_opens_no_stream(serve: Any) -> None:
    async with serve() as server:
        server.credential = "api_key:a"

        async def body() -> AsyncIterator[bytes]:
            yield b'{"query": '
            await until(lambda: authenticated == [1])
            server.endpoint.revoke(dict.fromkeys(server.endpoint.credentials(), "it was revoked"))
            server.failure = Unauthenticated("the API key was revoked")
            yield b'"subscription { events }"}'

        authenticated: list[int] = []
        good = server.authenticate

        async def authenticate(authorization: str | None) -> Any:
            principal = await good(authorization)
            authenticated.append(1)
            return principal

        server.authenticate = authenticate
        headers = {"accept": SSE, "authorization": "Bearer good", "content-type": "application/json"}
        async with httpx.AsyncClient(trust_env=False, timeout=120) as client:
            response = await client.post(server.url, content=body(), headers=headers)
        assert response.status_code == 401
        assert response.json()["errors"][0]["message"] == "the API key was revoked"
        assert server.endpoint.open_connections == 0


@pytest.mark.parametrize(("accept", "rest"), [(SSE, ""), (MULTIPART, "")])
async def test_a_server_that_stops_breaks_the_stream_off(serve: Any, accept: str, rest: str) -> None:
    async with serve() as server:
        async with streamed(server, "subscription { events }", accept) as reader:
            server.probe.events.put_nowait(1)
            await reader.next()
            await server.endpoint.close()
            # Neither complete nor the last boundary: the client is to come back.
            assert await reader.rest() == rest
        assert server.probe.running == 0


async def test_streams_and_websockets_count_together(serve: Any) -> None:
    async with serve(Limits(connections_per_principal=2)) as server:
        headers = {"Authorization": "Bearer good", "Accept": f"{SSE}, {JSON}"}
        async with (
            server.client() as client,
            streamed(server, "subscription { events }") as reader,
            httpx.AsyncClient(trust_env=False, headers=headers) as http,
        ):
            server.probe.events.put_nowait(1)
            await reader.next()
            refused = await http.post(server.url, json={"query": "subscription { events }"})
            assert refused.status_code == 429
            (error,) = refused.json()["errors"]
            assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
            assert "2 websockets and streams" in error["message"]
            headers["Accept"] = JSON
            assert (await http.post(server.url, json={"query": "{ hello }"}, headers=headers)).status_code == 200
            await client.socket.close()
            await client.socket.wait_closed()
            await until(lambda: server.endpoint.open_connections == 1)
            for _ in range(2):
                async with streamed(server, "subscription { count(to: 1) }") as second:
                    assert await second.next() == {"next": {"data": {"count": 0}}}
                    await second.rest()
                await until(lambda: server.endpoint.open_connections == 1)


REQUEST = (
    b"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\n"
    b"Accept: text/event-stream\r\nContent-Length: %d\r\n\r\n%b"
)


def raw_request(query: str) -> bytes:
    body = json.dumps({"query": query}).encode()
    return REQUEST % (len(body), body)


async def test_a_frozen_peer_is_released(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(Limits(send_timeout_seconds=0.1)) as server:
        # The reader's limit keeps the event loop from reading ahead.
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(raw_request("subscription { large }"))
        await writer.drain()
        await server.probe.until(lambda: server.probe.running == 1)
        await server.probe.until(lambda: server.probe.running == 0)
        await until(lambda: not server.endpoint.open_connections and not server.uvicorn.server_state.connections)
        writer.close()
    assert not caplog.records
    assert server.probe.pulled < 50


async def test_a_frozen_peer_delays_no_stop(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LAST_PART_TIMEOUT_SECONDS", 0.05)
    async with serve(Limits(send_timeout_seconds=600)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(raw_request("subscription { large }"))
        await writer.drain()
        pulled = 0
        # Until neither the kernel nor the peer takes more.
        while not pulled or server.probe.pulled > pulled:
            pulled = server.probe.pulled
            await asyncio.sleep(0.1)
        await server.endpoint.close()
        assert server.endpoint.open_connections == 0
        assert server.probe.running == 0
        await until(lambda: not server.uvicorn.server_state.connections)
        writer.close()


async def test_a_bug_ends_its_stream_with_an_error(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> AsyncIterator[Any]:
        raise RuntimeError("canary")
        yield

    async with serve() as server:
        monkeypatch.setattr(Executor, "stream", broken)
        for accept, rest in ((SSE, "event: complete\ndata:\n\n"), (MULTIPART, "--\r\n")):
            async with streamed(server, "{ hello }", accept) as reader:
                part = await reader.next()
                (error,) = (part["next"] if accept == SSE else part)["errors"]
                assert (error["message"], error["extensions"]["code"]) == ("Internal error", "INTERNAL")
                assert await reader.rest() == rest


async def test_a_slow_peer_is_never_sent_more_than_it_takes(serve: Any) -> None:
    async with serve() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.write(raw_request("subscription { large }"))
        await writer.drain()
        pulled = 0
        while pulled < 30:
            assert await reader.read(500_000)
            pulled = server.probe.pulled
            writer.transport.pause_reading()
            await asyncio.sleep(0)
            writer.transport.resume_reading()
        writer.transport.abort()
        await server.probe.until(lambda: server.probe.running == 0)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /graphql HTTP/1.1\r\nHost: x\r\n", b"GET /graphql?query={hello} HTTP/1.1\r\nHost: x\r\n\r\nGE"]
)
async def test_who_does_not_finish_a_request_is_dropped(
    serve: Any, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(uvicorn_protocol, "REQUEST_SECONDS", 0.05)
    async with serve() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        async with asyncio.timeout(120):
            with suppress(ConnectionResetError):
                await reader.read()
        writer.close()
        # Streams and websockets are no dawdlers.
        async with streamed(server, "subscription { events }") as stream, server.client() as client:
            await asyncio.sleep(0.2)
            server.probe.events.put_nowait(1)
            await stream.next()
            await client.subscribe("1", "{ hello }")
            assert (await client.receive())["payload"] == {"data": {"hello": "Ada"}}


LARGE = 12 * 1024 * 1024
"""More than the kernel keeps for a peer that does not read."""


@pytest_asyncio.fixture(loop_scope="module")
async def impatient(serve: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A server that waits only a moment for a request, and for a peer to read."""
    monkeypatch.setattr(uvicorn_protocol, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(uvicorn_protocol, "LINGER_SECONDS", 0.2)
    async with serve(Limits(message_bytes=2 * LARGE)) as server:
        yield server


def large_request() -> bytes:
    query = {"query": "query($name: String) { hello(name: $name) }", "variables": {"name": "x" * LARGE}}
    body = json.dumps(query).encode()
    return (REQUEST % (len(body), body)).replace(b"text/event-stream", b"application/json")


BROKEN = REQUEST.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"


@pytest.mark.parametrize("then", [b"", BROKEN])
async def test_a_peer_that_does_not_read_its_answer_is_dropped(impatient: Any, then: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", impatient.port, limit=1)
    writer.write(large_request() + then)
    await writer.drain()
    # No answer is an answer that never came, so wait until there is one.
    await until(lambda: impatient.uvicorn.server_state.total_requests == 1)
    await until(lambda: not impatient.uvicorn.server_state.connections)
    writer.close()


async def test_a_peer_that_reads_slowly_gets_all_of_its_answer(impatient: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port, limit=1)
    writer.write(large_request())
    await writer.drain()
    received = 0
    async with asyncio.timeout(120):
        while chunk := await reader.read(LARGE // 20):
            received += len(chunk)
            await asyncio.sleep(0.02)
    assert received > LARGE
    writer.close()
