"""Providers and the state of the set-up, as clients ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire.resolvers.access import Scope

SETUP = "{ setupStatus { configured missing } }"
PROVIDER = """
query ($name: String!) {
  provider(name: $name) {
    name title common defaultApiBase apiBaseRequired modelPrefix
    authTypes { type inputName fields { name litellmName required secret description } }
  }
}
"""


class TestSetupStatus:
    async def test_placeholders_are_missing_until_they_have_provider_and_model(self, client: Any) -> None:
        assert (await client.run(SETUP))["setupStatus"] == {"configured": False, "missing": ["general", "planning"]}

        general, planning = [await client.find(alias=alias) for alias in ("general", "planning")]
        await client.update(general, provider="openai", model="gpt-5-mini")
        await client.update(planning, provider="openai")
        assert (await client.run(SETUP))["setupStatus"] == {"configured": False, "missing": ["planning"]}

        planning = await client.find(alias="planning")
        await client.update(planning, model="gpt-5")
        assert (await client.run(SETUP))["setupStatus"] == {"configured": True, "missing": []}

    async def test_of_the_aliases_that_the_key_opens(self, client: Any, client_with: Any) -> None:
        bound = client_with(aliases=("planning", "mine"))
        assert (await bound.run(SETUP))["setupStatus"] == {"configured": False, "missing": ["planning"]}


@pytest.mark.parametrize("document", [SETUP, "{ providers { name } }", '{ provider(name: "openai") { name } }'])
async def test_denied_without_the_scope(client: Any, client_with: Any, document: str) -> None:
    with client.refused("FORBIDDEN", match="model_config:read"):
        await client_with(Scope.COMPONENT_READ).run(document)


class TestProviders:
    async def test_one_with_what_a_form_needs(self, client: Any) -> None:
        provider = (await client.run(PROVIDER, name="anthropic"))["provider"]
        assert {name: value for name, value in provider.items() if name != "authTypes"} == {
            "name": "anthropic",
            "title": "Anthropic",
            "common": True,
            "defaultApiBase": "https://api.anthropic.com",
            "apiBaseRequired": False,
            "modelPrefix": "anthropic/",
        }
        assert provider["authTypes"][0] == {
            "type": "API_KEY",
            "inputName": "apiKey",
            "fields": [
                {
                    "name": "apiKey",
                    "litellmName": "api_key",
                    "required": True,
                    "secret": True,
                    "description": "The provider's API key.",
                }
            ],
        }

    async def test_one_that_is_not_there(self, client: Any) -> None:
        assert (await client.run(PROVIDER, name="no-such-provider"))["provider"] is None

    async def test_all(self, client: Any) -> None:
        found = (await client.run("{ providers { name common } }"))["providers"]
        assert {"name": "bedrock", "common": True} in found
        assert {"name": "watsonx", "common": False} in found


async def test_a_config_of_an_unknown_provider_is_refused_with_a_suggestion(client: Any) -> None:
    before = await client.everything()
    general = await client.find(alias="general")
    for refused in (
        await client.mutate("create", alias="mine", provider="antropic"),
        await client.update(general, provider="antropic", model="claude-sonnet-4-5"),
    ):
        assert refused["__typename"] == "InvalidInput"
        assert refused["path"] == ["input", "provider"]
        assert "did you mean anthropic?" in refused["message"]
    assert await client.everything() == before


class TestSupportedParams:
    async def test_of_one_model_with_and_without_the_prefix(self, client: Any) -> None:
        document = """query ($model: String!) { provider(name: "anthropic") { supportedParams(model: $model) } }"""
        for model in ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"):
            found = (await client.run(document, model=model))["provider"]["supportedParams"]
            assert {"tools", "max_tokens"} <= set(found)

    @pytest.mark.parametrize("model", ["", "m" * 257, "a\nb"])
    async def test_what_cannot_be_a_model(self, client: Any, model: str) -> None:
        document = """query ($model: String!) { provider(name: "openai") { supportedParams(model: $model) } }"""
        with client.refused("BAD_USER_INPUT", match="1 to 256"):
            await client.run(document, model=model)

    async def test_not_of_all_providers_at_once(self, client: Any) -> None:
        with pytest.raises(Exception, match="ask with provider") as refused:
            await client.run('{ providers { supportedParams(model: "m") } }')
        assert set(refused.value.codes) == {"BAD_USER_INPUT"}
