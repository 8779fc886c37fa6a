"""What the history of a config shows, and going back in it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwire.resolvers.access import Scope
from modelwire.resolvers.merge import draft_of
from modelwire.store import Keyring, ModelConfigDraft, Retention, Secrets, open_store

CANARY = "sk-canary-0123456789abCDEF"
OTHER_CANARY = "sk-canary-9876543210fedcWXYZ"
HISTORY = """
query ($by: ModelConfigRef!, $first: Int, $after: String) {
  modelConfig(by: $by) {
    history(first: $first, after: $after) {
      edges { cursor node { version revision at by baseline changes { path before after secret } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}"""
ROLLBACK = """
mutation ($input: RollbackModelConfigInput!) {
  rollbackModelConfig(input: $input) {
    __typename
    ... on RollbackModelConfigPayload {
      droppedCredentials
      modelConfig {
        id alias description provider model apiBase params sealedParams version updatedBy
        auth {
          __typename ... on ApiKeyAuth { apiKey { reference hint } }
          ... on AwsIamAuth { accessKeyId { reference hint } secretAccessKey { reference hint } regionName }
        }
      }
    }
    ... on UserError { message path }
    ... on VersionConflict { current { version } }
  }
}"""


def api_key(value: str | None) -> dict[str, Any]:
    return {"apiKey": {"apiKey": value}}


async def versions(client: Any, alias: str, **arguments: Any) -> list[dict[str, Any]]:
    page = (await client.run(HISTORY, by={"alias": alias}, **arguments))["modelConfig"]["history"]
    return [edge["node"] for edge in page["edges"]]


async def updated(client: Any, config: dict[str, Any], **given: Any) -> dict[str, Any]:
    result = await client.update(config, **given)
    assert result["__typename"] == "UpdateModelConfigPayload", result
    changed: dict[str, Any] = result["modelConfig"]
    return changed


async def rollback(client: Any, config: dict[str, Any], version: int) -> dict[str, Any]:
    result: dict[str, Any] = await client.mutate(
        ROLLBACK, id=config["id"], expectedVersion=config["version"], toVersion=version
    )
    return result


async def rolled_back(client: Any, config: dict[str, Any], version: int) -> dict[str, Any]:
    result = await rollback(client, config, version)
    assert result["__typename"] == "RollbackModelConfigPayload", result
    return result


class TestHistory:
    async def test_each_version_says_what_it_changed_newest_first(self, client: Any) -> None:
        config = await client.create("a", provider="openai", model="gpt-4o", params={"temperature": 0.2, "n": 1})
        config = await updated(client, config, model="gpt-5", params={"temperature": 0.7, "seed": 1})
        second, first = await versions(client, "a")
        assert [second["version"], first["version"]] == [2, 1]
        assert second["revision"] == config["revision"]
        assert (second["by"], second["at"]) == (config["updatedBy"], config["updatedAt"])
        assert {tuple(change["path"]): (change["before"], change["after"]) for change in second["changes"]} == {
            ("model",): ("gpt-4o", "gpt-5"),
            ("params", "temperature"): (0.2, 0.7),
            ("params", "seed"): (None, 1),
            ("params", "n"): (1, None),
        }
        assert ["alias"] in [change["path"] for change in first["changes"]]
        assert all(change["before"] is None for change in first["changes"])
        assert not first["baseline"]

    async def test_secrets_are_changed_or_not_and_never_shown(self, client: Any) -> None:
        config = await client.create(
            "a", provider="openai", model="m", auth=api_key(CANARY), params={"extra_headers": {"X-Key": CANARY}}
        )
        config = await updated(client, config, auth=api_key(OTHER_CANARY))
        config = await updated(client, config, description="no secret changes here")
        config = await updated(client, config, auth=api_key("os.environ/MY_API_KEY"), params=None)
        page = await client.run(HISTORY, by={"alias": "a"})
        text = json.dumps(page)
        assert "canary" not in text
        assert not any(hint in text for hint in ("CDEF", "WXYZ"))
        fourth, third, second, first = await versions(client, "a")
        secret = {"path": ["auth", "apiKey"], "before": None, "after": None, "secret": True}
        headers = {"path": ["params", "extra_headers"], "before": None, "after": None, "secret": True}
        assert second["changes"] == [secret]
        assert [change["path"] for change in third["changes"]] == [["description"]]
        assert fourth["changes"] == [{**secret, "after": "os.environ/MY_API_KEY"}, headers]
        assert secret in first["changes"]
        assert headers in first["changes"]

    async def test_a_secret_given_again_is_a_version_without_changes(self, client: Any) -> None:
        config = await client.create("a", provider="openai", auth=api_key(CANARY))
        await updated(client, config, auth=api_key(CANARY))
        second, _ = await versions(client, "a")
        assert second["changes"] == []

    async def test_pages(self, client: Any) -> None:
        config = await client.create("a")
        for number in range(4):
            config = await updated(client, config, description=f"{number}")
        whole = await versions(client, "a")
        found, after = [], None
        while True:
            page = (await client.run(HISTORY, by={"alias": "a"}, first=2, after=after))["modelConfig"]["history"]
            found += [edge["node"] for edge in page["edges"]]
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert found == whole
        assert [version["version"] for version in found] == [5, 4, 3, 2, 1]

    @pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"after": "x"}, {"after": "dmVyc2lvbjow"}])
    async def test_bad_arguments(self, client: Any, arguments: dict[str, Any]) -> None:
        with client.refused("BAD_USER_INPUT"):
            await client.run(HISTORY, by={"alias": "general"}, **arguments)

    async def test_a_cursor_of_another_list_is_refused(self, client: Any) -> None:
        for alias in ("a", "b"):
            await updated(client, await client.create(alias), description="x")
        page = (await client.run(HISTORY, by={"alias": "a"}, first=1))["modelConfig"]["history"]
        configs = (await client.run("list", first=1))["modelConfigs"]
        for foreign in (page["pageInfo"]["endCursor"], configs["pageInfo"]["endCursor"]):
            with client.refused("BAD_USER_INPUT", match="of this list"):
                await client.run(HISTORY, by={"alias": "b"}, after=foreign)

    async def test_writers_without_the_right_to_read_see_none(self, client: Any, client_with: Any) -> None:
        config = await client.create("a")
        writer = client_with(Scope.MODEL_CONFIG_WRITE)
        document = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) {
          ... on UpdateModelConfigPayload { modelConfig { history { edges { node { version } } } } } } }"""
        with writer.refused("FORBIDDEN"):
            await writer.run(document, input={"id": config["id"], "expectedVersion": 1, "description": "x"})

    async def test_versions_under_an_alias_that_is_not_theirs_are_hidden(self, client: Any, client_with: Any) -> None:
        config = await client.create("secret-project", provider="openai", model="hidden-model")
        config = await updated(client, config, alias="team-a")
        config = await updated(client, config, description="x")
        team = client_with(aliases=("team-*",))
        third, second = await versions(team, "team-a")
        assert (third["version"], third["baseline"], second["version"], second["baseline"]) == (3, False, 2, True)
        assert "secret-project" not in json.dumps(second)
        refused = await rollback(team, config, 1)
        assert (refused["__typename"], refused["path"]) == ("NotFound", ["input", "toVersion"])
        assert [version["version"] for version in await versions(client, "team-a")] == [3, 2, 1]

    async def test_an_alias_made_again_has_a_history_of_its_own(self, client: Any) -> None:
        config = await client.create("a", provider="openai", model="old")
        await client.mutate("delete", id=config["id"], expectedVersion=1)
        await client.create("a", provider="openai", model="new")
        (only,) = await versions(client, "a")
        assert "old" not in json.dumps(only)

    async def test_the_oldest_version_that_is_kept_shows_its_whole_content(self, client: Any) -> None:
        config = await client.create("a", provider="openai", model="m", auth=api_key(CANARY))
        for number in range(4):
            config = await updated(client, config, description=f"{number}")
        retention = Retention(since=datetime.now(UTC) + timedelta(days=1), min_versions=2)
        assert [rows async for rows in client.store.compact(retention)] == [3]
        fifth, fourth = await versions(client, "a")
        assert (fifth["baseline"], fourth["baseline"], fourth["version"]) == (False, True, 4)
        assert fifth["changes"] == [{"path": ["description"], "before": "2", "after": "3", "secret": False}]
        shown = {tuple(change["path"]): (change["before"], change["after"]) for change in fourth["changes"]}
        assert shown == {
            ("alias",): (None, "a"),
            ("provider",): (None, "openai"),
            ("model",): (None, "m"),
            ("description",): (None, "2"),
            ("auth", "type"): (None, "apiKey"),
            ("auth", "apiKey"): (None, None),
        }
        before = await client.everything()
        gone = await rollback(client, config, 3)
        assert (gone["__typename"], gone["path"]) == ("NotFound", ["input", "toVersion"])
        assert await client.everything() == before
        assert (await rolled_back(client, config, 4))["modelConfig"]["description"] == "2"

    async def test_versions_outlive_the_key_that_their_secrets_are_sealed_under(
        self, client: Any, client_with: Any, tmp_path: Path
    ) -> None:
        config = await client.create("a", provider="openai", auth=api_key(CANARY), params={"extra_headers": CANARY})
        await updated(client, config, description="x")
        store = await open_store(f"sqlite:///{tmp_path}/store.db", Keyring.parse("other:" + "B" * 43))
        try:
            second, first = await versions(client.having(store=store), "a")
        finally:
            await store.close()
        # That they are equal is not known.
        assert [change["path"] for change in second["changes"]] == [
            ["description"],
            ["auth", "apiKey"],
            ["params", "extra_headers"],
        ]
        assert "canary" not in json.dumps([first, second])


class TestRollback:
    async def test_the_old_content_comes_back_as_a_new_version(self, client: Any) -> None:
        one = await client.create("a", provider="openai", model="gpt-4o", params={"n": 1}, description="one")
        two = await updated(client, one, alias="b", model="gpt-5", params={"seed": 2}, description=None)
        result = await rolled_back(client, two, 1)
        config = result["modelConfig"]
        assert (config["version"], config["id"]) == (3, one["id"])
        for name in ("alias", "provider", "model", "params", "description", "apiBase"):
            assert config[name] == one[name]
        assert result["droppedCredentials"] is False
        third, *_ = await versions(client, "a")
        assert ["alias"] in [change["path"] for change in third["changes"]]

    async def test_todays_credentials_stay_where_the_destination_is_the_same(self, client: Any) -> None:
        one = await client.create("a", provider="openai", model="one", auth=api_key(CANARY), params={"n": 1})
        two = await updated(
            client, one, model="two", auth=api_key(OTHER_CANARY), params={"extra_headers": {"X-Key": "today-canary"}}
        )
        result = await rolled_back(client, two, 1)
        assert result["droppedCredentials"] is False
        assert result["modelConfig"]["auth"]["apiKey"] == {"reference": None, "hint": "WXYZ"}
        params = await client.litellm_params("a")
        assert params["api_key"] == OTHER_CANARY
        assert params["extra_headers"] == {"X-Key": "today-canary"}
        assert (params["model"], params["n"]) == ("openai/one", 1)

    @pytest.mark.parametrize(
        "given",
        [
            {"provider": "anthropic"},
            {"apiBase": "https://elsewhere.example/v1"},
            {"auth": {"awsIam": {"accessKeyId": OTHER_CANARY, "secretAccessKey": OTHER_CANARY}}},
            {"params": {"organization": "o", "proxy_url": "https://elsewhere.example"}},
        ],
    )
    async def test_they_are_dropped_otherwise_and_old_secrets_never_come_back(
        self, client: Any, given: dict[str, Any]
    ) -> None:
        one = await client.create(
            "a", provider="openai", model="m", auth=api_key(CANARY), params={"extra_headers": {"X-Key": CANARY}}
        )
        two = await updated(client, one, **{"auth": api_key(OTHER_CANARY), **given})
        result = await rolled_back(client, two, 1)
        assert result["droppedCredentials"] is True
        assert result["modelConfig"]["auth"] == {"__typename": "ApiKeyAuth", "apiKey": None}
        assert result["modelConfig"]["sealedParams"] == []
        assert "canary" not in json.dumps(await client.litellm_params("a"))
        assert result["modelConfig"]["provider"] == "openai"

    async def test_a_secret_that_was_cleared_stays_cleared(self, client: Any) -> None:
        one = await client.create("a", provider="openai", model="m", auth=api_key(CANARY))
        two = await updated(client, one, auth=api_key(None), description="x")
        result = await rolled_back(client, two, 1)
        assert result["droppedCredentials"] is False
        assert "canary" not in json.dumps([result, await client.litellm_params("a")])

    async def test_references_come_back_where_no_credential_stays(self, client: Any) -> None:
        one = await client.create("a", provider="openai", model="m", auth=api_key("os.environ/OPENAI_API_KEY"))
        two = await updated(client, one, provider="anthropic", auth=api_key(CANARY))
        result = await rolled_back(client, two, 1)
        assert result["droppedCredentials"] is True
        assert result["modelConfig"]["auth"]["apiKey"] == {"reference": "os.environ/OPENAI_API_KEY", "hint": None}
        three = {"id": one["id"], "version": 3}
        four = await updated(client, three, auth=api_key(CANARY))
        kept = await rolled_back(client, four, 1)
        assert kept["modelConfig"]["version"] == 4
        assert kept["modelConfig"]["auth"]["apiKey"]["hint"] == "CDEF"

    async def test_a_reference_of_both_versions_is_not_dropped(self, client: Any) -> None:
        reference = api_key("os.environ/OPENAI_API_KEY")
        one = await client.create("a", provider="openai", model="m", auth=reference)
        two = await updated(client, one, apiBase="https://elsewhere.example/v1", auth=reference)
        result = await rolled_back(client, two, 1)
        assert result["droppedCredentials"] is False
        assert result["modelConfig"]["auth"]["apiKey"] == {"reference": "os.environ/OPENAI_API_KEY", "hint": None}

    async def test_half_a_pair_of_credentials_is_never_mixed_with_the_other_half(self, client: Any) -> None:
        pair = {"accessKeyId": "os.environ/AWS_ACCESS_KEY_ID", "secretAccessKey": "os.environ/AWS_SECRET_ACCESS_KEY"}
        one = await client.create("a", provider="bedrock", auth={"awsIam": {**pair, "regionName": "eu-west-1"}})
        two = await updated(
            client,
            one,
            auth={"awsIam": {"accessKeyId": CANARY, "secretAccessKey": None, "regionName": "eu-west-2"}},
        )
        auth = (await rolled_back(client, two, 1))["modelConfig"]["auth"]
        assert auth["accessKeyId"] == {"reference": None, "hint": "CDEF"}
        assert auth["secretAccessKey"] is None
        assert auth["regionName"] == "eu-west-1"

    async def test_a_param_that_is_sealed_today_is_not_shown_again(self, client: Any) -> None:
        one = await client.create("a", provider="openai", params={"extra_headers": {"X": ""}})
        two = await updated(client, one, params={"extra_headers": {"X": CANARY}})
        config = (await rolled_back(client, two, 1))["modelConfig"]
        assert (config["params"], config["sealedParams"]) == ({}, ["extra_headers"])

    async def test_the_version_of_today_is_no_change(self, client: Any) -> None:
        config = await client.create("a", auth=api_key(CANARY))
        before = await client.everything()
        assert (await rolled_back(client, config, 1))["modelConfig"]["version"] == 1
        assert await client.everything() == before

    async def test_a_placeholder_can_come_back(self, client: Any) -> None:
        general = await client.find(alias="general")
        changed = await updated(client, general, provider="openai", model="m", auth=api_key(CANARY))
        result = await rolled_back(client, changed, 1)
        assert result["droppedCredentials"] is True
        assert (await client.find(alias="general"))["configured"] is False

    async def test_refusals_change_nothing(self, client: Any, client_with: Any) -> None:
        one = await client.create("a")
        two = await updated(client, one, alias="b")
        await client.create("a")
        before = await client.everything()
        taken = await rollback(client, two, 1)
        assert (taken["__typename"], taken["path"]) == ("AliasTaken", ["input", "toVersion"])
        for version in (0, -1, 3, 2**31 - 1):
            missing = await rollback(client, two, version)
            assert (missing["__typename"], missing["path"]) == ("NotFound", ["input", "toVersion"])
        conflict = await rollback(client, one, 1)
        assert (conflict["__typename"], conflict["current"]) == ("VersionConflict", {"version": 2})
        unknown = await rollback(client, {"id": "0" * 20, "version": 1}, 1)
        assert (unknown["__typename"], unknown["path"]) == ("NotFound", ["input", "id"])
        with client.refused("FORBIDDEN"):
            reader = client_with(Scope.MODEL_CONFIG_READ)
            await rollback(reader, two, 1)
        assert await client.everything() == before

    async def test_a_config_that_became_a_default_stays_one(self, client: Any) -> None:
        general = await client.find(alias="general")
        async with client.store.transaction(by="a database of before there were default aliases") as transaction:
            record = await transaction.find(alias="general")
            old = await transaction.update(record, replace(draft_of(record, Secrets()), alias="was-general"))
            await transaction.update(old, draft_of(record, Secrets()))
        before = await client.everything()
        refused = await rollback(client, {"id": general["id"], "version": 3}, 2)
        assert (refused["__typename"], refused["path"]) == ("ProtectedDefault", ["input", "toVersion"])
        assert await client.everything() == before

    async def test_content_that_is_no_longer_allowed_is_refused(self, client: Any) -> None:
        async with client.store.transaction(by="an older version") as transaction:
            record = await transaction.create(ModelConfigDraft(alias="a", params={"model": "x"}))
            await transaction.update(record, ModelConfigDraft(alias="a"))
        before = await client.everything()
        refused = await rollback(client, {"id": record.id, "version": 2}, 1)
        assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "toVersion"])
        assert "set the config's `model` instead" in refused["message"]
        assert await client.everything() == before

    async def test_a_watch_hears_of_it(self, client: Any) -> None:
        one = await client.create("a", provider="openai", model="one")
        two = await updated(client, one, model="two")
        watch = client.watch(by=[{"alias": "a"}])
        assert (await anext(watch))["modelConfigs"][0]["model"] == "two"
        await rolled_back(client, two, 1)
        assert [(put["model"], put["version"]) for put in (await anext(watch))["put"]] == [("one", 3)]
        await watch.aclose()
