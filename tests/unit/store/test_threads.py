"""Work in threads is done to its end, and its task hears of a cancellation then."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from modelwire.store.threads import Threads

GUARD_SECONDS = 60.0


async def test_what_the_work_returns_or_raises_is_given_back() -> None:
    threads = Threads(1)
    assert await threads.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)


async def test_the_work_sees_the_context_of_its_task() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="")
    variable.set("the task's")
    assert await Threads(1).run(variable.get) == "the task's"


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_task_goes_on_when_the_work_is_done(fails: bool) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go_on.wait(GUARD_SECONDS)
        done.append(True)
        if fails:
            raise LookupError

    threads = Threads(2)
    task = asyncio.create_task(threads.run(work))
    await threads.run(lambda: begun.wait(GUARD_SECONDS))
    for _ in range(2):
        task.cancel()
        assert await asyncio.wait([task], timeout=0) == (set(), {task})
    assert done == []
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]
