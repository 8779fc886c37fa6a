"""The tokens of a session: JWTs that all servers of one store can read, signed with keys that are made of its keyring.

An access token and a refresh token have another audience and another key each, so neither is taken for the other. They
prove that they were made here and nothing more: what they open is looked up in the store, each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import jwt

from ..store import Session, Store, UnknownKey
from .access import API_KEY
from .errors import Unauthenticated

MAX_TOKEN_CHARACTERS = 16 * 1024

_ALGORITHM: Final = "HS256"
_INVALID: Final = "the token is not valid"
_ISSUER_PREFIX: Final = "modelwire:"


class TokenUse(StrEnum):
    """What a token is for. The values are in tokens."""

    ACCESS = "modelwire:access"
    REFRESH = "modelwire:refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. `generation` is which of the session's refresh tokens it is, or came with."""

    session_id: str
    generation: int
    expires_at: datetime


def issue_token(store: Store, use: TokenUse, session: Session, expires_at: datetime) -> str:
    """A token of a session. Raises KeyringError when the keyring cannot be used."""
    name, key = store.derive_key(use)
    claims = {
        "iss": _issuer(store),
        "aud": use,
        "sub": API_KEY + session.api_key_id,
        "sid": session.id,
        "gen": session.generation,
        # With fractions of a second, which RFC 7519 allows: the sockets of short-lived tokens end by it.
        "exp": expires_at.timestamp(),
    }
    return jwt.encode(claims, key, _ALGORITHM, headers={"kid": name})


def read_token(store: Store, use: TokenUse, token: str, now: datetime) -> Claims:
    """What a token says that `issue_token` made for this use. Raises Unauthenticated for any other, or an old one."""
    key = _key(store, use, token)
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=use,
            issuer=_issuer(store),
            # The expiry is checked below: by the given clock, and not in whole seconds.
            options={"require": ["iss", "aud", "sub", "sid", "gen", "exp"], "verify_exp": False},
        )
    except jwt.InvalidIssuerError:
        # A restore gives the store another identity: what was ended since the backup must not come back.
        raise Unauthenticated("the token is of another store, or of before a restore: sign in again") from None
    except (jwt.PyJWTError, ValueError):
        raise Unauthenticated(_INVALID) from None
    expires_at = datetime.fromtimestamp(claims["exp"], UTC)
    if now >= expires_at:
        raise Unauthenticated("the token has expired")
    return Claims(session_id=claims["sid"], generation=claims["gen"], expires_at=expires_at)


def looks_like_jwt(token: str) -> bool:
    """Whether this may be a JWT, and no API key."""
    return token.count(".") == 2


def unverified_issuer(token: str) -> str | None:
    """Whose token it says that it is, None when it does not say so. Good for choosing who is to verify it, only."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return None
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return issuer if isinstance(issuer, str) else None


def is_of_sessions(issuer: str) -> bool:
    """Whether this issuer is a store of Modelwire, this or another one."""
    return issuer.startswith(_ISSUER_PREFIX)


def _key(store: Store, use: TokenUse, token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise Unauthenticated(_INVALID)
    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
        name = header.get("kid")
        if not isinstance(name, str):
            raise Unauthenticated(_INVALID)
        return store.derive_key(use, name)[1]
    except UnknownKey:
        raise Unauthenticated("the token was signed with a key that was taken away: sign in again") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Unauthenticated(_INVALID) from None


def _issuer(store: Store) -> str:
    return _ISSUER_PREFIX + store.id
