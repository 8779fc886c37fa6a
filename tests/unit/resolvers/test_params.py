"""Which params are taken for secrets, and which decide where a call goes."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire.resolvers.params import holds_secret, is_secret_name, steering

SECRET_NAMES = [
    "azure_ad_token",
    "azure_password",
    "client_secret",
    "aws_web_identity_token",
    "s3_secret_access_key",
    "s3_access_key_id",
    "watsonx_credentials",
    "valkey_password",
    "oci_key",
    "zen_api_key",
    "token",
    "anthropic_identity_token",
    "extra_headers",
    "default_headers",
    "headers",
    "api_keys",
    "apikey",
    "apiKey",
    "x-api-key",
    "X-API-Key",
    "Authorization",
    "private_key",
    "clientSecret",
    "accessToken",
    "Ocp-Apim-Subscription-Key",
    "cookie",
    "passwd",
    "service_account_key_json",
    "connection_string",
]

PLAIN_NAMES = [
    "max_tokens",
    "max_completion_tokens",
    "prompt_cache_key",
    "temperature",
    "tokenizer",
    "n",
    "keywords",
    "monkey",
    "key_points",
    "stop",
    "reasoning_effort",
    "langfuse_public_key",
    "input_cost_per_token",
    "output_cost_per_reasoning_token",
    "preset_cache_key",
    "stream_options",
    "keep_alive",
    "user",
    "metadata",
    "logit_bias",
    "top_logprobs",
    "author",
    "authors",
    "header_style",
    "safety_identifier",
    "azure_username",
    "tool_choice",
    "litellm_credential_name",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)
    assert holds_secret(name, "value")


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_plain_names(name: str) -> None:
    assert not holds_secret(name, "value")


@pytest.mark.parametrize("value", [None, "", True, False, "os.environ/NAME", {}, [], ["", None], {"a": "os.environ/B"}])
def test_what_is_empty_or_a_reference_is_no_secret(value: Any) -> None:
    assert not holds_secret("extra_headers", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extra_headers", {"X-Trace": "1"}),
        ("extra_headers", {"a": "os.environ/A", "b": "value"}),
        ("extra_body", {"auth": {"scheme": "x"}}),
        ("extra_body", {"deep": [{"deeper": {"api_key": "value"}}]}),
        ("fallbacks", [{"model": "x", "api_key": "value"}]),
        ("token", 12345),
        ("secrets", [["value"]]),
        ("token", "os.environ/A B"),
        ("proxy", "http://user:password@proxy.example:3128"),
        ("extra_body", {"x": "Bearer abc"}),
        ("x", "basic dXNlcg=="),
    ],
)
def test_secrets_at_any_depth(name: str, value: Any) -> None:
    assert holds_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extra_body", {"max_tokens": 5, "list": ["a", {"b": 1.5}]}),
        ("stop", ["Bearer", "basic"]),
        ("site", "https://models.example/@me"),
        ("email", "a@b.example"),
    ],
)
def test_what_only_looks_like_one(name: str, value: Any) -> None:
    assert not holds_secret(name, value)


def test_what_decides_where_a_call_goes() -> None:
    params = {
        "temperature": 1,
        "aws_bedrock_runtime_endpoint": "https://a.example",
        "s3_endpoint_url": "https://b.example",
        "fallbacks": ["x"],
        "extra_body": {"deep": [{"apiBase": "https://c.example"}], "n": 1},
        "watsonx_region_name": "eu",
        "account_id": "of-snowflake",
        "hosted": True,
        "database": 1,
    }
    assert {".".join(path): value for path, value in steering(params)} == {
        "aws_bedrock_runtime_endpoint": "https://a.example",
        "s3_endpoint_url": "https://b.example",
        "fallbacks": ["x"],
        "extra_body.deep.0.apiBase": "https://c.example",
        "watsonx_region_name": "eu",
        "account_id": "of-snowflake",
    }


def test_the_name_of_a_list_is_looked_at_once() -> None:
    """In a request it may be as long as the list: looked at for each of its items, it would take for hours."""
    params = {"a": {"x" * 500_000: [1] * 250_000}}
    assert not holds_secret("a", params["a"])
    assert list(steering(params)) == []
