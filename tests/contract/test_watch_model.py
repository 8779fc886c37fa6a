"""Two server processes' stores and feeds against a dict: whatever is done, in whatever order, each watch that is read
to the end knows exactly what there is, and was never told anything twice or out of order on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal
from modelwire.resolvers.errors import AliasTaken, NotFound, ProtectedDefault
from modelwire.resolvers.history import rollback
from modelwire.resolvers.importing import ImportFormat
from modelwire.resolvers.model_config_import import ImportRequest, import_model_configs
from modelwire.store import (
    DEFAULT_ALIASES,
    AliasPatterns,
    Feed,
    ModelConfigDraft,
    Position,
    Retention,
    Selector,
    Store,
    Transaction,
    WatchChange,
    WatchEvent,
    WatchSnapshot,
)

ALIASES = ["a", "b", "c", "general"]
WAIT_SECONDS = 120.0

aliases = st.sampled_from(ALIASES)
servers = st.integers(0, 1)
selectors = st.one_of(
    st.just(Selector()),
    st.builds(Selector, aliases=st.frozensets(aliases, max_size=2)),
    st.builds(Selector, visible=st.just(AliasPatterns(("a", "g*")))),
)


class Backend(Protocol):
    make: Callable[[], str]
    open: Callable[[str], Any]


class Server:
    """The store and feed of one process."""

    def __init__(self, backend: Backend, url: str) -> None:
        self._backend = backend
        self._url = url
        self._stack = AsyncExitStack()
        self.store: Store
        self.feed: Feed

    async def start(self) -> None:
        self.store = await self._stack.enter_async_context(self._backend.open(self._url))
        self.feed = Feed(self.store, poll_seconds=0.002, bookmark_seconds=0.01)
        self.store.on_commit(self.feed.committed)
        await self.feed.start()
        self._stack.push_async_callback(self.feed.stop)

    async def stop(self) -> None:
        await self._stack.aclose()

    @property
    def context(self) -> Context:
        return Context(Principal(subject="x", name="x", scopes=ALL_SCOPES), self.store, self.feed)


class Subscriber:
    """One subscriber, connected or not. `known` is what it knows: alias and version by config id."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector
        self.known: dict[str, tuple[str, int]] = {}
        self.position: Position | None = None
        self.server: Server | None = None
        self._watch: AsyncGenerator[WatchEvent, None] | None = None

    def connect(self, server: Server) -> None:
        self.server = server
        self._watch = server.feed.watch(self.selector, self.position)

    async def disconnect(self) -> None:
        if self._watch is not None:
            await self._watch.aclose()
        self._watch = self.server = None

    async def read(self, *, compacted: int) -> None:
        assert self._watch is not None
        event = await anext(self._watch)
        if isinstance(event, WatchSnapshot):
            # The first event of the first connection, or a marked reset because the log has no longer what was missed.
            assert event.reset == (self.position is not None)
            assert self.position is None or self.position.revision < compacted
            self.known = {}
        assert self.position is None or event.position.revision >= self.position.revision
        if isinstance(event, WatchChange):
            for gone in event.removed:
                assert self.known.pop(gone.id)[0] == gone.alias
        put = event.configs if isinstance(event, WatchSnapshot) else getattr(event, "put", ())
        for config in put:
            assert self.selector.matches(config.id, config.alias)
            assert config.revision <= event.position.revision
            assert config.version > self.known.get(config.id, ("", 0))[1]
            self.known[config.id] = config.alias, config.version
        self.position = event.position


