"""The table of docs/security.md has a row for each field that decides who may see it, and says what the schema does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from authorisation import PROBES, TABLE
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType

from modelwire.schema import schema

ROOTS = {"Query", "Mutation", "Subscription"}


def fields() -> Iterator[tuple[str, str, bool]]:
    """Each field of the schema, its description, and whether it has code of its own."""
    for type_ in schema._schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in type_.fields.items():
                definition = field.extensions.get("strawberry-definition")
                code = getattr(definition, "base_resolver", None) is not None
                yield f"{type_.name}.{name}", field.description or "", type_.name in ROOTS or code


def needs(description: str) -> set[str]:
    return set(re.findall(r"[Nn]eeds (?:the scope )?`(\w+:\w+)`", description))


def test_every_field_with_code_of_its_own_has_a_row() -> None:
    assert [name for name, _, decides in fields() if decides and name not in TABLE] == []


def test_every_row_is_a_field() -> None:
    assert set(TABLE) <= {name for name, _, _ in fields()}


def test_the_descriptions_say_the_same() -> None:
    told = {name: needs(description) for name, description, _ in fields()}
    assert {name: scopes for name, scopes in told.items() if scopes} == {
        name: set(row.scopes) for name, row in TABLE.items() if row.scopes
    }


def test_every_row_is_tried() -> None:
    assert {probe.row for probe in PROBES} == set(TABLE)
