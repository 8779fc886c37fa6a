"""Subscribers who ask for the same are served together, and none of them is worse off for it: on the whole server."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from live_server import LiveServer, live_server, until
from scraping import scrape
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from modelwire.resolvers import litellm_params
from modelwire.resolvers.access import ALL_SCOPES, Principal, Scope
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server import app
from modelwire.server.graphql import websocket
from modelwire.server.graphql.fanout import Group, Groups
from modelwire.store import AliasPatterns, BindingsOf, ModelConfigDraft

WATCH = """
subscription ($by: [ModelConfigRef!], $since: Revision) {
  modelConfigChanged(by: $by, since: $since) {
    __typename revision
    ... on ModelConfigSnapshot { reset modelConfigs { id alias version model litellmParams } }
    ... on ModelConfigChange { put { id alias version model litellmParams } removed { id alias } }
  }
}
"""
EVERYTHING = Principal(subject="api_key:ada", name="Ada", scopes=ALL_SCOPES)
TOKENS = {
    "everything": EVERYTHING,
    "same": replace(EVERYTHING, credential="session:2"),
    "another": replace(EVERYTHING, subject="api_key:grace", name="Grace", credential="api_key:grace"),
    "reader": replace(EVERYTHING, scopes=ALL_SCOPES - {Scope.MODEL_CONFIG_RESOLVE}),
    "narrow": replace(EVERYTHING, aliases=AliasPatterns(("a", "general"))),
}


@dataclass
class Peer:
    """A client that keeps what each of its operations is told, and the replica that it makes of it."""

    socket: ClientConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    pongs: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def subscribe(self, *aliases: str, id_: str = "1", since: str | None = None) -> None:
        variables = {"by": [{"alias": alias} for alias in aliases], "since": since}
        await self.send(type="subscribe", id=id_, payload={"query": WATCH, "variables": variables})

    async def next(self) -> dict[str, Any]:
        """The next event, whatever the operation."""
        async with asyncio.timeout(120):
            while True:
                frame = json.loads(await self.socket.recv())
                if frame["type"] == "pong":
                    self.pongs.append(frame["payload"])
                    continue
                assert frame["type"] == "next", frame
                event: dict[str, Any] = frame["payload"]["data"]["modelConfigChanged"] | {
                    "errors": frame["payload"].get("errors", [])
                }
                self.events.append(event)
                return event

    async def change(self) -> dict[str, Any]:
        """The next event that is no bookmark."""
        while (event := await self.next())["__typename"] == "Bookmark":
            pass
        return event


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> dict[str, Principal]:
    """Who the tokens are of."""
    found = dict(TOKENS)

    async def authenticate(_store: Any, authorization: str | None, *_: Any) -> Principal:
        try:
            return found[(authorization or "").removeprefix("Bearer ")]
        except KeyError:
            raise Unauthenticated("the token is not valid") from None

    monkeypatch.setattr(app, "authenticate", authenticate)
    return found


@pytest.fixture
async def server(tmp_path: Path, tokens: Any) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path, send_buffer_bytes=8_192) as server:
        await write(server, a="m0", b="m0")
        yield server
        await until(lambda: not server.services.endpoint.open_connections, 120)
        assert not groups(server)._groups
        assert not groups(server)._tasks
        assert not server.services.feed._watches.everyone()


def groups(server: LiveServer) -> Groups:
    found = server.services.endpoint._groups
    assert found is not None
    return found


def in_step(server: LiveServer) -> int:
    """How many members are in step, in all groups."""
    return sum(len(list(group._in_step or ())) for group in groups(server)._groups.values())


async def write(server: LiveServer, *, deleted: str | None = None, **models: str) -> int:
    """Create or change these configs, in one transaction."""
    async with server.services.store.transaction(by="test") as transaction:
        for alias, model in models.items():
            config = await transaction.find(alias=alias)
            draft = ModelConfigDraft(alias=alias, provider="openai", model=model)
            await (transaction.create(draft) if config is None else transaction.update(config, draft))
        if deleted is not None:
            config = await transaction.find(alias=deleted)
            assert config is not None
            await transaction.delete(config)
    assert transaction.revision is not None
    return transaction.revision


async def counted(server: LiveServer) -> dict[str, float]:
    """What /metrics says of those who do not read at once, or were away."""
    values = await scrape(f"http://127.0.0.1:{server.port}")
    names = ("conflated_deliveries", "subscribers_fell_behind", "dropped_connections")
    return {name: values[f"modelwire_{name}_total"] for name in names}


@asynccontextmanager
async def peer(
    server: LiveServer, token: str = "everything", component: str | None = None, **options: Any
) -> AsyncIterator[Peer]:
    """A client that is acknowledged; `component`: its name, and its id."""
    url = server.url.replace("http", "ws")
    payload: dict[str, Any] = {"authorization": f"Bearer {token}"}
    if component is not None:
        payload["component"] = {"instanceId": component, "name": component}
    async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None, max_size=None, **options) as socket_:
        await socket_.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket_.recv())["type"] == "connection_ack"
        yield Peer(socket_)


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the arguments of each alias's version were asked for, which each execution does once."""
    counts: Counter[str] = Counter()
    original = litellm_params.litellm_params

    def counted(context: Any, config: Any) -> Any:
        counts[f"{config.alias}/{config.version}"] += 1
        return original(context, config)

    monkeypatch.setattr(litellm_params, "litellm_params", counted)
    return counts


