"""The settings of the limits that requests and connections have."""

from __future__ import annotations

import dataclasses

from pydantic import Field
from pydantic_settings import BaseSettings

from .graphql.limits import Limits

LIMITS = Limits()


class LimitSettings(BaseSettings):
    """How much a client may ask for, and how long it may take."""

    max_message_bytes: int = Field(
        LIMITS.message_bytes,
        ge=1024,
        description="The largest request body or websocket message.",
        json_schema_extra={"unit": "bytes"},
    )
    max_depth: int = Field(LIMITS.depth, ge=1, description="How deep the selections of an operation may be nested.")
    max_tokens: int = Field(LIMITS.tokens, ge=1, description="How many tokens a GraphQL document may have.")
    max_aliases: int = Field(LIMITS.aliases, ge=0, description="How many fields of an operation may be renamed.")
    max_cost: int = Field(
        LIMITS.cost,
        ge=1,
        description="How many fields an operation may ask for; those of a connection count for each item of a page.",
    )
    introspection: bool = Field(
        LIMITS.introspection, description="Whether clients may ask for the schema, as GraphiQL does."
    )
    max_operations_per_connection: int = Field(
        LIMITS.operations_per_connection,
        ge=1,
        description="How many operations one websocket may run at the same time.",
    )
    max_connections_per_principal: int = Field(
        LIMITS.connections_per_principal, ge=1, description="How many websockets and streams one API key may have open."
    )
    init_timeout_seconds: float = Field(
        LIMITS.init_timeout_seconds,
        gt=0,
        description="How long a new websocket may take to say who it is.",
        json_schema_extra={"unit": "s"},
    )
    body_timeout_seconds: float = Field(
        LIMITS.body_timeout_seconds,
        gt=0,
        description="How long the body of a request may take to arrive.",
        json_schema_extra={"unit": "s"},
    )
    send_timeout_seconds: float = Field(
        LIMITS.send_timeout_seconds,
        gt=0,
        description="A websocket or a stream that cannot be written to for this long is dropped.",
        json_schema_extra={"unit": "s"},
    )
    keep_alive_seconds: float = Field(
        LIMITS.keep_alive_seconds,
        gt=0,
        description="A stream that has nothing to say for this long says so, lest a proxy takes it for dead.",
        json_schema_extra={"unit": "s"},
    )

    @property
    def limits(self) -> Limits:
        """The limits of the GraphQL endpoint."""
        names = [field.name for field in dataclasses.fields(Limits)]
        return Limits(**{name: getattr(self, name if hasattr(self, name) else f"max_{name}") for name in names})
