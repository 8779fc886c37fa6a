"""Several processes on one listening socket: their start, their replacement when one dies, their end."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

logger = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long workers may take to end once they were told to."""

RESTART_SECONDS = 1.0
"""A worker that died younger than this is replaced only when it would have been this old."""

# A forked process would share the threads' locks and the random state of this one.
_context = multiprocessing.get_context("spawn")


def supervise(count: int, work: Callable[[], None], ended: Callable[[int], None] = lambda _pid: None) -> None:
    """Run `work` in `count` processes until SIGTERM or SIGINT, and replace each that ends before. `work` must pickle;
    `ended` is told the process id of each that is replaced.

    The processes are told to stop by SIGTERM, also when this one dies.
    """
    stopping, waker = _stop_pipe()
    workers = {number: _start(work) for number in range(count)}
    started = dict.fromkeys(workers, time.monotonic())
    try:
        while True:
            ready = wait([stopping, *(worker.sentinel for worker in workers.values())])
            if stopping in ready:
                break
            for number, worker in workers.items():
                if worker.is_alive():
                    continue
                logger.error("worker %s ended with code %s and is replaced", worker.pid, worker.exitcode)
                if worker.pid is not None:
                    ended(worker.pid)
                if stopping in wait([stopping], max(0.0, started[number] + RESTART_SECONDS - time.monotonic())):
                    break
                started[number] = time.monotonic()
                try:
                    workers[number] = _start(work)
                except OSError as error:
                    # Too many processes or files, for example. The others go on, and it is tried again.
                    logger.error("no worker can be started: %s", error.strerror)  # noqa: TRY400 - says it all
    finally:
        _stop(list(workers.values()))
        waker.close()
        stopping.close()


def _stop_pipe() -> tuple[multiprocessing.connection.Connection, multiprocessing.connection.Connection]:
    """A pipe that gets something to read with the first SIGTERM or SIGINT."""
    receiver, sender = _context.Pipe(duplex=False)

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Closed, when it comes at the very end.
        with contextlib.suppress(OSError):
            sender.send(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return receiver, sender


def _start(work: Callable[[], None]) -> SpawnProcess:
    worker = _context.Process(target=_run, args=(work,))
    worker.start()
    return worker


def _run(work: Callable[[], None]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _stop(workers: list[SpawnProcess]) -> None:
    for worker in workers:
        if worker.is_alive():
            worker.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            logger.error("worker %s does not end and is killed", worker.pid)
            worker.kill()
            worker.join()
