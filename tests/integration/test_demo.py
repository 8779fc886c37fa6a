"""`modelwire demo`: what it shows has to have happened, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

TIMEOUT_SECONDS = 180.0


class Run:
    """One `modelwire demo` with a temporary folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "modelwire", "demo", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                with self._news:
                    self.lines.append(line.rstrip())
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, text: str) -> None:
        def found() -> bool:
            return any(text in line for line in self.lines)

        with self._news:
            self._news.wait_for(lambda: found() or self._ended, TIMEOUT_SECONDS)
        assert found(), self.output

    def wait(self) -> int:
        code = self.process.wait(TIMEOUT_SECONDS)
        self._reader.join()
        return code

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Run]]:
    """Runs that are ended after the test, whatever it did."""
    assert tempfile.gettempdir() != str(tmp_path)
    runs: list[Run] = []
    yield runs
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            run.wait()


def test_once_shows_the_change_and_leaves_nothing_behind(tmp_path: Path, started: list[Run]) -> None:
    run = Run(tmp_path, "--once")
    started.append(run)
    assert run.wait() == 0, run.output
    for component in ("orders-agent", "support-agent"):
        assert re.search(rf"{component} +general +first-model v2 -> second-model v3 +applied \d+\.\d ms", run.output)
    assert re.search(r"research-agent +planning +planning-model v2 -> planning-model v2 +not concerned", run.output)
    assert re.search(r"\d+ calls, 0 failed", run.output)
    assert "CREATE    gpt-4o" in run.output
    assert "mw_" not in run.output
    assert "sk-demo" not in run.output
    assert list(tmp_path.iterdir()) == []


def test_it_stays_up_until_ctrl_c(tmp_path: Path, started: list[Run]) -> None:
    run = Run(tmp_path)
    started.append(run)
    run.wait_for_line("It stays up until Ctrl-C")
    run.wait_for_line("Administrator key")
    children = run.children()
    assert len(children) == 5
    run.process.send_signal(signal.SIGINT)
    assert run.wait() == 0, run.output
    assert not any(child.is_running() for child in children)
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_ends_is_the_reason_of_a_failure(tmp_path: Path, started: list[Run]) -> None:
    run = Run(tmp_path)
    started.append(run)
    run.wait_for_line("3. Import")
    children = run.children()
    [endpoint] = [child for child in children if "modelwire.cli.demo.endpoint" in child.cmdline()]
    endpoint.kill()
    assert run.wait() == 1, run.output
    assert "The demo failed: the model endpoint ended by itself (SIGKILL)" in run.output
    assert not any(child.is_running() for child in children)
    assert list(tmp_path.iterdir()) == []
