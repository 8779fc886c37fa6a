"""Imports that prune, that keep to a plan, and that are the whole of each config: what is done, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwire.resolvers import model_configs
from modelwire.resolvers.access import ALL_SCOPES, Context, Scope
from modelwire.resolvers.differences import FieldChange
from modelwire.resolvers.errors import Forbidden, InvalidInput, RevisionConflict
from modelwire.resolvers.inputs import AuthInput, ModelConfigInput
from modelwire.resolvers.model_config_import import ImportAction, Imported, ImportRequest, import_model_configs
from modelwire.store import AliasPatterns, AuthType, ModelConfig, Secrets, Selector

SAM = Path(__file__).parents[2] / "data" / "sam" / "shared_config.yaml"
CANARY = "canary-5f1d-long-enough-for-a-hint"
NONE_SEALED = "the file says that {} is sealed here, and nothing is: set it with `modelwire set` or updateModelConfig"
DROPPED = "stored credentials were dropped, because the provider, the kind of auth or the address changed"

SEALED = ModelConfigInput(
    alias="m",
    description="text",
    provider="openai",
    model="gpt-4o",
    api_base="https://h/v1",
    auth=AuthInput(type=AuthType.API_KEY, values={"api_key": CANARY}),
    params={"temperature": 0.5, "extra_headers": {"x": CANARY}},
    max_input_tokens=5,
)
SAME = """
  m:
    description: text
    provider: openai
    model: gpt-4o
    api_base: https://h/v1
    auth: {type: api_key, sealed: [api_key]}
    params: {temperature: 0.5}
    sealed_params: [extra_headers]
    max_input_tokens: 5
