"""How the peers that are ASGI applications are served: by uvicorn, as Modelwire is."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

from .ready import PING_SECONDS


async def serve(app: Any) -> None:
    """Serve it on a free port, which is printed first, until SIGTERM."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=PING_SECONDS,
            log_config=None,
            access_log=False,
        )
        await uvicorn.Server(config).serve(sockets=[listener])