async def test_many_are_told_with_one_execution(server: LiveServer, executions: Counter[str]) -> None:
    """Whoever they are, and however their client numbers its operations."""
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(peer(server, token)) for token in ("everything", "another", "same") * 10
        ]
        await asyncio.gather(*(each.subscribe("a", id_=str(n % 4)) for n, each in enumerate(members)))
        snapshots = await asyncio.gather(*(each.next() for each in members))
        assert {event["__typename"] for event in snapshots} == {"ModelConfigSnapshot"}
        assert len({json.dumps(event) for event in snapshots}) == 1
        await until(lambda: in_step(server) == 30)
        assert len(groups(server)) == 1
        await write(server, a="m1", b="m1")
        changes = await asyncio.gather(*(each.next() for each in members))
        assert [[config["model"] for config in event["put"]] for event in changes] == [["m1"]] * 30
        # Who comes now and says where it stands is current, and one snapshot serves all who come without.
        late = [await stack.enter_async_context(peer(server)) for _ in range(10)]
        for number, each in enumerate(late):
            await each.subscribe("a", since=changes[0]["revision"] if number % 2 else None)
        kinds = [event["__typename"] for event in await asyncio.gather(*(each.next() for each in late))]
        assert kinds == ["ModelConfigSnapshot", "Bookmark"] * 5
    assert executions == {"a/1": 1, "a/2": 2}


