"""A run's servers, lines, watchers, components and writers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fault_proxy import FaultProxy, fault_proxy
from guarantees.credentials import Admin, Key, Session
from guarantees.databases import Database
from guarantees.history import Held, History, Row, WatchHistory
from guarantees.recorders import Component, Shown, Signal, Watcher, value_of
from guarantees.servers import Server
from guarantees.truth import State
from guarantees.writers import ALIASES, KEPT, Writer
from haproxy import PREFIX, HaProxy
from tls import Tls

from modelwire.store import Change, Keyring, open_store

KEYS = "A" * 43
ADMIN_KEY = "mw_canary0123_" + "c0ffee" * 10 + "dead"
SETTLE_SECONDS = 120.0
"""A hang guard, for all to hear of the last change."""

ENVIRONMENT = {
    "MODELWIRE_ADMIN_KEY": ADMIN_KEY,
    "MODELWIRE_ENCRYPTION_KEYS": KEYS,
    "MODELWIRE_BOOKMARK_SECONDS": "1",
    "MODELWIRE_COMPONENT_LEASE_SECONDS": "5",
    "MODELWIRE_ACCESS_TOKEN_SECONDS": "8",
    "MODELWIRE_SIGN_IN_ATTEMPTS_PER_MINUTE": "100000",
}
SOME = ["alias-a", "alias-b", "alias-k*"]
"""What a key is bound to that does not open all aliases."""


@dataclass
class World:
    """Everything of one run. `lines` are those of watchers, components and writers, in the order of their making."""

    seed: str
    database: Database
    history: History
    servers: list[Server]
    admin: Admin
    lines: list[FaultProxy] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    components: list[Component] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    proxy: HaProxy | None = None
    """What all lines lead to; None: they lead to the servers."""
    signal: Signal = field(default_factory=Signal)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def note_log(self) -> None:
        """Put the change log of the store as it is now into the history."""
        await note_log(self.database.url, self.history)

    async def pause_writers(self) -> None:
        """Until none of them has a mutation under way."""
        for writer in self.writers:
            writer.allowed.clear()
        await asyncio.gather(*(writer.idle.wait() for writer in self.writers))

    def resume_writers(self) -> None:
        for writer in self.writers:
            writer.allowed.set()

    async def settle(self) -> None:
        """Write a last change, note the log, and wait until everybody has heard of it, or it takes too long."""
        await self.pause_writers()
        last = Writer(self.servers[0].url, ADMIN_KEY, self.history, self.numbers, seed="last")
        await last.write(KEPT)
        await last.close()
        await self.note_log()
        store, revision = self.history.final
        state = State([row for row in sorted(self.history.log, key=lambda row: row.revision) if row.store == store])
        state.advance(revision)
        wanted = {held.alias: held for held in state.configs.values() if held.value is not None}
        try:
            await self.signal.until(lambda: self._settled(wanted), SETTLE_SECONDS)
        except TimeoutError:
            return  # the checkers say who has not

    def positions(self) -> list[tuple[str, int] | None]:
        """Where the watches are; None: nowhere so far."""
        return [position for watcher in self.watchers for position in watcher.positions()]

    def _settled(self, wanted: dict[str, Held]) -> bool:
        watched = all(position == self.history.final for watcher in self.watchers for position in watcher.positions())
        return watched and all(
            (history.applied[-1].held if history.applied else None) == wanted.get(history.alias)
            for component in self.components
            for history in component.histories
        )


async def note_log(url: str, history: History) -> None:
    """Put the change log of a store and its position into the history."""
    store = await open_store(url, Keyring.parse(KEYS))
    try:
        changes = await store.changes(after=0)
        history.final = (store.id, await store.revision())
        assert store.id not in {row.store for row in history.log}, "the log of a store is noted once"
        history.log.extend(_row(store.id, change) for change in changes)
    finally:
        await store.close()


def _row(store: str, change: Change) -> Row:
    config = change.config
    held = None
    if config is not None:
        parts = (config.model, config.description, config.max_input_tokens, config.params.get("seed"))
        value = value_of(*parts) if config.provider is not None and config.model is not None else None
        held = Held(config.id, config.alias, config.version, config.revision, value)
    return Row(store, change.revision, change.config_id, change.version, held)


@asynccontextmanager
async def world(
    seed: str, kind: str, database: Database, folder: Path, *, count: int = 2, tls: Tls | None = None
) -> AsyncIterator[World]:
    """A running world of so many servers, with everybody at work and told of a first state. With `tls` they are behind
    HAProxy. Ends with the error of whoever fails at work."""
    async with AsyncExitStack() as stack:
        environment = {**ENVIRONMENT, "MODELWIRE_DATABASE_URL": database.url}
        servers = [Server(folder / f"server-{number}", environment) for number in range(count)]
        admin = Admin([server.url for server in servers], ADMIN_KEY)
        stack.push_async_callback(admin.close)
        made = World(seed, database, History(seed, kind), servers, admin)
        if tls is not None:
            made.proxy = HaProxy(folder, tls, [server.port for server in servers])
            environment.update(made.proxy.settings)
            await made.proxy.start()
            stack.push_async_callback(made.proxy.kill)
        for server in servers:
            stack.push_async_callback(server.close)
        await asyncio.gather(*(server.start() for server in servers))
        await _populate(made, stack)
        for component in made.components:
            await component.start()
            stack.push_async_callback(component.stop)
        async with asyncio.TaskGroup() as group:
            working = [group.create_task(each.run()) for each in (*made.watchers, *made.writers)]
            await made.signal.until(lambda: None not in made.positions(), SETTLE_SECONDS)
            yield made
            for task in working:
                task.cancel()


async def _populate(made: World, stack: AsyncExitStack) -> None:
    """Lines, watchers, components and writers; nothing of them runs yet but the lines."""
    first = Writer(made.servers[0].url, ADMIN_KEY, made.history, made.numbers, seed="first")
    kept = await first.write(KEPT)
    await first.close()
    for number, watches in enumerate(_watches(kept.id)):
        line = await _line(made, stack, watches[0].name)
        credential = _credential(made, watches[0])
        made.history.watches.extend(watches)
        url, seed = _url(made, line), f"{made.seed} {number}"
        made.watchers.append(
            Watcher(url, watches, credential, signal=made.signal, seed=seed, forgetful=number % 6 == 5)
        )
    for number in range(4):
        line = await _line(made, stack, f"component {number}")
        aliases = [KEPT, *ALIASES[number * 2 : number * 2 + 2]]
        component = Component(_url(made, line), ADMIN_KEY, line.name, aliases, made.signal)
        made.components.append(component)
        made.history.components.extend(component.histories)
    for number in range(3):
        line = await _line(made, stack, f"writer {number}")
        seed = f"{made.seed} writer {number}"
        made.writers.append(
            Writer(_url(made, line), ADMIN_KEY, made.history, made.numbers, seed=seed, pause_seconds=0.1)
        )
        stack.push_async_callback(made.writers[-1].close)


def _credential(made: World, watch: WatchHistory) -> Callable[[], Awaitable[Shown]]:
    if watch.name.startswith("session"):
        renews = watch.name.endswith("renewed")
        return Session(made.admin, made.history, watch.name, ADMIN_KEY, renews=renews).get
    made.keys.append(Key(made.admin, made.history, watch.name, watch.visible))
    return made.keys[-1].get


async def _line(made: World, stack: AsyncExitStack, name: str) -> FaultProxy:
    ports = [server.port for server in made.servers] if made.proxy is None else [made.proxy.port]
    line = await stack.enter_async_context(fault_proxy(*ports, name=name))
    line.target = len(made.lines)
    made.lines.append(line)
    return line


def _url(made: World, line: FaultProxy) -> str:
    return line.url if made.proxy is None else f"https://127.0.0.1:{line.port}{PREFIX}"


def _watches(kept_id: str) -> list[list[WatchHistory]]:
    """What is watched, by sockets."""
    everything = [[WatchHistory(f"all {number}")] for number in range(4)]
    single = [[WatchHistory(f"alias {number}", aliases=[alias])] for number, alias in enumerate(ALIASES[:4])]
    several = [[WatchHistory(f"aliases {number}", aliases=ALIASES[number : number + 3])] for number in range(3)]
    by_id = [[WatchHistory(f"id {number}", ids=[kept_id])] for number in range(2)]
    mixed = [[WatchHistory("id and alias", ids=[kept_id], aliases=["alias-c"])]]
    bound = [[WatchHistory(f"bound {number}", visible=SOME)] for number in range(2)]
    crowded = [
        [
            WatchHistory(f"crowded {number} all"),
            WatchHistory(f"crowded {number} kept", aliases=[KEPT]),
            WatchHistory(f"crowded {number} one", aliases=[ALIASES[number]]),
        ]
        for number in range(3)
    ]
    sessions = [[WatchHistory(f"session {number} {how}")] for number in range(2) for how in ("renewed", "over")]
    return [*everything, *single, *several, *by_id, *mixed, *bound, *sessions, *crowded]
