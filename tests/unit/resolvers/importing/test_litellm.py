"""LiteLLM files in their odd forms: what each field of an entry becomes, and what is said of what cannot be taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.importing import ImportedModel, ImportFormat, ParsedEntry, parse_import
from modelwire.resolvers.importing.litellm_entry import ROUTER_PARAMS
from modelwire.resolvers.params import REFUSED_PARAMS
from modelwire.store import AuthType


async def entries(*deployments: Any) -> tuple[ParsedEntry, ...]:
    parsed = await parse_import(json.dumps({"model_list": deployments}), ImportFormat.LITELLM)
    return parsed.entries


async def entry(litellm_params: Any, **beside: Any) -> ParsedEntry:
    (only,) = await entries({"model_name": "m", "litellm_params": litellm_params, **beside})
    return only


async def taken(litellm_params: dict[str, Any], **beside: Any) -> tuple[ImportedModel, tuple[str, ...]]:
    only = await entry({"model": "openai/gpt-4o", **litellm_params}, **beside)
    assert only.reason is None
    assert only.model is not None
    return only.model, only.ignored


async def reason(litellm_params: Any, **beside: Any) -> str:
    only = await entry(litellm_params, **beside)
    assert only.model is None
    assert only.ignored == ()
    assert only.alias == "m"
    assert only.reason is not None
    return only.reason


@pytest.mark.parametrize("format_", [ImportFormat.AUTO, ImportFormat.LITELLM])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is not a mapping of sections: a LiteLLM config.yaml has a `model_list`"),
        ("just text", "the file is not a mapping of sections: a LiteLLM config.yaml has a `model_list`"),
        ("- model_name: m", "the file is not a mapping of sections: a LiteLLM config.yaml has a `model_list`"),
        ("model_list:", "`model_list` must be a list of models, each with `model_name` and `litellm_params`"),
        ("model_list: {}", "`model_list` must be a list of models, each with `model_name` and `litellm_params`"),
        ("model_list: [", "line 1, column 14: while parsing a flow node"),
    ],
)
async def test_a_file_that_is_wrong_as_a_whole(content: str, message: str, format_: ImportFormat) -> None:
    with pytest.raises(InvalidInput) as caught:
        await parse_import(content, format_)

    assert caught.value.message.startswith(message)
    assert caught.value.path == ("input", "content")


@pytest.mark.parametrize(
    ("format_", "message"),
    [
        (ImportFormat.LITELLM, "not a LiteLLM config.yaml: it has no `model_list` at its top level"),
        (
            ImportFormat.AUTO,
            "the file is of no format that can be imported: a LiteLLM config.yaml has a `model_list` at its top level",
        ),
    ],
)
async def test_a_file_without_models(format_: ImportFormat, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await parse_import("general_settings: {}", format_)

    assert caught.value.message.startswith(message)


async def test_an_empty_list_is_a_file_without_entries() -> None:
    parsed = await parse_import("b: 1\nmodel_list: []\na: 2", ImportFormat.AUTO)

    assert parsed.entries == ()
    assert parsed.ignored_sections == ("b", "a")


@pytest.mark.parametrize(
    ("deployment", "alias", "why"),
    [
        (None, "model_list[1]", "not a mapping: write it as `model_name` and `litellm_params`"),
        ("gpt-4o", "model_list[1]", "not a mapping: write it as `model_name` and `litellm_params`"),
        ({}, "model_list[1]", "it has no `model_name`: give it the name that components ask for"),
        ({"model_name": None}, "model_list[1]", "it has no `model_name`: give it the name that components ask for"),
        ({"model_name": ""}, "model_list[1]", "it has no `model_name`: give it the name that components ask for"),
        ({"model_name": 4}, "model_list[1]", "`model_name` must be text: put its value in quotes"),
        ({"model_name": "x"}, "x", "it has no `litellm_params`: add them, with a `model`"),
        ({"model_name": "x", "litellm_params": []}, "x", "it has no `litellm_params`: add them, with a `model`"),
        (
            {"model_name": "x", "litellm_params": {}},
            "x",
            "it has no `model`: add one, as provider/model",
        ),
    ],
)
async def test_a_bad_entry_is_skipped_and_the_others_are_taken(deployment: Any, alias: str, why: str) -> None:
    good = {"model_name": "good", "litellm_params": {"model": "openai/gpt-4o"}}

    first, bad, last = await entries(good, deployment, good | {"model_name": "also good"})

    assert bad == ParsedEntry(alias=alias, reason=why)
    assert first.model is not None
    assert last.model is not None


@pytest.mark.parametrize(
    ("litellm_params", "why"),
    [
        ({"model": "openai/*"}, "the model 'openai/*' is a wildcard that stands for many models: write one entry per"),
        ({"model": 4}, "`model` must be text: put its value in quotes"),
        ({"model": ""}, "it has no `model`: add one, as provider/model"),
        ({"model": "some-model"}, "LiteLLM cannot tell the provider of the model 'some-model': set `custom_llm_provid"),
        ({"model": "openai/"}, "LiteLLM cannot tell the provider of the model 'openai/'"),
        ({"model": "openai/", "custom_llm_provider": "openai"}, "the model 'openai/' has no name behind its provider"),
        ({"model": "x", "custom_llm_provider": ["openai"]}, "`custom_llm_provider` must be text"),
        ({"model": "auto_router/complexity_router"}, "'auto_router/complexity_router' is a router of LiteLLM's proxy"),
        ({"model": "openai/x", "api_base": 1}, "`api_base` must be text: put its value in quotes"),
        ({"model": "openai/x", "base_url": ["x"]}, "`base_url` must be text: put its value in quotes"),
        ({"model": "openai/x", "api_key": 12345678}, "`api_key` must be text: put its value in quotes"),
        ({"model": "openai/x", "aws_region_name": {}}, "`aws_region_name` must be text: put its value in quotes"),
        ({"model": "vertex_ai/x", "vertex_credentials": 1}, "`vertex_credentials` must be text"),
        ({"model": "openai/x", "oauth_max_retries": "3"}, "`oauth_max_retries` must be a whole number from 0 on"),
        ({"model": "openai/x", "oauth_max_retries": -1}, "`oauth_max_retries` must be a whole number from 0 on"),
        ({"model": "openai/x", "max_input_tokens": 0}, "`max_input_tokens` must be a whole number from 1 on"),
        ({"model": "openai/x", "max_input_tokens": True}, "`max_input_tokens` must be a whole number from 1 on"),
        ({"model": "openai/x", "max_input_tokens": "8k"}, "`max_input_tokens` must be a whole number from 1 on"),
    ],
)
async def test_why_an_entry_is_skipped(litellm_params: dict[str, Any], why: str) -> None:
    assert (await reason(litellm_params)).startswith(why)


async def test_no_reason_shows_a_credential() -> None:
    for broken in ({"model": "x"}, {"model": "openai/x", "max_input_tokens": 0}, {"model": "openai/*"}):
        assert "canary" not in await reason({**broken, "api_key": "sk-canary", "extra_headers": {"x": "canary"}})
    assert "canary" not in await reason({"model": "openai/x", "api_key": ["sk-canary"]})


async def test_the_first_entry_of_a_name_that_can_be_taken_wins() -> None:
    def deployment(model: str) -> dict[str, Any]:
        return {"model_name": "m", "litellm_params": {"model": model}}

    unknown, first, second = await entries(deployment("x"), deployment("openai/a"), deployment("openai/b"))

    assert unknown.model is None
    assert first.model is not None
    assert first.model.model == "a"
    assert second.model is None
    assert second.reason is not None
    assert "load balancing between deployments is not imported" in second.reason


async def test_names_differ_by_case() -> None:
    both = await entries(
        {"model_name": "m", "litellm_params": {"model": "openai/a"}},
        {"model_name": "M", "litellm_params": {"model": "openai/a"}},
    )

    assert [entry.model is not None for entry in both] == [True, True]


@pytest.mark.parametrize(
    ("model", "custom_llm_provider", "expected"),
    [
        ("mistralai/mistral-7b-instruct", "openrouter", ("openrouter", "mistralai/mistral-7b-instruct")),
        ("azure/gpt", "azure", ("azure", "gpt")),
        ("openai/gpt-4o", "litellm_proxy", ("litellm_proxy", "openai/gpt-4o")),
        ("anything", "my_own_provider", ("my_own_provider", "anything")),
        ("gpt-4o", None, ("openai", "gpt-4o")),
        ("gpt-4o", "", ("openai", "gpt-4o")),
    ],
)
async def test_custom_llm_provider_names_the_provider(
    model: str, custom_llm_provider: str | None, expected: tuple[str, str]
) -> None:
    imported, _ = await taken({"model": model, "custom_llm_provider": custom_llm_provider})

    assert (imported.provider, imported.model) == expected


@pytest.mark.parametrize("name", ["api_base", "base_url"])
async def test_the_endpoint_can_tell_the_provider(name: str) -> None:
    imported, ignored = await taken({"model": "llama-new", name: "https://api.groq.com/openai/v1"})

    assert (imported.provider, imported.model) == ("groq", "llama-new")
    assert imported.api_base == "https://api.groq.com/openai/v1"
    assert ignored == ()


async def test_base_url_wins_over_api_base_as_in_a_call() -> None:
    imported, ignored = await taken({"api_base": "http://a/v1", "base_url": "http://b/v1"})

    assert imported.api_base == "http://b/v1"
    assert ignored == ("api_base",)


async def test_references_stay_as_they_are() -> None:
    imported, _ = await taken(
        {"api_base": "os.environ/BASE", "api_key": "os.environ/KEY", "organization": "os.environ/ORG"}
    )

    assert imported.api_base == "os.environ/BASE"
    assert imported.auth.values == {"api_key": "os.environ/KEY"}
    assert imported.params == {"organization": "os.environ/ORG"}


API_KEY = {"api_key": "k"}
AWS = {
    "aws_access_key_id": "id",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
    "aws_region_name": "eu-west-1",
}
GOOGLE = {"vertex_credentials": '{"type": "service_account"}', "vertex_project": "p", "vertex_location": "l"}
OAUTH = {
    "oauth_token_url": "https://auth.example.com/token",
    "oauth_client_id": "id",
    "oauth_client_secret": "secret",
    "oauth_scope": "s",
    "oauth_audience": "a",
    "oauth_ca_cert": "/etc/ca.pem",
    "oauth_token_refresh_buffer_seconds": 300,
    "oauth_max_retries": 0,
}


@pytest.mark.parametrize(
    ("given", "auth_type", "values"),
    [
        ({}, AuthType.NONE, {}),
        (API_KEY, AuthType.API_KEY, {"api_key": "k"}),
        (
            AWS,
            AuthType.AWS_IAM,
            {
                "access_key_id": "id",
                "secret_access_key": "secret",
                "session_token": "token",
                "region_name": "eu-west-1",
            },
        ),
        ({"aws_region_name": "eu-west-1"}, AuthType.AWS_IAM, {"region_name": "eu-west-1"}),
        (
            GOOGLE,
            AuthType.GCP_SERVICE_ACCOUNT,
            {"credentials_json": '{"type": "service_account"}', "project": "p", "location": "l"},
        ),
        (
            {"vertex_credentials": {"type": "service_account", "n": "ü"}},
            AuthType.GCP_SERVICE_ACCOUNT,
            {"credentials_json": '{"type": "service_account", "n": "ü"}'},
        ),
        (
            OAUTH,
            AuthType.OAUTH2_CLIENT_CREDENTIALS,
            {name.removeprefix("oauth_"): value for name, value in OAUTH.items()},
        ),
    ],
)
async def test_each_auth_type(given: dict[str, Any], auth_type: AuthType, values: dict[str, Any]) -> None:
    imported, ignored = await taken(given)

    assert imported.auth.type is auth_type
    assert imported.auth.values == values
    assert imported.params == {}
    assert ignored == ()


@pytest.mark.parametrize(
    ("model", "given", "auth_type", "ignored"),
    [
        ("bedrock/x", API_KEY | AWS, AuthType.AWS_IAM, ("api_key",)),
        ("sagemaker_chat/x", API_KEY | AWS, AuthType.AWS_IAM, ("api_key",)),
        ("bedrock/x", API_KEY, AuthType.API_KEY, ()),
        ("vertex_ai/x", API_KEY | GOOGLE, AuthType.GCP_SERVICE_ACCOUNT, ("api_key",)),
        ("vertex_ai/x", API_KEY, AuthType.API_KEY, ()),
        ("openai/x", API_KEY | {"aws_region_name": "r"}, AuthType.API_KEY, ("aws_region_name",)),
        ("gemini/x", API_KEY | GOOGLE, AuthType.API_KEY, tuple(GOOGLE)),
        ("openai/x", OAUTH | API_KEY, AuthType.OAUTH2_CLIENT_CREDENTIALS, ("api_key",)),
    ],
)
async def test_of_two_auth_types_the_providers_own_is_taken_and_the_other_is_named(
    model: str, given: dict[str, Any], auth_type: AuthType, ignored: tuple[str, ...]
) -> None:
    imported, named = await taken({"model": model, **given})

    assert imported.auth.type is auth_type
    assert named == ignored


@pytest.mark.parametrize("name", sorted(ROUTER_PARAMS | {"auto_router_config", "quality_router_default_model"}))
async def test_what_only_litellms_router_reads_is_named(name: str) -> None:
    imported, ignored = await taken({name: 1, "temperature": 0.5})

    assert imported.params == {"temperature": 0.5}
    assert ignored == (name,)


async def test_no_router_param_is_one_that_a_config_has_a_field_for() -> None:
    assert ROUTER_PARAMS.isdisjoint(REFUSED_PARAMS)


@pytest.mark.parametrize("name", ["messages", "stream", "input", "prompt"])
async def test_what_the_api_refuses_in_params_is_named(name: str) -> None:
    imported, ignored = await taken({name: "x"})

    assert imported.params == {}
    assert ignored == (name,)


async def test_everything_else_is_a_param_as_it_is_written() -> None:
    params = {
        "temperature": 0.2,
        "timeout": 5,
        "stream_timeout": 0.5,
        "api_version": "2023-05-15",
        "extra_headers": {"x-key": "canary"},
        "s3_secret_access_key": "canary",
        "drop_params": True,
        "organization": "org",
        "region_name": "eu",
        "aws_role_name": "r",
        "some_new_param": [{"a": None}],
    }

    imported, ignored = await taken(params)

    assert imported.params == params
    assert ignored == ()
    assert "canary" not in repr(imported)


async def test_max_input_tokens_is_a_field_of_its_own() -> None:
    imported, ignored = await taken({"max_input_tokens": 8000})

    assert imported.max_input_tokens == 8000
    assert imported.params == {}
    assert ignored == ()


async def test_several_organizations_are_several_deployments_to_litellm() -> None:
    imported, ignored = await taken({"organization": ["a", "b"]})

    assert imported.params == {}
    assert ignored == ("organization",)


async def test_a_field_without_a_value_says_nothing_and_is_named() -> None:
    imported, ignored = await taken({"api_key": None, "api_base": "", "temperature": None, "timeout": 0})

    assert imported.auth.type is AuthType.NONE
    assert imported.api_base is None
    assert imported.params == {"timeout": 0}
    assert ignored == ("api_key", "api_base", "temperature")


async def test_ignored_names_stand_once_and_in_the_order_of_the_file() -> None:
    (only,) = await entries(
        {
            "zebra": 1,
            "litellm_params": {"rpm": 1, "model": "openai/gpt-4o", "tpm": 1, "messages": []},
            "model_name": "m",
            "tpm": 2,
            "model_info": {"max_input_tokens": 5, "mode": "chat"},
        }
    )

    assert only.ignored == ("zebra", "rpm", "tpm", "messages", "model_info")


async def test_the_limit_of_model_info_is_taken() -> None:
    imported, ignored = await taken({}, model_info={"max_input_tokens": 5})
    assert (imported.max_input_tokens, ignored) == (5, ())

    imported, ignored = await taken({}, model_info={"max_input_tokens": 5, "mode": "chat"})
    assert (imported.max_input_tokens, ignored) == (5, ("model_info",))

    imported, ignored = await taken({"max_input_tokens": 7}, model_info={"max_input_tokens": 5})
    assert (imported.max_input_tokens, ignored) == (7, ("model_info",))


@pytest.mark.parametrize("limit", [0, -1, True, "5", 1.5, None, []])
async def test_a_limit_of_model_info_that_is_none_is_ignored(limit: Any) -> None:
    imported, ignored = await taken({}, model_info={"max_input_tokens": limit})

    assert (imported.max_input_tokens, ignored) == (None, ("model_info",))


async def test_litellms_other_names_of_auth_fields_are_taken() -> None:
    fields = {"vertex_ai_project": "p", "vertex_ai_location": "l", "vertex_ai_credentials": {"type": "x"}}
    imported, ignored = await taken({"model": "vertex_ai/gemini-2.5-flash", **fields})

    assert imported.auth.type is AuthType.GCP_SERVICE_ACCOUNT
    assert imported.auth.values == {"project": "p", "location": "l", "credentials_json": '{"type": "x"}'}
    assert imported.params == {}
    assert ignored == ()


async def test_litellms_first_name_of_an_auth_field_wins() -> None:
    imported, ignored = await taken({"vertex_ai_project": "second", "vertex_project": "first"})

    assert imported.auth.values == {"project": "first"}
    assert ignored == ("vertex_ai_project",)
