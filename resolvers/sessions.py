"""Sessions: an API key is shown once, and short-lived tokens stand for it from then on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ..store import ApiKey, EndReason, Session, Store
from .access import API_KEY, SESSION, Context, Principal
from .api_keys import key_principal, verify_api_key
from .errors import InvalidInput, LimitExceeded, Unauthenticated, translates_store_errors
from .session_rules import RefreshCookie
from .tokens import TokenUse, issue_token, read_token

MAX_SESSIONS_PER_KEY = 1000

_NO_SESSION = "there is no such session: sign in again"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session with its tokens of now. `principal` is who the access token is good for, and until when.

    `refresh_token` None: it is in the cookie.
    """

    principal: Principal
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    session_expires_at: datetime


@translates_store_errors
async def sign_in(context: Context, *, api_key: str, cookie: bool) -> SignedIn:
    """Begin a session with an API key. Raises Unauthenticated, LimitExceeded, and InvalidInput without a place for the
    cookie that is asked for.
    """
    context.sessions.attempts.take(context.source)
    if cookie:
        _writable_cookie(context)
    rules, now = context.sessions, context.sessions.now()
    principal = await verify_api_key(context.store, api_key, now)
    session = Session(
        id=secrets.token_hex(10),
        api_key_id=principal.subject.removeprefix(API_KEY),
        generation=1,
        created_at=now,
        refreshed_at=now,
        expires_at=_earliest(now + timedelta(seconds=rules.session_seconds), principal.expires_at),
    )
    if not await context.store.sessions.create(session, source=context.source, limit=MAX_SESSIONS_PER_KEY):
        raise LimitExceeded(
            f"this API key has {MAX_SESSIONS_PER_KEY} sessions: end them with signOut(input: {{everywhere: true}})"
        )
    return _signed_in(context, session, principal, now, cookie=cookie)


@translates_store_errors
async def refresh_session(context: Context, *, refresh_token: str | None) -> SignedIn:
    """New tokens for those of a session; the refresh token is good no longer. None: the one in the cookie.

    Raises Unauthenticated, and InvalidInput without a place for the next cookie.
    """
    in_cookie = refresh_token is None
    if in_cookie and context.cookie is not None:
        refresh_token = context.cookie.token
    if refresh_token is None:
        raise Unauthenticated("there is no refresh token: sign in, or give refreshToken")
    if in_cookie:
        _writable_cookie(context)
    try:
        return await _refreshed(context, refresh_token, cookie=in_cookie)
    except Unauthenticated:
        if in_cookie and context.cookie is not None:
            context.cookie.forget()
        raise


async def _refreshed(context: Context, refresh_token: str, *, cookie: bool) -> SignedIn:
    store, now = context.store, context.sessions.now()
    claims = read_token(store, TokenUse.REFRESH, refresh_token, now)
    session = await store.sessions.rotate(
        claims.session_id, generation=claims.generation, now=now, source=context.source
    )
    if session is None:
        raise Unauthenticated(_NO_SESSION)
    principal = _principal(session, await store.api_keys.find(session.api_key_id), now)
    return _signed_in(context, session, principal, now, cookie=cookie)


@translates_store_errors
async def sign_out(context: Context, *, everywhere: bool) -> int:
    """End the caller's session, or all that were begun with the same API key; how many.

    Raises InvalidInput when the caller is in none, or has no API key.
    """
    principal, now = context.principal, context.sessions.now()
    kind, _, api_key_id = principal.subject.partition(":")
    if everywhere and kind == "api_key":
        by, source = principal.subject, context.source
        ended = await context.store.sessions.end_all(api_key_id, by=by, now=now, source=source)
    elif not everywhere and principal.credential.startswith(SESSION):
        session_id = principal.credential.removeprefix(SESSION)
        ended = int(await context.store.sessions.end(session_id, by=principal.subject, now=now, source=context.source))
    else:
        raise InvalidInput("you are in no session: send the access token that signIn gave", ("input",))
    if context.cookie is not None and context.cookie.token is not None and context.cookie.writable:
        context.cookie.forget()
    return ended


@translates_store_errors
async def verify_access_token(store: Store, token: str, now: datetime) -> Principal:
    """Who shows an access token of a session. Raises Unauthenticated."""
    claims = read_token(store, TokenUse.ACCESS, token, now)
    session = await store.sessions.find(claims.session_id)
    if session is None:
        raise Unauthenticated(_NO_SESSION)
    principal = _principal(session, await store.api_keys.find(session.api_key_id), now)
    store.api_keys.note_use(session.api_key_id, now)
    return replace(principal, expires_at=_earliest(claims.expires_at, principal.expires_at))


def why_ended(session: Session | None, now: datetime) -> str | None:
    """Why this session is good no longer, for people; None when it is. None stands for one that there is not."""
    if session is None:
        return _NO_SESSION
    if session.end_reason == EndReason.REUSE:
        return "the session was ended, because a refresh token of it was used twice: sign in again"
    if session.ended_at is not None:
        return "the session was ended: sign in again"
    return "the session has expired: sign in again" if now >= session.expires_at else None


def _principal(session: Session, key: ApiKey | None, now: datetime) -> Principal:
    """Who is in a session: its API key, with the rights that this has now. Raises Unauthenticated."""
    why = why_ended(session, now)
    if why is not None:
        raise Unauthenticated(why)
    if key is None:
        raise Unauthenticated("the API key is not there any more")
    return replace(key_principal(key, now), credential=SESSION + session.id)


def _signed_in(context: Context, session: Session, principal: Principal, now: datetime, *, cookie: bool) -> SignedIn:
    access_ends = now + timedelta(seconds=context.sessions.access_token_seconds)
    expires_at = min(access_ends, _earliest(session.expires_at, principal.expires_at))
    refresh_token = issue_token(context.store, TokenUse.REFRESH, session, session.expires_at)
    if cookie:
        _writable_cookie(context).keep(refresh_token, session.expires_at)
    return SignedIn(
        principal=replace(principal, credential=SESSION + session.id, expires_at=expires_at),
        access_token=issue_token(context.store, TokenUse.ACCESS, session, expires_at),
        refresh_token=None if cookie else refresh_token,
        session_expires_at=session.expires_at,
    )


def _writable_cookie(context: Context) -> RefreshCookie:
    if context.cookie is None or not context.cookie.writable:
        raise InvalidInput(
            "a cookie is for web pages: send this by HTTP POST, with the header Origin, and take no stream",
            ("input", "cookie"),
        )
    return context.cookie


def _earliest(at: datetime, other: datetime | None) -> datetime:
    return at if other is None else min(at, other)
