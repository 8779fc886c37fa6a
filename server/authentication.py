"""From an Authorization header to who asks."""

from __future__ import annotations

from datetime import UTC, datetime

from ..resolvers.access import Principal
from ..resolvers.api_keys import verify_api_key
from ..resolvers.errors import Unauthenticated
from ..resolvers.sessions import verify_access_token
from ..resolvers.tokens import is_of_sessions, looks_like_jwt, unverified_issuer
from ..store import Store
from .oidc import OidcVerifier


async def authenticate(store: Store, authorization: str | None, oidc: OidcVerifier | None = None) -> Principal:
    """The principal of `Bearer <API key or token>`; None means that no header was sent. Raises Unauthenticated, and
    Unavailable when it cannot be told.

    Tokens are those of sessions, and those of the issuer of `oidc` (None: there is none).
    """
    if not authorization:
        raise Unauthenticated("an API key is needed: send the header `Authorization: Bearer mw_…`")
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("the Authorization header has another form than `Bearer mw_…`")
    now = datetime.now(UTC)
    if not looks_like_jwt(token):
        return await verify_api_key(store, token, now)
    issuer = unverified_issuer(token)
    if issuer is not None and is_of_sessions(issuer):
        return await verify_access_token(store, token, now)
    if oidc is not None and issuer == oidc.issuer:
        return await oidc.verify(token)
    raise Unauthenticated("the token is none of a session here, and of no issuer that this server knows")
