"""`modelwire backup` and `restore` beside a running server: its subscribers follow, and nobody is left with silence."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from modelwire.subscriber import DynamicModelProvider, LiteLlm
from modelwire.subscriber.timing import Timing

WAIT_SECONDS = 120.0
TIMING = Timing(backoff_first_seconds=0.05, backoff_max_seconds=0.4)

CREATE = """mutation($input: CreateModelConfigInput!) {
  createModelConfig(input: $input) { ... on CreateModelConfigPayload { modelConfig { id version } } }
}"""
UPDATE = """mutation($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) { ... on UpdateModelConfigPayload { modelConfig { id version } } }
}"""
WATCH = """subscription($since: Revision) {
  modelConfigChanged(since: $since) {
    __typename revision
    ... on ModelConfigSnapshot { reset modelConfigs { alias model } }
    ... on ModelConfigChange { put { alias model } }
  }
}"""


def modelwire(server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of a server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    return subprocess.run(
        [sys.executable, "-m", "modelwire", *arguments],
        cwd=server.folder,
        env={**inherited, "MODELWIRE_DATA_DIR": str(server.data_dir), **server.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def command(server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(modelwire, server, *arguments)


async def subscribe(socket: ClientConnection, token: str, since: str | None = None) -> dict[str, Any]:
    """Follow all model configs; the first event."""
    await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    payload = {"query": WATCH, "variables": {"since": since}}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
    return await event(socket)


async def event(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        message = json.loads(await socket.recv())
    assert message["type"] == "next", message
    result: dict[str, Any] = message["payload"]["data"]["modelConfigChanged"]
    return result


async def until_model(model: LiteLlm, name: str | None) -> None:
    """Until the component runs this model; None: until it has none."""
    changed = asyncio.Event()
    model.on_settings_change(lambda _old, _new: changed.set())

    def current() -> str | None:
        return None if model.settings is None else model.settings.model

    async with asyncio.timeout(WAIT_SECONDS):
        while current() != name:
            changed.clear()
            await changed.wait()


async def test_subscribers_follow_a_restore(server, make_client) -> None:
    client, token = make_client(server, server.admin_key), server.admin_key
    auth = {"apiKey": {"apiKey": "sk-canary"}}
    given = {"provider": "openai", "model": "before", "auth": auth}
    config = (await client.execute(CREATE, input={"alias": "team", **given}))["createModelConfig"]["modelConfig"]
    made = await command(server, "backup", "team.backup")
    assert (made.returncode, made.stderr) == (0, "")
    assert "Revision 2 of" in made.stdout
    assert f"keep the key file {server.data_dir}/modelwire.db.key as well" in made.stdout
    backup = server.folder / "team.backup"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    for model in ("after", "after-2"):
        update = {"id": config["id"], "expectedVersion": config["version"], "model": model}
        config = (await client.execute(UPDATE, input=update))["updateModelConfig"]["modelConfig"]
    await client.execute(CREATE, input={"alias": "later", **given})

    url = server.url.replace("http", "ws", 1) + "/graphql"
    async with (
        connect(url, subprotocols=["graphql-transport-ws"], proxy=None) as socket,
        DynamicModelProvider(server.url, token=token, component="one", _timing=TIMING) as provider,
    ):
        team, later = provider.get_lite_llm_model("team"), provider.get_lite_llm_model("later")
        await team.wait_ready(WAIT_SECONDS)
        await until_model(team, "openai/after-2")
        await until_model(later, "openai/before")
        first = await subscribe(socket, token)
        restored = await command(server, "restore", "team.backup", "--yes")
        assert (restored.returncode, restored.stderr) == (0, "")
        assert "API keys are those of the backup" in restored.stdout

        reset = await event(socket)
        assert (reset["__typename"], reset["reset"]) == ("ModelConfigSnapshot", True)
        assert {"alias": "team", "model": "before"} in reset["modelConfigs"]
        assert [config["alias"] for config in reset["modelConfigs"]] == ["general", "planning", "team"]
        assert reset["revision"].partition("-")[0] != first["revision"].partition("-")[0]
        await until_model(team, "openai/before")
        await until_model(later, None)

        # The server writes on, and the component follows versions that it has seen before the restore.
        update = {"id": config["id"], "expectedVersion": 1, "model": "afterwards"}
        config = (await client.execute(UPDATE, input=update))["updateModelConfig"]["modelConfig"]
        assert config["version"] == 2
        change = await event(socket)
        assert change["put"] == [{"alias": "team", "model": "afterwards"}]
        await until_model(team, "openai/afterwards")

        # Also after a restart of the server, with positions of before and after the restore.
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        for since, typename in ((first["revision"], "ModelConfigSnapshot"), (reset["revision"], "ModelConfigChange")):
            async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None) as again:
                assert (await subscribe(again, token, since))["__typename"] == typename
    assert "Traceback" not in server.output
    assert server.output.count("a backup was restored") == 1


async def test_a_backup_of_before_a_key_rotation_says_where_its_key_is(server, make_client) -> None:
    client = make_client(server, server.admin_key)
    auth = {"apiKey": {"apiKey": "sk-canary"}}
    await client.execute(CREATE, input={"alias": "team", "provider": "openai", "model": "m", "auth": auth})
    assert (await command(server, "backup", "old")).returncode == 0
    assert (await command(server, "keys", "rotate", "--new-key")).returncode == 0
    key_file = server.data_dir / "modelwire.db.key"
    retired = server.data_dir / "modelwire.db.key.retired"
    failed = await command(server, "restore", "old", "--yes")
    assert failed.returncode == 1
    assert f"it is in {retired}: put it behind those in the key file. Nothing was changed" in failed.stderr
    key_file.write_text(f"{key_file.read_text().strip()},{retired.read_text()}")
    assert (await command(server, "restore", "old", "--yes")).returncode == 0
    resolved = await client.execute('{ modelConfig(by: {alias: "team"}) { litellmParams } }')
    assert resolved["modelConfig"]["litellmParams"]["api_key"] == "sk-canary"


async def test_a_new_identity_alone_is_a_reset_too(server) -> None:
    url = server.url.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None) as socket:
        await subscribe(socket, server.admin_key)
        renewed = await command(server, "restore", "--renew-identity", "--output", "json")
        assert renewed.returncode == 0
        reset = await event(socket)
        assert reset["reset"] is True
        assert reset["revision"] == f"{json.loads(renewed.stdout)['storeId']}-1"
