"""Random bodies, query strings, headers and frames: each gets an answer or a close code that says what is wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from fuzz.clients import WAIT_SECONDS
from fuzz.values import FLOATS, INTS, STRINGS, WRONG_INTS
from live_server import LiveServer, live_server, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

# Those of graphql-transport-ws, and of a socket: not UTF-8, too big.
CLOSE_CODES = {4400, 4401, 4409, 4429, 1007, 1009}
METHODS = ("POST", "POST", "POST", "GET", "PUT", "OPTIONS", "HEAD", "DELETE")
CONTENT_TYPES = (
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "application/json; charset=\x80",
    "APPLICATION/JSON;;;",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/graphql",
    "",
    "/",
)
ACCEPTS = (
    "*/*",
    "application/json",
    "application/graphql-response+json;q=0.5, application/json;q=x",
    "text/event-stream",
    "multipart/mixed;subscriptionSpec=1.0",
    "image/png",
    ",,;q=",
    "application/json;q=1e400",
    "text/*",
)
ENCODINGS = (None, None, None, "identity", "gzip", "deflate, br")
TYPES = ("connection_init", "subscribe", "complete", "ping", "pong", "next", "error", "connection_ack", "start", "")
DOCUMENTS = (
    "{ viewer { name } }",
    "{",
    "",
    "subscription { modelConfigChanged { revision } }",
    "mutation { __typename }",
    '{ modelConfig(by: {alias: "\\uD83D\\uDE00"}) { alias } }',
    '{ modelConfig(by: {alias: "\\uD83D"}) { alias } }',
    '{ modelConfig(by: {alias: "\\u{110000}"}) { alias } }',
)


@pytest.fixture(params=[250, pytest.param(3_000, marks=pytest.mark.long)])
def count(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def seed(count: int) -> str:
    seed = os.environ.get("FUZZ_SEED") or ("modelwire" if count <= 250 else secrets.token_hex(4))
    print(f"FUZZ_SEED={seed}")
    return seed


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.name != "uvicorn.error"] == []


def any_json(rng: random.Random, depth: int = 3) -> Any:
    """Any value of JSON, and lone surrogates, which are none."""
    kind = rng.randrange(6) if depth else 5
    if kind == 0:
        return [any_json(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind <= 2:
        keys = ("query", "variables", "operationName", "extensions", "id", "type", "payload", "authorization", "", "\0")
        return {rng.choice(keys): any_json(rng, depth - 1) for _ in range(rng.randrange(5))}
    return rng.choice(
        (None, True, False, rng.choice(INTS), rng.choice(WRONG_INTS), rng.choice(FLOATS), *STRINGS, "\ud800")
    )


def maybe(rng: random.Random, right: Any) -> Any:
    return right if rng.random() < 0.7 else any_json(rng)


def mangled(rng: random.Random, text: bytes) -> bytes:
    """Mostly as it is."""
    match rng.randrange(8):
        case 0:
            at = rng.randrange(len(text) + 1)
            return text[:at] + rng.randbytes(rng.randrange(1, 8)) + text[at:]
        case 1:
            return text[: rng.randrange(len(text) + 1)]
        case 2:
            return rng.choice((b"[", b'{"a":', b'{"query":"', b"\xff\xfe", b"NaN", b"1e999", b"", b"\0")) * rng.choice(
                (1, 300, 100_000)
            )
        case _:
            return text


def any_body(rng: random.Random) -> bytes:
    request = {
        "query": maybe(rng, rng.choice(DOCUMENTS)),
        "variables": maybe(rng, rng.choice((None, {}, {"a": 1}))),
        "operationName": maybe(rng, None),
        "extensions": maybe(rng, {}),
    }
    value = request if rng.random() < 0.8 else any_json(rng)
    return mangled(rng, json.dumps(value).encode())


async def test_requests(tmp_path: Path, count: int, seed: str) -> None:
    statuses = Counter[int]()
    async with (
        live_server(tmp_path) as server,
        httpx.AsyncClient(trust_env=False, timeout=WAIT_SECONDS, follow_redirects=False) as client,
    ):
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            method, body = rng.choice(METHODS), any_body(rng)
            headers = {
                "authorization": f"Bearer {server.admin_key}"
                if rng.random() < 0.9
                else rng.choice(("", "Bearer", "x y z")),
                "content-type": rng.choice(CONTENT_TYPES).encode("latin-1"),
                "accept": rng.choice(ACCEPTS),
                "content-encoding": rng.choice(ENCODINGS),
            }
            query = "&".join(
                f"{name}={quote_from_bytes(mangled(rng, json.dumps(any_json(rng, 1)).encode()))[:2_000]}"
                for name in ("variables", "operationName", "extensions", "other")
                if rng.random() < 0.2
            )
            url = f"{server.url}?query={quote_from_bytes(rng.choice(DOCUMENTS).encode())}&{query}"
            given = [(name, value) for name, value in headers.items() if value is not None]
            try:
                statuses[await _request(client, method, url, body, given, server)] += 1
            except Exception as error:
                raise AssertionError(
                    f"FUZZ_SEED={seed}, request {number}: {method} {url} {given} {body[:500]!r}"
                ) from error
    assert {200, 400, 401, 405, 406, 415} <= statuses.keys(), statuses


async def _request(
    client: httpx.AsyncClient, method: str, url: str, body: bytes, headers: list[tuple[str, Any]], server: LiveServer
) -> int:
    """The status. A stream is read up to its first part."""
    async with client.stream(
        method, url if method != "POST" else server.url, content=body if method != "GET" else None, headers=headers
    ) as response:
        assert response.status_code < 500
        media_type = response.headers.get("content-type", "").split(";")[0]
        if media_type in {"application/json", "application/graphql-response+json"} and method != "HEAD":
            answer = json.loads(await response.aread())
            assert answer.keys() & {"data", "errors"}
            for error in answer.get("errors", []):
                assert error["extensions"]["code"] != "INTERNAL"
        elif media_type in {"text/event-stream", "multipart/mixed"}:
            text = ""
            async for chunk in response.aiter_text():
                text += chunk
                if "data" in text or "errors" in text:
                    break
            assert '"INTERNAL"' not in text
    return response.status_code


def any_frame(rng: random.Random) -> bytes | str:
    payload = maybe(rng, json.loads(any_body_of_json(rng)))
    message = {"type": maybe(rng, rng.choice(TYPES)), "id": maybe(rng, rng.choice(("a", "b"))), "payload": payload}
    raw = mangled(rng, json.dumps(message if rng.random() < 0.9 else any_json(rng)).encode())
    # A binary frame, or a text frame, in which websockets lets nothing but UTF-8 pass.
    return raw if rng.random() < 0.1 else raw.decode(errors="replace")


def any_body_of_json(rng: random.Random) -> bytes:
    return json.dumps(
        {"query": rng.choice(DOCUMENTS), "variables": maybe(rng, {}), "extensions": maybe(rng, {})}
    ).encode()


async def test_frames(tmp_path: Path, count: int, seed: str) -> None:
    ends = Counter[int]()
    async with live_server(tmp_path) as server:
        for number in range(count // 5):
            rng = random.Random(f"{seed} {number}")
            frames = [any_frame(rng) for _ in range(rng.choice((1, 2, 5, 10)))]
            try:
                ends[await _conversation(server, rng, frames)] += 1
            except Exception as error:
                raise AssertionError(f"FUZZ_SEED={seed}, conversation {number}: {str(frames)[:5_000]}") from error
        await until(lambda: server.services.endpoint.open_connections == 0)
    # Both kinds of end are there: otherwise all this says little.
    assert ends[1000] > 0
    assert ends[4400] > 0


async def _conversation(server: LiveServer, rng: random.Random, frames: list[bytes | str]) -> int:
    """Send the frames, mostly after an introduction. With which code the server closed; 1000: it did not."""
    url = server.url.replace("http", "ws")
    async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None, max_size=None) as socket:  # type: ignore[list-item]
        try:
            if rng.random() < 0.8:
                init = {"type": "connection_init", "payload": {"authorization": f"Bearer {server.admin_key}"}}
                await socket.send(json.dumps(init))
            for frame in frames:
                await socket.send(frame)
            # Its answer says that all before it was taken.
            await socket.send('{"type": "subscribe", "id": "last", "payload": {"query": "{ __typename }"}}')
            await _until_last(socket)
        except ConnectionClosed as closed:
            received = closed.rcvd
        else:
            return 1000
    assert received is not None, "the socket was dropped without a close code"
    assert received.code in CLOSE_CODES, received
    return received.code


async def _until_last(socket: ClientConnection) -> None:
    while True:
        async with asyncio.timeout(WAIT_SECONDS):
            message = json.loads(await socket.recv())
        assert "INTERNAL" not in json.dumps(message)
        if message["type"] in {"complete", "error"} and message["id"] == "last":
            return
