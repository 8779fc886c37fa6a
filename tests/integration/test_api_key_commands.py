"""`modelwire api-key`, with a running server, and in the database that it uses."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from modelwire.cli.app import app
from modelwire.cli.errors import CommandError, ExitCode

SECRET = re.compile(r"mw_[a-z0-9]{10}_[0-9a-f]{64}")


async def run(*arguments: str, **environment: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)


def given(server: Any, token: str | None = None) -> dict[str, str]:
    return {"MODELWIRE_URL": server.url, "MODELWIRE_TOKEN": token or server.admin_key}


async def create(server: Any, *arguments: str, token: str | None = None) -> dict[str, Any]:
    made = await run("api-key", "create", *arguments, "--output", "json", **given(server, token))
    assert made.exit_code == 0, made.exception
    answer: dict[str, Any] = json.loads(made.stdout)
    return answer


async def found(server: Any, key_id: str) -> dict[str, Any]:
    listed = await run("api-key", "list", "--first", "1000", "--output", "json", **given(server))
    assert not SECRET.search(listed.stdout)
    [key] = [key for key in json.loads(listed.stdout)["apiKeys"] if key["id"] == key_id]
    assert isinstance(key, dict)
    return key


def refusal(result: Result, code: ExitCode) -> str:
    assert isinstance(result.exception, CommandError), result.exception
    assert result.exception.exit_code == code
    return str(result.exception)


async def test_a_key_is_made_used_and_revoked(shared_server: Any, make_client: Any) -> None:
    name = f"agent {secrets.token_hex(4)}"
    scopes = ["--scope", "model_config:read", "--scope", "model_config:resolve"]
    made = await create(shared_server, name, *scopes, "--alias", "general", "--alias", "team/*", "--expires", "90d")
    key = made["apiKey"]
    assert await found(shared_server, key["id"]) == key
    assert (key["name"], key["aliases"], key["revokedAt"]) == (name, ["general", "team/*"], None)
    assert key["scopes"] == ["model_config:read", "model_config:resolve"]
    assert key["expiresAt"] > key["createdAt"]
    client = make_client(shared_server, made["secret"])
    assert (await client.execute("{ viewer { name } }"))["viewer"]["name"] == name

    revoked = await run("api-key", "revoke", key["id"], **given(shared_server))
    assert revoked.exit_code == 0, revoked.exception
    assert revoked.stdout.startswith(f"{key['id']}  {name}  REVOKED ")
    assert (await client.post("{ viewer { name } }")).status_code == 401
    assert (await found(shared_server, key["id"]))["revokedAt"] is not None


async def test_people_are_shown_the_key_once_and_on_a_line_of_its_own(shared_server: Any) -> None:
    made = await run("api-key", "create", "ada", "--scope", "audit:read", **given(shared_server))
    assert made.exit_code == 0, made.exception
    told, _, secret = made.stdout.splitlines()
    assert SECRET.fullmatch(secret)
    assert secret[-64:] not in told
    assert told.startswith(f"{secret.split('_')[1]}  ada  audit:read  all aliases  made ")
    assert told.endswith("never expires  not used yet")
    listed = await run("api-key", "list", "--first", "1", **given(shared_server))
    assert listed.stdout.splitlines() == [told, "There are older keys: show more with --first."]


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["create", "x", "--scope", "nonsense"], ExitCode.REFUSED, "there are: model_config:read, "),
        (["create", "x", "--scope", "audit:read", "--expires", "soon"], ExitCode.USAGE, "write 30m, 12h, 90d"),
        (["create", "x", "--scope", "audit:read", "--expires", "2090-01-01"], ExitCode.USAGE, "time zone"),
        (["create", "x\x1b[2J", "--scope", "audit:read"], ExitCode.REFUSED, "no key was made: "),
        (["create", "x", "--scope", "audit:read", "--expires", "2020-01-01T00:00:00Z"], ExitCode.REFUSED, "future"),
        (["revoke", "unknown"], ExitCode.FAILED, "there is no API key with this id"),
        (["revoke", "mw_a_b"], ExitCode.USAGE, "the part between its two underscores"),
    ],
)
async def test_what_cannot_be_done(shared_server: Any, arguments: list[str], code: ExitCode, reason: str) -> None:
    result = await run("api-key", *arguments, **given(shared_server))
    assert reason in refusal(result, code)


async def test_without_the_scope_all_is_refused(shared_server: Any) -> None:
    weak = (await create(shared_server, "weak", "--scope", "model_config:read"))["secret"]
    for arguments in (["list"], ["create", "x", "--scope", "model_config:read"], ["revoke", weak.split("_")[1]]):
        refused = await run("api-key", *arguments, **given(shared_server, weak))
        assert "api_key:admin" in refusal(refused, ExitCode.REFUSED)
    assert (await found(shared_server, weak.split("_")[1]))["revokedAt"] is None


async def test_the_way_back_in(server: Any, make_client: Any, tmp_path: Path) -> None:
    admin = server.admin_key
    kept = await run("api-key", "revoke", admin.split("_")[1], **given(server))
    assert "--force" not in refusal(kept, ExitCode.REFUSED)
    assert "modelwire api-key recover" in refusal(kept, ExitCode.REFUSED)
    assert (await run("api-key", "revoke", admin.split("_")[1], "--force", **given(server))).exit_code == 0
    assert "was revoked" in refusal(await run("api-key", "list", **given(server)), ExitCode.REFUSED)

    database = {"MODELWIRE_DATA_DIR": str(server.data_dir)}
    recovered = await run("api-key", "recover", **database)
    assert recovered.exit_code == 0, recovered.exception
    secret = recovered.stdout.splitlines()[2]
    other = json.loads((await run("api-key", "recover", "--output", "json", **database)).stdout)
    for token in (secret, other["secret"]):
        listed = await run("api-key", "list", "--output", "json", **given(server, token))
        names = [key["name"] for key in json.loads(listed.stdout)["apiKeys"]]
        assert names == ["administrator (recovered)", "administrator (recovered)", "administrator"]
    log = json.loads((await run("audit", "log", "--output", "json", **given(server, secret))).stdout)["entries"]
    assert [entry["action"] for entry in log if entry["action"].startswith("api_key.")] == [
        "api_key.recover",
        "api_key.recover",
        "api_key.revoke",
        "api_key.create",
    ]
    assert not SECRET.search(json.dumps(log))
    # Without the machine there is none.
    elsewhere = await run("api-key", "recover", MODELWIRE_DATA_DIR=str(tmp_path / "elsewhere"))
    assert "there is no database" in refusal(elsewhere, ExitCode.FAILED)
    assert not (tmp_path / "elsewhere").exists()
