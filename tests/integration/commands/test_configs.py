"""`modelwire list`, `get`, `test`, `delete` and `components`, with a running server and a fleet."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, environment, run, run_process
from live_server import live_server
from stand_ins.chat import KEY, ChatStandIn, running_chat_stand_in

from modelwire.resolvers import litellm_process

UPDATE = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) {
  ... on UpdateModelConfigPayload { modelConfig { version } } ... on UserError { message } } }"""
SECRET = "sk-canary-0123456789abcdef"
HINT = "cdef"
PLACEHOLDER = {"provider": None, "model": None, "auth": None}


async def test_list_shows_all_configs_and_no_secret(command: Run, process: Run, create: Any) -> None:
    alias, _ = await create(params={"extra_headers": {"x": SECRET}})
    odd, _ = await create(model="evil\N{RIGHT-TO-LEFT OVERRIDE}", auth={"apiKey": {"apiKey": "os.environ/K"}})
    placeholder, _ = await create(**PLACEHOLDER)
    ended = await process("list")
    assert (ended.code, ended.err) == (0, "")
    heading, *lines = ended.out.splitlines()
    assert heading.split() == ["ALIAS", "MODEL", "AUTH", "VERSION", "CHANGED"]
    rows = {line.split()[0]: line for line in lines}
    assert rows[alias].split()[1:7] == ["openai/gpt-4o", "API", "key", "(secret,", f"…{HINT})", "1"]
    assert rows[odd].split()[1:6] == ["openai/evil\N{REPLACEMENT CHARACTER}", "API", "key", "os.environ/K", "1"]
    assert rows[placeholder].split()[1:5] == ["(not", "configured)", "none", "1"]
    assert [line.rstrip() for line in lines] == lines
    assert "canary" not in ended.out
    listed = (await command("list", "--output", "json")).json
    assert listed["more"] is False
    config = next(config for config in listed["modelConfigs"] if config["alias"] == alias)
    assert config["auth"] == {"type": "ApiKeyAuth", "apiKey": {"hint": HINT, "reference": None}}
    assert (config["params"], config["sealedParams"]) == ({}, ["extra_headers"])
    assert "canary" not in json.dumps(listed)


async def test_list_narrows_and_ends_where_it_is_told(command: Run, create: Any) -> None:
    alias, _ = await create(description="narrow-needle")
    await create(description="narrow-needle", provider="anthropic")
    placeholder, _ = await create(**PLACEHOLDER)

    async def found(*arguments: str) -> tuple[list[str], bool]:
        listed = (await command("list", "--search", "NEEDLE", *arguments, "--output", "json")).json
        return [config["alias"] for config in listed["modelConfigs"]], listed["more"]

    aliases, more = await found()
    assert (len(aliases), alias in aliases, more) == (2, True, False)
    assert await found("--provider", "openai") == ([alias], False)
    assert await found("--first", "1") == (aliases[:1], True)
    assert "There are more" in (await command("list", "--search", "NEEDLE", "--first", "1")).out
    placeholders = (await command("list", "--placeholders", "--output", "json")).json["modelConfigs"]
    assert {config["configured"] for config in placeholders} == {False}
    assert placeholder in {config["alias"] for config in placeholders}
    assert (await command("list", "--search", secrets.token_hex(8))).out == "No model config fits.\n"


async def test_get_shows_a_config_with_its_fleet(
    command: Run, client: Any, create: Any, fleet: Any, until_state: Any
) -> None:
    given = {
        "description": "for\norders\N{RIGHT-TO-LEFT OVERRIDE}",
        "maxInputTokens": 1000,
        "params": {"temperature": 0.2},
    }
    alias, config_id = await create(**given)
    await fleet("orders-agent", alias)
    config = await until_state(alias, "APPLIED")
    assert (config["id"], config["description"], config["maxInputTokens"]) == (
        config_id,
        "for\norders\N{RIGHT-TO-LEFT OVERRIDE}",
        1000,
    )
    assert config["rollout"]["applied"] == 1
    assert config["components"][0]["component"]["name"] == "orders-agent"
    change = {"id": config_id, "expectedVersion": 1, "auth": {"apiKey": {"apiKey": "os.environ/FORBIDDEN_NAME"}}}
    await client.execute(UPDATE, input=change)
    await until_state(alias, "REFUSED")
    shown = (await command("get", alias)).out
    assert shown.startswith(f"{alias}\n")
    told = {line.strip().split("  ")[0]: line.split("  ")[-1].strip() for line in shown.splitlines()}
    assert (told["Model"], told["temperature"], told["Max input tokens"]) == ("openai/gpt-4o", "0.2", "1000")
    assert (told["apiKey"], told["Components"]) == ("os.environ/FORBIDDEN_NAME", "1 refused")
    assert told["Description"] == "for orders\N{REPLACEMENT CHARACTER}"
    row = next(line for line in shown.splitlines() if line.startswith("orders-agent"))
    assert "refused  1     missing_secret: api_key refers to the variable FORBIDDEN_NAME" in row


async def test_get_without_the_right_to_see_components(command: Run, create: Any, key: Any) -> None:
    alias, _ = await create()
    token = await key("model_config:read")
    config = (await command("get", alias, "--output", "json", token=token)).json
    assert (config["alias"], config["rollout"], config["components"]) == (alias, None, None)
    shown = await command("get", alias, token=token)
    assert (shown.code, "Components" in shown.out) == (0, False)


@pytest.mark.parametrize("arguments", [["get"], ["test"], ["delete", "--yes"]])
async def test_an_unknown_alias_fails_with_the_next_step(command: Run, arguments: list[str]) -> None:
    ended = await command(*arguments, "no\x1b[2Jsuch")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "modelwire: there is no model config with the alias 'no\\x1b[2Jsuch', or none that you may see; "
        "`modelwire list` shows those that there are\n"
    )


