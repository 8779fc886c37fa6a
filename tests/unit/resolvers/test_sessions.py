"""Sessions by a given clock: what opens what, for how long, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import ANONYMOUS, Context, Principal, Scope
from modelwire.resolvers.api_keys import ApiKeyInput, CreatedApiKey, create_api_key
from modelwire.resolvers.attempts import Attempts
from modelwire.resolvers.errors import InvalidInput, LimitExceeded, Unauthenticated
from modelwire.resolvers.session_rules import SessionRules
from modelwire.resolvers.sessions import SignedIn, refresh_session, sign_in, sign_out, verify_access_token
from modelwire.store import Store

START = datetime(2030, 1, 1, tzinfo=UTC)
WRONG_KEY = "mw_aaaaaaaaaa_" + "0" * 64


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class Cookie:
    """A browser that keeps one token."""

    token: str | None = None
    writable: bool = True
    expires_at: datetime | None = None

    def keep(self, token: str, expires_at: datetime) -> None:
        self.token, self.expires_at = token, expires_at

    def forget(self) -> None:
        self.token = self.expires_at = None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admin(context: Context) -> Context:
    return context


@pytest.fixture
def visitor(context: Context, clock: Clock) -> Callable[..., Context]:
    """Makes the context of somebody who shows no credential."""

    def make(cookie: Cookie | None = None, **rules: Any) -> Context:
        made = SessionRules(**{"access_token_seconds": 900.0, "session_seconds": 86_400.0, "now": clock} | rules)
        return Context(ANONYMOUS, context.store, context.feed, sessions=made, source="192.0.2.1", cookie=cookie)

    return make


@pytest.fixture
async def key(admin: Context) -> CreatedApiKey:
    given = ApiKeyInput(name="orders", scopes=("model_config:read", "component:read"), aliases=("team-*",))
    return await create_api_key(admin, given)


async def enter(context: Context, key: CreatedApiKey, *, cookie: bool = False) -> SignedIn:
    return await sign_in(context, api_key=key.secret, cookie=cookie)


async def refresh(context: Context, token: str | None = None) -> SignedIn:
    return await refresh_session(context, refresh_token=token)


async def who(store: Store, signed_in: SignedIn, at: datetime) -> Principal:
    return await verify_access_token(store, signed_in.access_token, at)


def inside(context: Context, principal: Principal) -> Context:
    return Context(principal, context.store, context.feed, sessions=context.sessions, cookie=context.cookie)


async def change_key(store: Store, key: CreatedApiKey, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """Have the key look like this from now on, as after a write by another server."""
    changed = replace(key.key, **fields)

    async def find(_id: str) -> Any:
        return changed

    monkeypatch.setattr(store.api_keys, "find", find)


async def test_a_session_has_what_its_key_has(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor()
    signed_in = await enter(context, key)
    assert signed_in.session_expires_at == START + timedelta(days=1)
    principal = await who(context.store, signed_in, clock())
    assert principal == signed_in.principal
    assert principal.subject == f"api_key:{key.key.id}"
    assert principal.credential.startswith("session:")
    assert (principal.name, principal.aliases) == ("orders", key.key.aliases)
    assert principal.scopes == {Scope.MODEL_CONFIG_READ, Scope.COMPONENT_READ}
    assert principal.expires_at == START + timedelta(seconds=900)
    assert await enter(context, key) != signed_in
    assert key.secret not in repr(signed_in)
    assert signed_in.access_token not in repr(signed_in)
    assert signed_in.refresh_token not in repr(signed_in)


async def test_whoever_uses_a_session_uses_its_key(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor()
    keys = context.store.api_keys
    signed_in = await enter(context, key)
    await keys.write_uses()
    clock.pass_(minutes=5)
    await who(context.store, signed_in, clock())
    await keys.write_uses()
    found = await keys.find(key.key.id)
    assert found is not None
    assert found.last_used_at == START + timedelta(minutes=5)


async def test_rights_are_those_of_the_key_now(
    visitor: Any, key: CreatedApiKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = visitor()
    signed_in = await enter(context, key)
    await change_key(context.store, key, monkeypatch, scopes=frozenset({"audit:read", "of a newer version"}))
    assert (await who(context.store, signed_in, clock())).scopes == {Scope.AUDIT_READ}
    assert (await refresh(context, signed_in.refresh_token)).principal.scopes == {Scope.AUDIT_READ}


async def test_an_access_token_is_good_until_it_expires(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor(access_token_seconds=0.5)
    signed_in = await enter(context, key)
    await who(context.store, signed_in, START + timedelta(seconds=0.499))
    with pytest.raises(Unauthenticated, match="the token has expired"):
        await who(context.store, signed_in, START + timedelta(seconds=0.5))


async def test_refreshing_goes_on_until_the_session_ends(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor(session_seconds=2000)
    first = await enter(context, key)
    clock.pass_(seconds=800)
    second = await refresh(context, first.refresh_token)
    assert second.principal.expires_at == START + timedelta(seconds=1700)
    assert second.principal.credential == first.principal.credential
    clock.pass_(seconds=800)
    third = await refresh(context, second.refresh_token)
    # The session's end does not move, and no token outlives it.
    assert third.session_expires_at == first.session_expires_at == START + timedelta(seconds=2000)
    assert third.principal.expires_at == START + timedelta(seconds=2000)
    await who(context.store, third, START + timedelta(seconds=1999))
    clock.pass_(seconds=400)
    with pytest.raises(Unauthenticated, match="expired"):
        await refresh(context, third.refresh_token)
    with pytest.raises(Unauthenticated, match="expired"):
        await who(context.store, third, clock())


async def test_no_token_outlives_its_key(
    visitor: Any, admin: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = START + timedelta(seconds=600)
    given = ApiKeyInput(name="short", scopes=("model_config:read",), expires_at=ends)
    key = await create_api_key(admin, given)
    context = visitor()
    signed_in = await enter(context, key)
    assert signed_in.session_expires_at == signed_in.principal.expires_at == ends
    # A key whose end came nearer since.
    nearer = START + timedelta(seconds=300)
    await change_key(context.store, key, monkeypatch, expires_at=nearer)
    assert (await who(context.store, signed_in, clock())).expires_at == nearer
    assert (await refresh(context, signed_in.refresh_token)).principal.expires_at == nearer
    with pytest.raises(Unauthenticated, match="the API key has expired"):
        await who(context.store, signed_in, nearer)


async def test_a_revoked_key_ends_its_sessions(
    visitor: Any, key: CreatedApiKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = visitor()
    signed_in = await enter(context, key)
    await change_key(context.store, key, monkeypatch, revoked_at=clock())
    for attempt in (
        who(context.store, signed_in, clock()),
        refresh(context, signed_in.refresh_token),
        enter(context, key),
    ):
        with pytest.raises(Unauthenticated, match="the API key was revoked"):
            await attempt


async def test_a_refresh_token_that_is_used_twice_ends_the_session(
    visitor: Any, key: CreatedApiKey, clock: Clock
) -> None:
    context = visitor()
    first = await enter(context, key)
    clock.pass_(seconds=60)
    second = await refresh(context, first.refresh_token)
    clock.pass_(seconds=11)
    for signed_in in (first, second):
        with pytest.raises(Unauthenticated, match="used twice: sign in again"):
            await refresh(context, signed_in.refresh_token)
        with pytest.raises(Unauthenticated, match="used twice: sign in again"):
            await who(context.store, signed_in, clock())
    assert [entry.action for entry in await context.store.audit_log.page(first=1)] == ["session.reuse"]


async def test_a_lost_answer_is_given_again(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor()
    first = await enter(context, key)
    clock.pass_(seconds=60)
    second = await refresh(context, first.refresh_token)
    clock.pass_(seconds=10)
    again = await refresh(context, first.refresh_token)
    assert again.refresh_token == second.refresh_token
    assert (await refresh(context, second.refresh_token)).refresh_token != second.refresh_token


async def test_signing_out_is_for_who_is_in_a_session(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor()
    first, second, third = [await enter(context, key) for _ in range(3)]
    by_key = replace(first.principal, credential=first.principal.subject)
    external = Principal(subject="oidc:api_key:x", name="x", scopes=frozenset())
    for principal, everywhere in ((by_key, False), (external, False), (external, True), (ANONYMOUS, True)):
        with pytest.raises(InvalidInput, match="you are in no session"):
            await sign_out(inside(context, principal), everywhere=everywhere)
    assert await sign_out(inside(context, first.principal), everywhere=False) == 1
    with pytest.raises(Unauthenticated, match="the session was ended"):
        await who(context.store, first, clock())
    with pytest.raises(Unauthenticated, match="the session was ended"):
        await refresh(context, first.refresh_token)
    await who(context.store, second, clock())
    assert await sign_out(inside(context, by_key), everywhere=True) == 2
    for signed_in in (second, third):
        with pytest.raises(Unauthenticated, match="the session was ended"):
            await who(context.store, signed_in, clock())


async def test_a_wrong_key_begins_nothing(visitor: Any, key: CreatedApiKey) -> None:
    context = visitor()
    for wrong in (WRONG_KEY, "", "mw_", key.secret[:-1] + ("0" if key.secret[-1] != "0" else "1")):
        with pytest.raises(Unauthenticated):
            await sign_in(context, api_key=wrong, cookie=False)
    assert [entry.action for entry in await context.store.audit_log.page(first=100)] == ["api_key.create"]


async def test_attempts_are_counted_by_their_address(visitor: Any, key: CreatedApiKey) -> None:
    context = visitor(attempts=Attempts(2))
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await sign_in(context, api_key=WRONG_KEY, cookie=False)
    with pytest.raises(LimitExceeded, match="too many attempts"):
        await enter(context, key)
    elsewhere = inside(context, ANONYMOUS)
    elsewhere.source = "192.0.2.2"
    await enter(elsewhere, key)


async def test_a_key_has_so_many_sessions(
    visitor: Any, key: CreatedApiKey, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwire.resolvers.sessions.MAX_SESSIONS_PER_KEY", 1)
    context = visitor()
    signed_in = await enter(context, key)
    with pytest.raises(LimitExceeded, match="everywhere: true"):
        await enter(context, key)
    await who(context.store, signed_in, clock())


class TestCookie:
    async def test_a_browser_keeps_the_token_where_no_script_reads_it(
        self, visitor: Any, key: CreatedApiKey, clock: Clock
    ) -> None:
        cookie = Cookie()
        context = visitor(cookie)
        signed_in = await enter(context, key, cookie=True)
        assert signed_in.refresh_token is None
        first = cookie.token
        assert first is not None
        assert cookie.expires_at == signed_in.session_expires_at
        clock.pass_(seconds=60)
        refreshed = await refresh(context)
        assert refreshed.refresh_token is None
        assert cookie.token not in {None, first}
        assert await sign_out(inside(context, refreshed.principal), everywhere=False) == 1
        assert cookie.token is None

    async def test_a_token_that_is_given_does_not_go_into_a_cookie(self, visitor: Any, key: CreatedApiKey) -> None:
        cookie = Cookie()
        context = visitor(cookie)
        signed_in = await enter(context, key)
        refreshed = await refresh(context, signed_in.refresh_token)
        assert refreshed.refresh_token is not None
        assert cookie.token is None

    async def test_a_cookie_that_is_good_no_longer_is_taken_back(self, visitor: Any, key: CreatedApiKey) -> None:
        cookie = Cookie("nonsense")
        with pytest.raises(Unauthenticated):
            await refresh(visitor(cookie))
        assert cookie.token is None

    @pytest.mark.parametrize("cookie", [None, Cookie(writable=False)], ids=["no page", "a stream"])
    async def test_without_a_place_for_it_nothing_is_begun(
        self, visitor: Any, key: CreatedApiKey, cookie: Cookie | None
    ) -> None:
        with pytest.raises(InvalidInput, match="a cookie is for web pages"):
            await enter(visitor(cookie), key, cookie=True)
        assert [entry.action for entry in await visitor().store.audit_log.page(first=100)] == ["api_key.create"]

    async def test_a_stream_does_not_use_up_the_token_of_the_cookie(
        self, visitor: Any, key: CreatedApiKey, clock: Clock
    ) -> None:
        cookie = Cookie()
        context = visitor(cookie)
        await enter(context, key, cookie=True)
        kept, cookie.writable = cookie.token, False
        with pytest.raises(InvalidInput):
            await refresh(context)
        cookie.writable = True
        assert cookie.token == kept
        # Not by grace.
        clock.pass_(seconds=60)
        await refresh(context)

    async def test_without_any_token_there_is_none_to_refresh(self, visitor: Any) -> None:
        for cookie in (None, Cookie()):
            with pytest.raises(Unauthenticated, match="there is no refresh token"):
                await refresh(visitor(cookie))


async def test_a_session_that_was_forgotten_opens_nothing(visitor: Any, key: CreatedApiKey, clock: Clock) -> None:
    context = visitor()
    signed_in = await enter(context, key)
    await context.store.sessions.forget(before=signed_in.session_expires_at + timedelta(seconds=1))
    for attempt in (who(context.store, signed_in, clock()), refresh(context, signed_in.refresh_token)):
        with pytest.raises(Unauthenticated, match="there is no such session"):
            await attempt
