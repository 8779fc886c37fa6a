"""Components, acknowledgements, rollouts and what is in use: by the API, on a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Scope
from modelwire.server import presence as module
from modelwire.server.presence import Presence
from modelwire.store import Bound, Component, PresenceBatch, Store, component_id

ME, OTHER = "api_key:aaaaaaaaaa", "api_key:bbbbbbbbbb"
BINDING = """
fragment Binding on ComponentBinding {
  component { name online } alias modelConfigId state desiredVersion deliveredVersion appliedVersion
  acknowledgedVersion outcome reason message
}
"""
COMPONENTS = f"""
query ($first: Int, $after: String, $filter: ComponentFilter) {{
  components(first: $first, after: $after, filter: $filter) {{
    edges {{ cursor node {{
      id instanceId name kind libraryVersion labels subject online connectedAt disconnectedAt
      bindings(first: 2) {{ edges {{ node {{ ...Binding }} }} pageInfo {{ hasNextPage endCursor }} }}
    }} }}
    pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
  }}
}} {BINDING}"""
FLEET = f"""
query ($first: Int = 50, $after: String) {{
  modelConfigs(first: 20) {{ edges {{ node {{
    alias
    rollout {{ version applied refused pending offline reasons {{ reason components }} }}
    components(first: $first, after: $after) {{
      edges {{ cursor node {{ ...Binding }} }} pageInfo {{ hasNextPage endCursor }}
    }}
  }} }} }}
}} {BINDING}"""
ACKNOWLEDGE = """
mutation ($input: AcknowledgeModelConfigInput!) {
  acknowledgeModelConfig(input: $input) {
    __typename ... on AcknowledgeModelConfigPayload { id version outcome } ... on UserError { message path }
  }
}"""
DELETE = f"""
mutation ($input: DeleteModelConfigInput!) {{
  deleteModelConfig(input: $input) {{
    __typename ... on UserError {{ message path }} ... on InUse {{ components {{ ...Binding }} }}
  }}
}} {BINDING}"""


def component(name: str, subject: str = ME, **fields: Any) -> Component:
    id_ = component_id(subject, f"i-{name}")
    now = datetime.now(UTC)
    return Component(id=id_, instance_id=f"i-{name}", name=name, subject=subject, connected_at=now, **fields)


def bound(to: Component, config: dict[str, Any]) -> Bound:
    return Bound(
        component_id=to.id,
        reference=f"alias:{config['alias']}",
        alias=config["alias"],
        config_id=config["id"],
        delivered_version=config["version"],
    )


class Servers:
    """What servers note in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, server: str = "a", **given: Any) -> None:
        now = datetime.now(UTC)
        batch = PresenceBatch(server=server, at=now, lease_until=now + timedelta(hours=1), **given)
        await self._store.components.write(batch)


@pytest.fixture
def servers(store: Store) -> Servers:
    return Servers(store)


@pytest.fixture
async def presence(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Presence]:
    monkeypatch.setattr(module, "BATCH_SECONDS", 0.001)
    presence = Presence(store, lease_seconds=60)
    async with presence.written():
        yield presence


@pytest.fixture
def reporter(client: Any, presence: Presence) -> Any:
    """A client of a server that takes acknowledgements."""
    return client.having(reports=presence)


async def acknowledge(client: Any, name: str, config: dict[str, Any], **given: Any) -> dict[str, Any]:
    wanted = {"instanceId": f"i-{name}", "id": config["id"], "version": config["version"], "outcome": "APPLIED"}
    answer: dict[str, Any] = await client.mutate(ACKNOWLEDGE, **{**wanted, **given})
    return answer


async def fleet(client: Any, **variables: Any) -> dict[str, Any]:
    edges = (await client.run(FLEET, **variables))["modelConfigs"]["edges"]
    return {edge["node"]["alias"]: edge["node"] for edge in edges}


async def names(client: Any, **variables: Any) -> list[str]:
    return [edge["node"]["name"] for edge in (await client.run(COMPONENTS, **variables))["components"]["edges"]]


