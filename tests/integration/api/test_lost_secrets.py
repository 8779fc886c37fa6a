"""Stored secrets that do not open: their row was changed from outside, or the key is lost. The API heals them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

CANARY = "sk-canary-0123456789abcdef"
NEW = "sk-canary-fedcba9876543210"
ROLLBACK = """
mutation ($input: RollbackModelConfigInput!) {
  rollbackModelConfig(input: $input) {
    __typename
    ... on RollbackModelConfigPayload {
      droppedCredentials modelConfig { version model auth { __typename } sealedParams }
    }
    ... on UserError { message path }
  }
}"""
HISTORY = """
query ($by: ModelConfigRef!) {
  modelConfig(by: $by) { history { edges { node { version changes { path before after secret } } } } }
}"""

Damage = Callable[[], None]


@pytest.fixture(
    params=[
        ("sealed = X'00'", "changed from outside, or another key has the name"),
        ("sealing_key = 'gone'", "the encryption key 'gone', which the server does not have"),
    ],
    ids=["tampered", "key lost"],
)
def damage(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Damage, str]:
    """Does it to all rows with secrets; and why the API says that they do not open."""
    change, reason = request.param

    def do() -> None:
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
            statement = f"UPDATE model_config_changes SET {change} WHERE sealed IS NOT NULL"
            assert connection.execute(statement).rowcount > 0

    return do, reason


def api_key(value: str) -> dict[str, Any]:
    return {"apiKey": {"apiKey": value}}


async def test_an_update_without_credentials_says_why_and_what_to_do(client: Any, damage: tuple[Damage, str]) -> None:
    do, reason = damage
    config = await client.create("m", provider="openai", model="a", auth=api_key(CANARY), params={"token": CANARY})
    do()
    before = await client.everything()
    for given in ({"model": "b"}, {"params": {"token": NEW}}, {"alias": "n", "validateOnly": True}):
        refused = await client.update(config, **given)
        assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "auth"])
        assert reason in refused["message"]
        assert refused["message"].endswith("Give auth anew, which replaces them")
        assert "canary" not in refused["message"]
    assert await client.everything() == before


async def test_an_update_with_credentials_heals(client: Any, damage: tuple[Damage, str]) -> None:
    config = await client.create(
        "m", provider="openai", model="a", auth=api_key(CANARY), params={"n": 1, "token": CANARY}
    )
    damage[0]()
    healed = await client.update(config, auth=api_key(NEW))
    assert (healed["droppedCredentials"], healed["modelConfig"]["version"]) == (True, 2)
    assert (healed["modelConfig"]["params"], healed["modelConfig"]["sealedParams"]) == ({"n": 1}, [])
    assert await client.litellm_params("m") == {"model": "openai/a", "api_key": NEW, "n": 1}


async def test_what_is_given_in_whole_is_not_said_to_be_dropped(client: Any, damage: tuple[Damage, str]) -> None:
    config = await client.create("m", provider="openai", model="a", auth=api_key(CANARY), params={"token": CANARY})
    damage[0]()
    healed = await client.update(config, auth=api_key(NEW), params={"token": NEW})
    assert healed["droppedCredentials"] is False
    assert await client.litellm_params("m") == {"model": "openai/a", "api_key": NEW, "token": NEW}


async def test_auth_that_names_nothing_drops_what_is_lost(client: Any, damage: tuple[Damage, str]) -> None:
    aws = {"awsIam": {"accessKeyId": "os.environ/AWS_ID", "secretAccessKey": CANARY, "regionName": "eu-west-1"}}
    config = await client.create("m", provider="bedrock", model="a", auth=aws)
    damage[0]()
    healed = await client.update(config, auth={"awsIam": {}})
    assert (healed["droppedCredentials"], healed["modelConfig"]["version"]) == (True, 2)
    # What was never sealed is not lost.
    assert await client.litellm_params("m") == {
        "model": "bedrock/a",
        "aws_access_key_id": "os.environ/AWS_ID",
        "aws_region_name": "eu-west-1",
    }


async def test_sealed_params_alone_are_replaced_by_params(client: Any, damage: tuple[Damage, str]) -> None:
    do, reason = damage
    auth = api_key("os.environ/OPENAI_API_KEY")
    config = await client.create("m", provider="openai", model="a", auth=auth, params={"token": CANARY})
    do()
    refused = await client.update(config, model="b")
    assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "params"])
    assert refused["message"].startswith("the stored values of token cannot be opened")
    assert reason in refused["message"]
    healed = await client.update(config, params={"n": 2})
    assert healed["droppedCredentials"] is True
    assert await client.litellm_params("m") == {"model": "openai/a", "api_key": "os.environ/OPENAI_API_KEY", "n": 2}


async def test_a_roll_back_drops_what_is_lost(client: Any, damage: tuple[Damage, str]) -> None:
    one = await client.create("m", provider="openai", model="a", auth=api_key(CANARY), params={"token": CANARY})
    two = (await client.update(one, model="b"))["modelConfig"]
    damage[0]()
    result = await client.mutate(ROLLBACK, id=two["id"], expectedVersion=2, toVersion=1)
    assert result["droppedCredentials"] is True
    assert result["modelConfig"] == {
        "version": 3,
        "model": "a",
        "auth": {"__typename": "ApiKeyAuth"},
        "sealedParams": [],
    }
    assert await client.litellm_params("m") == {"model": "openai/a"}


async def test_the_history_is_shown(client: Any, damage: tuple[Damage, str]) -> None:
    one = await client.create("m", provider="openai", model="a", auth=api_key(CANARY))
    await client.update(one, model="b")
    damage[0]()
    edges = (await client.run(HISTORY, by={"alias": "m"}))["modelConfig"]["history"]["edges"]
    assert [edge["node"]["version"] for edge in edges] == [2, 1]
    assert {"path": ["auth", "apiKey"], "before": None, "after": None, "secret": True} in edges[0]["node"]["changes"]
    assert "canary" not in str(edges)
    assert "sealed at" not in str(edges)


async def test_an_import_heals_what_it_has_credentials_for(client: Any, damage: tuple[Damage, str]) -> None:
    do, reason = damage
    for alias in ("with", "without"):
        await client.create(alias, provider="openai", model="a", auth=api_key(CANARY))
    do()
    content = f"""
    model_list:
      - {{model_name: without, litellm_params: {{model: openai/b}}}}
      - {{model_name: with, litellm_params: {{model: openai/b, api_key: {NEW}}}}}
    """
    dry = await client.mutate("import", content=content, dryRun=True)
    done = await client.mutate("import", content=content)
    assert dry["entries"] == done["entries"]
    assert [(entry["alias"], entry["action"]) for entry in done["entries"]] == [("without", "SKIP"), ("with", "UPDATE")]
    assert all(reason in entry["reason"] and "canary" not in entry["reason"] for entry in done["entries"])
    assert await client.litellm_params("with") == {"model": "openai/b", "api_key": NEW}
    untouched = await client.find(alias="without")
    assert (untouched["version"], untouched["model"]) == (1, "a")


async def test_a_file_of_modelwire_that_leaves_secrets_sealed_is_skipped(
    client: Any, damage: tuple[Damage, str]
) -> None:
    do, reason = damage
    await client.create("m", provider="openai", model="a", auth=api_key(CANARY))
    do()
    sealed = (
        "{modelwire: 1, model_configs: {m: {provider: openai, model: b, auth: {type: api_key, sealed: [api_key]}}}}"
    )
    (entry,) = (await client.mutate("import", content=sealed))["entries"]
    assert (entry["action"], (await client.find(alias="m"))["version"]) == ("SKIP", 1)
    assert reason in entry["reason"]
    given = sealed.replace("sealed: [api_key]", "api_key: os.environ/OPENAI_API_KEY")
    (entry,) = (await client.mutate("import", content=given))["entries"]
    assert entry["action"] == "UPDATE"
    assert await client.litellm_params("m") == {"model": "openai/b", "api_key": "os.environ/OPENAI_API_KEY"}


async def test_a_config_with_lost_secrets_can_be_pruned(client: Any, damage: tuple[Damage, str]) -> None:
    await client.create("m", provider="openai", model="a", auth=api_key(CANARY))
    damage[0]()
    done = await client.mutate("import", content="{modelwire: 1, model_configs: {}}", prune=True)
    assert ("m", "DELETE") in [(entry["alias"], entry["action"]) for entry in done["entries"]]
    assert await client.find(alias="m") is None
