"""Presence put to the proof: a server that is killed, a storm of connections, a delete on another server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fault_proxy import fault_proxy
from live_server import LiveServer, live_server
from sqlalchemy import event
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from modelwire.server import presence
from modelwire.store import ComponentListing
from modelwire.subscriber import DynamicModelProvider
from modelwire.subscriber.links import OPERATIONS_PER_SOCKET
from modelwire.subscriber.timing import Timing

WAIT_SECONDS = 120.0
ADMIN = "mw_canary0123_" + "c0ffee" * 10 + "dead"
CREATE = """mutation {
  createModelConfig(input: { alias: "x", provider: "openai", model: "m", auth: {apiKey: {apiKey: "k"}} }) {
    ... on CreateModelConfigPayload { modelConfig { id } }
  }
}"""
DELETE = """mutation ($input: DeleteModelConfigInput!) { deleteModelConfig(input: $input) {
  __typename ... on InUse { components { component { name } } } } }"""
FLEET = """{ components(first: 10) { edges { node { name online } } }
  modelConfig(by: {alias: "x"}) { rollout { applied pending offline } } }"""
BOUND = """{ components(first: 10, filter: {online: true}) {
  edges { node { bindings(first: 100) { edges { node { alias } } } } } } }"""
WATCH = """subscription { modelConfigChanged(by: [{alias: "general"}]) { revision } }"""
ONLINE = ComponentListing(online=True)
TIMING = Timing(backoff_first_seconds=0.05, backoff_max_seconds=0.4)


@pytest.fixture
def servers(tmp_path: Path, postgres_url: str, server_process: Any) -> Any:
    """Two server processes on one PostgreSQL."""
    (tmp_path / "two").mkdir()
    made = (server_process, type(server_process)(tmp_path / "two"))
    for server in made:
        server.environment = {
            "MODELWIRE_DATABASE_URL": postgres_url,
            "MODELWIRE_ENCRYPTION_KEYS": "A" * 43,
            "MODELWIRE_ADMIN_KEY": ADMIN,
            "MODELWIRE_COMPONENT_LEASE_SECONDS": "3",
        }
        server.start()
    yield made
    if made[1].process.poll() is None:
        made[1].kill()


async def test_a_server_is_killed_and_its_components_are_gone_or_elsewhere(
    servers: Any, make_client: Callable[..., Any]
) -> None:
    """`kill -9` of one of two: who has only that one is offline, who finds the other is online again."""
    one, two = servers
    client = make_client(two, ADMIN)
    made = (await client.execute(CREATE))["createModelConfig"]["modelConfig"]

    async def seen(applied: int, offline: int, **online: bool) -> None:
        """Wait until the other server shows so many, and each of these components so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found = await client.execute(FLEET)
                shown = {edge["node"]["name"]: edge["node"]["online"] for edge in found["components"]["edges"]}
                rollout = {"applied": applied, "pending": 0, "offline": offline}
                if found["modelConfig"]["rollout"] == rollout and shown == online:
                    return
                await asyncio.sleep(0.05)

    async with fault_proxy(one.port, two.port) as proxy:
        stays = DynamicModelProvider(proxy.url, token=ADMIN, component="stays", _timing=TIMING)
        lost = DynamicModelProvider(one.url, token=ADMIN, component="lost", _timing=TIMING)
        async with stays, lost:
            for each in (stays, lost):
                await each.get_lite_llm_model("x").wait_ready(timeout_seconds=WAIT_SECONDS)
            await seen(2, 0, stays=True, lost=True)
            # Asked where neither is connected.
            given = {"id": made["id"], "expectedVersion": 1}
            refused = (await client.execute(DELETE, input=given))["deleteModelConfig"]
            assert refused["__typename"] == "InUse"
            assert sorted(each["component"]["name"] for each in refused["components"]) == ["lost", "stays"]
            await asyncio.to_thread(one.kill)
            await seen(1, 1, stays=True, lost=False)
            refused = (await client.execute(DELETE, input=given))["deleteModelConfig"]
            assert [each["component"]["name"] for each in refused["components"]] == ["stays"]
            assert stays.get_lite_llm_model("x").version == 1
        await seen(0, 2, stays=False, lost=False)
        assert (await client.execute(DELETE, input=given))["deleteModelConfig"]["__typename"] == (
            "DeleteModelConfigPayload"
        )


