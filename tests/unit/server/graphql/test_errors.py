"""What clients are told of errors, and what the log is told: codes, masks, and no value that anybody sent."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Any, NewType

import orjson
import pytest
import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from modelwire.resolvers.errors import (
    BadUserInput,
    Forbidden,
    InvalidInput,
    LimitExceeded,
    Unauthenticated,
    Unavailable,
)
from modelwire.server.graphql.errors import MESSAGE_CHARACTERS, format_errors, format_exception
from modelwire.server.graphql.execution import Executor, Operation, Result
from modelwire.server.graphql.limits import Limits
from modelwire.server.graphql.request import GraphQLRequest
from modelwire.store import StoreUnavailable

CANARY = "sk-canary-5e8f21"

Position = NewType("Position", str)


def parse_position(value: Any) -> str:
    raise ValueError(f"{value} is no position")


@strawberry.enum
class Color(Enum):
    RED = "red"


@strawberry.input
class Inner:
    number: int = 0
    color: Color | None = None
    flag: bool = False
    ratio: float = 0.0
    at: datetime | None = None


@strawberry.input
class Input:
    name: str
    key: str | None = None
    maybe: strawberry.Maybe[str]
    inner: list[Inner] | None = None
    position: Position | None = None


@strawberry.input(one_of=True)
class Choice:
    a: strawberry.Maybe[str]
    b: strawberry.Maybe[str]


RAISED: dict[str, Exception] = {
    "forbidden": Forbidden("this needs a scope"),
    "unavailable": Unavailable("later"),
    "limit": LimitExceeded("too many"),
    "bad": BadUserInput("first is 1 to 100"),
    "store": StoreUnavailable("could not connect to postgres at db.internal"),
    "bug": KeyError(CANARY),
    "user_error": InvalidInput("escaped", ("input",)),
}


@strawberry.type
class Query:
    @strawberry.field
    def use(
        self,
        input: Input | None = None,  # noqa: A002 - the API's own name
        choice: Choice | None = None,
        number: int = 5,
    ) -> str:
        return "used"

    @strawberry.field
    def fail(self, how: str, secret: str = "", data: JSON | None = None) -> str | None:
        raise RAISED[how]

    @strawberry.field
    def wrong(self) -> str:
        return {"secret": CANARY}  # type: ignore[return-value]

    @strawberry.field
    def not_json(self) -> JSON:
        return JSON({"secret": {CANARY}})


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def fail(self, how: str) -> AsyncGenerator[int, None]:
        yield 1
        raise RAISED[how]


SCALARS = {Position: strawberry.scalar(name="Position", serialize=str, parse_value=parse_position)}
SCHEMA = strawberry.Schema(Query, subscription=Subscription, config=StrawberryConfig(scalar_map=SCALARS))
EXECUTOR = Executor(SCHEMA, Limits())


async def answer(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    operation = EXECUTOR.prepare(GraphQLRequest(query=query, variables=variables or {}))
    result = operation if isinstance(operation, Result) else await EXECUTOR.execute(operation, None)
    answered: dict[str, Any] = orjson.loads(result.payload)
    return answered


async def error_of(query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    (error,) = (await answer(query, variables))["errors"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("forbidden", "FORBIDDEN", "this needs a scope"),
        ("unavailable", "UNAVAILABLE", "later"),
        ("limit", "LIMIT_EXCEEDED", "too many"),
        ("bad", "BAD_USER_INPUT", "first is 1 to 100"),
        ("store", "UNAVAILABLE", "The server cannot reach its database at the moment; try again later."),
    ],
)
async def test_a_refusal_has_its_code_and_place(how: str, code: str, message: str) -> None:
    assert await answer("query($how: String!) { fail(how: $how) }", {"how": how}) == {
        "data": {"fail": None},
        "errors": [
            {
                "message": message,
                "locations": [{"line": 1, "column": 24}],
                "path": ["fail"],
                "extensions": {"code": code},
            }
        ],
    }


@pytest.mark.parametrize("how", ["bug", "user_error"])
async def test_a_bug_is_masked_and_logged_under_the_id_that_the_client_gets(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = await error_of(
        "query($how: String!, $secret: String!, $data: JSON) { fail(how: $how, secret: $secret, data: $data) }",
        {"how": how, "secret": "another canary value", "data": {"deep": [CANARY]}},
    )
    bug_id = error["extensions"].pop("id")
    assert (error["message"], error["extensions"], error["path"]) == ("Internal error", {"code": "INTERNAL"}, ["fail"])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    text = record.getMessage()
    assert bug_id in text
    assert "Traceback" in text
    assert "raise RAISED[how]" in text
    assert CANARY not in text
    assert "another canary" not in text


async def test_each_bug_has_an_id_of_its_own() -> None:
    query = '{ a: fail(how: "bug") b: fail(how: "bug") }'
    ids = {error["extensions"]["id"] for error in (await answer(query))["errors"]}
    assert len(ids) == 2


async def test_literals_are_kept_out_of_the_log_too(caplog: pytest.LogCaptureFixture) -> None:
    await error_of(f'{{ fail(how: "bug", secret: "{CANARY}") }}')
    assert CANARY not in caplog.text
    await error_of(f'{{ fail(how: "bug", secret: """{CANARY}""") }}')
    assert CANARY not in caplog.text


@pytest.mark.parametrize("query", ["{ wrong }", "{ notJson }"])
async def test_a_result_that_cannot_be_written_is_a_bug_and_is_not_shown(
    query: str, caplog: pytest.LogCaptureFixture
) -> None:
    answered = await answer(query)
    assert answered["errors"][0]["message"] == "Internal error"
    assert answered["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert CANARY not in json.dumps(answered)
    assert CANARY not in caplog.text


VALUE = "Variable '$input' has invalid value"


@pytest.mark.parametrize(
    ("input_", "message"),
    [
        (CANARY, f"{VALUE}: Expected value of type 'Input' to be an object."),
        ({"key": CANARY}, f"{VALUE}: Expected value of type 'Input' to include required field 'name'."),
        (
            {"name": "n", "kye": CANARY},
            f"{VALUE}: Expected value of type 'Input' not to include unknown field 'kye'. Did you mean 'key'?",
        ),
        (
            {"name": "n", "xxxxxxxxx": CANARY},
            f"{VALUE}: Expected value of type 'Input' not to include unknown field 'xxxxxxxxx'.",
        ),
        ({"name": {"x": CANARY}}, f"{VALUE} at .name: String cannot represent a non string value."),
        (
            {"name": "n", "inner": [{}, {"number": CANARY}]},
            f"{VALUE} at .inner[1].number: Int cannot represent non-integer value.",
        ),
        (
            {"name": "n", "inner": {"color": CANARY}},
            f"{VALUE} at .inner.color: Value does not exist in 'Color' enum.",
        ),
        (
            {"name": "n", "inner": {"color": [CANARY]}},
            f"{VALUE} at .inner.color: Enum 'Color' cannot represent non-string value.",
        ),
        (
            {"name": "n", "inner": {"flag": CANARY}},
            f"{VALUE} at .inner.flag: Boolean cannot represent a non boolean value.",
        ),
        (
            {"name": "n", "inner": {"ratio": CANARY}},
            f"{VALUE} at .inner.ratio: Float cannot represent non numeric value.",
        ),
        (
            {"name": "n", "inner": {"number": 987654321987}},
            f"{VALUE} at .inner.number: Int cannot represent non 32-bit signed integer value.",
        ),
        ({"name": "n", "inner": {"at": CANARY}}, f"{VALUE} at .inner.at: Value cannot represent a DateTime."),
        (
            {"name": "n", "position": CANARY},
            f"{VALUE} at .position: Expected value of type 'Position', but encountered error '… is no position'.",
        ),
        (None, f"{VALUE}: Expected value of non-null type 'Input!' not to be None."),
    ],
)
async def test_a_coercion_error_names_field_and_reason_and_no_value(input_: Any, message: str) -> None:
    answered = await answer("query($input: Input!) { use(input: $input) }", {"input": input_})
    assert "data" not in answered
    (error,) = answered["errors"]
    assert (error["message"], error["extensions"]) == (message, {"code": "BAD_USER_INPUT"})
    assert CANARY not in json.dumps(answered)
    assert "987654321987" not in json.dumps(answered)


@pytest.mark.parametrize(
    ("literal", "message"),
    [
        (f'"{CANARY}"', "Expected value of type 'Input' to be an object."),
        (f'{{ key: "{CANARY}" }}', "Expected value of type 'Input' to include required field 'name'."),
        (
            f'{{ name: "n", kye: "{CANARY}" }}',
            "Expected value of type 'Input' not to include unknown field 'kye'. Did you mean 'key'?",
        ),
        (f'{{ name: ["{CANARY}"] }}', "String cannot represent a non string value."),
        ("{ name: canary_name }", "String cannot represent a non string value."),
        (f'{{ name: "n", inner: {{ number: "{CANARY}" }} }}', "Int cannot represent non-integer value."),
        ('{ name: "n", inner: { color: canary_name } }', "Value does not exist in 'Color' enum."),
        (f'{{ name: "n", inner: {{ color: "{CANARY}" }} }}', "Enum 'Color' cannot represent non-enum value."),
        (f'{{ name: "n", inner: {{ at: "{CANARY}" }} }}', "Value cannot represent a DateTime."),
        (
            f'{{ name: "n", position: "{CANARY}" }}',
            "Expected value of type 'Position', but encountered error '… is no position'.",
        ),
        (
            f'{{ name: "", position: "{CANARY}" }}',
            "Expected value of type 'Position', but encountered error '… is no position'.",
        ),
    ],
)
async def test_literals_are_withheld_as_variables_are(literal: str, message: str) -> None:
    answered = await answer(f"{{ use(input: {literal}) }}")
    assert "data" not in answered
    assert [(error["message"], error["extensions"]["code"]) for error in answered["errors"]] == [
        (message, "BAD_USER_INPUT")
    ]
    assert "canary" not in json.dumps(answered)


@pytest.mark.parametrize("literal", ['"' + '\\"' * 500_000, '"""' + '\\"""' * 250_000, '"' + "x" * 1_000_000])
async def test_a_literal_that_is_not_closed_costs_what_it_is_long(literal: str) -> None:
    """Anybody may send one. Looked at from each of its quotes on, it would take for hours."""
    answered = await answer(f"{{ fail(how: {literal}")
    assert answered["errors"][0]["message"] == "Syntax Error: Unterminated string."


def test_what_was_sent_is_gone_through_once_however_many_errors_there_are() -> None:
    class Sent(dict[str, Any]):
        looks = 0

        def values(self) -> Any:
            Sent.looks += 1
            return super().values()

    variables = Sent(key=CANARY, same=CANARY[:-1], number=1234567)
    errors = [GraphQLError(f"{CANARY} and {CANARY[:-1]} are not 1234567 and {number}") for number in range(100)]
    formatted = format_errors(errors, variables=variables)
    assert [error["message"] for error in formatted] == [f"… and … are not … and {number}." for number in range(100)]
    assert Sent.looks == 1


@pytest.mark.parametrize(
    "message",
    [
        " cannot represent" * 60_000,
        "Value '" * 150_000,
        ", found" * 150_000,
        "String '" * 130_000,
        "Syntax Error: " + "String '" * 130_000,
        "Syntax Error: " + "Int \"String '" * 90_000,
        "a" * 1_000_000,
    ],
)
def test_a_message_costs_what_it_is_long_whatever_words_were_sent(message: str) -> None:
    """The name of an operation stands in a message, and anybody may give one. Searched from each of its words on, it
    would take for hours."""
    variables = {str(length): "a" * length for length in range(1_000)}
    ((error,), logged) = (
        format_errors([GraphQLError(message)], variables=variables),
        format_errors([GraphQLError(message, original_error=KeyError(message), path=["a"])], variables=variables),
    )
    assert len(error["message"]) <= MESSAGE_CHARACTERS + 2
    assert logged[0]["message"] == "Internal error"


@pytest.mark.parametrize("shift", [1, 5, 6, len(CANARY) - 1, len(CANARY)])
def test_a_value_that_a_message_is_cut_in_is_withheld(shift: int) -> None:
    begin = "It is not " + "." * (MESSAGE_CHARACTERS - shift - len("It is not "))
    (error,) = format_errors([GraphQLError(f"{begin}{CANARY}, which is no number")], variables={"key": CANARY})
    assert error["message"] == begin + ("……" if shift == len(CANARY) else "…")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f'{{ fail(how "{CANARY}") }}', "Syntax Error: Expected ':', found String."),
        (f'{{ fail(how: "{CANARY}) }}', "Syntax Error: Unterminated string."),
        (f'{{ fail """{CANARY}""" }}', "Syntax Error: Expected Name, found BlockString."),
        ("{ fail(how 987654321) }", "Syntax Error: Expected ':', found Int."),
        ("{ fail(how name) }", "Syntax Error: Expected ':', found Name 'name'."),
    ],
)
async def test_a_syntax_error_shows_no_literal(query: str, message: str) -> None:
    answered = await answer(query)
    assert answered["errors"][0]["message"] == message
    assert answered["errors"][0]["locations"]
    assert "data" not in answered
    assert CANARY not in json.dumps(answered)


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query($n: Int = 5) { use(number: $n) }", {"n": None}),
        ("query($c: Choice!) { use(choice: $c) }", {"c": {"a": "x", "b": "y"}}),
        ("query($c: Choice!) { use(choice: $c) }", {"c": {}}),
        ("query($c: Choice!) { use(choice: $c) }", {"c": {"a": None}}),
        ("query($i: Input!) { use(input: $i) }", {"i": {"name": "n", "maybe": None}}),
        ('{ use(input: { name: "n", maybe: null }) }', {}),
        ('{ use(choice: { a: "x", b: "y" }) }', {}),
    ],
)
async def test_what_only_variables_make_wrong_is_the_clients_fault_too(query: str, variables: dict[str, Any]) -> None:
    for error in (await answer(query, variables))["errors"]:
        assert error["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_a_source_that_breaks_is_masked_as_well(caplog: pytest.LogCaptureFixture) -> None:
    operation = EXECUTOR.prepare(GraphQLRequest(query='subscription { fail(how: "bug") }'))
    assert isinstance(operation, Operation)
    results = [result async for result in EXECUTOR.stream(operation, None)]
    assert [result.executed for result in results] == [True, False]
    assert results[1].errors[0]["extensions"]["code"] == "INTERNAL"
    assert b"canary" not in results[1].payload
    assert "Traceback" in caplog.text


async def test_strawberry_logs_nothing_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    await answer("query($input: Input!) { use(input: $input) }", {"input": {"name": {"x": CANARY}}})
    await answer('{ fail(how: "forbidden") }')
    assert caplog.records == []


def test_exceptions_outside_of_an_execution(caplog: pytest.LogCaptureFixture) -> None:
    assert format_exception(Unauthenticated("no credential")) == {
        "message": "no credential",
        "extensions": {"code": "UNAUTHENTICATED"},
    }
    masked = format_exception(RuntimeError("x"))
    assert masked["message"] == "Internal error"
    assert masked["extensions"]["id"] in caplog.text
