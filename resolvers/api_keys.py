"""API keys: making them, and telling who shows one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from ..store import AliasPatterns, ApiKey, AuditAction, Store, StoreError
from .access import ALL_SCOPES, API_KEY, Context, Principal, Scope
from .errors import Forbidden, InvalidInput, Unauthenticated, translates_store_errors
from .validation import validate_name

MAX_ALIAS_PATTERNS = 100

# A moment of the last year that there is may be beyond it in another time zone, such as the database's.
_TOO_LATE = datetime(9999, 1, 1, tzinfo=UTC)

_TOKEN = re.compile(r"mw_([a-z0-9]{10})_([0-9a-f]{64})")
_ID_CHARACTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyInput:
    """A key as its maker wants it. `aliases` None means all, else exact aliases or globs with `*`."""

    name: str
    scopes: tuple[str, ...]
    aliases: tuple[str, ...] | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedApiKey:
    """A new key. `secret` is the whole token; it is shown once, and nothing but its hash is kept."""

    key: ApiKey
    secret: str = field(repr=False)


@translates_store_errors
async def create_api_key(context: Context, given: ApiKeyInput) -> CreatedApiKey:
    """Make a key. Raises InvalidInput, and Forbidden for rights that the caller does not have."""
    principal = context.principal
    principal.require(Scope.API_KEY_ADMIN)
    now = datetime.now(UTC)
    scopes = _validated_scopes(given.scopes)
    validate_name("name", given.name, ("input", "name"))
    _validate_aliases(given.aliases)
    expires_at = None if given.expires_at is None else _validated_expiry(given.expires_at, now)
    _require_own_rights(principal, scopes, given.aliases)
    created = _new_key(
        name=given.name,
        scopes=scopes,
        aliases=AliasPatterns(None if given.aliases is None else tuple(dict.fromkeys(given.aliases))),
        created_by=principal.subject,
        now=now,
        expires_at=expires_at,
    )
    await context.store.api_keys.add(created.key)
    return created


@translates_store_errors
async def verify_api_key(store: Store, token: str, now: datetime) -> Principal:
    """Who shows this token. Raises Unauthenticated; it says "revoked" or "expired" only to who has the whole key."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise Unauthenticated("this is not an API key of Modelwire, which looks like mw_<id>_<secret>")
    key = await store.api_keys.find(match[1])
    expected = "" if key is None else key.secret_hash
    if not hmac.compare_digest(_hash(match[2]), expected) or key is None:
        raise Unauthenticated("the API key is not valid")
    principal = key_principal(key, now)
    store.api_keys.note_use(key.id, now)
    return principal


def why_useless(key: ApiKey | None, now: datetime) -> str | None:
    """Why this key is good no longer, for people; None when it is. None stands for one that there is not."""
    if key is None:
        return "the API key is not there any more"
    if key.revoked_at is not None:
        return "the API key was revoked"
    return "the API key has expired" if key.expires_at is not None and now >= key.expires_at else None


def known_scopes(key: ApiKey) -> frozenset[Scope]:
    """What a key permits; a newer version may have stored scopes that this one does not know."""
    return _known(key.scopes)


@lru_cache(maxsize=256)
def _known(names: frozenset[str]) -> frozenset[Scope]:
    """One set for all connections: each would hold its own for as long as it lives. There are few of them."""
    return frozenset(scope for scope in Scope if scope.value in names)


def key_principal(key: ApiKey, now: datetime) -> Principal:
    """Who somebody is by a key that they have shown, now or before. Raises Unauthenticated unless it is good now."""
    why = why_useless(key, now)
    if why is not None:
        raise Unauthenticated(why)
    return Principal(
        subject=API_KEY + key.id,
        name=key.name,
        scopes=known_scopes(key),
        aliases=key.aliases,
        credential=API_KEY + key.id,
        expires_at=key.expires_at,
    )


