"""A database comes to life once, with the tables that the code works with."""

from __future__ import annotations

import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from modelwire.store import (
    DEFAULT_ALIASES,
    Keyring,
    SchemaMismatch,
    Selector,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    migrate,
    open_store,
)
from modelwire.store.migrate import _alembic_config, _known_revisions
from modelwire.store.tables import metadata

KEYRING = Keyring.parse("A" * 43)

# `modelwire.store.migrate` is the function of that name, to Python's attribute look-up.
MODULE = sys.modules["modelwire.store.migrate"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "with space, 100% & ünï?#.db"


@pytest.fixture
def url(path: Path) -> str:
    # The characters that a URL would read as something else, percent-encoded by whoever writes the URL.
    return f"sqlite:///{path}".replace("?", "%3F").replace("#", "%23")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return tmp_path / "modelwire.db"


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def execute(path: Path, *statements: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [row for statement in statements for row in connection.execute(statement).fetchall()]
    finally:
        connection.close()


def test_the_migrations_make_the_tables_that_the_code_uses(plain: Path) -> None:
    migrate(f"sqlite:///{plain}")
    engine = create_engine(f"sqlite:///{plain}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        checks = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'store_meta'").scalar_one()
    engine.dispose()
    assert "CHECK (id = 1)" in checks


async def test_migrating_again_changes_nothing(plain: Path) -> None:
    url = f"sqlite:///{plain}"
    migrate(url)
    store = await open_store(url, KEYRING)
    before = store.id, await store.snapshot(Selector())
    await store.close()
    migrate(url)
    store = await open_store(url, KEYRING)
    assert (store.id, await store.snapshot(Selector())) == before
    await store.close()
    assert len(before[0]) == 12
    assert before[0].isalnum()


def test_the_file_survives_power_loss_and_lets_readers_in(plain: Path) -> None:
    migrate(f"sqlite:///{plain}")
    assert execute(plain, "PRAGMA journal_mode") == [("wal",)]


async def test_every_connection_is_synchronous_and_keeps_foreign_keys(plain: Path) -> None:
    url = f"sqlite:///{plain}"
    migrate(url)
    store = await open_store(url, KEYRING)
    async with store._database.write() as connection:
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar() == 2
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    await store.close()


def test_processes_that_start_at_once_make_one_store(
    tmp_path: Path, processes: Callable[[str], Callable[[str], list[Any]]]
) -> None:
    start = processes("return migrate(argument)")
    for number in range(10):
        path = tmp_path / f"{number}.db"
        assert start(f"sqlite:///{path}") == [None] * 4
        assert execute(path, "SELECT count(*) FROM store_meta", "SELECT alias FROM model_configs ORDER BY 1") == [
            (1,),
            *((alias,) for alias in DEFAULT_ALIASES),
        ]


def test_a_migration_that_fails_leaves_nothing_behind(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(MODULE, "_found_store", fail)
    with pytest.raises(RuntimeError):
        migrate(f"sqlite:///{plain}")
    assert execute(plain, "SELECT count(*) FROM sqlite_master") == [(0,)]


async def test_a_database_that_was_never_migrated_is_refused(plain: Path) -> None:
    execute(plain, "CREATE TABLE other (x)")
    with pytest.raises(SchemaMismatch, match="modelwire migrate"):
        await open_store(f"sqlite:///{plain}", KEYRING)


async def test_a_database_with_a_newer_schema_is_refused_and_left_alone(plain: Path) -> None:
    url = f"sqlite:///{plain}"
    migrate(url)
    execute(plain, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaMismatch, match=r"9999.*newer"):
        migrate(url)
    with pytest.raises(SchemaMismatch, match=r"9999.*newer"):
        await open_store(url, KEYRING)
    assert execute(plain, "SELECT version_num FROM alembic_version") == [("9999",)]


async def test_a_database_with_an_older_schema_is_refused_until_migrated(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{plain}"
    migrate(url)
    known = {*_known_revisions(_alembic_config()), "0000"}
    monkeypatch.setattr(MODULE, "_known_revisions", lambda config: known)
    execute(plain, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaMismatch, match=r"older schema 0000.*modelwire migrate"):
        await open_store(url, KEYRING)


def test_every_revision_has_a_script() -> None:
    assert "0001" in _known_revisions(_alembic_config())


async def test_a_store_without_identity_is_corrupt(plain: Path) -> None:
    url = f"sqlite:///{plain}"
    migrate(url)
    execute(plain, "DELETE FROM store_meta")
    with pytest.raises(StoreCorrupt, match="identity"):
        await open_store(url, KEYRING)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_bytes(b"not a database\n" * 1000)
    return path


async def test_a_file_that_is_no_database_is_refused(text_file: Path) -> None:
    before = content(text_file)
    url = f"sqlite:///{text_file}"
    with pytest.raises(StoreCorrupt, match="is not a SQLite database"):
        migrate(url)
    with pytest.raises(StoreCorrupt, match="is not a SQLite database"):
        await open_store(url, KEYRING)
    assert content(text_file) == before


async def test_paths_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "missing" / "x.db", tmp_path / "file" / "x.db"):
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            migrate(f"sqlite:///{path}")
        with pytest.raises(StoreUnavailable, match="cannot be opened") as caught:
            await open_store(f"sqlite:///{path}", KEYRING)
        assert str(path) in str(caught.value)


async def test_opening_makes_no_file(plain: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await open_store(f"sqlite:///{plain}", KEYRING)
    assert content(plain) is None


async def test_the_path_may_have_any_characters(path: Path, url: str) -> None:
    migrate(url)
    store = await open_store(url, KEYRING)
    await store.close()
    assert content(path)


async def test_a_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    migrate("sqlite:///here.db")
    store = await open_store("sqlite:///here.db", KEYRING)
    monkeypatch.chdir("/")
    # A second connection, while the first is in use.
    async with store.transaction(by="x"):
        assert await store.revision() == 1
    await store.close()


def test_a_new_database_is_for_its_user_only(plain: Path) -> None:
    migrate(f"sqlite:///{plain}")
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://root:hunter2@localhost/x",
        "not a url hunter2",
        "",
    ],
)
async def test_urls_that_cannot_be_used_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(StoreError) as migrated:
        migrate(url)
    with pytest.raises(StoreError) as opened:
        await open_store(url, KEYRING)
    assert "hunter2" not in f"{migrated.value}{opened.value}"
