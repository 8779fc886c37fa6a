"""From an Authorization header to who asks."""

from __future__ import annotations

from datetime import UTC, datetime

from ..resolvers.access import Principal
from ..resolvers.api_keys import verify_api_key
from ..resolvers.errors import Unauthenticated
from ..store import Store


async def authenticate(store: Store, authorization: str | None) -> Principal:
    """The principal of `Bearer <API key>`. None means that no header was sent. Raises Unauthenticated."""
    if not authorization:
        raise Unauthenticated("an API key is needed: send the header `Authorization: Bearer mw_…`")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("the Authorization header has another form than `Bearer mw_…`")
    return await verify_api_key(store, token.strip(), datetime.now(UTC))
