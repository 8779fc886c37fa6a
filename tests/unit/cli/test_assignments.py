from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwire.cli.assignments import AUTH_FIELDS, FIELDS, parse
from modelwire.cli.errors import CommandError, ExitCode
from modelwire.resolvers.auth_types import AUTH_SCHEMES, FieldKind

STORED = {"params": {"temperature": 0.2, "n": 1}, "sealedParams": ["extra_headers"]}


def given(*arguments: str, config: Any = STORED) -> Any:
    return parse(arguments).input(config)


def refusal(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        parse(arguments)
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)


def test_the_table_of_auth_fields_is_the_servers() -> None:
    table = {
        (scheme.api_name, field.api_name, field.litellm_name, field.secret, field.kind is FieldKind.COUNT)
        for scheme in AUTH_SCHEMES.values()
        for field in scheme.fields
    }
    assert {tuple(field) for field in AUTH_FIELDS} == table


def test_fields_have_their_names_in_both_spellings() -> None:
    expected = {"apiBase": "http://x/v1", "maxInputTokens": 100, "provider": "openai", "model": "@cf/meta=1"}
    assert given("api_base=http://x/v1", "max_input_tokens=100", "provider=openai", "model=@cf/meta=1") == expected
    assert given("apiBase=http://x/v1", "maxInputTokens=100", "provider=openai", "model=@cf/meta=1") == expected


@pytest.mark.parametrize("nothing", ["", "null"])
def test_nothing_clears(nothing: str) -> None:
    assert given(*(f"{name}={nothing}" for name in FIELDS)) == dict.fromkeys(FIELDS)
    assert given(f"api_key={nothing}") == {"auth": {"apiKey": {"apiKey": None}}}
    assert given(f"auth={nothing}") == {"auth": {"none": True}}


def test_what_is_cleared_is_left_out_of_a_new_config() -> None:
    assert given("provider=", "model=gpt-4o", "params.x=", config=None) == {"model": "gpt-4o", "params": {}}


def test_single_params_are_laid_over_the_stored_ones() -> None:
    assert given("params.temperature=0.5", "params.stop=[1]") == {"params": {"temperature": 0.5, "n": 1, "stop": [1]}}
    assert given("params.n=") == {"params": {"temperature": 0.2}}
    assert given("params.n=null") == {"params": {"temperature": 0.2, "n": None}}
    assert given("params.user=ada", 'params.tag="5"')["params"] == {**STORED["params"], "user": "ada", "tag": "5"}


def test_a_sealed_param_stays_unless_it_is_cleared() -> None:
    assert given("params.n=2")["params"] == {"temperature": 0.2, "n": 2}
    assert given("params.extra_headers=")["params"] == {**STORED["params"], "extra_headers": None}


def test_whole_params_take_the_place_of_all() -> None:
    assert given('params={"seed": 1}') == {"params": {"seed": 1}}
    assert given('params={"seed": 1}', "params.n=2") == {"params": {"seed": 1, "n": 2}}
    assert given("params={}") == {"params": {}}
    assert given("params=") == {"params": None}


@pytest.mark.parametrize(
    ("arguments", "auth"),
    [
        (("api_key=os.environ/K",), {"apiKey": {"apiKey": "os.environ/K"}}),
        (
            ("oauth_token_url=https://x", "clientId=me", "max_retries=2", "client_secret=env:SOME_SECRET"),
            {
                "oauth2ClientCredentials": {
                    "tokenUrl": "https://x",
                    "clientId": "me",
                    "maxRetries": 2,
                    "clientSecret": "s",
                }
            },
        ),
        (
            ("aws_access_key_id=env:SOME_SECRET", "region_name=eu-central-1"),
            {"awsIam": {"accessKeyId": "s", "regionName": "eu-central-1"}},
        ),
        (("vertex_project=p", "location=global"), {"gcpServiceAccount": {"project": "p", "location": "global"}}),
        (("auth=none",), {"none": True}),
    ],
)
def test_auth_is_told_by_its_fields(arguments: tuple[str, ...], auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "s")
    assert given(*arguments) == {"auth": auth}
    assert parse(arguments).exposed == []


def test_secrets_come_from_where_nobody_looks(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\r\n")
    assert given(f"api_key=@{file}") == {"auth": {"apiKey": {"apiKey": "from-file"}}}
    asked: list[str] = []

    def read(key: str) -> str:
        asked.append(key)
        return "piped\n"

    assert parse(["api_key=@-"], read_stdin=read).auth == {"apiKey": {"apiKey": "piped"}}
    assert asked == ["api_key"]
    file.write_text('{"x": "y"}')
    assert given(f"params.extra_headers=@{file}")["params"]["extra_headers"] == {"x": "y"}


def test_a_secret_on_the_command_line_is_noticed() -> None:
    assert parse(["api_key=sk-1", "model=m"]).exposed == ["api_key"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gpt-4o",), "'gpt-4o' is no assignment: write it as key=value"),
        (("=x",), "is no assignment"),
        (("modle=x",), "did you mean model?"),
        (("api_kye=x",), "did you mean api_key?"),
        (("temperature=0.2",), "params.temperature= sets a parameter of the calls"),
        (("params.=1",), "needs the name of a parameter"),
        (("params=[1]",), "params is a JSON object"),
        (("max_input_tokens=many",), "max_input_tokens is a whole number, and not 'many'"),
        (("max_retries=x",), "max_retries is a whole number"),
        (("model=a", "model=b"), "model is given twice"),
        (("api_base=a", "apiBase=b"), "apiBase is given twice"),
        (("api_key=k", "aws_region_name=r"), "another kind of auth (awsIam) than what stands before it (apiKey)"),
        (("auth=none", "api_key=k"), "another kind of auth (apiKey)"),
        (("auth=apiKey",), "auth can only be none"),
        (("api_key=env:NOT_SET_ANYWHERE",), "api_key: there is nothing in NOT_SET_ANYWHERE"),
        (("api_key=@/no/such/file",), "api_key: /no/such/file cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(arguments: tuple[str, ...], said: str) -> None:
    assert said in refusal(*arguments)


def test_standard_input_is_for_one_value() -> None:
    with pytest.raises(CommandError, match="for one value alone"):
        parse(["api_key=@-", "params.x=@-"], read_stdin=lambda _: "x")


def test_what_is_secret_is_in_no_error(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff-canary")
    assert "canary" not in refusal(f"api_key=@{file}")
    assert "canary" not in refusal("api_key=sk-canary", "client_id=x")


@pytest.mark.parametrize(
    "argument", ["params.t=NaN", "params.t=1e999", 'params.t={"a": [-Infinity]}', 'params={"t": NaN}']
)
def test_numbers_that_json_has_not_are_refused_by_name(argument: str) -> None:
    assert refusal(argument).startswith(f"{argument.partition('=')[0]} holds NaN or a number without end")