async def ensure_admin_key(store: Store, given: str | None) -> str | None:
    """See to it that there is an administrator key; called at every start, before requests are taken.

    `given` (the setting MODELWIRE_ADMIN_KEY) becomes one unless it is there already, revoked or not; without it the
    first start makes one. Returns the whole new key to print once, None when there is nothing new to say. Raises
    InvalidInput for a malformed key, or one whose id belongs to a key with another secret.
    """
    if given is None:
        if await store.api_keys.any():
            return None
        created = _admin_key(token=None)
        # Another server that starts at the same moment may have been first.
        return created.secret if await store.api_keys.add(created.key, only_first=True) else None
    match = _TOKEN.fullmatch(given)
    if match is None:
        raise InvalidInput(
            "the administrator key must have the form mw_<id>_<secret>: an id of 10 lower-case letters and digits, "
            "and a secret of 64 lower-case hexadecimal digits"
        )
    existing = await store.api_keys.find(match[1])
    if existing is None:
        try:
            await store.api_keys.add(_admin_key(token=match).key)
        except StoreError:
            # The same.
            existing = await store.api_keys.find(match[1])
            if existing is None:
                raise
    if existing is not None and not hmac.compare_digest(existing.secret_hash, _hash(match[2])):
        raise InvalidInput(f"there is another API key with the id {match[1]}: choose another id for the given one")
    return None


@translates_store_errors
async def recover_admin_key(store: Store) -> CreatedApiKey:
    """Make one more administrator key, for who is on the server's machine and has lost all others."""
    created = _admin_key(token=None, name="administrator (recovered)")
    await store.api_keys.add(created.key, action=AuditAction.API_KEY_RECOVER)
    return created


def _admin_key(*, token: re.Match[str] | None, name: str = "administrator") -> CreatedApiKey:
    return _new_key(
        name=name,
        scopes=ALL_SCOPES,
        aliases=AliasPatterns(),
        created_by="system",
        now=datetime.now(UTC),
        token=token,
    )


def _new_key(
    *,
    name: str,
    scopes: frozenset[Scope],
    aliases: AliasPatterns,
    created_by: str,
    now: datetime,
    expires_at: datetime | None = None,
    token: re.Match[str] | None = None,
) -> CreatedApiKey:
    if token is None:
        key_id = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(10))
        secret = secrets.token_hex(32)
    else:
        key_id, secret = token[1], token[2]
    key = ApiKey(
        id=key_id,
        name=name,
        scopes=frozenset(scope.value for scope in scopes),
        aliases=aliases,
        created_at=now,
        created_by=created_by,
        expires_at=expires_at,
        secret_hash=_hash(secret),
    )
    return CreatedApiKey(key=key, secret=f"mw_{key_id}_{secret}")


def _hash(secret: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()


def _validated_scopes(scopes: tuple[str, ...]) -> frozenset[Scope]:
    path = ("input", "scopes")
    known = ", ".join(scope.value for scope in Scope)
    if not scopes:
        raise InvalidInput(f"scopes must name at least one of: {known}", path)
    unknown = next((scope for scope in scopes if scope not in ALL_SCOPES), None)
    if unknown is not None:
        raise InvalidInput(f"scopes holds {unknown[:100]!r}, which does not exist; there are: {known}", path)
    return frozenset(Scope(scope) for scope in scopes)


def _validate_aliases(aliases: tuple[str, ...] | None) -> None:
    path = ("input", "aliases")
    if aliases is None:
        return
    if not 1 <= len(aliases) <= MAX_ALIAS_PATTERNS:
        raise InvalidInput(f"aliases must have 1 to {MAX_ALIAS_PATTERNS} entries; leave it out for all aliases", path)
    for alias in aliases:
        validate_name("each of aliases", alias, path)


def _validated_expiry(expires_at: datetime, now: datetime) -> datetime:
    """In UTC."""
    path = ("input", "expiresAt")
    if expires_at.tzinfo is None:
        raise InvalidInput("expiresAt needs a time zone, such as 2030-01-01T00:00:00Z", path)
    if expires_at <= now:
        raise InvalidInput("expiresAt must be in the future", path)
    if expires_at >= _TOO_LATE:
        raise InvalidInput(f"expiresAt must be before the year {_TOO_LATE.year}; leave it out for never", path)
    return expires_at.astimezone(UTC)


def opens_no_more(principal: Principal, aliases: tuple[str, ...] | None) -> bool:
    """Whether whoever is bound to these aliases (None: to none) may see nothing that the principal may not."""
    # A pattern that matches another one's text matches all that the other one does: * stands for any text.
    return principal.aliases.patterns is None or (
        aliases is not None and all(principal.aliases.allows(pattern) for pattern in aliases)
    )


def _require_own_rights(principal: Principal, scopes: frozenset[Scope], aliases: tuple[str, ...] | None) -> None:
    foreign = sorted(scope.value for scope in scopes - principal.scopes)
    if foreign:
        raise Forbidden(f"{principal.name!r} cannot grant what it does not have: {', '.join(foreign)}")
    if not opens_no_more(principal, aliases):
        raise Forbidden(f"{principal.name!r} is bound to aliases and cannot make a key that opens others")
