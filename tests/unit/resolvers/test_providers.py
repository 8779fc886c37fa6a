"""The table of providers, compared with LiteLLM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from modelwire.resolvers import providers
from modelwire.resolvers.access import Context
from modelwire.resolvers.errors import Forbidden
from modelwire.resolvers.provider_names import PROVIDER_TITLES
from modelwire.resolvers.providers import describe, similar_provider
from modelwire.store import AuthType

COMMON = [
    "openai",
    "anthropic",
    "azure",
    "gemini",
    "vertex_ai",
    "bedrock",
    "ollama",
    "custom_openai",
    "groq",
    "mistral",
    "openrouter",
    "xai",
]


# In a process of its own: what LiteLLM warns about at its import depends on what imported it first.
_SCRIPT = """
import json, sys, litellm
from litellm.llms.openai_like.json_loader import JSONProviderRegistry
names = {getattr(name, "value", name) for name in litellm.provider_list} | set(JSONProviderRegistry.list_providers())
routed = {name: litellm.get_llm_provider(model=f"{name}/some-model", api_key="x") for name in sys.argv[1:]}
print(json.dumps({"names": sorted(names), "routed": routed}))
"""


@pytest.fixture(scope="module")
def litellm_says() -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_BASE")}
    environment |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    command = [sys.executable, "-c", _SCRIPT, *COMMON]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_the_names_are_those_of_the_installed_litellm(litellm_says: Any) -> None:
    names = set(litellm_says["names"])
    assert names - PROVIDER_TITLES.keys() == set(), "add them to resolvers/provider_names.py"
    assert PROVIDER_TITLES.keys() - names == set(), "LiteLLM has them no longer: take them out"
    assert all(title.strip() == title != "" for title in PROVIDER_TITLES.values())


@pytest.mark.parametrize("name", COMMON)
def test_models_are_routed_by_the_prefix_to_the_default_address(name: str, litellm_says: Any) -> None:
    """LiteLLM tells the address for some providers alone; where it does, ours is the same."""
    _, routed, _, api_base = litellm_says["routed"][name]
    provider = describe(name)
    assert provider is not None
    assert routed == name
    assert api_base in {None, provider.default_api_base}


def test_common_providers_say_how_they_are_used() -> None:
    described = {name: describe(name) for name in COMMON}
    assert all(provider is not None and provider.common for provider in described.values())
    openai, azure, bedrock, ollama = (describe(name) for name in ("openai", "azure", "bedrock", "ollama"))
    assert openai is not None
    assert azure is not None
    assert bedrock is not None
    assert ollama is not None
    assert (openai.default_api_base, openai.api_base_required) == ("https://api.openai.com/v1", False)
    assert openai.auths[0].required == {"api_key"}
    assert (azure.default_api_base, azure.api_base_required) == (None, True)
    assert [auth.type for auth in bedrock.auths] == [AuthType.AWS_IAM, AuthType.API_KEY, AuthType.NONE]
    assert ollama.auths[0].type is AuthType.NONE
    assert ollama.model_prefix == "ollama/"


def test_the_required_fields_are_fields() -> None:
    for name in PROVIDER_TITLES:
        provider = describe(name)
        assert provider is not None
        for auth in provider.auths:
            assert auth.required <= {field.name for field in auth.fields}


def test_other_providers_are_described_by_what_litellm_takes_for_all() -> None:
    watsonx, sagemaker = describe("watsonx"), describe("sagemaker")
    assert watsonx is not None
    assert sagemaker is not None
    assert not watsonx.common
    assert watsonx.auths[0].type is AuthType.API_KEY
    assert watsonx.auths[0].required == frozenset()
    assert sagemaker.auths[0].type is AuthType.AWS_IAM
    assert describe("no-such-provider") is None


def test_every_suggestion_is_a_provider() -> None:
    assert {similar_provider(name) for name in providers._KNOWN_AS} <= PROVIDER_TITLES.keys()
    assert similar_provider("antropic") == "anthropic"
    assert similar_provider("xyzzy-corp") is None


async def test_the_list_has_all_and_the_common_ones_first(context: Context) -> None:
    found = await providers.all_providers(context)
    assert {provider.name for provider in found} == PROVIDER_TITLES.keys()
    first_other = next(index for index, provider in enumerate(found) if not provider.common)
    assert all(not provider.common for provider in found[first_other:])


async def test_without_the_scope_nothing_is_said(context: Context) -> None:
    denied = replace(context, principal=replace(context.principal, scopes=frozenset()))
    with pytest.raises(Forbidden):
        await providers.all_providers(denied)
    with pytest.raises(Forbidden):
        await providers.find_provider(denied, "openai")


def test_knowing_the_providers_does_not_load_litellm() -> None:
    script = (
        "import sys; from modelwire.resolvers.validation import validate_input;"
        "from modelwire.resolvers.inputs import ModelConfigInput; validate_input(ModelConfigInput(provider='openai'));"
        "sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
