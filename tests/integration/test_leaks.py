"""Subscriptions that are cut leave nothing behind, wherever the cut comes: in the handshake, in a frame, in the middle
of the first snapshot, or long after it."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
import struct
import weakref
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from live_server import LiveServer, live_server, until

from modelwire.store import ModelConfigDraft

WARM_UP = 150
CUTS = 1_000
AT_ONCE = 10
TIMERS = 1_000
READERS = 8
"""As many connections as the store keeps open at most."""

SUBSCRIPTION = (
    "subscription { modelConfigChanged { revision ... on ModelConfigSnapshot { modelConfigs { alias params } } } }"
)
# A snapshot that no buffer takes whole, of few objects.
CONFIGS = 4
PARAM = "x" * 30_000
SNAPSHOT_BYTES = CONFIGS * len(PARAM)


@dataclass(frozen=True)
class Left:
    """What there is in the process when nobody is connected."""

    tasks: int
    descriptors: int
    objects: Counter[str]
    resident_bytes: int


async def test_a_thousand_cuts_leave_nothing(tmp_path: Path) -> None:
    rng = random.Random("cuts")
    async with live_server(tmp_path, send_buffer_bytes=8_192) as server:
        await create_configs(server)
        await cut_many(server, rng, WARM_UP)
        looks = [await left(server)]
        for _ in range(2):
            await cut_many(server, rng, CUTS // 2)
            looks.append(await left(server))
    before, middle, after = looks
    assert after.tasks == before.tasks
    assert after.descriptors == before.descriptors
    # A leak grows in both halves; a statement that is compiled and kept, or a cache that is filled, in one of them.
    halves = (middle.objects - before.objects, after.objects - middle.objects)
    assert {name: count for name, count in (halves[0] & halves[1]).items() if count > CUTS // 50} == {}
    assert after.resident_bytes - before.resident_bytes < 100 * 2**20, "absurd, whatever the allocator keeps"


async def create_configs(server: LiveServer) -> None:
    async with server.services.store.transaction(by="test") as transaction:
        for number in range(CONFIGS):
            await transaction.create(ModelConfigDraft(alias=f"large/{number}", params={"user": PARAM}))


async def change_one(server: LiveServer) -> None:
    async with server.services.store.transaction(by="test") as transaction:
        config = await transaction.find(alias="large/0")
        assert config is not None
        await transaction.update(config, ModelConfigDraft(alias=config.alias, params=config.params))


async def cut_many(server: LiveServer, rng: random.Random, count: int) -> None:
    remaining = iter(range(count))

    async def cut_some() -> None:
        for _ in remaining:
            await cut(server, rng)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(cut_some())


async def cut(server: LiveServer, rng: random.Random) -> None:
    """Subscribe, and break off somewhere."""
    loop = asyncio.get_running_loop()
    kind = rng.choice(("websocket", "websocket", "websocket", "event stream", "multipart"))
    with socket.socket() as peer:
        peer.setblocking(False)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        await loop.sock_connect(peer, ("127.0.0.1", server.port))
        request = stream_request(server, kind) if kind != "websocket" else upgrade_request(server)
        if rng.random() < 0.1:
            await loop.sock_sendall(peer, request[: rng.randrange(len(request))])
        else:
            await loop.sock_sendall(peer, request)
            if kind == "websocket" and rng.random() < 0.95:
                await read(peer, len("HTTP/1.1 101"))
                frames = conversation(server, rng)
                await loop.sock_sendall(peer, frames if rng.random() < 0.8 else frames[: rng.randrange(len(frames))])
        if rng.random() < 0.3:
            await change_one(server)
        await read(peer, rng.choice((0, rng.randrange(500), rng.randrange(SNAPSHOT_BYTES), 2 * SNAPSHOT_BYTES)))
        if rng.random() < 0.5:
            # No farewell: the connection is reset.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def read(peer: socket.socket, count: int) -> None:
    """Up to so many bytes; less when no more come for a moment, or the server hangs up."""
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError, ConnectionError):
        while count > 0:
            async with asyncio.timeout(0.05):
                received = await loop.sock_recv(peer, min(count, 16_384))
            if not received:
                return
            count -= len(received)


def upgrade_request(server: LiveServer) -> bytes:
    return (
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    ).encode()


def stream_request(server: LiveServer, kind: str) -> bytes:
    body = json.dumps({"query": SUBSCRIPTION})
    accept = "text/event-stream" if kind == "event stream" else 'multipart/mixed;subscriptionSpec="1.0"'
    return (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.admin_key}\r\n"
        f"Content-Type: application/json\r\nAccept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def conversation(server: LiveServer, rng: random.Random) -> bytes:
    """What a client sends after the upgrade: it introduces itself and subscribes, maybe twice, maybe stops one."""
    messages: list[dict[str, object]] = [
        {"type": "connection_init", "payload": {"authorization": f"Bearer {server.admin_key}"}},
        {"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}},
    ]
    if rng.random() < 0.3:
        messages.append({"type": "subscribe", "id": "2", "payload": {"query": SUBSCRIPTION}})
    if rng.random() < 0.3:
        messages.append({"type": "complete", "id": "1"})
    return b"".join(text_frame(json.dumps(message)) for message in messages)


def text_frame(text: str) -> bytes:
    """Masked with zeros, which leaves the text as it is."""
    payload = text.encode()
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack("!H", len(payload))
    return b"\x81" + length + b"\0\0\0\0" + payload


async def drop_cancelled_timers() -> None:
    """asyncio keeps timers that were cancelled until they are due, or more than a hundred and most of all."""
    loop = asyncio.get_running_loop()
    for _ in range(TIMERS):
        loop.call_later(3_600, int).cancel()
    await asyncio.sleep(0)


async def left(server: LiveServer) -> Left:
    """Wait until nobody is connected, and look."""
    state, services = server.uvicorn.server_state, server.services
    await until(lambda: not state.connections and not state.tasks and services.endpoint.open_connections == 0)
    watches = services.feed._watches
    await until(lambda: not (watches._all or watches._by_alias or watches._by_id))
    # Readers at once, so that the store has opened all the connections that it keeps.
    await asyncio.gather(*(services.store.revision() for _ in range(4 * READERS)))
    # Whatever runs for a moment, such as a poll, is not always there.
    tasks = 10_000
    for _ in range(20):
        await asyncio.sleep(0.01)
        tasks = min(tasks, len(asyncio.all_tasks()))
    await drop_cancelled_timers()
    gc.collect()
    # But for dead weak references, of which some hundred come and go: they hold nothing.
    things = (thing for thing in gc.get_objects() if not (type(thing) is weakref.ref and thing() is None))
    objects = Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in things)
    return Left(
        tasks=tasks,
        descriptors=psutil.Process().num_fds(),
        objects=objects,
        resident_bytes=psutil.Process().memory_info().rss,
    )
