"""A small schema on a real uvicorn with real sockets, in the loop of the test."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio
import strawberry
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from modelwire.resolvers.access import Principal
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server.graphql import GraphQLEndpoint, HttpProtocol, Limits, WebSocketProtocol

TOKEN = "Bearer good"


@dataclass
class Probe:
    """What the test sees of the resolvers, and how it steers them."""

    events: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    running: int = 0
    """How many sources of subscriptions are open."""
    pulled: int = 0
    """How many large events were asked for."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(120), self.changed:
            await self.changed.wait_for(predicate)

    @asynccontextmanager
    async def source(self) -> AsyncIterator[None]:
        await self._run(1)
        try:
            yield
        finally:
            # A source may wait while it cleans up, and is waited for.
            await asyncio.sleep(0)
            await self._run(-1)

    async def _run(self, change: int) -> None:
        async with self.changed:
            self.running += change
            self.changed.notify_all()

    async def pull(self) -> None:
        async with self.changed:
            self.pulled += 1
            self.changed.notify_all()


@dataclass
class RequestContext:
    principal: Principal
    probe: Probe


Info = strawberry.Info[RequestContext, None]


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, info: Info, name: str | None = None) -> str:
        return name or info.context.principal.name

    @strawberry.field
    def extension(self, info: Info) -> str | None:
        value: str | None = info.input_extensions.get("word")
        return value

    @strawberry.field
    async def event(self, info: Info) -> int:
        async with info.context.probe.source():
            return await info.context.probe.events.get()

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("canary in a bug")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def double(self, number: int) -> int:
        return 2 * number


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def events(self, info: Info) -> AsyncGenerator[int, None]:
        async with info.context.probe.source():
            while True:
                yield await info.context.probe.events.get()

    @strawberry.subscription
    async def large(self, info: Info) -> AsyncGenerator[str, None]:
        async with info.context.probe.source():
            while True:
                await info.context.probe.pull()
                yield "x" * 500_000


SCHEMA = strawberry.Schema(Query, Mutation, Subscription)


@dataclass
class Running:
    """A server that runs. `principal` is who a good token is; `failure` is what authentication raises."""

    port: int
    endpoint: GraphQLEndpoint
    uvicorn: uvicorn.Server
    probe: Probe
    expires_at: datetime | None = None
    credential: str = ""
    failure: Exception | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    async def authenticate(self, authorization: str | None) -> Principal:
        if self.failure is not None:
            raise self.failure
        if authorization != TOKEN:
            raise Unauthenticated("a bearer token is needed")
        return Principal(
            subject="api_key:a",
            name="Ada",
            scopes=frozenset(),
            credential=self.credential,
            expires_at=self.expires_at,
        )

    def connect(self, **options: Any) -> connect:
        """Open a websocket, without introducing oneself."""
        options.setdefault("subprotocols", ["graphql-transport-ws"])
        return connect(self.url.replace("http", "ws"), proxy=None, max_size=None, **options)

    @asynccontextmanager
    async def client(self, **payload: Any) -> AsyncIterator[Client]:
        """A websocket that is acknowledged."""
        async with self.connect() as socket_:
            client = Client(socket_)
            await client.send(type="connection_init", payload={"authorization": TOKEN, **payload})
            assert (await client.receive())["type"] == "connection_ack"
            yield client


@dataclass
class Client:
    socket: ClientConnection

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(120):
            message: dict[str, Any] = json.loads(await self.socket.recv())
            return message

    async def subscribe(self, id_: str, query: str, **payload: Any) -> None:
        await self.send(type="subscribe", id=id_, payload={"query": query, **payload})

    async def closed(self) -> tuple[int, str]:
        """Wait for the server to close the socket: with which code and reason."""
        with pytest.raises(ConnectionClosed) as caught:
            await self.receive()
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code, caught.value.rcvd.reason


Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def serve() -> Serve:
    @asynccontextmanager
    async def running(limits: Limits = Limits(), **options: Any) -> AsyncIterator[Running]:  # noqa: B008 - frozen
        listener = socket.create_server(("127.0.0.1", 0))
        probe = Probe()

        async def authenticate(authorization: str | None) -> Principal:
            return await server.authenticate(authorization)

        endpoint = GraphQLEndpoint(
            SCHEMA,
            authenticate=authenticate,
            context=lambda principal: RequestContext(principal, probe),
            limits=limits,
            **options,
        )
        config = uvicorn.Config(
            endpoint,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_per_message_deflate=False,
            ws_max_size=limits.message_bytes,
            lifespan="off",
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
        config.load()
        uvicorn_server = uvicorn.Server(config)
        uvicorn_server.lifespan = config.lifespan_class(config)
        await uvicorn_server.startup(sockets=[listener])
        server = Running(listener.getsockname()[1], endpoint, uvicorn_server, probe)
        try:
            yield server
        finally:
            await endpoint.close()
            await uvicorn_server.shutdown(sockets=[listener])
            listener.close()

    return running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(serve: Serve) -> AsyncIterator[Running]:
    async with serve() as running:
        yield running
