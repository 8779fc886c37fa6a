"""Components that are connected here: what is noted of them, in how many transactions, and without a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stored import model_config

from modelwire.resolvers.access import ALL_SCOPES, Principal, Scope
from modelwire.server import presence as module
from modelwire.server.graphql.protocol import Component as Described
from modelwire.server.presence import Presence, component_link
from modelwire.server.presence_states import Link
from modelwire.store import (
    Acknowledgement,
    Bound,
    Mirror,
    ModelConfig,
    Outcome,
    Position,
    PresenceBatch,
    RemovedConfig,
    Selector,
    Snapshot,
    StoreUnavailable,
    WatchBookmark,
    WatchChange,
    WatchSnapshot,
    component_id,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PRINCIPAL = Principal(subject="api_key:k", name="k", scopes=ALL_SCOPES)
WATCH = Selector(aliases=frozenset({"x", "y"}))


def at(revision: int) -> Position:
    return Position("s", revision)


class Database:
    """What the writer writes to, as it would be there. While `error` is set it is away."""

    def __init__(self) -> None:
        self.batches: list[PresenceBatch] = []
        self.connected: set[str] = set()
        self.elsewhere: set[str] = set()
        self.bound: dict[tuple[str, str], Bound] = {}
        self.configs: list[ModelConfig] = []
        self.left: list[str] = []
        self.error: Exception | None = None
        self.tries = 0
        self.written = asyncio.Event()

    async def write(self, batch: PresenceBatch) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.batches.append(batch)
        for component in batch.connected:
            self.connected.add(component.id)
            self.bound = {key: bound for key, bound in self.bound.items() if key[0] != component.id}
        for key in batch.unbound:
            self.bound.pop(key, None)
        self.bound |= {(bound.component_id, bound.reference): bound for bound in batch.bound}
        self.connected -= set(batch.gone)
        self.written.set()

    async def present(self, _server: str) -> Mapping[str, int]:
        self.tries += 1
        if self.error is not None:
            raise self.error
        return {id_: sum(key[0] == id_ for key in self.bound) for id_ in self.connected}

    async def snapshot(self, selector: Selector) -> Snapshot:
        self.tries += 1
        if self.error is not None:
            raise self.error
        found = tuple(config for config in self.configs if selector.matches(config.id, config.alias))
        await asyncio.sleep(0)
        return Snapshot(store_id="s", revision=9, configs=found)

    async def online(self, ids: Collection[str], *, now: datetime) -> frozenset[str]:
        return frozenset(self.elsewhere.intersection(ids))

    async def leave(self, server: str, *, at: datetime) -> None:
        self.left.append(server)

    def versions(self, name: str) -> dict[str, tuple[str | None, int | None]]:
        """What a component is bound to: config and version by reference."""
        id_ = component_id(PRINCIPAL.subject, name)
        return {key[1]: (each.config_id, each.delivered_version) for key, each in self.bound.items() if key[0] == id_}


class Server:
    """A presence on a database that is looked at."""

    def __init__(self, presence: Presence, database: Database, mirror: Mirror) -> None:
        self.presence = presence
        self.database = database
        self.mirror = mirror

    def connect(
        self, name: str, principal: Principal = PRINCIPAL, **described: Any
    ) -> tuple[Link | None, Callable[[], None]]:
        """A socket of a component, in a context of its own."""
        context = copy_context()
        leave = context.run(self.presence.connect, principal, Described(instance_id=name, name=name, **described))
        return context.run(component_link.get), leave

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not condition():
                self.database.written.clear()
                await self.database.written.wait()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


@asynccontextmanager
async def serving(lease_seconds: float = 60.0, **more: Any) -> AsyncIterator[Server]:
    database, mirror = Database(), Mirror(100)

    class Store:
        components = database

    store: Any = Store()
    store.mirror, store.snapshot = mirror, database.snapshot
    presence = Presence(store, lease_seconds=lease_seconds, **more)
    async with presence.written():
        yield Server(presence, database, mirror)


def load(mirror: Mirror, configs: Iterable[ModelConfig], revision: int) -> None:
    mirror.load(Snapshot(store_id="s", revision=revision, configs=tuple(configs)))


def ack(link: Link, version: int, outcome: Outcome = Outcome.APPLIED) -> Acknowledgement:
    return Acknowledgement(component_id=link.component_id, config_id="a", version=version, outcome=outcome, at=NOW)


async def test_a_storm_is_few_transactions() -> None:
    async with serving() as server:
        links = [server.connect(f"c{number}")[0] for number in range(5000)]
        for link in links:
            assert link is not None
            link.watches(WATCH)
            link.delivered(WATCH, WatchSnapshot(at(1), (model_config("a", "x"),)))
        await server.until(lambda: len(server.database.bound) == 10_000)
        assert len(server.database.connected) == 5000
        assert len(server.database.batches) == 5000 / module.BATCH_COMPONENTS
        said = [server.presence.acknowledge(ack(link, 1)) for link in links if link is not None]
        await asyncio.gather(*said)
        assert len(server.database.batches) == 2 * 5000 / module.BATCH_COMPONENTS


async def test_how_long_a_component_took_is_from_the_commit_to_what_it_did() -> None:
    heard: list[tuple[Outcome, float | None]] = []
    async with serving(on_acknowledged=lambda *what: heard.append(what)) as server:
        link, _ = server.connect("one")
        assert link is not None
        before, after = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
        for committed_at in (before, after):
            load(server.mirror, [replace(model_config("a", "x"), updated_at=committed_at)], 1)
            await server.presence.acknowledge(replace(ack(link, 1), at=after + timedelta(seconds=3)))
    # The first was committed before the component was here.
    assert heard == [(Outcome.APPLIED, None), (Outcome.APPLIED, 3.0)]


async def test_an_idle_server_writes_nothing() -> None:
    async with serving() as server:
        pass
    assert (server.database.tries, server.database.left) == (0, [])


async def test_who_may_not_report_is_no_component() -> None:
    reader = Principal(subject="api_key:r", name="r", scopes=ALL_SCOPES - {Scope.COMPONENT_REPORT})
    async with serving() as server:
        link, leave = server.connect("one", reader)
        assert link is None
        leave()
    assert server.database.tries == 0


async def test_what_is_sent_is_what_a_component_is_bound_to() -> None:
    async with serving() as server:
        link, _ = server.connect("one")
        assert link is not None
        link.watches(WATCH)
        versions = server.database.versions

        async def sent(event: Any, **expected: tuple[str | None, int | None]) -> None:
            link.delivered(WATCH, event)
            wanted = {f"alias:{alias}": place for alias, place in expected.items()}
            await server.until(lambda: versions("one") == wanted)

        await sent(WatchSnapshot(at(1), (model_config("a", "x"),)), x=("a", 1), y=(None, None))
        await sent(WatchChange(at(2), (model_config("a", "x", 2), model_config("b", "y")), ()), x=("a", 2), y=("b", 1))
        # They changed their aliases in one transaction.
        moved = (RemovedConfig("a", "x"), RemovedConfig("b", "y"))
        await sent(WatchChange(at(3), (model_config("b", "x", 2),), moved), x=("b", 2), y=(None, None))
        await sent(WatchSnapshot(at(4), (), reset=True), x=(None, None), y=(None, None))
        batches = len(server.database.batches)
        link.delivered(WATCH, WatchBookmark(at(5)))
        link.delivered(WATCH, WatchSnapshot(at(5), ()))
        # Nothing of it was news, and the next that is comes alone.
        await sent(WatchChange(at(6), (model_config("b", "y", 3),), ()), x=(None, None), y=("b", 3))
        assert len(server.database.batches) == batches + 1
        assert [bound.reference for bound in server.database.batches[-1].bound] == ["alias:y"]
        link.leaves(WATCH)
        await server.until(lambda: versions("one") == {})


async def test_a_watch_by_id_is_bound_to_a_config_and_one_of_everything_to_none() -> None:
    async with serving() as server:
        link, _ = server.connect("one")
        assert link is not None
        by_id = Selector(ids=frozenset({"a", "gone"}))
        for selector in (by_id, Selector()):
            link.watches(selector)
            link.delivered(selector, WatchSnapshot(at(1), (model_config("a", "x"),)))
        await server.until(lambda: server.database.versions("one") == {"id:a": ("a", 1)})
        link.delivered(by_id, WatchChange(at(2), (), (RemovedConfig("a", "x"),)))
        await server.until(lambda: server.database.versions("one") == {})


async def test_a_watch_that_goes_on_from_a_position_has_what_is_there() -> None:
    async with serving() as server:
        load(server.mirror, [model_config("a", "x", 3, 7), model_config("b", "y", 2, 9), model_config("c", "z")], 9)
        link, _ = server.connect("one")
        assert link is not None
        link.watches(WATCH)
        # The second config is newer than what it was sent.
        link.delivered(WATCH, WatchBookmark(at(8)))
        await server.until(lambda: server.database.versions("one") == {"alias:x": ("a", 3), "alias:y": ("b", None)})
        link.delivered(WATCH, WatchChange(at(9), (model_config("b", "y", 2, 9),), ()))
        await server.until(lambda: server.database.versions("one") == {"alias:x": ("a", 3), "alias:y": ("b", 2)})


async def test_what_memory_does_not_hold_of_such_a_watch_is_looked_up() -> None:
    """There may be more configs than are kept in memory."""
    both = Selector(ids=frozenset({"c", "gone"}), aliases=frozenset({"x", "y", "later"}))
    async with serving() as server:
        server.database.configs = [model_config("a", "x", 3, 7), model_config("b", "y", 2, 9), model_config("c", "z")]
        links = [server.connect(f"c{number}")[0] for number in range(module.BATCH_COMPONENTS + 1)]
        for link in links:
            assert link is not None
            link.watches(both)
            link.delivered(both, WatchBookmark(at(8)))
        expected = {"alias:x": ("a", 3), "alias:y": ("b", None), "alias:later": (None, None), "id:c": ("c", 1)}
        for number in range(len(links)):
            await server.until(lambda: server.database.versions(f"c{number}") == expected)  # noqa: B023 - awaited at once
        # One that goes on while the database is asked is not forgotten.
        late: list[Link | None] = []
        ask = server.database.snapshot

        async def asked(selector: Selector) -> Snapshot:
            if not late:
                late.append(server.connect("late")[0])
                assert late[0] is not None
                late[0].watches(both)
                late[0].delivered(both, WatchBookmark(at(9)))
            return await ask(selector)

        server.presence._store.snapshot = asked  # type: ignore[method-assign]
        more, _ = server.connect("more")
        assert more is not None
        more.watches(both)
        more.delivered(both, WatchBookmark(at(8)))
        await server.until(lambda: server.database.versions("late") == expected | {"alias:y": ("b", 2)})


async def test_a_component_is_gone_with_its_last_socket_and_keeps_what_it_had() -> None:
    async with serving() as server:
        first, leave_first = server.connect("one")
        second, leave_second = server.connect("one")
        assert first is not None
        assert second is not None
        selector = Selector(aliases=frozenset({"x"}))
        for link in (first, second):
            link.watches(selector)
            link.delivered(selector, WatchSnapshot(at(1), (model_config("a", "x"),)))
        await server.until(lambda: server.database.versions("one") == {"alias:x": ("a", 1)})
        # One of the two wants it no more: the other does.
        first.leaves(selector)
        leave_first()
        leave_second()
        # As the operation does when its socket ends.
        second.leaves(selector)
        await server.until(lambda: not server.database.connected)
        assert server.database.versions("one") == {"alias:x": ("a", 1)}


async def test_what_one_of_two_sockets_watched_ends_with_it() -> None:
    async with serving() as server:
        first, leave = server.connect("one")
        second, _ = server.connect("one")
        for link, alias in ((first, "x"), (second, "y")):
            assert link is not None
            selector = Selector(aliases=frozenset({alias}))
            link.watches(selector)
            link.delivered(selector, WatchSnapshot(at(1), (model_config(alias, alias),)))
        await server.until(lambda: len(server.database.versions("one")) == 2)
        leave()
        await server.until(lambda: server.database.versions("one") == {"alias:y": ("y", 1)})


async def test_a_process_that_is_started_anew_is_described_anew() -> None:
    """Its first socket is dead, and nobody has noticed yet."""
    async with serving() as server:
        first, leave_first = server.connect("one", library_version="1")
        assert first is not None
        first.watches(WATCH)
        first.delivered(WATCH, WatchSnapshot(at(1), (model_config("a", "x"),)))
        await server.until(lambda: bool(server.database.bound))
        second, _ = server.connect("one", library_version="2")
        assert second is not None
        second.watches(WATCH)
        await server.until(lambda: len(server.database.batches) == 2)
        leave_first()
        server.connect("one", library_version="2")
        second.delivered(WATCH, WatchSnapshot(at(2), (model_config("a", "x", 2),)))
        await server.until(lambda: server.database.versions("one")["alias:x"] == ("a", 2))
        begun = [each.library_version for batch in server.database.batches for each in batch.connected]
        assert begun == ["1", "2"]


async def test_who_comes_and_goes_between_two_writes_is_noted_as_gone() -> None:
    async with serving() as server:
        _, leave = server.connect("one")
        leave()
        _, leave = server.connect("two")
        leave()
        server.connect("two")
        await server.until(lambda: bool(server.database.batches))
        (batch,) = server.database.batches
        assert sorted(each.name for each in batch.connected) == ["one", "two"]
        assert server.database.connected == {component_id(PRINCIPAL.subject, "two")}


async def test_a_database_that_is_away_holds_up_nobody_and_hears_all_of_it_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as server:
        database = server.database
        _, leave = server.connect("gone")
        kept, _ = server.connect("kept")
        assert kept is not None
        await server.until(lambda: len(database.connected) == 2)
        database.error = StoreUnavailable("it is away")
        leave()
        kept.watches(WATCH)
        kept.delivered(WATCH, WatchSnapshot(at(1), (model_config("a", "x"), model_config("b", "y"))))
        new, _ = server.connect("new")
        assert new is not None
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await server.presence.acknowledge(ack(kept, 1))
        database.error = None
        # A backup was restored meanwhile.
        database.connected.discard(kept.component_id)
        await server.until(lambda: database.connected == {kept.component_id, new.component_id})
        assert database.versions("kept") == {"alias:x": ("a", 1), "alias:y": ("b", 1)}
        await server.presence.acknowledge(ack(kept, 1))
    assert [record.getMessage() for record in caplog.records] == [
        "which components are connected was not written: it is away"
    ]


async def test_the_lease_is_renewed_and_what_the_database_lost_is_written_again() -> None:
    async with serving(lease_seconds=0.03) as server:
        database = server.database
        link, _ = server.connect("one")
        assert link is not None
        await server.until(lambda: len(database.batches) >= 3)
        assert [each.name for each in database.batches[0].connected] == ["one"]
        assert database.batches[2].connected == []
        leases = [batch.lease_until for batch in database.batches]
        assert leases == sorted(set(leases))
        database.connected.clear()
        await server.until(lambda: database.connected == {link.component_id})
        # What another process of this name would have left behind.
        database.connected.add("stray")
        await server.until(lambda: database.connected == {link.component_id})


async def test_what_another_server_took_for_its_own_is_written_again() -> None:
    async with serving(lease_seconds=0.03) as server:
        link, _ = server.connect("one")
        assert link is not None
        link.watches(WATCH)
        link.delivered(WATCH, WatchSnapshot(at(1), (model_config("a", "x"),)))
        wanted = {"alias:x": ("a", 1), "alias:y": (None, None)}
        await server.until(lambda: server.database.versions("one") == wanted)
        del server.database.bound[link.component_id, "alias:x"]
        await server.until(lambda: server.database.versions("one") == wanted)


async def test_what_connected_to_another_server_later_is_left_to_it() -> None:
    async with serving(lease_seconds=0.03) as server:
        database = server.database
        link, _ = server.connect("one")
        assert link is not None
        await server.until(lambda: bool(database.connected))
        database.connected.clear()
        database.elsewhere.add(link.component_id)
        written = len(database.batches)
        await server.until(lambda: len(database.batches) >= written + 3)
        assert not database.connected
        database.elsewhere.clear()
        await server.until(lambda: database.connected == {link.component_id})


async def test_a_server_that_stops_writes_the_rest_and_leaves() -> None:
    async with serving() as server:
        _, leave = server.connect("one")
        await server.until(lambda: bool(server.database.connected))
        leave()
    assert server.database.connected == set()
    assert server.database.left == [server.database.batches[0].server]


async def test_the_last_word_counts_and_all_hear_that_it_is_written() -> None:
    async with serving() as server:
        link, _ = server.connect("one")
        assert link is not None
        said = [ack(link, version) for version in (1, 3, 2)]
        said += [ack(link, version, Outcome.REFUSED) for version in (5, 4)]
        await asyncio.gather(*(server.presence.acknowledge(each) for each in said))
        (batch,) = server.database.batches
        # What is refused does not hide what is in use.
        assert {each.outcome: each.version for each in batch.acknowledgements} == {
            Outcome.APPLIED: 3,
            Outcome.REFUSED: 5,
        }


async def test_of_one_version_the_last_word_counts() -> None:
    async with serving() as server:
        link, _ = server.connect("one")
        assert link is not None
        refused = Outcome.REFUSED
        said = [ack(link, 4), ack(link, 5, refused), ack(link, 5), ack(link, 3, refused)]
        await asyncio.gather(*(server.presence.acknowledge(each) for each in said))
        (batch,) = server.database.batches
        assert [(each.outcome, each.version) for each in batch.acknowledgements] == [
            (refused, 5),
            (Outcome.APPLIED, 5),
        ]
