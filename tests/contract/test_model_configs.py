"""What is written is what is read, one config at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwire.store import (
    DEFAULT_ALIASES,
    AliasInUse,
    AliasPatterns,
    Auth,
    AuthType,
    ModelConfig,
    ModelConfigDraft,
    Operation,
    Secrets,
    Selector,
    Store,
)

FULL = ModelConfigDraft(
    alias="team/écrit:1.0@x",
    description="für alle",
    provider="openai",
    model="gpt-4o",
    api_base="https://example.org/v1",
    auth=Auth(type=AuthType.API_KEY, fields={"api_version": "2024"}, hints={"api_key": "6789", "token": None}),
    params={"temperature": 1.0, "seed": 1, "stop": ["a", {"b": None}], "big": 2**70, "tiny": 5e-324},
    max_input_tokens=2**31 - 1,
    secrets=Secrets(auth={"api_key": "sk-123456789"}, params={"extra_headers": {"x": "y"}}),
)


async def create(store: Store, draft: ModelConfigDraft, *, by: str = "api_key:writer") -> ModelConfig:
    async with store.transaction(by=by) as transaction:
        return await transaction.create(draft)


async def test_the_placeholders_exist_from_the_first_start_on(store: Store) -> None:
    snapshot = await store.snapshot(Selector())
    assert snapshot.revision == 1
    assert tuple(config.alias for config in snapshot.configs) == DEFAULT_ALIASES
    for config in snapshot.configs:
        assert (config.version, config.revision, config.created_by, config.updated_by) == (1, 1, "system", "system")
        assert not config.configured
        assert config.is_default
        assert store.open_secrets(config) == Secrets()
    assert {change.operation for change in await store.changes(after=0)} == {Operation.CREATE}


async def test_a_created_config_reads_back_exactly(store: Store) -> None:
    before = datetime.now(UTC)
    created = await create(store, FULL)
    assert created == await store.find(id=created.id) == await store.find(alias=FULL.alias)
    assert (created.version, created.revision, created.created_by) == (1, 2, "api_key:writer")
    assert before <= created.created_at == created.updated_at <= datetime.now(UTC)
    assert created.created_at.tzinfo is UTC
    for name in ("alias", "description", "provider", "model", "api_base", "auth", "params", "max_input_tokens"):
        assert getattr(created, name) == getattr(FULL, name), name
    assert isinstance(created.params["temperature"], float)
    assert isinstance(created.params["seed"], int)
    assert created.sealed_params == ("extra_headers",)
    assert store.open_secrets(created) == FULL.secrets


async def test_an_update_is_the_next_version_with_the_whole_new_content(store: Store) -> None:
    created = await create(store, FULL)
    async with store.transaction(by="api_key:second") as transaction:
        found = await transaction.find(id=created.id)
        assert found == created
        updated = await transaction.update(found, ModelConfigDraft(alias="plain"))
        assert await transaction.find(alias="plain") == updated
    assert updated == await store.find(id=created.id)
    assert await store.find(alias=FULL.alias) is None
    assert (updated.version, updated.revision, updated.updated_by) == (2, 3, "api_key:second")
    assert (updated.created_at, updated.created_by) == (created.created_at, "api_key:writer")
    assert (updated.params, updated.sealed_params, updated.auth, updated.provider) == ({}, (), Auth(), None)
    assert store.open_secrets(updated) == Secrets()


async def test_secrets_are_sealed_anew_for_each_version(store: Store) -> None:
    created = await create(store, FULL)
    async with store.transaction(by="x") as transaction:
        assert transaction.open_secrets(created) == FULL.secrets
        updated = await transaction.update(created, FULL)
        assert transaction.open_secrets(updated) == FULL.secrets
    assert updated.sealed != created.sealed
    assert store.open_secrets(updated) == FULL.secrets


async def test_a_deleted_alias_created_again_is_another_config(store: Store) -> None:
    first = await create(store, FULL)
    async with store.transaction(by="api_key:deleter") as transaction:
        change = await transaction.delete(first)
        assert await transaction.find(id=first.id) is None
    assert (change.operation, change.version, change.revision) == (Operation.DELETE, 2, 3)
    assert (change.previous_alias, change.config, change.by) == (FULL.alias, None, "api_key:deleter")
    second = await create(store, FULL)
    assert second.id != first.id
    assert second.version == 1
    assert await store.find(id=first.id) is None


async def test_an_alias_belongs_to_one_config(store: Store) -> None:
    taken = await create(store, ModelConfigDraft(alias="taken"))
    other = await create(store, ModelConfigDraft(alias="other"))
    async with store.transaction(by="x") as transaction:
        with pytest.raises(AliasInUse, match="'taken'"):
            await transaction.create(ModelConfigDraft(alias="taken"))
        with pytest.raises(AliasInUse):
            await transaction.update(other, ModelConfigDraft(alias="taken"))
        assert transaction.revision is None
        # Its own alias is no conflict, and neither is one that was given up in the same transaction.
        await transaction.update(taken, ModelConfigDraft(alias="free"))
        await transaction.update(other, ModelConfigDraft(alias="taken"))
    assert (await store.find(alias="taken")).id == other.id  # type: ignore[union-attr] - it is there
    assert await store.revision() == 4


async def test_aliases_are_compared_exactly(store: Store) -> None:
    aliases = ["GPT", "gpt", "gpt ", "é", "e\u0301", "ﬁ", "fi"]
    for alias in aliases:
        await create(store, ModelConfigDraft(alias=alias))
    for alias in aliases:
        found = await store.find(alias=alias)
        assert found is not None
        assert found.alias == alias


async def test_a_config_that_is_no_longer_current_cannot_be_written(store: Store) -> None:
    old = await create(store, ModelConfigDraft(alias="a"))
    async with store.transaction(by="x") as transaction:
        new = await transaction.update(old, ModelConfigDraft(alias="b"))
        with pytest.raises(ValueError, match="version 1"):
            await transaction.update(old, ModelConfigDraft(alias="c"))
        with pytest.raises(ValueError, match="version 1"):
            await transaction.delete(old)
    assert await store.find(id=old.id) == new
    async with store.transaction(by="x") as transaction:
        # It was not looked for in this transaction.
        with pytest.raises(ValueError, match="version 1"):
            await transaction.update(old, ModelConfigDraft(alias="c"))
        assert transaction.revision is None
        await transaction.delete(new)
        with pytest.raises(ValueError, match="version 2"):
            await transaction.update(new, ModelConfigDraft(alias="c"))


async def test_find_wants_exactly_one_name(store: Store) -> None:
    with pytest.raises(TypeError):
        await store.find()
    with pytest.raises(TypeError):
        await store.find(id="x", alias="y")
    assert await store.find(id="x") is None
    assert await store.find(alias="x") is None


_text = st.text(st.characters(codec="utf-8"), max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=12,
)


def _typed(value: Any) -> Any:
    """The value with the type of each number: 1, 1.0 and True are equal in Python and different in JSON."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return type(value).__name__, repr(value)


