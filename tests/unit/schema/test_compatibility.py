"""What clients were given stays: the schema against the one that was released, and the conventions that it follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    find_breaking_changes,
    get_named_type,
    is_introspection_type,
    print_ast,
)

from modelwire.schema import export

SCHEMAS = Path(__file__).parents[2] / "data" / "schema"
RELEASED = SCHEMAS / "released.graphql"


@pytest.fixture(scope="module")
def current() -> GraphQLSchema:
    return build_schema(export())


def broken(old: GraphQLSchema, new: GraphQLSchema) -> list[str]:
    """What a client of `old` could do that it cannot do with `new`: graphql-core's list, and what that leaves out."""
    found = [change.description for change in find_breaking_changes(old, new)]
    for name, old_type in old.type_map.items():
        new_type = new.type_map.get(name)
        if is_introspection_type(old_type):
            continue
        if isinstance(old_type, GraphQLInputObjectType) and isinstance(new_type, GraphQLInputObjectType):
            if old_type.is_one_of != new_type.is_one_of:
                found.append(f"{name} is @oneOf no more, or became it.")
            found += _changed_defaults(name, old_type.fields, new_type.fields)
        elif isinstance(old_type, GraphQLObjectType) and isinstance(new_type, GraphQLObjectType):
            for field_name in old_type.fields.keys() & new_type.fields.keys():
                arguments = old_type.fields[field_name].args, new_type.fields[field_name].args
                found += _changed_defaults(f"{name}.{field_name}", *arguments)
    return sorted(found)


def _changed_defaults(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in sorted(old.keys() & new.keys()):
        before, after = _default(old[key]), _default(new[key])
        if before != after:
            yield f"{name}({key}) has the default {after}, not {before}."


def _default(given: GraphQLArgument | GraphQLInputField) -> str | None:
    """The default as SDL, None without one."""
    assert given.ast_node is not None
    value = given.ast_node.default_value
    return None if value is None else print_ast(value)


def test_nothing_that_was_released_is_broken(current: GraphQLSchema) -> None:
    changes = broken(build_schema(RELEASED.read_text()), current)
    assert changes == [], "CONTRIBUTING.md says how a breaking change is accepted"


def test_the_shapes_that_clients_rely_on_are_served(current: GraphQLSchema) -> None:
    """Every field, argument, nullability, default, member and value in the file means the same in the schema."""
    assert broken(build_schema((SCHEMAS / "relied_on.graphql").read_text()), current) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("alias: String!", "alias: String"),
        ("sealedParams: [String!]!", "sealedParams: [String]!"),
        ("  litellmModel: String\n", ""),
        ("validateOnly: Boolean = false", "validateOnly: Boolean = true"),
        ("validateOnly: Boolean = false", "validateOnly: Boolean!"),
        ("input ModelConfigRef @oneOf {", "input ModelConfigRef {"),
        ("union CreateModelConfigResult = CreateModelConfigPayload | AliasTaken", "union CreateModelConfigResult ="),
        ("type Bookmark implements ModelConfigEvent {", "type Bookmark {"),
        ("  SAM\n", ""),
        ("since: Revision)", "since: String)"),
        ("input RollbackModelConfigInput {", "input RollbackModelConfigInput {\n  why: String!"),
    ],
)
def test_a_break_is_found(before: str, after: str) -> None:
    sdl = (SCHEMAS / "relied_on.graphql").read_text()
    assert before in sdl
    old, new = build_schema(sdl), build_schema(sdl.replace(before, after))
    assert broken(old, new) != []
    assert broken(old, old) == []


def fields(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLField]]:
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not is_introspection_type(type_):
            yield from ((f"{name}.{field_name}", field) for field_name, field in type_.fields.items())


def test_every_connection_is_relays(current: GraphQLSchema) -> None:
    connections = {name: type_ for name, type_ in current.type_map.items() if name.endswith("Connection")}
    assert "ModelConfigConnection" in connections
    for name, connection in connections.items():
        of = name.removesuffix("Connection")
        assert isinstance(connection, GraphQLObjectType)
        assert str(connection.fields["edges"].type) == f"[{of}Edge!]!"
        assert str(connection.fields["pageInfo"].type) == "PageInfo!"
        edge = current.type_map[f"{of}Edge"]
        assert isinstance(edge, GraphQLObjectType)
        assert {key: str(field.type) for key, field in edge.fields.items()} == {"cursor": "String!", "node": f"{of}!"}
        for path, field in fields(current):
            if get_named_type(field.type) is connection:
                assert isinstance(field.type, GraphQLNonNull), path
                assert str(field.args["first"].type) == "Int", path
                assert str(field.args["after"].type) == "String", path


def test_every_mutation_takes_one_input_and_answers_with_a_union_of_its_own(current: GraphQLSchema) -> None:
    mutation = current.mutation_type
    assert mutation is not None
    error = current.type_map["UserError"]
    for name, field in mutation.fields.items():
        title = name[0].upper() + name[1:]
        assert {key: str(argument.type) for key, argument in field.args.items()} == {"input": f"{title}Input!"}
        assert str(field.type) == f"{title}Result!"
        union = get_named_type(field.type)
        assert isinstance(union, GraphQLUnionType)
        payloads = [type_.name for type_ in union.types if error not in type_.interfaces]
        assert payloads == [f"{title}Payload"]
