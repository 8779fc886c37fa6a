"""Fixtures that tests of the whole line share: a real server process and the model endpoint, both on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from ports import free_port

from modelwire.cli.demo.endpoint import app_factory

pytest_plugins = ("postgres",)

# Shells have what they run in the background ignore Ctrl-C, and with it all that it starts: tests would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

START_SECONDS = 120.0
STOP_SECONDS = 120.0


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
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "server.log"

    @property
    def output(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def admin_key(self) -> str:
        """The administrator key as the first start printed it."""
        return re.findall(r"^Administrator key: (mw_\w+)", self.output, re.MULTILINE)[0]

    def spawn(self, *arguments: str) -> None:
        """Start the process without waiting for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "modelwire",
                    "serve",
                    f"--data-dir={self.data_dir}",
                    f"--port={self.port}",
                    *arguments,
                ],
                cwd=self.folder,
                env={**environment, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self, *arguments: str) -> None:
        """Start the process and wait until it is ready."""
        self.spawn(*arguments)
        self.until_ready()

    def until_ready(self) -> None:
        """Wait until /readyz says that it can answer."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(trust_env=False) as client:
            while self.process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/readyz").status_code == 200:
                        return
                time.sleep(0.02)
        raise AssertionError(f"the server is not ready, its exit code is {self.process.poll()}:\n{self.output}")

    def wait(self) -> int:
        """Wait for the process to end by itself; its exit code."""
        assert self.process is not None
        return self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.wait()


class Client:
    """GraphQL over HTTP with one credential."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=60)

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


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Puts back what `configure_logging` changes: commands that run in the process of the tests call it."""
    root, modelwire = logging.getLogger(), logging.getLogger("modelwire")
    root_level, handlers, level = root.level, root.handlers[:], modelwire.level
    yield
    root.setLevel(root_level)
    root.handlers[:] = handlers
    modelwire.setLevel(level)


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is not started yet."""
    server = ServerProcess(tmp_path)
    yield server
    if server.process is not None:
        server.kill()


@pytest.fixture
def server(server_process: ServerProcess) -> ServerProcess:
    """A running server of the test's own."""
    server_process.start()
    return server_process


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server for tests that neither stop it nor mind what others stored in it."""
    server = ServerProcess(tmp_path_factory.mktemp("shared-server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def make_client() -> AsyncIterator[Callable[[ServerProcess, str | None], Client]]:
    """Makes clients of a server, each with the API key that it is given."""
    clients: list[Client] = []

    def make(server: ServerProcess, token: str | None) -> Client:
        clients.append(Client(server.url, token))
        return clients[-1]

    yield make
    for client in clients:
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
