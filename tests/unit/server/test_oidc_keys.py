"""The keys of an issuer: known ones cost nothing, unknown ones one question at a time, and an issuer may be away."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from stand_ins.oidc_issuer import HUGE, Issuer, rsa_key, running_issuer

from modelwire.resolvers.errors import Unauthenticated, Unavailable
from modelwire.resolvers.outbound import Outbound, OutboundPolicy
from modelwire.server.oidc_keys import MAX_AGE_SECONDS, MIN_INTERVAL_SECONDS, POLICY, REFRESH_SECONDS, IssuerKeys

BOTH = ["/.well-known/openid-configuration", "/jwks"]


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer() as issuer:
        yield issuer


@pytest.fixture
async def keys(issuer: Issuer, clock: Clock) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(issuer.url, now=clock)
    yield keys
    await keys.close()


async def settled(keys: IssuerKeys) -> None:
    """Wait for the question that is under way, if there is one."""
    if keys._fetching is not None:
        await asyncio.wait([keys._fetching])


async def test_keys_are_asked_for_once_and_kept(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    found = await asyncio.gather(*(keys.find("first", "RS256") for _ in range(20)))
    assert len({id(key) for key in found}) == 1
    assert issuer.requests == BOTH
    clock.seconds += REFRESH_SECONDS
    await keys.find("first", "RS256")
    assert issuer.requests == BOTH


async def test_a_new_key_is_found_when_it_is_first_seen(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    await keys.find("first", "RS256")
    issuer.rotate("second", rsa_key(1))
    clock.seconds += MIN_INTERVAL_SECONDS
    assert (await keys.find("second", "RS256")).key_id == "second"
    # The one before it is withdrawn.
    with pytest.raises(Unauthenticated, match="a key that its issuer does not publish"):
        await keys.find("first", "RS256")


async def test_made_up_keys_do_not_have_the_issuer_asked_each_time(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    for number in range(20):
        with pytest.raises(Unauthenticated, match="does not publish"):
            await keys.find(f"made up {number}", "RS256")
    assert issuer.requests == BOTH
    clock.seconds += MIN_INTERVAL_SECONDS
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await keys.find(f"made up {number}", "RS256")
    assert issuer.requests == BOTH * 2


async def test_a_withdrawn_key_is_good_until_the_next_look(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    await keys.find("first", "RS256")
    issuer.rotate("second", rsa_key(1))
    clock.seconds += REFRESH_SECONDS + 1
    # Nobody waits for that look.
    await keys.find("first", "RS256")
    await settled(keys)
    with pytest.raises(Unauthenticated):
        await keys.find("first", "RS256")
    assert issuer.requests == BOTH * 2


async def test_known_keys_serve_while_the_issuer_is_away(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    await keys.find("first", "RS256")
    began = clock.seconds
    issuer.answers["/jwks"] = 503
    for _ in range(3):
        clock.seconds += REFRESH_SECONDS
        await keys.find("first", "RS256")
        await settled(keys)
        # Whose key is not known is not told that the token is wrong.
        with pytest.raises(Unavailable, match="cannot be asked for its keys"):
            await keys.find("second", "RS256")
    clock.seconds = began + MAX_AGE_SECONDS
    await keys.find("first", "RS256")
    await settled(keys)
    # For so long, and no longer.
    clock.seconds += MIN_INTERVAL_SECONDS
    with pytest.raises(Unavailable):
        await keys.find("first", "RS256")
    del issuer.answers["/jwks"]
    clock.seconds += MIN_INTERVAL_SECONDS
    await keys.find("first", "RS256")


async def test_an_issuer_that_was_never_there_is_asked_now_and_then(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    issuer.answers["/.well-known/openid-configuration"] = 500
    for _ in range(5):
        with pytest.raises(Unavailable):
            await keys.find("first", "RS256")
    assert len(issuer.requests) == 1
    issuer.answers.clear()
    with pytest.raises(Unavailable):
        await keys.find("first", "RS256")
    clock.seconds += MIN_INTERVAL_SECONDS
    await keys.find("first", "RS256")


async def test_nobody_listens_there(clock: Clock, issuer: Issuer) -> None:
    async with running_issuer() as gone:
        pass
    keys = IssuerKeys(gone.url, now=clock)
    with pytest.raises(Unavailable):
        await keys.find("first", "RS256")


async def test_a_slow_issuer_holds_up_nobody_else(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    await keys.find("first", "RS256")
    issuer.answers["/jwks"] = None
    clock.seconds += MIN_INTERVAL_SECONDS
    waiting = [asyncio.create_task(keys.find("second", "RS256")) for _ in range(5)]
    await issuer.until_asked(4)
    # Those with a known key do not wait, and those who wait, wait for one question.
    await keys.find("first", "RS256")
    assert not any(task.done() for task in waiting)
    assert issuer.requests == BOTH * 2
    # Whoever leaves takes nothing from the others.
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    assert keys._fetching is not None
    await keys.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


async def test_a_slow_issuer_is_given_up(issuer: Issuer, clock: Clock) -> None:
    issuer.answers["/jwks"] = None
    assert POLICY.timeout_seconds == 5
    keys = IssuerKeys(
        issuer.url, Outbound(policy=OutboundPolicy(private_addresses=True, timeout_seconds=0.1)), now=clock
    )
    with pytest.raises(Unavailable):
        await keys.find("first", "RS256")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"discovery": {"issuer": "https://evil.example"}}, "is that of another issuer"),
        ({"discovery": {"jwks_uri": None}}, "has no https address"),
        ({"discovery": {"jwks_uri": "file:///etc/passwd"}}, "has no https address"),
        ({"answers": {"/.well-known/openid-configuration": "[]"}}, "is that of another issuer"),
        ({"answers": {"/.well-known/openid-configuration": "<html>"}}, "is not JSON"),
        ({"answers": {"/jwks": HUGE}}, "larger than 512 KiB"),
        ({"answers": {"/jwks": "[]"}}, "are no JWK set"),
        ({"answers": {"/jwks": '{"keys": {}}'}}, "are no JWK set"),
        ({"answers": {"/jwks": 302}}, "HTTP 302|redirect"),
    ],
)
async def test_answers_that_cannot_be_used(
    keys: IssuerKeys, issuer: Issuer, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], said: str
) -> None:
    for name, value in changed.items():
        setattr(issuer, name, value)
    with pytest.raises(Unavailable) as caught:
        await keys.find("first", "RS256")
    assert issuer.url not in str(caught.value)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert issuer.url in record.getMessage()
    assert re.search(said, record.getMessage())


async def test_keys_that_must_not_verify_are_left_out(keys: IssuerKeys, issuer: Issuer) -> None:
    (good,) = issuer.published
    issuer.published = [
        good,
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "use": "sig"},
        {**good, "kid": "for encryption", "use": "enc"},
        {**good, "kid": "of another algorithm", "alg": "RS512"},
        {"kty": "RSA", "kid": "broken", "n": "%", "e": "AQAB"},
        {"kty": "RSA", "kid": "half"},
        {**good, "kid": "twice"},
        {**good, "kid": "twice"},
        {"kid": "nothing"},
        "no key",  # type: ignore[list-item]
    ]
    assert (await keys.find("first", "RS256")).key_id == "first"
    for kid in ("shared", "for encryption", "of another algorithm", "broken", "half", "twice", "nothing", None):
        with pytest.raises(Unauthenticated):
            await keys.find(kid, "RS256")
    for algorithm in ("HS256", "ES256", "none", "RS256 "):
        with pytest.raises(Unauthenticated):
            await keys.find("first", algorithm)
    assert issuer.requests == BOTH


async def test_the_only_key_needs_no_name(keys: IssuerKeys, issuer: Issuer) -> None:
    del issuer.published[0]["kid"]
    await keys.find(None, "RS256")