async def test_a_snapshot_holds_what_was_committed_before_it_was_asked_for(server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        for number in range(20):
            await write(server, a=f"m{number}")
            client = await stack.enter_async_context(peer(server))
            await client.subscribe("a")
            (config,) = (await client.next())["modelConfigs"]
            assert config["model"] == f"m{number}"


async def test_who_may_see_other_things_is_in_another_group(server: LiveServer) -> None:
    async with peer(server) as all_, peer(server, "narrow") as narrow, peer(server, "reader") as reader:
        for each in (all_, narrow, reader):
            await each.subscribe()
        assert {config["alias"] for config in (await all_.next())["modelConfigs"]} == {"a", "b", "general", "planning"}
        assert {config["alias"] for config in (await narrow.next())["modelConfigs"]} == {"a", "general"}
        seen = await reader.next()
        assert [config["litellmParams"] for config in seen["modelConfigs"]] == [None] * 4
        assert {error["extensions"]["code"] for error in seen["errors"]} == {"FORBIDDEN"}
        # What is denied is denied to somebody: such an answer is nobody else's.
        await until(lambda: in_step(server) == 2)
        await write(server, b="m1")
        await write(server, a="m1")
        assert [config["alias"] for config in (await all_.next())["put"]] == ["b"]
        assert [config["alias"] for config in (await narrow.next())["put"]] == ["a"]
        assert [config["litellmParams"] for config in (await reader.next())["put"]] == [None]


async def test_who_does_not_read_holds_up_nobody_is_let_go_and_misses_nothing(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One freezes for good; another reads again just in time, and is told of both configs that changed meanwhile."""
    monkeypatch.setattr(server.services.endpoint, "_environment", with_timeout(server, 3600.0))
    async with peer(server) as live, stalled(server), peer(server, max_queue=1) as slow:
        for each in (live, slow):
            await each.subscribe("a", "b")
            await each.next()
        await until(lambda: in_step(server) == 3)
        assert set((await counted(server)).values()) == {0}
        slow.socket.transport.pause_reading()
        number = 0
        while in_step(server) > 1:
            number += 1
            await write(server, a=f"{number}-" + "x" * 200_000)
            assert (await live.next())["put"][0]["model"].startswith(f"{number}-")
        await write(server, b="last")
        await write(server, a="last")
        for alias in "ba":
            assert [(config["alias"], config["model"]) for config in (await live.next())["put"]] == [(alias, "last")]
        slow.socket.transport.resume_reading()
        replica: dict[str, str] = {}
        while replica != {"a": "last", "b": "last"}:
            replica |= {config["alias"]: config["model"] for config in (await slow.next())["put"]}
        # Conflated: it was not told of each version.
        assert len(slow.events) - 1 < number + 2
        assert_ordered(slow.events)
        await until(lambda: in_step(server) == 2)
        await write(server, a="again")
        for each in (live, slow):
            assert [config["model"] for config in (await each.next())["put"]] == ["again"]
        # What its buffers take decides how often the slow one falls behind.
        values = await counted(server)
        assert values["subscribers_fell_behind"] >= 2
        assert values["conflated_deliveries"] >= 1
        assert values["dropped_connections"] == 0
        # What the frozen one costs: what its buffers took, and one frame.
        (transport,) = (
            protocol.transport
            for protocol in server.uvicorn.server_state.connections
            if protocol.transport.get_write_buffer_size()
        )
        assert transport.get_write_buffer_size() < 500_000


@asynccontextmanager
async def stalled(server: LiveServer) -> AsyncIterator[None]:
    """A member that has subscribed and then reads nothing."""
    async with peer(server) as member:
        await member.subscribe("a", "b")
        await member.next()
        member.socket.transport.pause_reading()
        yield
        member.socket.transport.abort()


def with_timeout(server: LiveServer, seconds: float) -> Any:
    environment = server.services.endpoint._environment
    return replace(environment, limits=replace(environment.limits, send_timeout_seconds=seconds))


async def test_who_reads_nothing_is_closed_after_the_send_timeout(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.services.endpoint, "_environment", with_timeout(server, 0.2))
    reasons: list[Any] = []
    stop = websocket.Connection.stop

    def noted(self: websocket.Connection, code: Any, reason: str = "") -> None:
        reasons.append(code)
        stop(self, code, reason)

    monkeypatch.setattr(websocket.Connection, "stop", noted)
    async with peer(server) as live, stalled(server):
        await live.subscribe("a", "b")
        await live.next()
        number = 0
        while not reasons:
            number += 1
            await write(server, a=f"{number}-" + "x" * 200_000)
            assert (await live.next())["put"][0]["model"].startswith(f"{number}-")
        assert reasons == [1013]
        await until(lambda: server.services.endpoint.open_connections == 1, 120)
        assert (await counted(server))["dropped_connections"] == 1


async def test_who_returns_is_told_at_once_of_all_that_it_missed_and_is_counted(server: LiveServer) -> None:
    async with peer(server) as stays:
        await stays.subscribe("a", "b")
        position = (await stays.next())["revision"]
        await until(lambda: in_step(server) == 1)
        await write(server, a="m1")
        await write(server, b="m1")
        for _ in range(2):
            await stays.next()
        async with peer(server) as returning:
            await returning.subscribe("a", "b", since=position)
            event = await returning.next()
            assert [(config["alias"], config["model"]) for config in event["put"]] == [("a", "m1"), ("b", "m1")]
            missed = {"conflated_deliveries": 1, "subscribers_fell_behind": 0, "dropped_connections": 0}
            assert await counted(server) == missed


def assert_ordered(events: list[dict[str, Any]]) -> None:
    """Revisions grow, and no version is told twice, but in a snapshot."""
    held: dict[str, int] = {}
    last = -1
    for event in events:
        revision = revision_of(event["revision"])
        assert revision >= last
        last = revision
        if event["__typename"] == "ModelConfigSnapshot":
            held = {config["id"]: config["version"] for config in event["modelConfigs"]}
        for config in event.get("put", []):
            assert held.get(config["id"], 0) < config["version"]
            held[config["id"]] = config["version"]
        for config in event.get("removed", []):
            del held[config["id"]]


async def test_a_renewal_that_changes_rights_moves_the_member(server: LiveServer) -> None:
    async with peer(server) as moving, peer(server, "narrow") as narrow, peer(server) as staying:
        for each in (moving, narrow, staying):
            await each.subscribe()
            await each.next()
        await until(lambda: in_step(server) == 3)
        await staying.send(type="ping", payload={"authorization": "Bearer same"})
        await moving.send(type="ping", payload={"authorization": "Bearer narrow"})
        event = await moving.change()
        assert (event["__typename"], event["reset"]) == ("ModelConfigSnapshot", True)
        assert {config["alias"] for config in event["modelConfigs"]} == {"a", "general"}
        # The same rights, of another token, change nothing: its next event is the next change.
        await until(lambda: in_step(server) == 3)
        await write(server, b="m1")
        await write(server, a="m1")
        assert [config["alias"] for config in (await staying.next())["put"]] == ["b"]
        assert [config["alias"] for config in (await staying.next())["put"]] == ["a"]
        for each in (moving, narrow):
            assert [config["alias"] for config in (await each.change())["put"]] == ["a"]
        assert [len(list(group._in_step or ())) for group in groups(server)._groups.values()] == [1, 2]
        await moving.send(type="ping", payload={"authorization": "Bearer everything"})
        event = await moving.change()
        assert event["reset"]
        assert {config["alias"] for config in event["modelConfigs"]} == {"a", "b", "general", "planning"}
        assert_ordered(staying.events)


async def test_what_is_revoked_or_over_is_told_nothing_more(
    server: LiveServer, tokens: dict[str, Principal], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer(server) as staying, peer(server, "another") as revoked, AsyncExitStack() as stack:
        tokens["short"] = replace(EVERYTHING, expires_at=datetime.now(UTC) + timedelta(hours=1))
        short = await stack.enter_async_context(peer(server, "short"))
        for each in (staying, revoked, short):
            await each.subscribe("a")
            await each.next()
        await until(lambda: in_step(server) == 3)

        async def settle() -> None:
            server.services.endpoint.revoke({"api_key:grace": "the API key was revoked"})
            monkeypatch.setattr(
                "modelwire.server.graphql.connections._now", lambda: datetime.now(UTC) + timedelta(hours=2)
            )

        server.services.feed.deliver_after(settle)
        await write(server, a="m1")
        assert [config["model"] for config in (await staying.next())["put"]] == ["m1"]
        assert await nothing_but_the_end(revoked) == (4403, "the API key was revoked")
        assert await nothing_but_the_end(short) == (4403, "Token expired")


async def nothing_but_the_end(client: Peer) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        async with asyncio.timeout(120):
            await client.socket.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def test_when_a_group_breaks_its_members_are_served_alone_and_lose_nothing(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    async with peer(server) as one, peer(server) as two:
        for each in (one, two):
            await each.subscribe("a")
            await each.next()
        await until(lambda: in_step(server) == 2)
        with monkeypatch.context() as patched:
            patched.setattr(Group, "_deliver", broken)
            await write(server, a="m1")
            for each in (one, two):
                assert [config["model"] for config in (await each.change())["put"]] == ["m1"]
        await write(server, a="m2")
        for each in (one, two):
            assert [config["model"] for config in (await each.change())["put"]] == ["m2"]
            assert_ordered(each.events)


async def test_a_member_that_completes_is_told_nothing_more_and_may_use_its_id_again(server: LiveServer) -> None:
    async with peer(server) as client, peer(server) as other:
        for each in (client, other):
            await each.subscribe("a")
            await each.next()
        await until(lambda: in_step(server) == 2)
        await client.send(type="complete", id="1")
        await client.subscribe("b")
        assert [config["alias"] for config in (await client.next())["modelConfigs"]] == ["b"]
        await write(server, a="m1")
        await write(server, b="m1")
        assert [config["alias"] for config in (await client.next())["put"]] == ["b"]
        assert [config["alias"] for config in (await other.next())["put"]] == ["a"]


async def bound(server: LiveServer, id_: str) -> dict[str, int | None]:
    """What the components that use a config were sent of it: the version, by component."""
    found = await server.services.store.components.bindings(
        BindingsOf.CONFIG, [id_], visible=AliasPatterns(), now=datetime.now(UTC), first=100
    )
    return {each.component.name: each.delivered_version for each in found.get(id_, []) if each.component.online}


async def until_bound(server: LiveServer, id_: str, expected: dict[str, int | None]) -> None:
    async with asyncio.timeout(120):
        while await bound(server, id_) != expected:  # noqa: ASYNC110 - presence has no event for it
            await asyncio.sleep(0.02)


async def test_what_each_component_was_sent_is_known_of_members_too(server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        one, two, three = [await stack.enter_async_context(peer(server, component=name)) for name in ("1", "2", "3")]
        for each in (one, two, three):
            await each.subscribe("a")
        (config,) = (await one.next())["modelConfigs"]
        await until_bound(server, config["id"], {"1": 1, "2": 1, "3": 1})
        await until(lambda: in_step(server) == 3)
        await write(server, a="m1")
        await until_bound(server, config["id"], {"1": 2, "2": 2, "3": 2})
        # One has no interest any more, one is told alone for a while, and is the only one to be told of what follows.
        await one.send(type="complete", id="1")
        await two.send(type="ping", payload={"authorization": "Bearer narrow"})
        await until_bound(server, config["id"], {"2": 2, "3": 2})
        three.socket.transport.abort()
        await until_bound(server, config["id"], {"2": 2})
        await write(server, a="m2")
        await until_bound(server, config["id"], {"2": 3})


@dataclass
class Heard:
    """What a server said of deliveries."""

    members: list[int] = field(default_factory=list)
    ages: list[float | None] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def delivered(self, members: int, seconds: float | None) -> None:
        self.members.append(members)
        self.ages.append(seconds)

    def caught_up(self) -> None:
        self.others["caught up"] += 1

    def fell_behind(self) -> None:
        self.others["fell behind"] += 1

    def dropped(self) -> None:
        self.others["dropped"] += 1


async def test_deliveries_are_counted_together_with_their_age(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setattr(groups(server), "_sharing", replace(groups(server)._sharing, deliveries=heard))
    async with peer(server) as one, peer(server) as two:
        for each in (one, two):
            await each.subscribe("a", "b")
            await each.next()
        await until(lambda: in_step(server) == 2)
        assert (heard.members, heard.ages) == ([1, 1], [None, None])
        await write(server, a="m1")
        for each in (one, two):
            await each.next()
        assert heard.members[2:] == [2]
        assert heard.ages[2] is not None
        assert heard.ages[2] >= 0
        assert not heard.others
        one.socket.transport.pause_reading()
        while not heard.others["fell behind"]:
            await write(server, a="x" * 200_000)
        await write(server, a="m2")
        await write(server, b="m2")
        await until(lambda: in_step(server) == 1)
        one.socket.transport.resume_reading()
        await until(lambda: in_step(server) == 2, 120)
        # What its buffers take decides how often.
        assert set(heard.others) == {"fell behind", "caught up"}


async def test_members_on_every_server_of_a_database_are_told(tmp_path: Path, postgres_url: str, tokens: Any) -> None:
    async with AsyncExitStack() as stack:
        options = {"database_url": postgres_url, "encryption_keys": "A" * 43, "admin_key": ADMIN}
        servers = [await stack.enter_async_context(live_server(tmp_path / name, **options)) for name in ("one", "two")]
        await write(servers[0], a="m0")
        members = [await stack.enter_async_context(peer(server)) for server in servers * 3]
        for each in members:
            await each.subscribe("a")
            (config,) = (await each.next())["modelConfigs"]
            assert config["model"] == "m0"
        for server in servers:
            await until(lambda server=server: in_step(server) == 3)  # type: ignore[misc]
        for number in range(1, 6):
            await write(servers[number % 2], a=f"m{number}")
        for each in members:
            while (event := await each.change())["put"][0]["model"] != "m5":
                pass
            assert event["put"][0]["version"] == 6
            assert_ordered(each.events)


ADMIN = "mw_canary0123_" + "c0ffee" * 10 + "dead"


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_members_do_they_converge_and_are_told_nothing_twice(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """They come, freeze for a while, leave and resume, and renew, while others write: at the end each has the state."""
    # Bookmarks come in between, too.
    monkeypatch.setattr(server.services.feed, "_bookmark_seconds", 0.2)
    rng = random.Random(seed)
    replicas = [Replica(server, random.Random(f"{seed} {number}")) for number in range(8)]
    async with asyncio.timeout(240):
        tasks = [asyncio.create_task(replica.live()) for replica in replicas]
        for number in range(60):
            aliases = rng.sample(["a", "b", "c"], rng.randint(1, 2))
            exists = await server.services.store.find(alias="c") is not None
            deleted = "c" if exists and "c" not in aliases and rng.random() < 0.5 else None
            size = 150_000 if rng.random() < 0.2 else 10
            await write(server, deleted=deleted, **{alias: f"{number}-".ljust(size, "x") for alias in aliases})
            await asyncio.sleep(0)
        await write(server, a="last", b="last", c="last")
        for replica in replicas:
            replica.finishing = True
        await asyncio.gather(*tasks)


class Replica:
    """A subscriber of everything that it may see, on one socket after the other."""

    def __init__(self, server: LiveServer, rng: random.Random) -> None:
        self.server = server
        self.rng = rng
        self.finishing = False
        self.models: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.position: str | None = None
        # In whose sight the position was told.
        self.token = "everything"

    async def live(self) -> None:
        while not await self.connected():
            pass

    async def connected(self) -> bool:
        """One socket's life; True when all is told."""
        async with peer(self.server, self.token, max_queue=1) as client:
            await client.subscribe(since=self.position)
            for _ in range(10_000 if self.finishing else self.rng.randint(1, 12)):
                self.take(await client.next())
                if self.finishing and set(self.models.values()) == {"last"} and len(self.models) == 3:
                    return True
                if self.finishing:
                    continue
                match self.rng.randrange(6):
                    case 0:
                        client.socket.transport.pause_reading()
                        await asyncio.sleep(self.rng.random() / 10)
                        client.socket.transport.resume_reading()
                    case 1:
                        await client.send(type="ping", payload={"authorization": "Bearer same"})
                    case 2:
                        await client.send(type="ping", payload={"authorization": "Bearer narrow"})
                        while not (event := await client.next()).get("reset"):
                            self.take(event)
                        self.take(event)
                        assert set(self.models) <= {"a"}
                        await client.send(type="ping", payload={"authorization": "Bearer everything"})
                        while not (event := await client.next()).get("reset"):
                            self.take(event)
                        self.take(event)
        return False

    def take(self, event: dict[str, Any]) -> None:
        old = -1 if self.position is None else revision_of(self.position)
        assert revision_of(event["revision"]) >= old
        self.position = event["revision"]
        if event["__typename"] == "ModelConfigSnapshot":
            self.models, self.versions = {}, {}
        for gone in event.get("removed", []):
            del self.models[gone["alias"]], self.versions[gone["id"]]
        for config in event.get("modelConfigs", []) + event.get("put", []):
            assert self.versions.get(config["id"], 0) < config["version"]
            self.versions[config["id"]] = config["version"]
            if config["model"] is not None:
                self.models[config["alias"]] = config["model"]


def revision_of(position: str) -> int:
    return int(position.rpartition("-")[2])


async def test_rights_that_change_before_the_first_event_are_those_of_it(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its group, whose only member it was, is given up while it waits for it."""
    gate, follow = asyncio.Event(), Group._follow

    async def held(self: Group, since: Any) -> AsyncIterator[Any]:
        await gate.wait()
        async for event in follow(self, since):
            yield event

    def asked() -> list[Any]:
        return [group.key.rights.aliases.patterns for group in groups(server)._groups.values()]

    async with peer(server) as client:
        with monkeypatch.context() as patched:
            patched.setattr(Group, "_follow", held)
            await client.subscribe()
            await until(lambda: asked() == [None])
            await client.send(type="ping", payload={"authorization": "Bearer narrow"})
            await until(lambda: asked() == [("a", "general")])
            gate.set()
            event = await client.next()
        assert (event["__typename"], event["reset"]) == ("ModelConfigSnapshot", False)
        assert {config["alias"] for config in event["modelConfigs"]} == {"a", "general"}
