import asyncio
import threading

import pytest

from modelwire.subscriber.waiting import Waiters, in_event_loop, run_together


async def test_threads_and_tasks_are_woken_together() -> None:
    waiters = Waiters()
    joined = threading.Barrier(3, timeout=120)

    def wait() -> None:
        with waiters.join() as woken:
            joined.wait()
            woken.result(120)

    async def wait_here() -> None:
        with waiters.join() as woken:
            await asyncio.to_thread(joined.wait)
            await asyncio.wrap_future(woken)

    waiting = asyncio.gather(asyncio.to_thread(wait), wait_here(), asyncio.to_thread(joined.wait))
    await asyncio.sleep(0)
    while joined.n_waiting or len(waiters._futures) < 2:  # noqa: ASYNC110 - a barrier has no event
        await asyncio.sleep(0.001)
    waiters.wake()
    await waiting
    assert not waiters._futures


def test_who_left_is_forgotten() -> None:
    waiters = Waiters()
    with waiters.join() as woken:
        pass
    waiters.wake()
    assert not woken.done()


def test_who_was_cancelled_harms_nobody() -> None:
    waiters = Waiters()
    with waiters.join() as first, waiters.join() as second:
        first.cancel()
        waiters.wake()
        assert second.result(0) is None


def test_a_wake_up_is_for_those_who_wait_now() -> None:
    waiters = Waiters()
    waiters.wake()
    with waiters.join() as woken, pytest.raises(TimeoutError):
        woken.result(0)


async def test_where_an_event_loop_runs() -> None:
    assert in_event_loop()
    assert not await asyncio.to_thread(in_event_loop)


async def fails(when: asyncio.Future[None]) -> None:
    await when


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("ended")


async def test_what_runs_together_ends_together() -> None:
    ended: list[str] = []
    when: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    when.set_exception(ConnectionError("lost"))
    with pytest.raises(ConnectionError, match="lost"):
        await run_together(forever(ended), fails(when))
    assert ended == ["ended"]


async def test_a_cancellation_counts_when_a_part_fails_in_that_moment() -> None:
    ended: list[str] = []
    when: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_together(forever(ended), fails(when)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    when.set_exception(ConnectionError("lost"))
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert ended == ["ended"]
