"""Solace Agent Mesh's files: the shared_config.yaml word for word, and its variables in all their forms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelwire.resolvers.auth_types import AUTH_SCHEMES
from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.importing import ImportedModel, ImportFormat, ParsedEntry, parse_import
from modelwire.resolvers.importing.sam_variables import Substitution, Variables
from modelwire.resolvers.inputs import AuthInput
from modelwire.resolvers.params import is_secret_name
from modelwire.store import AuthType

FILE = Path(__file__).parents[3] / "data" / "sam" / "shared_config.yaml"
CANARY = "canary-5f1d"

PLANNING = ImportedModel(
    alias="planning",
    provider="openai",
    model="gpt-4o",
    api_base="https://api.openai.com/v1",
    auth=AuthInput(type=AuthType.API_KEY, values={"api_key": "os.environ/LLM_SERVICE_API_KEY"}),
    params={"parallel_tool_calls": True, "max_tokens": 16000, "temperature": 0.1, "cache_strategy": "5m"},
)
GENERAL = ImportedModel(
    alias="general",
    provider="anthropic",
    model="claude-sonnet-4-5",
    auth=AuthInput(type=AuthType.API_KEY, values={"api_key": "os.environ/ANTHROPIC_API_KEY"}),
)
OAUTH_PLANNING = ImportedModel(
    alias="oauth_planning",
    provider="openai",
    model="gpt-4o",
    api_base="https://llm.example.com/v1",
    auth=AuthInput(
        type=AuthType.OAUTH2_CLIENT_CREDENTIALS,
        values={
            "token_url": "https://auth.example.com/token",
            "client_id": "modelwire",
            "client_secret": "os.environ/LLM_SERVICE_OAUTH_CLIENT_SECRET",
            "scope": "llm.read",
            "token_refresh_buffer_seconds": 300,
        },
    ),
)


async def models(content: Any, variables: Mapping[str, str] | None = None) -> dict[str, ParsedEntry]:
    text = content if isinstance(content, str) else json.dumps({"models": content})
    parsed = await parse_import(text, ImportFormat.SAM, variables or {})
    return {entry.alias: entry for entry in parsed.entries}


async def entry(fields: Any, **variables: str) -> ParsedEntry:
    """What becomes of one entry with these fields besides its model."""
    return (await models({"m": {"model": "openai/gpt-4o", **fields}}, variables))["m"]


async def taken(fields: Any, **variables: str) -> ImportedModel:
    only = await entry(fields, **variables)
    assert only.model is not None, only.reason
    return only.model


async def reason(fields: Any, **variables: str) -> str:
    only = await entry(fields, **variables)
    assert only.model is None
    assert only.reason is not None
    return only.reason


@pytest.mark.parametrize("format_", [ImportFormat.AUTO, ImportFormat.SAM])
async def test_the_real_file_without_variables(format_: ImportFormat) -> None:
    parsed = await parse_import(FILE.read_text(), format_)

    assert [each.alias for each in parsed.entries] == [
        "planning", "general", "image_gen", "multimodal", "oauth_planning",
    ]  # fmt: skip
    planning, general, image_gen, multimodal, oauth_planning = parsed.entries
    assert planning.model == PLANNING
    assert general.model == GENERAL
    assert oauth_planning.model == OAUTH_PLANNING
    assert image_gen.reason == (
        "`model` takes the variable IMAGE_MODEL_NAME, which has no value and no default: set it where the file is "
        "read, or write `${IMAGE_MODEL_NAME, default}`"
    )
    assert (multimodal.reason or "").startswith(
        "LiteLLM cannot tell the provider of the model 'gemini-2.5-flash-preview-04-17'"
    )
    assert parsed.ignored_sections == ("broker_connection", "services")
    assert [each.ignored for each in parsed.entries] == [()] * 5


async def test_the_real_file_with_variables() -> None:
    variables = {
        "LLM_SERVICE_PLANNING_MODEL_NAME": "azure/o3",
        "MAX_TOKENS": "512",
        "LLM_SERVICE_OAUTH_TOKEN_REFRESH_BUFFER_SECONDS": "60",
        "IMAGE_MODEL_NAME": "openai/dall-e-3",
        "IMAGE_SERVICE_ENDPOINT": "http://images.example",
        # Neither is looked up: the fields that name them are secrets.
        "LLM_SERVICE_API_KEY": CANARY,
        "LLM_SERVICE_OAUTH_CLIENT_SECRET": CANARY,
    }
    parsed = await models(FILE.read_text(), variables)

    assert CANARY not in repr(
        [(each.model and (each.model.auth.values, each.model.params)) for each in parsed.values()]
    )
    planning, image_gen, oauth = (parsed[name].model for name in ("planning", "image_gen", "oauth_planning"))
    assert planning is not None
    assert (planning.provider, planning.model, planning.params["max_tokens"]) == ("azure", "o3", 512)
    assert planning.auth == PLANNING.auth
    assert image_gen is not None
    assert (image_gen.provider, image_gen.model, image_gen.api_base) == ("openai", "dall-e-3", "http://images.example")
    assert oauth is not None
    assert oauth.auth.values["token_refresh_buffer_seconds"] == 60


@pytest.mark.parametrize(
    "content",
    [
        "models: {m: openai/gpt-4o}\nlog: {}",
        "shared_config: {models: {m: openai/gpt-4o}}\nlog: {}",
        "shared_config:\n- models: {m: openai/gpt-4o}\nlog: {}",
    ],
)
async def test_where_the_models_may_stand(content: str) -> None:
    parsed = await parse_import(content, ImportFormat.AUTO)

    assert [(each.alias, each.model is not None) for each in parsed.entries] == [("m", True)]
    assert parsed.ignored_sections == ("log",)


async def test_several_lists_of_models_and_odd_sections() -> None:
    content = "shared_config:\n- models: {a: openai/x}\n  b: 1\n- text\n-\n- models: {a: openai/y, c: openai/z}\nd:\n"
    parsed = await parse_import(content, ImportFormat.AUTO)

    assert [(each.alias, each.reason) for each in parsed.entries] == [
        ("a", None),
        ("a", "an earlier entry has the name 'a' already, and the first wins: give this one a name of its own"),
        ("c", None),
    ]
    assert parsed.ignored_sections == ("b", "shared_config[1]", "shared_config[2]", "d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("shared_config: []", "not a Solace Agent Mesh shared_config.yaml: it has no `models`"),
        ("shared_config:", "not a Solace Agent Mesh shared_config.yaml: it has no `models`"),
        ("shared_config: text", "not a Solace Agent Mesh shared_config.yaml: it has no `models`"),
        ("shared_config:\n- models: []", "`models` must be a mapping of aliases"),
        ("shared_config:\n- models:", "`models` must be a mapping of aliases"),
    ],
)
@pytest.mark.parametrize("format_", [ImportFormat.AUTO, ImportFormat.SAM])
async def test_a_file_that_is_wrong_as_a_whole(content: str, message: str, format_: ImportFormat) -> None:
    with pytest.raises(InvalidInput) as caught:
        await parse_import(content, format_)

    assert caught.value.message.startswith(message)
    assert caught.value.path == ("input", "content")


@pytest.mark.parametrize("definition", [None, 1, True, [], ["openai/gpt-4o"]])
async def test_a_definition_that_is_neither_name_nor_mapping_is_skipped(definition: Any) -> None:
    parsed = await models({"m": definition, "n": "openai/gpt-4o"})

    assert parsed["m"].reason == "neither the name of a model nor a mapping with a `model`"
    assert parsed["n"].model is not None


async def test_merged_anchors_are_read() -> None:
    content = (
        "models:\n  a: &a {model: openai/gpt-4o, temperature: 0.5}\n  b:\n    <<: *a\n    temperature: 1\n  c: *a\n"
    )
    parsed = await models(content)

    assert [each.model and each.model.params for each in parsed.values()] == [
        {"temperature": 0.5}, {"temperature": 1}, {"temperature": 0.5},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${X}", "set"),
        ("${X, other}", "set"),
        ("${ X }", "set"),
        ("${X,}", "set"),
        ("${Y, other}", "other"),
        ("${Y,16000}", 16000),
        ("${Y, 0.5 }", 0.5),
        ("${Y, true}", True),
        ("${Y, 5m}", "5m"),
        ("${N}", 7),
        ("${TRUE}", True),
        # Within a longer text a variable is text.
        ("a-${X}-${N}-${Y, b}", "a-set-7-b"),
        ("${N}${N}", "77"),
        # Not variables.
        ("$X", "$X"),
        ("${1X}", "${1X}"),
        ("os.environ/X", "os.environ/X"),
    ],
)
async def test_what_a_variable_becomes(written: str, value: Any) -> None:
    imported = await taken({"param": written}, X="set", N="7", TRUE="true")

    assert imported.params == {"param": value}
    assert type(imported.params["param"]) is type(value)


@pytest.mark.parametrize("written", ["${EMPTY}", "${EMPTY, default}", "${Y,}", "${Y, null}"])
async def test_what_becomes_empty_is_not_given(written: str) -> None:
    assert (await taken({"param": written}, EMPTY="")).params == {}


async def test_variables_inside_of_lists_and_mappings() -> None:
    imported = await taken({"stop": ["${X}", "${Y, 2}"], "metadata": {"a": {"b": "${X}"}}}, X="set")

    assert imported.params == {"stop": ["set", 2], "metadata": {"a": {"b": "set"}}}


async def test_texts_stay_texts() -> None:
    fields = {"api_base": "${Y, 1}", "oauth_client_id": "${Y, 123}", "oauth_token_url": "${Y, https://h}"}
    imported = await taken({"model": "${M}", "custom_llm_provider": "${P}", **fields}, M="4", P="openai")

    assert (imported.provider, imported.model, imported.api_base) == ("openai", "4", "1")
    assert imported.auth.values == {"client_id": "123", "token_url": "https://h"}


@pytest.mark.parametrize(
    "name", [field.litellm_name for scheme in AUTH_SCHEMES.values() for field in scheme.fields if field.secret]
)
async def test_every_secret_becomes_a_reference(name: str) -> None:
    assert is_secret_name(name)
    only = await entry({name: "${X}"}, X=CANARY)

    assert only.model is not None
    assert list(only.model.auth.values.values()) == ["os.environ/X"]
    assert only.ignored == ()


async def test_the_default_of_a_secret_is_left_out_and_named() -> None:
    only = await entry({"api_key": f"${{X, {CANARY}}}", "extra_headers": {"x-key": f"${{Y, {CANARY}}}"}})

    assert only.model is not None
    assert only.model.auth.values == {"api_key": "os.environ/X"}
    assert only.model.params == {"extra_headers": {"x-key": "os.environ/Y"}}
    assert only.ignored == ("api_key.default", "extra_headers.x-key.default")
    assert CANARY not in repr(only)


async def test_a_variable_inside_of_a_secret_is_skipped() -> None:
    assert await reason({"extra_headers": {"authorization": f"Bearer ${{X, {CANARY}}}"}}, X=CANARY) == (
        "`extra_headers.authorization` is a secret with a variable inside of a longer text, and components resolve "
        "whole values only: put the whole value into one variable, and write `${NAME}`"
    )


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "DB_PASSWORD", "MODELWIRE_ADMIN_KEY", "MODELWIRE_DATABASE_URL"])
async def test_a_secret_variable_is_not_shown_in_a_field_that_is_none(name: str) -> None:
    assert await reason({"user": f"${{{name}}}"}, **{name: CANARY}) == (
        f"`user` is no secret and takes the variable {name}, which is one by its name: rename it"
    )
    assert (await taken({"user": f"${{{name}, somebody}}"}, **{name: CANARY})).params == {"user": "somebody"}


async def test_a_number_that_cannot_be_stored_is_skipped() -> None:
    assert await reason({"param": "${X}"}, X="9" * 30) == (
        "`param`: not a number that JSON can carry: put it in quotes if it is text"
    )


async def test_the_fields_that_are_not_kept_are_named() -> None:
    only = await entry({"tpm": 5, "model_info": {}, "temperature": None})

    assert only.ignored == ("tpm", "model_info", "temperature")


@pytest.mark.parametrize("written", ["${X," * 200_000, "${X}" + "${X, " * 150_000, "${X " * 200_000])
async def test_a_variable_that_is_not_closed_is_none_and_costs_what_it_is_long(written: str) -> None:
    """Looked for from each of its beginnings on, its end would take hours."""
    found = await taken({"note": written}, X="x")
    assert found.params["note"] == written.replace("${X}", "x")


def test_the_name_of_a_list_is_looked_at_once_and_shown_in_part() -> None:
    """Looked at for each of its items, or shown with each of them, it would take hours and all memory."""
    name = "x" * 300_000 + "_key"
    substitution = Substitution(Variables({}))
    assert substitution.apply({name: ["${A, b}"] * 60_000}) == {name: ["os.environ/A"] * 60_000}
    assert sum(map(len, substitution.left_out)) < 60_000 * 250


async def test_what_variables_make_of_a_file_is_bounded() -> None:
    value = "x" * 100_000
    found = await models({str(number): {"model": "openai/m", "note": "${X}"} for number in range(40)}, {"X": value})
    assert {each.model.params["note"] for each in found.values() if each.model} == {value}
    for content in (
        {"a": {"model": "openai/m", "note": "${X}" * 50}},
        {str(number): {"model": "openai/m", "note": "${X}"} for number in range(50)},
    ):
        with pytest.raises(InvalidInput, match=r"variables .* too large"):
            await models(content, {"X": value})
