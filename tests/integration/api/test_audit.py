"""Reading the audit log."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Scope

CANARY = "sk-canary-0123456789abCDEF"
AUDIT_LOG = """
query ($first: Int, $after: String) {
  auditLog(first: $first, after: $after) {
    edges { cursor node { sequence at action actor details hash } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
ROLLBACK = """mutation ($input: RollbackModelConfigInput!) { rollbackModelConfig(input: $input) { __typename } }"""


async def entries(client: Any, **arguments: Any) -> list[dict[str, Any]]:
    return [edge["node"] for edge in (await client.run(AUDIT_LOG, **arguments))["auditLog"]["edges"]]


async def test_what_is_done_by_the_api_is_in_it_newest_first_and_without_secrets(client: Any) -> None:
    auth = {"apiKey": {"apiKey": CANARY}}
    config = await client.create(
        "a", provider="openai", auth=auth, params={"extra_headers": {"X": CANARY}, "n": 471108154711}
    )
    renamed = (await client.update(config, alias="b"))["modelConfig"]
    await client.mutate(ROLLBACK, id=config["id"], expectedVersion=renamed["version"], toVersion=1)
    await client.mutate(
        "import", content=f"model_list: [{{model_name: c, litellm_params: {{model: gpt-4o, api_key: {CANARY}}}}}]"
    )
    await client.mutate("delete", id=config["id"], expectedVersion=3)
    key = await client.mutate("create key", name="ci", scopes=["model_config:read"])
    found = await entries(client)
    assert [entry["sequence"] for entry in found] == [6, 5, 4, 3, 2, 1]
    assert [entry["action"] for entry in found] == [
        "api_key.create",
        "model_config.delete",
        "model_config.create",
        "model_config.rollback",
        "model_config.update",
        "model_config.create",
    ]
    assert {entry["actor"] for entry in found} == {"api_key:aaaaaaaaaa"}
    assert found[3]["details"]["toVersion"] == 1
    assert found[2]["details"]["via"] == "import"
    assert found[4]["details"]["previousAlias"] == "a"
    assert datetime.fromisoformat(found[-1]["at"]) == datetime.fromisoformat(config["createdAt"])
    text = json.dumps(found)
    assert key["secret"].rpartition("_")[2] not in text
    assert not any(secret in text for secret in ("canary", "CDEF", "471108154711"))


async def test_what_is_refused_leaves_none(client: Any) -> None:
    config = await client.create("a")
    await client.mutate("create", alias="a")
    await client.mutate("delete", id=config["id"], expectedVersion=7)
    await client.mutate("create", alias="b", validateOnly=True)
    await client.update(config, alias="a")
    assert [entry["action"] for entry in await entries(client)] == ["model_config.create"]


async def test_pages(client: Any) -> None:
    for number in range(5):
        await client.create(f"alias-{number}")
    first = (await client.run(AUDIT_LOG, first=2))["auditLog"]
    assert first["pageInfo"]["hasNextPage"] is True
    second = (await client.run(AUDIT_LOG, first=3, after=first["pageInfo"]["endCursor"]))["auditLog"]
    assert [edge["node"]["sequence"] for page in (first, second) for edge in page["edges"]] == [5, 4, 3, 2, 1]
    assert second["pageInfo"]["hasNextPage"] is False
    assert second["pageInfo"]["hasPreviousPage"] is True


async def test_a_cursor_of_another_list_is_refused(client: Any) -> None:
    configs = (await client.run("list", first=1))["modelConfigs"]
    with client.refused("BAD_USER_INPUT", match="of this list"):
        await client.run(AUDIT_LOG, after=configs["pageInfo"]["endCursor"])


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"after": "x"}, {"after": "ZW50cnk6MA=="}])
async def test_bad_arguments(client: Any, arguments: dict[str, Any]) -> None:
    with client.refused("BAD_USER_INPUT"):
        await client.run(AUDIT_LOG, **arguments)


async def test_who_may_read_it(client_with: Any) -> None:
    assert await entries(client_with(Scope.AUDIT_READ)) == []
    with client_with(*(ALL_SCOPES - {Scope.AUDIT_READ})).refused("FORBIDDEN", match="audit:read"):
        await entries(client_with(*(ALL_SCOPES - {Scope.AUDIT_READ})))
    with client_with(aliases=("team-*",)).refused("FORBIDDEN", match="all aliases"):
        await entries(client_with(aliases=("team-*",)))
