"""How much one request, one connection and one principal may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds of the GraphQL transport. All counts are inclusive, all times float seconds.

    `depth` counts nested fields (`{ a { b } }` is 2); introspection is not counted. `aliases` counts each alias once
    for every place that a fragment puts it. `cost` counts fields, those of a connection once for each item of a page.
    `introspection` False: the schema may not be asked for. `message_bytes` bounds an HTTP body and a websocket
    message. `connections_per_principal` counts websockets and streams. `send_timeout_seconds` is how long a message
    may wait for a peer that does not read, `keep_alive_seconds` how long a stream may be silent.
    """

    depth: int = 10
    tokens: int = 2_000
    aliases: int = 30
    cost: int = 10_000
    introspection: bool = True
    operations_per_connection: int = 50
    connections_per_principal: int = 1_000
    init_timeout_seconds: float = 10.0
    body_timeout_seconds: float = 30.0
    send_timeout_seconds: float = 5.0
    keep_alive_seconds: float = 15.0
    message_bytes: int = 1024 * 1024
