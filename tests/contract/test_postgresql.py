"""What only PostgreSQL can do to us: be away, be slow, say no."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest
from postgres import Databases, PostgresServer
from sqlalchemy import make_url, text

from modelwire.store import (
    DatabaseOptions,
    Keyring,
    ModelConfigDraft,
    Selector,
    Store,
    StoreError,
    StoreUnavailable,
    database_location,
    migrate,
    open_store,
)

KEYRING = Keyring.parse("A" * 43)
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid()"
)


@asynccontextmanager
async def opened(url: str, **options: float) -> AsyncIterator[Store]:
    store = await open_store(url, KEYRING, DatabaseOptions(**options))  # type: ignore[arg-type] - by name
    try:
        yield store
    finally:
        await store.close()


async def write(store: Store, model: str) -> int:
    async with store.transaction(by="test") as transaction:
        config = await transaction.find(alias="general")
        assert config is not None
        return (await transaction.update(config, ModelConfigDraft(alias="general", model=model))).revision


async def test_urls_are_taken_as_people_write_them(postgres_url: str) -> None:
    rest = postgres_url.partition("://")[2]
    ids = set()
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        migrate(f"{scheme}://{rest}")
        async with opened(f"{scheme}://{rest}") as store:
            ids.add(store.id)
    assert len(ids) == 1


def test_a_location_shows_neither_user_nor_password() -> None:
    location = database_location("postgres://someone:hunter2@db.example:6432/models?sslpassword=hunter3")
    assert location == "the PostgreSQL database models on db.example:6432"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"password": "hunter2"}, StoreUnavailable, "password authentication failed"),
        ({"port": 1, "password": "hunter2"}, StoreUnavailable, "cannot be reached.*refused"),
        ({"database": "missing", "password": None}, StoreUnavailable, "does not exist"),
        ({"database": "", "password": "hunter2"}, StoreError, "names no database"),
        ({"drivername": "postgresql+asyncpg", "password": "hunter2"}, StoreError, "driver"),
    ],
)
async def test_what_cannot_be_opened_is_said_without_the_password(
    postgres: Databases, change: dict[str, str | int | None], error: type[StoreError], message: str
) -> None:
    given = {name: value for name, value in change.items() if value is not None}
    url = postgres.server.set(**given)  # type: ignore[arg-type] - by name
    password = str(url.password)
    text = url.render_as_string(hide_password=False)
    with pytest.raises(error, match=message) as migrated:
        migrate(text)
    with pytest.raises(error, match=message) as found:
        await open_store(text, KEYRING)
    for caught in (migrated.value, found.value):
        assert password not in "".join(traceback.format_exception(caught))


async def test_who_waits_for_too_long_is_told_so(postgres_url: str) -> None:
    async with opened(postgres_url, statement_timeout_seconds=0.1) as store:
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT FROM store_meta FOR UPDATE")
            with pytest.raises(StoreUnavailable, match="longer than the statement timeout"):
                await write(store, "gpt-5")
            # Readers do not wait for writers.
            assert len((await store.snapshot(Selector())).configs) == 2
        assert await write(store, "gpt-5") == 2


async def test_the_pool_has_a_limit(postgres_url: str) -> None:
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'modelwire'"
    )
    async with opened(postgres_url, pool_size=2) as store:
        await asyncio.gather(*(store.snapshot(Selector()) for _ in range(30)))
        with psycopg.connect(postgres_url) as other:
            assert other.execute(count).fetchall() == [(2,)]


async def test_reads_cannot_write(postgres_url: str) -> None:
    async with opened(postgres_url) as store:
        with pytest.raises(StoreUnavailable, match="read-only"):
            async with store._database.read() as connection:
                await connection.execute(text("UPDATE store_meta SET revision = revision"))


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_database_that_comes_back_is_used_again(own_postgres: Callable[..., PostgresServer], end: str) -> None:
    server = own_postgres(durable=True)
    url = Databases(server.url).create()
    async with opened(url) as store:
        await asyncio.gather(*(store.revision() for _ in range(8)))
        assert await write(store, "before") == 2
        await asyncio.to_thread(getattr(server, end))
        for attempt in (store.revision(), write(store, "meanwhile")):
            with pytest.raises(StoreUnavailable, match=rf"{make_url(url).database}.*(cannot be reached|stopping)"):
                await attempt
        await asyncio.to_thread(server.start)
        # The first of each: connections that died in the pool are noticed before they are used.
        assert await write(store, "after") == 3
        assert await asyncio.gather(*(store.revision() for _ in range(8))) == [3] * 8


async def test_a_connection_that_dies_in_a_transaction_undoes_it(postgres_url: str) -> None:
    kill = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND state = 'idle in transaction'"""

    async def die(store: Store) -> None:
        async with store.transaction(by="test") as transaction:
            await transaction.create(ModelConfigDraft(alias="a"))
            with psycopg.connect(postgres_url, autocommit=True) as other:
                assert other.execute(kill).fetchall() == [(True,)]

    async with opened(postgres_url) as store:
        with pytest.raises(StoreUnavailable):
            await die(store)
        assert await store.find(alias="a") is None
        assert await write(store, "after") == 2


async def test_a_connection_that_breaks_after_a_read_does_not_take_the_read_along(postgres_url: str) -> None:
    """Found by tests/guarantees (round fan.1): the driver's own error came out of the rollback at the end."""
    async with opened(postgres_url) as store:
        async with store._database.read() as connection:
            found = (await connection.execute(text("SELECT 1"))).scalar_one()
            with psycopg.connect(postgres_url, autocommit=True) as admin:
                admin.execute(END_SESSIONS)
        assert found == 1
        assert await write(store, "the pool has let go of it") == 2
