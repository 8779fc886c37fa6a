"""The schema as clients see it: described everywhere, exported without drift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from modelwire.resolvers.importing import ImportFormat
from modelwire.schema import export

ROOT = Path(__file__).parents[3]


def elements() -> Iterator[tuple[str, str | None]]:
    """Every element of the exported schema, and its description."""
    for name, type_ in build_schema(export()).type_map.items():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        yield name, type_.description
        if isinstance(type_, GraphQLEnumType):
            for value_name, value in type_.values.items():
                yield f"{name}.{value_name}", value.description
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in type_.fields.items():
                yield f"{name}.{field_name}", field.description
                for argument_name, argument in getattr(field, "args", {}).items():
                    yield f"{name}.{field_name}({argument_name})", argument.description


def test_everything_has_a_description() -> None:
    found = dict(elements())
    assert {"ModelConfig", "ModelConfig.alias", "ImportAction.SKIP", "Query.modelConfigs(first)"} <= found.keys()
    assert [name for name, description in found.items() if not (description or "").strip()] == []


def test_the_exported_file_is_current() -> None:
    assert (ROOT / "schema.graphql").read_text() == export(), "run: modelwire schema > schema.graphql"


def test_every_import_format_is_in_the_schema() -> None:
    formats = build_schema(export()).type_map["ImportFormat"]
    assert isinstance(formats, GraphQLEnumType)
    assert set(formats.values) == {format_.name for format_ in ImportFormat}
