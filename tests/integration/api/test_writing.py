"""Creating, changing and deleting."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


class TestCreate:
    async def test_everything_that_can_be_given_comes_back(self, client: Any) -> None:
        given = {
            "provider": "openai",
            "model": "gpt-5-mini",
            "apiBase": "https://models.example/v1",
            "description": "für alle",
            "params": {"temperature": 0.2, "stop": ["a"], "user": None},
            "maxInputTokens": 100_000,
        }
        config = await client.create("team/a:b.c@d", **given)
        assert {name: config[name] for name in given} == given
        assert config["configured"] is True
        assert config["version"] == 1
        assert config["createdBy"] == config["updatedBy"] == "api_key:aaaaaaaaaa"
        assert await client.litellm_params("team/a:b.c@d") == {
            "model": "openai/gpt-5-mini",
            "api_base": "https://models.example/v1",
            "temperature": 0.2,
            "stop": ["a"],
            "user": None,
        }

    async def test_validate_only_checks_all_and_writes_nothing(self, client: Any) -> None:
        before = await client.everything()
        valid = await client.mutate("create", alias="new", validateOnly=True)
        assert valid == {"__typename": "CreateModelConfigPayload", "modelConfig": None}
        taken = await client.mutate("create", alias="general", validateOnly=True)
        assert taken["__typename"] == "AliasTaken"
        wrong = await client.mutate("create", alias="", validateOnly=True)
        assert wrong["__typename"] == "InvalidInput"
        assert await client.everything() == before

    @pytest.mark.parametrize(
        ("given", "path"),
        [
            ({"alias": ""}, ["input", "alias"]),
            ({"alias": "x" * 101}, ["input", "alias"]),
            ({"alias": "openai/*"}, ["input", "alias"]),
            ({"alias": "a", "params": {"model": "gpt-5"}}, ["input", "params", "model"]),
            ({"alias": "a", "params": {"messages": []}}, ["input", "params", "messages"]),
            ({"alias": "a", "params": {"stream": True}}, ["input", "params", "stream"]),
            ({"alias": "a", "params": {"api_key": "sk-canary-4711"}}, ["input", "params", "api_key"]),
            ({"alias": "a", "params": []}, ["input", "params"]),
            ({"alias": "a", "apiBase": "ftp://host"}, ["input", "apiBase"]),
            ({"alias": "a", "auth": {"none": False}}, ["input", "auth", "none"]),
            ({"alias": "a", "auth": {"apiKey": {"apiKey": ""}}}, ["input", "auth", "apiKey", "apiKey"]),
        ],
    )
    async def test_bad_input_is_a_typed_error_and_changes_nothing(
        self, client: Any, given: dict[str, Any], path: list[str]
    ) -> None:
        before = await client.everything()
        refused = await client.mutate("create", **given)
        assert refused["__typename"] == "InvalidInput"
        assert refused["path"] == path
        assert refused["message"]
        assert "canary" not in refused["message"]
        assert await client.everything() == before

    async def test_a_taken_alias(self, client: Any) -> None:
        await client.create("mine")
        before = await client.everything()
        refused = await client.mutate("create", alias="mine", provider="openai")
        assert (refused["__typename"], refused["path"]) == ("AliasTaken", ["input", "alias"])
        assert await client.everything() == before
        assert (await client.create("Mine"))["alias"] == "Mine"

    @pytest.mark.parametrize(
        "given",
        [
            {"alias": "a", "aliass": "b"},
            {},
            {"alias": None},
            {"alias": "a", "auth": {}},
            {"alias": "a", "auth": {"x": 1}},
        ],
    )
    async def test_an_unknown_or_missing_field_is_refused_by_the_schema(
        self, client: Any, given: dict[str, Any]
    ) -> None:
        before = await client.everything()
        with client.refused():
            await client.mutate("create", **given)
        assert await client.everything() == before


class TestUpdate:
    async def test_absent_keeps_null_clears_value_replaces(self, client: Any) -> None:
        config = await client.create("mine", provider="openai", model="a", description="text", maxInputTokens=5)
        updated = await client.update(config, model="b", description=None)
        assert updated["__typename"] == "UpdateModelConfigPayload"
        assert updated["droppedCredentials"] is False
        after = updated["modelConfig"]
        assert (after["provider"], after["model"], after["description"]) == ("openai", "b", None)
        assert (after["maxInputTokens"], after["version"]) == (5, 2)
        assert after["revision"] != config["revision"]
        assert await client.find(id=config["id"]) == after

    async def test_what_changes_nothing_makes_no_version(self, client: Any) -> None:
        config = await client.create("mine", provider="openai", params={"n": 1})
        revision = await client.store.revision()
        same = await client.update(config, provider="openai", params={"n": 1}, auth=None)
        assert same["modelConfig"] == config
        assert await client.store.revision() == revision
        changed = await client.update(config, params={"n": True})
        assert changed["modelConfig"]["params"] == {"n": True}
        assert changed["modelConfig"]["version"] == 2

    async def test_a_credential_given_as_a_value_is_always_a_change(self, client: Any) -> None:
        auth = {"apiKey": {"apiKey": "sk-the-same-value-again"}}
        config = await client.create("mine", provider="openai", auth=auth)
        assert (await client.update(config, auth=auth))["modelConfig"]["version"] == 2

    async def test_a_wrong_version_is_a_conflict_with_the_current_config(self, client: Any) -> None:
        config = await client.create("mine")
        current = (await client.update(config, description="first"))["modelConfig"]
        before = await client.everything()
        refused = await client.update(config, description="second")
        assert refused["__typename"] == "VersionConflict"
        assert refused["path"] == ["input", "expectedVersion"]
        assert refused["current"] == current
        assert await client.everything() == before

    async def test_of_several_writers_with_one_version_one_wins(self, client: Any) -> None:
        config = await client.create("mine")
        answers = await asyncio.gather(*(client.update(config, description=str(n)) for n in range(10)))
        kinds = sorted(answer["__typename"] for answer in answers)
        assert kinds == ["UpdateModelConfigPayload"] + ["VersionConflict"] * 9

    async def test_unknown_id(self, client: Any) -> None:
        refused = await client.mutate("update", id="none", expectedVersion=1, description="x")
        assert (refused["__typename"], refused["path"]) == ("NotFound", ["input", "id"])

    async def test_rename(self, client: Any) -> None:
        config = await client.create("old")
        renamed = (await client.update(config, alias="new"))["modelConfig"]
        assert (renamed["id"], renamed["alias"], renamed["version"]) == (config["id"], "new", 2)
        assert await client.find(alias="old") is None
        assert (await client.update(renamed, alias="general"))["__typename"] == "AliasTaken"
        assert (await client.update(renamed, alias=None))["__typename"] == "InvalidInput"
        assert (await client.find(alias="new")) == renamed

    async def test_a_default_alias_can_be_configured_but_not_renamed(self, client: Any) -> None:
        general = await client.find(alias="general")
        assert general is not None
        refused = await client.update(general, alias="other", provider="openai")
        assert (refused["__typename"], refused["path"]) == ("ProtectedDefault", ["input", "alias"])
        done = await client.update(general, alias="general", provider="openai", model="gpt-5-mini")
        assert done["modelConfig"]["configured"] is True

    async def test_validate_only(self, client: Any) -> None:
        config = await client.create("mine", provider="openai", auth={"apiKey": {"apiKey": "sk-0123456789abcdef"}})
        before = await client.everything()
        answer = await client.update(config, provider="ollama", validateOnly=True)
        assert answer == {"__typename": "UpdateModelConfigPayload", "modelConfig": None, "droppedCredentials": True}
        assert (await client.update(config, alias="general", validateOnly=True))["__typename"] == "AliasTaken"
        conflict = await client.mutate("update", id=config["id"], expectedVersion=9, validateOnly=True)
        assert conflict["__typename"] == "VersionConflict"
        assert await client.everything() == before


class TestDelete:
    async def test_delete(self, client: Any) -> None:
        config = await client.create("mine")
        deleted = await client.mutate("delete", id=config["id"], expectedVersion=1, force=True)
        assert deleted["__typename"] == "DeleteModelConfigPayload"
        assert (deleted["id"], deleted["alias"]) == (config["id"], "mine")
        assert deleted["revision"] == f"{client.store.id}-{await client.store.revision()}"
        assert await client.find(id=config["id"]) is None
        again = await client.mutate("delete", id=config["id"], expectedVersion=1)
        assert again["__typename"] == "NotFound"

    async def test_a_wrong_version_and_a_default_are_refused(self, client: Any) -> None:
        config, general = await client.create("mine"), await client.find(alias="general")
        assert general is not None
        before = await client.everything()
        conflict = await client.mutate("delete", id=config["id"], expectedVersion=2)
        assert (conflict["__typename"], conflict["current"]) == ("VersionConflict", config)
        protected = await client.mutate("delete", id=general["id"], expectedVersion=1, force=True)
        assert protected["__typename"] == "ProtectedDefault"
        assert await client.everything() == before
