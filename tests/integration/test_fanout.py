"""Subscribers who ask for the same are served together, and none of them is worse off for it: on the whole server."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from live_server import LiveServer, live_server, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from modelwire.resolvers import litellm_params
from modelwire.resolvers.access import ALL_SCOPES, Principal, Scope
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server import app
from modelwire.server.graphql import websocket
from modelwire.server.graphql.fanout import Group, Groups
from modelwire.store import AliasPatterns, ModelConfigDraft

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


@asynccontextmanager
async def peer(server: LiveServer, token: str = "everything", **options: Any) -> AsyncIterator[Peer]:
    url = server.url.replace("http", "ws")
    async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None, max_size=None, **options) as socket_:
        await socket_.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
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


def assert_ordered(events: list[dict[str, Any]]) -> None:
    """Revisions grow, and no version is told twice, but in a snapshot."""
    held: dict[str, int] = {}
    last = -1
    for event in events:
        revision = int(event["revision"].rpartition("-")[2])
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
