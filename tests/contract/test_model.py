"""Two stores on one database against a dict: whatever is done through either, both tell the same story."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Protocol

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from modelwire.store import (
    DEFAULT_ALIASES,
    AliasInUse,
    AliasPatterns,
    Listing,
    ModelConfig,
    ModelConfigDraft,
    Operation,
    Secrets,
    Selector,
    Store,
    Transaction,
)


class Backend(Protocol):
    name: str
    make: Callable[[], str]
    open: Callable[[str], Any]


class Undone(Exception):
    """Raised by a writer that changed its mind."""


aliases = st.sampled_from(["a", "A", "a/b", "é", "general", "\U0001f600"])
stores = st.integers(0, 1)
drafts = st.builds(
    ModelConfigDraft,
    alias=aliases,
    provider=st.none() | st.just("openai"),
    params=st.dictionaries(st.sampled_from("xy"), st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    secrets=st.builds(Secrets, auth=st.dictionaries(st.just("api_key"), st.text(min_size=1, max_size=4))),
)


class StoreMachine(RuleBasedStateMachine):
    """`state` is what the database should hold, by id, with the draft that each config was last written from."""

    ids = Bundle("ids")

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.stores: list[Store] = []
        self.state: dict[str, tuple[ModelConfig, ModelConfigDraft]] = {}
        self.revision = 1
        self.backend = backend

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.get_loop().run_until_complete(coroutine)

    @initialize()
    def start(self) -> None:
        url = self.backend.make()
        self.stores = [self.run(self.stack.enter_async_context(self.backend.open(url))) for _ in range(2)]
        for config in self.run(self.stores[0].snapshot(Selector())).configs:
            self.state[config.id] = config, ModelConfigDraft(alias=config.alias)

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def taken(self, alias: str, *, besides: str | None = None) -> bool:
        return any(config.alias == alias for config, _ in self.state.values() if config.id != besides)

    async def write(self, store: int, *operations: Callable[[Transaction], Coroutine[Any, Any, None]]) -> None:
        """Several operations in one transaction, all of which succeed."""
        async with self.stores[store].transaction(by=f"writer-{store}") as transaction:
            for operation in operations:
                await operation(transaction)
        if transaction.revision is not None:
            self.revision += 1
            assert transaction.revision == self.revision

    async def create_or_be_refused(self, transaction: Transaction, draft: ModelConfigDraft) -> None:
        try:
            config = await transaction.create(draft)
        except AliasInUse:
            assert self.taken(draft.alias)
            return
        assert not self.taken(draft.alias)
        assert config.version == 1
        assert config.id not in self.state
        self.state[config.id] = config, draft

    async def update_or_be_refused(self, transaction: Transaction, config_id: str, draft: ModelConfigDraft) -> None:
        current = await transaction.find(id=config_id)
        if current is None:
            assert config_id not in self.state
            return
        assert current == self.state[config_id][0]
        try:
            config = await transaction.update(current, draft)
        except AliasInUse:
            assert self.taken(draft.alias, besides=config_id)
            return
        assert not self.taken(draft.alias, besides=config_id)
        assert config.version == current.version + 1
        self.state[config_id] = config, draft

    @rule(store=stores, drafts=st.lists(drafts, min_size=1, max_size=3), target=ids)
    def create(self, store: int, drafts: list[ModelConfigDraft]) -> str:
        self.run(
            self.write(store, *(lambda t, draft=draft: self.create_or_be_refused(t, draft) for draft in drafts))  # type: ignore[misc] - the default binds it
        )
        return next(config.id for config, _ in self.state.values() if config.alias == drafts[0].alias)

    @rule(store=stores, config_id=ids, draft=drafts)
    def update(self, store: int, config_id: str, draft: ModelConfigDraft) -> None:
        self.run(self.write(store, lambda t: self.update_or_be_refused(t, config_id, draft)))

    @rule(store=stores, config_id=ids, alias=aliases)
    def rename(self, store: int, config_id: str, alias: str) -> None:
        if config_id in self.state:
            _, draft = self.state[config_id]
            renamed = ModelConfigDraft(alias=alias, provider=draft.provider, params=draft.params, secrets=draft.secrets)
            self.run(self.write(store, lambda t: self.update_or_be_refused(t, config_id, renamed)))

    @rule(store=stores, config_id=consumes(ids))
    def delete(self, store: int, config_id: str) -> None:
        async def delete(transaction: Transaction) -> None:
            current = await transaction.find(id=config_id)
            if current is None:
                assert config_id not in self.state
                return
            change = await transaction.delete(current)
            assert (change.version, change.previous_alias) == (current.version + 1, current.alias)
            del self.state[config_id]

        self.run(self.write(store, delete))

    @rule(store=stores, draft=drafts)
    def change_nothing(self, store: int, draft: ModelConfigDraft) -> None:
        async def write() -> None:
            async with self.stores[store].transaction(by="undone") as transaction:
                for config, _ in self.state.values():
                    await transaction.delete(config)
                await transaction.create(draft)
                raise Undone

        try:
            self.run(write())
        except Undone:
            return
        raise AssertionError

    @invariant()
    def both_tell_the_same_story(self) -> None:
        for store in self.stores:
            self.run(self.check(store))

    async def check(self, store: Store) -> None:
        expected = sorted((config for config, _ in self.state.values()), key=lambda config: config.alias)
        snapshot = await store.snapshot(Selector())
        assert (snapshot.revision, list(snapshot.configs)) == (self.revision, expected)
        assert await store.page(Listing(), first=100) == expected
        for config, draft in self.state.values():
            assert await store.find(id=config.id) == await store.find(alias=config.alias) == config
            assert store.open_secrets(config) == draft.secrets
            assert (config.alias, config.provider, config.params) == (draft.alias, draft.provider, draft.params)
        some = Selector(aliases=frozenset(DEFAULT_ALIASES), visible=AliasPatterns(("g*", "a/*")))
        assert list((await store.snapshot(some)).configs) == [c for c in expected if some.matches(c.id, c.alias)]
        await self.check_log(store, expected)

    async def check_log(self, store: Store, expected: list[ModelConfig]) -> None:
        """The log, replayed, gives the state; its revisions have no gap and its versions neither."""
        replayed: dict[str, ModelConfig] = {}
        versions: dict[str, int] = {}
        changes = await store.changes(after=0)
        for change in changes:
            before = replayed.get(change.config_id)
            assert change.version == versions.get(change.config_id, 0) + 1
            versions[change.config_id] = change.version
            assert change.previous_alias == (None if before is None else before.alias)
            assert (change.operation is Operation.CREATE) == (before is None)
            assert (change.operation is Operation.DELETE) == (change.config is None)
            if change.config is None:
                del replayed[change.config_id]
            else:
                replayed[change.config_id] = change.config
        assert sorted(replayed.values(), key=lambda config: config.alias) == expected
        assert sorted({change.revision for change in changes}) == list(range(1, self.revision + 1))


def test_two_stores_and_a_dict(backend: Backend) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: StoreMachine(backend),
        settings=settings(
            derandomize=True,
            database=None,
            deadline=None,
            # Each step reads everything in every way, and to PostgreSQL each read is several messages.
            max_examples=12 if backend.name == "sqlite" else 4,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )
