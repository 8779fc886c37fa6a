"""Threads for calls that block: database drivers are fastest when nothing stands between them and SQLAlchemy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

_T = TypeVar("_T")


class Threads:
    """At most `count` threads, which are made when they are needed and end with this object."""

    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="database")

    async def run(self, work: Callable[[], _T]) -> _T:
        """What `work` returns or raises, from one of the threads.

        It is done to its end although this task is cancelled meanwhile; CancelledError is raised then.
        """
        loop = asyncio.get_running_loop()
        answer: _Answer[_T] = _Answer(loop=loop)

        def do() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
                loop.call_soon_threadsafe(answer.set_exception, error)
            else:
                loop.call_soon_threadsafe(answer.set_result, result)

        # Logs and traces say there, too, for whom it is done.
        self._executor.submit(copy_context().run, do)
        return await answer


class _Answer(asyncio.Future[_T]):
    """What a thread will give. A task that is cancelled while it waits for it hears so when it is there."""

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 - asyncio's signature
        return False
