"""`modelwire list`, `get`, `test`, `delete` and `components`, with a running server and a fleet."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from command_line import Ended, Run, environment, run, run_process
from stand_ins.chat import KEY, ChatStandIn, running_chat_stand_in

from modelwire.subscriber import DynamicModelProvider

CREATE = """mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) {
  ... on CreateModelConfigPayload { modelConfig { id } } ... on UserError { message } } }"""
UPDATE = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) {
  ... on UpdateModelConfigPayload { modelConfig { version } } ... on UserError { message } } }"""
CREATE_KEY = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  ... on CreateApiKeyPayload { secret } } }"""
SECRET = "sk-canary-0123456789abcdef"
HINT = "cdef"


@pytest.fixture(scope="module")
def server(module_server: Any) -> Any:
    return module_server


@pytest.fixture
def command(server: Any) -> Run:
    async def command(*arguments: str, token: str | None = None, stdin: str = "") -> Ended:
        return await run(*arguments, variables=environment(server, token), stdin=stdin)

    return command


@pytest.fixture
def process(server: Any) -> Run:
    """The same in a process."""

    async def process(*arguments: str, stdin: str = "") -> Ended:
        return await run_process(*arguments, variables=environment(server), stdin=stdin)

    return process


@pytest.fixture
def client(server: Any, make_client: Any) -> Any:
    return make_client(server, server.admin_key)


def new_alias() -> str:
    return f"a-{secrets.token_hex(4)}"


async def create(client: Any, **given: Any) -> tuple[str, str]:
    """A config of OpenAI's with a secret, unless `given` says otherwise; its alias and id."""
    alias = new_alias()
    default = {"alias": alias, "provider": "openai", "model": "gpt-4o", "auth": {"apiKey": {"apiKey": SECRET}}}
    answer = await client.execute(CREATE, input={**default, **given})
    assert "modelConfig" in answer["createModelConfig"], answer
    return alias, answer["createModelConfig"]["modelConfig"]["id"]


async def key(client: Any, *scopes: str) -> str:
    answer = await client.execute(CREATE_KEY, input={"name": "some", "scopes": list(scopes)})
    return str(answer["createApiKey"]["secret"])


@pytest.fixture
async def fleet(server: Any) -> AsyncIterator[Any]:
    """Starts components, each of which uses one alias, and waits until it runs it."""
    async with AsyncExitStack() as stack:

        async def start(name: str, alias: str) -> Any:
            provider = DynamicModelProvider(server.url, token=server.admin_key, component=name)
            await stack.enter_async_context(provider)
            model = provider.get_lite_llm_model(alias)
            await model.wait_ready(timeout_seconds=120)
            return model

        yield start


async def until_state(command: Run, alias: str, *states: str) -> Any:
    """Wait until the fleet is seen with these states, which servers write some tenths of a second later."""
    async with asyncio.timeout(120):
        while True:
            config = (await command("get", alias, "--output", "json")).json
            if [binding["state"] for binding in config["components"]] == list(states):
                return config


async def test_list_shows_all_configs_and_no_secret(command: Run, process: Run, client: Any) -> None:
    alias, _ = await create(client, params={"extra_headers": {"x": SECRET}})
    odd, _ = await create(client, model="evil\N{RIGHT-TO-LEFT OVERRIDE}", auth={"apiKey": {"apiKey": "os.environ/K"}})
    ended = await process("list")
    assert (ended.code, ended.err) == (0, "")
    heading, *lines = ended.out.splitlines()
    assert heading.split() == ["ALIAS", "MODEL", "AUTH", "VERSION", "CHANGED"]
    rows = {line.split()[0]: line for line in lines}
    assert rows[alias].split()[1:7] == ["openai/gpt-4o", "API", "key", "(secret,", f"…{HINT})", "1"]
    assert rows[odd].split()[1:6] == ["openai/evil\N{REPLACEMENT CHARACTER}", "API", "key", "os.environ/K", "1"]
    assert "(not configured)" in rows["general"]
    assert [line.rstrip() for line in lines] == lines
    assert "canary" not in ended.out
    listed = (await command("list", "--output", "json")).json
    assert listed["more"] is False
    config = next(config for config in listed["modelConfigs"] if config["alias"] == alias)
    assert config["auth"] == {"type": "ApiKeyAuth", "apiKey": {"hint": HINT, "reference": None}}
    assert (config["params"], config["sealedParams"]) == ({}, ["extra_headers"])
    assert "canary" not in json.dumps(listed)


async def test_list_narrows_and_ends_where_it_is_told(command: Run, client: Any) -> None:
    alias, _ = await create(client, description="narrow-needle")
    await create(client, description="narrow-needle", provider="anthropic")

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
    assert {"general", "planning"} <= {config["alias"] for config in placeholders}
    assert (await command("list", "--search", new_alias())).out == "No model config fits.\n"


