"""An existing config and what a writer gives, made into the config that the writer wants."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire.resolvers.errors import InvalidInput
from modelwire.resolvers.inputs import UNSET, AuthInput, ModelConfigInput
from modelwire.resolvers.merge import Merged, merge, origin, same_content
from modelwire.store import Auth, AuthType, ModelConfigDraft, Secrets

EMPTY = ModelConfigDraft(alias="mine")


def api_key(value: Any) -> AuthInput:
    return AuthInput(type=AuthType.API_KEY, values={"api_key": value})


STORED = merge(
    EMPTY,
    ModelConfigInput(
        provider="openai",
        model="gpt",
        api_base="https://models.example/v1",
        auth=api_key("canary-key-of-length"),
        params={"n": 1, "extra_headers": {"X": "canary-header"}},
    ),
).draft


def changed(base: ModelConfigDraft = STORED, **fields: Any) -> Merged:
    return merge(base, ModelConfigInput(**fields))


def test_values_and_secrets_go_to_their_places() -> None:
    assert STORED.auth == Auth(type=AuthType.API_KEY, hints={"api_key": "ngth"})
    assert STORED.params == {"n": 1}
    assert STORED.secrets == Secrets(
        auth={"api_key": "canary-key-of-length"}, params={"extra_headers": {"X": "canary-header"}}
    )


def test_nothing_given_changes_nothing() -> None:
    merged = changed()
    assert same_content(merged.draft, STORED)
    assert (merged.dropped_credentials, merged.gives_credentials) == (False, False)


@pytest.mark.parametrize("short", ["x", "fifteen-letters"])
def test_short_secrets_and_key_files_give_no_hint(short: str) -> None:
    assert changed(EMPTY, auth=api_key(short)).draft.auth.hints == {"api_key": None}
    account = AuthInput(type=AuthType.GCP_SERVICE_ACCOUNT, values={"credentials_json": '{"private_key": "canary"}  '})
    assert changed(EMPTY, auth=account).draft.auth.hints == {"credentials_json": None}


def test_a_reference_takes_the_place_of_a_value_and_back() -> None:
    referring = changed(auth=api_key("os.environ/KEY")).draft
    assert referring.auth == Auth(type=AuthType.API_KEY, fields={"api_key": "os.environ/KEY"})
    assert referring.secrets.auth == {}
    again = changed(referring, auth=api_key("value")).draft
    assert (again.auth.fields, again.secrets.auth) == ({}, {"api_key": "value"})


def test_a_null_secret_is_cleared() -> None:
    merged = changed(auth=api_key(None))
    assert merged.draft.auth == Auth(type=AuthType.API_KEY)
    assert merged.draft.secrets.auth == {}
    assert (merged.dropped_credentials, merged.gives_credentials) == (False, False)


def test_auth_of_the_same_kind_without_fields_keeps_all() -> None:
    assert same_content(changed(auth=AuthInput(type=AuthType.API_KEY)).draft, STORED)


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"api_base": "https://models.example:443/v2"}, False),
        ({"api_base": "HTTPS://Models.Example/v1"}, False),
        ({"model": "other", "description": "x", "max_input_tokens": 1, "alias": "renamed"}, False),
        ({"provider": "openai"}, False),
        ({"params": {"n": 2}}, False),
        ({"provider": "azure"}, True),
        ({"provider": None}, True),
        ({"api_base": None}, True),
        ({"api_base": "https://models.example:8443/v1"}, True),
        ({"api_base": "http://models.example/v1"}, True),
        ({"api_base": "https://models.example.evil/v1"}, True),
        ({"api_base": "os.environ/BASE"}, True),
        ({"model": "https://evil.example/m"}, True),
        ({"params": {"aws_bedrock_runtime_endpoint": "https://evil.example"}}, True),
        ({"params": {"extra_body": {"fallbacks": ["x"]}}}, True),
        ({"auth": None}, True),
        ({"auth": AuthInput(type=AuthType.AWS_IAM, values={"region_name": "eu-west-1"})}, True),
    ],
)
def test_credentials_stay_with_where_they_go(fields: dict[str, Any], dropped: bool) -> None:
    merged = changed(**fields)
    assert merged.dropped_credentials is dropped
    assert bool(merged.draft.secrets) is not dropped
    assert merged.draft.auth.hints.keys() == merged.draft.secrets.auth.keys()


def test_a_stored_reference_is_a_credential_too() -> None:
    referring = changed(auth=api_key("os.environ/KEY"), params=None).draft
    merged = changed(referring, api_base="https://evil.example")
    assert merged.dropped_credentials
    assert merged.draft.auth == Auth(type=AuthType.API_KEY)


def test_an_address_inside_a_sealed_param_binds_too() -> None:
    def fallbacks(host: str) -> dict[str, Any]:
        return {"fallbacks": [{"model": "x", "api_base": host, "api_key": "canary"}]}

    base = changed(params=fallbacks("https://models.example")).draft
    base = changed(base, auth=api_key("stored")).draft
    assert "fallbacks" in base.secrets.params
    moved = changed(base, params=fallbacks("https://evil.example"))
    assert moved.dropped_credentials
    assert moved.draft.secrets.auth == {}


def test_only_what_is_not_given_anew_is_dropped() -> None:
    merged = changed(provider="azure", auth=api_key("new"))
    assert merged.dropped_credentials
    assert merged.draft.secrets == Secrets(auth={"api_key": "new"})
    both = changed(provider="azure", auth=api_key("new"), params={"extra_headers": {"X": "new"}})
    assert not both.dropped_credentials
    assert both.draft.secrets == Secrets(auth={"api_key": "new"}, params={"extra_headers": {"X": "new"}})


def test_clearing_is_no_dropping() -> None:
    merged = changed(provider="azure", auth=api_key(None), params={"extra_headers": None})
    assert not merged.dropped_credentials
    assert not merged.draft.secrets
    assert not changed(auth=api_key(None), provider="azure", params=None).dropped_credentials


def test_nothing_stored_nothing_dropped() -> None:
    plain = changed(EMPTY, provider="openai").draft
    assert not changed(plain, provider="azure", auth=api_key("new")).dropped_credentials


def test_the_token_endpoint_gets_the_client_secret_so_it_binds_it() -> None:
    def oauth(**values: Any) -> AuthInput:
        return AuthInput(type=AuthType.OAUTH2_CLIENT_CREDENTIALS, values=values)

    login = oauth(token_url="https://login.example/token", client_id="me", client_secret="canary")
    base = changed(EMPTY, provider="openai", auth=login).draft
    kept = changed(base, auth=oauth(token_url="https://login.example/other", scope="a"))
    assert kept.draft.secrets.auth == {"client_secret": "canary"}
    moved = changed(base, auth=oauth(token_url="https://evil.example/token"))
    assert moved.dropped_credentials
    assert not moved.draft.secrets
    assert moved.draft.auth.fields == {"token_url": "https://evil.example/token", "client_id": "me"}
    for missing in ("token_url", "client_id"):
        with pytest.raises(InvalidInput) as refused:
            changed(base, auth=oauth(**{missing: None}))
        assert refused.value.path is not None
        assert refused.value.path[:3] == ("input", "auth", "oauth2ClientCredentials")


class TestParams:
    def test_absent_keeps_all(self) -> None:
        assert changed(model="x").draft.params == {"n": 1}

    def test_given_ones_replace_the_plain_and_keep_the_sealed(self) -> None:
        draft = changed(params={"top_p": 1}).draft
        assert draft.params == {"top_p": 1}
        assert draft.secrets.params == STORED.secrets.params

    def test_null_clears_a_sealed_one_and_is_a_value_of_a_plain_one(self) -> None:
        draft = changed(params={"extra_headers": None, "stop": None}).draft
        assert draft.params == {"stop": None}
        assert draft.secrets.params == {}

    def test_null_clears_all(self) -> None:
        draft = changed(params=None).draft
        assert (draft.params, draft.secrets.params) == ({}, {})

    def test_a_sealed_one_becomes_plain_when_its_new_value_is_no_secret(self) -> None:
        draft = changed(params={"extra_headers": {"X": "os.environ/TOKEN"}}).draft
        assert draft.params == {"extra_headers": {"X": "os.environ/TOKEN"}}
        assert draft.secrets.params == {}

    def test_a_plain_one_becomes_sealed(self) -> None:
        plain = changed(EMPTY, params={"extra_headers": {}}).draft
        merged = changed(plain, params={"extra_headers": {"X": "canary"}})
        assert merged.draft.params == {}
        assert merged.gives_credentials

    def test_all_together_have_a_size(self) -> None:
        half = "x" * (33 * 1024)
        sealed = changed(EMPTY, params={"token": half}).draft
        with pytest.raises(InvalidInput) as refused:
            changed(sealed, params={"user": half})
        assert refused.value.path == ("input", "params")
        assert "64 KiB" in refused.value.message


def test_giving_a_stored_credential_again_is_told_from_giving_none() -> None:
    merged = changed(auth=api_key("canary-key-of-length"))
    assert same_content(merged.draft, STORED)
    assert merged.gives_credentials


@pytest.mark.parametrize("other", [{"n": 1.0}, {"n": True}, {"n": "1"}, {"n": 1, "m": None}, {}])
def test_values_that_python_takes_for_equal_are_different_content(other: dict[str, Any]) -> None:
    assert not same_content(replace(EMPTY, params={"n": 1}), replace(EMPTY, params=other))


def test_origins() -> None:
    assert origin(None) is None
    assert origin("http://a") == origin("http://A:80/x") == ("http", "a", "80")
    assert origin("https://a") == origin("https://a:443") == ("https", "a", "443")
    assert origin("https://[::1]:8/") == ("https", "::1", "8")
    assert origin("os.environ/A") == ("os.environ/A",) != origin("os.environ/B")


_maybe_url = st.sampled_from(
    [UNSET, None, "https://a.example", "https://a.example:443/v1", "https://b", "os.environ/A"]
)
_secret = st.one_of(st.none(), st.sampled_from(["new-1", "new-2", "os.environ/NEW"]))
_auth = st.one_of(
    st.sampled_from([UNSET, None, AuthInput(type=AuthType.NONE), AuthInput(type=AuthType.API_KEY)]),
    _secret.map(api_key),
    st.dictionaries(st.sampled_from(["access_key_id", "secret_access_key", "session_token"]), _secret).map(
        lambda values: AuthInput(type=AuthType.AWS_IAM, values=values)
    ),
)
_params = st.one_of(
    st.sampled_from([UNSET, None]),
    st.fixed_dictionaries(
        {},
        optional={
            "n": st.integers(0, 2),
            "token": _secret,
            "azure_password": st.one_of(_secret, st.integers(0, 2)),
            "s3_endpoint_url": st.sampled_from(["https://a.example", "https://b.example"]),
        },
    ),
)
_input = st.builds(
    ModelConfigInput,
    provider=st.sampled_from([UNSET, None, "openai", "azure"]),
    model=st.sampled_from([UNSET, None, "m", "https://c.example"]),
    api_base=_maybe_url,
    auth=_auth,
    params=_params,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_input, min_size=1, max_size=4), _input)
def test_no_stored_credential_moves_and_no_secret_is_shown(
    writes: list[ModelConfigInput], last: ModelConfigInput
) -> None:
    """Whatever was written before: what the last write did not name goes only where it was stored to go."""
    draft = EMPTY
    for write in writes:
        draft = merge(draft, write).draft
    merged = merge(draft, last)
    after = merged.draft
    given_auth = {} if last.auth in (UNSET, None) else dict(last.auth.values)  # type: ignore[union-attr]
    given_params = {} if last.params in (UNSET, None) else dict(last.params)
    kept_auth = {name: value for name, value in after.secrets.auth.items() if name not in given_auth}
    kept_params = {name: value for name, value in after.secrets.params.items() if name not in given_params}
    if kept_auth or kept_params:
        assert (after.provider, after.auth.type) == (draft.provider, draft.auth.type)
        assert origin(after.api_base) == origin(draft.api_base)
        assert {**after.params, **after.secrets.params}.get("s3_endpoint_url") == (
            {**draft.params, **draft.secrets.params}.get("s3_endpoint_url")
        )
        assert kept_auth.items() <= draft.secrets.auth.items()
        assert kept_params.items() <= draft.secrets.params.items()
    assert after.auth.hints.keys() == after.secrets.auth.keys()
    assert not after.params.keys() & after.secrets.params.keys()
    assert "new-" not in json.dumps([dict(after.auth.fields), dict(after.params)])


class TestLostSecrets:
    """A base whose secrets cannot be opened: `lost` says why."""

    def test_what_is_not_given_anew_is_dropped(self) -> None:
        merged = merge(STORED, ModelConfigInput(auth=api_key("canary-other-key-x"), model="other"), lost="gone")
        assert merged.dropped_credentials
        assert merged.draft.secrets == Secrets(auth={"api_key": "canary-other-key-x"})
        assert (merged.draft.model, merged.draft.params) == ("other", {"n": 1})

    def test_what_replaces_all_drops_nothing(self) -> None:
        headers = {"extra_headers": {"X": "canary-other"}}
        merged = merge(STORED, ModelConfigInput(auth=api_key("canary-other-key-x"), params=headers), lost="gone")
        assert not merged.dropped_credentials
        assert merged.draft.secrets == Secrets(auth={"api_key": "canary-other-key-x"}, params=headers)

    def test_references_are_not_lost(self) -> None:
        base = changed(auth=api_key("os.environ/OPENAI_API_KEY")).draft
        merged = merge(base, ModelConfigInput(params={}), lost="gone")
        assert merged.draft.auth.fields == {"api_key": "os.environ/OPENAI_API_KEY"}
        assert (merged.dropped_credentials, merged.draft.secrets) == (True, Secrets())

    @pytest.mark.parametrize("fields", [{}, {"model": "other"}, {"params": {}}, {"params": None}])
    def test_without_auth_it_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput, match=r"cannot be opened: gone\. Give auth anew") as refused:
            merge(STORED, ModelConfigInput(**fields), lost="gone")
        assert refused.value.path == ("input", "auth")

    def test_without_params_it_is_refused_where_only_they_are_lost(self) -> None:
        base = changed(auth=None, params={"extra_headers": {"X": "canary-header"}}).draft
        with pytest.raises(InvalidInput, match=r"extra_headers cannot be opened: gone\. Give params anew") as refused:
            merge(base, ModelConfigInput(model="other"), lost="gone")
        assert refused.value.path == ("input", "params")
