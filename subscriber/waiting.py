"""Waiting for what other threads and other tasks do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any


class Waiters:
    """Those who wait for the next `wake()`, in whatever thread or event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: set[Future[None]] = set()

    @contextmanager
    def join(self) -> Iterator[Future[None]]:
        """Give what the next `wake()` finishes. Look at the state inside: nothing falls between then."""
        future: Future[None] = Future()
        with self._lock:
            self._futures.add(future)
        try:
            yield future
        finally:
            with self._lock:
                self._futures.discard(future)

    def wake(self) -> None:
        """Wake all who wait now."""
        with self._lock:
            woken, self._futures = self._futures, set()
        for future in woken:
            # False when the waiter was cancelled.
            if future.set_running_or_notify_cancel():
                future.set_result(None)


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread, which must not be blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def run_together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all until one of them fails, end the others, and raise what it raised.

    It ends at once when it is cancelled. A TaskGroup does not, before Python 3.13, when a part fails in that moment: it
    keeps the cancellation to itself.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled():
            task.result()
