"""The databases that the contract suite runs against, and what differs between them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelwire.store import Keyring, Store, migrate, open_store

KEYS = "test:" + "A" * 43


@dataclass(frozen=True)
class Backend:
    """One kind of database. `new_url` names a database that does not exist yet, `dump` gives all that one holds."""

    new_url: Callable[[], str]
    dump: Callable[[str], bytes]
    keys: str = KEYS

    def make(self) -> str:
        """A new migrated database's URL."""
        url = self.new_url()
        migrate(url)
        return url

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Store]:
        store = await open_store(url, Keyring.parse(self.keys))
        try:
            yield store
        finally:
            await store.close()


def _sqlite(folder: Path) -> Backend:
    def dump(url: str) -> bytes:
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))

    return Backend(new_url=lambda: f"sqlite:///{folder}/{secrets.token_hex(4)}.db", dump=dump)


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return {"sqlite": _sqlite}[request.param](tmp_path)


@pytest.fixture
def url(backend: Backend) -> str:
    return backend.make()


@pytest.fixture
async def store(backend: Backend, url: str) -> AsyncIterator[Store]:
    async with backend.open(url) as store:
        yield store


@pytest.fixture
async def open_again(backend: Backend, url: str) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Opens further Stores on the database of `store`, as other processes would have them."""
    async with AsyncExitStack() as stores:
        yield lambda: stores.enter_async_context(backend.open(url))


@pytest.fixture
async def other_store(open_again: Callable[[], Awaitable[Store]]) -> Store:
    return await open_again()
