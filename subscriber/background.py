"""An event loop in a thread of its own, for components without one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Background:
    """A daemon thread that runs one coroutine until it is stopped.

    Its context is that of nobody: what a thread of the component has set does not reach it.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        self._work = work
        self._running = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start it, and return when it runs."""
        self._thread.start()
        self._running.wait()

    def stop(self, timeout_seconds: float) -> None:
        """Cancel the coroutine and wait until the thread ended; called in that thread, it does not wait."""
        if self._loop is not None and self._task is not None:
            # A closed loop says that it ended already.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                logger.warning(
                    "the thread %s did not end within %g s: it is left behind", self._thread.name, timeout_seconds
                )

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._running.set()
        await self._work()