async def test_a_component_is_shown_with_what_it_uses(client: Any, servers: Servers) -> None:
    configs = [await client.create(alias, provider="openai", model="m") for alias in "xyz"]
    one = component("one", kind="agent", library_version="1.0", labels={"zone": "a"})
    await servers.note(connected=[one], bound=[bound(one, config) for config in configs])
    ((edge,), info) = (await client.run(COMPONENTS))["components"].values()
    node = edge["node"]
    bindings = node.pop("bindings")
    assert node == {
        "id": one.id,
        "instanceId": "i-one",
        "name": "one",
        "kind": "agent",
        "libraryVersion": "1.0",
        "labels": {"zone": "a"},
        "subject": ME,
        "online": True,
        "connectedAt": one.connected_at.isoformat(),
        "disconnectedAt": None,
    }
    assert info == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": edge["cursor"],
        "endCursor": edge["cursor"],
    }
    assert [each["node"]["alias"] for each in bindings["edges"]] == ["x", "y"]
    assert bindings["pageInfo"]["hasNextPage"]
    assert bindings["edges"][0]["node"] == {
        "component": {"name": "one", "online": True},
        "alias": "x",
        "modelConfigId": configs[0]["id"],
        "state": "PENDING",
        "desiredVersion": 1,
        "deliveredVersion": 1,
        "appliedVersion": None,
        "acknowledgedVersion": None,
        "outcome": None,
        "reason": None,
        "message": None,
    }


async def test_lists_are_narrowed_and_paged(client: Any, servers: Servers) -> None:
    config = await client.create("x")
    fleet_ = [component(f"c{number}", kind="agent" if number % 2 else None) for number in range(5)]
    await servers.note(connected=fleet_, bound=[bound(fleet_[0], config)])
    await servers.note(gone=[fleet_[1].id])
    assert await names(client, filter={"kind": "agent"}) == ["c1", "c3"]
    assert await names(client, filter={"online": False}) == ["c1"]
    assert await names(client, filter={"alias": "x", "name": "c0", "kind": None}) == ["c0"]
    assert await names(client, filter={"name": "c0\x00"}) == []
    page = (await client.run(COMPONENTS, first=3))["components"]
    assert page["pageInfo"]["hasNextPage"]
    rest = (await client.run(COMPONENTS, first=3, after=page["pageInfo"]["endCursor"]))["components"]
    assert [edge["node"]["name"] for edge in rest["edges"]] == ["c3", "c4"]
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
    for wrong in ({"first": 0}, {"first": 101}, {"after": "nonsense"}):
        with client.refused("BAD_USER_INPUT"):
            await client.run(COMPONENTS, **wrong)


