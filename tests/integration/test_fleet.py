"""The fleet as operators see it: real subscribers on two servers of one database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import LiveServer, live_server

from modelwire.server import presence
from modelwire.store import Components, PresenceBatch
from modelwire.subscriber import DynamicModelProvider

KEYS = "A" * 43
ADMIN = "mw_canary0123_" + "c0ffee" * 10 + "dead"
FLEET = """{ modelConfig(by: {alias: "x"}) {
  id version rollout { applied refused pending offline reasons { reason } }
  components { edges { node { component { name online } state deliveredVersion appliedVersion } } } } }"""
CREATE = """mutation {
  createModelConfig(input: { alias: "x", provider: "openai", model: "m", auth: {apiKey: {apiKey: "k"}} }) {
    ... on CreateModelConfigPayload { modelConfig { id } }
  }
}"""
UPDATE = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) { __typename } }"""
DELETE = """mutation ($input: DeleteModelConfigInput!) { deleteModelConfig(input: $input) { __typename } }"""


@pytest.fixture(params=["sqlite", "postgresql"])
async def servers(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[LiveServer]]:
    """Two servers on one database."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/both.db"
    monkeypatch.setattr(presence, "BATCH_SECONDS", 0.02)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                live_server(
                    tmp_path / name,
                    database_url=url,
                    encryption_keys=KEYS,
                    admin_key=ADMIN,
                    component_lease_seconds=1.0,
                )
            )
            for name in ("one", "two")
        ]


@pytest.fixture
async def ask() -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    async with httpx.AsyncClient(trust_env=False, timeout=60, headers={"authorization": f"Bearer {ADMIN}"}) as http:

        async def ask(server: LiveServer, document: str, **given: Any) -> Any:
            response = await http.post(server.url, json={"query": document, "variables": {"input": given}})
            (value,) = response.json()["data"].values()
            return value

        yield ask


def provider(server: LiveServer, name: str) -> DynamicModelProvider:
    return DynamicModelProvider(f"http://127.0.0.1:{server.port}", token=ADMIN, component=name)


async def seen(ask: Any, server: LiveServer, wanted: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(120):
        while not wanted(found := await ask(server, FLEET)):  # noqa: ASYNC110 - the servers have no event for it
            await asyncio.sleep(0.02)
    return found


async def test_a_fleet_is_seen_from_every_server(servers: list[LiveServer], ask: Any) -> None:
    one, two = servers
    made = (await ask(one, CREATE))["modelConfig"]
    async with provider(one, "first") as first, provider(two, "second") as second:
        models = [each.get_lite_llm_model("x") for each in (first, second)]
        await asyncio.gather(*(model.wait_ready(timeout_seconds=120) for model in models))
        for server in servers:
            found = await seen(ask, server, lambda found: found["rollout"]["applied"] == 2)
            assert [edge["node"] for edge in found["components"]["edges"]] == [
                {
                    "component": {"name": name, "online": True},
                    "state": "APPLIED",
                    "deliveredVersion": 1,
                    "appliedVersion": 1,
                }
                for name in ("first", "second")
            ]
        await ask(one, UPDATE, id=made["id"], expectedVersion=1, auth={"apiKey": {"apiKey": "os.environ/FORBIDDEN"}})
        found = await seen(ask, two, lambda found: found["rollout"]["refused"] == 2)
        assert (found["version"], found["rollout"]["reasons"]) == (2, [{"reason": "missing_secret"}])
        assert [model.version for model in models] == [1, 1]
        deletion = {"id": made["id"], "expectedVersion": 2}
        assert (await ask(one, DELETE, **deletion))["__typename"] == "InUse"
    await seen(ask, one, lambda found: found["rollout"]["offline"] == 2)
    assert (await ask(two, DELETE, **deletion))["__typename"] == "DeleteModelConfigPayload"


async def test_who_was_on_a_server_that_died_is_offline_until_it_returns(
    servers: list[LiveServer], ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = servers
    await ask(one, CREATE)
    write = Components.write
    dead: set[str] = set()

    async def write_while_alive(self: Components, batch: PresenceBatch) -> None:
        # As after `kill -9`: nothing more is heard of the process.
        if self is one.services.store.components and dead:
            raise AssertionError("a dead process writes nothing")
        await write(self, batch)

    async with provider(one, "first") as first:
        await first.get_lite_llm_model("x").wait_ready(timeout_seconds=120)
        await seen(ask, two, lambda found: found["rollout"]["applied"] == 1)
        monkeypatch.setattr(Components, "write", write_while_alive)
        dead.add("one")
        # Its lease runs out.
        await seen(ask, two, lambda found: found["rollout"]["offline"] == 1)
        dead.clear()
        await seen(ask, two, lambda found: found["rollout"]["applied"] == 1)
