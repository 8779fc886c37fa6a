"""Server processes that start in a fraction of a second: forked from one that has imported everything already.

What they run is what `modelwire serve` runs.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import time
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import httpx
import psutil
import pytest
from guarantees.preloaded import serve
from ports import free_port

START_SECONDS = 120.0
_LOG = "server.log"


class Server:
    """One server on a port and a folder of its own. It can be started again after `stop` or `kill`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._environment = environment
        self._process: ForkServerProcess | None = None
        folder.mkdir()

    @property
    def output(self) -> str:
        """All that it wrote, over all its starts."""
        log = self._folder / _LOG
        return log.read_text() if log.exists() else ""

    def spawn(self) -> None:
        """Start it without waiting for it."""
        self._process = _fork_server().Process(target=_serve, args=(str(self._folder), self.port, self._environment))
        self._process.start()

    async def start(self) -> None:
        """Start it and wait until it says that it can answer."""
        self.spawn()
        deadline = time.monotonic() + START_SECONDS
        async with httpx.AsyncClient(trust_env=False) as client:
            while self._alive and time.monotonic() < deadline:
                try:
                    if (await client.get(f"{self.url}/healthz")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.01)
        raise AssertionError(f"the server does not start:\n{self.output}")

    async def stop(self) -> None:
        """SIGTERM, and wait for it to end as one that was told to."""
        self.signal(signal.SIGTERM)
        code = await self._ended()
        assert code == 0, f"a server that was told to stop ended with {code}:\n{self.output}"

    async def kill(self) -> None:
        """`kill -9`."""
        self.signal(signal.SIGKILL)
        await self._ended()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        assert self._alive, f"the server ended by itself, with {self._process.exitcode}:\n{self.output}"
        os.kill(self._process.pid, number)

    def peers(self) -> set[int]:
        """The ports from which somebody is connected to it."""
        assert self._process is not None
        connections = psutil.Process(self._process.pid).net_connections("tcp")
        return {each.raddr.port for each in connections if each.status == psutil.CONN_ESTABLISHED and each.raddr}

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    async def close(self) -> None:
        """See to it that nothing of it is left."""
        if self._alive:
            await self.kill()

    async def _ended(self) -> int:
        assert self._process is not None
        await asyncio.to_thread(self._process.join, START_SECONDS)
        assert self._process.exitcode is not None, f"the server does not end:\n{self.output}"
        return self._process.exitcode


@cache
def _fork_server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    # With "__main__" the children need not import pytest, whose module that is.
    context.set_forkserver_preload(["__main__", __name__])
    with pytest.MonkeyPatch.context() as patch:
        # Where it looks for them: Python 3.11 does not tell it of this path, and it ignores what it does not find.
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        forkserver.ensure_running()
    return context


def _serve(folder: str, port: int, environment: dict[str, str]) -> None:
    with Path(folder, _LOG).open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("MODELWIRE_")]:
        del os.environ[name]
    os.environ.update(environment)
    serve(folder, port)
