"""HTTP/1.1 itself on a real server, byte by byte: what is read, in which order, how much of it, and what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from httptools import HttpParserError
from raw_http import exchange, read_answer

from modelwire.server.graphql import uvicorn_protocol
from modelwire.server.graphql.uvicorn_protocol import HEAD_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = b"Host: x\r\n"
WHO = b"Authorization: Bearer good\r\n"
JSON = b"Content-Type: application/json\r\n"
POST = b"POST /graphql HTTP/1.1\r\n" + HOST + WHO + JSON
GET = b"GET /graphql?query={hello} HTTP/1.1\r\n" + HOST + WHO + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
ADA = b'{"data":{"hello":"Ada"}}'


def hello(name: str, *headers: bytes) -> bytes:
    body = json.dumps({"query": "query($n: String) { hello(name: $n) }", "variables": {"n": name}}).encode()
    return POST + b"".join(headers) + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def hello_in_chunks(name: str, *headers: bytes, trailers: bytes = b"") -> bytes:
    body = b'\r\n\r\n{"query": "{ hello(name: \\"%b\\") }"}\n' % name.encode()
    chunks = b"".join(b"%x;why=not\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:10], body[10:]))
    return POST + b"".join(headers) + CHUNKED + b"\r\n" + chunks + b"0\r\n" + trailers + b"\r\n"


def named(name: str) -> tuple[int, bytes]:
    return 200, b'{"data":{"hello":"%b"}}' % name.encode()


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not predicate():  # noqa: ASYNC110 - the server has nothing to wait on
            await asyncio.sleep(0.001)


async def test_requests_that_come_at_once_are_answered_one_after_the_other(server: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(2):
        writer.write(hello("a") + hello_in_chunks("b", trailers=b"X: y\r\n") + GET + b"\r\n" + hello("d"))
        assert [await read_answer(reader) for _ in range(4)] == [named("a"), named("b"), (200, ADA), named("d")]
    writer.close()


async def test_a_request_may_come_in_any_pieces(server: Any) -> None:
    """Wherever it is cut, in its head, its body, its chunks and between two: it is read as if it came at once."""
    upgrade = b"Connection: upgrade\r\nUpgrade: h2c\r\n"
    requests = hello("a", upgrade) + hello_in_chunks("b", trailers=b"X: y\r\n") + GET
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GET)
    assert await read_answer(reader) == (200, ADA)
    (protocol,) = server.uvicorn.server_state.connections
    for cut in range(len(requests) + 1):
        protocol.data_received(requests[:cut])
        protocol.data_received(requests[cut:])
        assert [await read_answer(reader) for _ in range(3)] == [named("a"), named("b"), (200, ADA)], cut
    for byte in requests:
        protocol.data_received(bytes([byte]))
    assert [await read_answer(reader) for _ in range(3)] == [named("a"), named("b"), (200, ADA)]
    writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"nonsense\r\n\r\n",
        b"GET /graphql\r\n\r\n",
        b"GET /graphql HTTP/2.0\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /graphql HTTP/1.0\r\n" + HOST + HOST + b"\r\n",
        b"GET /graphql HTTP/1.1\n" + HOST + b"\r\n",
        b"GET /gra\0phql HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /gra\xc3\xa9phql HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET graphql HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://x HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT x:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\n\r\n",
        POST + b"Connection: Upgrade\r\nConnection: close\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Upgrade: h2c\n\r\n",
        POST + b"Upgrade: h2c\rA: b\r\n\r\n",
        POST + b"Upgrade: h2c\r\n folded\r\n\r\n",
        POST + b"A\0: b\r\n\r\n",
        POST + b"A: b\0\r\n\r\n",
        POST + b"A: b\x01\r\n\r\n",
        POST + b"A: b\rC: d\r\n\r\n",
        POST + b"A: b\r\n c\r\n\r\n",
        POST + b"A : b\r\n\r\n",
        POST + b": b\r\n\r\n",
        POST + b"A\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Content-Length: 2, 2\r\n\r\n{}",
        POST + b"Content-Length: +2\r\n\r\n{}",
        POST + b"Content-Length: -2\r\n\r\n{}",
        POST + b"Content-Length: 0x2\r\n\r\n{}",
        POST + b"Content-Length:\r\n\r\n{}",
        POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}",
        POST + b"Content-Length: 2\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
        POST + CHUNKED + b"Content-Length: 2\r\n\r\n0\r\n\r\n",
        POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n{}",
        POST + b"Transfer-Encoding:\r\n\r\n{}",
        POST + CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n2;a\r{}\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n{}\r\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n2\r\n{}0\r\n\r\n",
        POST + CHUNKED + b"\r\n2\r\n{}\n0\r\n\r\n",
        POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nA\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_400(server: Any, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    """What follows is not answered: nobody can tell where it begins."""
    answer = await exchange(server.port, sent + GET)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert ADA not in answer
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize(
    "sent",
    [
        # Not finished, and not even a line of it.
        b"GET /" + b"a" * HEAD_BYTES,
        POST + b"A: " + b"b" * HEAD_BYTES,
        POST + b"A: b\r\n" * (HEAD_BYTES // 6),
        b"\r\n" * (HEAD_BYTES // 2 + 1),
        # Finished, and all in one go.
        POST + b"A: " + b"b" * HEAD_BYTES + b"\r\n\r\n",
        POST + b"A: b\r\n" * (HEAD_BYTES // 6) + b"\r\n",
        # What is in it is no body.
        POST + CHUNKED + b"\r\n1;" + b"a" * 2 * HEAD_BYTES + b"\r\n1\r\n",
        POST + CHUNKED + b"\r\n0\r\nA: " + b"b" * 2 * HEAD_BYTES + b"\r\n\r\n",
        POST + CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * (HEAD_BYTES // 3),
        # Such lines are left out, but they are counted.
        POST + b"Upgrade: h2c\r\n" * (HEAD_BYTES // 14),
    ],
    ids=range(10),
)
async def test_a_head_has_a_limit(server: Any, sent: bytes) -> None:
    # Half of it at a time, so that all of it has come before the end of it is looked at.
    answer = await exchange(server.port, sent[: len(sent) // 2], sent[len(sent) // 2 :])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"65536 bytes" in answer


async def test_the_parser_takes_no_request_before_its_turn(server: Any) -> None:
    """Should it ever get the beginning of one too early: that is refused, too."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await until(lambda: bool(server.uvicorn.server_state.connections))
    (protocol,) = server.uvicorn.server_state.connections
    with pytest.raises(HttpParserError):
        protocol.parser.feed_data(GET + GET)
    writer.close()


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\0\n", b"GET /graphql HTTP/1.1\n", POST + b"A: b\n"])
async def test_a_wrong_line_is_not_waited_behind(server: Any, sent: bytes) -> None:
    """Whoever speaks TLS waits for an answer themselves."""
    assert (await exchange(server.port, sent)).startswith(b"HTTP/1.1 400 ")


