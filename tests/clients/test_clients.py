"""Stock GraphQL clients, as `docs/clients.md` sets them up, on a real server: query, mutation, subscription, errors."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from gql import gql
from gql.transport.exceptions import TransportQueryError

from .conftest import TIMEOUT_SECONDS, run_node

HERE = Path(__file__).parent
NODE_CLIENTS = sorted(path.stem for path in (HERE / "setup").glob("*.mjs"))
# urql takes the end of a stream for the end of the subscription.
RECONNECTING = [name for name in NODE_CLIENTS if name != "urql-sse"]
AUDITS = 61


@pytest.fixture(scope="module", autouse=True)
def relay(node_project: Path) -> None:
    """Relay's operations, compiled on today's schema."""
    run_node("npm", "run", "--silent", "relay")


class NodeClient:
    """A run of scenario.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self, word: str) -> None:
        """Wait for its next line, which has to be this."""
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            line = await self._process.stdout.readline()
            if line.decode().strip() != word:
                _, errors = await self._process.communicate()
                pytest.fail(f"{line!r} instead of {word}\n{errors.decode()}", pytrace=False)

    async def ends(self) -> None:
        """Wait for its end: nothing that it left open may keep it."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert await self._process.wait() == 0


@asynccontextmanager
async def node_client(
    server: Any, name: str, *arguments: str, options: tuple[str, ...] = ()
) -> AsyncIterator[NodeClient]:
    process = await asyncio.create_subprocess_exec(
        "node",
        *options,
        "scenario.mjs",
        name,
        f"{server.url}/graphql",
        server.admin_key,
        *arguments,
        cwd=HERE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield NodeClient(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("name", NODE_CLIENTS)
async def test_a_node_client(shared_server: Any, name: str) -> None:
    async with node_client(shared_server, name, f"clients-{name}") as client:
        await client.says("done")
        await client.ends()


UPDATE = """
    mutation ($input: UpdateModelConfigInput!) {
      updateModelConfig(input: $input) { __typename }
    }
"""


async def test_subscriptions_go_on_when_the_server_is_back(server: Any, make_client: Callable[..., Any]) -> None:
    async def follow(name: str) -> None:
        async with node_client(server, name, name, "restart", options=("--import", "./impatient.mjs")) as client:
            await client.says("ready")
            ready.release()
            await client.says("done")
            await client.ends()

    ready = asyncio.Semaphore(0)
    async with asyncio.timeout(TIMEOUT_SECONDS), asyncio.TaskGroup() as tasks:
        for name in RECONNECTING:
            tasks.create_task(follow(name))
        for _ in RECONNECTING:
            await ready.acquire()
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.to_thread(server.start)
        http = make_client(server, server.admin_key)
        found = await http.execute("{ modelConfigs { edges { node { id alias version } } } }")
        for edge in found["modelConfigs"]["edges"]:
            if edge["node"]["alias"] in RECONNECTING:
                change = {"id": edge["node"]["id"], "expectedVersion": 1, "description": "changed"}
                updated = await http.execute(UPDATE, input=change)
                assert updated["updateModelConfig"]["__typename"] == "UpdateModelConfigPayload"


def test_graphql_over_http_audits(shared_server: Any) -> None:
    results = json.loads(run_node("node", "audits.mjs", f"{shared_server.url}/graphql", shared_server.admin_key))
    failed = [f"{audit['id']} {audit['name']}: {audit['reason']}" for audit in results if audit["status"] != "ok"]
    assert not failed, "\n".join(failed)
    assert len(results) == AUDITS


MODEL_CONFIGS = gql("{ modelConfigs(first: 100) { edges { node { id alias version } } } }")
CREATE = gql("""
    mutation ($input: CreateModelConfigInput!) {
      createModelConfig(input: $input) {
        __typename
        ... on CreateModelConfigPayload { modelConfig { id version } }
        ... on AliasTaken { path }
      }
    }
""")
CHANGED = gql("""
    subscription ($by: [ModelConfigRef!]) {
      modelConfigChanged(by: $by) {
        __typename
        ... on ModelConfigSnapshot { modelConfigs { id } }
        ... on ModelConfigChange { put { id version } }
      }
    }
""")


def _setup(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / "setup" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("writes_by", ["gql_http", "gql_websocket"])
async def test_the_python_client(shared_server: Any, writes_by: str) -> None:
    arguments = f"{shared_server.url}/graphql", shared_server.admin_key
    alias = f"clients-{writes_by}"
    config = {"input": {"alias": alias, "provider": "openai", "model": "gpt-5"}}
    async with (
        asyncio.timeout(TIMEOUT_SECONDS),
        _setup("gql_websocket").connect(*arguments) as watching,
        _setup(writes_by).connect(*arguments) as writing,
    ):
        found = await writing.execute(MODEL_CONFIGS)
        assert {"general", "planning"} <= {edge["node"]["alias"] for edge in found["modelConfigs"]["edges"]}
        CHANGED.variable_values = {"by": [{"alias": alias}]}
        events = watching.subscribe(CHANGED)
        first = await anext(events)
        assert first["modelConfigChanged"] == {"__typename": "ModelConfigSnapshot", "modelConfigs": []}
        CREATE.variable_values = config
        created = (await writing.execute(CREATE))["createModelConfig"]
        assert created["__typename"] == "CreateModelConfigPayload"
        change = (await anext(events))["modelConfigChanged"]
        assert change == {"__typename": "ModelConfigChange", "put": [created["modelConfig"]]}
        again = (await writing.execute(CREATE))["createModelConfig"]
        assert again == {"__typename": "AliasTaken", "path": ["input", "alias"]}
        with pytest.raises(TransportQueryError) as caught:
            await writing.execute(gql("{ nothing }"))
        assert caught.value.errors is not None
        assert caught.value.errors[0]["extensions"]["code"] == "BAD_USER_INPUT"
        await events.aclose()
