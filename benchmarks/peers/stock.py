"""Strawberry as it comes: its own ASGI handler, with Modelwire's schema, resolvers and store behind it.

It executes for each subscriber, and asks nobody who they are, which is less work than Modelwire has. The folder of its
embedded database is the one argument.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from strawberry.asgi import GraphQL

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal
from modelwire.schema import schema
from modelwire.server.app import prepare
from modelwire.server.database import database_url, read_keyring
from modelwire.server.settings import Settings
from modelwire.store import Feed, Store, open_store

from .serving import serve

ANYBODY = Principal(subject="anybody", name="anybody", scopes=ALL_SCOPES)


class StockHandler(GraphQL[Any, None]):
    """Strawberry's handler with the context that Modelwire's resolvers want."""

    def __init__(self, store: Store, feed: Feed) -> None:
        super().__init__(schema, subscription_protocols=["graphql-transport-ws"])
        self._store = store
        self._feed = feed

    async def get_context(self, *_: Any, **__: Any) -> Any:
        return Context(ANYBODY, self._store, self._feed)


async def main() -> None:
    settings = Settings(data_dir=Path(sys.argv[1]))
    await prepare(settings)
    store = await open_store(database_url(settings), read_keyring(settings), settings.database_options)
    feed = Feed(store, bookmark_seconds=30.0)
    store.on_commit(feed.committed)
    await feed.start()
    await serve(StockHandler(store, feed))
    await feed.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
