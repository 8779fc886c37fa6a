"""Exports: what they say, what they never say, and that reading them back changes nothing."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwire.resolvers import model_configs
from modelwire.resolvers.access import ALL_SCOPES, Context, Principal, Scope
from modelwire.resolvers.auth_types import AUTH_SCHEMES, FieldKind
from modelwire.resolvers.errors import Forbidden
from modelwire.resolvers.export import ExportFormat, export_model_configs, write_litellm
from modelwire.resolvers.importing import ImportFormat
from modelwire.resolvers.importing.litellm_entry import is_for_router
from modelwire.resolvers.inputs import AuthInput, ModelConfigInput
from modelwire.resolvers.model_config_import import ImportAction, Imported, ImportRequest, import_model_configs
from modelwire.resolvers.params import REFUSED_PARAMS
from modelwire.store import (
    DEFAULT_ALIASES,
    AliasPatterns,
    AuthType,
    ModelConfig,
    Selector,
)
from modelwire.subscriber.library import load_litellm

CANARY = "canary-5f1d-long-enough-for-a-hint"

FULL = ModelConfigInput(
    alias="full",
    description="First line\nsecond: line #",
    provider="azure",
    model="gpt-4o",
    api_base="https://h.example/v1",
    auth=AuthInput(type=AuthType.API_KEY, values={"api_key": CANARY}),
    params={"temperature": 0.5, "stop": ["a"], "extra_headers": {"x": CANARY}, "api_version": "2023-05-15"},
    max_input_tokens=5,
)


async def stored(context: Context) -> dict[str, ModelConfig]:
    return {config.alias: config for config in (await context.store.snapshot(Selector())).configs}


async def apply(context: Context, content: str, **request: Any) -> Imported:
    return await import_model_configs(context, ImportRequest(content=content, prune=True, **request))


def actions(imported: Imported) -> dict[str, ImportAction]:
    return {entry.alias: entry.action for entry in imported.entries}


async def test_modelwires_own_format(context: Context) -> None:
    await model_configs.create(context, FULL)
    exported = await export_model_configs(context, ExportFormat.MODELWIRE)

    assert exported.content == (
        "# Model configs of Modelwire, the whole of each. Sealed secrets are named and not shown; applying this file\n"
        "# keeps them as they are stored.\n"
        "modelwire: 1\n"
        "model_configs:\n"
        "  full:\n"
        "    description: |-\n"
        "      First line\n"
        "      second: line #\n"
        "    provider: azure\n"
        "    model: gpt-4o\n"
        "    api_base: https://h.example/v1\n"
        "    auth:\n"
        "      type: api_key\n"
        "      sealed:\n"
        "      - api_key\n"
        "    params:\n"
        "      temperature: 0.5\n"
        "      stop:\n"
        "      - a\n"
        "      api_version: '2023-05-15'\n"
        "    sealed_params:\n"
        "    - extra_headers\n"
        "    max_input_tokens: 5\n"
        "  general: {}\n"
        "  planning: {}\n"
    )
    assert exported.position.revision == 2
    assert exported.position.store_id == context.store.id


async def test_litellms_format(context: Context) -> None:
    await model_configs.create(context, FULL)
    oauth = AuthInput(
        type=AuthType.OAUTH2_CLIENT_CREDENTIALS,
        values={"token_url": "https://t", "client_id": "c", "client_secret": "os.environ/X_API_KEY"},
    )
    given = ModelConfigInput(alias="own", provider="watsonx", model="w", auth=oauth, params={"tpm": 5, "top_p": 1})
    await model_configs.create(context, given)

    exported = await export_model_configs(context, ExportFormat.LITELLM)

    comments = [line for line in exported.content.splitlines() if line.startswith("#")]
    assert comments[1:] == [
        "# full: sealed and left out: api_key, extra_headers",
        "# general: left out, it is not configured yet",
        "# own: left out, LiteLLM's router would take them for its own: tpm",
        "# own: LiteLLM itself cannot sign in with oauth_…",
        "# planning: left out, it is not configured yet",
    ]
    assert yaml.safe_load(exported.content) == {
        "model_list": [
            {
                "model_name": "full",
                "litellm_params": {
                    "model": "azure/gpt-4o",
                    "api_base": "https://h.example/v1",
                    "temperature": 0.5,
                    "stop": ["a"],
                    "api_version": "2023-05-15",
                },
                "model_info": {"max_input_tokens": 5},
            },
            {
                "model_name": "own",
                "litellm_params": {
                    "model": "watsonx/w",
                    "custom_llm_provider": "watsonx",
                    "oauth_token_url": "https://t",
                    "oauth_client_id": "c",
                    "oauth_client_secret": "os.environ/X_API_KEY",
                    "top_p": 1,
                },
            },
        ]
    }


async def test_the_comments_of_litellms_format_stay_comments(context: Context) -> None:
    await model_configs.create(context, ModelConfigInput(alias="# a: [\u00a0]"))
    content = write_litellm((await stored(context)).values())

    assert yaml.safe_load(content) == {"model_list": []}


@pytest.mark.parametrize("format_", list(ExportFormat))
async def test_an_export_shows_what_the_caller_may_see(context: Context, format_: ExportFormat) -> None:
    for alias in ("team-a/x", "team-b/y"):
        await model_configs.create(context, ModelConfigInput(alias=alias, provider="openai", model="m"))
    bound = Principal(
        subject="s", name="n", scopes=frozenset({Scope.MODEL_CONFIG_READ}), aliases=AliasPatterns(("team-a/*",))
    )
    content = (await export_model_configs(Context(bound, context.store, context.feed), format_)).content

    assert "team-a/x" in content
    assert not any(alias in content for alias in ("team-b/y", "general", "planning"))


async def test_an_export_needs_the_right_to_read(context: Context) -> None:
    principal = Principal(subject="s", name="n", scopes=ALL_SCOPES - {Scope.MODEL_CONFIG_READ})
    with pytest.raises(Forbidden):
        await export_model_configs(Context(principal, context.store, context.feed), ExportFormat.MODELWIRE)


# LiteLLM builds its types when they are first used, and pydantic warns about some.
@pytest.mark.filterwarnings("ignore:.*ReadOnly:UserWarning")
async def test_litellms_own_router_reads_its_form(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_API_KEY", "from-the-environment")
    reference = AuthInput(type=AuthType.API_KEY, values={"api_key": "os.environ/X_API_KEY"})
    for alias, provider, model in (
        ("a", "openai", "gpt-4o"),
        ("b", "watsonx", "w"),
        ("c", "openrouter", "openrouter/auto"),
    ):
        given = replace(FULL, alias=alias, provider=provider, model=model, auth=reference, params={"temperature": 0.5})
        await model_configs.create(context, given)
    exported = await export_model_configs(context, ExportFormat.LITELLM)

    litellm = await asyncio.to_thread(load_litellm)
    # The router writes what it is told into the registry, which all of the process has in common.
    monkeypatch.setattr(litellm, "model_cost", copy.deepcopy(litellm.model_cost))
    router = await asyncio.to_thread(litellm.Router, model_list=yaml.safe_load(exported.content)["model_list"])

    assert router.get_model_names() == ["a", "b", "c"]
    for alias, model in (("a", "gpt-4o"), ("b", "w"), ("c", "auto")):
        (deployment,) = router.get_model_list(model_name=alias)
        call = router.get_deployment(deployment["model_info"]["id"]).litellm_params
        assert (call.api_base, call.api_key) == ("https://h.example/v1", "from-the-environment")
        assert call.model_extra["temperature"] == 0.5
        assert "max_input_tokens" not in call.model_dump(exclude_none=True)
        assert deployment["model_info"]["max_input_tokens"] == 5
        routed = litellm.get_llm_provider(model=call.model, custom_llm_provider=call.custom_llm_provider)
        assert routed[0] == model


# Random configs. Texts are what YAML and a database can carry.
_lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="*"), max_size=30)
lines = st.sampled_from(["null", "1", "yes", "<<", "=", "- a", "a: b", "#", "%"])
lines |= _lines.map(str.strip).filter(lambda line: line not in {"", *DEFAULT_ALIASES})
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
param_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True) | st.sampled_from(
    ["temperature", "extra_headers", "s3_secret_access_key", "tags", "organization"]
)
params = st.dictionaries(param_names.filter(lambda name: name not in REFUSED_PARAMS), values, max_size=4)
references = st.from_regex(r"os\.environ/[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)
plain = {
    FieldKind.TEXT: lines,
    FieldKind.TOKEN: lines,
    FieldKind.URL: st.sampled_from(["https://h/t", "https://h/t?a=b"]),
    FieldKind.LOCATION: st.sampled_from(["eu-central-1", "global"]),
    FieldKind.JSON_OBJECT: st.just("{}"),
    FieldKind.COUNT: st.integers(0, 9),
}


def auths(type_: AuthType) -> st.SearchStrategy[AuthInput]:
    fields = AUTH_SCHEMES[type_].fields
    values_of = {field.name: plain[field.kind] if field.kind is FieldKind.COUNT else plain[field.kind] | references
                 for field in fields}  # fmt: skip
    required = {field.name: values_of[field.name] for field in fields if field.required}
    optional = {name: values for name, values in values_of.items() if name not in required}
    return st.builds(AuthInput, type=st.just(type_), values=st.fixed_dictionaries(required, optional=optional))


auth_inputs = st.sampled_from(AuthType).flatmap(auths)
configs = st.builds(
    ModelConfigInput,
    alias=lines,
    description=st.none() | _lines,
    provider=st.sampled_from(["openai", "azure", "vertex_ai", "watsonx", "openrouter", "text-completion-openai"]),
    model=lines | lines.map("openai/{}".format) | st.just("openrouter/auto"),
    api_base=st.none() | references | st.sampled_from(["https://h", "http://127.0.0.1:1/v1"]),
    auth=auth_inputs,
    params=params,
    max_input_tokens=st.none() | st.integers(1, 2**31 - 1),
)
stores = st.lists(configs, max_size=3, unique_by=lambda config: str(config.alias))


async def make(context: Context, given_configs: list[ModelConfigInput]) -> None:
    """Have these configs in the store, and no others."""
    await apply(context, "modelwire: 1\nmodel_configs: {}")
    for config in given_configs:
        await model_configs.create(context, config)


# One store for all examples: each makes what it needs.
PROPERTY = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@PROPERTY
@given(stores)
async def test_applying_an_export_changes_nothing(context: Context, given_configs: list[ModelConfigInput]) -> None:
    await make(context, given_configs)
    before = await stored(context)
    exported = await export_model_configs(context, ExportFormat.MODELWIRE)

    applied = await apply(context, exported.content)

    assert actions(applied) == dict.fromkeys(before, ImportAction.UNCHANGED)
    assert all(entry.reason is None and entry.changes == () for entry in applied.entries)
    assert applied.position is None
    assert await stored(context) == before


def can_litellm_say(config: ModelConfigInput) -> bool:
    """Whether LiteLLM's format has a way to write it: null, the empty text and the router's names mean something else
    there, and a model whose own name is a pattern, a router, or begins with another provider's prefix, too."""
    assert isinstance(config.params, dict)
    assert isinstance(config.model, str)
    assert isinstance(config.auth, AuthInput)
    given_values = [*config.params.values(), *config.auth.values.values()]
    return (
        not any(value in {None, ""} for value in given_values if isinstance(value, str | None))
        and not any(is_for_router(name, value) for name, value in config.params.items())
        and "*" not in str(config.model)
    )


@PROPERTY
@given(st.lists(configs.filter(can_litellm_say), max_size=3, unique_by=lambda config: str(config.alias)))
async def test_applying_litellms_form_of_an_export_changes_nothing(
    context: Context, given_configs: list[ModelConfigInput]
) -> None:
    await make(context, given_configs)
    before = await stored(context)
    exported = await export_model_configs(context, ExportFormat.LITELLM)

    applied = await apply(context, exported.content, format=ImportFormat.LITELLM)

    assert actions(applied) == dict.fromkeys(before, ImportAction.UNCHANGED)
    assert await stored(context) == before
