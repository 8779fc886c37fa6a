"""How the store uses its database."""

from __future__ import annotations

from dataclasses import dataclass, replace

PATIENCE_SECONDS = 60.0
"""How long what a start does waits for others, who may be starting at the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """`pool_size` connections at most, the listener for changes not counted; who waits for one longer than
    `connect_timeout_seconds`, or for a connection to be made, is told that the database is not available.

    PostgreSQL ends a statement that takes longer than `statement_timeout_seconds`, waiting for other writers included;
    0: it ends none. SQLite waits for other processes for `lock_timeout_seconds`; None: as the URL says, else 5 s.

    At most `mirror_configs` configs are kept in memory, to answer reads while the database is away; with more of them,
    none are.
    """

    pool_size: int = 8
    connect_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 10.0
    lock_timeout_seconds: float | None = None
    mirror_configs: int = 10_000

    def patient(self) -> DatabaseOptions:
        """The same for a start, which must not fail because others are at it too."""
        return replace(
            self,
            statement_timeout_seconds=max(self.statement_timeout_seconds, PATIENCE_SECONDS),
            lock_timeout_seconds=PATIENCE_SECONDS,
        )
