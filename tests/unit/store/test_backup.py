"""Backup and restore of the embedded database: whole or not at all, while others read and write."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelwire.store import (
    Keyring,
    KeyringError,
    ModelConfigDraft,
    Position,
    SchemaMismatch,
    Secrets,
    Selector,
    Store,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    UnknownKey,
    back_up,
    migrate,
    open_store,
    renew_identity,
    restore,
)

KEYS = Keyring.parse("one:" + "A" * 43)
OTHER_KEYS = Keyring.parse("two:" + "E" * 43)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def url(folder: Path) -> str:
    url = f"sqlite:///{folder}/modelwire.db"
    migrate(url)
    return url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where backups go."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "a 100% #1?.backup"


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def content(file: Path) -> bytes:
    return file.read_bytes()


async def create(store: Store, alias: str) -> int:
    async with store.transaction(by="test") as transaction:
        secrets = Secrets(auth={"api_key": f"secret of {alias}"})
        await transaction.create(ModelConfigDraft(alias=alias, provider="openai", model="m", secrets=secrets))
    assert transaction.revision is not None
    return transaction.revision


async def aliases(store: Store) -> list[str]:
    return [config.alias for config in (await store.snapshot(Selector())).configs]


async def state(url: str) -> Any:
    """All that a restore could have changed."""
    store = await open_store(url, KEYS)
    try:
        return store.id, await store.changes(after=0)
    finally:
        await store.close()


async def test_a_backup_is_one_checked_file_for_its_user_only(url: str, folder: Path, file: Path) -> None:
    store = await open_store(url, KEYS)
    await create(store, "a")
    copied = await asyncio.to_thread(back_up, url, file)
    assert copied.position == Position(store.id, 2)
    assert copied.key_names == ("one",)
    assert mode(file) == 0o600
    assert names(file.parent) == [file.name]
    await create(store, "b")
    await store.close()
    copy = await open_store(f"sqlite:///{shutil.copy(file, folder / 'copy.db')}", KEYS)
    assert await aliases(copy) == ["a", "general", "planning"]
    await copy.close()


async def test_a_restore_replaces_all_under_an_open_store(url: str, folder: Path, file: Path) -> None:
    store = await open_store(url, KEYS)
    old = store.id
    await create(store, "kept")
    await asyncio.to_thread(back_up, url, file)
    for number in range(50):
        await create(store, f"later {number}")
    copied = await restore(url, file, KEYS)
    assert await aliases(store) == ["general", "kept", "planning"]
    assert store.id == copied.position.store_id != old
    assert await store.revision() == copied.position.revision == 2
    kept = await store.find(alias="kept")
    assert kept is not None
    assert store.open_secrets(kept).auth == {"api_key": "secret of kept"}
    (entry,) = await store.audit_log.page(first=1)
    assert (entry.action, entry.actor, entry.details) == ("store.restore", "system", {"revision": 2})
    # Writers go on where the backup ended, and another restore is another identity.
    assert await create(store, "afterwards") == 3
    assert (await restore(url, file, KEYS)).position != copied.position
    assert await aliases(store) == ["general", "kept", "planning"]
    await store.close()
    assert names(folder) == ["modelwire.db"]


async def test_readers_and_writers_never_see_half_of_it(url: str, file: Path) -> None:
    """Each snapshot is of the store before or of one after, and each backup under writers is of one moment."""
    store = await open_store(url, KEYS)
    for alias in ("a", "b", "c"):
        await create(store, alias)
    await asyncio.to_thread(back_up, url, file)
    backed_up = await aliases(store)
    revision = await store.revision()
    done = asyncio.Event()
    problems: list[Any] = []

    async def read() -> None:
        while not done.is_set():
            snapshot = await store.snapshot(Selector())
            # Every transaction here makes one config.
            if len(snapshot.configs) != snapshot.revision + 1:
                problems.append(snapshot)

    async def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            await create(store, f"w{number}")
            await asyncio.sleep(0.001)  # gives others the lock

    tasks = [asyncio.create_task(read()), asyncio.create_task(write())]
    try:
        for number in range(5):
            copied = await asyncio.to_thread(back_up, url, file.with_name(f"{number}"))
            with closing(sqlite3.connect(file.with_name(f"{number}"))) as copy:
                assert copy.execute("SELECT count(*) FROM model_configs").fetchone() == (copied.position.revision + 1,)
            assert (await restore(url, file, KEYS)).position.revision == revision
    finally:
        done.set()
        await asyncio.gather(*tasks)
    assert problems == []
    assert set(backed_up) <= set(await aliases(store))
    await store.close()


async def test_a_database_that_is_not_there_is_made(url: str, folder: Path, file: Path) -> None:
    await asyncio.to_thread(back_up, url, file)
    target = folder / "new.db"
    await restore(f"sqlite:///{target}", file, KEYS)
    assert mode(target) == 0o600
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store = await open_store(f"sqlite:///{target}", KEYS)
    assert await aliases(store) == ["general", "planning"]
    await store.close()


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(url: str, file: Path) -> None:
    file.write_text("precious")
    with pytest.raises(StoreError, match="is there already"):
        back_up(url, file)
    assert file.read_text() == "precious"
    assert names(file.parent) == [file.name]
    back_up(url, file, replace=True)
    assert file.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".key", ".key.retired"])
def test_the_database_itself_is_never_written_over(url: str, folder: Path, suffix: str) -> None:
    with pytest.raises(StoreError, match="belongs to the database itself"):
        back_up(url, folder / f"modelwire.db{suffix}", replace=True)
    migrate(url)


def test_places_that_cannot_be_written_to(url: str, file: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing can be written to .*missing"):
        back_up(url, file.parent / "missing" / "x")
    with pytest.raises(StoreError, match="is not there, or is no file"):
        asyncio.run(restore(url, file.parent, KEYS))
    file.mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(url, file, replace=True)


def test_a_database_that_is_not_there_is_not_backed_up(folder: Path, file: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        back_up(f"sqlite:///{folder}/none.db", file)
    assert list(file.parent.iterdir()) == []
    assert list(folder.iterdir()) == []


def test_a_database_of_postgresql_is_left_to_its_tools(file: Path) -> None:
    url = "postgresql://user:canary-password@127.0.0.1/modelwire"
    for do in (lambda: back_up(url, file), lambda: asyncio.run(restore(url, file, KEYS))):
        with pytest.raises(StoreError, match=r"pg_dump.*pg_restore.*--renew-identity") as caught:
            do()
        assert "canary" not in str(caught.value)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-8192])


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for offset in range(4096, len(data), 512):
        data[offset] ^= 0xFF
    file.write_bytes(bytes(data))


def no_database(file: Path) -> None:
    file.write_text("these are notes" * 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def other_database(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs (name)")


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from-the-future'")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (truncated, StoreCorrupt, "damaged"),
        (flipped, StoreCorrupt, "damaged"),
        (no_database, StoreCorrupt, "not a SQLite database"),
        (empty, StoreCorrupt, "holds no store of Modelwire"),
        (other_database, StoreCorrupt, "holds no store of Modelwire"),
        (newer, SchemaMismatch, "newer"),
    ],
)
async def test_a_backup_that_is_not_right_changes_nothing(
    url: str, folder: Path, file: Path, damage: Callable[[Path], None], error: type[StoreError], message: str
) -> None:
    store = await open_store(url, KEYS)
    await create(store, "a")
    await store.close()
    await asyncio.to_thread(back_up, url, file)
    before = await state(url)
    damage(file)
    with pytest.raises(error, match=message):
        await restore(url, file, KEYS)
    assert await state(url) == before
    assert names(folder) == ["modelwire.db"]


async def test_a_backup_whose_keys_are_not_there_changes_nothing(url: str, file: Path) -> None:
    store = await open_store(url, KEYS)
    await create(store, "a")
    await store.close()
    await asyncio.to_thread(back_up, url, file)
    before = await state(url)
    with pytest.raises(UnknownKey, match="'one'"):
        await restore(url, file, OTHER_KEYS)
    with pytest.raises(KeyringError, match="'one' does not open"):
        await restore(url, file, Keyring.parse("one:" + "E" * 43))
    assert await state(url) == before


async def test_a_damaged_database_is_not_backed_up_over_a_good_backup(url: str, folder: Path, file: Path) -> None:
    await asyncio.to_thread(back_up, url, file)
    good = content(file)
    flipped_last = bytearray((folder / "modelwire.db").read_bytes())
    flipped_last[-4096:] = b"\xff" * 4096
    (folder / "modelwire.db").write_bytes(bytes(flipped_last))
    with pytest.raises(StoreCorrupt):
        await asyncio.to_thread(back_up, url, file, replace=True)
    assert content(file) == good
    assert names(file.parent) == [file.name]


async def test_a_damaged_database_is_restored_once_it_is_moved_away(url: str, folder: Path, file: Path) -> None:
    await asyncio.to_thread(back_up, url, file)
    database = folder / "modelwire.db"
    database.write_text("no database any more" * 1000)
    with pytest.raises(StoreCorrupt, match="move the file away"):
        await restore(url, file, KEYS)
    database.unlink()
    await restore(url, file, KEYS)
    store = await open_store(url, KEYS)
    assert await aliases(store) == ["general", "planning"]
    await store.close()


async def test_a_locked_database_is_not_waited_for_without_end(
    url: str, folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(back_up, url, file)
    before = await state(url)
    monkeypatch.setattr("modelwire.store.backup._BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(folder / "modelwire.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await restore(url, file, KEYS)
        other.execute("ROLLBACK")
    assert await state(url) == before


async def test_a_new_identity_changes_nothing_else(url: str, folder: Path) -> None:
    old, changes = await state(url)
    new = await asyncio.to_thread(renew_identity, url)
    assert await state(url) == (new, changes)
    assert new != old
    with pytest.raises(StoreUnavailable):
        await asyncio.to_thread(renew_identity, f"sqlite:///{folder}/none.db")
    assert not (folder / "none.db").exists()
