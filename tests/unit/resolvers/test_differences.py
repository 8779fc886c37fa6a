"""Differences between versions: every field, told apart as JSON tells values apart, and never a secret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelwire.resolvers.differences import FieldChange, field_changes
from modelwire.store import Auth, AuthType, ModelConfigDraft, Secrets

CANARY = "canary-5f1d"
DRAFT = ModelConfigDraft(
    alias="m",
    description="text",
    provider="openai",
    model="gpt-4o",
    api_base="https://h/v1",
    auth=Auth(type=AuthType.API_KEY, hints={"api_key": None}),
    params={"temperature": 0.5},
    max_input_tokens=5,
    secrets=Secrets(auth={"api_key": CANARY}, params={"extra_headers": {"x": CANARY}}),
)


def change(*path: str, before: Any = None, after: Any = None, secret: bool = False) -> FieldChange:
    return FieldChange(path=path, before=before, after=after, secret=secret)


def test_the_same_has_no_differences() -> None:
    assert field_changes(DRAFT, replace(DRAFT)) == ()
    assert field_changes(None, None) == ()


def test_a_new_config_shows_all_that_is_set_and_a_deleted_one_the_same_the_other_way() -> None:
    made = field_changes(None, DRAFT)

    assert made == (
        change("alias", after="m"),
        change("description", after="text"),
        change("provider", after="openai"),
        change("model", after="gpt-4o"),
        change("apiBase", after="https://h/v1"),
        change("maxInputTokens", after=5),
        change("auth", "type", after="apiKey"),
        change("auth", "apiKey", secret=True),
        change("params", "temperature", after=0.5),
        change("params", "extra_headers", secret=True),
    )
    assert field_changes(DRAFT, None) == tuple(replace(each, before=each.after, after=None) for each in made)
    assert CANARY not in repr(made)


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, True), (1, 1.0), (0, False), ([1], [True]), ({"a": 1}, {"a": 1.0}), ("1", 1), (None, 0)],
)
def test_values_are_told_apart_as_json_does(before: Any, after: Any) -> None:
    changes = field_changes(replace(DRAFT, params={"p": before}), replace(DRAFT, params={"p": after}))

    assert changes == (change("params", "p", before=before, after=after),)
    assert type(changes[0].after) is type(after)


def test_a_null_param_differs_from_none() -> None:
    assert field_changes(replace(DRAFT, params={}), replace(DRAFT, params={"p": None})) == (change("params", "p"),)


def test_the_order_of_keys_is_no_difference() -> None:
    one, other = ({"p": {"a": 1, "b": 2}, "q": 1}, {"q": 1, "p": {"b": 2, "a": 1}})
    assert field_changes(replace(DRAFT, params=one), replace(DRAFT, params=other)) == ()


@pytest.mark.parametrize("secret", ["another", None])
def test_of_a_secret_only_that_it_differs(secret: str | None) -> None:
    auth = {} if secret is None else {"api_key": secret}
    changes = field_changes(DRAFT, replace(DRAFT, secrets=replace(DRAFT.secrets, auth=auth)))

    assert changes == (change("auth", "apiKey", secret=True),)


def test_a_reference_is_shown_beside_a_secret() -> None:
    referring = replace(
        DRAFT,
        auth=Auth(type=AuthType.API_KEY, fields={"api_key": "os.environ/X"}),
        secrets=replace(DRAFT.secrets, auth={}),
    )
    assert field_changes(DRAFT, referring) == (change("auth", "apiKey", after="os.environ/X", secret=True),)
    assert field_changes(referring, DRAFT) == (change("auth", "apiKey", before="os.environ/X", secret=True),)


def test_a_sealed_param_that_is_replaced_by_a_plain_one() -> None:
    plain = replace(DRAFT, params={"temperature": 0.5, "extra_headers": {}}, secrets=replace(DRAFT.secrets, params={}))

    assert field_changes(DRAFT, plain) == (change("params", "extra_headers", after={}, secret=True),)


def test_another_auth_type_has_other_fields() -> None:
    aws = replace(
        DRAFT,
        auth=Auth(type=AuthType.AWS_IAM, fields={"region_name": "eu-central-1"}),
        secrets=replace(DRAFT.secrets, auth={}),
    )
    assert field_changes(DRAFT, aws) == (
        change("auth", "type", before="apiKey", after="awsIam"),
        change("auth", "regionName", after="eu-central-1"),
        change("auth", "apiKey", secret=True),
    )
