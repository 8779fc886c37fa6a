"""`modelwire history` and `rollback` against a running server."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from modelwire.cli.app import app
from modelwire.cli.errors import CommandError, ExitCode

CANARY = "sk-canary-0123456789abcdef"
UPDATE = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) {
  ... on UpdateModelConfigPayload { modelConfig { version } } } }"""
CREATE = """mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) {
  ... on CreateModelConfigPayload { modelConfig { id } } } }"""

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(shared_server: Any) -> Run:
    environment = {"MODELWIRE_URL": shared_server.url, "MODELWIRE_TOKEN": shared_server.admin_key}

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)

    return run


@pytest.fixture
async def alias(shared_server: Any, make_client: Any) -> str:
    """A config with three versions; the last two have another provider than the first."""
    client, alias = make_client(shared_server, shared_server.admin_key), f"a-{secrets.token_hex(4)}"
    given = {"alias": alias, "provider": "openai", "model": "gpt-4o", "params": {"n": 1}}
    created = await client.execute(CREATE, input=given)
    config_id = created["createModelConfig"]["modelConfig"]["id"]
    for version, change in enumerate(
        (
            {"provider": "anthropic", "auth": {"apiKey": {"apiKey": CANARY}}},
            {"model": "evil\N{RIGHT-TO-LEFT OVERRIDE}"},
        ),
        1,
    ):
        await client.execute(UPDATE, input={"id": config_id, "expectedVersion": version, **change})
    return alias


async def test_history_tells_what_each_version_changed(run: Run, alias: str) -> None:
    result = await run("history", alias)
    assert result.exit_code == 0, result.exception
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("version")] == [
        "version 3",
        "version 2",
        "version 1",
    ]
    assert '    model: "gpt-4o" → "evil\N{REPLACEMENT CHARACTER}"' in lines
    assert '    provider: "openai" → "anthropic"' in lines
    assert "    auth.apiKey: (secret) changes" in lines
    assert "    params.n: 1" in lines
    assert "canary" not in result.stdout
    assert "cdef" not in result.stdout


async def test_history_as_json_in_pieces(run: Run, alias: str) -> None:
    whole = json.loads((await run("history", alias, "--output", "json")).stdout)
    assert ([version["version"] for version in whole["versions"]], whole["more"]) == ([3, 2, 1], False)
    piece = json.loads((await run("history", alias, "--first", "2", "--output", "json")).stdout)
    assert (piece["versions"], piece["more"]) == (whole["versions"][:2], True)
    assert "older versions" in (await run("history", alias, "--first", "2")).stdout


async def test_rollback_says_what_became_of_the_credentials(run: Run, alias: str) -> None:
    result = await run("rollback", alias, "1")
    assert result.exit_code == 0, result.exception
    assert f"{alias} is at version 4, with the content of version 1." in result.stdout
    assert "stored credentials were dropped" in result.stdout
    again = await run("rollback", alias, "1")
    assert again.stdout == f"{alias} has the content of version 1 already.\n"
    back = json.loads((await run("rollback", alias, "3", "--output", "json")).stdout)
    assert (back["version"], back["changed"], back["droppedCredentials"]) == (5, True, False)


async def test_a_placeholder_that_comes_back_needs_no_credentials(run: Run) -> None:
    await run("set", "general", "model=openai/gpt-4o", "api_key=sk-canary-0123456789")
    back = (await run("rollback", "general", "1")).stdout
    assert "It is a placeholder again: its stored credentials were dropped." in back
    assert "give it" not in back


async def test_refusals(run: Run, alias: str) -> None:
    refused = (await run("rollback", alias, "17")).exception
    assert isinstance(refused, CommandError)
    assert (refused.exit_code, str(refused).partition(":")[0]) == (ExitCode.REFUSED, "nothing was changed")
    for arguments in (("history", "no-such-alias"), ("rollback", "no-such-alias", "1")):
        unknown = (await run(*arguments)).exception
        assert isinstance(unknown, CommandError)
        assert (unknown.exit_code, "no-such-alias" in str(unknown)) == (ExitCode.FAILED, True)