class WatchMachine(RuleBasedStateMachine):
    """`state` is what the database should hold: alias and version by config id."""

    subscribers = Bundle("subscribers")

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.backend = backend
        self.servers: list[Server] = []
        self.all: list[Subscriber] = []
        self.state: dict[str, tuple[str, int]] = {}
        self.revision = 1
        self.compacted = 0

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.get_loop().run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        url = self.backend.make()
        self.servers = [Server(self.backend, url) for _ in range(2)]
        for server in self.servers:
            self.run(server.start())
        for config in self.run(self.servers[0].store.snapshot(Selector())).configs:
            self.state[config.id] = config.alias, config.version

    def teardown(self) -> None:
        for subscriber in self.all:
            self.run(subscriber.disconnect())
        for server in self.servers:
            self.run(server.stop())
        self.runner.close()

    @rule(server=servers, operations=st.lists(st.tuples(aliases, aliases | st.none()), min_size=1, max_size=3))
    def write(self, server: int, operations: list[tuple[str, str | None]]) -> None:
        """One transaction: each operation gives the config with the first alias the second one, or deletes it."""
        self.run(self._write(self.servers[server].store, operations))

    async def _write(self, store: Store, operations: list[tuple[str, str | None]]) -> None:
        async with store.transaction(by="x") as transaction:
            for alias, new_alias in operations:
                await self._change(transaction, alias, new_alias)
        if transaction.revision is not None:
            self.revision += 1
            assert transaction.revision == self.revision

    async def _change(self, transaction: Transaction, alias: str, new_alias: str | None) -> None:
        config = await transaction.find(alias=alias)
        if new_alias is not None and new_alias != alias and await transaction.find(alias=new_alias) is not None:
            new_alias = alias
        if config is None:
            created = await transaction.create(ModelConfigDraft(alias=alias))
            self.state[created.id] = alias, 1
        elif new_alias is None:
            await transaction.delete(config)
            del self.state[config.id]
        else:
            await transaction.update(config, ModelConfigDraft(alias=new_alias))
            self.state[config.id] = new_alias, config.version + 1

    @rule(server=servers, alias=aliases, versions=st.integers(1, 4))
    def roll_back(self, server: int, alias: str, versions: int) -> None:
        self.run(self._roll_back(self.servers[server], alias, versions))

    async def _roll_back(self, server: Server, alias: str, versions: int) -> None:
        config = await server.store.find(alias=alias)
        if config is None:
            return
        try:
            done = await rollback(
                server.context, id=config.id, expected_version=config.version, to_version=config.version - versions
            )
        except (AliasTaken, NotFound, ProtectedDefault):
            return
        assert done.config is not None
        assert done.config.version in {config.version, config.version + 1}
        self.revision += done.config.version - config.version
        self.state[config.id] = done.config.alias, done.config.version

    @rule(server=servers, names=st.sets(aliases, min_size=1), model=st.sampled_from(["x", "y"]), prune=st.booleans())
    def import_file(self, server: int, names: set[str], model: str, prune: bool) -> None:
        self.run(self._import_file(self.servers[server], names, model, prune=prune))

    async def _import_file(self, server: Server, names: set[str], model: str, *, prune: bool) -> None:
        entries = {alias: {"provider": "openai", "model": model} for alias in names}
        content = yaml.safe_dump({"modelwire": 1, "model_configs": entries})
        before = dict(self.state)
        imported = await import_model_configs(
            server.context, ImportRequest(content=content, format=ImportFormat.MODELWIRE, prune=prune)
        )
        self.revision += imported.position is not None
        snapshot = await server.store.snapshot(Selector())
        assert snapshot.revision == self.revision
        self.state = {config.id: (config.alias, config.version) for config in snapshot.configs}
        kept = {alias for alias, _ in before.values() if not prune or alias in {*names, *DEFAULT_ALIASES}}
        assert {alias for alias, _ in self.state.values()} == kept | names
        for config_id, (_, version) in before.items():
            assert config_id not in self.state or self.state[config_id][1] - version in {0, 1}

    @rule(server=servers, selector=selectors, target=subscribers)
    def subscribe(self, server: int, selector: Selector) -> Subscriber:
        subscriber = Subscriber(selector)
        subscriber.connect(self.servers[server])
        self.all.append(subscriber)
        self.run(subscriber.read(compacted=self.compacted))
        return subscriber

    @rule(subscriber=subscribers)
    def cut(self, subscriber: Subscriber) -> None:
        self.run(subscriber.disconnect())

    @rule(subscriber=subscribers, server=servers)
    def read_to_the_end(self, subscriber: Subscriber, server: int) -> None:
        """Who is cut off resumes first, at either server."""

        async def read() -> None:
            if subscriber.server is None:
                subscriber.connect(self.servers[server])
            async with asyncio.timeout(WAIT_SECONDS):
                await subscriber.read(compacted=self.compacted)
                while subscriber.position is None or subscriber.position.revision < self.revision:
                    await subscriber.read(compacted=self.compacted)

        self.run(read())
        named = {i: known for i, known in self.state.items() if subscriber.selector.matches(i, known[0])}
        assert subscriber.known == named

    @rule(server=servers)
    def restart(self, server: int) -> None:
        for subscriber in self.all:
            if subscriber.server is self.servers[server]:
                self.run(subscriber.disconnect())
        self.run(self.servers[server].stop())
        self.servers[server] = Server(self.servers[server]._backend, self.servers[server]._url)
        self.run(self.servers[server].start())

    @precondition(lambda self: self.revision > 3)
    @rule(server=servers)
    def compact(self, server: int) -> None:
        async def compact() -> int:
            store = self.servers[server].store
            async for _ in store.compact(Retention(since=datetime.now(UTC), min_versions=1)):
                pass
            return await store.compacted_revision()

        self.compacted = self.run(compact())
        assert self.compacted <= self.revision


@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.long)])
def test_two_servers_and_a_dict(backend: Backend, examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: WatchMachine(backend),
        settings=settings(
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=examples,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )
