"""Importing files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data" / "litellm"


class TestImport:
    async def test_a_real_file(self, client: Any) -> None:
        content = (DATA / "load_balancer.yaml").read_text()
        before = await client.everything()
        dry = await client.mutate("import", content=content, dryRun=True)
        assert dry["revision"] is None
        assert await client.everything() == before
        done = await client.mutate("import", content=content, format="LITELLM")
        assert done["entries"] == dry["entries"]
        assert done["ignoredSections"] == dry["ignoredSections"]
        assert done["revision"] == f"{client.store.id}-{before[0] + 1}"
        actions = [(entry["alias"], entry["action"]) for entry in done["entries"]]
        assert actions[:2] == [("gpt-3.5-turbo", "CREATE"), ("gpt-3.5-turbo", "SKIP")]
        again = await client.mutate("import", content=content)
        assert {entry["action"] for entry in again["entries"]} == {"UNCHANGED", "SKIP"}
        assert again["revision"] is None

    @pytest.mark.parametrize("variables", [[], "", 0, False])
    async def test_variables_that_are_no_object_are_refused_also_when_they_are_empty(
        self, client: Any, variables: Any
    ) -> None:
        answered = await client.mutate("import", content="models: {}", variables=variables)
        assert (answered["__typename"], answered["path"]) == ("InvalidInput", ["input", "variables"])

    async def test_an_update_keeps_what_the_file_does_not_say(self, client: Any) -> None:
        auth = {"apiKey": {"apiKey": "sk-stored"}}
        await client.create(
            "mine", provider="openai", model="a", description="kept", auth=auth, params={"n": 1, "token": "kept"}
        )
        entry = "model_list: [{model_name: mine, litellm_params: {model: openai/b, temperature: 0}}]"
        before = await client.everything()
        dry = await client.mutate("import", content=entry, dryRun=True)
        assert await client.everything() == before
        result = await client.mutate("import", content=entry)
        assert (
            dry["entries"]
            == result["entries"]
            == [{"alias": "mine", "action": "UPDATE", "reason": None, "ignored": []}]
        )
        after = await client.find(alias="mine")
        assert after is not None
        assert (after["description"], after["params"], after["version"]) == ("kept", {"temperature": 0}, 2)
        assert (await client.litellm_params("mine")) == {
            "model": "openai/b",
            "api_key": "sk-stored",
            "temperature": 0,
            "token": "kept",
        }

    async def test_an_update_that_points_elsewhere_drops_credentials_and_says_so(self, client: Any) -> None:
        await client.create("mine", provider="openai", model="a", auth={"apiKey": {"apiKey": "sk-stored"}})
        entry = "model_list: [{model_name: mine, litellm_params: {model: openai/a, api_base: 'https://x.example'}}]"
        (result,) = (await client.mutate("import", content=entry))["entries"]
        assert result["action"] == "UPDATE"
        assert "dropped" in result["reason"]
        assert "api_key" not in await client.litellm_params("mine")

    async def test_an_entry_that_breaks_our_rules_is_skipped_with_the_reason(self, client: Any) -> None:
        content = json.dumps(
            {
                "model_list": [
                    {"model_name": "x" * 101, "litellm_params": {"model": "openai/a"}},
                    {"model_name": "bad-base", "litellm_params": {"model": "openai/a", "api_base": "nowhere"}},
                    {"model_name": "general", "litellm_params": {"model": "openai/a"}},
                ]
            }
        )
        entries = (await client.mutate("import", content=content))["entries"]
        assert [entry["action"] for entry in entries] == ["SKIP", "SKIP", "UPDATE"]
        assert "100 characters" in entries[0]["reason"]
        assert "apiBase" in entries[1]["reason"]
        assert await client.aliases() == ["general", "planning"]

    @pytest.mark.parametrize("content", ["model_list: [", "- 1", "", "model_list: {}", "x" * (1024 * 1024 + 1)])
    async def test_a_malformed_file_changes_nothing(self, client: Any, content: str) -> None:
        before = await client.everything()
        refused = await client.mutate("import", content=content)
        assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "content"])
        assert await client.everything() == before
