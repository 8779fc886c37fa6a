"""Who may do what: the table of docs/security.md, and for each of its rows an operation that tries it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authorisation_world import World

NOTHING, CREDENTIAL = "nothing", "a credential"

ErrorPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Row:
    """`needs` are scopes, NOTHING or CREDENTIAL; `others` what becomes of aliases that a key is not bound to."""

    needs: frozenset[str]
    others: frozenset[str]

    @property
    def scopes(self) -> frozenset[str]:
        return self.needs - {NOTHING, CREDENTIAL}


def _table() -> dict[str, Row]:
    page = (Path(__file__).parents[1] / "docs" / "security.md").read_text()
    _, _, rows = page.partition("| field | needs |")
    found = {}
    for line in re.findall(r"^\| `\w+\.\w+` \|.*$", rows, re.MULTILINE):
        field, needs, others = (cell.strip() for cell in line.strip("|").split("|"))
        words = frozenset(re.findall(r"`([a-z_]+:[a-z]+)`", needs)) or {needs}
        found[field.strip("`")] = Row(words, frozenset(filter(None, others.split(", "))))
    return found


TABLE: Mapping[str, Row] = _table()


@dataclass(frozen=True)
class Probe:
    """An operation, the rows that it passes on its way, each with the path of its refusal, and its variable `input`.

    `good` are the types of an answer that was not refused, or the code of an error that is for another reason.
    """

    document: str
    way: tuple[tuple[str, ErrorPath], ...]
    given: Callable[[World], Awaitable[Any]] | None = None
    good: frozenset[str] = frozenset()

    @property
    def row(self) -> str:
        """The row that it tries."""
        return self.way[-1][0]

    @property
    def is_subscription(self) -> bool:
        return self.row.startswith("Subscription.") or self.document.startswith("subscription")

    def refusal(self, scopes: frozenset[str]) -> tuple[ErrorPath, str] | None:
        """Where somebody with these scopes is refused, and for want of which; None when nowhere."""
        for row, path in self.way:
            for scope in sorted(TABLE[row].scopes - scopes):
                return path, scope
        return None


def _query(row: str, selection: str, *deeper: tuple[str, ErrorPath], **options: Any) -> Probe:
    name = row.partition(".")[2]
    return Probe(f"{{ {name}{selection} }}", ((row, (name,)), *deeper), **options)


def _mutation(
    name: str, given: Callable[[World], Awaitable[Any]], *deeper: tuple[str, ErrorPath], shown: str = ""
) -> Probe:
    kind, good = name[0].upper() + name[1:], frozenset({f"{name[0].upper()}{name[1:]}Payload"})
    document = f"""mutation ($input: {kind}Input!) {{ {name}(input: $input) {{
      __typename {shown} ... on UserError {{ message path }} }} }}"""
    if name == "signOut":
        good |= {"InvalidInput"}  # what has no session cannot leave it
    if name == "acknowledgeModelConfig":
        good |= {"NotFound"}  # who asks has no component
    return Probe(document, ((f"Mutation.{name}", (name,)), *deeper), given, good)


def _constant(**given: Any) -> Callable[[World], Awaitable[Any]]:
    async def constant(_: World) -> dict[str, Any]:
        return given

    return constant


def _of(alias: str, **more: Any) -> Callable[[World], Awaitable[Any]]:
    async def given(world: World) -> dict[str, Any]:
        config = await world.config(alias)
        return {"id": config.id, "expectedVersion": config.version, **more}

    return given


def _new(alias: str, given: Mapping[str, Any]) -> Callable[[World], Awaitable[Any]]:
    async def unused(world: World) -> dict[str, Any]:
        await world.forget(alias)
        return dict(given)

    return unused


async def _id(world: World) -> str:
    return (await world.config("changed")).id


async def _changed(world: World) -> dict[str, Any]:
    config = await world.config("changed")
    return {"id": config.id, "expectedVersion": config.version, "description": f"after {config.version}"}


async def _rolled_back(world: World) -> dict[str, Any]:
    config = await world.config("rolled back")
    return {"id": config.id, "expectedVersion": config.version, "toVersion": config.version - 1}


async def _tested(world: World) -> dict[str, Any]:
    # Its key is a reference, which nobody resolves here, so that no call is made.
    return {"id": (await world.config("tested")).id}


async def _revoked(world: World) -> dict[str, Any]:
    # It has no scopes, so that nothing but the scope of who revokes it counts.
    return {"id": (await world.key((), name="to be revoked")).id}


async def _acknowledged(world: World) -> dict[str, Any]:
    config = await world.config("changed")
    return {"instanceId": "none", "id": config.id, "version": config.version, "outcome": "APPLIED"}


async def _signing_in(world: World) -> dict[str, Any]:
    return {"apiKey": world.visitor_key}


async def _refreshing(world: World) -> dict[str, Any]:
    return {"refreshToken": (await world.sign_in(world.visitor_key))["refreshToken"]}


_FILE = json.dumps({"model_list": [{"model_name": "imported", "litellm_params": {"model": "openai/m"}}]})
_IMPORTED = _new("imported", {"content": _FILE})
_PRUNING = _constant(content="modelwire: 1\nmodel_configs: {}", dryRun=True, prune=True)
_BY = 'by: {alias: "general"}'
_NOT_FOR_THE_WRONG_REASON = frozenset({"BAD_USER_INPUT"})
_WATCH = ("Subscription.modelConfigChanged", ("modelConfigChanged",))


def _of_config(field: str, selection: str = "") -> Probe:
    name = field.partition(".")[2]
    deeper = (field, ("modelConfig", name))
    return _query("Query.modelConfig", f"({_BY}) {{ alias {name}{selection} }}", deeper)


PROBES: tuple[Probe, ...] = (
    _query("Query.viewer", " { subject }"),
    Probe("query ($input: ID!) { node(id: $input) { id } }", (("Query.node", ("node",)),), _id),
    _query("Query.modelConfig", f"({_BY}) {{ alias }}"),
    _query("Query.modelConfigs", " { edges { node { alias } } }"),
    _query("Query.modelConfigExport", " { content }"),
    _query("Query.setupStatus", " { missing }"),
    _query("Query.providers", " { name }"),
    _query("Query.provider", '(name: "openai") { name }'),
    _query("Query.auditLog", "(first: 1) { edges { cursor } }"),
    _query("Query.components", "(first: 1) { edges { cursor } }"),
    _query(
        "Query.components",
        "(first: 1) { edges { node { bindings { edges { cursor } } } } }",
        ("Component.bindings", ("components", "edges", 0, "node", "bindings")),
    ),
    _query("Query.apiKeys", "(first: 1) { edges { cursor } }"),
    _mutation("createModelConfig", _new("created", {"alias": "created"})),
    _mutation("updateModelConfig", _changed),
    _mutation("deleteModelConfig", _of("deleted")),
    _mutation("rollbackModelConfig", _rolled_back),
    _mutation("importModelConfigs", _IMPORTED),
    _mutation("importModelConfigs", _PRUNING, ("ImportModelConfigsInput.prune", ("importModelConfigs",))),
    _mutation("testModelConfig", _tested),
    _mutation("acknowledgeModelConfig", _acknowledged),
    _mutation("createApiKey", _constant(name="made", scopes=["api_key:admin"])),
    _mutation("revokeApiKey", _revoked),
    _mutation("signIn", _signing_in),
    _mutation("refreshSession", _refreshing),
    Probe("subscription { modelConfigChanged { revision } }", (_WATCH,)),
    Probe(
        "subscription { componentChanged { complete } }", (("Subscription.componentChanged", ("componentChanged",)),)
    ),
    _of_config("ModelConfig.litellmParams"),
    _of_config("ModelConfig.history", " { edges { node { version } } }"),
    _of_config("ModelConfig.components", " { edges { cursor } }"),
    _of_config("ModelConfig.rollout", " { version }"),
    _of_config("ModelConfig.litellmModel"),
    _of_config("ModelConfig.revision"),
    # The same fields, reached by who may not read but write, and by who watches.
    _mutation(
        "updateModelConfig",
        _of("changed"),
        ("ModelConfig.history", ("updateModelConfig", "modelConfig", "history")),
        shown="... on UpdateModelConfigPayload { modelConfig { history { edges { cursor } } } }",
    ),
    _mutation(
        "updateModelConfig",
        _of("changed"),
        ("ModelConfig.litellmParams", ("updateModelConfig", "modelConfig", "litellmParams")),
        shown="... on UpdateModelConfigPayload { modelConfig { litellmParams } }",
    ),
    Probe(
        f"subscription {{ modelConfigChanged({_BY.replace('by: ', 'by: [').replace('}', '}]')}) {{ "
        "... on ModelConfigSnapshot { modelConfigs { litellmParams } } } }",
        (_WATCH, ("ModelConfig.litellmParams", ("modelConfigChanged", "modelConfigs", 0, "litellmParams"))),
    ),
    _mutation(
        "importModelConfigs",
        _constant(content=_FILE, dryRun=True),
        ("ImportEntry.changes", ("importModelConfigs", "entries", 0, "changes")),
        shown="... on ImportModelConfigsPayload { entries { changes { path } } }",
    ),
    _query(
        "Query.provider",
        f'(name: "openai") {{ supportedParams(model: "{"x" * 300}") }}',
        ("Provider.supportedParams", ("provider", "supportedParams")),
        good=_NOT_FOR_THE_WRONG_REASON,
    ),
    _query(
        "Query.provider",
        '(name: "openai") { models(using: {modelConfig: "none"}) { source } }',
        ("Provider.models", ("provider", "models")),
        good=_NOT_FOR_THE_WRONG_REASON,
    ),
    _query(
        "Query.provider",
        '(name: "openai") { models(using: {modelConfig: "none"}) { source } }',
        ("Provider.models", ("provider", "models")),
        ("ProviderConnectionInput.modelConfig", ("provider", "models")),
        good=_NOT_FOR_THE_WRONG_REASON,
    ),
    # The last one: it ends the session that it is sent with.
    _mutation("signOut", _constant()),
)
