from __future__ import annotations

import asyncio
import base64
import sqlite3
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import psycopg
import pytest
from live_server import until

from modelwire.server import app
from modelwire.server.database import StartError, prepare_database
from modelwire.server.settings import Settings

HANG_SECONDS = 120.0
KEYS = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", encryption_keys=None)


def test_the_first_start_makes_folder_keys_and_database(settings: Settings) -> None:
    _, made = prepare_database(settings)
    assert made
    assert settings.database_path.exists()
    assert stat.S_IMODE(settings.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


def test_the_second_start_uses_the_keys_of_the_first(settings: Settings) -> None:
    prepare_database(settings)
    keys = settings.key_file.read_bytes()
    _, made = prepare_database(settings)
    assert not made
    assert settings.key_file.read_bytes() == keys


def test_given_keys_leave_no_key_file(settings: Settings) -> None:
    given = Settings(data_dir=settings.data_dir, encryption_keys=KEYS)
    _, made = prepare_database(given)
    assert not made
    assert not given.key_file.exists()


def test_a_lost_key_file_is_refused_and_not_made_anew(settings: Settings) -> None:
    prepare_database(settings)
    settings.key_file.unlink()
    with pytest.raises(StartError, match="is not there: put it back"):
        prepare_database(settings)
    assert not settings.key_file.exists()


def test_a_key_file_that_others_can_read_is_refused(settings: Settings) -> None:
    prepare_database(settings)
    settings.key_file.chmod(0o644)
    with pytest.raises(StartError, match="chmod"):
        prepare_database(settings)


def test_malformed_keys_are_refused_and_not_repeated(settings: Settings) -> None:
    given = Settings(data_dir=settings.data_dir, encryption_keys="canary-too-short")
    with pytest.raises(StartError, match=r"^MODELWIRE_ENCRYPTION_KEYS: ") as caught:
        prepare_database(given)
    assert "canary" not in str(caught.value)
    assert not given.database_path.exists()


def test_a_data_folder_that_is_a_file_is_refused(settings: Settings) -> None:
    settings.data_dir.write_text("")
    with pytest.raises(StartError, match="cannot be used: "):
        prepare_database(settings)


def test_a_file_that_is_no_database_is_refused(settings: Settings) -> None:
    settings.data_dir.mkdir()
    settings.key_file.touch(mode=0o600)
    settings.key_file.write_text(base64.urlsafe_b64encode(bytes(32)).decode())
    settings.database_path.write_bytes(b"these are notes and no database" * 200)
    with pytest.raises(StartError, match=r"modelwire\.db"):
        prepare_database(settings)


def test_postgresql_without_keys_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    # Nothing listens there: a start that tried to connect first would say so.
    settings = Settings(
        data_dir=tmp_path / "data", database_url="postgresql://modelwire:canary@127.0.0.1:1/x", encryption_keys=None
    )
    with pytest.raises(StartError, match="MODELWIRE_ENCRYPTION_KEYS is not set: with PostgreSQL") as caught:
        prepare_database(settings)
    assert "canary" not in str(caught.value)
    assert not settings.data_dir.exists()


def test_a_postgresql_that_is_away_is_named_without_the_password(tmp_path: Path) -> None:
    url = "postgresql://modelwire:canary@127.0.0.1:1/x"
    settings = Settings(data_dir=tmp_path / "data", database_url=url, encryption_keys=KEYS)
    with pytest.raises(StartError, match=r"database x on 127\.0\.0\.1:1 cannot be reached") as caught:
        prepare_database(settings)
    assert "canary" not in str(caught.value)


def test_postgresql_is_migrated_and_needs_no_folder(tmp_path: Path, postgres_url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=postgres_url, encryption_keys=KEYS)
    keyring, made = prepare_database(settings)
    assert not made
    assert len(keyring.names) == 1
    assert not settings.data_dir.exists()


Hold = Callable[[], AbstractContextManager[object]]
"""Does to the database what another process does that writes to it for long."""


def hold_file(file: Path, journal_mode: str = "WAL") -> AbstractContextManager[object]:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    connection.execute("BEGIN IMMEDIATE")
    return closing(connection)


def hold_row(url: str) -> AbstractContextManager[object]:
    connection = psycopg.connect(url)
    connection.execute("SELECT 1 FROM store_meta FOR UPDATE")
    return closing(connection)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    """Whether a start has said that it waits: it has waited for ten times as long as a request would."""
    monkeypatch.setattr("modelwire.server.app.SLOW_SECONDS", 0.5)
    monkeypatch.setattr("modelwire.store.sqlite._BUSY_TIMEOUT_SECONDS", 0.05)
    return lambda: "is not ready yet: another process" in caplog.text


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
async def test_who_makes_the_schema_waits_for_others_longer_than_requests_do(
    journal_mode: str, tmp_path: Path, waiting: Callable[[], bool]
) -> None:
    settings = Settings(data_dir=tmp_path, encryption_keys=KEYS)
    with hold_file(settings.database_path, journal_mode):
        starting = asyncio.create_task(app.prepare(settings))
        await until(lambda: waiting() or starting.done(), HANG_SECONDS)
        assert not starting.done(), starting.exception()
    assert (await starting).admin_key


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_who_makes_the_first_key_waits_for_others_longer_than_requests_do(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    waiting: Callable[[], bool],
) -> None:
    settings = Settings(data_dir=tmp_path, encryption_keys=KEYS, database_statement_timeout_seconds=0.05)
    hold: Hold = partial(hold_file, settings.database_path)
    if kind == "postgresql":
        settings = settings.model_copy(update={"database_url": request.getfixturevalue("postgres_url")})
        hold = partial(hold_row, settings.database_url)

    prepared = prepare_database(settings)
    monkeypatch.setattr(app, "prepare_database", lambda _settings: prepared)
    with hold():
        starting = asyncio.create_task(app.prepare(settings))
        await until(lambda: waiting() or starting.done(), HANG_SECONDS)
        assert not starting.done(), starting.exception()
    assert (await starting).admin_key
