"""Every field and every scope, with every kind of credential, by every transport: allowed exactly as docs/security.md
says, and what is denied changes nothing and is in the audit log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from authorisation import PROBES, TABLE, ErrorPath, Probe
from authorisation_world import Answer, Key, World, socket_of

from modelwire.resolvers.access import ALL_SCOPES, Scope

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY = frozenset(scope.value for scope in ALL_SCOPES)
FEW = (frozenset[str](), *(frozenset({scope.value}) for scope in Scope))
MANY = (*(EVERY - {scope.value} for scope in Scope), EVERY)

Ask = Callable[[str, dict[str, Any]], Awaitable[Answer]]


async def test_keys_by_http(world: World) -> None:
    for scopes in MANY:
        key = await world.key(scopes)
        await hold_to_the_table(world, key.subject, scopes, by_http(world, key.secret), subscriptions=False)


async def test_keys_by_server_sent_events(world: World) -> None:
    for scopes in FEW:
        key = await world.key(scopes)
        await hold_to_the_table(world, key.subject, scopes, by_sse(world, key.secret))


async def test_keys_by_websocket(world: World) -> None:
    for scopes in MANY:
        key = await world.key(scopes)
        async with socket_of(world, key.secret) as socket:
            await hold_to_the_table(world, key.subject, scopes, socket.ask)


async def test_sessions_by_http(world: World) -> None:
    for scopes in FEW:
        key, token = await session(world, scopes)
        await hold_to_the_table(world, key.subject, scopes, by_http(world, token), subscriptions=False)


async def test_sessions_by_websocket(world: World) -> None:
    for scopes in FEW:
        key, token = await session(world, scopes)
        async with socket_of(world, token) as socket:
            # A session that is ended is closed at once, maybe before its answer is sent: that is asked by HTTP alone.
            await hold_to_the_table(world, key.subject, scopes, socket.ask, without="Mutation.signOut")


async def test_external_identities_by_server_sent_events(world: World) -> None:
    for scopes in MANY:
        token = world.issuer.token(scope=" ".join(scopes))
        await hold_to_the_table(world, "oidc:user-1", scopes, by_sse(world, token))


async def test_what_was_renewed_on_the_socket_counts(world: World) -> None:
    async with socket_of(world, world.issuer.token(scope=" ".join(EVERY))) as socket:
        for scopes in FEW + MANY:
            renewed = await socket.renew(world.issuer.token(scope=" ".join(scopes)))
            assert "error" not in renewed
            await hold_to_the_table(world, "oidc:user-1", scopes, socket.ask)


async def session(world: World, scopes: frozenset[str]) -> tuple[Key, str]:
    key = await world.key(scopes)
    return key, (await world.sign_in(key.secret))["accessToken"]


def by_http(world: World, token: str) -> Ask:
    return lambda document, variables: world.over_http(document, f"Bearer {token}", variables)


def by_sse(world: World, token: str) -> Ask:
    return lambda document, variables: world.over_sse(document, f"Bearer {token}", variables)


async def hold_to_the_table(
    world: World, actor: str, scopes: frozenset[str], ask: Ask, *, subscriptions: bool = True, without: str = ""
) -> None:
    probes = [probe for probe in PROBES if (subscriptions or not probe.is_subscription) and probe.row != without]
    tried = {row for row in TABLE if (subscriptions or "Subscription." not in row) and row != without}
    assert {probe.row for probe in probes} >= tried
    # Made before anything is looked at: what is then asked for could be done.
    denied = [(probe, await variables_of(world, probe)) for probe in probes if probe.refusal(scopes) is not None]
    await world.denied()
    before = world.everything()
    expected: Counter[tuple[str, str]] = Counter()
    for probe, variables in denied:
        expected[actor, check_refusal(probe, scopes, await ask(probe.document, variables))] += 1
    assert world.everything() == before, f"{sorted(scopes)} is denied, and changes something"
    assert await world.denied() == expected
    for probe in probes:
        if probe.refusal(scopes) is None:
            check_grant(probe, scopes, await ask(probe.document, await variables_of(world, probe)))
    assert await world.denied() == {}


async def variables_of(world: World, probe: Probe) -> dict[str, Any]:
    return {} if probe.given is None else {"input": await probe.given(world)}


def check_refusal(probe: Probe, scopes: frozenset[str], answer: Answer) -> str:
    """The field at which the answer has to be refused, and is."""
    refusal = probe.refusal(scopes)
    assert refusal is not None
    path, scope = refusal
    about = f"{sorted(scopes)} asks {probe.document}: {answer}"
    assert [(error["extensions"]["code"], tuple(error["path"])) for error in answer.errors] == [("FORBIDDEN", path)], (
        about
    )
    # Not by a check that comes later: nobody may even try.
    assert answer.errors[0]["message"].startswith(f"this needs the scope {scope}, "), about
    assert at(answer.data, path) is None, about
    return next(str(part) for part in reversed(path) if isinstance(part, str))


def check_grant(probe: Probe, scopes: frozenset[str], answer: Answer) -> None:
    about = f"{sorted(scopes)} asks {probe.document}: {answer}"
    if not probe.good or answer.codes == []:
        assert answer.codes == [], about
        (value,) = answer.data.values()
        assert value is not None, about
        if probe.good:
            assert value["__typename"] in probe.good, about
    else:
        assert set(answer.codes) <= probe.good, about


def at(data: Any, path: ErrorPath) -> Any:
    for part in path:
        if data is None:
            return None
        data = data[part]
    return data
