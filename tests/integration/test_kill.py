"""`kill -9` of the server, again and again, while mutations and completions go on: nothing that was answered is lost.

A real server process on one database, real subscribers, a real endpoint. The writer notes every mutation that was
answered; at the end the change log has to hold each of them, and the subscribers have to run the last version.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwire.cli.demo.endpoint import answering_model
from modelwire.store import Keyring, open_store
from modelwire.subscriber import DynamicModelProvider, LinkState, LiteLlm
from modelwire.subscriber.timing import Timing

from .subscriber.component import check_nothing_left

KILLS = ("right after an answer", "while a mutation is under way", "while it starts", "while nothing is written")
BETWEEN_KILLS = 5
WAIT_SECONDS = 120.0
# As in use, but for waits that a test has no time for.
# Shorter than the server lives between two kills: each of them is to be seen.
TIMING = Timing(backoff_first_seconds=0.05, backoff_max_seconds=0.1)

UPDATE = """
mutation Update($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) {
    ... on UpdateModelConfigPayload { modelConfig { version model } }
    ... on VersionConflict { current { version } }
    ... on UserError { message }
  }
}
"""


@dataclass
class Writer:
    """Gives `general` one model after another. `answered` has the model of each version that was answered for."""

    client: Any
    config: dict[str, Any]
    answered: dict[int, str] = field(default_factory=dict)
    allowed: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    sending: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stopped: asyncio.Event) -> None:
        number = 0
        while not stopped.is_set():
            await self.allowed.wait()
            number += 1
            change = {"id": self.config["id"], "expectedVersion": self.config["version"], "model": f"model-{number}"}
            self.sending.set()
            try:
                result = (await self.client.execute(UPDATE, input=change))["updateModelConfig"]
            except httpx.TransportError:
                await asyncio.sleep(0.01)
                continue
            finally:
                self.sending.clear()
            # A conflict is with our own mutation, committed before a kill that cut off its answer.
            config = result.get("modelConfig") or result["current"]
            self.config["version"] = config["version"]
            if "modelConfig" in result:
                async with self.news:
                    self.answered[config["version"]] = config["model"]
                    self.news.notify_all()

    async def wait_for_more(self) -> None:
        """Until a few more mutations have been answered."""
        enough = len(self.answered) + BETWEEN_KILLS
        async with self.news, asyncio.timeout(WAIT_SECONDS):
            await self.news.wait_for(lambda: len(self.answered) >= enough)


@dataclass
class Caller:
    """Makes one completion after another with a model, and fails with the first that does."""

    model: LiteLlm
    seen: list[tuple[int, str]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model.on_status_change(lambda old, new: self.statuses.append(f"{old}>{new}"))

    async def run(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            await self.call()

    async def call(self) -> None:
        settings = self.model.settings
        assert settings is not None
        reply = await self.model.acompletion(messages=[{"role": "user", "content": "Which model?"}], num_retries=0)
        answered_by = answering_model(reply.choices[0].message.content)
        assert settings.model == f"openai/{answered_by}"
        self.seen.append((settings.version, answered_by))


@pytest.fixture
async def writer(server, make_client, endpoint: str) -> Writer:
    client = make_client(server, server.admin_key)
    [config] = [
        edge["node"]
        for edge in (await client.execute("{ modelConfigs { edges { node { id alias version } } } }"))["modelConfigs"][
            "edges"
        ]
        if edge["node"]["alias"] == "general"
    ]
    given = {"provider": "openai", "model": "model-0", "apiBase": endpoint, "auth": {"apiKey": {"apiKey": "sk-test"}}}
    values = {"id": config["id"], "expectedVersion": config["version"], **given}
    await client.execute(UPDATE, input=values)
    return Writer(client, {"id": config["id"], "version": config["version"] + 1})


async def kill(server, writer: Writer, moment: str) -> None:
    """Kill the server at this moment, and start it again."""
    await writer.wait_for_more()
    match moment:
        case "while a mutation is under way":
            await writer.sending.wait()
        case "while it starts":
            await asyncio.to_thread(server.kill)
            server.spawn()
            await asyncio.sleep(0.3)
        case "while nothing is written":
            writer.allowed.clear()
    await asyncio.to_thread(server.kill)
    writer.allowed.set()
    await asyncio.to_thread(server.start)


async def until_version(models: list[LiteLlm], version: int) -> None:
    changed = asyncio.Event()
    for model in models:
        model.on_settings_change(lambda _old, _new: changed.set())
    async with asyncio.timeout(WAIT_SECONDS):
        while any(model.version != version for model in models):
            changed.clear()
            await changed.wait()


async def test_kill_9_loses_nothing_and_no_call_fails(server, writer: Writer) -> None:
    token = server.admin_key
    async with (
        DynamicModelProvider(server.url, token=token, component="one", _timing=TIMING) as one,
        DynamicModelProvider(server.url, token=token, component="two", _timing=TIMING) as two,
    ):
        callers = [Caller(provider.get_lite_llm_model("general")) for provider in (one, two)]
        links: list[LinkState] = []
        one.on_link_change(lambda _old, new: links.append(new.state))
        models = [caller.model for caller in callers]
        for model in models:
            await model.wait_ready(WAIT_SECONDS)
        # Stopped between two calls and not in one: LiteLLM leaves things behind when it is cancelled.
        stopped = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for work in (*callers, writer):
                tasks.create_task(work.run(stopped))
            writer.allowed.set()
            for moment in KILLS:
                await kill(server, writer, moment)
            await writer.wait_for_more()
            stopped.set()

        states = [state.value for state, _ in groupby(links)]
        assert states[:2] == ["live", "stale"]
        assert states == ["live", "stale"] * (len(states) // 2) + ["live"] * (len(states) % 2)

        stored = await versions_in(server.data_dir, writer.config["id"])
        assert len(writer.answered) >= BETWEEN_KILLS * (len(KILLS) + 1)
        assert {version: stored.get(version) for version in writer.answered} == writer.answered

        last = max(stored)
        await until_version(models, last)
        for caller in callers:
            await caller.call()
            assert caller.seen[-1] == (last, stored[last])
            assert [version for version, _ in caller.seen] == sorted(version for version, _ in caller.seen)
            assert all(stored[version] == model for version, model in caller.seen)
            assert len({version for version, _ in caller.seen}) > len(KILLS)
            assert caller.statuses == ["initializing>ready"]
    await writer.client.close()
    check_nothing_left(server)


async def versions_in(data_dir: Path, config_id: str) -> dict[int, str | None]:
    """The model of each version that the change log holds; revisions without a gap."""
    keyring, _ = Keyring.from_file(data_dir / "modelwire.db.key")
    store = await open_store(f"sqlite:///{data_dir / 'modelwire.db'}", keyring)
    try:
        changes = await store.changes(after=0)
    finally:
        await store.close()
    assert sorted({change.revision for change in changes}) == list(
        range(1, max(change.revision for change in changes) + 1)
    )
    return {
        change.version: change.config.model for change in changes if change.config and change.config_id == config_id
    }
