"""The demo's child processes: started, listened to, missed when they end, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

STOP_SECONDS = 8.0
TAIL_LINES = 15


class DemoError(Exception):
    """Something of the demo did not happen. The text says what, and shows what the process concerned said last."""


class Child:
    """One running process. `tail` holds its last lines; `on_line` is given each line of its standard output."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self.name = name
        self.process = process
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.stopping = False
        assert process.stdout is not None  # noqa: S101 -- both are pipes
        assert process.stderr is not None  # noqa: S101
        self.readers = [
            asyncio.create_task(self._read(process.stdout, on_line)),
            asyncio.create_task(self._read(process.stderr, lambda _line: None)),
        ]

    async def _read(self, stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
        async for raw in stream:
            line = raw.decode(errors="replace").rstrip()
            self.tail.append(line)
            on_line(line)

    async def ended(self) -> int:
        """Wait for its end, and for all that it said; its exit code, negative for a signal."""
        code = await self.process.wait()
        await asyncio.wait(self.readers, timeout=1)
        return code

    def last_output(self) -> str:
        """What it said last, indented; empty when it said nothing."""
        return "".join(f"\n    {line}" for line in self.tail)

    async def stop(self) -> None:
        """Ask it to end, and make it end when it does not."""
        self.stopping = True
        for end in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self.ended()
                    return


class Processes:
    """All children of the demo. `failure` gets a DemoError as soon as one ends that was not asked to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(
        self, name: str, arguments: list[str], environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> Child:
        """Start a process in the demo's folder. It has a session of its own, so that Ctrl-C reaches the demo alone."""
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=self._folder,
            env={**_clean_environment(), **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        child = Child(name, process, on_line)
        self._children.append(child)
        self._watchers.append(asyncio.create_task(self._watch(child)))
        for reader in child.readers:
            reader.add_done_callback(self._check)
        return child

    def _check(self, reader: asyncio.Task[None]) -> None:
        error = None if reader.cancelled() else reader.exception()
        if error is not None and not self.failure.done():
            self.failure.set_exception(error)

    async def _watch(self, child: Child) -> None:
        code = await child.ended()
        if not child.stopping and not self.failure.done():
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self.failure.set_exception(DemoError(f"{child.name} ended by itself ({how}):{child.last_output()}"))

    async def stop(self) -> None:
        """Stop all of them, the last started first, so that none misses what it needs."""
        for child in self._children:
            child.stopping = True
        for child in reversed(self._children):
            await child.stop()
        await asyncio.gather(*self._watchers)


def _clean_environment() -> dict[str, str]:
    """This process's environment without settings of Modelwire, and with loopback spared from any proxy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    for name in ("NO_PROXY", "no_proxy"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1,localhost")))
    return {**environment, "PYTHONUNBUFFERED": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def free_port(wanted: int = 0) -> int:
    """`wanted` if nothing listens there, else any free port of the loopback address."""
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as listener:
            found: int = listener.getsockname()[1]
            return found
    raise DemoError("there is no free port on 127.0.0.1")
