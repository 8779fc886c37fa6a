"""What graphql-core itself says of a request to a server with our exported schema: whether it may be executed."""

from __future__ import annotations

from enum import Enum
from typing import Any

import orjson
from graphql import (
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    parse,
    validate,
)
from graphql.execution import get_variable_values

from modelwire import schema as ours

MAX_JSON_DEPTH = 100


def exported_schema() -> GraphQLSchema:
    """The schema that clients know, with the scalars' own ideas of what they can be."""
    exported = build_schema(ours.export())
    for name, type_ in exported.type_map.items():
        served = ours.schema._schema.type_map[name]
        if isinstance(type_, GraphQLScalarType) and isinstance(served, GraphQLScalarType):
            for attribute in ("parse_value", "parse_literal", "coerce_input_value", "coerce_input_literal"):
                setattr(type_, attribute, getattr(served, attribute))
    return exported


class Verdict(Enum):
    NO_REQUEST = "the body is not JSON of the form that is wanted"
    INVALID = "syntax, validation, no such operation, or variables that do not fit"
    QUERY = "a query that can be executed"
    MUTATION = "a mutation that can be executed"
    SUBSCRIPTION = "a subscription that can be executed"

    @property
    def valid(self) -> bool:
        return self in {Verdict.QUERY, Verdict.MUTATION, Verdict.SUBSCRIPTION}


def verdict(schema: GraphQLSchema, body: bytes) -> Verdict:
    """Of a request as it is sent. Limits are no concern of it."""
    try:
        request = orjson.loads(body)
    except ValueError:
        return Verdict.NO_REQUEST
    if not isinstance(request, dict) or not isinstance(request.get("query"), str) or _depth(request) > MAX_JSON_DEPTH:
        return Verdict.NO_REQUEST
    name, variables = request.get("operationName"), request.get("variables")
    if not isinstance(name, str | None) or not isinstance(variables, dict | None):
        return Verdict.NO_REQUEST
    try:
        document = parse(request["query"])
    except (GraphQLError, RecursionError):
        return Verdict.INVALID
    if validate(schema, document):
        return Verdict.INVALID
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    chosen = [node for node in operations if name is None or (node.name is not None and node.name.value == name)]
    if len(chosen) != 1 or isinstance(
        get_variable_values(schema, chosen[0].variable_definitions or (), variables or {}), list
    ):
        return Verdict.INVALID
    return {
        OperationType.QUERY: Verdict.QUERY,
        OperationType.MUTATION: Verdict.MUTATION,
        OperationType.SUBSCRIPTION: Verdict.SUBSCRIPTION,
    }[chosen[0].operation]


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
        ]
        depth += 1
    return depth - 1