async def test_a_component_with_sockets_to_two_servers_is_shown_whole(
    servers: Any, postgres_url: str, make_client: Callable[..., Any]
) -> None:
    """It watches more than one socket may carry. Both servers renew their leases, and neither takes it for its own."""
    one, two = servers
    client = make_client(two, ADMIN)
    aliases = [f"a{number:02}" for number in range(OPERATIONS_PER_SOCKET + 5)]

    async def shown() -> list[str]:
        """What all that are online watch."""
        edges = (await client.execute(BOUND))["components"]["edges"]
        return sorted(each["node"]["alias"] for edge in edges for each in edge["node"]["bindings"]["edges"])

    async def until_shown(expected: list[str]) -> None:
        while True:
            if await shown() == expected:
                return
            await asyncio.sleep(0.05)

    async def leases() -> dict[str, datetime]:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            rows = await connection.execute("SELECT id, lease_until FROM component_servers")
            return dict(await rows.fetchall())

    async with (
        fault_proxy(one.port, two.port) as proxy,
        DynamicModelProvider(proxy.url, token=ADMIN, component="many", _timing=TIMING) as many,
        asyncio.timeout(WAIT_SECONDS),
    ):
        for alias in aliases[:OPERATIONS_PER_SOCKET]:
            many.get_lite_llm_model(alias)
        await until_shown(aliases[:OPERATIONS_PER_SOCKET])
        proxy.target = 1
        for alias in aliases[OPERATIONS_PER_SOCKET:]:
            many.get_lite_llm_model(alias)
        await until_shown(aliases)
        for _ in range(3):
            before = await leases()
            assert len(before) == 2
            while any(until == before[server] for server, until in (await leases()).items()):
                assert await shown() == aliases
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("connects", [1_000, pytest.param(5_000, marks=pytest.mark.long)])
async def test_a_storm_of_connects_is_few_transactions(
    tmp_path: Path, postgres_url: str, connects: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BATCH_SECONDS", 1.0)
    settings = {"database_url": postgres_url, "encryption_keys": "A" * 43, "admin_key": ADMIN}
    async with (
        live_server(tmp_path, max_connections_per_principal=connects + 10, **settings) as server,
        AsyncExitStack() as stack,
    ):
        components = server.services.store.components
        commits = 0

        def count(_connection: object) -> None:
            nonlocal commits
            commits += 1

        engine = server.services.store._database._engine
        event.listen(engine, "commit", count)
        loop = asyncio.get_running_loop()
        begin, few = loop.time(), asyncio.Semaphore(50)

        async def one(number: int) -> None:
            async with few:
                await stack.enter_async_context(await greeted(server, number))

        await asyncio.gather(*map(one, range(connects)))
        async with asyncio.timeout(WAIT_SECONDS):
            while len(await components.page(ONLINE, now=datetime.now(UTC), first=connects + 1)) < connects:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0.2)
        # One a second, but for what one transaction does not hold, and for what else is written now and then.
        assert 0 < commits <= 2 * (loop.time() - begin) + connects / presence.BATCH_COMPONENTS + 2
        assert commits < connects / 5
        event.remove(engine, "commit", count)


async def greeted(server: LiveServer, number: int) -> ClientConnection:
    """A component that is connected and was sent what it asked for."""
    url = server.url.replace("http", "ws", 1)
    subprotocols = [Subprotocol("graphql-transport-ws")]
    socket = await connect(url, subprotocols=subprotocols, compression=None, proxy=None, ping_interval=None)
    hello = {"authorization": f"Bearer {ADMIN}", "component": {"instanceId": f"i-{number}", "name": f"c-{number}"}}
    await socket.send(json.dumps({"type": "connection_init", "payload": hello}))
    assert json.loads(await socket.recv())["type"] == "connection_ack"
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": WATCH}}))
    assert json.loads(await socket.recv())["type"] == "next"
    return socket
