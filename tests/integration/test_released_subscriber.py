"""The subscriber as it was released last, in a process of its own, against the server of today."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import STOP_SECONDS, Client, ServerProcess

RELEASED = Path(__file__).parents[1] / "data" / "subscriber" / "released.zip"
COMPONENT = """
import asyncio, sys
import modelwire
from modelwire.subscriber import DynamicModelProvider


async def main():
    print(modelwire.__file__, flush=True)
    async with DynamicModelProvider(component="of-the-release") as provider:
        model = provider.get_lite_llm_model("x")
        changed = asyncio.Event()
        model.on_settings_change(lambda *_: changed.set())
        model.on_status_change(lambda *_: changed.set())
        provider.on_link_change(lambda old, new: print("link", new.state.value, flush=True))
        await model.wait_ready(timeout_seconds=120)
        while model.status.value == "ready":
            changed.clear()
            reply = await model.acompletion(messages=[{"role": "user", "content": "Which model are you?"}])
            print(model.version, reply.choices[0].message.content, flush=True)
            await changed.wait()
        print(model.status.value, flush=True)


asyncio.run(main())
"""
CREATE = """mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) {
  ... on CreateModelConfigPayload { modelConfig { id } } } }"""
UPDATE = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) {
  ... on UpdateModelConfigPayload { modelConfig { version } } } }"""
DELETE = """mutation ($input: DeleteModelConfigInput!) { deleteModelConfig(input: $input) {
  ... on DeleteModelConfigPayload { id } } }"""
ROLLOUT = '{ modelConfig(by: { alias: "x" }) { rollout { applied refused pending } } }'


class Component:
    """The process; `said` waits until it says something, whatever it says before."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def said(self, wanted: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(STOP_SECONDS):
            while line := (await self.process.stdout.readline()).decode():
                if wanted in line:
                    return line
        raise AssertionError(f"it ended without a word of {wanted!r}")


@pytest.fixture
async def start() -> AsyncIterator[Callable[[ServerProcess], Any]]:
    started: list[asyncio.subprocess.Process] = []

    async def start(server: ServerProcess) -> Component:
        environment = {
            **os.environ,
            "PYTHONPATH": str(RELEASED),
            "MODELWIRE_URL": server.url,
            "MODELWIRE_TOKEN": server.admin_key,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COMPONENT, env=environment, stdout=asyncio.subprocess.PIPE
        )
        started.append(process)
        return Component(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_boots_follows_resumes_and_acknowledges(
    server: ServerProcess, start: Callable[[ServerProcess], Any], endpoint: str
) -> None:
    client = Client(server.url, server.admin_key)
    auth = {"apiKey": {"apiKey": "sk-test"}}
    given = {"alias": "x", "provider": "openai", "model": "first", "apiBase": endpoint, "auth": auth}
    created = (await client.execute(CREATE, input=given))["createModelConfig"]["modelConfig"]
    component = await start(server)
    assert str(RELEASED) in await component.said("modelwire")
    assert "first" in await component.said("1 ")

    async def change(version: int, model: str) -> None:
        await client.execute(UPDATE, input={"id": created["id"], "expectedVersion": version, "model": model})

    await change(1, "second")
    assert "second" in await component.said("2 ")
    all_applied = {"applied": 1, "refused": 0, "pending": 0}
    async with asyncio.timeout(STOP_SECONDS):
        while (await client.execute(ROLLOUT))["modelConfig"]["rollout"] != all_applied:  # noqa: ASYNC110 - polled as users do
            await asyncio.sleep(0.05)

    # It comes back by itself, and has what it missed.
    assert await asyncio.to_thread(server.stop) == 0
    await component.said("link stale")
    await client.close()
    await asyncio.to_thread(server.start)
    client = Client(server.url, server.admin_key)
    await change(2, "third")
    assert "third" in await component.said("3 ")

    await client.execute(DELETE, input={"id": created["id"], "expectedVersion": 3, "force": True})
    assert await component.said("none")
    assert await component.process.wait() == 0
    await client.close()
