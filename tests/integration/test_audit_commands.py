"""`modelwire audit log` and `audit verify`, with a running server and with the database that it leaves."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from modelwire.cli.app import app
from modelwire.cli.errors import CommandError, ExitCode

CANARY = "sk-canary-0123456789abcdef"
CREATE = """mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) {
  ... on CreateModelConfigPayload { modelConfig { id } } } }"""


async def run(*arguments: str, **environment: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)


async def create(server: Any, make_client: Any, *aliases: str) -> None:
    client = make_client(server, server.admin_key)
    for alias in aliases:
        auth = {"apiKey": {"apiKey": CANARY}}
        await client.execute(CREATE, input={"alias": alias, "provider": "openai", "auth": auth})


async def test_the_log_is_shown(shared_server: Any, make_client: Any) -> None:
    aliases = [f"a-{secrets.token_hex(4)}" for _ in range(3)]
    await create(shared_server, make_client, *aliases)
    given = {"MODELWIRE_URL": shared_server.url, "MODELWIRE_TOKEN": shared_server.admin_key}
    shown = await run("audit", "log", "--first", "2", **given)
    assert shown.exit_code == 0, shown.exception
    lines = shown.stdout.splitlines()
    for line, alias in zip(lines[:2], [aliases[2], aliases[1]], strict=True):
        assert "  model_config.create  " in line
        assert f"alias {alias}" in line
    assert lines[2] == "There are older entries: show more with --first."
    answer = json.loads((await run("audit", "log", "--first", "1000", "--output", "json", **given)).stdout)
    sequences = [entry["sequence"] for entry in answer["entries"]]
    assert sequences == list(range(len(sequences), 0, -1))
    assert (answer["more"], answer["entries"][-1]["action"]) == (False, "api_key.create")
    assert "canary" not in json.dumps(answer)
    assert shared_server.admin_key.rpartition("_")[2] not in json.dumps(answer)


async def test_the_database_of_a_running_server_is_verified(server: Any, make_client: Any) -> None:
    await create(server, make_client, "a", "b")
    given = {"MODELWIRE_DATA_DIR": str(server.data_dir)}
    report = json.loads((await run("audit", "verify", "--output", "json", **given)).stdout)
    assert (report["rows"], report["problems"]) == (3, [])
    shown = await run("audit", "verify", "--head", report["head"], **given)
    assert (shown.exit_code, shown.stdout.splitlines()[1]) == (0, f"Head: {report['head']}")

    database = sqlite3.connect(Path(server.data_dir) / "modelwire.db", isolation_level=None)
    try:
        database.execute("DELETE FROM audit_log WHERE sequence = 3")
        assert (await run("audit", "verify", **given)).exit_code == 0
        cut = await run("audit", "verify", "--head", report["head"], **given)
        assert (cut.exit_code, "its end was cut off" in cut.stdout) == (1, True)
        database.execute("UPDATE audit_log SET entry = replace(entry, 'system', 'nobody') WHERE sequence = 1")
        changed = await run("audit", "verify", **given)
        assert (changed.exit_code, changed.stdout.splitlines()[0]) == (
            1,
            "row 1 was changed: its content does not give its hash",
        )
        found = json.loads((await run("audit", "verify", "--output", "json", **given)).stdout)
        assert len(found["problems"]) == 1
    finally:
        database.close()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "reason"),
    [
        (["--head", "abc"], ExitCode.USAGE, "64 hexadecimal digits"),
        ([], ExitCode.FAILED, "there is no database"),
    ],
)
def test_what_cannot_be_verified(tmp_path: Path, arguments: list[str], exit_code: ExitCode, reason: str) -> None:
    environment = {"MODELWIRE_DATA_DIR": str(tmp_path)}
    refused = CliRunner().invoke(app, ["audit", "verify", *arguments], env=environment).exception
    assert isinstance(refused, CommandError)
    assert refused.exit_code == exit_code
    assert reason in str(refused)
    assert list(tmp_path.iterdir()) == []
