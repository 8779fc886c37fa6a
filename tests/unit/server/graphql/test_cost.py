"""What operations cost, wherever `first` and the fields come from."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import DocumentNode, OperationDefinitionNode, build_schema, get_introspection_query, parse

from modelwire.schema import schema
from modelwire.server.graphql.cost import OperationCosts
from modelwire.server.graphql.documents import DocumentRefused, check_cost, document_parser
from modelwire.server.graphql.errors import format_errors
from modelwire.server.graphql.limits import Limits

SCHEMA = build_schema("""
    type Query {
      a: Query  b: Int  list: [Query!]!  any: Union  named: Named
      page(first: Int, after: String): Connection!
    }
    type Connection { edges: [Edge!]! }
    type Edge { node: Query! }
    interface Named { page(first: Int): Connection! }
    type Thing implements Named { page(first: Int): Connection!  b: Int }
    union Union = Thing | Query
""")

PAGE = "edges { node { b } }"  # 3


def operation_of(tree: DocumentNode) -> OperationDefinitionNode:
    node = tree.definitions[0]
    assert isinstance(node, OperationDefinitionNode)
    return node


def cost(query: str, variables: dict[str, Any] | None = None) -> int:
    tree = parse(query)
    return OperationCosts(SCHEMA, tree, variables).of(operation_of(tree))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ b }", 1),
        ("{ b b x: b }", 3),
        ("{ a { a { b } } }", 3),
        ("{ list { b } }", 2),
        (f"{{ page(first: 10) {{ {PAGE} }} }}", 31),
        (f"{{ page {{ {PAGE} }} }}", 151),
        (f"{{ page(first: null) {{ {PAGE} }} }}", 151),
        (f"{{ page(first: 0) {{ {PAGE} }} }}", 4),
        (f"{{ page(first: 99999999999) {{ {PAGE} }} }}", 301),
        (f"{{ page(first: 10) {{ edges {{ node {{ page(first: 10) {{ {PAGE} }} }} }} }} }}", 1 + 10 * (2 + 31)),
        (f"{{ any {{ __typename ... on Thing {{ page(first: 2) {{ {PAGE} }} b }} }} }}", 1 + 1 + 7 + 1),
        (f"{{ named {{ page(first: 2) {{ {PAGE} }} ... on Thing {{ b }} }} }}", 1 + 7 + 1),
        (f"{{ ... {{ page(first: 2) {{ {PAGE} }} }} }}", 7),
        (f"{{ ...F a {{ ...F }} }} fragment F on Query {{ page(first: 2) {{ {PAGE} }} }}", 15),
        ("{ __typename }", 1),
        ('{ __type(name: "Query") { fields { name } } }', 3),
        ("{ __schema { types { name } } }", 1002),
    ],
)
def test_costs(query: str, expected: int) -> None:
    assert cost(query) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (None, 301),
        ({}, 151),
        ({"n": 10}, 31),
        ({"n": 10**20}, 301),
        ({"n": -1}, 4),
        ({"n": None}, 151),
        ({"n": "x"}, 151),
    ],
)
def test_a_page_whose_size_is_a_variable(variables: dict[str, Any] | None, expected: int) -> None:
    assert cost(f"query($n: Int) {{ page(first: $n) {{ {PAGE} }} }}", variables) == expected


@pytest.mark.parametrize(("variables", "expected"), [(None, 301), ({}, 22), ({"n": 10}, 31), ({"n": None}, 151)])
def test_a_variable_with_a_default(variables: dict[str, Any] | None, expected: int) -> None:
    assert cost(f"query($n: Int = 7) {{ page(first: $n) {{ {PAGE} }} }}", variables) == expected


def test_a_fragment_costs_what_the_operation_says_that_spreads_it() -> None:
    tree = parse(f"""
        query A($n: Int = 1) {{ ...F }}
        query B($n: Int = 2) {{ ...F }}
        fragment F on Query {{ page(first: $n) {{ {PAGE} }} }}
    """)
    costs = OperationCosts(SCHEMA, tree, {})
    operations = [node for node in tree.definitions if isinstance(node, OperationDefinitionNode)]
    assert [costs.of(node) for node in operations] == [4, 7]


def test_fragments_that_double_each_other_are_counted_without_expanding_them() -> None:
    doubling = " ".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(100))
    assert cost(f"{{ ...F0 }} {doubling} fragment F100 on Query {{ b }}") == 2**100


def refusal(query: str, variables: dict[str, Any], limits: Limits) -> tuple[str, str] | None:
    document = document_parser(SCHEMA, limits)(query)
    try:
        check_cost(SCHEMA, document, document.operation(None), variables, limits)
    except DocumentRefused as refused:
        (error,) = format_errors(refused.errors)
        return error["extensions"]["code"], error["message"]
    return None


def test_the_limit_compares_with_the_variables_of_the_request() -> None:
    query = f"query($n: Int) {{ page(first: $n) {{ {PAGE} }} }}"
    limits = Limits(cost=31)
    assert refusal(query, {"n": 10}, limits) is None
    message = "The operation costs 34; 31 is allowed. Ask for fewer fields, or for smaller pages."
    assert refusal(query, {"n": 11}, limits) == ("LIMIT_EXCEEDED", message)


def test_only_the_operation_that_is_executed_counts() -> None:
    query = f"query A {{ b }} query B {{ page {{ {PAGE} }} }}"
    document = document_parser(SCHEMA, Limits(cost=10))(query)
    check_cost(SCHEMA, document, document.operation("A"), {}, Limits(cost=10))
    with pytest.raises(DocumentRefused):
        check_cost(SCHEMA, document, document.operation("B"), {}, Limits(cost=10))


CONFIG = """ fragment C on ModelConfig {
    id alias description provider model apiBase params sealedParams maxInputTokens configured isDefault version revision
    createdAt createdBy updatedAt updatedBy litellmModel
    auth { __typename ... on ApiKeyAuth { apiKey { __typename } } ... on GcpServiceAccountAuth { project location } }
}"""


@pytest.mark.parametrize(
    "query",
    [
        get_introspection_query(
            specified_by_url=True,
            directive_is_repeatable=True,
            schema_description=True,
            input_value_deprecation=True,
        ),
        "{ modelConfigs(first: 100) { edges { cursor node { ...C } } pageInfo { hasNextPage endCursor } } }" + CONFIG,
        "subscription { modelConfigChanged { revision ... on ModelConfigSnapshot { modelConfigs { ...C } }"
        " ... on ModelConfigChange { put { ...C } removed { id alias } } } }" + CONFIG,
    ],
)
def test_what_clients_ask_for_every_day_is_far_from_the_limit(query: str) -> None:
    tree = parse(query)
    assert OperationCosts(schema._schema, tree, None).of(operation_of(tree)) <= Limits().cost / 2


def test_the_whole_schema_cannot_be_asked_for_many_times_at_once() -> None:
    query = " ".join(f"x{i}: __schema {{ types {{ name }} }}" for i in range(10))
    refused = refusal(f"{{ {query} }}", {}, Limits())
    assert refused is not None
    assert refused[0] == "LIMIT_EXCEEDED"


def test_introspection_can_be_switched_off() -> None:
    off = Limits(introspection=False)
    for query in ("{ __schema { types { name } } }", '{ __type(name: "Query") { name } }'):
        assert document_parser(SCHEMA, Limits())(query)
        with pytest.raises(DocumentRefused) as caught:
            document_parser(SCHEMA, off)(query)
        assert format_errors(caught.value.errors)[0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert document_parser(SCHEMA, off)("{ __typename }")


def test_an_operation_has_one_export() -> None:
    """Each writes all configs as YAML: thirty of them, in one small request, took a core for minutes."""
    document = document_parser(schema._schema, Limits())
    one, two = (
        document(
            "{ " + " ".join(f"x{number}: modelConfigExport {{ content revision }}" for number in range(count)) + " }"
        )
        for count in (1, 2)
    )
    check_cost(schema._schema, one, operation_of(one.tree), {}, Limits())
    with pytest.raises(DocumentRefused, match="the document is refused"):
        check_cost(schema._schema, two, operation_of(two.tree), {}, Limits())
