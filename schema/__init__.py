"""The face: the GraphQL schema. Its fields are one to three lines: call a resolver, convert the record."""

from .build import build_schema, export, introspection, schema
from .subscription import SHARED_FIELDS

__all__ = ["SHARED_FIELDS", "build_schema", "export", "introspection", "schema"]
