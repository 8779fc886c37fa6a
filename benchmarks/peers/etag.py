"""What is polled with ETags: a small Starlette application that answers 304 to who has the current version already.

`/configs/{alias}` asks Modelwire's store who it is and which version is current: a server that is polled hears of
nothing by itself. `/constant` answers the same without a look at anything, which is what polling costs at least. Its
arguments are the folder of its embedded database, and a key that may poll.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from modelwire.resolvers.api_keys import verify_api_key
from modelwire.server.app import prepare
from modelwire.server.database import database_url, read_keyring
from modelwire.server.settings import Settings
from modelwire.store import Store, open_store

from .serving import serve


def answer(request: Request, alias: str, version: int) -> Response:
    """304 to who has this version, else the whole."""
    etag = f'"{version}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"etag": etag, "content-length": "0"})
    return JSONResponse({"alias": alias, "version": version}, headers={"etag": etag})


def application(store: Store) -> Starlette:
    async def config(request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        await verify_api_key(store, token, datetime.now(UTC))
        found = await store.find(alias=request.path_params["alias"])
        return Response(status_code=404) if found is None else answer(request, found.alias, found.version)

    async def constant(request: Request) -> Response:
        return answer(request, "general", 1)

    return Starlette(routes=[Route("/configs/{alias}", config), Route("/constant", constant)])


async def main() -> None:
    settings = Settings(data_dir=Path(sys.argv[1]), admin_key=SecretStr(sys.argv[2]))
    await prepare(settings)
    store = await open_store(database_url(settings), read_keyring(settings), settings.database_options)
    await serve(application(store))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
