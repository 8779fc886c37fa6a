"""What operations cost: how many fields a server may have to answer for them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from ...resolvers.model_configs import DEFAULT_PAGE, MAX_PAGE

SCHEMA_COST = 1_000
"""The cost of `__schema` besides its fields: whatever is selected, all types may have to be walked."""

EXPORT_COST = 5_000
"""The same of an export: all configs are written as YAML, which takes a second for each megabyte."""

_DEAR = {"__schema": SCHEMA_COST, "modelConfigExport": EXPORT_COST}


class OperationCosts:
    """The costs of the operations of one valid document.

    A field costs 1, and what is selected in it: in a connection, which is a field with an argument `first`, as often
    as `first` says. Fields of fragments count at every place that the fragment is put. With `variables` None nothing
    is known of them, and a `first` that is a variable counts as the largest.

    Each fragment is measured once, as fragments that spread each other twice would else take exponential time.
    """

    def __init__(self, schema: GraphQLSchema, tree: DocumentNode, variables: Mapping[str, Any] | None) -> None:
        self._schema = schema
        self._variables = variables
        definitions = (node for node in tree.definitions if isinstance(node, FragmentDefinitionNode))
        self._fragments = {node.name.value: node for node in definitions}
        self._measured: dict[str, int] = {}
        self._defaults: Mapping[str, ValueNode | None] = {}

    def of(self, operation: OperationDefinitionNode) -> int:
        """The cost of one of the operations."""
        self._measured = {}
        self._defaults = {node.variable.name.value: node.default_value for node in operation.variable_definitions or ()}
        return self._selections(operation.selection_set, self._schema.get_root_type(operation.operation))

    def _selections(self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None) -> int:
        cost = 0
        for node in selection_set.selections if selection_set is not None else ():
            if isinstance(node, FieldNode):
                cost += self._field(node, parent)
            elif isinstance(node, FragmentSpreadNode):
                cost += self._fragment(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = parent if condition is None else self._schema.get_type(condition.name.value)
                cost += self._selections(node.selection_set, inner)
        return cost

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> int:
        definition = self._definition(node.name.value, parent)
        if definition is None:
            return 1
        inner = self._selections(node.selection_set, get_named_type(definition.type))
        if node.name.value in _DEAR:
            return _DEAR[node.name.value] + inner
        return 1 + inner * self._times(node, definition)

    def _fragment(self, name: str) -> int:
        if name not in self._measured:
            fragment = self._fragments[name]
            parent = self._schema.get_type(fragment.type_condition.name.value)
            self._measured[name] = self._selections(fragment.selection_set, parent)
        return self._measured[name]

    def _definition(self, name: str, parent: GraphQLNamedType | None) -> GraphQLField | None:
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return self._schema.get_field(parent, name)
        return None  # __typename of a union

    def _times(self, node: FieldNode, definition: GraphQLField) -> int:
        """How many items the field may have, as far as `first` says."""
        if "first" not in definition.args:
            return 1
        value = next((argument.value for argument in node.arguments or () if argument.name.value == "first"), None)
        first = self._int(value)
        # More than a page is never answered; what is no number is refused later.
        return DEFAULT_PAGE if first is None else min(max(first, 1), MAX_PAGE)

    def _int(self, value: ValueNode | None) -> int | None:
        if isinstance(value, IntValueNode):
            return int(value.value)
        if not isinstance(value, VariableNode):
            return None
        if self._variables is None:
            return MAX_PAGE
        name = value.name.value
        if name not in self._variables:
            return self._int(self._defaults.get(name))
        given = self._variables[name]
        return int(given) if isinstance(given, int) else None