async def test_a_page_of_configs_costs_two_queries_for_all_of_its_components(
    client: Any, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [await client.create(f"x{number}") for number in range(10)]
    one, two = component("one"), component("two")
    await servers.note(connected=[one, two], bound=[bound(each, config) for each in (one, two) for config in configs])
    components = client.store.components
    asked: list[int] = []

    def counted(name: str) -> None:
        method = getattr(components, name)

        async def count(*args: Any, **given: Any) -> Any:
            asked.append(len(args[-1]))
            return await method(*args, **given)

        monkeypatch.setattr(components, name, count)

    for name in ("bindings", "rollouts"):
        counted(name)
    found = await fleet(client, first=1)
    # The default aliases are there too.
    assert asked == [12, 12]
    for node in (found[config["alias"]] for config in configs):
        assert [edge["node"]["component"]["name"] for edge in node["components"]["edges"]] == ["one"]
        assert (node["rollout"]["pending"], node["components"]["pageInfo"]["hasNextPage"]) == (2, True)
        behind = node["components"]["pageInfo"]["endCursor"]
    last = (await fleet(client, after=behind))["x9"]
    assert [edge["node"]["component"]["name"] for edge in last["components"]["edges"]] == ["two"]


async def test_a_rollout_follows_what_components_say(client: Any, reporter: Any, servers: Servers) -> None:
    config = await client.create("x", provider="openai", model="m")
    crew = [component(f"c{number}") for number in range(4)]
    await servers.note(connected=crew, bound=[bound(each, config) for each in crew])
    await servers.note(gone=[crew[3].id])
    said = await acknowledge(reporter, "c0", config)
    assert said == {
        "__typename": "AcknowledgeModelConfigPayload",
        "id": config["id"],
        "version": 1,
        "outcome": "APPLIED",
    }
    await acknowledge(reporter, "c1", config, outcome="REFUSED", reason="missing_secret", message="a\nb\x00 c" * 500)
    node = (await fleet(client))["x"]
    assert node["rollout"] == {
        "version": 1,
        "applied": 1,
        "refused": 1,
        "pending": 1,
        "offline": 1,
        "reasons": [{"reason": "missing_secret", "components": 1}],
    }
    bindings = [edge["node"] for edge in node["components"]["edges"]]
    assert [each["state"] for each in bindings] == ["APPLIED", "REFUSED", "PENDING", "OFFLINE"]
    message = bindings[1]["message"]
    assert (message[:7], len(message), message[-1]) == ("a b ca ", 1000, "…")
    await client.update(config, model="n")
    rollout = (await fleet(client))["x"]["rollout"]
    assert (rollout["version"], rollout["applied"], rollout["pending"], rollout["reasons"]) == (2, 0, 3, [])
    assert (await fleet(client))["x"]["components"]["edges"][0]["node"]["appliedVersion"] == 1


async def test_nobody_speaks_for_the_component_of_another(client: Any, reporter: Any, servers: Servers) -> None:
    config = await client.create("x", provider="openai", model="m")
    mine, theirs = component("mine"), component("theirs", OTHER)
    await servers.note(connected=[mine, theirs], bound=[bound(mine, config), bound(theirs, config)])
    for name in ("theirs", "nobody"):
        answer = await acknowledge(reporter, name, config)
        assert (answer["__typename"], answer["path"]) == ("NotFound", ["input", "instanceId"])
    node = (await fleet(client))["x"]
    assert node["rollout"]["pending"] == 2


@pytest.mark.parametrize(("ago", "counts"), [(0, 0), (3600.5, 3600.5), (1e300, 86_400)])
async def test_what_a_component_did_a_while_ago_is_shown_at_its_time(
    client: Any, reporter: Any, servers: Servers, ago: float, counts: float
) -> None:
    config = await client.create("x", provider="openai", model="m")
    one = component("one")
    await servers.note(connected=[one], bound=[bound(one, config)])
    begun = datetime.now(UTC)
    await acknowledge(reporter, "one", config, secondsAgo=ago)
    ended = datetime.now(UTC)
    shown = await client.run(
        "{ components(first: 1) { edges { node { bindings { edges { node { acknowledgedAt } } } } } } }"
    )
    (binding,) = shown["components"]["edges"][0]["node"]["bindings"]["edges"]
    at = datetime.fromisoformat(binding["node"]["acknowledgedAt"]) + timedelta(seconds=counts)
    assert begun <= at <= ended


@pytest.mark.parametrize(
    ("given", "error", "path"),
    [
        ({"version": 2}, "InvalidInput", "version"),
        ({"version": 0}, "InvalidInput", "version"),
        ({"version": -1}, "InvalidInput", "version"),
        ({"id": "nothing"}, "NotFound", "id"),
        ({"id": "\x00"}, "NotFound", "id"),
        ({"instanceId": "\ud800"}, "NotFound", "instanceId"),
        ({"reason": "Has Blanks"}, "InvalidInput", "reason"),
        ({"reason": ""}, "InvalidInput", "reason"),
        ({"reason": "a" * 101}, "InvalidInput", "reason"),
        ({"secondsAgo": -0.1}, "InvalidInput", "secondsAgo"),
    ],
)
async def test_what_cannot_be_is_refused(
    client: Any, reporter: Any, servers: Servers, given: dict[str, Any], error: str, path: str
) -> None:
    config = await client.create("x", provider="openai", model="m")
    one = component("one")
    await servers.note(connected=[one], bound=[bound(one, config)])
    answer = await acknowledge(reporter, "one", config, **given)
    assert (answer["__typename"], answer["path"]) == (error, ["input", path])
    assert (await fleet(client))["x"]["rollout"]["pending"] == 1


async def test_a_config_that_is_used_is_deleted_by_force_alone(client: Any, client_with: Any, servers: Servers) -> None:
    config = await client.create("x", provider="openai", model="m")
    one, two = component("one"), component("two")
    await servers.note(connected=[one, two], bound=[bound(one, config), bound(two, config)])
    await servers.note(gone=[two.id])
    before = await client.everything()
    wanted = {"id": config["id"], "expectedVersion": 1}
    answer = await client.mutate(DELETE, **wanted)
    assert (answer["__typename"], answer["path"]) == ("InUse", ["input", "id"])
    assert [each["component"]["name"] for each in answer["components"]] == ["one"]
    writer = client_with(Scope.MODEL_CONFIG_WRITE)
    answer = await writer.mutate(DELETE, **wanted)
    assert (answer["__typename"], answer["components"]) == ("InUse", [])
    assert await client.everything() == before
    assert (await client.mutate(DELETE, **wanted, force=True))["__typename"] == "DeleteModelConfigPayload"
    unused = await client.create("y")
    wanted = {"id": unused["id"], "expectedVersion": 1, "force": False}
    assert (await client.mutate(DELETE, **wanted))["__typename"] == "DeleteModelConfigPayload"


async def test_each_of_it_needs_its_scope(client: Any, client_with: Any, presence: Presence, servers: Servers) -> None:
    config = await client.create("x", provider="openai", model="m")
    one = component("one")
    await servers.note(connected=[one], bound=[bound(one, config)])
    blind = client_with(*(ALL_SCOPES - {Scope.COMPONENT_READ}))
    with blind.refused("FORBIDDEN"):
        await blind.run(COMPONENTS)
    for field in ("rollout { version }", "components { pageInfo { hasNextPage } }"):
        with blind.refused("FORBIDDEN"):
            await blind.run(f'{{ modelConfig(by: {{alias: "x"}}) {{ {field} }} }}')
    mute = client_with(*(ALL_SCOPES - {Scope.COMPONENT_REPORT})).having(reports=presence)
    with mute.refused("FORBIDDEN"):
        await acknowledge(mute, "one", config)
    assert (await fleet(client))["x"]["rollout"]["pending"] == 1


async def test_who_is_bound_to_aliases_sees_and_says_nothing_of_others(
    client: Any, client_with: Any, presence: Presence, servers: Servers
) -> None:
    x, y = [await client.create(alias, provider="openai", model="m") for alias in "xy"]
    both, other = component("both"), component("other")
    await servers.note(connected=[both, other], bound=[bound(both, x), bound(both, y), bound(other, y)])
    for pattern in ("x", "x*"):
        narrow = client_with(aliases=(pattern,)).having(reports=presence)
        (edge,) = (await narrow.run(COMPONENTS))["components"]["edges"]
        assert edge["node"]["name"] == "both"
        assert [each["node"]["alias"] for each in edge["node"]["bindings"]["edges"]] == ["x"]
        assert await names(narrow, filter={"alias": "y"}) == []
        answer = await acknowledge(narrow, "both", y)
        assert (answer["__typename"], answer["path"]) == ("NotFound", ["input", "id"])
    assert (await acknowledge(narrow, "both", x))["__typename"] == "AcknowledgeModelConfigPayload"
    assert [(await fleet(client))[alias]["rollout"]["applied"] for alias in "xy"] == [1, 0]


async def test_a_server_without_a_database_says_so(client: Any, reporter: Any, servers: Servers) -> None:
    config = await client.create("x", provider="openai", model="m")
    await servers.note(connected=[component("one")])
    await client.store.close()
    for attempt in (client.run(COMPONENTS), acknowledge(reporter, "one", config)):
        with client.refused("UNAVAILABLE"):
            await attempt


async def test_what_was_said_before_is_not_said_again_by_an_older_version(
    client: Any, reporter: Any, servers: Servers
) -> None:
    config = await client.create("x", provider="openai", model="m")
    one = component("one")
    await servers.note(connected=[one], bound=[bound(one, config)])
    newer = (await client.update(config, model="n"))["modelConfig"]
    await acknowledge(reporter, "one", newer)
    await acknowledge(reporter, "one", config, outcome="REFUSED", reason="late")
    node = (await fleet(client))["x"]["components"]["edges"][0]["node"]
    assert (node["state"], node["acknowledgedVersion"], node["reason"]) == ("APPLIED", 2, None)