async def test_get_shows_a_config_with_its_fleet(command: Run, client: Any, fleet: Any) -> None:
    given = {
        "description": "for\norders\N{RIGHT-TO-LEFT OVERRIDE}",
        "maxInputTokens": 1000,
        "params": {"temperature": 0.2},
    }
    alias, config_id = await create(client, **given)
    await fleet("orders-agent", alias)
    config = await until_state(command, alias, "APPLIED")
    assert (config["id"], config["description"], config["maxInputTokens"]) == (
        config_id,
        "for\norders\N{RIGHT-TO-LEFT OVERRIDE}",
        1000,
    )
    assert config["rollout"]["applied"] == 1
    assert config["components"][0]["component"]["name"] == "orders-agent"
    change = {"id": config_id, "expectedVersion": 1, "auth": {"apiKey": {"apiKey": "os.environ/FORBIDDEN_NAME"}}}
    await client.execute(UPDATE, input=change)
    await until_state(command, alias, "REFUSED")
    shown = (await command("get", alias)).out
    assert shown.startswith(f"{alias}\n")
    told = {line.strip().split("  ")[0]: line.split("  ")[-1].strip() for line in shown.splitlines()}
    assert (told["Model"], told["temperature"], told["Max input tokens"]) == ("openai/gpt-4o", "0.2", "1000")
    assert (told["apiKey"], told["Components"]) == ("os.environ/FORBIDDEN_NAME", "1 refused")
    assert told["Description"] == "for orders\N{REPLACEMENT CHARACTER}"
    row = next(line for line in shown.splitlines() if line.startswith("orders-agent"))
    assert "refused  1     missing_secret: api_key refers to the variable FORBIDDEN_NAME" in row


async def test_get_without_the_right_to_see_components(command: Run, client: Any) -> None:
    alias, _ = await create(client)
    token = await key(client, "model_config:read")
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


async def test_components_shows_what_each_runs(command: Run, client: Any, fleet: Any) -> None:
    alias, _ = await create(client)
    await fleet("first", alias)
    await fleet("second", alias)
    await until_state(command, alias, "APPLIED", "APPLIED")
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
    assert (await command("components", "--alias", new_alias())).out == "No component fits.\n"


async def test_components_need_the_right_to_see_them(command: Run, client: Any) -> None:
    ended = await command("components", token=await key(client, "model_config:read"))
    assert (ended.code, ended.out) == (3, "")
    assert "component:read" in ended.err


async def test_what_is_in_use_is_deleted_by_force_alone(command: Run, process: Run, client: Any, fleet: Any) -> None:
    alias, config_id = await create(client)
    model = await fleet("orders-agent", alias)
    await until_state(command, alias, "APPLIED")
    refused = await command("delete", alias, "--yes", "--output", "json")
    assert (refused.code, refused.out) == (3, "")
    assert "orders-agent" in refused.err
    assert refused.err.endswith("move them to another alias first, or say --force\n")
    # Who may not see components is told by the server.
    blind = await command("delete", alias, "--yes", token=await key(client, "model_config:read", "model_config:write"))
    assert (blind.code, blind.err.partition(": ")[2].partition(":")[0]) == (3, "nothing was deleted")
    assert model.version == 1
    deleted = await process("delete", alias, "--yes", "--force", "--output", "json")
    assert (deleted.json["id"], deleted.json["alias"]) == (config_id, alias)
    async with asyncio.timeout(120):
        while model.version is not None:  # noqa: ASYNC110 - the model has no event for it
            await asyncio.sleep(0.01)
    assert (await command("get", alias)).code == 1


async def test_nothing_is_deleted_unasked(command: Run, client: Any) -> None:
    alias, _ = await create(client)
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


async def test_a_call_is_tried(command: Run, process: Run, client: Any, stand_in: ChatStandIn) -> None:
    auth = {"apiKey": {"apiKey": KEY}}
    good, _ = await create(client, auth=auth, apiBase=f"{stand_in.url}/ok")
    bad, _ = await create(client, auth=auth, apiBase=f"{stand_in.url}/401")
    result = (await command("test", good, "--output", "json")).json
    assert (result["alias"], result["version"], result["success"], result["error"]) == (good, 1, True, None)
    assert (result["promptTokens"], result["completionTokens"], result["toolCalled"]) == (71, 9, True)
    shown = await process("test", good)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"{good}: openai/gpt-4o answered in ")
    assert "\n  Tool use  yes\n" in shown.out
    assert "\n  Tokens    71 in, 9 out\n" in shown.out
    failed = await command("test", bad)
    assert (failed.code, failed.err) == (1, "")
    assert "FAILED" in failed.out
    assert failed.out.splitlines()[0].endswith(": authentication")
    assert failed.out.endswith(f"  Next: give it the right credentials: `modelwire set {bad} api_key=@-`\n")
    classified = await command("test", bad, "--output", "json")
    assert (classified.code, json.loads(classified.out)["error"]["class"]) == (1, "AUTHENTICATION")
    assert KEY not in shown.out + failed.out + classified.out


async def test_a_placeholder_cannot_be_tried(command: Run) -> None:
    ended = await command("test", "planning")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == "modelwire: no call was made: a test needs a provider\n"
