"""API keys, listed and revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ..store import ApiKey
from .access import Context, Principal, Scope
from .api_keys import known_scopes, opens_no_more
from .cursors import decode_cursor, encode_cursor, not_a_cursor
from .errors import Forbidden, LastAdminKey, NotFound, translates_store_errors
from .model_configs import page_size
from .validation import can_be_stored

_LIST = "apiKeys"
_BATCH = 200
_Place = tuple[datetime, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyPage:
    """Keys, the newest first, and whether older ones follow."""

    keys: tuple[ApiKey, ...]
    has_next: bool


@translates_store_errors
async def page(context: Context, *, first: int | None = None, after: str | None = None) -> ApiKeyPage:
    """Up to `first` (1 to 100, 50 when None) keys, revoked and expired ones too, behind the cursor `after`.

    Who is bound to aliases sees the keys that are bound to some of these: those that they could make.
    Raises Forbidden, BadUserInput.
    """
    principal = context.principal
    principal.require(Scope.API_KEY_ADMIN)
    size = page_size(first)
    before = None if after is None else _place_of_cursor(after)
    found: list[ApiKey] = []
    while len(found) <= size:
        batch = await context.store.api_keys.page(first=_BATCH, before=before)
        found += [key for key in batch if _sees(principal, key)]
        if len(batch) < _BATCH:
            break
        before = batch[-1].created_at, batch[-1].id
    return ApiKeyPage(keys=tuple(found[:size]), has_next=len(found) > size)


@translates_store_errors
async def revoke(context: Context, *, id: str, force: bool = False) -> ApiKey:  # noqa: A002 - the API's name
    """Make a key useless for ever, and have all that is open with it closed on every server; the key as it is then.

    One that was revoked before stays as it is. Raises NotFound also for a key that is not seen, Forbidden for one
    that may do what the caller may not, and LastAdminKey without `force`.
    """
    principal, now = context.principal, datetime.now(UTC)
    principal.require(Scope.API_KEY_ADMIN)

    def check(key: ApiKey, others: Sequence[ApiKey]) -> None:
        if not _sees(principal, key):
            raise _not_found()
        foreign = sorted(scope.value for scope in known_scopes(key) - principal.scopes)
        if foreign:
            raise Forbidden(f"{principal.name!r} cannot revoke a key that may do what it may not: {', '.join(foreign)}")
        if not force and _administers(key) and not any(_administers(other) for other in others):
            raise LastAdminKey(
                "this is the last key with api_key:admin that is bound to no aliases: without it nobody can make "
                "keys, until `modelwire api-key recover` is run on the server's machine. Make another one first, or "
                "set force",
                ("input", "id"),
            )

    if not can_be_stored(id):
        raise _not_found()
    revoked = await context.store.api_keys.revoke(id, by=principal.subject, at=now, check=check)
    if revoked is None or not _sees(principal, revoked):
        raise _not_found()
    return revoked


def cursor_of(key: ApiKey) -> str:
    """The cursor that stands for the place behind this key. Opaque to clients."""
    return encode_cursor(_LIST, (key.created_at.isoformat(), key.id))


def _place_of_cursor(cursor: str) -> _Place:
    at, key_id = decode_cursor(_LIST, cursor, (str, str))
    try:
        moment = datetime.fromisoformat(str(at))
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment.astimezone(UTC), str(key_id)
    except (ValueError, OverflowError):
        raise not_a_cursor() from None


def _sees(principal: Principal, key: ApiKey) -> bool:
    return opens_no_more(principal, key.aliases.patterns)


def _administers(key: ApiKey) -> bool:
    return Scope.API_KEY_ADMIN.value in key.scopes and key.aliases.patterns is None


def _not_found() -> NotFound:
    return NotFound("there is no API key with this id", ("input", "id"))
