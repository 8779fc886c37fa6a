"""A component of the real server through a network that fails, with calls all the while, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil
from fault_proxy import FaultProxy

from modelwire import subscriber
from modelwire.subscriber import DynamicModelProvider, LinkState, LiteLlm, ModelNotReady

from .conftest import Endpoint

HELLO = [{"role": "user", "content": "Which model are you?"}]
WAIT_SECONDS = 120.0


class HasPort(Protocol):
    """What listens on a port of this machine."""

    @property
    def port(self) -> int: ...


class Operator:
    """Changes configs through the API of a server. Each value of a version says which one it belongs to."""

    def __init__(self, url: str, key: str, api_base: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers={"authorization": f"Bearer {key}"}, trust_env=False, timeout=60
        )
        self._api_base = api_base
        self._written = 0
        self._configs: dict[str, dict[str, Any]] = {}
        """Id and version by alias. Nobody else writes."""

    async def close(self) -> None:
        await self._http.aclose()

    async def put(self, alias: str = "general", **more: Any) -> int:
        """Create the config, or change all of it. Gives the version."""
        self._written += 1
        fields = {"provider": "openai", "apiBase": self._api_base, **whole(self._written), **more}
        if alias == "general" and alias not in self._configs:
            query = '{ modelConfig(by: {alias: "general"}) { id version } }'
            self._configs[alias] = (await self.execute(query))["modelConfig"]
        if alias not in self._configs:
            return await self._write("create", alias, {"alias": alias, **fields})
        return await self._write("update", alias, {**self._expected(alias), **fields})

    async def remove(self, alias: str) -> None:
        # By force: it is in use, which is the point.
        await self._mutate("delete", {**self._expected(alias), "force": True})
        del self._configs[alias]

    async def rename(self, alias: str, to: str) -> int:
        """Give the config another alias. Gives the version."""
        given = {**self._expected(alias), "alias": to}
        del self._configs[alias]
        return await self._write("update", to, given)

    async def make_key(self, expires_at: str) -> str:
        scopes = ["model_config:read", "model_config:resolve", "component:report"]
        given = {"name": "component", "scopes": scopes, "expiresAt": expires_at}
        document = """mutation ($input: CreateApiKeyInput!) {
          createApiKey(input: $input) { ... on CreateApiKeyPayload { secret } } }"""
        secret: str = (await self.execute(document, input=given))["createApiKey"]["secret"]
        return secret

    async def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = (await self._http.post("/graphql", json={"query": query, "variables": variables})).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def _expected(self, alias: str) -> dict[str, Any]:
        config = self._configs[alias]
        return {"id": config["id"], "expectedVersion": config["version"]}

    async def _write(self, kind: str, alias: str, given: dict[str, Any]) -> int:
        self._configs[alias] = config = (await self._mutate(kind, given))["modelConfig"]
        return int(config["version"])

    async def _mutate(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        type_ = f"{kind.title()}ModelConfig"
        fields = "id" if kind == "delete" else "modelConfig { id version }"
        document = f"""mutation ($input: {type_}Input!) {{
          result: {kind}ModelConfig(input: $input) {{ ... on {type_}Payload {{ {fields} }} }} }}"""
        result: dict[str, Any] = (await self.execute(document, input=given))["result"]
        assert result, "refused"
        return result


def whole(number: int) -> dict[str, Any]:
    """The fields of one version that a call shows at the endpoint."""
    return {"model": f"m-{number}", "auth": {"apiKey": {"apiKey": f"key-{number}"}}, "params": {"seed": number}}


def check_whole(endpoint: Endpoint) -> None:
    """Each request had model, key and parameters of one version."""
    for asked in endpoint.asked:
        assert (asked.body["model"], asked.key) == (f"m-{asked.body['seed']}", f"key-{asked.body['seed']}")


@dataclass
class Component:
    """A provider in use, one model of it, what they went through, and what their calls came to."""

    provider: DynamicModelProvider
    model: LiteLlm
    statuses: list[str]
    links: list[LinkState]
    versions: list[int | None] = field(default_factory=list)
    answered: int = 0
    not_ready: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, provider: DynamicModelProvider, alias: str) -> Component:
        model = provider.get_lite_llm_model(alias)
        made = cls(provider, model, [model.status.value], [provider.link.state])
        loop = asyncio.get_running_loop()

        def wake(*_: object) -> None:
            loop.call_soon_threadsafe(made.changed.set)

        model.on_status_change(lambda _, new: made.statuses.append(new.value))
        model.on_settings_change(lambda _, new: made.versions.append(new.version if new else None))
        provider.on_link_change(lambda _, new: made.links.append(new.state))
        model.on_status_change(wake)
        model.on_settings_change(wake)
        provider.on_link_change(wake)
        return made

    @property
    def went_through(self) -> list[str]:
        """The states of the link, each run of the same as one."""
        return [state.value for state, _ in groupby(self.links)]

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition():
                await self.changed.wait()
                self.changed.clear()

    async def until_live(self, version: int | None) -> None:
        await self.until(lambda: self.model.version == version and self.provider.link.state is LinkState.LIVE)

    async def until_answered(self, more: int = 2) -> None:
        """Until so many further calls, of which the first can have begun before, came to an end."""
        enough = self.answered + self.not_ready + more
        await self.until(lambda: self.answered + self.not_ready >= enough)

    async def call_until(self, stopped: asyncio.Event) -> None:
        """One call after the other. Anything but an answer and ModelNotReady fails the test."""
        while not stopped.is_set():
            try:
                await self.model.acompletion(HELLO, num_retries=0)
                self.answered += 1
            except ModelNotReady:
                self.not_ready += 1
            self.changed.set()
            # LiteLLM takes much of the CPU, which the server needs too.
            await asyncio.sleep(0.02)


@asynccontextmanager
async def component(
    provider: DynamicModelProvider, proxy: FaultProxy, *, alias: str = "general", thread: bool = False
) -> AsyncIterator[Component]:
    """A component whose link runs here, or in a thread of its own, and which makes calls all the while.

    At the end it is closed, and nothing may be left of it.
    """
    made = Component.of(provider, alias)
    stopped = asyncio.Event()
    calls = asyncio.create_task(made.call_until(stopped))
    try:
        if thread:
            provider.start()
        else:
            await provider.__aenter__()
        yield made
    finally:
        stopped.set()
        await calls
        await provider.close()
    assert made.links[-1] is LinkState.CLOSED
    assert (made.model.settings, made.model.status.value) == (None, "none")
    check_nothing_left(proxy)


def check_nothing_left(server: HasPort) -> None:
    """No task, thread or socket of a subscriber to this server or proxy, in whatever state the network is."""
    folder = str(Path(subscriber.__file__).parent)
    tasks = [task for task in asyncio.all_tasks() if task.get_coro().cr_code.co_filename.startswith(folder)]  # type: ignore[union-attr]
    assert not tasks
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("modelwire")]
    sockets = psutil.Process(os.getpid()).net_connections("tcp")
    assert not [each for each in sockets if each.raddr and each.raddr.port == server.port]
