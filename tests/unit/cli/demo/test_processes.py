from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelwire.cli.demo.processes import DemoError, Processes, free_port


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    await processes.stop()
    if processes.failure.done():
        processes.failure.exception()


async def start(processes: Processes, program: str, lines: list[str] | None = None) -> None:
    on_line = (lambda _line: None) if lines is None else lines.append
    await processes.start("the child", [sys.executable, "-c", program], {"GIVEN": "yes"}, on_line)


async def test_a_process_that_ends_by_itself_is_a_failure_with_its_last_words(processes: Processes) -> None:
    await start(processes, "import sys; print('hello'); print('why', file=sys.stderr); sys.exit(3)")
    with pytest.raises(DemoError, match=r"the child ended by itself \(exit code 3\)") as caught:
        await processes.failure
    assert "hello" in str(caught.value)
    assert "why" in str(caught.value)


async def test_a_process_that_is_killed_is_a_failure_with_the_signal(processes: Processes) -> None:
    await start(processes, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DemoError, match="SIGKILL"):
        await processes.failure


async def test_stopping_is_no_failure(processes: Processes) -> None:
    ready = asyncio.Event()
    child = await processes.start(
        "the child",
        [sys.executable, "-uc", "import time; print('ready'); time.sleep(60)"],
        {},
        lambda _line: ready.set(),
    )
    await ready.wait()
    await processes.stop()
    assert child.process.returncode == -15
    assert not processes.failure.done()


async def test_what_goes_wrong_with_a_line_is_not_lost(processes: Processes) -> None:
    def refuse(_line: str) -> None:
        raise RuntimeError("cannot be read")

    await processes.start("the child", [sys.executable, "-uc", "import time; print(1); time.sleep(60)"], {}, refuse)
    with pytest.raises(RuntimeError, match="cannot be read"):
        await processes.failure


async def test_children_see_their_own_settings_only(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_TOKEN", "mine")
    lines: list[str] = []
    await start(processes, "import os; print(os.environ.get('MODELWIRE_TOKEN'), os.environ['GIVEN'])", lines)
    with pytest.raises(DemoError):
        await processes.failure
    assert lines == ["None yes"]


def test_a_port_in_use_is_replaced_by_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken
