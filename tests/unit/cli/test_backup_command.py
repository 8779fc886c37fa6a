"""`modelwire backup` and `restore`, in this process: what they refuse, and with which exit code."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from modelwire.cli import main
from modelwire.server.database import database_url, prepare_database
from modelwire.server.settings import Settings
from modelwire.store import open_store


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of the commands, with a database; the current folder has a backup and a text file."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MODELWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODELWIRE_DATA_DIR", str(tmp_path / "data"))
    settings = Settings()
    prepare_database(settings)
    assert run(monkeypatch, "backup", "here") == 0
    Path("notes").write_text("these are notes")
    return settings


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run a command; its exit code."""
    monkeypatch.setattr(sys, "argv", ["modelwire", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def state(settings: Settings) -> Any:
    """All that a command could have changed."""

    async def read() -> Any:
        store = await open_store(database_url(settings), prepare_database(settings)[0])
        changes = await store.changes(after=0)
        await store.close()
        return store.id, changes

    return asyncio.run(read()), settings.key_file.read_bytes()


def test_a_backup_alone_is_not_enough(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = settings.key_file.read_text()
    settings.database_path.unlink()
    settings.key_file.unlink()
    assert run(monkeypatch, "restore", "here", "--yes") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"modelwire: the key file {settings.key_file} is not there: put it back, or set MODELWIRE_")
    assert not settings.database_path.exists()
    monkeypatch.setenv("MODELWIRE_ENCRYPTION_KEYS", keys)
    assert run(monkeypatch, "restore", "here", "--yes") == 0


@pytest.mark.parametrize(
    "arguments", [["backup", "new"], ["restore", "--renew-identity"], ["audit", "verify"], ["keys", "list"]]
)
def test_without_a_database_they_say_who_makes_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    settings.database_path.unlink()
    assert run(monkeypatch, *arguments) == 1
    said = f"modelwire: there is no database {settings.database_path}: `modelwire serve` makes one\n"
    assert capsys.readouterr().err == said
    assert not settings.database_path.exists()


def test_a_new_version_is_tried_on_a_copy_and_the_way_back_is_open(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What docs/upgrade.md says of both."""
    shutil.copy("here", "try.db")
    with monkeypatch.context() as shell:
        shell.setenv("MODELWIRE_DATABASE_URL", f"sqlite:///{Path('try.db').absolute()}")
        shell.setenv("MODELWIRE_ENCRYPTION_KEYS", settings.key_file.read_text())
        assert run(shell, "migrate") == 0
    with closing(sqlite3.connect(settings.database_path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'of a newer one'")
        database.commit()
    assert run(monkeypatch, "restore", "here", "--yes") == 1
    assert "it was written by a newer one" in capsys.readouterr().err
    settings.database_path.rename("newer.db")
    assert run(monkeypatch, "restore", "here", "--yes") == 0
    assert run(monkeypatch, "audit", "verify") == 0


@pytest.mark.parametrize(
    ("code", "arguments", "sentence"),
    [
        (3, ["backup", "here"], "here is there already: give another name, or --force"),
        (1, ["backup", "missing/here"], "nothing can be written to"),
        (1, ["backup", "data/modelwire.db", "--force"], "belongs to the database itself"),
        (1, ["backup", "data/modelwire.db.key", "--force"], "belongs to the database itself"),
        (2, ["restore", "here"], "say so with --yes"),
        (2, ["restore"], "give either a backup or --renew-identity"),
        (2, ["restore", "here", "--renew-identity"], "give either a backup or --renew-identity"),
        (1, ["restore", "missing", "--yes"], "is not there, or is no file"),
        (1, ["restore", "notes", "--yes"], "is not a SQLite database"),
    ],
)
def test_refusals_are_one_sentence_and_change_nothing(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    arguments: list[str],
    sentence: str,
) -> None:
    before = state(settings)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    capsys.readouterr()
    assert run(monkeypatch, *arguments) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert state(settings) == before


def test_a_backup_is_replaced_by_force(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("here").write_text("an older one")
    assert run(monkeypatch, "backup", "here", "--force") == 0
    assert run(monkeypatch, "restore", "here", "--yes") == 0
    (_, changes), _ = state(settings)
    assert [change.config.alias for change in changes if change.config] != []


def test_postgresql_is_left_to_its_own_tools(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELWIRE_DATABASE_URL", "postgresql://user:canary-password@127.0.0.1:1/modelwire")
    monkeypatch.setenv("MODELWIRE_ENCRYPTION_KEYS", "A" * 43)
    for arguments in (["backup", "there"], ["restore", "here", "--yes"]):
        assert run(monkeypatch, *arguments) == 1
        said = capsys.readouterr().err
        assert "pg_dump" in said
        assert "--renew-identity" in said
        assert "canary" not in said
