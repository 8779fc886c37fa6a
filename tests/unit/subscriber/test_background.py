"""The thread that links run in, where the process gives it less than it needs."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from modelwire.subscriber.background import Background


def test_a_thread_that_cannot_begin_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without file descriptors: whoever started it waited for ever."""

    def none_left() -> Any:
        raise OSError(24, "Too many open files")

    async def work() -> None:
        raise AssertionError("it never began")

    monkeypatch.setattr(asyncio.events, "new_event_loop", none_left)
    failures: list[BaseException] = []

    def start() -> None:
        try:
            Background(work, name="test").start()
        except OSError as error:
            failures.append(error)

    starter = threading.Thread(target=start, daemon=True)
    starter.start()
    starter.join(60)
    assert [str(failure) for failure in failures] == ["[Errno 24] Too many open files"]


def test_what_is_called_elsewhere_is_called_here_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Any] = []

    async def work() -> None:
        def none_left(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            given.append(await asyncio.to_thread(threading.current_thread))
        given.append(await asyncio.to_thread(threading.current_thread))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    background = Background(work, name="test")
    background.start()
    background._thread.join(60)
    here, elsewhere = given
    assert here is background._thread
    assert elsewhere is not here
    assert elsewhere.daemon
