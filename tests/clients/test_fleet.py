"""Waiting for the fleet with a stock client, as docs/fleet.md prints it: real server processes and real components."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

from modelwire.subscriber import DynamicModelProvider
from modelwire.subscriber.timing import Timing

from .conftest import TIMEOUT_SECONDS

HERE = Path(__file__).parent
PROGRAM = HERE / "wait_for_fleet.py"
ADMIN = "mw_canary0123_" + "c0ffee" * 10 + "dead"
CREATE = """mutation {
  createModelConfig(input: { alias: "x", provider: "openai", model: "m", auth: {apiKey: {apiKey: "k"}} }) {
    ... on CreateModelConfigPayload { modelConfig { id } }
  }
}"""
UPDATE = "mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) { __typename } }"
WATCH = """subscription { componentChanged(by: [{ alias: "x" }]) {
  __typename complete rollouts { alias rollout { version applied refused pending offline } }
  ... on ComponentSnapshot { components { ...Member } }
  ... on ComponentChange { put { ...Member } removed { name } removedRollouts { alias } }
} }
fragment Member on WatchedComponent {
  component { name online } bindings { alias state desiredVersion appliedVersion } }"""


@pytest.fixture
def servers(tmp_path: Path, postgres_url: str, server_process: Any) -> Any:
    """Two server processes on one PostgreSQL."""
    server_class = type(server_process)
    made = [server_class(tmp_path / name) for name in ("one", "two")]
    for server in made:
        server.folder.mkdir()
        server.environment = {
            "MODELWIRE_DATABASE_URL": postgres_url,
            "MODELWIRE_ENCRYPTION_KEYS": "A" * 43,
            "MODELWIRE_ADMIN_KEY": ADMIN,
            "MODELWIRE_COMPONENT_LEASE_SECONDS": "2",
        }
    yield made
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def component(server: Any, name: str) -> DynamicModelProvider:
    timing = Timing(backoff_first_seconds=0.05, backoff_max_seconds=0.4)
    return DynamicModelProvider(server.url, token=ADMIN, component=name, _timing=timing)


@asynccontextmanager
async def watching(server: Any) -> AsyncIterator[Callable[[Callable[[dict[str, Any]], bool]], Any]]:
    """Reads the events until one of them is what is waited for."""
    transport = WebsocketsTransport(
        url=f"{server.url}/graphql".replace("http", "ws", 1),
        init_payload={"authorization": f"Bearer {ADMIN}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=transport) as session:
        events = session.subscribe(gql(WATCH))

        async def until(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                async for event in events:
                    changed: dict[str, Any] = event["componentChanged"]
                    if wanted(changed):
                        return changed
            raise AssertionError("the subscription ended")

        yield until


def counts(event: dict[str, Any], **wanted: int) -> bool:
    return any(each["rollout"].items() >= wanted.items() for each in event["rollouts"])


def test_the_page_shows_what_is_tested() -> None:
    page = (HERE.parents[1] / "docs" / "fleet.md").read_text()
    assert PROGRAM.read_text() in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


async def test_a_version_is_waited_for_on_another_server(servers: Any, make_client: Callable[..., Any]) -> None:
    one, two = servers
    one.start()
    two.start()
    http = make_client(one, ADMIN)
    made = (await http.execute(CREATE))["createModelConfig"]["modelConfig"]
    async with component(one, "first") as first, component(two, "second") as second, watching(two) as until:
        for each in (first, second):
            await each.get_lite_llm_model("x").wait_ready(timeout_seconds=TIMEOUT_SECONDS)
        await until(lambda event: counts(event, version=1, applied=2, pending=0))
        waiting = await run_program(two, "2")
        await http.execute(UPDATE, input={"id": made["id"], "expectedVersion": 1, "model": "n"})
        await until(lambda event: counts(event, version=2, applied=2, pending=0))
        assert (await waiting()) == (0, "version 2: 2 of 2 applied")
        waiting = await run_program(one, "3")
        forbidden = {"apiKey": {"apiKey": "os.environ/FORBIDDEN"}}
        await http.execute(UPDATE, input={"id": made["id"], "expectedVersion": 2, "auth": forbidden})
        refused = "version 3: 0 of 2 applied {'reason': 'missing_secret', 'components': 2}"
        assert (await waiting()) == (3, refused)


async def run_program(server: Any, version: str) -> Callable[[], Any]:
    """Start the printed program; what is returned waits for its end: its exit code and its last line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        "x",
        version,
        env={"MODELWIRE_URL": server.url, "MODELWIRE_TOKEN": ADMIN},
        stdout=asyncio.subprocess.PIPE,
    )

    async def ended() -> tuple[int, str]:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode().splitlines()[-1]

    return ended


async def test_who_was_on_a_killed_server_is_seen_going_and_coming_back(
    servers: Any, make_client: Callable[..., Any]
) -> None:
    one, two = servers
    one.start()
    two.start()
    await make_client(one, ADMIN).execute(CREATE)
    async with component(one, "first") as first, watching(two) as until:
        await first.get_lite_llm_model("x").wait_ready(timeout_seconds=TIMEOUT_SECONDS)
        await until(lambda event: counts(event, applied=1))
        await asyncio.to_thread(one.kill)
        gone = await until(lambda event: counts(event, offline=1, applied=0))
        assert [each["component"] for each in gone["put"]] == [{"name": "first", "online": False}]
        assert gone["put"][0]["bindings"] == [
            {"alias": "x", "state": "OFFLINE", "desiredVersion": 1, "appliedVersion": 1}
        ]
        await asyncio.to_thread(one.start)
        await until(lambda event: counts(event, offline=0, applied=1))