async def test_a_head_of_nearly_the_limit_is_read(server: Any) -> None:
    get = GET.removesuffix(b"\r\n") + b"A: %b\r\n" % (b"b" * (HEAD_BYTES - 1024))
    answer = await exchange(server.port, get + b"\r\n" + get + CLOSE + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 2


async def test_a_body_in_large_chunks_and_in_small_ones_is_no_head(server: Any) -> None:
    padding = b" " * HEAD_BYTES * 3
    large = b'%x\r\n{"query": "{ hello }"}%b\r\n0\r\n\r\n' % (22 + len(padding), padding)
    small = b"1\r\n \r\n" * HEAD_BYTES + b'16\r\n{"query": "{ hello }"}\r\n0\r\n\r\n'
    requests = [POST + CHUNKED + b"\r\n" + large, POST + CHUNKED + CLOSE + b"\r\n" + small]
    answer = await exchange(server.port, *requests)
    assert answer.count(ADA) == 2


async def test_what_is_wrong_is_said_when_its_turn_comes(server: Any) -> None:
    answer = await exchange(server.port, hello("a") + b"nonsense\r\n\r\n")
    first, second = answer.find(named("a")[1]), answer.find(b"HTTP/1.1 400 ")
    assert 0 < first < second


async def test_trailers_are_no_headers(server: Any) -> None:
    request = hello_in_chunks("a", CLOSE, trailers=WHO).replace(WHO, b"", 1)
    assert (await exchange(server.port, request)).startswith(b"HTTP/1.1 401 ")


async def test_spaces_around_a_value_are_no_part_of_it(serve: Any) -> None:
    async with serve(allowed_origins=frozenset({"https://console.example"})) as server:
        request = hello("a", b"Origin:  https://console.example \t\r\n", b"Connection: close \r\n")
        assert (await exchange(server.port, request)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("upgrade", [b"h2c", b"h2c, websocket", b"TLS/1.0"])
async def test_who_would_rather_speak_another_protocol_is_answered_in_this_one(server: Any, upgrade: bytes) -> None:
    """As the client of the JDK would HTTP/2, unless it is told not to."""
    headers = (
        b"Connection: Upgrade, HTTP2-Settings\r\n",
        b"Upgrade: %b\r\n" % upgrade,
        b"HTTP2-Settings: AAMAAABk\r\n",
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(hello("a", *headers) + hello_in_chunks("b", *headers) + GET)
    assert [await read_answer(reader) for _ in range(3)] == [named("a"), named("b"), (200, ADA)]
    writer.close()


UPGRADE = (
    b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_websocket_begins_when_what_was_asked_for_before_is_answered(server: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(hello("a") + UPGRADE)
    assert await read_answer(reader) == named("a")
    async with asyncio.timeout(120):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.close()


async def test_what_comes_before_a_websocket_is_open_does_not_stop_it(server: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await until(lambda: bool(server.uvicorn.server_state.connections))
    (protocol,) = server.uvicorn.server_state.connections
    protocol.data_received(UPGRADE + b"x" * 2 * HEAD_BYTES)
    async with asyncio.timeout(120):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        # A ping, and the pong.
        writer.write(b"\x89\x80\0\0\0\0")
        assert await reader.readexactly(2) == b"\x8a\x00"
    writer.close()


async def test_http_1_0_is_answered_once(server: Any) -> None:
    request = hello("a", b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0").replace(HOST, b"")
    answer = await exchange(server.port, request + GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head
    assert b"content-length: %d" % len(body) in head
    assert body == named("a")[1]


SUBSCRIPTION = b'{"query": "subscription { count(to: 2) }"}'
STREAM = b"Accept: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (len(SUBSCRIPTION), SUBSCRIPTION)


async def test_a_stream_has_no_chunks_in_http_1_0(server: Any) -> None:
    request = (POST + STREAM).replace(b"HTTP/1.1", b"HTTP/1.0")
    head, _, body = (await exchange(server.port, request)).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    events = b"".join(b'event: next\ndata: {"data":{"count":%d}}\n\n' % number for number in (0, 1))
    assert body.endswith(events + b"event: complete\ndata:\n\n")


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_head_has_no_body(server: Any, version: bytes) -> None:
    request = (GET.removesuffix(b"\r\n") + CLOSE + b"\r\n").replace(b"GET", b"HEAD").replace(b"HTTP/1.1", version)
    head, _, body = (await exchange(server.port, request)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert not body


async def test_who_waits_to_be_asked_for_the_body_is_asked(server: Any) -> None:
    head, _, body = hello("a", b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head + b"\r\n\r\n")
    async with asyncio.timeout(120):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert await read_answer(reader) == named("a")
    # Who is refused is not asked, and what comes all the same is no request.
    writer.write(head.replace(WHO[:-2], b"A: b") + b"\r\n\r\n" + body + GET)
    assert (await read_answer(reader))[0] == 401
    assert await read_answer(reader) == (200, ADA)
    writer.close()


async def test_who_asks_on_while_a_stream_runs_waits_and_is_not_read_for_ever(server: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write((POST + STREAM).replace(b"count(to: 2)", b"events      "))
    await server.probe.until(lambda: server.probe.running == 1)
    (protocol,) = server.uvicorn.server_state.connections
    writer.transport.set_write_buffer_limits(0)
    flooding = asyncio.ensure_future(_flood(writer))
    await until(lambda: not protocol.transport.is_reading())
    # The kernel and what is read at once; more would be more than the peer can have sent unread.
    assert len(protocol._received) < 1024 * 1024
    assert len(server.uvicorn.server_state.tasks) == 1
    server.probe.events.put_nowait(1)
    async with asyncio.timeout(120):
        await reader.readuntil(b'{"events":1}}')
    # And who goes away leaves nothing behind.
    flooding.cancel()
    writer.transport.abort()
    while server.probe.running:
        server.probe.events.put_nowait(2)
        await asyncio.sleep(0.01)
    await until(lambda: not server.uvicorn.server_state.connections)


async def _flood(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while True:
            writer.write(GET * 100)
            await writer.drain()


async def test_more_than_is_read_at_once_is_answered_by_and_by(server: Any) -> None:
    """And be it refused without a look at its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GET.replace(WHO, b"A: %b\r\n" % (b"b" * 8192)) * 100)
    assert {(await read_answer(reader))[0] for _ in range(100)} == {401}
    writer.close()


async def test_who_leaves_a_stream_with_a_request_behind_it_ends_it(server: Any) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write((POST + STREAM).replace(b"count(to: 2)", b"events      ") + GET)
    await server.probe.until(lambda: server.probe.running == 1)
    (protocol,) = server.uvicorn.server_state.connections
    writer.close()
    await server.probe.until(lambda: server.probe.running == 0)
    assert protocol._idle_timer.cancelled()


@pytest.mark.parametrize("padding", [0, 3 * HEAD_BYTES])
async def test_who_leaves_before_the_answer_ends_the_operation(server: Any, padding: int) -> None:
    """However much was read: of a large body uvicorn reads no more than it must."""
    body = b'{"query": "{ event }"%b}' % (b" " * padding)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await server.probe.until(lambda: server.probe.running == 1)
    writer.close()
    await server.probe.until(lambda: server.probe.running == 0)


async def test_who_has_left_before_the_operation_begins_ends_it(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticate = server.authenticate

    async def slow(authorization: str | None) -> Any:
        await until(lambda: not server.uvicorn.server_state.connections)
        return await authenticate(authorization)

    monkeypatch.setattr(server, "authenticate", slow)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(GET.replace(b"hello", b"event"))
    await until(lambda: bool(server.uvicorn.server_state.tasks))
    writer.close()
    await until(lambda: not server.uvicorn.server_state.tasks)
    assert server.probe.running == 0


async def test_a_body_that_breaks_behind_the_answer_ends_the_connection(server: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(POST.replace(WHO, b"") + CHUNKED + b"\r\n")
    assert (await read_answer(reader))[0] == 401
    writer.write(b"nonsense\r\n")
    async with asyncio.timeout(120):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_connection_that_asks_again_has_its_time_from_the_last_answer(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(GET)
        assert await read_answer(reader) == (200, ADA)
        (protocol,) = server.uvicorn.server_state.connections
        began = protocol._quiet_since
        writer.write(GET)
        assert await read_answer(reader) == (200, ADA)
        # As the timer would that was set when the connection began.
        protocol._idle_timer.cancel()
        monkeypatch.setattr(uvicorn_protocol, "REQUEST_SECONDS", protocol.loop.time() - began)
        protocol._check(None)
        assert not protocol.transport.is_closing()
        async with asyncio.timeout(120):
            assert await reader.read() == b""
        writer.close()
