"""Fixtures that tests of the whole line share: a real server process and the model endpoint, both on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from modelwire.cli.demo.endpoint import app_factory

START_SECONDS = 30.0
STOP_SECONDS = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class ServerProcess:
    """`modelwire serve` on a data folder and port of its own; it can be started again after `stop` or `kill`.

    `environment` is added to the variables of the process. `output` is all that it wrote, over all its starts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment: dict[str, str] = {}
        self.process: asyncio.subprocess.Process | None = None
        self._log = folder / "server.log"

    @property
    def output(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def admin_key(self) -> str:
        """The administrator key as the first start printed it."""
        return re.findall(r"^Administrator key: (mw_\w+)", self.output, re.MULTILINE)[0]

    async def spawn(self, *arguments: str) -> None:
        """Start the process without waiting for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "modelwire",
                    "serve",
                    "--data-dir",
                    str(self.data_dir),
                    "--port",
                    str(self.port),
                ),
                *arguments,
                cwd=self.folder,
                env={**environment, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def start(self, *arguments: str) -> None:
        """Start the process and wait until /readyz says that it can answer."""
        await self.spawn(*arguments)
        assert self.process is not None
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_SECONDS):
            while self.process.returncode is None:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.02)
        raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")

    async def wait(self) -> int:
        """Wait for the process to end by itself; its exit code."""
        assert self.process is not None
        async with asyncio.timeout(STOP_SECONDS):
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await self.wait()

    async def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.wait()


class Client:
    """GraphQL over HTTP with one credential."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=10)

    async def close(self) -> None:
        await self._http.aclose()

    async def post(self, query: str, **variables: Any) -> httpx.Response:
        return await self._http.post("/graphql", json={"query": query, "variables": variables})

    async def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that has to go well."""
        answer = (await self.post(query, **variables)).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data


@pytest.fixture
async def server_process(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server that is not started yet."""
    server = ServerProcess(tmp_path)
    yield server
    if server.process is not None:
        await server.kill()


@pytest.fixture
async def server(server_process: ServerProcess) -> ServerProcess:
    """A running server."""
    await server_process.start()
    return server_process


@pytest.fixture
async def admin(server: ServerProcess) -> AsyncIterator[Client]:
    """The administrator of `server`."""
    client = Client(server.url, server.admin_key)
    yield client
    await client.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    """The base URL of a running OpenAI-compatible endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = uvicorn.Server(uvicorn.Config(app_factory(), lifespan="off", log_config=None, access_log=False))
        serving = asyncio.create_task(endpoint.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        endpoint.should_exit = True
        await serving
