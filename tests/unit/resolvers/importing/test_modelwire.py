"""Modelwire's own format: strict, with the line, and without any secret."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.importing import ImportedModel, ImportFormat, ParsedEntry, modelwire, parse_import
from modelwire.resolvers.inputs import AuthInput
from modelwire.store import AuthType

CANARY = "canary-5f1d"


async def entries(configs: str, format_: ImportFormat = ImportFormat.AUTO) -> tuple[ParsedEntry, ...]:
    parsed = await parse_import(f"modelwire: 1\nmodel_configs:\n{configs}", format_)
    assert parsed.ignored_sections == ()
    return parsed.entries


async def refusal(content: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        await parse_import(content, ImportFormat.MODELWIRE)
    assert caught.value.path == ("input", "content")
    assert CANARY not in caught.value.message
    return caught.value.message


async def test_the_example_of_the_module() -> None:
    assert modelwire.__doc__ is not None
    example = dedent("    modelwire: 1" + modelwire.__doc__.split("    modelwire: 1")[1].split("\n\n")[0])

    (only,) = (await parse_import(example, ImportFormat.AUTO)).entries

    assert only == ParsedEntry(
        alias="general",
        line=3,
        model=ImportedModel(
            alias="general",
            description="For everything",
            provider="openai",
            model="gpt-4o",
            api_base="https://llm.example.com/v1",
            auth=AuthInput(type=AuthType.API_KEY, values={"api_key": "os.environ/OPENAI_API_KEY"}),
            params={"temperature": 0.2},
            max_input_tokens=100000,
            complete=True,
            sealed_params=("extra_headers",),
        ),
    )


async def test_the_example_of_the_guide() -> None:
    guide = Path(__file__).parents[4] / "docs" / "interchange.md"
    (example,) = re.findall(r"^```yaml\n(.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE)

    parsed = await parse_import(example, ImportFormat.AUTO)

    assert [entry.alias for entry in parsed.entries] == ["general", "planning", "later"]


@pytest.mark.parametrize("format_", [ImportFormat.AUTO, ImportFormat.MODELWIRE])
async def test_an_empty_mapping_is_a_placeholder(format_: ImportFormat) -> None:
    (only,) = await entries("  general: {}", format_)

    assert only.model == ImportedModel(
        alias="general", provider=None, model=None, auth=AuthInput(type=AuthType.NONE), complete=True
    )


async def test_what_auth_leaves_out_is_cleared_and_what_it_names_as_sealed_is_kept() -> None:
    (only,) = await entries("  a: {auth: {type: aws_iam, access_key_id: os.environ/X, sealed: [secret_access_key]}}")

    assert only.model is not None
    assert only.model.auth.values == {"access_key_id": "os.environ/X", "session_token": None, "region_name": None}
    assert only.model.sealed_auth == ("secret_access_key",)


async def test_a_file_without_configs() -> None:
    assert (await parse_import("modelwire: 1\nmodel_configs: {}", ImportFormat.AUTO)).entries == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("model_configs: {}", "not a file of Modelwire's own format: it does not begin with `modelwire: 1`"),
        ("modelwire: 1", "line 1: `model_configs` is missing: write `model_configs: {}` for none"),
        ("modelwire: 2\nmodel_configs: {}", "line 1: `modelwire` must be 1, the one version"),
        ("modelwire: true\nmodel_configs: {}", "line 1: `modelwire` must be 1, the one version"),
        ("modelwire: '1'\nmodel_configs: {}", "line 1: `modelwire` must be 1, the one version"),
        ("modelwire: 1\nmodel_configs: []", "line 2: `model_configs` must be a mapping"),
        ("modelwire: 1\nmodel_configs:", "line 2: `model_configs` must be a mapping"),
        (
            "modelwire: 1\nmodel_configs: {}\n\nmodels: {}",
            "line 4: `models` is not known here; what is: modelwire, model_configs",
        ),
    ],
)
async def test_a_file_that_is_wrong_as_a_whole(content: str, message: str) -> None:
    assert (await refusal(content)).startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "line 3: `m` must be a mapping"),
        ("text", "line 3: `m` must be a mapping"),
        ("\n    api_key: x", "line 4: `api_key` is not known here; what is: description, provider, model, api_base"),
        ("\n    provider: openai\n    model: 4", "line 5: `model` must be text"),
        ("\n    description:", "line 4: `description` must be text"),
        ("\n    max_input_tokens: '5'", "line 4: `max_input_tokens` must be a whole number"),
        ("\n    max_input_tokens: true", "line 4: `max_input_tokens` must be a whole number"),
        ("\n    params: []", "line 4: `params` must be a mapping"),
        ("\n    sealed_params: extra_headers", "line 4: `sealed_params` must be a list"),
        ("\n    sealed_params:\n    - 5", "line 5: `item 1` must be text"),
        ("\n    params: {a: 1}\n    sealed_params: [a]", "line 5: 'a' stands in `params` already"),
        ("\n    auth: none", "line 4: `auth` must be a mapping"),
        ("\n    auth:", "line 4: `auth` must be a mapping"),
        ("\n    auth: {}", "line 4: `type` must be one of none, api_key, oauth2_client_credentials, aws_iam, gcp_serv"),
        ("\n    auth:\n      type: [api_key]", "line 5: `type` must be one of none, api_key"),
        ("\n    auth:\n      type: none\n      sealed: []", "line 6: `sealed` is not known here; what is: type"),
        (
            "\n    auth:\n      type: api_key\n      client_id: x",
            "line 6: `client_id` is not known here; what is: type, sealed, api_key",
        ),
        ("\n    auth:\n      type: api_key\n      api_key:", "line 6: `api_key` has no value: leave it out"),
        (
            "\n    auth:\n      type: aws_iam\n      sealed:\n      - region_name",
            "line 7: `sealed` names secrets of this type that have no line of their own: 'region_name' is none",
        ),
        (
            "\n    auth:\n      type: api_key\n      api_key: os.environ/X\n      sealed: [api_key]",
            "line 7: `sealed` names secrets of this type that have no line of their own: 'api_key' is none",
        ),
    ],
)
async def test_an_entry_that_is_wrong_refuses_the_file(fields: str, message: str) -> None:
    assert (await refusal(f"modelwire: 1\nmodel_configs:\n  m: {fields}\n")).startswith(message)


@pytest.mark.parametrize(
    ("fields", "line", "name", "marker"),
    [
        (f"auth:\n      type: api_key\n      api_key: {CANARY}", 6, "api_key", "sealed: [api_key]"),
        (f"auth:\n      type: api_key\n      api_key: [{CANARY}]", 6, "api_key", "sealed: [api_key]"),
        (f"params:\n      a: 1\n      extra_headers: {{x: {CANARY}}}", 6, "extra_headers",
         "sealed_params: [extra_headers]"),
        (f"params:\n      proxy: https://user:{CANARY}@host", 5, "proxy", "sealed_params: [proxy]"),
    ],
)  # fmt: skip
async def test_a_literal_secret_is_refused_without_being_repeated(
    fields: str, line: int, name: str, marker: str
) -> None:
    assert await refusal(f"modelwire: 1\nmodel_configs:\n  m:\n    {fields}\n") == (
        f"line {line}: `{name}` holds a secret, and a file of this format holds none: write os.environ/NAME, which "
        f"components resolve, or set it with `modelwire set` or updateModelConfig and write `{marker}` here"
    )
