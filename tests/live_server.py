"""The whole server in the test's own event loop, on a real socket: what it holds in memory can be looked at."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from modelwire.server.app import Services, Start, create_app
from modelwire.server.graphql import HttpProtocol, WebSocketProtocol
from modelwire.server.settings import Settings


@dataclass(frozen=True)
class LiveServer:
    """`admin_key` permits everything."""

    port: int
    services: Services
    uvicorn: uvicorn.Server
    admin_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"


@asynccontextmanager
async def live_server(
    folder: Path, *, send_buffer_bytes: int | None = None, **settings: Any
) -> AsyncIterator[LiveServer]:
    """`modelwire serve` without its process. `settings` are those of the server, besides the data folder.

    With a small `send_buffer_bytes` the kernel takes little of what a peer does not read.
    """
    made = Settings(data_dir=folder, **settings)
    starts: list[Start] = []
    app = create_app(made, starts.append)
    config = uvicorn.Config(
        app,
        lifespan="off",
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_per_message_deflate=False,
        ws_max_size=made.max_message_bytes,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # As `modelwire serve` does.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if send_buffer_bytes is not None:
            # Sockets that are accepted inherit it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        async with app.router.lifespan_context(app):
            services: Services = app.state.services
            await server.startup(sockets=[listener])
            (start,) = starts
            # The second server on a database makes none.
            admin_key = start.admin_key or settings.get("admin_key")
            assert admin_key is not None
            try:
                yield LiveServer(listener.getsockname()[1], services, server, admin_key)
            finally:
                await services.endpoint.close()
                await server.shutdown(sockets=[listener])


async def until(condition: Callable[[], bool], timeout_seconds: float = 20.0) -> None:
    """Wait for what nothing announces. Raises TimeoutError."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110 - the server has no event for its tests
            await asyncio.sleep(0.01)
