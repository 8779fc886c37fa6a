"""The databases that the contract suite runs against, and what differs between them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from postgres import Databases
from psycopg import sql

from modelwire.store import Keyring, Store, migrate, open_store

KEYS = "test:" + "A" * 43


@dataclass(frozen=True)
class Backend:
    """One kind of database. `new_url` names a database that nothing was written to, `make` one that was migrated;
    `dump` gives all that one holds.
    """

    name: str
    new_url: Callable[[], str]
    make: Callable[[], str]
    dump: Callable[[str], bytes]
    keys: str = KEYS

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Store]:
        store = await open_store(url, Keyring.parse(self.keys))
        try:
            yield store
        finally:
            await store.close()


def _sqlite(folder: Path) -> Backend:
    def new_url() -> str:
        return f"sqlite:///{folder}/{secrets.token_hex(4)}.db"

    def make() -> str:
        url = new_url()
        migrate(url)
        return url

    def dump(url: str) -> bytes:
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))

    return Backend("sqlite", new_url, make, dump)


def _postgresql(databases: Databases, made: list[str]) -> Backend:
    def new_url(*, migrated: bool = False) -> str:
        made.append(databases.create(migrated=migrated))
        return made[-1]

    def dump(url: str) -> bytes:
        # Every column of every table, bytes as they are.
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            rows: list[bytes] = []
            for (table,) in tables:
                with connection.cursor().copy(
                    sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(table))
                ) as copy:
                    rows.extend(bytes(chunk) for chunk in copy)
        return b"".join(rows)

    return Backend("postgresql", new_url, lambda: new_url(migrated=True), dump)


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "sqlite":
        yield _sqlite(tmp_path)
        return
    databases: Databases = request.getfixturevalue("postgres")
    made: list[str] = []
    yield _postgresql(databases, made)
    for url in made:
        databases.drop(url)


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
