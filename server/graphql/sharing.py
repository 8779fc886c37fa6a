"""Which operations can be answered together: those whose answers depend on nothing but their key. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
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
    NamedTypeNode,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from ...resolvers.access import Principal, Scope
from ...store import AliasPatterns, Position
from .deliveries import Deliveries, Uncounted

POSITION_ARGUMENT = "since"
"""The argument of a shared root field that says where the subscriber stands."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What makes sharing possible: the `fields` that may be (see `shareable`), and the position of the feed once all is
    read that was committed before the call (see `Feed.current`). `deliveries` hears what becomes of events.
    """

    fields: frozenset[str]
    current: Callable[[], Awaitable[Position]]
    deliveries: Deliveries = Uncounted()  # noqa: RUF009 - it has no state


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do and see, whoever it is."""

    scopes: frozenset[Scope]
    aliases: AliasPatterns

    @classmethod
    def of(cls, principal: Principal) -> Self:
        return cls(principal.scopes, principal.aliases)

    @property
    def principal(self) -> Principal:
        """Nobody in particular, with these rights."""
        return Principal(subject="group", name="group", scopes=self.scopes, aliases=self.aliases)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """All that the answers to a shared operation depend on, besides what is committed and where a subscriber stands.

    `variables` is their JSON, with sorted keys and without the position.
    """

    document: str
    operation_name: str | None
    variables: bytes
    rights: Rights

    @classmethod
    def of(cls, document: str, operation_name: str | None, variables: Mapping[str, Any], rights: Rights) -> Self:
        return cls(document, operation_name, orjson.dumps(variables, option=orjson.OPT_SORT_KEYS), rights)


@dataclass(frozen=True, slots=True)
class Shareable:
    """An operation that can be shared. `position_variable` None: it has no way to say where a subscriber stands."""

    position_variable: str | None


def shareable(
    schema: GraphQLSchema, tree: DocumentNode, operation: OperationDefinitionNode, fields: frozenset[str]
) -> Shareable | None:
    """How an operation of a valid document can be shared; None when it cannot.

    `fields` are coordinates such as `Query.node`: the root fields that may be shared, and, below them, the fields with
    a resolver whose answers depend on the event and on rights alone. What is a plain value of its parent may be asked
    for anyway.
    """
    root = schema.get_root_type(operation.operation)
    walk = _Walk(schema, tree, fields)
    if operation.operation is OperationType.MUTATION or not walk.permits(operation.selection_set, root):
        return None
    roots = list(walk.root_fields(operation.selection_set))
    if any(f"{root}.{node.name.value}" not in fields for node in roots):
        return None
    if operation.operation is OperationType.QUERY:
        return Shareable(None)
    given = {_position(operation, node) for node in roots}
    return Shareable(given.pop()) if len(given) == 1 and _UNKNOWN not in given else None


_UNKNOWN = ""


def _position(operation: OperationDefinitionNode, node: FieldNode) -> str | None:
    """The name of the variable for the position, None when there is none; _UNKNOWN when it is given another way."""
    value = next((each.value for each in node.arguments or () if each.name.value == POSITION_ARGUMENT), None)
    if value is None or isinstance(value, NullValueNode):
        return None
    if not isinstance(value, VariableNode):
        return _UNKNOWN
    name = value.name.value
    definition = next(each for each in operation.variable_definitions or () if each.variable.name.value == name)
    # It must be possible to leave it out.
    optional = isinstance(definition.type, NamedTypeNode) and definition.default_value is None
    return name if optional else _UNKNOWN


class _Walk:
    """Goes through what is selected. Each fragment once, as fragments that spread each other twice would else take
    exponential time."""

    def __init__(self, schema: GraphQLSchema, tree: DocumentNode, fields: frozenset[str]) -> None:
        self._schema = schema
        self._fields = fields
        definitions = (node for node in tree.definitions if isinstance(node, FragmentDefinitionNode))
        self._fragments = {node.name.value: node for node in definitions}
        self._permitted: dict[str, bool] = {}

    def permits(self, selection_set: SelectionSetNode | None, parent: GraphQLNamedType | None) -> bool:
        return selection_set is None or all(self._permits(node, parent) for node in selection_set.selections)

    def _permits(self, node: Any, parent: GraphQLNamedType | None) -> bool:
        if isinstance(node, FieldNode):
            return self._permits_field(node, parent)
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in self._permitted:
                self._permitted[name] = self._permits_fragment(self._fragments[name], parent)
            return self._permitted[name]
        return self._permits_fragment(node, parent)

    def _permits_fragment(
        self, node: FragmentDefinitionNode | InlineFragmentNode, parent: GraphQLNamedType | None
    ) -> bool:
        condition = node.type_condition
        return self.permits(node.selection_set, parent if condition is None else self._type(condition))

    def _permits_field(self, node: FieldNode, parent: GraphQLNamedType | None) -> bool:
        name = node.name.value
        if name == "__typename":
            return True
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) or name not in parent.fields:
            return False
        field = parent.fields[name]
        if f"{parent.name}.{name}" not in self._fields and not _is_plain(field):
            return False
        return self.permits(node.selection_set, get_named_type(field.type))

    def root_fields(self, selection_set: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                yield from self.root_fields(self._fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                yield from self.root_fields(node.selection_set)

    def _type(self, condition: NamedTypeNode) -> GraphQLNamedType | None:
        return self._schema.get_type(condition.name.value)


def _is_plain(field: GraphQLField) -> bool:
    """Whether the field is an attribute of its parent, with nothing that looks at who asks."""
    definition = field.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    return isinstance(definition, StrawberryField) and definition.base_resolver is None and not definition.extensions
