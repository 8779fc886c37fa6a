"""Which operations are shared, and with whom."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLObjectType
from strawberry.schema.schema_converter import GraphQLCoreConverter

from modelwire.resolvers.access import Scope
from modelwire.schema import SHARED_FIELDS, schema
from modelwire.server.graphql.execution import Executor, Operation
from modelwire.server.graphql.limits import Limits
from modelwire.server.graphql.request import GraphQLRequest
from modelwire.server.graphql.sharing import GroupKey, Rights, Shareable, Sharing
from modelwire.store import AliasPatterns, Position


async def nowhere() -> Position:
    raise AssertionError("nothing is executed here")


EXECUTOR = Executor(schema, Limits(), sharing=Sharing(SHARED_FIELDS, nowhere))


def shareable(query: str, **variables: Any) -> Shareable | None:
    operation = EXECUTOR.prepare(GraphQLRequest(query=query, variables=variables))
    assert isinstance(operation, Operation), operation
    return operation.shareable


FRAGMENTS = (
    "subscription ($s: Revision, $by: [ModelConfigRef!]) { ...F } "
    "fragment F on Subscription { modelConfigChanged(since: $s, by: $by) { ...E } } "
    "fragment E on ModelConfigEvent { ... on ModelConfigSnapshot { modelConfigs { ...C } } } "
    "fragment C on ModelConfig { %s }"
)
EVENT = "{ __typename revision ... on ModelConfigChange { put { alias auth { __typename } litellmParams } } }"


@pytest.mark.parametrize(
    ("query", "position"),
    [
        (f"subscription {{ modelConfigChanged {EVENT} }}", None),
        (f"subscription {{ renamed: modelConfigChanged(since: null) {EVENT} }}", None),
        (f"subscription ($s: Revision) {{ modelConfigChanged(since: $s) {EVENT} }}", "s"),
        (FRAGMENTS % "id params litellmModel revision", "s"),
        (
            '{ modelConfig(by: {alias: "a"}) { litellmParams } node(id: "x") { id ... on ModelConfig { model } } }',
            None,
        ),
        ("{ modelConfigs(first: 2) { edges { cursor node { id params } } pageInfo { hasNextPage endCursor } } }", None),
    ],
)
def test_what_depends_on_rights_and_events_alone_is_shared(query: str, position: str | None) -> None:
    assert shareable(query) == Shareable(position)


LIVE = "{ ... on ModelConfigChange { put { %s } } }"


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { name } }",
        "{ __schema { types { name } } }",
        '{ modelConfig(by: {alias: "a"}) { alias } viewer { name } }',
        '{ modelConfig(by: {alias: "a"}) { history { edges { node { version } } } } }',
        '{ node(id: "a") { ... on ModelConfig { rollout { applied } } } }',
        "mutation { signOut(input: {everywhere: false}) { __typename } }",
        "subscription { componentChanged { __typename } }",
        f"subscription {{ modelConfigChanged {LIVE % 'rollout { applied }'} }}",
        f"subscription {{ modelConfigChanged {LIVE % 'components { edges { node { __typename } } }'} }}",
        FRAGMENTS % "history { edges { node { version } } }",
        # The position must be one that can be left out.
        f'subscription {{ modelConfigChanged(since: "a-1") {EVENT} }}',
        f"subscription ($s: Revision!) {{ modelConfigChanged(since: $s) {EVENT} }}",
        f'subscription ($s: Revision = "a-1") {{ modelConfigChanged(since: $s) {EVENT} }}',
    ],
)
def test_everything_else_is_not(query: str) -> None:
    assert shareable(query) is None


def test_without_fields_that_may_be_shared_nothing_is() -> None:
    operation = Executor(schema, Limits()).prepare(
        GraphQLRequest(query=f"subscription {{ modelConfigChanged {EVENT} }}")
    )
    assert isinstance(operation, Operation)
    assert operation.shareable is None


def test_what_is_found_out_is_kept_for_each_operation_of_a_document() -> None:
    document = (
        f"subscription A {{ modelConfigChanged {EVENT} }} "
        f"subscription B($s: Revision) {{ modelConfigChanged(since: $s) {EVENT} }}"
    )
    for name, found in (("A", Shareable(None)), ("B", Shareable("s")), ("A", Shareable(None))):
        operation = EXECUTOR.prepare(GraphQLRequest(query=document, operation_name=name))
        assert isinstance(operation, Operation)
        assert operation.shareable == found
    assert set(operation.document.shareable) == {"A", "B"}


def test_the_fields_are_those_of_the_schema_and_none_waits_for_the_database() -> None:
    """A resolver that is a coroutine looks something up: what it finds depends on when it is asked."""
    for coordinate in SHARED_FIELDS:
        parent, name = coordinate.split(".")
        found = schema._schema.get_type(parent)
        assert isinstance(found, GraphQLObjectType), coordinate
        definition = found.fields[name].extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
        assert parent in {"Query", "Subscription"} or not definition.is_async, coordinate


READER = Rights(frozenset({Scope.MODEL_CONFIG_READ}), AliasPatterns())


def key(**changes: Any) -> GroupKey:
    given: dict[str, Any] = {
        "document": "d",
        "operation_name": None,
        "variables": {"by": [{"alias": "a"}], "x": 1},
        "rights": READER,
    }
    return GroupKey.of(**(given | changes))


def test_who_asks_for_the_same_with_the_same_rights_is_of_one_group() -> None:
    assert key() == key(variables={"x": 1, "by": [{"alias": "a"}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"document": "e"},
        {"operation_name": "A"},
        {"variables": {"by": [{"alias": "b"}], "x": 1}},
        {"variables": {"by": [{"alias": "a"}], "x": 1.0}},
        {"variables": {"by": [{"alias": "a"}]}},
        {"rights": Rights(frozenset(), AliasPatterns())},
        {"rights": Rights(READER.scopes, AliasPatterns(("a",)))},
    ],
)
def test_whatever_an_answer_depends_on_is_in_the_key(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


def test_who_a_group_asks_as_has_its_rights_and_is_nobody() -> None:
    principal = READER.principal
    assert Rights.of(principal) == READER
    assert (principal.subject, principal.credential, principal.expires_at) == ("group", "", None)
