"""Tokens of an identity provider that speaks OIDC: who shows one, and what they may do by its claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import jwt

from ..resolvers.access import Principal, Scope
from ..resolvers.api_keys import MAX_ALIAS_PATTERNS
from ..resolvers.errors import Unauthenticated
from ..store import AliasPatterns
from .oidc_keys import IssuerKeys

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""All that may be allowed. Those with a shared secret are none of them: the public key would be that secret."""

EVERYTHING = "*"
MAX_SUBJECT_CHARACTERS = 255

_NAME_CLAIMS = ("name", "preferred_username", "email", "sub")
_INVALID = "the token is not valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcRules:
    """Whose tokens are accepted, and what their claims mean.

    `scopes_claim` has words: those of `scope_map` stand for its scopes; when that is empty they are scopes themselves.
    `aliases_claim` has the aliases that the token opens; empty: all.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str]
    leeway_seconds: float
    scopes_claim: str
    scope_map: Mapping[str, frozenset[str]] = field(default_factory=dict)
    aliases_claim: str = ""


class OidcVerifier:
    """Accepts the tokens of one issuer."""

    def __init__(self, rules: OidcRules, keys: IssuerKeys) -> None:
        self._rules = rules
        self._keys = keys
        self._jwt = jwt.PyJWT(options={"enforce_minimum_key_length": True})

    @property
    def issuer(self) -> str:
        """What `iss` says in the tokens that it accepts."""
        return self._rules.issuer

    async def verify(self, token: str) -> Principal:
        """Who shows this token. Raises Unauthenticated, and Unavailable when the issuer cannot be asked for a key."""
        kid, algorithm = self._header(token)
        key = await self._keys.find(kid, algorithm)
        claims = self._claims(token, key, algorithm)
        subject = claims["sub"]
        if not 0 < len(subject) <= MAX_SUBJECT_CHARACTERS:
            raise Unauthenticated(f"the token's sub must have 1 to {MAX_SUBJECT_CHARACTERS} characters")
        try:
            expires_at = datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=self._rules.leeway_seconds)
        except (OverflowError, ValueError, OSError, TypeError):
            raise Unauthenticated(_INVALID) from None
        return Principal(
            # Escaped, so that it is one line and no other subject.
            subject=f"oidc:{quote(subject, safe='|@:/+~', errors='surrogatepass')}",
            name=_name(claims),
            scopes=self._scopes(claims),
            aliases=self._aliases(claims),
            expires_at=expires_at,
        )

    def _header(self, token: str) -> tuple[str | None, str]:
        # Of the header these two are looked at; where it says to find a key (jku, x5u, jwk) is nobody's business.
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated(_INVALID) from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            raise Unauthenticated("the token is signed with an algorithm that is not allowed here")
        if kid is not None and not isinstance(kid, str):
            raise Unauthenticated(_INVALID)
        return kid, algorithm

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            return self._jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_seconds,
                options={"require": ["iss", "aud", "sub", "exp"]},
            )
        except jwt.ExpiredSignatureError:
            message = "the token has expired"
        except jwt.ImmatureSignatureError:
            message = "the token is not valid yet"
        except jwt.InvalidAudienceError:
            message = "the token is for another audience"
        except jwt.MissingRequiredClaimError as error:
            message = f"the token has no claim {error.claim}"
        except (jwt.PyJWTError, ValueError, OverflowError, TypeError, RecursionError):
            message = _INVALID
        raise Unauthenticated(message)

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        words = _words(claims, self._rules.scopes_claim)
        granted: set[str] = set(words)
        if self._rules.scope_map:
            granted = {scope for word in words for scope in self._rules.scope_map.get(word, ())}
            if EVERYTHING in granted:
                return frozenset(Scope)
        return frozenset(scope for scope in Scope if scope.value in granted)

    def _aliases(self, claims: Mapping[str, Any]) -> AliasPatterns:
        if not self._rules.aliases_claim:
            return AliasPatterns()
        return AliasPatterns(tuple(dict.fromkeys(_words(claims, self._rules.aliases_claim)[:MAX_ALIAS_PATTERNS])))


def _words(claims: Mapping[str, Any], name: str) -> list[str]:
    """The words of a claim: a text with blanks between, or a list. A dot leads into an object, if no claim has the
    whole name.
    """
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _name(claims: Mapping[str, Any]) -> str:
    texts = (claims.get(claim) for claim in _NAME_CLAIMS)
    name = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    return "".join(char if char.isprintable() else " " for char in name)[:200].strip()
