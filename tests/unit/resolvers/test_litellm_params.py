"""What LiteLLM is given for a config."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from stored import model_config

from modelwire.resolvers.access import Context, Principal, Scope
from modelwire.resolvers.auth_types import AUTH_SCHEMES
from modelwire.resolvers.errors import Forbidden
from modelwire.resolvers.litellm_params import litellm_model, litellm_params
from modelwire.resolvers.params import REFUSED_PARAMS
from modelwire.store import Auth, AuthType, Secrets

CONFIG = model_config(
    "1", "mine", provider="openai", model="gpt-5-mini", params={"temperature": 0, "stop": None}, max_input_tokens=5
)


def context(secrets: Secrets, *scopes: Scope) -> Any:
    principal = Principal(subject="s", name="n", scopes=frozenset(scopes))
    return Context(principal, SimpleNamespace(open_secrets=lambda _: secrets), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-5-mini", "openai/gpt-5-mini"),
        ("gemini", "gemini/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("openai", "openai-compatible", "openai/openai-compatible"),
        ("bedrock", "converse/us.anthropic.claude", "bedrock/converse/us.anthropic.claude"),
        ("openrouter", "openai/gpt-5", "openrouter/openai/gpt-5"),
        (None, "gpt", None),
        ("openai", None, None),
    ],
)
def test_the_name_that_litellm_routes_by(provider: str | None, model: str | None, name: str | None) -> None:
    assert litellm_model(replace(CONFIG, provider=provider, model=model)) == name


def test_unset_values_are_left_out_and_params_passed_on() -> None:
    assert litellm_params(context(Secrets(), Scope.MODEL_CONFIG_RESOLVE), CONFIG) == {
        "model": "openai/gpt-5-mini",
        "temperature": 0,
        "stop": None,
    }


def test_opened_secrets_and_references_are_in_it() -> None:
    config = replace(
        CONFIG,
        api_base="https://models.example",
        auth=Auth(
            type=AuthType.AWS_IAM,
            fields={"access_key_id": "os.environ/AWS_ACCESS_KEY_ID", "region_name": "eu-west-1"},
            hints={"secret_access_key": None},
        ),
    )
    secrets = Secrets(auth={"secret_access_key": "opened"}, params={"extra_headers": {"X": "opened"}})
    assert litellm_params(context(secrets, Scope.MODEL_CONFIG_RESOLVE), config) == {
        "model": "openai/gpt-5-mini",
        "api_base": "https://models.example",
        "aws_access_key_id": "os.environ/AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "opened",
        "aws_region_name": "eu-west-1",
        "temperature": 0,
        "stop": None,
        "extra_headers": {"X": "opened"},
    }


def test_a_placeholder_has_none() -> None:
    assert litellm_params(context(Secrets(), Scope.MODEL_CONFIG_RESOLVE), replace(CONFIG, provider=None)) is None


def test_without_the_scope_it_is_refused_for_placeholders_too() -> None:
    for config in (CONFIG, replace(CONFIG, provider=None)):
        with pytest.raises(Forbidden, match="model_config:resolve"):
            litellm_params(context(Secrets(auth={"api_key": "x"}), Scope.MODEL_CONFIG_READ), config)


def test_every_auth_field_has_a_name_of_its_own_at_litellm() -> None:
    names = [field.litellm_name for scheme in AUTH_SCHEMES.values() for field in scheme.fields]
    assert len(names) == len(set(names))
    assert set(names) <= REFUSED_PARAMS.keys()
    assert AUTH_SCHEMES.keys() == set(AuthType)
