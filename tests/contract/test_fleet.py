"""Watching components: what is told at first, and that the differences after it add up. On both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.store import (
    Acknowledgement,
    AliasPatterns,
    BindingState,
    Bound,
    Component,
    ConfigRollout,
    FleetEvent,
    FleetWatch,
    Member,
    ModelConfig,
    ModelConfigDraft,
    Outcome,
    PresenceBatch,
    Rollout,
    Selector,
    Store,
    component_id,
    fleet,
    fleet_watch,
)

WAIT_SECONDS = 120.0
EVERYTHING = Selector()
X = Selector(aliases=frozenset({"x"}))


def component(name: str) -> Component:
    id_ = component_id("api_key:k", name)
    return Component(id=id_, instance_id=name, name=name, subject="api_key:k", connected_at=datetime.now(UTC))


ONE, TWO = component("one"), component("two")


async def note(store: Store, server: str = "a", *, lease_seconds: float = 3600, **given: Any) -> None:
    now = datetime.now(UTC)
    until = now + timedelta(seconds=lease_seconds)
    await store.components.write(PresenceBatch(server=server, at=now, lease_until=until, **given))


def bound(to: Component, config: ModelConfig, reference: str | None = None) -> Bound:
    return Bound(
        component_id=to.id,
        reference=reference or f"alias:{config.alias}",
        alias=config.alias,
        config_id=config.id,
        delivered_version=config.version,
    )


def ack(by: Component, config: ModelConfig, outcome: Outcome = Outcome.APPLIED, **given: Any) -> Acknowledgement:
    now = datetime.now(UTC)
    made = Acknowledgement(component_id=by.id, config_id=config.id, version=config.version, outcome=outcome, at=now)
    return replace(made, **given)


async def make(store: Store, alias: str) -> ModelConfig:
    async with store.transaction(by="test") as transaction:
        return await transaction.create(ModelConfigDraft(alias=alias, provider="openai", model="m"))


async def change(store: Store, config: ModelConfig, alias: str | None = None) -> ModelConfig:
    async with store.transaction(by="test") as transaction:
        draft = ModelConfigDraft(alias=alias or config.alias, provider="openai", model=f"m{config.version}")
        return await transaction.update(config, draft)


async def delete(store: Store, config: ModelConfig) -> None:
    async with store.transaction(by="test") as transaction:
        await transaction.delete(config)


async def told(watch: FleetWatch, store: Store) -> FleetEvent:
    """The next event. The store is read, as the feed does after each commit: that is how the fleet hears of it."""
    await store.revision()
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            await watch.news()
            if (event := watch.take()) is not None:
                return event


def rollouts(event: FleetEvent) -> dict[str, Rollout]:
    return {each.alias: each.rollout for each in event.rollouts}


@dataclass
class Follower:
    """Somebody who takes every event, and what they know by that."""

    watch: FleetWatch
    members: dict[str, Member] = field(default_factory=dict)
    rollouts: dict[str, ConfigRollout] = field(default_factory=dict)

    def take(self) -> None:
        while (event := self.watch.take()) is not None:
            self.members |= {each.component.id: each for each in event.members}
            self.rollouts |= {each.config_id: each for each in event.rollouts}
            for gone in event.removed:
                del self.members[gone.id]
            for gone_rollout in event.removed_rollouts:
                del self.rollouts[gone_rollout.config_id]

    async def follow(self) -> None:
        while True:
            await self.watch.news()
            self.take()
            await asyncio.sleep(0)


async def test_first_the_state_then_the_differences(store: Store, other_store: Store) -> None:
    config, other = await make(store, "x"), await make(store, "y")
    await note(store, connected=[ONE, TWO], bound=[bound(ONE, config), bound(TWO, other)])
    async with store.fleet.watch(X) as watch:
        first = await told(watch, store)
        assert (first.first, first.complete, first.removed, first.removed_rollouts) == (True, True, (), ())
        (member,) = first.members
        assert (member.component, member.bindings[0].state) == (ONE, BindingState.PENDING)
        assert rollouts(first) == {"x": Rollout(version=1, pending=1)}
        # What another server notes, and nothing but that.
        await note(other_store, "b", connected=[replace(TWO, name="two again")], bound=[bound(TWO, other)])
        await note(other_store, acknowledgements=[ack(ONE, config)])
        applied = await told(watch, store)
        assert (applied.first, [each.component.name for each in applied.members]) == (False, ["one"])
        assert applied.members[0].bindings[0].applied_version == 1
        assert rollouts(applied) == {"x": Rollout(version=1, applied=1)}


async def test_a_new_version_is_waited_for(store: Store, other_store: Store) -> None:
    config = await make(store, "x")
    await note(store, connected=[ONE, TWO], bound=[bound(ONE, config), bound(TWO, config)])
    async with store.fleet.watch(X) as watch:
        await told(watch, store)
        config = await change(other_store, config)
        changed = await told(watch, store)
        assert rollouts(changed) == {"x": Rollout(version=2, pending=2)}
        assert {each.bindings[0].desired_version for each in changed.members} == {2}
        refusal = ack(TWO, config, Outcome.REFUSED, reason="missing_secret")
        await note(other_store, acknowledgements=[ack(ONE, config), refusal])
        spoken = await told(watch, store)
        assert rollouts(spoken) == {"x": Rollout(version=2, applied=1, refused=1, reasons={"missing_secret": 1})}
        await delete(other_store, config)
        gone = await told(watch, store)
        assert [each.config_id for each in gone.removed_rollouts] == [config.id]
        assert {each.bindings[0].state for each in gone.members} == {BindingState.WAITING}


async def test_configs_that_nobody_uses_are_told_of(store: Store) -> None:
    async with store.fleet.watch(X) as watch:
        assert (await told(watch, store)).rollouts == ()
        config = await make(store, "x")
        assert rollouts(await told(watch, store)) == {"x": Rollout(version=1)}
        await change(store, config, alias="elsewhere")
        assert [each.alias for each in (await told(watch, store)).removed_rollouts] == ["x"]


async def test_a_lease_that_runs_out_is_seen_without_a_word(store: Store) -> None:
    config = await make(store, "x")
    await note(
        store, lease_seconds=1.0, connected=[ONE], bound=[bound(ONE, config)], acknowledgements=[ack(ONE, config)]
    )
    async with store.fleet.watch(X) as watch:
        assert rollouts(await told(watch, store)) == {"x": Rollout(version=1, applied=1)}
        over = await told(watch, store)
        assert rollouts(over) == {"x": Rollout(version=1, offline=1)}
        assert (over.members[0].component.online, over.members[0].bindings[0].state) == (False, BindingState.OFFLINE)
        # The process only stood still.
        await note(store)
        back = await told(watch, store)
        assert rollouts(back) == {"x": Rollout(version=1, applied=1)}


async def test_what_one_of_two_servers_of_a_component_sent_is_forgotten_when_it_ends(store: Store) -> None:
    first, second = await make(store, "x"), await make(store, "y")
    await note(store, "a", connected=[ONE], bound=[bound(ONE, first)])
    await note(store, "b", connected=[ONE], bound=[bound(ONE, second)])
    async with store.fleet.watch(EVERYTHING) as watch:
        (member,) = (await told(watch, store)).members
        assert [each.alias for each in member.bindings] == ["x", "y"]
        await store.components.leave("a", at=datetime.now(UTC))
        (member,) = (await told(watch, store)).members
        assert (member.component.online, [each.alias for each in member.bindings]) == (True, ["y"])


async def test_what_is_forgotten_is_removed(store: Store) -> None:
    await note(store, connected=[ONE, TWO])
    async with store.fleet.watch(EVERYTHING) as watch:
        assert [each.component.name for each in (await told(watch, store)).members] == ["one", "two"]
        await note(store, gone=[ONE.id])
        (offline,) = (await told(watch, store)).members
        assert (offline.component.name, offline.component.online) == ("one", False)
        later = datetime.now(UTC) + timedelta(days=1)
        assert await store.components.forget(now=datetime.now(UTC), before=later) == 1
        forgotten = await told(watch, store)
        assert ([each.name for each in forgotten.removed], forgotten.members) == (["one"], ())


async def test_who_may_see_other_aliases_is_told_the_difference(store: Store) -> None:
    config, other = await make(store, "x"), await make(store, "y")
    await note(store, connected=[ONE, TWO], bound=[bound(ONE, config), bound(ONE, other), bound(TWO, other)])
    async with store.fleet.watch(Selector(visible=AliasPatterns(("y", "no such")))) as watch:
        first = await told(watch, store)
        assert [[each.alias for each in member.bindings] for member in first.members] == [["y"], ["y"]]
        watch.see(AliasPatterns(("x*",)))
        event = await told(watch, store)
        assert [each.alias for each in event.members[0].bindings] == ["x"]
        assert [each.name for each in event.removed] == ["two"]
        assert (list(rollouts(event)), [each.alias for each in event.removed_rollouts]) == (["x"], ["y"])


async def test_nothing_is_told_before_it_is_settled_who_lost_access(store: Store) -> None:
    asked, settled = asyncio.Event(), asyncio.Event()

    async def settle() -> None:
        asked.set()
        await settled.wait()

    async with store.fleet.watch(EVERYTHING) as watch:
        await told(watch, store)
        store.fleet.deliver_after(settle)
        await note(store, connected=[ONE])
        await store.revision()
        async with asyncio.timeout(WAIT_SECONDS):
            await asked.wait()
        assert watch.take() is None
        settled.set()
        assert [each.component for each in (await told(watch, store)).members] == [ONE]


async def test_what_is_large_comes_in_several_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_watch, "MAX_ENTRIES", 10)
    config = await make(store, "x")
    members = [component(f"c{number:02}") for number in range(25)]
    await note(store, connected=members, bound=[bound(each, config) for each in members])
    async with store.fleet.watch(X) as watch:
        events = [await told(watch, store) for _ in range(3)]
        assert [(each.first, each.complete) for each in events] == [(True, False), (False, False), (False, True)]
        assert max(len(each.members) + len(each.rollouts) for each in events) == 10
        assert {each.component.name for event in events for each in event.members} == {each.name for each in members}
        # A reader that is away costs one entry for each, however often it changes.
        for _ in range(3):
            config = await change(store, config)
            await note(store, acknowledgements=[ack(each, config) for each in members])
            await store.revision()
            async with asyncio.timeout(WAIT_SECONDS):
                expected = Rollout(version=config.version, applied=25)
                while store.fleet._image.rollouts[config.id].rollout != expected:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)
        found = [await told(watch, store) for _ in range(3)]
        assert found[-1].complete
        assert rollouts(found[0]) == {"x": Rollout(version=4, applied=25)}
        assert sum(len(each.members) for each in found) == 25


async def test_a_quiet_fleet_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    read_update = fleet.read_update

    async def counted(*args: Any, **given: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read_update(*args, **given)

    monkeypatch.setattr(fleet, "read_update", counted)
    config = await make(store, "x")
    await note(store, connected=[ONE], bound=[bound(ONE, config)])
    assert reads == 0
    async with store.fleet.watch(X) as watch, store.fleet.watch(EVERYTHING) as other:
        await told(watch, store)
        await told(other, store)
        for _ in range(3):
            # A renewal of the lease, and what the feed reads after it.
            await note(store)
            await store.revision()
        assert reads == 1
        await note(store, acknowledgements=[ack(ONE, config)])
        await told(watch, store)
        await told(other, store)
        assert reads == 2
    await note(store, gone=[ONE.id])
    await store.revision()
    await asyncio.sleep(0)
    assert (reads, store.fleet._image.members) == (2, {})


SELECTORS = {
    "everything": EVERYTHING,
    "by alias": Selector(aliases=frozenset({"a", "new"})),
    "bound": Selector(visible=AliasPatterns(("a*", "b"))),
}


@pytest.mark.parametrize("seed", range(2))
async def test_the_differences_add_up_to_the_state(store: Store, other_store: Store, seed: int) -> None:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        followers = {
            name: Follower(await stack.enter_async_context(store.fleet.watch(selector)))
            for name, selector in SELECTORS.items()
        }
        tasks = [asyncio.create_task(each.follow()) for each in followers.values()]
        configs = [await make(store, alias) for alias in "abc"]
        for step in range(40):
            await _something(chance, [store, other_store], configs)
            if step % 10 == 9:
                for name, selector in SELECTORS.items():
                    await _agree(store, other_store, selector, followers[name])
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


async def _something(chance: random.Random, stores: list[Store], configs: list[ModelConfig]) -> None:
    store, server = chance.choice(stores), chance.choice("ab")
    who = chance.choice([component(f"c{number}") for number in range(5)])
    index = chance.randrange(len(configs))
    config = configs[index]
    kind = chance.choice(
        ["connect", "bind", "bind", "unbind", "ack", "ack", "gone", "leave", "forget", "change", "move"]
    )
    match kind:
        case "connect":
            await note(store, server, connected=[who], bound=[bound(who, config)])
        case "bind":
            await note(store, server, bound=[bound(who, config), bound(who, config, f"id:{config.id}")])
        case "unbind":
            await note(store, server, unbound=[(who.id, f"alias:{config.alias}")])
        case "ack":
            outcome = chance.choice(list(Outcome))
            await note(store, server, acknowledgements=[ack(who, config, outcome, reason=chance.choice([None, "r"]))])
        case "gone":
            await note(store, server, gone=[who.id])
        case "leave":
            await store.components.leave(server, at=datetime.now(UTC))
        case "forget":
            now = datetime.now(UTC)
            await store.components.forget(now=now, before=now + timedelta(days=chance.choice([-1, 1])))
        case "change":
            configs[index] = await change(store, config)
        case _:
            if chance.random() < 0.5:
                names = {each.alias for each in configs}
                configs[index] = await change(store, config, alias=next(n for n in _names() if n not in names))
            else:
                await delete(store, config)
                configs[index] = await make(store, config.alias)


def _names() -> Iterator[str]:
    yield from ("new", "a", "b", "c", "ab", "z")


async def _agree(store: Store, other_store: Store, selector: Selector, follower: Follower) -> None:
    """Wait until the follower knows what somebody knows who only comes now, to the other server."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            await store.revision()
            async with other_store.fleet.watch(selector) as watch:
                expected = Follower(watch)
                expected.take()
            if (expected.members, expected.rollouts) == (follower.members, follower.rollouts):
                return
            await asyncio.sleep(0.01)
