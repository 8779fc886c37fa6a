"""Several server processes on one database: every subscriber is told the same, in the same order, whoever wrote it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

KEY = "mw_canary0123_" + "c0ffee" * 10 + "dead"
ENVIRONMENT = {
    "MODELWIRE_ADMIN_KEY": KEY,
    "MODELWIRE_ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(range(32))).decode(),
}
UPDATES = 40

SUBSCRIPTION = """
subscription {
  modelConfigChanged {
    __typename
    revision
    ... on ModelConfigSnapshot { modelConfigs { alias version model } }
    ... on ModelConfigChange { put { alias version model } }
  }
}
"""
UPDATE = """
mutation Update($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) {
    ... on UpdateModelConfigPayload { modelConfig { version } }
    ... on UserError { message }
  }
}
"""


class Subscriber:
    """One websocket that follows all configs. `seen` has (revision, what was put) of each event."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[tuple[int, dict[str, tuple[int, str | None]]]] = []

    @classmethod
    async def open(cls, url: str) -> Subscriber:
        socket = await connect(
            url.replace("http", "ws", 1) + "/graphql", subprotocols=["graphql-transport-ws"], proxy=None
        )
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {KEY}"}}))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}}))
        subscriber = cls(socket)
        await subscriber.next()
        return subscriber

    async def next(self) -> None:
        message = json.loads(await self.socket.recv())
        assert message["type"] == "next", message
        event = message["payload"]["data"]["modelConfigChanged"]
        configs = event.get("modelConfigs") or event.get("put") or ()
        put = {config["alias"]: (config["version"], config["model"]) for config in configs}
        self.seen.append((int(event["revision"].rpartition("-")[2]), put))

    async def until(self, alias: str, version: int) -> None:
        while self.seen[-1][1].get(alias, (0, None))[0] < version:
            await self.next()


def connections(pid: int) -> int:
    """How many sockets of clients a process has open."""
    return sum(1 for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED)


def workers(server: Any) -> list[int]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = []
    for child in children:
        # One that has just died has no command line any more.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path, server_process: Any) -> Any:
    """Two servers on one database, the first of them with two workers."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/both.db"
    (tmp_path / "second").mkdir()
    second = type(server_process)(tmp_path / "second")
    both = (server_process, second)
    for server, arguments in zip(both, (["--workers=2"], []), strict=True):
        server.environment = {**ENVIRONMENT, "MODELWIRE_DATABASE_URL": url}
        server.start(*arguments)
    yield both
    for server in both:
        assert server.stop() == 0


async def subscribers_of_every_process(first: Any, second: Any) -> list[Subscriber]:
    """Enough subscribers that each of the three processes has some."""
    found = [await Subscriber.open(second.url) for _ in range(3)]
    while min(map(connections, workers(first))) == 0 or len(found) < 9:
        assert len(found) < 300, "one of the workers gets no connection"
        found.append(await Subscriber.open(first.url))
    return found


async def test_every_subscriber_is_told_the_same_in_the_same_order(
    servers: Any, make_client: Callable[[Any, str], Any]
) -> None:
    first, second = servers
    assert "Administrator key: as set by" in first.output
    assert first.output.count("GraphQL: ") == 1
    assert len(workers(first)) == 2
    subscribers = await subscribers_of_every_process(first, second)
    clients = [make_client(server, KEY) for server in servers]
    found = await clients[0].execute('{ modelConfig(by: {alias: "general"}) { id version } }')
    config_id, version = found["modelConfig"]["id"], found["modelConfig"]["version"]
    following = [asyncio.create_task(each.until("general", version + UPDATES)) for each in subscribers]
    for number in range(UPDATES):
        values = {"id": config_id, "expectedVersion": version, "provider": "openai", "model": f"model-{number}"}
        result = await clients[number % 2].execute(UPDATE, input=values)
        version = result["updateModelConfig"]["modelConfig"]["version"]
    await asyncio.gather(*following)

    told: dict[int, Any] = {}
    for subscriber in subscribers:
        revisions = [revision for revision, _ in subscriber.seen]
        assert revisions == sorted(set(revisions))
        assert subscriber.seen[-1][1]["general"] == (version, f"model-{UPDATES - 1}")
        for revision, put in subscriber.seen[1:]:
            assert told.setdefault(revision, put) == put
        await subscriber.socket.close()


async def test_servers_that_start_at_once_make_one_database(
    tmp_path: Path, server_process: Any, make_client: Callable[[Any, str], Any]
) -> None:
    """One makes the keys and the first key, another one perhaps the schema, and each works with what there is."""
    servers = [server_process]
    for name in ("second", "third"):
        (tmp_path / name).mkdir()
        servers.append(type(server_process)(tmp_path / name))
        servers[-1].data_dir = server_process.data_dir
    try:
        for server in servers:
            server.spawn()
        await asyncio.gather(*(asyncio.to_thread(server.until_ready) for server in servers))
        output = "".join(server.output for server in servers)
        assert output.count("made now; keep a copy") == 1
        [key] = re.findall(r"^Administrator key: (mw_\w+)", output, re.MULTILINE)
        for server in servers:
            assert (await make_client(server, key).execute("{ viewer { name } }"))["viewer"]["name"] == "administrator"
    finally:
        for server in servers:
            server.kill()


async def test_a_worker_that_dies_is_replaced_and_the_others_go_on(
    server_process: Any, make_client: Callable[[Any, str], Any]
) -> None:
    server_process.environment = ENVIRONMENT
    server_process.start("--workers=2")
    victim, other = workers(server_process)
    psutil.Process(victim).kill()
    client = make_client(server_process, KEY)
    while len(alive := set(workers(server_process)) - {victim}) < 2:  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(0.05)
    assert other in alive
    assert "is replaced" in server_process.output
    assert (await client.execute("{ viewer { name } }"))["viewer"]
    # When the first process is gone, its workers do not keep the port.
    children = psutil.Process(server_process.process.pid).children(recursive=True)
    server_process.kill()
    _, left = await asyncio.to_thread(psutil.wait_procs, children, 15)
    assert left == []
    server_process.start("--workers=2")
    assert server_process.stop() == 0
