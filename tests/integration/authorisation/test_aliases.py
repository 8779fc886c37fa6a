"""Every field with credentials that are bound to aliases: what becomes of the others is what docs/security.md says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from authorisation import TABLE
from authorisation_world import Answer, World, running_world

from modelwire.resolvers.access import ALL_SCOPES
from modelwire.store import Bound as ComponentBound
from modelwire.store import Component, ModelConfigDraft, PresenceBatch

pytestmark = pytest.mark.asyncio(loop_scope="module")

# All but one, to have one that a maker of keys cannot give.
SCOPES = frozenset(scope.value for scope in ALL_SCOPES) - {"component:report"}
EXACT, GLOB = ("ours", "ours before", "ours now"), ("ou*",)
_NOW = datetime.now(UTC)
_BOTH, _OTHER = (
    Component(id=name, instance_id=name, name=name, subject="tests", connected_at=_NOW) for name in ("both", "other")
)
_FLEET = PresenceBatch(
    server="tests",
    at=_NOW,
    lease_until=_NOW + timedelta(days=1),
    connected=[_BOTH, _OTHER],
    bound=[
        ComponentBound(component_id=component.id, reference=f"alias:{alias}", alias=alias)
        for component, alias in ((_BOTH, "ours"), (_BOTH, "theirs"), (_OTHER, "theirs"))
    ],
)
ERROR = "... on UserError { message path }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running_world(tmp_path_factory.mktemp("aliases"), oidc_aliases_claim="aliases") as world:
        for alias in ("ours", "theirs"):
            await world.config(alias)
        async with world.server.services.store.transaction(by="tests") as transaction:
            moved = await transaction.create(ModelConfigDraft(alias="theirs before"))
            moved = await transaction.update(moved, ModelConfigDraft(alias="ours before"))
            await transaction.update(moved, ModelConfigDraft(alias="ours now"))
        await world.server.services.store.components.write(_FLEET)
        await world.key({"model_config:read"}, aliases=("theirs",), name="their key")
        await world.key({"model_config:read"}, name="key of all")
        await world.key({"model_config:read"}, aliases=("ours",), name="our key")
        yield world


class Bound:
    """Somebody who is bound to the aliases that begin with "ours". `forbidden` counts what they were refused."""

    def __init__(self, world: World, token: str) -> None:
        self.world = world
        self.forbidden: Counter[str] = Counter()
        self._token = token

    async def ask(self, document: str, given: Any = None) -> Answer:
        over = self.world.over_sse if document.startswith("subscription") else self.world.over_http
        answer = await over(document, f"Bearer {self._token}", {"input": given})
        for error in answer.errors:
            if error["extensions"]["code"] == "FORBIDDEN":
                self.forbidden[next(part for part in reversed(error["path"]) if isinstance(part, str))] += 1
        return answer

    async def data(self, document: str, given: Any = None) -> Any:
        answer = await self.ask(document, given)
        assert answer.errors == [], answer
        (value,) = answer.data.values()
        return value

    async def alike(self, document: str, there: Any, absent: Any, *names: tuple[str, str]) -> Answer:
        """The answer about what is there, which is the same about what is not, but for these names."""
        one, other = await self.ask(document, there), await self.ask(document, absent)
        told, expected = json.dumps([one.data, one.errors]), json.dumps([other.data, other.errors])
        for name, instead in names:
            expected = expected.replace(instead, name)
        assert told == expected
        return one

    async def refused(self, document: str, there: Any, absent: Any) -> None:
        """Refused, by the alias, whether it exists or not."""
        answer = await self.alike(document, there, absent, ("theirs", "absent"))
        assert answer.codes == ["FORBIDDEN"], answer

    async def not_found(self, document: str, there: Any, absent: Any, *names: tuple[str, str]) -> None:
        answer = await self.alike(document, there, absent, *names)
        (value,) = answer.data.values()
        assert value["__typename"] == "NotFound", answer


FIND = "query ($input: ModelConfigRef!) { modelConfig(by: $input) { alias } }"
WATCH = """subscription ($input: [ModelConfigRef!]) { modelConfigChanged(by: $input) {
  ... on ModelConfigSnapshot { reset modelConfigs { alias } } } }"""
FLEET = """subscription ($input: [ModelConfigRef!]) { componentChanged(by: $input) {
  complete rollouts { alias } ... on ComponentSnapshot { components { component { name } bindings { alias } } } } }"""
MODELS = """query ($input: ID) { provider(name: "openai") {
  models(using: {modelConfig: $input, apiBase: "http://127.0.0.1:9", auth: {none: true}}) { source } } }"""
HISTORY = (
    '{ modelConfig(by: {alias: "ours now"}) { history { edges { node { version baseline changes { after } } } } } }'
)


def mutation(name: str, shown: str = "") -> str:
    kind = name[0].upper() + name[1:]
    return f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ __typename {shown} {ERROR} }} }}"


async def node(bound: Bound) -> None:
    document = "query ($input: ID!) { node(id: $input) { id } }"
    assert (await bound.alike(document, await theirs(bound), "none")).data == {"node": None}
    assert (await bound.data(document, await ours(bound)))["id"] == await ours(bound)


async def config_by_alias(bound: Bound) -> None:
    await bound.refused(FIND, {"alias": "theirs"}, {"alias": "absent"})
    assert await bound.data(FIND, {"alias": "ours"}) == {"alias": "ours"}


async def config_by_id(bound: Bound) -> None:
    assert (await bound.alike(FIND, {"id": await theirs(bound)}, {"id": "none"})).data == {"modelConfig": None}


async def configs(bound: Bound) -> None:
    document = "query ($input: ModelConfigFilter) { modelConfigs(filter: $input) { edges { node { alias } } } }"
    for given in (None, {"search": "s"}, {"provider": "openai"}):
        edges = (await bound.data(document, given))["edges"]
        aliases = {edge["node"]["alias"] for edge in edges}
        assert aliases == {"ours"} | (set() if given == {"provider": "openai"} else {"ours now"})


async def exported(bound: Bound) -> None:
    for format_ in ("MODELWIRE", "LITELLM"):
        content = (await bound.data(f"{{ modelConfigExport(format: {format_}) {{ content }} }}"))["content"]
        assert ("ours" in content, "theirs" in content, "general" in content) == (True, False, False)


async def setup(bound: Bound) -> None:
    assert await bound.data("{ setupStatus { configured missing } }") == {"configured": True, "missing": []}


async def audit(bound: Bound) -> None:
    answer = await bound.ask("{ auditLog { edges { node { actor } } } }")
    assert (answer.codes, answer.data) == (["FORBIDDEN"], None)
    assert "bound" in answer.errors[0]["message"]


async def api_keys(bound: Bound) -> None:
    edges = (await bound.data("{ apiKeys(first: 100) { edges { node { name } } } }"))["edges"]
    assert {edge["node"]["name"] for edge in edges} - {"tests"} == {"our key"}


async def create(bound: Bound) -> None:
    await bound.refused(mutation("createModelConfig"), {"alias": "theirs"}, {"alias": "absent"})


async def update(bound: Bound) -> None:
    document = mutation("updateModelConfig")
    await bound.not_found(document, {"id": await theirs(bound), "expectedVersion": 2}, absent(expectedVersion=2))
    await bound.not_found(document, {"id": await theirs(bound), "expectedVersion": 9}, absent(expectedVersion=9))


async def rename(bound: Bound) -> None:
    document, config = mutation("updateModelConfig"), {"id": await ours(bound), "expectedVersion": 2}
    await bound.refused(document, config | {"alias": "theirs"}, config | {"alias": "absent"})


async def delete(bound: Bound) -> None:
    for version in (2, 9):
        given = {"id": await theirs(bound), "expectedVersion": version}
        await bound.not_found(mutation("deleteModelConfig"), given, absent(expectedVersion=version))


async def roll_back(bound: Bound) -> None:
    for expected, wanted in ((2, 1), (2, 9), (9, 1)):
        given = {"expectedVersion": expected, "toVersion": wanted}
        document = mutation("rollbackModelConfig")
        await bound.not_found(document, {"id": await theirs(bound), **given}, absent(**given))


async def roll_back_to_their_version(bound: Bound) -> None:
    moved = {"id": (await bound.world.config("ours now")).id, "expectedVersion": 3}
    document = mutation("rollbackModelConfig")
    await bound.not_found(document, moved | {"toVersion": 1}, moved | {"toVersion": 9}, ("version 1 ", "version 9 "))


async def import_(bound: Bound) -> None:
    def file(alias: str) -> dict[str, Any]:
        return {"content": json.dumps({"model_list": [entry("ours"), entry(alias)]})}

    def entry(alias: str) -> dict[str, Any]:
        return {"model_name": alias, "litellm_params": {"model": "openai/imported"}}

    await bound.refused(mutation("importModelConfigs"), file("theirs"), file("absent"))


async def prune(bound: Bound) -> None:
    document = mutation("importModelConfigs", "... on ImportModelConfigsPayload { entries { alias action } }")
    given = {"content": "modelwire: 1\nmodel_configs: {}", "dryRun": True, "prune": True}
    entries = (await bound.data(document, given))["entries"]
    assert {entry["alias"]: entry["action"] for entry in entries} == {"ours": "DELETE", "ours now": "DELETE"}


async def try_out(bound: Bound) -> None:
    await bound.not_found(mutation("testModelConfig"), {"id": await theirs(bound)}, {"id": "none"})


async def create_key(bound: Bound) -> None:
    document, given = mutation("createApiKey"), {"name": "made", "scopes": ["model_config:read"]}
    for aliases in (["{}"], ["ours", "{}"], ["{}*"]):
        one, other = ([alias.format(name) for alias in aliases] for name in ("theirs", "absent"))
        await bound.refused(document, given | {"aliases": one}, given | {"aliases": other})
    for aliases in (None, ["*"], ["o*"], ["ours**", "*s"]):
        assert (await bound.ask(document, given | {"aliases": aliases})).codes == ["FORBIDDEN"]


async def create_key_with_more(bound: Bound) -> None:
    given = {"name": "made", "scopes": ["model_config:read", "component:report"], "aliases": ["ours"]}
    answer = await bound.ask(mutation("createApiKey"), given)
    assert (answer.codes, "component:report" in answer.errors[0]["message"]) == (["FORBIDDEN"], True)


async def revoke(bound: Bound) -> None:
    for key in await bound.world.server.services.store.api_keys.page(first=100):
        if key.name in {"their key", "key of all", "visitor", "administrator"}:
            await bound.not_found(mutation("revokeApiKey"), {"id": key.id, "force": True}, {"id": "none"})


async def watch_by_alias(bound: Bound) -> None:
    for aliases in (["{}"], ["ours", "{}"]):
        one, other = ([{"alias": alias.format(name)} for alias in aliases] for name in ("theirs", "absent"))
        await bound.refused(WATCH, one, other)


async def watch_by_id(bound: Bound) -> None:
    answer = await bound.alike(WATCH, [{"id": await theirs(bound)}], [{"id": "none"}])
    assert answer.data == {"modelConfigChanged": {"reset": False, "modelConfigs": []}}


async def watch_all(bound: Bound) -> None:
    snapshot = await bound.data(WATCH)
    assert snapshot["reset"] is False
    assert {config["alias"] for config in snapshot["modelConfigs"]} == {"ours", "ours now"}


async def fleet_by_alias(bound: Bound) -> None:
    for aliases in (["{}"], ["ours", "{}"]):
        one, other = ([{"alias": alias.format(name)} for alias in aliases] for name in ("theirs", "absent"))
        await bound.refused(FLEET, one, other)


async def fleet_by_id(bound: Bound) -> None:
    answer = await bound.alike(FLEET, [{"id": await theirs(bound)}], [{"id": "none"}])
    assert answer.data == {"componentChanged": {"complete": True, "rollouts": [], "components": []}}


async def fleet(bound: Bound) -> None:
    snapshot = await bound.data(FLEET)
    assert {each["alias"] for each in snapshot["rollouts"]} == {"ours", "ours now"}
    (member,) = snapshot["components"]
    assert member["component"] == {"name": "both"}
    assert [each["alias"] for each in member["bindings"]] == ["ours"]


async def history(bound: Bound) -> None:
    edges = (await bound.data(HISTORY))["history"]["edges"]
    assert [(edge["node"]["version"], edge["node"]["baseline"]) for edge in edges] == [(3, False), (2, True)]
    assert "theirs" not in json.dumps(edges)


async def models(bound: Bound) -> None:
    answer = await bound.alike(MODELS, await theirs(bound), "none")
    assert answer.codes == ["BAD_USER_INPUT"]
    assert "none that you may see" in answer.errors[0]["message"]


async def components(bound: Bound) -> None:
    edges = (await bound.data("{ components { edges { node { name } } } }"))["edges"]
    assert [edge["node"]["name"] for edge in edges] == ["both"]
    assert (await bound.data('{ components(filter: {alias: "theirs"}) { edges { cursor } } }'))["edges"] == []


async def bindings(bound: Bound) -> None:
    document = "{ components { edges { node { bindings { edges { node { alias } } } } } } }"
    (edge,) = (await bound.data(document))["edges"]
    assert [each["node"]["alias"] for each in edge["node"]["bindings"]["edges"]] == ["ours"]


CASES: dict[tuple[str, str], Callable[[Bound], Awaitable[None]]] = {
    ("Query.node", "are not there"): node,
    ("Query.modelConfig", "are refused by alias"): config_by_alias,
    ("Query.modelConfig", "are not there by id"): config_by_id,
    ("Query.modelConfigs", "are left out"): configs,
    ("Query.modelConfigExport", "are left out"): exported,
    ("Query.setupStatus", "are left out"): setup,
    ("Query.auditLog", "are in it"): audit,
    ("Query.auditLog", "so all of it is refused"): audit,
    ("Query.apiKeys", "are left out: keys that open any of them"): api_keys,
    ("Query.components", "are left out"): components,
    ("Component.bindings", "are left out"): bindings,
    ("Mutation.createModelConfig", "are refused by alias"): create,
    ("Mutation.updateModelConfig", "are not there"): update,
    ("Mutation.updateModelConfig", "are refused as a new alias"): rename,
    ("Mutation.deleteModelConfig", "are not there"): delete,
    ("Mutation.rollbackModelConfig", "are not there"): roll_back,
    ("Mutation.rollbackModelConfig", "nor are versions that had one"): roll_back_to_their_version,
    ("Mutation.importModelConfigs", "are refused by alias"): import_,
    ("Mutation.importModelConfigs", "are left out by `prune`"): prune,
    ("Mutation.testModelConfig", "are not there"): try_out,
    ("Mutation.createApiKey", "are refused"): create_key,
    ("Mutation.createApiKey", "as are scopes that the maker has not"): create_key_with_more,
    ("Mutation.revokeApiKey", "are not there: keys that open any of them"): revoke,
    ("Subscription.modelConfigChanged", "are refused by alias"): watch_by_alias,
    ("Subscription.modelConfigChanged", "are not there by id"): watch_by_id,
    ("Subscription.modelConfigChanged", "are left out otherwise"): watch_all,
    ("Subscription.componentChanged", "are refused by alias"): fleet_by_alias,
    ("Subscription.componentChanged", "are not there by id"): fleet_by_id,
    ("Subscription.componentChanged", "are left out otherwise"): fleet,
    ("ModelConfig.history", "are left out: versions up to the last that had one"): history,
    ("ProviderConnectionInput.modelConfig", "are not there"): models,
}


async def ours(bound: Bound) -> str:
    return (await bound.world.config("ours")).id


async def theirs(bound: Bound) -> str:
    return (await bound.world.config("theirs")).id


def absent(**given: Any) -> dict[str, Any]:
    return {"id": "none", **given}


async def test_the_table_says_what_is_tried() -> None:
    assert set(CASES) == {(field, others) for field, row in TABLE.items() for others in row.others}


@pytest.mark.parametrize("aliases", [EXACT, GLOB], ids=["exact", "glob"])
@pytest.mark.parametrize("kind", ["key", "session", "external"])
async def test_who_is_bound_to_aliases_has_nothing_of_others(world: World, kind: str, aliases: tuple[str, ...]) -> None:
    if kind == "external":
        token = world.issuer.token(scope=" ".join(SCOPES), aliases=list(aliases))
        actor = "oidc:user-1"
    else:
        key = await world.key(SCOPES, aliases=aliases)
        token, actor = key.secret, key.subject
        if kind == "session":
            token = (await world.sign_in(key.secret))["accessToken"]
    bound = Bound(world, token)
    await world.denied()
    before = world.everything()
    for case in CASES.values():
        await case(bound)
    assert world.everything() == before
    assert await world.denied() == {(actor, field): count for field, count in bound.forbidden.items()}
