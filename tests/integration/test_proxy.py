"""The proxy of deploy/ in front of real servers: what components see of it, and of a server that dies behind it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from conftest import STOP_SECONDS, Client, ServerProcess
from live_server import until
from ports import free_port

from modelwire.subscriber import DynamicModelProvider, LinkState

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
CREATE = """mutation { createModelConfig(input: {
  alias: "x", provider: "openai", model: "first", auth: {apiKey: {apiKey: "k"}}
}) { ... on CreateModelConfigPayload { modelConfig { id } } } }"""
UPDATE = "mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) { __typename } }"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """Two servers on one database; the first made the administrator key."""
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(ServerProcess(tmp_path / name))
        made[-1].data_dir = tmp_path / "data"
    with ExitStack() as stack:
        for server in made:
            server.start()
            stack.callback(server.kill)
        yield made


@pytest.fixture
def proxy(servers: list[ServerProcess], tmp_path: Path) -> Iterator[str]:
    """HAProxy with the file of deploy/, but for the addresses; its own."""
    port = free_port()
    text = CONFIG.read_text().replace("bind :8400", f"bind 127.0.0.1:{port}")
    for number, server in enumerate(servers, 1):
        text = text.replace(f"modelwire-{number}:8400", f"127.0.0.1:{server.port}")
    assert ":8400" not in text
    # The files that this many take are more than the tests may open.
    text = text.replace("maxconn 20000", "maxconn 200")
    (tmp_path / "haproxy.cfg").write_text(text)
    process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", tmp_path / "haproxy.cfg"], stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


async def ready(url: str) -> None:
    """Wait until a server answers behind the proxy."""
    async with asyncio.timeout(STOP_SECONDS), httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                if (await http.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def test_components_are_told_through_the_proxy_whichever_server_dies(
    servers: list[ServerProcess], proxy: str
) -> None:
    await ready(proxy)
    key = servers[0].admin_key
    client = Client(proxy, key)
    created = (await client.execute(CREATE))["createModelConfig"]["modelConfig"]
    async with DynamicModelProvider(proxy, token=key, component="behind-a-proxy") as provider:
        model = provider.get_lite_llm_model("x")
        await model.wait_ready(timeout_seconds=STOP_SECONDS)
        # One of the two is the one that the component is connected to.
        for version, server in enumerate(servers, 1):
            server.kill()
            await client.close()
            await ready(proxy)
            client = Client(proxy, key)
            await client.execute(
                UPDATE, input={"id": created["id"], "expectedVersion": version, "model": f"m{version}"}
            )
            await until(lambda wanted=version + 1: model.version == wanted, STOP_SECONDS)
            server.start()
        await until(lambda: provider.link.state is LinkState.LIVE, STOP_SECONDS)
    await client.close()
