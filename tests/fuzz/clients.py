"""Sending requests: over HTTP in each of its forms, and over one websocket with operations that stay open."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
from live_server import LiveServer
from websockets.asyncio.client import ClientConnection, connect

WAIT_SECONDS = 120.0
"""Longer than anything takes: what does not answer in that time hangs."""
OPEN_OPERATIONS = 5

JSON_TYPES = ("application/json", "application/graphql-response+json", "*/*", None)


@dataclass(frozen=True)
class Answer:
    """What came back. `status` None: over a websocket."""

    payload: dict[str, Any]
    status: int | None = None


class Http:
    def __init__(self, server: LiveServer, key: str) -> None:
        self._url = server.url
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.AsyncClient(headers=headers, trust_env=False, timeout=WAIT_SECONDS)

    async def close(self) -> None:
        await self._client.aclose()

    async def send(self, body: bytes, accept: str | None) -> Answer:
        headers = {"content-type": "application/json", "accept": accept or ""}
        response = await self._client.post(self._url, content=body, headers=headers)
        return Answer(response.json(), response.status_code)

    async def stream(self, body: bytes) -> Answer:
        """Over server-sent events: the first, whatever it is."""
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
            if response.headers["content-type"].split(";")[0] != "text/event-stream":
                return Answer(json.loads(await response.aread()), response.status_code)
            async with aclosing(response.aiter_lines()) as lines:
                return Answer(await _first_event(lines), response.status_code)


async def _first_event(lines: AsyncIterator[str]) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data: "):
            payload: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return payload
    raise AssertionError("the stream ended without an event")


@dataclass
class WebSocket:
    """An acknowledged socket. Subscriptions stay open, the latest few, so that later mutations come through them.

    `events` are what they were told since somebody looked.
    """

    socket: ClientConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    _sent: int = 0
    _open: deque[str] = field(default_factory=deque)

    @classmethod
    async def open(cls, server: LiveServer, key: str) -> WebSocket:
        url = server.url.replace("http", "ws")
        socket = await connect(url, subprotocols=["graphql-transport-ws"], proxy=None, max_size=None)  # type: ignore[list-item]
        opened = cls(socket)
        await opened._send({"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}})
        assert (await opened._receive())["type"] == "connection_ack"
        return opened

    async def close(self) -> None:
        await self.socket.close()

    async def send(self, body: bytes, *, subscription: bool) -> Answer:
        """Subscribe, and give the first answer."""
        self._sent += 1
        id_ = f"op{self._sent}"
        await self.socket.send(f'{{"type": "subscribe", "id": "{id_}", "payload": {body.decode()}}}')
        first: Answer | None = None
        while True:
            message = await self._receive()
            if message["type"] == "complete" and message["id"] in self._open:
                self._open.remove(message["id"])
            elif message["id"] != id_:
                self.events.append(message["payload"])
            elif message["type"] == "error":
                return Answer({"errors": message["payload"]})
            elif message["type"] == "complete":
                assert first is not None, "complete without a result"
                return first
            else:
                first = Answer(message["payload"])
                if subscription:
                    await self._keep(id_)
                    return first

    async def _keep(self, id_: str) -> None:
        self._open.append(id_)
        if len(self._open) > OPEN_OPERATIONS:
            await self._send({"type": "complete", "id": self._open.popleft()})

    async def _send(self, message: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message))

    async def _receive(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            message: dict[str, Any] = json.loads(await self.socket.recv())
            return message


async def send(http: Http, websocket: WebSocket, body: bytes, rng: random.Random, *, subscription: bool) -> Answer:
    """By one of the ways that the server offers."""
    way = rng.random()
    if way < 0.45:
        return await websocket.send(body, subscription=subscription)
    if way < 0.55 or (subscription and way < 0.9):
        return await http.stream(body)
    return await http.send(body, rng.choice(JSON_TYPES))
