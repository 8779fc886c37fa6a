"""What the tests of commands share: the commands themselves, model configs, and a fleet."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from command_line import Ended, Run, environment, run, run_process
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from modelwire.subscriber import DynamicModelProvider

CREATE = """mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) {
  ... on CreateModelConfigPayload { modelConfig { id alias } } ... on UserError { message } } }"""
CREATE_KEY = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  ... on CreateApiKeyPayload { secret } } }"""
SECRET = "sk-canary-0123456789abcdef"


@pytest.fixture
def command(shared_server: Any) -> Run:
    """Runs a command, as the administrator or with another key."""

    async def command(*arguments: str, token: str | None = None, stdin: str = "", **variables: str) -> Ended:
        return await run(*arguments, variables=environment(shared_server, token, **variables), stdin=stdin)

    return command


@pytest.fixture
def process(shared_server: Any) -> Run:
    """The same in a process."""

    async def process(*arguments: str, stdin: str = "") -> Ended:
        return await run_process(*arguments, variables=environment(shared_server), stdin=stdin)

    return process


@pytest.fixture
def client(shared_server: Any, make_client: Any) -> Any:
    return make_client(shared_server, shared_server.admin_key)


@pytest.fixture
def create(client: Any) -> Callable[..., Awaitable[tuple[str, str]]]:
    """Makes a config of OpenAI's with a secret, unless told otherwise; gives its alias and id."""

    async def create(**given: Any) -> tuple[str, str]:
        default = {"provider": "openai", "model": "gpt-4o", "auth": {"apiKey": {"apiKey": SECRET}}}
        made = {"alias": f"a-{secrets.token_hex(4)}", **default, **given}
        answer = (await client.execute(CREATE, input=made))["createModelConfig"]
        assert "modelConfig" in answer, answer
        return answer["modelConfig"]["alias"], answer["modelConfig"]["id"]

    return create


@pytest.fixture
def key(client: Any) -> Callable[..., Awaitable[str]]:
    """Makes an API key with these scopes."""

    async def key(*scopes: str) -> str:
        answer = await client.execute(CREATE_KEY, input={"name": "some", "scopes": list(scopes)})
        return str(answer["createApiKey"]["secret"])

    return key


@pytest.fixture
async def fleet(shared_server: Any) -> AsyncIterator[Any]:
    """Starts components, each of which uses one alias, and waits until it runs it."""
    async with AsyncExitStack() as stack:

        async def start(name: str, alias: str, **options: Any) -> Any:
            provider = DynamicModelProvider(shared_server.url, token=shared_server.admin_key, component=name, **options)
            await stack.enter_async_context(provider)
            model = provider.get_lite_llm_model(alias)
            await model.wait_ready(timeout_seconds=120)
            return model

        yield start


@pytest.fixture
def until_state(command: Run) -> Callable[..., Awaitable[Any]]:
    """Waits until the components of an alias are seen in these states, which servers write some tenths of a second
    later; gives the config with them.
    """

    async def until_state(alias: str, *states: str) -> Any:
        async with asyncio.timeout(120):
            while True:
                config = (await command("get", alias, "--output", "json")).json
                if [binding["state"] for binding in config["components"]] == list(states):
                    return config

    return until_state


@pytest.fixture
async def silent_component(shared_server: Any, until_state: Callable[..., Awaitable[Any]]) -> AsyncIterator[Any]:
    """A component that watches an alias and acknowledges nothing; it is seen when it has started."""
    subscription = """subscription ($by: [ModelConfigRef!]) { modelConfigChanged(by: $by) { revision } }"""
    async with AsyncExitStack() as stack:

        async def start(alias: str) -> None:
            address = f"{shared_server.url.replace('http', 'ws')}/graphql"
            opening = connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None)
            socket = await stack.enter_async_context(opening)
            component = {"instanceId": secrets.token_hex(8), "name": "silent"}
            hello = {"authorization": f"Bearer {shared_server.admin_key}", "component": component}
            await socket.send(json.dumps({"type": "connection_init", "payload": hello}))
            assert json.loads(await socket.recv())["type"] == "connection_ack"
            request = {"query": subscription, "variables": {"by": [{"alias": alias}]}}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": request}))
            assert json.loads(await socket.recv())["type"] == "next"
            await until_state(alias, "PENDING")

        yield start
