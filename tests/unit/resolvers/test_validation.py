"""What the fields of a model config may hold."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.inputs import UNSET, AuthInput, ModelConfigInput
from modelwire.resolvers.params import REFUSED_PARAMS
from modelwire.resolvers.validation import can_be_stored, validate_input
from modelwire.store import AuthType


def refusal(**given: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        validate_input(ModelConfigInput(**given))
    return refused.value


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def auth_refusal(type_: AuthType, **values: Any) -> InvalidInput:
    return refusal(auth=AuthInput(type=type_, values=values))


def test_nothing_given_is_nothing_wrong() -> None:
    validate_input(ModelConfigInput())
    validate_input(ModelConfigInput(description=None, provider=None, model=None, api_base=None, auth=None, params=None))


@pytest.mark.parametrize("alias", ["x", "x" * 100, "a/b:c.d@e", "mit Leerzeichen", "ä", "🦊" * 100])
def test_aliases(alias: str) -> None:
    validate_input(ModelConfigInput(alias=alias))


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "x" * 101,
        "*",
        "openai/*",
        " x",
        "x ",
        "\u00a0x",
        "a\nb",
        "a\0b",
        "\x7f",
        "\u2028",
        "a\u2029b",
        "\ud800",
        None,
    ],
)
def test_refused_aliases(alias: str | None) -> None:
    refused = refusal(alias=alias)
    assert refused.path == ("input", "alias")
    assert refused.message.startswith("alias ")


@pytest.mark.parametrize("provider", ["openai", "vertex_ai", "text-completion-openai", "v0", "veniceai"])
def test_providers(provider: str) -> None:
    validate_input(ModelConfigInput(provider=provider))


@pytest.mark.parametrize("provider", ["", "OpenAI", "-x", "a/b", "a b", "a" * 65, "openai\n"])
def test_refused_providers(provider: str) -> None:
    assert refusal(provider=provider).path == ("input", "provider")


@pytest.mark.parametrize(
    ("provider", "hint"),
    [
        ("opnai", "did you mean openai?"),
        ("vertexai", "did you mean vertex_ai?"),
        ("google", "did you mean gemini?"),
        ("azure_openai", "did you mean azure?"),
        ("xyzzy-corp", "`providers` lists them"),
    ],
)
def test_providers_that_litellm_does_not_have(provider: str, hint: str) -> None:
    refused = refusal(provider=provider)
    assert refused.path == ("input", "provider")
    assert refused.message == f"provider must be the name of a LiteLLM provider; {provider} is none: {hint}"


@pytest.mark.parametrize("model", ["", " x", "x\t", "m" * 257])
def test_refused_models(model: str) -> None:
    assert refusal(model=model).path == ("input", "model")


@pytest.mark.parametrize(
    "api_base",
    [
        "https://models.example",
        "http://127.0.0.1:11434/v1",
        "http://[::1]:8080/",
        "HTTPS://Models.Example/a%20b",
        "https://modelle.müller.example/",
        "os.environ/API_BASE",
    ],
)
def test_addresses(api_base: str) -> None:
    validate_input(ModelConfigInput(api_base=api_base))


@pytest.mark.parametrize(
    "api_base",
    [
        "",
        "models.example/v1",
        "//models.example",
        "ftp://models.example",
        "javascript://models.example",
        "https://",
        "https:///v1",
        "https://user@models.example",
        "https://user:canary@models.example",
        "https://models.example@evil.example",
        "https://models.example\\@evil.example",
        "https://models.example/v1?key=canary",
        "https://models.example/v1?",
        "https://models.example/#",
        "https://models.example:0/",
        "https://models.example:99999/",
        "https://models.example:port/",
        "https://[::1/",
        "https://models .example",
        "https://models.example/\n",
        "https://models.example/" + "x" * 2048,
        "os.environ/",
        "os.environ/A B",
        "os.environ/A/B",
    ],
)
def test_refused_addresses(api_base: str) -> None:
    refused = refusal(api_base=api_base)
    assert refused.path == ("input", "apiBase")
    assert "canary" not in refused.message


def test_descriptions() -> None:
    validate_input(ModelConfigInput(description=""))
    validate_input(ModelConfigInput(description="x" * 1_998 + "\n\t"))
    for description in ("x" * 2_001, "\0", "\x1b[31m"):
        assert refusal(description=description).path == ("input", "description")


@pytest.mark.parametrize("tokens", [0, -1, 2**31])
def test_refused_max_input_tokens(tokens: int) -> None:
    assert refusal(max_input_tokens=tokens).path == ("input", "maxInputTokens")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"temperature": 0.5, "stop": None, "seed": 2**63 - 1, "flag": True, "_x": "ä\n"},
        {"a": nested(9)},
        {"extra_body": {"any name: here": 1}},
        {"token": "os.environ/NAME"},
    ],
)
def test_params(params: Any) -> None:
    validate_input(ModelConfigInput(params=params))


@pytest.mark.parametrize("params", [[], "text", 1, True])
def test_params_that_are_no_object(params: Any) -> None:
    assert refusal(params=params).path == ("input", "params")


@pytest.mark.parametrize("name", ["", "a b", "1a", "a-b", "ä", "a" * 129, "a\n"])
def test_refused_param_names(name: str) -> None:
    assert refusal(params={name: 1}).path == ("input", "params")


@pytest.mark.parametrize(
    "value",
    [
        nested(10),
        {"a": nested(9)},
        float("nan"),
        [float("inf")],
        2**63,
        {"a": -(2**63) - 1},
        "\0",
        "\ud800",
        {"\ud800": 1},
    ],
)
def test_refused_param_values(value: Any) -> None:
    assert refusal(params={"extra": value}).path == ("input", "params", "extra")


@pytest.mark.parametrize("name", sorted(REFUSED_PARAMS))
def test_params_that_modelwire_sets_itself(name: str) -> None:
    refused = refusal(params={"temperature": 1, name: "canary"})
    assert refused.path == ("input", "params", name)
    assert name in refused.message
    assert "canary" not in refused.message


def test_what_modelwire_sets_itself_is_complete() -> None:
    named = [
        "model",
        "messages",
        "stream",
        "api_base",
        "base_url",
        "api_key",
        "custom_llm_provider",
        "max_input_tokens",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_region_name",
        "vertex_credentials",
        "vertex_project",
        "vertex_location",
        "oauth_token_url",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_scope",
        "oauth_audience",
        "oauth_ca_cert",
        "oauth_token_refresh_buffer_seconds",
        "oauth_max_retries",
    ]
    assert set(named) <= REFUSED_PARAMS.keys()
    assert "auth.apiKey.apiKey" in REFUSED_PARAMS["api_key"]
    assert "auth.gcpServiceAccount.credentialsJson" in REFUSED_PARAMS["vertex_credentials"]
    assert "apiBase" in REFUSED_PARAMS["base_url"]


class TestAuth:
    def test_values(self) -> None:
        given: list[tuple[AuthType, dict[str, Any]]] = [
            (AuthType.NONE, {}),
            (AuthType.NONE, {"none": True}),
            (AuthType.API_KEY, {"api_key": None}),
            (AuthType.API_KEY, {"api_key": "os.environ/OPENAI_API_KEY"}),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, {"token_url": "https://login.example/token?tenant=1"}),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, {"max_retries": 0, "token_refresh_buffer_seconds": 60}),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, {"ca_cert": "-----BEGIN CERTIFICATE-----\nabc\n"}),
            (AuthType.AWS_IAM, {"region_name": "us-gov-west-1"}),
            (
                AuthType.GCP_SERVICE_ACCOUNT,
                {"credentials_json": '{\n "type": "service_account"}', "location": "global"},
            ),
        ]
        for type_, values in given:
            validate_input(ModelConfigInput(auth=AuthInput(type=type_, values=values)))

    @pytest.mark.parametrize(
        ("type_", "name", "value", "api_path"),
        [
            (AuthType.API_KEY, "api_key", "", ("apiKey", "apiKey")),
            (AuthType.API_KEY, "api_key", "canary\n", ("apiKey", "apiKey")),
            (AuthType.API_KEY, "api_key", " canary", ("apiKey", "apiKey")),
            (AuthType.API_KEY, "api_key", "canary" * 3000, ("apiKey", "apiKey")),
            (AuthType.API_KEY, "api_key", "os.environ/", ("apiKey", "apiKey")),
            (AuthType.API_KEY, "api_key", 4711, ("apiKey", "apiKey")),
            (AuthType.AWS_IAM, "region_name", "evil.example/", ("awsIam", "regionName")),
            (AuthType.AWS_IAM, "region_name", "eu@evil", ("awsIam", "regionName")),
            (AuthType.GCP_SERVICE_ACCOUNT, "location", "x.example#", ("gcpServiceAccount", "location")),
            (AuthType.GCP_SERVICE_ACCOUNT, "credentials_json", "canary", ("gcpServiceAccount", "credentialsJson")),
            (AuthType.GCP_SERVICE_ACCOUNT, "credentials_json", '"canary"', ("gcpServiceAccount", "credentialsJson")),
            (AuthType.GCP_SERVICE_ACCOUNT, "credentials_json", "[" * 9_999, ("gcpServiceAccount", "credentialsJson")),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, "token_url", "x", ("oauth2ClientCredentials", "tokenUrl")),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, "client_id", "a\0", ("oauth2ClientCredentials", "clientId")),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, "max_retries", -1, ("oauth2ClientCredentials", "maxRetries")),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, "max_retries", True, ("oauth2ClientCredentials", "maxRetries")),
            (AuthType.OAUTH2_CLIENT_CREDENTIALS, "max_retries", "3", ("oauth2ClientCredentials", "maxRetries")),
        ],
    )
    def test_refused_values(self, type_: AuthType, name: str, value: Any, api_path: tuple[str, ...]) -> None:
        refused = auth_refusal(type_, **{name: value})
        assert refused.path == ("input", "auth", *api_path)
        assert ".".join(api_path) in refused.message
        assert "canary" not in refused.message

    def test_none_can_only_be_true(self) -> None:
        assert auth_refusal(AuthType.NONE, none=False).path == ("input", "auth", "none")

    def test_a_field_of_another_kind(self) -> None:
        assert auth_refusal(AuthType.API_KEY, region_name="eu").path == ("input", "auth", "apiKey")


def test_inputs_hide_what_can_be_secret() -> None:
    auth = AuthInput(type=AuthType.API_KEY, values={"api_key": "canary"})
    assert "canary" not in repr(ModelConfigInput(auth=auth, params={"token": "canary"}))
    assert repr(UNSET) == "UNSET"


def test_names_that_cannot_be_stored() -> None:
    assert can_be_stored("a b")
    assert not can_be_stored("a\0")
    assert not can_be_stored("\udfff")
