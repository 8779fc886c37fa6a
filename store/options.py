"""How the store uses its database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """`pool_size` connections at most, the listener for changes not counted; who waits for one longer than
    `connect_timeout_seconds`, or for a connection to be made, is told that the database is not available.

    PostgreSQL ends a statement that takes longer than `statement_timeout_seconds`, waiting for other writers included.

    At most `mirror_configs` configs are kept in memory, to answer reads while the database is away; with more of them,
    none are.
    """

    pool_size: int = 8
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 10.0
    mirror_configs: int = 10_000
