"""Components: who is connected, what they were sent, and what they say that they run. On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.store import (
    Acknowledgement,
    AliasPatterns,
    Binding,
    BindingsOf,
    BindingState,
    Bound,
    Component,
    ComponentListing,
    ModelConfig,
    ModelConfigDraft,
    Outcome,
    PresenceBatch,
    Rollout,
    Store,
    component_id,
)
from modelwire.store import components as store_components

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
ALL = AliasPatterns()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def component(name: str, subject: str = "api_key:k", **fields: Any) -> Component:
    id_ = component_id(subject, name)
    return Component(id=id_, instance_id=name, name=name, subject=subject, connected_at=NOW, **fields)


ONE, TWO = component("one", kind="agent", labels={"zone": "ä"}), component("two")


async def note(store: Store, server: str = "a", *, seconds: float = 0, **given: Any) -> None:
    """Have a server note something; its lease is 30 s."""
    await store.components.write(PresenceBatch(server=server, at=at(seconds), lease_until=at(seconds + 30), **given))


def bound(to: Component, config: ModelConfig, reference: str | None = None) -> Bound:
    return Bound(
        component_id=to.id,
        reference=reference or f"alias:{config.alias}",
        alias=config.alias,
        config_id=config.id,
        delivered_version=config.version,
    )


def ack(by: Component, config: ModelConfig, outcome: Outcome = Outcome.APPLIED, **given: Any) -> Acknowledgement:
    made = Acknowledgement(component_id=by.id, config_id=config.id, version=config.version, outcome=outcome, at=NOW)
    return replace(made, **given)


async def make(store: Store, alias: str) -> ModelConfig:
    async with store.transaction(by="test") as transaction:
        return await transaction.create(ModelConfigDraft(alias=alias, provider="openai", model="m"))


async def change(store: Store, config: ModelConfig, alias: str | None = None, model: str = "n") -> ModelConfig:
    async with store.transaction(by="test") as transaction:
        draft = ModelConfigDraft(alias=alias or config.alias, provider="openai", model=model)
        return await transaction.update(config, draft)


async def listed(store: Store, seconds: float = 0, **narrowed: Any) -> list[str]:
    found = await store.components.page(ComponentListing(**narrowed), now=at(seconds), first=100)
    return [each.name for each in found]


async def of_config(
    store: Store, config: ModelConfig, seconds: float = 0, visible: AliasPatterns = ALL
) -> list[Binding]:
    found = await store.components.bindings(BindingsOf.CONFIG, {config.id}, visible=visible, now=at(seconds), first=100)
    return found.get(config.id, [])


async def rollout(store: Store, config: ModelConfig, seconds: float = 0) -> Rollout | None:
    return (await store.components.rollouts({config.id}, now=at(seconds))).get(config.id)


def test_an_id_is_of_one_subject_and_one_instance() -> None:
    ids = {
        component_id(*names) for names in (("a", "b"), ("a", "c"), ("b", "b"), ("ab", ""), ("", "ab"), ("\ud800", "x"))
    }
    assert len(ids) == 6
    assert component_id("a", "b") == component_id("a", "b")


async def test_a_component_reads_back_exactly_and_makes_no_revision(store: Store) -> None:
    revision = await store.revision()
    await note(store, connected=[ONE, TWO])
    assert await store.components.page(ComponentListing(), now=NOW, first=10) == [ONE, TWO]
    assert await store.components.present("a") == {ONE.id: 0, TWO.id: 0}
    assert (await store.components.has(ONE.id), await store.components.has("none")) == (True, False)
    assert await store.revision() == revision


async def test_a_component_is_online_until_it_is_gone_or_the_lease_of_its_server_is_over(store: Store) -> None:
    await note(store, connected=[ONE, TWO])
    await note(store, seconds=20, gone=[ONE.id])
    (one, two) = await store.components.page(ComponentListing(), now=at(49), first=10)
    assert (one.disconnected_at, two.disconnected_at) == (at(20), None)
    assert (await listed(store, 49, online=True), await listed(store, 49, online=False)) == (["two"], ["one"])
    (one, two) = await store.components.page(ComponentListing(), now=at(50), first=10)
    assert (one.disconnected_at, two.disconnected_at) == (at(20), at(50))
    assert await listed(store, 50, online=True) == []


async def test_who_came_back_through_another_server_stays(store: Store) -> None:
    await note(store, "a", connected=[ONE])
    await note(store, "b", connected=[replace(ONE, connected_at=at(5))])
    await note(store, "a", seconds=6, gone=[ONE.id])
    await store.components.leave("a", at=at(7))
    assert await listed(store, 8, online=True) == ["one"]
    assert not await store.components.present("a")
    assert await store.components.present("b") == {ONE.id: 0}
    await store.components.leave("b", at=at(9))
    assert await listed(store, 10, online=True) == []


async def users(store: Store, *configs: ModelConfig, seconds: float = 0) -> list[list[str]]:
    """Who uses each of these configs, by name."""
    return [[each.component.name for each in await of_config(store, config, seconds)] for config in configs]


async def test_a_component_with_sockets_to_two_servers_is_connected_to_both(store: Store) -> None:
    first, second = await make(store, "x"), await make(store, "y")
    await note(store, "a", connected=[ONE], bound=[bound(ONE, first)])
    await note(store, "b", connected=[ONE], bound=[bound(ONE, second)])
    assert await users(store, first, second) == [["one"], ["one"]]
    # What one of them no longer sends may be what the other sends now.
    await note(store, "b", unbound=[(ONE.id, "alias:x")])
    await note(store, "b", seconds=5, gone=[ONE.id])
    assert await listed(store, 6, online=True) == ["one"]
    assert await users(store, first, second) == [["one"], []]
    await note(store, "a", seconds=7, gone=[ONE.id])
    (one,) = await store.components.page(ComponentListing(), now=at(8), first=10)
    assert one.disconnected_at == at(7)
    assert await users(store, first, second) == [["one"], []]


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_a_server_that_ends_sent_goes_to_the_one_that_is_left(store: Store, leaves: bool) -> None:
    first, second, third = [await make(store, alias) for alias in ("x", "y", "z")]
    await note(store, "a", connected=[ONE, TWO], bound=[bound(ONE, first), bound(TWO, first)])
    await note(store, "b", connected=[ONE], bound=[bound(ONE, second)])
    await note(store, "c", seconds=1, connected=[TWO], bound=[bound(TWO, third)])
    if leaves:
        await store.components.leave("b", at=at(2))
    else:
        await note(store, "a", seconds=20)
        assert await store.components.forget(now=at(30), before=NOW) == 0
    assert await listed(store, 30, online=True) == (["one", "two"] if not leaves else ["two"])
    assert await users(store, first, second, third, seconds=30) == [["one", "two"], [], ["two"]]
    assert await store.components.present("a") == {ONE.id: 1}
    assert await store.components.online([ONE.id, TWO.id, "none"], now=at(29)) == {ONE.id, TWO.id}


async def test_who_moves_to_another_server_keeps_nothing_of_the_first(store: Store) -> None:
    first, second = await make(store, "x"), await make(store, "y")
    await note(store, "a", connected=[ONE], bound=[bound(ONE, first), bound(ONE, second)])
    # It has not noticed yet that the socket is gone.
    await note(store, "b", connected=[ONE], bound=[bound(ONE, first)])
    await note(store, "a", unbound=[(ONE.id, "alias:x")], gone=[ONE.id])
    assert await users(store, first, second) == [["one"], []]
    await note(store, "b", gone=[ONE.id])
    assert await listed(store, online=True) == []


async def test_what_a_component_was_sent_follows_the_config(store: Store) -> None:
    config = await make(store, "x")
    longest = "l" * 99 + "\N{SNAKE}"
    waiting = Bound(component_id=ONE.id, reference=f"alias:{longest}", alias=longest)
    await note(store, connected=[ONE], bound=[bound(ONE, config), waiting])
    by_owner = await store.components.bindings(BindingsOf.COMPONENT, {ONE.id}, visible=ALL, now=NOW, first=10)
    later, first = by_owner[ONE.id]
    assert (later.alias, later.config_id, later.state) == (longest, None, BindingState.WAITING)
    assert (first.alias, first.desired_version, first.delivered_version) == ("x", 1, 1)
    assert (first.component, first.state) == (ONE, BindingState.PENDING)
    config = await change(store, config, alias="y")
    (binding,) = await of_config(store, config)
    assert (binding.alias, binding.desired_version, binding.delivered_version) == ("y", 2, 1)
    await note(store, bound=[bound(ONE, config, "alias:x")])
    (binding,) = await of_config(store, config)
    assert binding.delivered_version == 2
    await note(store, unbound=[(ONE.id, "alias:x")])
    assert await of_config(store, config) == []


async def test_who_connects_anew_begins_without_bindings(store: Store) -> None:
    config, other = await make(store, "x"), await make(store, "y")
    await note(store, connected=[ONE, TWO], bound=[bound(ONE, config), bound(TWO, config)])
    await note(store, connected=[ONE], bound=[bound(ONE, other)])
    assert [each.component.name for each in await of_config(store, config)] == ["two"]
    assert [each.component.name for each in await of_config(store, other)] == ["one"]


async def test_what_is_refused_does_not_displace_what_is_applied(store: Store) -> None:
    config = await make(store, "x")
    await note(store, connected=[ONE], bound=[bound(ONE, config)], acknowledgements=[ack(ONE, config)])
    assert (await of_config(store, config))[0].state is BindingState.APPLIED
    config = await change(store, config)
    assert (await of_config(store, config))[0].state is BindingState.PENDING
    refusal = ack(ONE, config, Outcome.REFUSED, reason="missing_secret", message="OPENAI_API_KEY is not set")
    await note(store, acknowledgements=[refusal])
    (binding,) = await of_config(store, config)
    assert (binding.state, binding.reason, binding.message) == (BindingState.REFUSED, refusal.reason, refusal.message)
    assert (binding.acknowledged_version, binding.applied_version, binding.acknowledged_at) == (2, 1, NOW)
    # One that was on its way for longer.
    await note(store, acknowledgements=[ack(ONE, config, version=1)])
    assert (await of_config(store, config))[0] == binding
    await note(store, acknowledgements=[ack(ONE, config)])
    (binding,) = await of_config(store, config)
    assert (binding.state, binding.reason, binding.applied_version) == (BindingState.APPLIED, None, 2)


async def test_of_two_versions_in_one_batch_both_count_in_any_order(store: Store) -> None:
    config = await make(store, "x")
    said = [ack(ONE, config), ack(ONE, config, Outcome.REFUSED, version=2, reason="missing_secret")]
    await note(store, connected=[ONE], bound=[bound(ONE, config)], acknowledgements=said[::-1])
    newer = [ack(ONE, config, Outcome.REFUSED, version=5, reason="missing_secret"), ack(ONE, config, version=4)]
    for acknowledgements, expected in ((said, (2, 1)), (newer, (5, 4))):
        await note(store, acknowledgements=acknowledgements)
        (binding,) = await of_config(store, config)
        assert (binding.acknowledged_version, binding.applied_version) == expected
        assert binding.reason == "missing_secret"


async def test_an_acknowledgement_may_come_before_the_binding(store: Store) -> None:
    config = await make(store, "x")
    await note(store, connected=[ONE], acknowledgements=[ack(ONE, config)])
    assert await of_config(store, config) == []
    await note(store, bound=[bound(ONE, config)])
    assert (await of_config(store, config))[0].state is BindingState.APPLIED


async def test_a_rollout_counts_each_component_once(store: Store) -> None:
    config, unused = await make(store, "x"), await make(store, "y")
    fleet = [component(f"c{number}") for number in range(6)]
    said = [
        ack(fleet[0], config),
        ack(fleet[1], config, Outcome.REFUSED, reason="missing_secret"),
        ack(fleet[2], config, Outcome.REFUSED, reason="missing_secret"),
        ack(fleet[3], config, Outcome.REFUSED),
        ack(fleet[5], config),
    ]
    twice = [bound(fleet[0], config, f"id:{config.id}"), bound(fleet[4], config, f"id:{config.id}")]
    await note(store, connected=fleet, bound=[*(bound(each, config) for each in fleet), *twice], acknowledgements=said)
    await note(store, gone=[fleet[5].id])
    expected = Rollout(version=1, applied=1, refused=3, pending=1, offline=1, reasons={"missing_secret": 2, None: 1})
    assert await rollout(store, config) == expected
    assert await rollout(store, unused) is None
    assert await rollout(store, config, seconds=31) == Rollout(version=1, offline=6)
    config = await change(store, config)
    assert await rollout(store, config) == Rollout(version=2, pending=5, offline=1)


async def test_a_deleted_config_is_used_by_nobody(store: Store) -> None:
    config = await make(store, "x")
    await note(store, connected=[ONE], bound=[bound(ONE, config)], acknowledgements=[ack(ONE, config)])
    async with store.transaction(by="test") as transaction:
        await transaction.delete(config)
    assert await rollout(store, config) is None
    found = await store.components.bindings(BindingsOf.COMPONENT, {ONE.id}, visible=ALL, now=NOW, first=10)
    assert [(each.alias, each.config_id, each.state) for each in found[ONE.id]] == [("x", None, BindingState.WAITING)]


async def test_only_those_who_are_connected_use_a_config(store: Store) -> None:
    config = await make(store, "x")
    # A transaction looks at the clock, so these do too.
    now = datetime.now(UTC)
    batch = PresenceBatch(server="a", at=now, lease_until=now + timedelta(hours=1))
    both = [bound(ONE, config), bound(TWO, config)]
    await store.components.write(replace(batch, connected=[ONE, TWO], bound=both))
    await store.components.write(replace(batch, gone=[TWO.id]))
    async with store.transaction(by="test") as transaction:
        assert [each.component.name for each in await transaction.users(config, first=10)] == ["one"]
    await store.components.write(replace(batch, lease_until=now - timedelta(seconds=1)))
    async with store.transaction(by="test") as transaction:
        assert await transaction.users(config, first=10) == []


@pytest.mark.parametrize(
    ("narrowed", "names"),
    [
        ({"name": "one"}, ["one"]),
        ({"kind": "agent"}, ["one"]),
        ({"kind": "none"}, []),
        ({"alias": "x"}, ["one", "two"]),
        ({"alias": "later"}, ["two"]),
        ({"alias": "x", "visible": AliasPatterns(("later",))}, []),
        ({"visible": AliasPatterns(("l*r",))}, ["two"]),
        ({"visible": AliasPatterns(("x",)), "kind": "agent"}, ["one"]),
        ({"visible": AliasPatterns(())}, []),
        ({}, ["Zoë", "one", "two"]),
    ],
)
async def test_a_list_is_narrowed(store: Store, narrowed: dict[str, Any], names: list[str]) -> None:
    config = await make(store, "x")
    waiting = Bound(component_id=TWO.id, reference="alias:later", alias="later")
    both = [bound(ONE, config), bound(TWO, config), waiting]
    await note(store, connected=[ONE, TWO, component("Zoë")], bound=both)
    assert await listed(store, **narrowed) == names


async def test_pages_follow_each_other(store: Store) -> None:
    config, other = await make(store, "x"), await make(store, "y")
    # Of one name: the id decides.
    fleet = [replace(component(f"c{number}"), name="same") for number in range(7)]
    both = [*(bound(each, config) for each in fleet), *(bound(each, other) for each in fleet[:2])]
    await note(store, connected=fleet, bound=both)
    seen: list[str] = []
    after: tuple[str, str] | None = None
    while page := await store.components.page(ComponentListing(), now=NOW, first=3, after=after):
        seen += [each.id for each in page]
        after = (page[-1].name, page[-1].id)
    assert seen == sorted(each.id for each in fleet)
    of = (BindingsOf.CONFIG, {config.id, other.id})
    first = await store.components.bindings(*of, visible=ALL, now=NOW, first=3)
    assert [each.component.id for each in first[config.id]] == seen[:3]
    assert len(first[other.id]) == 2
    last = first[config.id][-1]
    place = (last.component.name, last.component.id, last.reference)
    rest = await store.components.bindings(BindingsOf.CONFIG, {config.id}, visible=ALL, now=NOW, first=9, after=place)
    assert [each.component.id for each in rest[config.id]] == seen[3:]


async def test_old_components_are_forgotten_with_all_that_is_theirs(store: Store) -> None:
    config = await make(store, "x")
    said = [ack(each, config) for each in (ONE, TWO)]
    both = [bound(ONE, config), bound(TWO, config)]
    await note(store, connected=[ONE, TWO], bound=both, acknowledgements=said)
    await note(store, gone=[ONE.id])
    assert await store.components.forget(now=at(10), before=at(0)) == 0
    assert await store.components.forget(now=at(10), before=at(1)) == 1
    assert await listed(store, 10) == ["two"]
    # The lease of its server was over at 30 s, so that is when it was seen last.
    assert await store.components.forget(now=at(60), before=at(30)) == 0
    assert await store.components.present("a") == {}
    (two,) = await store.components.page(ComponentListing(), now=at(60), first=10)
    assert two.disconnected_at == at(30)
    assert await store.components.forget(now=at(60), before=at(31)) == 1
    await note(store, connected=[ONE, TWO], bound=both)
    assert {each.outcome for each in await of_config(store, config)} == {None}


async def test_a_storm_is_written_in_one_go(store: Store) -> None:
    config = await make(store, "x")
    fleet = [component(f"c{number:04}") for number in range(1200)]
    await note(
        store,
        connected=fleet,
        bound=[bound(each, config) for each in fleet],
        acknowledgements=[ack(each, config) for each in fleet],
    )
    assert await rollout(store, config) == Rollout(version=1, applied=1200)
    await note(store, gone=[each.id for each in fleet[:700]])
    assert await rollout(store, config) == Rollout(version=1, applied=500, offline=700)


async def test_of_those_who_are_gone_so_many_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may report can connect under a new name again and again: those of others are not forgotten for it."""
    monkeypatch.setattr(store_components, "GONE_KEPT", 8)
    monkeypatch.setattr(store_components, "_SURPLUS_FORGOTTEN", 2)
    config = await make(store, "x")
    others = [component(f"other{number}", subject="api_key:o") for number in range(3)]
    await note(store, connected=others)
    await note(store, gone=[each.id for each in others])
    stays = component("stays")
    await note(store, connected=[stays], bound=[bound(stays, config)])
    for second in range(5):
        one = component(f"new{second}")
        await note(store, seconds=second, connected=[one], bound=[bound(one, config)])
        await note(store, seconds=second, gone=[one.id])
    kept = ["new0", "new1", "new2", "new3", "new4", "other0", "other1", "other2"]
    assert await listed(store, online=False) == kept
    last = component("new5")
    await note(store, seconds=5, connected=[last])
    await note(store, seconds=5, gone=[last.id])
    assert await listed(store, online=False) == ["new3", "new4", "new5", "other0", "other1", "other2"]
    assert [each.component.name for each in await of_config(store, config)] == ["new3", "new4", "stays"]
