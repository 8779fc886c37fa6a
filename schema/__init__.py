"""The face: the GraphQL schema. Its fields are one to three lines: call a resolver, convert the record."""

from .build import build_schema, export, introspection, schema

__all__ = ["build_schema", "export", "introspection", "schema"]