async def test_json_comes_back_as_it_was_written(store: Store) -> None:
    config = await create(store, ModelConfigDraft(alias="json"))
    written: list[dict[str, Any]] = []

    @settings(derandomize=True, max_examples=100, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(_text, _json, max_size=4))
    def collect(params: dict[str, Any]) -> None:
        written.append(params)

    collect()
    async with store.transaction(by="x") as transaction:
        for params in written:
            config = await transaction.update(
                config, ModelConfigDraft(alias="json", params=params, secrets=Secrets(params=params))
            )
            assert _typed(config.params) == _typed(params)
    changes = await store.changes(after=2)
    for params, change in zip(written, changes, strict=True):
        assert change.config is not None
        assert _typed(change.config.params) == _typed(params)
        assert _typed(store.open_secrets(change.config).params) == _typed(params)


@pytest.mark.parametrize("params", [{"x": float("nan")}, {"x": float("inf")}, {"x": object()}])
async def test_what_is_no_json_is_refused_and_changes_nothing(store: Store, params: dict[str, Any]) -> None:
    async with store.transaction(by="x") as transaction:
        with pytest.raises((TypeError, ValueError)):
            await transaction.create(ModelConfigDraft(alias="bad", params=params))
        with pytest.raises((TypeError, ValueError)):
            await transaction.create(ModelConfigDraft(alias="bad", secrets=Secrets(params=params)))
    assert await store.revision() == 1


@pytest.mark.parametrize("chunk_rows", [1, 2, 500])
async def test_a_snapshot_holds_what_its_selector_names(
    store: Store, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr("modelwire.store.change_log._CHUNK_ROWS", chunk_rows)
    by_alias = {
        alias: await create(store, ModelConfigDraft(alias=alias)) for alias in ("a/1", "b/1", "b/2", "c/1", "c/2", "d")
    }

    async def named_by(selector: Selector) -> list[str]:
        return [config.alias for config in (await store.snapshot(selector)).configs]

    def visible(*patterns: str) -> AliasPatterns:
        return AliasPatterns(patterns)

    assert await named_by(Selector(visible=visible("*/2"))) == ["b/2", "c/2"]
    assert await named_by(Selector(visible=visible("*/2", "d"))) == ["b/2", "c/2", "d"]
    assert await named_by(Selector(visible=visible("d", "a/1", "none"))) == ["a/1", "d"]
    assert await named_by(Selector(visible=visible())) == []
    named = Selector(ids=frozenset({by_alias["c/1"].id, "none"}), aliases=frozenset({"a/1", "d", "none"}))
    assert await named_by(named) == ["a/1", "c/1", "d"]
    assert await named_by(Selector(ids=named.ids, aliases=named.aliases, visible=visible("c/*"))) == ["c/1"]
    assert await named_by(Selector(ids=named.ids, visible=visible("a/1"))) == []
    assert await named_by(Selector(ids=frozenset())) == []
    assert await named_by(Selector(aliases=frozenset())) == []
    # `Selector.matches` and the database mean the same by a selector.
    for selector in (named, Selector(visible=visible("*/2")), Selector(ids=frozenset()), Selector()):
        snapshot = await store.snapshot(selector)
        everything = (await store.snapshot(Selector())).configs
        assert snapshot.configs == tuple(config for config in everything if selector.matches(config.id, config.alias))
