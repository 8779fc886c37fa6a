"""Requests with something wrong in them, in one go and in pieces: what is answered must not depend on the cuts.

Where it did, what is one request to a proxy could be two to us.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from modelwire.server.graphql import HttpProtocol

REQUESTS = (
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{} \r\n\r\n",
    b"POST /a?x=%20#f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n{}\n\r\n0\r\nT: v\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b"%", b"\xff", b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1", b"GET "),
    *(b"Upgrade: websocket\r\n", b"upgrade:", b"Connection: Upgrade\r\n", b"Host: y\r\n"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
)


@pytest.fixture(params=[100, pytest.param(3_000, marks=pytest.mark.long)])
def count(request: pytest.FixtureRequest) -> int:
    return int(request.param)


async def _app(_scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return


def _spoiled(chance: random.Random) -> bytes:
    data = bytearray(b"".join(chance.choices(REQUESTS, k=chance.randint(1, 5))))
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(3):
            case 0:
                data[at:at] = chance.choice(PIECES)
            case 1:
                del data[at : at + chance.randint(1, 4)]
            case _:
                data[at : at + 1] = chance.randbytes(1)
    return bytes(data)


async def _answers(config: uvicorn.Config, data: bytes, cuts: Sequence[int]) -> bytes:
    """What a connection writes on which `data` comes, cut here."""
    ours, peer = socket.socketpair()
    peer.setblocking(False)
    protocol = HttpProtocol(config=config, server_state=ServerState(), app_state={})
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, ours)
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        if not transport.is_closing():
            protocol.data_received(data[start:end])
        await _settle()
    try:
        return peer.recv(1024 * 1024)
    except BlockingIOError:
        return b""
    finally:
        transport.abort()
        await _settle()
        peer.close()


async def _settle() -> None:
    """Until the app waits: it waits for what comes alone, and a request takes fewer steps."""
    for _ in range(15):
        await asyncio.sleep(0)


async def test_what_is_answered_does_not_depend_on_the_cuts(count: int, caplog: pytest.LogCaptureFixture) -> None:
    seed = os.environ.get("FUZZ_SEED") or ("modelwire" if count <= 100 else secrets.token_hex(4))
    print(f"FUZZ_SEED={seed}")
    chance = random.Random(seed)
    config = uvicorn.Config(_app, lifespan="off", log_config=None, access_log=False, ws="none")
    config.load()
    answered = 0
    for _ in range(count):
        data = _spoiled(chance)
        whole = await _answers(config, data, ())
        answered += whole.count(b" 200 OK")
        some = sorted(chance.choices(range(len(data) + 1), k=3))
        for cuts in (some, range(1, len(data))):
            assert await _answers(config, data, cuts) == whole, (data, cuts)
    assert answered > count // 2
    assert all(record.levelno <= logging.WARNING and record.exc_info is None for record in caplog.records)
