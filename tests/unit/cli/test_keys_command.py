"""`modelwire keys`, in this process: interruptions, rows that do not open, and what it says of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from modelwire.cli.errors import CommandError, ExitCode
from modelwire.cli.keys_command import list_keys, rotate_keys
from modelwire.cli.output import Output
from modelwire.server.database import database_url, prepare_database
from modelwire.server.settings import Settings
from modelwire.store import AuditEntry, Keyring, ModelConfigDraft, Resealed, SealedRows, Secrets, open_store


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of the commands: a database with five configs with secrets, and a key file."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MODELWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MODELWIRE_DATA_DIR", str(tmp_path / "data"))
    settings = Settings()
    keyring, _ = prepare_database(settings)
    asyncio.run(fill(settings, keyring, *"abcde"))
    return settings


async def fill(settings: Settings, keyring: Keyring, *aliases: str) -> None:
    store = await open_store(database_url(settings), keyring)
    async with store.transaction(by="test") as transaction:
        for alias in aliases:
            await transaction.create(ModelConfigDraft(alias=alias, secrets=Secrets(auth={"api_key": "canary"})))
    await store.close()


def names(settings: Settings) -> tuple[str, ...]:
    return Keyring.from_file(settings.key_file)[0].names


def audited(settings: Settings) -> list[AuditEntry]:
    """The audit log's rows of rotations, oldest first."""

    async def ask() -> list[AuditEntry]:
        store = await open_store(database_url(settings), Keyring.from_file(settings.key_file)[0])
        entries = await store.audit_log.page(first=100)
        await store.close()
        return entries

    return [entry for entry in reversed(asyncio.run(ask())) if entry.action == "keys.rotate"]


def test_a_rotation_is_in_the_audit_log_by_the_names_of_keys(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = names(settings)
    old_file = settings.key_file.read_text().strip()
    assert rotate_keys(None, new=False, yes=False, output=Output.TABLE) is ExitCode.DONE
    assert audited(settings) == []  # There was nothing to do.
    assert rotate_keys(None, new=True, yes=False, output=Output.TABLE) is ExitCode.DONE
    (new,) = names(settings)
    (entry,) = audited(settings)
    assert (entry.actor, entry.details) == (
        "system",
        {"key": new, "newKey": True, "replaced": [old], "retired": [old], "versions": 5, "left": 0},
    )
    for key in (old_file, settings.key_file.read_text().strip()):
        assert key.rpartition(":")[2] not in repr(entry)


def test_an_interruption_says_how_many_are_left_and_loses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = names(settings)
    reseal = SealedRows.reseal

    async def interrupted(rows: SealedRows) -> AsyncIterator[Resealed]:
        async for batch in reseal(rows, batch_rows=2):
            yield batch
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(3600)

    with monkeypatch.context() as patch:
        patch.setattr(SealedRows, "reseal", interrupted)
        with pytest.raises(CommandError, match="interrupted, 3 versions left") as caught:
            rotate_keys(None, new=True, yes=False, output=Output.TABLE)
        assert caught.value.exit_code is ExitCode.FAILED
    new, kept = names(settings)
    assert kept == old
    (entry,) = audited(settings)
    assert entry.details == {"key": new, "newKey": True, "replaced": [old], "retired": [], "versions": 2, "left": 3}
    capsys.readouterr()
    assert rotate_keys(None, new=False, yes=False, output=Output.TABLE) is ExitCode.DONE
    said = capsys.readouterr().out
    assert f"Sealed again under the key {new}: 3 versions." in said
    assert f"No longer needed: {old}." in said
    assert names(settings) == (new,)
    assert [entry.details["versions"] for entry in audited(settings)] == [2, 3]


def test_rows_that_are_left_are_named_and_their_key_is_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(fill(settings, Keyring.parse(f"elsewhere:{'E' * 43}"), "f"))
    (old,) = names(settings)
    assert rotate_keys(None, new=True, yes=False, output=Output.TABLE) is ExitCode.FAILED
    said = capsys.readouterr()
    assert ": 5 versions." in said.out
    assert f"No longer needed: {old}." in said.out
    assert "Left as it is: the encryption key 'elsewhere' is needed" in said.err
    assert "Still sealed under elsewhere: 1 version." in said.err
    list_keys(None, output=Output.TABLE)
    said = capsys.readouterr()
    assert f"elsewhere  seals 1 version, 1 of them current; NOT GIVEN: add it to {settings.key_file}\n" in said.out
    assert rotate_keys(None, new=False, yes=False, output=Output.JSON) is ExitCode.FAILED
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (result["resealed"], result["left"], result["needed"], result["unneeded"]) == (0, 1, ["elsewhere"], [])
    assert len(result["problems"]) == 1


def test_a_key_file_that_is_gone_is_said_and_not_made(settings: Settings) -> None:
    settings.key_file.unlink()
    with pytest.raises(CommandError, match="is not there: put it back"):
        rotate_keys(None, new=True, yes=False, output=Output.TABLE)
    assert not settings.key_file.exists()
