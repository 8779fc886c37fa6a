"""API keys, listed and revoked."""

from typing import Annotated, Self

import strawberry

from .. import store
from ..resolvers import api_key_admin
from .base import PageInfo
from .errors import LastAdminKey, NotFound
from .types import ApiKey


@strawberry.type(description="An API key in a list.")
class ApiKeyEdge:
    cursor: str = strawberry.field(description="The place behind this key in the list. Opaque.")
    node: ApiKey = strawberry.field(description="The key, without its secret.")


@strawberry.type(description="A page of API keys, the newest first, revoked and expired ones too.")
class ApiKeyConnection:
    edges: list[ApiKeyEdge] = strawberry.field(description="The keys with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")

    @classmethod
    def of(cls, page: api_key_admin.ApiKeyPage, *, after: str | None) -> Self:
        """Convert the page that was asked for with this `after`."""
        edges = [ApiKeyEdge(cursor=api_key_admin.cursor_of(key), node=ApiKey.of(key)) for key in page.keys]
        page_info = PageInfo.of([edge.cursor for edge in edges], has_next=page.has_next, after=after)
        return cls(edges=edges, page_info=page_info)


@strawberry.input(description="Which API key is revoked.")
class RevokeApiKeyInput:
    id: strawberry.ID = strawberry.field(description="The key's id, the part of the key between its two underscores.")
    force: bool | None = strawberry.field(
        default=False,
        description="Whether to revoke it also when it is the last one with which keys can be made. The way back is "
        "`modelwire api-key recover`, on the server's machine.",
    )


@strawberry.type(description="An API key is revoked: it opens nothing any more, and what is open with it is closed.")
class RevokeApiKeyPayload:
    api_key: ApiKey = strawberry.field(description="The key as it is now.")

    @classmethod
    def of(cls, key: store.ApiKey) -> Self:
        """Convert the resolver's answer."""
        return cls(api_key=ApiKey.of(key))


RevokeApiKeyResult = Annotated[
    RevokeApiKeyPayload | NotFound | LastAdminKey,
    strawberry.union("RevokeApiKeyResult", description="What `revokeApiKey` answers."),
]
