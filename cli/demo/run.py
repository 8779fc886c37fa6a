"""`modelwire demo`: the whole line on this machine, each step shown as it happens and checked.

Everything in it is what a user would run: `modelwire serve`, the public API over HTTP, and a component's program from
examples/. Only the model endpoint is ours, so that completions run without any provider.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import typer

from ..errors import ExitCode
from .processes import DemoError, Processes
from .story import Demo, live, tell


def run_demo(*, once: bool) -> ExitCode:
    """Run the demo until Ctrl-C, or with `once` until its summary. DONE when all that it shows happened."""
    try:
        return asyncio.run(_run(once=once))
    except DemoError as error:
        typer.secho(f"\nThe demo failed: {error}", fg="red", err=True)
        return ExitCode.FAILED


async def _run(*, once: bool) -> ExitCode:
    with tempfile.TemporaryDirectory(prefix="modelwire-demo-") as folder, _interruptible() as interrupted:
        processes = Processes(Path(folder))
        demo = Demo(processes, Path(folder))
        try:
            if not await _unless(interrupted, processes, tell(demo)):
                typer.echo("\nInterrupted before its end.", err=True)
                return ExitCode.FAILED if once else ExitCode.DONE
            if not once:
                await _unless(interrupted, processes, live(demo))
            return ExitCode.DONE
        finally:
            if not once:
                typer.echo("\nStopping the components, the endpoint and the server …")
            demo.close()
            await processes.stop()


@contextlib.contextmanager
def _interruptible() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set, instead of ending the process."""
    loop, interrupted = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    try:
        yield interrupted
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _unless(interrupted: asyncio.Event, processes: Processes, part: Coroutine[None, None, None]) -> bool:
    """Run a part of the demo; False when it was interrupted. Raises its DemoError, or that of a process that ended."""
    running = asyncio.create_task(part)
    stopped = asyncio.create_task(interrupted.wait())
    try:
        ends: set[asyncio.Future[Any]] = {running, stopped, processes.failure}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if processes.failure.done():
            processes.failure.result()
        if running.done():
            running.result()
            return True
        return False
    finally:
        running.cancel()
        stopped.cancel()
        await asyncio.gather(running, stopped, return_exceptions=True)
