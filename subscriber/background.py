"""An event loop in a thread of its own, for components without one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

logger = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Threads(ThreadPoolExecutor):
    """A daemon thread for each call. asyncio takes executors of this class alone.

    A pool takes no calls any more once the main thread has ended, while other threads of the component may go on for
    days; and the interpreter waits at its exit for those of a pool, also for one that hangs.
    """

    def submit(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        future: Future[_T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - whoever waits is told, and raises it
                future.set_exception(error)

        try:
            threading.Thread(target=run, name="modelwire-call", daemon=True).start()
        except RuntimeError:
            # At the exit newer versions of Python start none. Then there is nothing else that could be held up.
            run()
        return future


class Background:
    """A daemon thread that runs one coroutine until it is stopped.

    Its context is that of nobody: what a thread of the component has set does not reach it.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        self._work = work
        self._running = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start it, and return when it runs. Raises what kept it from running, such as OSError without descriptors."""
        self._thread.start()
        self._running.wait()
        if self._failure is not None:
            raise self._failure

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
        try:
            with contextlib.suppress(asyncio.CancelledError), asyncio.Runner() as runner:
                runner.get_loop().set_default_executor(_Threads())
                runner.run(self._main())
        except BaseException as error:
            if self._running.is_set():
                raise
            self._failure = error
            self._running.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._running.set()
        await self._work()