async def test_components_shows_what_each_runs(command: Run, create: Any, fleet: Any, until_state: Any) -> None:
    alias, _ = await create()
    await fleet("first", alias)
    await fleet("second", alias)
    await until_state(alias, "APPLIED", "APPLIED")
    found = (await command("components", "--alias", alias, "--online", "--output", "json")).json
    assert ([component["online"] for component in found["components"]], found["more"]) == ([True, True], False)
    bindings = [component["bindings"] for component in found["components"]]
    assert [(binding["alias"], binding["appliedVersion"]) for (binding,) in bindings] == [(alias, 1)] * 2
    shown = await command("components", "--alias", alias)
    heading, *rows = shown.out.splitlines()
    assert heading.split() == ["COMPONENT", "INSTANCE", "STATE", "LIBRARY", "RUNS"]
    assert all(" online " in row and row.endswith(f"  {alias} 1") for row in rows)
    one = (await command("components", "--alias", alias, "--first", "1", "--output", "json")).json
    assert (len(one["components"]), one["more"]) == (1, True)
    named = (await command("components", "--name", "first", "--alias", alias, "--output", "json")).json
    assert [component["name"] for component in named["components"]] == ["first"]
    assert (await command("components", "--alias", secrets.token_hex(8))).out == "No component fits.\n"


async def test_components_need_the_right_to_see_them(command: Run, key: Any) -> None:
    ended = await command("components", token=await key("model_config:read"))
    assert (ended.code, ended.out) == (3, "")
    assert "component:read" in ended.err


async def test_what_is_in_use_is_deleted_by_force_alone(
    command: Run, process: Run, create: Any, key: Any, fleet: Any, until_state: Any
) -> None:
    alias, config_id = await create()
    model = await fleet("orders-agent", alias)
    await until_state(alias, "APPLIED")
    refused = await command("delete", alias, "--yes", "--output", "json")
    assert (refused.code, refused.out) == (3, "")
    assert "orders-agent" in refused.err
    assert refused.err.endswith("move them to another alias first, or say --force\n")
    # Who may not see components is told by the server.
    blind = await command("delete", alias, "--yes", token=await key("model_config:read", "model_config:write"))
    assert (blind.code, blind.err.partition(": ")[2].partition(":")[0]) == (3, "nothing was deleted")
    assert model.version == 1
    deleted = await process("delete", alias, "--yes", "--force", "--output", "json")
    assert (deleted.json["id"], deleted.json["alias"]) == (config_id, alias)
    async with asyncio.timeout(120):
        while model.version is not None:  # noqa: ASYNC110 - the model has no event for it
            await asyncio.sleep(0.01)
    assert (await command("get", alias)).code == 1


async def test_nothing_is_deleted_unasked(command: Run, create: Any) -> None:
    alias, _ = await create()
    ended = await command("delete", alias, stdin="yes\n")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "modelwire: nothing was deleted: there is no terminal to ask at; say --yes\n"
    assert (await command("get", alias)).code == 0
    assert (await command("delete", alias, "--yes")).out.startswith(f"Deleted {alias}, at revision ")


async def test_default_aliases_stay(command: Run) -> None:
    ended = await command("delete", "general", "--yes", "--force")
    assert ended.code == 3
    assert "is a default alias and cannot be deleted" in ended.err


@pytest.fixture
async def stand_in() -> AsyncIterator[ChatStandIn]:
    async with running_chat_stand_in() as running:
        yield running


async def test_a_call_is_tried(stand_in: ChatStandIn, tmp_path: Path) -> None:
    async with live_server(tmp_path, outbound_private_addresses=True) as server:
        variables = environment(server)
        made = ("set", "tried", "--create", "provider=openai", "model=gpt-4o", f"api_base={stand_in.url}/ok")
        assert (await run(*made, "api_key=@-", variables=variables, stdin=KEY)).code == 0
        result = (await run("test", "tried", "--output", "json", variables=variables)).json
        shown = await run_process("test", "tried", variables=variables)
        failing = ("test", "tried", f"api_base={stand_in.url}/401", "api_key=@-")
        failed = await run(*failing, variables=variables, stdin=KEY)
        classified = await run(*failing, "--output", "json", variables=variables, stdin=KEY)
    litellm_process._process.close()
    assert (result["alias"], result["version"], result["success"], result["error"]) == ("tried", 1, True, None)
    assert (result["promptTokens"], result["completionTokens"], result["toolCalled"]) == (71, 9, True)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("tried: openai/gpt-4o answered in ")
    assert "\n  Tool use  yes\n" in shown.out
    assert "\n  Tokens    71 in, 9 out\n" in shown.out
    assert (failed.code, failed.err) == (1, "")
    assert failed.out.startswith("tried: with other apiBase, auth FAILED in ")
    assert failed.out.splitlines()[0].endswith(": authentication")
    assert failed.out.endswith("  Next: give it the right credentials: `modelwire set tried api_key=@-`\n")
    assert (classified.code, json.loads(classified.out)["error"]["class"]) == (1, "AUTHENTICATION")
    assert KEY not in shown.out + failed.out + classified.out


async def test_a_placeholder_cannot_be_tried(command: Run, create: Any) -> None:
    alias, _ = await create(**PLACEHOLDER)
    ended = await command("test", alias)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == "modelwire: no call was made: a test needs a provider\n"
    unused = await command("test", alias, "description=x")
    assert (unused.code, unused.err) == (2, "modelwire: description changes nothing about a call: leave it out\n")
