"""Processes that are measured: each on one core, with its CPU time and memory as the kernel counts them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).parents[1]
STOP_SECONDS = 60.0

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
"""What is measured runs here, alone."""
LOAD_CORE = CORES[-1]
"""What makes the load runs here. With one core it is the same, and the figures say less."""


class MeasuredProcess:
    """A process of this program's own, started on one core. It is ended by `stop`, and never by its name."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        core: int,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                arguments,
                cwd=ROOT,
                env={**clean, "LITELLM_LOCAL_MODEL_COST_MAP": "True", **(environment or {})},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.pid = self._process.pid
        # Before it has threads, which inherit it.
        os.sched_setaffinity(self.pid, {core})

    @property
    def output(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def input(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far, by the kernel's clock of the process: in nanoseconds."""
        return _cpu_seconds(self.pid)

    def tree_cpu_seconds(self) -> float:
        """The same of it and of the processes that it started, those that have ended left out."""
        pids = [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        return sum(_cpu_seconds(pid) for pid in pids)

    def memory_bytes(self) -> int:
        """What it has in memory and shares with nobody."""
        return int(psutil.Process(self.pid).memory_full_info().uss)

    def settle(self) -> None:
        """Wait until it has nothing more to do, such as after its peers left."""
        settle([self])

    def failure(self, what: str) -> RuntimeError:
        """An error that shows what the process said last."""
        return RuntimeError(f"{what}; it said:\n{self.log.read_text()[-2000:]}")

    @contextlib.contextmanager
    def killed_after(self, seconds: float) -> Iterator[None]:
        """Kill it if the block takes longer: whoever waits for its output sees the end of it."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def settle(processes: Sequence[MeasuredProcess]) -> None:
    """Wait until none of them has anything more to do, so that they are in nobody's way."""
    quiet = 0
    while quiet < 3:
        before = [process.cpu_seconds() for process in processes]
        time.sleep(0.1)
        spent = [process.cpu_seconds() - cpu for process, cpu in zip(processes, before, strict=True)]
        quiet = quiet + 1 if max(spent) < 0.005 else 0


def _cpu_seconds(pid: int) -> float:
    # What clock_getcpuclockid(3) gives, which Python has for threads alone.
    return time.clock_gettime((~pid << 3) | 2)
