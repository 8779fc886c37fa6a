"""What changed from version to version."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry.scalars import JSON

from ..resolvers import differences, history
from .base import PageInfo, Revision, revision


@strawberry.type(description="One field of a config before and after a change.")
class FieldChange:
    path: list[str] = strawberry.field(description='The field, such as `["params", "temperature"]`.')
    before: JSON | None = strawberry.field(description="Its value before; null when it was not set, or is a secret.")
    after: JSON | None = strawberry.field(description="Its value after; null when it is not set, or is a secret.")
    secret: bool = strawberry.field(description="Whether a sealed secret is on one of the sides; it is never shown.")

    @classmethod
    def of(cls, change: differences.FieldChange) -> Self:
        """Convert the resolver's answer."""
        before, after = (None if value is None else JSON(value) for value in (change.before, change.after))
        return cls(path=list(change.path), before=before, after=after, secret=change.secret)


@strawberry.type(description="One version of a model config, and what it changed.")
class ModelConfigVersion:
    version: int = strawberry.field(description="The version; `toVersion` of a roll-back to it.")
    revision: Revision = strawberry.field(description="The revision that made it.")
    at: datetime = strawberry.field(description="When it was made (UTC).")
    by: str = strawberry.field(description="Who made it, such as `api_key:k3j9x2q8ab`.")
    baseline: bool = strawberry.field(
        description="Whether the version before it is not there to compare with, because it is no longer kept. "
        "`changes` then are the whole content of this version."
    )
    changes: list[FieldChange] = strawberry.field(
        description="What differs from the version before, field by field; of a secret only that it differs."
    )

    @classmethod
    def of(cls, version: history.Version) -> Self:
        """Convert the resolver's answer."""
        return cls(
            version=version.version,
            revision=revision(version.position),
            at=version.at,
            by=version.by,
            baseline=version.baseline,
            changes=[FieldChange.of(change) for change in version.changes],
        )


@strawberry.type(description="A version in a list.")
class ModelConfigVersionEdge:
    cursor: str = strawberry.field(description="The place behind this version in the list. Opaque.")
    node: ModelConfigVersion = strawberry.field(description="The version.")


@strawberry.type(description="A page of a config's versions, newest first.")
class ModelConfigVersionConnection:
    edges: list[ModelConfigVersionEdge] = strawberry.field(description="The versions with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @classmethod
    def of(cls, page: history.History, *, after: str | None) -> Self:
        """Convert the page that was asked for with this `after`."""
        edges = [
            ModelConfigVersionEdge(cursor=cursor, node=ModelConfigVersion.of(version))
            for cursor, version in zip(page.cursors, page.versions, strict=True)
        ]
        page_info = PageInfo.of([edge.cursor for edge in edges], has_next=page.has_next, after=after)
        return cls(edges=edges, page_info=page_info)
