"""The subscription to components: rights are looked at anew for each event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import Scope
from modelwire.schema import schema
from modelwire.store import AliasPatterns, Bound, Component, PresenceBatch, Store

from .conftest import WAIT_SECONDS, Refused

WATCH = """subscription ($by: [ModelConfigRef!]) { componentChanged(by: $by) {
  __typename complete rollouts { alias }
  ... on ComponentSnapshot { components { ...Member } }
  ... on ComponentChange { put { ...Member } removed { name } removedRollouts { alias } }
} }
fragment Member on WatchedComponent { component { name } bindings { alias } }"""


async def watch(client: Any, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
    results = await schema.subscribe(WATCH, variable_values=variables, context_value=client.context)
    async with aclosing(results):  # type: ignore[type-var]
        while True:
            async with asyncio.timeout(WAIT_SECONDS):
                result = await anext(results)
            if result.errors:
                raise Refused(result.errors, result.data)
            yield result.data["componentChanged"]


async def connect(store: Store, name: str, *aliases: str) -> None:
    """Have a component with bindings to these aliases noted."""
    now = datetime.now(UTC)
    component = Component(id=name, instance_id=name, name=name, subject="tests", connected_at=now)
    bound = [Bound(component_id=name, reference=f"alias:{alias}", alias=alias) for alias in aliases]
    batch = PresenceBatch(
        server="tests", at=now, lease_until=now + timedelta(hours=1), connected=[component], bound=bound
    )
    await store.components.write(batch)


def members(told: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {each["component"]["name"]: [binding["alias"] for binding in each["bindings"]] for each in told}


async def test_a_snapshot_then_differences(store: Store, client: Any) -> None:
    await connect(store, "one", "general", "other")
    async with aclosing(watch(client, by=[{"alias": "general"}])) as events:
        first = await anext(events)
        assert (first["__typename"], first["complete"]) == ("ComponentSnapshot", True)
        assert (members(first["components"]), first["rollouts"]) == ({"one": ["general"]}, [{"alias": "general"}])
        await connect(store, "two", "general")
        change = await anext(events)
        assert (change["__typename"], members(change["put"])) == ("ComponentChange", {"two": ["general"]})
        assert (change["removed"], change["rollouts"], change["removedRollouts"]) == ([], [], [])


async def test_without_names_it_sees_those_without_bindings_too(store: Store, client: Any) -> None:
    await connect(store, "one")
    async with aclosing(watch(client)) as events:
        first = await anext(events)
        assert members(first["components"]) == {"one": []}
        assert [each["alias"] for each in first["rollouts"]] == ["general", "planning"]


async def test_who_loses_the_scope_is_told_nothing_more(store: Store, client: Any) -> None:
    async with aclosing(watch(client)) as events:
        await anext(events)
        everything = client.context.principal
        client.context.principal = replace(everything, scopes=everything.scopes - {Scope.COMPONENT_READ})
        await connect(store, "one")
        with client.refused("FORBIDDEN", match="component:read"):
            await anext(events)


async def test_nothing_is_told_after_the_credential_expired(store: Store, client: Any) -> None:
    async with aclosing(watch(client)) as events:
        await anext(events)
        client.context.principal = replace(client.context.principal, expires_at=datetime.now(UTC))
        await connect(store, "one")
        with client.refused("UNAUTHENTICATED"):
            await anext(events)


async def test_other_aliases_are_the_next_difference(store: Store, client: Any) -> None:
    await connect(store, "one", "general", "planning")
    await connect(store, "two", "general")
    async with aclosing(watch(client)) as events:
        assert members((await anext(events))["components"]) == {"one": ["general", "planning"], "two": ["general"]}
        client.context.principal = replace(client.context.principal, aliases=AliasPatterns(("plan*",)))
        await connect(store, "three", "general")
        change = await anext(events)
        assert members(change["put"]) == {"one": ["planning"]}
        assert (change["removed"], change["removedRollouts"]) == ([{"name": "two"}], [{"alias": "general"}])


async def test_a_named_alias_that_is_lost_ends_it(store: Store, client: Any) -> None:
    async with aclosing(watch(client, by=[{"alias": "general"}])) as events:
        await anext(events)
        client.context.principal = replace(client.context.principal, aliases=AliasPatterns(("planning",)))
        await connect(store, "one", "general")
        with client.refused("FORBIDDEN", match="general"):
            await anext(events)


@pytest.mark.parametrize("alias", ["a\0b", "\ud800"])
async def test_what_no_config_can_have_is_bad_input(client: Any, alias: str) -> None:
    with client.refused("BAD_USER_INPUT"):
        await anext(watch(client, by=[{"alias": alias}]))