"""


async def apply(context: Context, configs: str, **request: Any) -> Imported:
    content = f"modelwire: 1\nmodel_configs:{configs or ' {}'}"
    return await import_model_configs(context, ImportRequest(content=content, **request))


async def stored(context: Context) -> dict[str, ModelConfig]:
    return {config.alias: config for config in (await context.store.snapshot(Selector())).configs}


def actions(imported: Imported) -> dict[str, str]:
    return {entry.alias: entry.action.value for entry in imported.entries}


async def only(imported: Imported) -> tuple[ImportAction, str | None, tuple[FieldChange, ...]]:
    (entry,) = imported.entries
    return entry.action, entry.reason, entry.changes


async def test_what_is_named_as_sealed_stays(context: Context) -> None:
    await model_configs.create(context, SEALED)

    assert await only(await apply(context, SAME)) == (ImportAction.UNCHANGED, None, ())
    config = (await stored(context))["m"]
    assert config.version == 1
    assert context.store.open_secrets(config) == Secrets(
        auth={"api_key": CANARY}, params={"extra_headers": {"x": CANARY}}
    )


async def test_what_is_left_out_is_cleared(context: Context) -> None:
    await model_configs.create(context, SEALED)

    action, reason, changes = await only(await apply(context, "\n  m: {provider: openai, model: gpt-4o}"))

    assert action is ImportAction.UPDATE
    assert [(each.path, each.before, each.after, each.secret) for each in changes] == [
        (("auth", "type"), "apiKey", "none", False),
        (("description",), "text", None, False),
        (("apiBase",), "https://h/v1", None, False),
        (("maxInputTokens",), 5, None, False),
        (("auth", "apiKey"), None, None, True),
        (("params", "temperature"), 0.5, None, False),
        (("params", "extra_headers"), None, None, True),
    ]
    assert CANARY not in repr(changes)
    assert reason == DROPPED
    config = (await stored(context))["m"]
    assert (config.description, config.api_base, config.params, config.sealed_params) == (None, None, {}, ())
    assert not context.store.open_secrets(config)


async def test_a_secret_that_is_not_named_is_cleared_alone(context: Context) -> None:
    await model_configs.create(context, SEALED)

    changed = SAME.replace(", sealed: [api_key]", "").replace("    sealed_params: [extra_headers]\n", "")
    action, reason, changes = await only(await apply(context, changed))

    assert (action, reason) == (ImportAction.UPDATE, None)
    assert [(each.path, each.secret) for each in changes] == [
        (("auth", "apiKey"), True),
        (("params", "extra_headers"), True),
    ]
    assert not context.store.open_secrets((await stored(context))["m"])


async def test_a_secret_does_not_follow_a_file_to_another_host(context: Context) -> None:
    await model_configs.create(context, SEALED)

    action, reason, _ = await only(await apply(context, SAME.replace("https://h/", "https://other/")))

    assert (action, reason) == (ImportAction.UPDATE, DROPPED)
    assert not context.store.open_secrets((await stored(context))["m"])


async def test_a_reference_takes_the_place_of_a_sealed_secret(context: Context) -> None:
    await model_configs.create(context, SEALED)

    changed = SAME.replace("sealed: [api_key]", "api_key: os.environ/X_API_KEY")
    _, _, changes = await only(await apply(context, changed))

    assert changes == (FieldChange(path=("auth", "apiKey"), before=None, after="os.environ/X_API_KEY", secret=True),)
    assert "api_key" not in context.store.open_secrets((await stored(context))["m"]).auth


async def test_a_new_config_says_which_secrets_it_is_missing(context: Context) -> None:
    imported = await apply(context, SAME)

    action, reason, changes = await only(imported)
    assert (action, reason) == (ImportAction.CREATE, NONE_SEALED.format("auth.apiKey, params.extra_headers"))
    assert FieldChange(path=("params", "temperature"), before=None, after=0.5) in changes
    assert await only(await apply(context, SAME)) == (ImportAction.UNCHANGED, reason, ())


async def test_anything_wrong_refuses_the_whole_file(context: Context) -> None:
    with pytest.raises(InvalidInput) as caught:
        await apply(context, "\n  a: {provider: openai, model: x}\n  b:\n    params: {no-log: true}\n", prune=True)

    assert caught.value.message == (
        "line 4: b: params must not contain 'no-log': its names are LiteLLM's keyword arguments, letters, digits and "
        "_, no digit first"
    )
    assert caught.value.path == ("input", "content")
    assert await context.store.revision() == 1


async def test_prune_deletes_what_the_file_does_not_name(context: Context) -> None:
    for alias in ("a", "b", "planning-2"):
        await model_configs.create(context, replace(SEALED, alias=alias))
    content = "\n  b: {provider: openai, model: x}\n  c: {provider: openai, model: y}"

    planned = await apply(context, content, prune=True, dry_run=True)
    assert (await context.store.revision(), planned.position) == (4, None)
    applied = await apply(context, content, prune=True, expected_revision=str(planned.base))

    assert planned.entries == applied.entries
    assert actions(applied) == {
        "b": "update",
        "c": "create",
        "a": "delete",
        "general": "unchanged",
        "planning": "unchanged",
        "planning-2": "delete",
    }
    assert sorted(await stored(context)) == ["b", "c", "general", "planning"]
    assert applied.position is not None
    assert (applied.base.revision, applied.position.revision) == (4, 5)
    assert {config.revision for config in (await stored(context)).values()} == {1, 5}
    assert CANARY not in repr(applied)
    reasons = {entry.alias: entry.reason for entry in applied.entries}
    assert reasons["general"] == (
        "the file does not name it; it stays as it is, because components count on a default alias"
    )


async def test_without_prune_nothing_is_deleted(context: Context) -> None:
    await model_configs.create(context, SEALED)

    assert actions(await apply(context, "")) == {}
    assert sorted(await stored(context)) == ["general", "m", "planning"]


async def test_an_entry_that_is_skipped_keeps_its_config(context: Context) -> None:
    await model_configs.create(context, SEALED)
    content = "model_list:\n- {model_name: m, litellm_params: {model: 'openai/*'}}"

    imported = await import_model_configs(context, ImportRequest(content=content, prune=True))

    assert actions(imported)["m"] == "skip"
    assert "m" in await stored(context)


async def test_prune_leaves_what_the_caller_may_not_see(context: Context) -> None:
    for alias in ("team-a/x", "team-a/y", "team-b/x"):
        await model_configs.create(context, replace(SEALED, alias=alias))
    bound = replace(context, principal=replace(context.principal, aliases=AliasPatterns(("team-a/*",))))

    applied = await apply(bound, "\n  team-a/y: {}", prune=True)

    assert actions(applied) == {"team-a/y": "update", "team-a/x": "delete"}
    assert sorted(await stored(context)) == ["general", "planning", "team-a/y", "team-b/x"]
    with pytest.raises(Forbidden):
        await apply(bound, "\n  team-b/x: {}", prune=True)


@pytest.mark.parametrize("missing", [Scope.MODEL_CONFIG_READ, Scope.MODEL_CONFIG_WRITE])
async def test_prune_needs_the_rights_to_read_and_to_write(context: Context, missing: Scope) -> None:
    principal = replace(context.principal, scopes=ALL_SCOPES - {missing})
    with pytest.raises(Forbidden):
        await apply(replace(context, principal=principal), "", prune=True)
    assert await context.store.revision() == 1


@pytest.mark.parametrize("expected", ["", "nonsense", "{store}-1", "other-2", "{store}-3"])
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_plan_that_is_out_of_date_is_not_carried_out(context: Context, expected: str, dry_run: bool) -> None:
    await model_configs.create(context, SEALED)

    with pytest.raises(RevisionConflict) as caught:
        await apply(context, "", prune=True, dry_run=dry_run, expected_revision=expected.format(store=context.store.id))

    assert caught.value.path == ("input", "expectedRevision")
    assert caught.value.current.revision == 2
    assert "m" in await stored(context)


async def test_a_change_between_plan_and_deed_is_a_conflict(context: Context) -> None:
    planned = await apply(context, SAME, dry_run=True)
    await model_configs.create(context, replace(SEALED, alias="another"))

    with pytest.raises(RevisionConflict):
        await apply(context, SAME, expected_revision=str(planned.base))

    assert "m" not in await stored(context)


async def test_a_sam_file_gets_the_callers_variables_and_none_of_the_servers(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_MODEL_NAME", "openai/the-servers")
    monkeypatch.setenv("IMAGE_SERVICE_ENDPOINT", "https://the-servers")
    request = ImportRequest(content=SAM.read_text())

    imported = await import_model_configs(context, request)
    assert actions(imported) == {
        "planning": "update",
        "general": "update",
        "image_gen": "skip",
        "multimodal": "skip",
        "oauth_planning": "create",
    }

    variables = {"IMAGE_MODEL_NAME": "openai/the-callers", "IMAGE_SERVICE_ENDPOINT": "https://h"}
    imported = await import_model_configs(context, replace(request, variables=variables))
    assert actions(imported)["image_gen"] == "create"
    assert (await stored(context))["image_gen"].model == "the-callers"


@pytest.mark.parametrize("variables", [[], "text", {"A": 1}, {"A": None}, 5])
async def test_variables_that_are_none_are_refused(context: Context, variables: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        await import_model_configs(context, ImportRequest(content="models: {}", variables=variables))
    assert caught.value.path == ("input", "variables")


async def test_litellms_prefix_is_no_change_of_the_model(context: Context) -> None:
    await model_configs.create(context, ModelConfigInput(alias="m", provider="openrouter", model="openrouter/auto"))
    content = "model_list:\n- {model_name: m, litellm_params: {model: openrouter/auto}}"

    imported = await import_model_configs(context, ImportRequest(content=content))

    assert actions(imported) == {"m": "unchanged"}


def test_the_repr_of_a_request_hides_what_it_brings() -> None:
    assert CANARY not in repr(ImportRequest(content=CANARY, variables={"A": CANARY}))
