"""What documents may be: valid, within the limits however fragments fold them, and remembered when they are."""

from __future__ import annotations

import pytest
from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    OperationDefinitionNode,
    SourceLocation,
    build_schema,
    get_introspection_query,
    parse,
)
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from modelwire.schema import schema as modelwire_schema
from modelwire.server.graphql import documents
from modelwire.server.graphql.documents import DocumentRefused, document_parser
from modelwire.server.graphql.errors import format_errors
from modelwire.server.graphql.limits import Limits

SCHEMA = build_schema("type Query { a: Query  b(x: String): Int }  type Subscription { a: Query }")

DEFAULTS = Limits()


def refusal(query: str, limits: Limits = DEFAULTS, name: str | None = None) -> tuple[str, str]:
    with pytest.raises(DocumentRefused) as caught:
        document_parser(SCHEMA, limits)(query).operation(name)
    error = format_errors(caught.value.errors)[0]
    return error["extensions"]["code"], error["message"]


def accepts(query: str, limits: Limits = DEFAULTS) -> bool:
    return bool(document_parser(SCHEMA, limits)(query).operation(None))


def nested(depth: int) -> str:
    return "{ a " * (depth - 1) + "{ b }" + " }" * (depth - 1)


@pytest.mark.parametrize("prefix", ["", "subscription "])
def test_depth(prefix: str) -> None:
    assert accepts(prefix + nested(10))
    assert refusal(prefix + nested(11)) == ("LIMIT_EXCEEDED", "The operation nests 11 fields; 10 are allowed.")


def test_depth_counts_through_fragments() -> None:
    fragments = "fragment F on Query { a { a { ...G } } } fragment G on Query { ... on Query { a { b } } }"
    assert accepts("{ a { ...F } } " + fragments, Limits(depth=5))
    assert refusal("{ a { ...F } } " + fragments, Limits(depth=4))[0] == "LIMIT_EXCEEDED"


def test_every_operation_of_a_document_counts() -> None:
    assert refusal("query A { b } query B " + nested(11), name="A")[0] == "LIMIT_EXCEEDED"


def test_introspection_is_not_counted_as_depth() -> None:
    assert accepts(get_introspection_query(input_value_deprecation=True, directive_is_repeatable=True), Limits(depth=1))


def test_no_more_errors_are_written_than_anybody_reads() -> None:
    query = "mutation { signIn(input: { " + " ".join(f"x{i}: 1" for i in range(600)) + " }) { __typename } }"
    with pytest.raises(DocumentRefused) as caught:
        document_parser(modelwire_schema._schema, DEFAULTS)(query)
    messages = [error["message"] for error in format_errors(caught.value.errors, query=query)]
    assert messages[0] == "Expected value of type 'SignInInput' to include required field 'apiKey'."
    assert len(messages) == documents.REPORTED_ERRORS + 1
    assert messages[-1].startswith("Too many validation errors")


def test_the_lines_of_a_document_are_counted_once_however_many_errors_it_has() -> None:
    """Each error of an answer has its place, and anybody may ask for thousands of fields that they may not see."""
    tree = document_parser(modelwire_schema._schema, DEFAULTS)("\n" * 900_000 + "{\r\n viewer { name } }").tree
    (operation,) = tree.definitions
    assert isinstance(operation, OperationDefinitionNode)
    (field,) = operation.selection_set.selections
    errors = [GraphQLError("no", field) for _ in range(10_000)]
    assert {error["locations"][0]["line"] for error in format_errors(errors)} == {900_002}
    assert errors[-1].locations == [SourceLocation(900_002, 2)]


def test_aliases() -> None:
    assert accepts("{ " + " ".join(f"x{i}: b" for i in range(30)) + " }")
    code, message = refusal("{ " + " ".join(f"x{i}: b" for i in range(31)) + " }")
    assert (code, message) == ("LIMIT_EXCEEDED", "The operation has 31 aliases; 30 are allowed.")


def test_aliases_in_a_fragment_count_for_each_spread() -> None:
    fragment = "fragment F on Query { " + " ".join(f"x{i}: b" for i in range(10)) + " }"
    spreads = " ".join(f"y{i}: a {{ ...F }}" for i in range(3))
    assert refusal(f"{{ {spreads} }} {fragment}") == (
        "LIMIT_EXCEEDED",
        "The operation has 33 aliases; 30 are allowed.",
    )


def test_fragments_that_double_each_other_are_counted_without_expanding_them() -> None:
    # 2 ** 100 aliases: counting them one by one would never end.
    doubling = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ... {{ ...F{i + 1} }} }}" for i in range(100))
    query = f"{{ a {{ ...F0 }} }} {doubling} fragment F100 on Query {{ x: b }}"
    tree = parse(query)
    operation = tree.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    assert documents._Measure(tree).selections(operation.selection_set) == (2, 2**100)
    assert refusal(query) == ("LIMIT_EXCEEDED", "The document is too complex to be validated.")


