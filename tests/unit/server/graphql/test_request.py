"""The shape of a request, whichever transport brought it."""

from __future__ import annotations

import json

import pytest

from modelwire.server.graphql.request import MAX_JSON_DEPTH, GraphQLRequest, InvalidRequest, parse_json, parse_request


def test_the_repr_of_a_request_holds_nothing_that_may_be_secret() -> None:
    request = GraphQLRequest(query='{ a(x: "canary") }', variables={"x": "canary"}, extensions={"y": "canary"})
    assert "canary" not in repr(request)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"\\ud800"', b"NaN", b"[" * 1_000_000])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(raw)
    assert str(caught.value) == "this is not valid JSON"
    assert caught.value.__cause__ is None


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> str:
        return "[" * depth + "]" * depth

    assert json.dumps(parse_json(nested(MAX_JSON_DEPTH))) == nested(MAX_JSON_DEPTH)
    with pytest.raises(InvalidRequest, match="deeper than 100 levels"):
        parse_json(nested(MAX_JSON_DEPTH + 1))
    with pytest.raises(InvalidRequest, match="deeper than 100 levels"):
        parse_json('{"a":[' * 51 + "1" + "]}" * 51)


def test_a_wide_value_is_not_deep() -> None:
    assert len(parse_json("[" + ",".join(["{}"] * 10_000) + "]")) == 10_000


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "a request is a JSON object"),
        ("{ a }", "a request is a JSON object"),
        ([{"query": "{ a }"}], "batches are not supported: send one request, a JSON object"),
        ({}, '"query" is missing'),
        ({"query": 1}, '"query" must be a string'),
        ({"query": "{ a }", "operationName": 1}, '"operationName" must be a string or null'),
        ({"query": "{ a }", "variables": []}, '"variables" must be an object or null'),
        ({"query": "{ a }", "extensions": "x"}, '"extensions" must be an object or null'),
    ],
)
def test_wrong_shapes_are_named(value: object, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(value)
    assert str(caught.value) == message


def test_other_keys_are_ignored() -> None:
    assert parse_request({"query": "{ a }", "id": "persisted"}) == GraphQLRequest(query="{ a }")
