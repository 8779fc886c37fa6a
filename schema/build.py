"""The schema as a whole, and its export."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import strawberry
from graphql import build_schema as build_from_sdl
from graphql import introspection_from_schema, lexicographic_sort_schema, print_schema
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig

from .base import DATE_TIME, REVISION, Revision
from .component_events import ComponentChange, ComponentSnapshot
from .events import Bookmark, ModelConfigChange, ModelConfigSnapshot
from .mutation import Mutation
from .query import Query
from .subscription import Subscription


def build_schema(
    *,
    extensions: Iterable[type[SchemaExtension] | Callable[[], SchemaExtension]] = (),
    execution_context_class: type[Any] | None = None,
) -> strawberry.Schema:
    """The schema with what a transport adds to it. `info.context` is a resolvers' Context."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[ModelConfigSnapshot, ModelConfigChange, Bookmark, ComponentSnapshot, ComponentChange],
        extensions=extensions,
        execution_context_class=execution_context_class,
        config=StrawberryConfig(scalar_map={Revision: REVISION, datetime: DATE_TIME}),
    )


schema = build_schema()


def export() -> str:
    """The schema as SDL: the text of `schema.graphql`. Sorted, so that it changes only when the API does."""
    # Sorted here and not by Strawberry's `sort_schema`, which breaks unions at run time.
    return print_schema(lexicographic_sort_schema(build_from_sdl(schema.as_str()))) + "\n"


def introspection() -> Mapping[str, Any]:
    """What the introspection query answers, for code generators that do not read SDL."""
    # Of the very schema: one that is read from SDL says of no input that it is @oneOf.
    return introspection_from_schema(schema._schema)
