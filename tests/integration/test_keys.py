"""`modelwire keys` beside a running server, and servers that lack a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from modelwire.store import Keyring, new_key

CREATE = """mutation($input: CreateModelConfigInput!) {
  createModelConfig(input: $input) { ... on CreateModelConfigPayload { modelConfig { id version } } }
}"""
UPDATE = """mutation($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) { ... on UpdateModelConfigPayload { modelConfig { id version } } }
}"""
RESOLVE = '{ modelConfig(by: {alias: "team"}) { revision litellmParams } }'
SECRET = "sk-canary-0123456789"


def modelwire(server, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of a server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    return subprocess.run(
        [sys.executable, "-m", "modelwire", *arguments],
        cwd=server.folder,
        env={**inherited, "MODELWIRE_DATA_DIR": str(server.data_dir), **server.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def create(client: Any) -> dict[str, Any]:
    given = {"alias": "team", "provider": "openai", "model": "m", "auth": {"apiKey": {"apiKey": SECRET}}}
    config: dict[str, Any] = (await client.execute(CREATE, input=given))["createModelConfig"]["modelConfig"]
    return config


async def test_a_key_file_is_rotated_under_a_running_server(server, make_client) -> None:
    client = make_client(server, server.admin_key)
    config = await create(client)
    before = (await client.execute(RESOLVE))["modelConfig"]
    key_file = server.data_dir / "modelwire.db.key"
    (old,) = Keyring.from_file(key_file)[0].names

    listed = modelwire(server, "keys", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout == f"{old}  seals 1 version, 1 of them current; seals what is written now\n"
    rotated = modelwire(server, "keys", "rotate", "--new-key")
    (new,) = Keyring.from_file(key_file)[0].names
    assert (rotated.returncode, rotated.stderr) == (0, "")
    assert f"Sealed again under the key {new}: 1 version." in rotated.stdout
    assert f"No longer needed: {old}. It was moved to {key_file}.retired" in rotated.stdout

    assert (await client.execute(RESOLVE))["modelConfig"] == before
    await client.execute(UPDATE, input={"id": config["id"], "expectedVersion": 1, "model": "m2"})
    assert server.stop() == 0
    server.start()
    resolved = (await make_client(server, server.admin_key).execute(RESOLVE))["modelConfig"]
    assert resolved["litellmParams"] == {"model": "openai/m2", "api_key": SECRET}
    uses = json.loads(modelwire(server, "keys", "list", "--output", "json").stdout)
    assert uses == {
        "keys": [{"name": new, "given": True, "seals": True, "versions": 2, "modelConfigs": 1}],
        "source": str(key_file),
    }
    again = modelwire(server, "keys", "rotate", "--output", "json")
    assert json.loads(again.stdout) == {
        "key": new,
        "resealed": 0,
        "left": 0,
        "problems": [],
        "needed": [],
        "unneeded": [],
        "retiredTo": None,
    }


async def test_keys_of_the_environment_are_rotated_with_servers_that_have_both(server_process, make_client) -> None:
    old, new = f"old:{new_key()}", f"new:{new_key()}"
    server_process.environment["MODELWIRE_ENCRYPTION_KEYS"] = old
    server_process.start()
    await create(make_client(server_process, server_process.admin_key))
    server_process.stop()
    server_process.environment["MODELWIRE_ENCRYPTION_KEYS"] = f"{new},{old}"
    server_process.start()

    refused = modelwire(server_process, "keys", "rotate", "--new-key")
    assert refused.returncode == 2
    assert "`modelwire keys generate`" in refused.stderr
    unasked = modelwire(server_process, "keys", "rotate")
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert "old  seals 1 version" in modelwire(server_process, "keys", "list").stdout
    rotated = modelwire(server_process, "keys", "rotate", "--yes")
    assert rotated.returncode == 0
    assert "No longer needed: old. Take it out of MODELWIRE_ENCRYPTION_KEYS" in rotated.stdout

    server_process.stop()
    server_process.environment["MODELWIRE_ENCRYPTION_KEYS"] = new
    server_process.start()
    resolved = await make_client(server_process, server_process.admin_key).execute(RESOLVE)
    assert resolved["modelConfig"]["litellmParams"]["api_key"] == SECRET


@pytest.mark.parametrize("name", ["other", "right"])
async def test_a_missing_or_wrong_key_is_named_at_the_start(server_process, make_client, name: str) -> None:
    server_process.environment["MODELWIRE_ENCRYPTION_KEYS"] = f"right:{new_key()}"
    server_process.start()
    await create(make_client(server_process, server_process.admin_key))
    server_process.stop()
    started = server_process.output
    wrong = new_key()
    server_process.environment["MODELWIRE_ENCRYPTION_KEYS"] = f"{name}:{wrong}"
    server_process.spawn()
    assert server_process.wait() == 1
    said = server_process.output.removeprefix(started)
    assert said.startswith("modelwire: the encryption key 'right' ")
    assert said.count("\n") == 1
    assert "MODELWIRE_ENCRYPTION_KEYS" in said
    assert wrong not in said
    failed = modelwire(server_process, "keys", "rotate", "--yes")
    assert failed.returncode == (1 if name == "other" else 0)
    assert ("'right'" in failed.stderr) == (name == "other")


def test_a_generated_key_is_one(server_process) -> None:
    first, second = (modelwire(server_process, "keys", "generate").stdout for _ in range(2))
    assert first != second
    assert len(Keyring.parse(f"{first.strip()},{second.strip()}").names) == 2


def test_without_a_database_nothing_is_made(server_process) -> None:
    for arguments in (["keys", "list"], ["keys", "rotate"], ["keys", "rotate", "--new-key"]):
        failed = modelwire(server_process, *arguments)
        assert failed.returncode == 1
        assert failed.stderr == (
            f"modelwire: there is no database {server_process.data_dir}/modelwire.db: `modelwire serve` makes one\n"
        )
    assert not server_process.data_dir.exists()