def test_tokens() -> None:
    twelve = '{ b(x: "") ... { __typename } }'
    assert accepts(twelve, Limits(tokens=12))
    assert refusal(twelve, Limits(tokens=11))[0] == "LIMIT_EXCEEDED"
    code, message = refusal("{ " + "b " * 2000 + "}")
    assert code == "LIMIT_EXCEEDED"
    assert "more than 2000 tokens" in message


@pytest.mark.parametrize("query", ["{ a " * 900, "{ b(x: " + "[" * 900, "{ b }" + "#\n" * 100_000])
def test_what_would_overflow_a_parser_is_a_limit(query: str) -> None:
    assert refusal(query)[0] == "LIMIT_EXCEEDED"


def test_nesting_through_a_chain_of_fragments_is_refused() -> None:
    chain = " ".join(f"fragment F{i} on Query {{ a {{ ...F{i + 1} }} }}" for i in range(170))
    assert refusal(f"{{ ...F0 }} {chain} fragment F170 on Query {{ b }}")[0] in {"LIMIT_EXCEEDED", "BAD_USER_INPUT"}


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        ("", None, "Syntax Error: Unexpected <EOF>."),
        ("{", None, "Syntax Error: Expected Name, found <EOF>."),
        ("{ c }", None, "Cannot query field 'c' on type 'Query'. Did you mean 'a' or 'b'?"),
        ("{ ...F } fragment F on Query { ...F }", None, "Cannot spread fragment 'F' within itself."),
        ("query A { b } query B { b }", None, "This document has several operations: operationName must say which."),
        ("query A { b }", "B", "Unknown operation named 'B'."),
        ("{ b }", "B", "Unknown operation named 'B'."),
        ("type A { b: Int }", None, "The 'A' definition is not executable."),
    ],
)
def test_what_is_not_valid_is_bad_user_input(query: str, name: str | None, message: str) -> None:
    assert refusal(query, name=name) == ("BAD_USER_INPUT", message)


def test_the_operation_is_the_one_that_is_named() -> None:
    document = document_parser(SCHEMA, Limits())("query A { b } subscription B { a { b } }")
    operation = document.operation("B")
    assert operation.name is not None
    assert (operation.name.value, operation.operation.value) == ("B", "subscription")


def test_valid_documents_are_remembered_up_to_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    original = documents._parse
    monkeypatch.setattr(documents, "_parse", lambda query, tokens: (parsed.append(query), original(query, tokens))[1])
    document = document_parser(SCHEMA, Limits())
    assert document("{ b }").tree is document("{ b }").tree
    assert len(parsed) == 1
    long = "{ b } #" + "x" * documents.REMEMBERED_LENGTH
    assert document(long).tree is not document(long).tree
    for _ in range(2):
        with pytest.raises(DocumentRefused):
            document("{ c }")
    assert len(parsed) == 5


def test_those_that_were_asked_for_last_are_remembered_up_to_a_length_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{{ b }} #{number}" for number in range(4)]
    monkeypatch.setattr(documents, "REMEMBERED_CHARACTERS", 3 * len(texts[0]))
    document = document_parser(SCHEMA, Limits())
    trees = [document(text).tree for text in texts[:3]]
    assert document(texts[0]).tree is trees[0]
    document(texts[3])
    assert document(texts[0]).tree is trees[0]
    assert document(texts[2]).tree is trees[2]
    assert document(texts[1]).tree is not trees[1]


@pytest.mark.parametrize(
    "query",
    [
        "{ modelConfig(by: {id: null}) { id } }",
        '{ modelConfig(by: {id: "a", alias: null}) { id } }',
        "{ modelConfig(by: {}) { id } }",
        'mutation { createModelConfig(input: {alias: "a", auth: {none: null}}) { __typename } }',
        "query ($id: ID) { modelConfig(by: {id: $id}) { id } }",
    ],
)
def test_what_is_wrong_with_a_one_of_is_said_once_and_in_terms_of_the_api(query: str) -> None:
    with pytest.raises(DocumentRefused) as caught:
        document_parser(modelwire_schema._schema, DEFAULTS)(query)
    (error,) = caught.value.errors
    assert "ModelConfigRef" in error.message or "ModelAuthInput" in error.message
    assert "Maybe" not in error.message


def test_null_is_refused_by_members_of_one_of_alone() -> None:
    """The schema's own types: no other field is given a rule of its own by the documents' validation."""
    for name, type_ in modelwire_schema._schema.type_map.items():
        definition = type_.extensions.get("strawberry-definition")
        if isinstance(type_, GraphQLInputObjectType) and not definition.is_one_of:
            for field in definition.fields:
                maybe = isinstance(field.type, StrawberryMaybe)
                assert not maybe or isinstance(field.type.of_type, StrawberryOptional), f"{name}.{field.name}"
