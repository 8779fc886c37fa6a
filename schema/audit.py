"""The audit log."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry.scalars import JSON

from .. import store
from ..resolvers import audit
from .base import PageInfo


@strawberry.type(description="Something that was done, or denied.")
class AuditEntry:
    sequence: int = strawberry.field(description="Counts the entries from 1, without gaps.")
    at: datetime = strawberry.field(description="When it was (UTC).")
    action: str = strawberry.field(
        description="What it was: `model_config.create`, `model_config.update`, `model_config.rollback`, "
        "`model_config.delete`, `model_config.test`, `api_key.create`, `api_key.revoke`, `api_key.recover`, "
        "`access.denied`, `store.restore`, `keys.rotate`. Later versions have more."
    )
    actor: str = strawberry.field(
        description="Who did it, such as `api_key:k3j9x2q8ab`; `system` for the server itself and for commands that "
        "work on its database, `anonymous` for somebody without a valid credential, `local` for the command line that "
        "speaks to a server on its own machine, and `no_auth` for whoever asked a server with `--no-auth`."
    )
    details: JSON = strawberry.field(
        description="What is to be said of this action, by name: of a config its `id`, `alias` and `version`, of a "
        "denial how often. Never a secret; `history` has what a version changed."
    )
    hash: str = strawberry.field(
        description="SHA-256 over the entry and the hash of the entry before it. Keep the newest one elsewhere: "
        "`modelwire audit verify --head` then finds whatever is done to the log up to it."
    )

    @classmethod
    def of(cls, entry: store.AuditEntry) -> Self:
        """Convert the record."""
        return cls(
            sequence=entry.sequence,
            at=entry.at,
            action=entry.action,
            actor=entry.actor,
            details=JSON(dict(entry.details)),
            hash=entry.hash,
        )


@strawberry.type(description="An entry in a list.")
class AuditEntryEdge:
    cursor: str = strawberry.field(description="The place behind this entry in the list. Opaque.")
    node: AuditEntry = strawberry.field(description="The entry.")


@strawberry.type(description="A page of the audit log, newest first.")
class AuditEntryConnection:
    edges: list[AuditEntryEdge] = strawberry.field(description="The entries with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @classmethod
    def of(cls, page: audit.AuditPage, *, after: str | None) -> Self:
        """Convert the page that was asked for with this `after`."""
        edges = [AuditEntryEdge(cursor=audit.cursor_of(entry), node=AuditEntry.of(entry)) for entry in page.entries]
        page_info = PageInfo.of([edge.cursor for edge in edges], has_next=page.has_next, after=after)
        return cls(edges=edges, page_info=page_info)
