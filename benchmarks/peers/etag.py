"""What polling costs at least: a small Starlette application that answers 304 to who has the current state already."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

REVISION = '"17"'


async def config(request: Request) -> Response:
    if request.headers.get("if-none-match") == REVISION:
        return Response(status_code=304, headers={"etag": REVISION, "content-length": "0"})
    return JSONResponse({"alias": request.path_params["alias"]}, headers={"etag": REVISION})


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(listener.getsockname()[1], flush=True)
        app = Starlette(routes=[Route("/configs/{alias}", config)])
        await uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)).serve([listener])


if __name__ == "__main__":
    asyncio.run(main())
