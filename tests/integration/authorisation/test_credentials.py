"""Every field with no credential, and with each kind of one that is not good: refused before anything is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest
import pytest_asyncio
from authorisation import NOTHING, PROBES, TABLE
from authorisation_world import Answer, World, other_world_tokens
from session_documents import REFRESH, SIGN_OUT, closed, websocket
from stand_ins.oidc_issuer import rsa_key

from modelwire.resolvers.access import ALL_SCOPES
from modelwire.resolvers.tokens import TokenUse, issue_token
from modelwire.store import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY = frozenset(scope.value for scope in ALL_SCOPES)

Credentials = dict[str, tuple[str | None, str]]
"""What goes into the header Authorization, and how the refusal begins, by what it is."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def credentials(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Credentials]:
    found = await keys(world) | await sessions(world) | external(world)
    foreign_key, foreign_token = await other_world_tokens(world, tmp_path_factory.mktemp("foreign"))
    found["a key of another store"] = foreign_key, "the API key is not valid"
    found["a session of another store"] = foreign_token, "the token is of another store"
    bearers: Credentials = {what: (f"Bearer {token}", why) for what, (token, why) in found.items()}
    bearers["none"] = None, "an API key is needed"
    bearers["another scheme"] = f"Basic {world.server.admin_key}", "the Authorization header has another form"
    bearers["nothing behind the scheme"] = "Bearer", "the Authorization header has another form"
    yield bearers


async def keys(world: World) -> dict[str, tuple[str, str]]:
    store, now = world.server.services.store, datetime.now(UTC)
    good, expired, revoked = await world.key(EVERY), await world.key(EVERY, expires_at=now), await world.key(EVERY)
    await store.api_keys.revoke(revoked.id, by="tests", at=now, check=lambda *_: None)
    return {
        "an expired key": (expired.secret, "the API key has expired"),
        "a revoked key": (revoked.secret, "the API key was revoked"),
        "a key with another secret": (f"mw_{good.id}_{'0' * 64}", "the API key is not valid"),
        "a key with another id": (f"mw_0000000000_{good.secret[-64:]}", "the API key is not valid"),
        "half a key": (good.secret[:-1], "this is not an API key"),
        "more than a key": (f"{good.secret}0", "this is not an API key"),
        "no key": ("*", "this is not an API key"),
    }


async def sessions(world: World) -> dict[str, tuple[str, str]]:
    store, now = world.server.services.store, datetime.now(UTC)
    key, revoked = await world.key(EVERY), await world.key(EVERY)
    ended = (await world.sign_in(key.secret))["accessToken"]
    assert (await world.over_http(SIGN_OUT, f"Bearer {ended}", {"input": {}})).data["signOut"]["endedSessions"] == 1
    of_revoked = (await world.sign_in(revoked.secret))["accessToken"]
    await store.api_keys.revoke(revoked.id, by="tests", at=now, check=lambda *_: None)
    signed_in = await world.sign_in(key.secret)
    reused = await world.sign_in(key.secret)
    token = reused["refreshToken"]
    for _ in range(2):
        answer = await world.over_http(REFRESH, None, {"input": {"refreshToken": token}})
        token = answer.data["refreshSession"]["refreshToken"]
    again = await world.over_http(REFRESH, None, {"input": {"refreshToken": reused["refreshToken"]}})
    assert again.codes == ["UNAUTHENTICATED"]
    old = Session(
        id="0" * 20,
        api_key_id=key.id,
        generation=1,
        created_at=now - timedelta(days=1),
        refreshed_at=now - timedelta(days=1),
        # Not longer ago: sessions that are long over are forgotten by the server.
        expires_at=now - timedelta(seconds=1),
    )
    await store.sessions.create(old, source=None, limit=1000)
    minute = timedelta(minutes=1)
    return {
        "a session that was ended": (ended, "the session was ended"),
        "a session of a revoked key": (of_revoked, "the API key was revoked"),
        "a session whose refresh token was used twice": (reused["accessToken"], "the session was ended, because"),
        "a session that is over": (issue_token(store, TokenUse.ACCESS, old, now + minute), "the session has expired"),
        "an expired access token": (issue_token(store, TokenUse.ACCESS, old, now - minute), "the token has expired"),
        "a refresh token": (signed_in["refreshToken"], "the token is not valid"),
        "half an access token": (signed_in["accessToken"][:-3], "the token is not valid"),
    }


def external(world: World) -> dict[str, tuple[str, str]]:
    token, now = world.issuer.token, int(datetime.now(UTC).timestamp())
    claims = jwt.decode(token(), options={"verify_signature": False})
    forged = jwt.encode(claims, rsa_key(1), "RS256", headers={"kid": "first"})
    return {
        "an expired token of the issuer": (token(exp=now - 100), "the token has expired"),
        "one that is not valid yet": (token(nbf=now + 100), "the token is not valid yet"),
        "one for another audience": (token(aud="another"), "the token is for another audience"),
        "one of another issuer": (token(iss="https://evil.example"), "the token is none of a session here"),
        "one that somebody else signed": (forged, "the token is not valid"),
        "one that nobody signed": (jwt.encode(claims, None, "none"), "the token is signed with an algorithm"),
    }


async def test_nothing_is_answered(world: World, credentials: Credentials) -> None:
    variables = [{} if probe.given is None else {"input": await probe.given(world)} for probe in PROBES]
    await world.denied()
    before = world.everything()
    for what, (authorization, why) in credentials.items():
        messages, count = set(), 0
        for probe, given in zip(PROBES, variables, strict=True):
            if authorization is None and NOTHING in TABLE[probe.row].needs:
                continue
            over = world.over_sse if probe.is_subscription else world.over_http
            # It takes more than to name what is open to all.
            answer = await over(f"{probe.document} # signIn", authorization, given)
            assert (answer.status, answer.data, answer.codes) == (401, None, ["UNAUTHENTICATED"]), (what, probe, answer)
            messages.add(answer.errors[0]["message"])
            count += 1
        (message,) = messages
        assert message.startswith(why), what
        assert await world.denied() == {("anonymous", message): count}, what
    assert world.everything() == before


async def test_no_websocket_is_open_to_it(world: World, credentials: Credentials) -> None:
    await world.denied()
    for what, (authorization, why) in credentials.items():
        # The scheme is part of what is sent, so the other ones are tried by HTTP alone.
        if authorization is not None and not authorization.startswith("Bearer "):
            continue
        token = None if authorization is None else authorization.removeprefix("Bearer ")
        async with websocket(world.server.url, token) as socket:
            code, reason = await closed(socket)
        assert (code, reason.startswith(why)) == (4401, True), (what, reason)
        ((actor, message),) = await world.denied()
        assert (actor, message.startswith(why)) == ("anonymous", True), what


async def test_signing_in_is_open_to_who_shows_nothing(world: World) -> None:
    open_ = [probe for probe in PROBES if NOTHING in TABLE[probe.row].needs]
    assert len(open_) == 2
    for probe in open_:
        assert probe.given is not None
        for over in (world.over_http, world.over_sse):
            answer: Answer = await over(probe.document, None, {"input": await probe.given(world)})
            (value,) = answer.data.values()
            assert value["__typename"] in probe.good
