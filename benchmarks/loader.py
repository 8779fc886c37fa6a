"""What the benchmarks hold of a load generator: it runs on the core that the servers have not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import LOAD_CORE, MeasuredProcess


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When frames arrived, in seconds of the monotonic clock, and what it cost the load generator.

    `busy` is the part of the time for which it used its core. `longest_wait` is that of a ping for its pong.
    """

    began: float
    first: float
    median: float
    p99: float
    last: float
    seconds: float
    busy: float
    longest_wait: float

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Arrivals:
        moments = (answer[name] / 1e9 for name in ("began", "first", "median", "p99", "last"))
        seconds = answer["seconds"]
        busy = answer["cpu"] / seconds if seconds else 0.0
        return cls(*moments, seconds, busy, answer.get("longest_wait", 0) / 1e9)


@dataclass(frozen=True, slots=True)
class Answers:
    """How long HTTP requests took, in seconds: all together, and each."""

    seconds: float
    busy: float
    median: float
    p99: float


class Load:
    """One load generator's process. Its sockets belong to one server."""

    def __init__(self, log: Path) -> None:
        arguments = [sys.executable, "-m", "benchmarks.load"]
        self._process = MeasuredProcess(arguments, core=LOAD_CORE, log=log, stdin=subprocess.PIPE)

    def open(
        self, port: int, count: int, *, subscribe: str, init: str, path: str, window: int, min_bytes: int
    ) -> Arrivals:
        """Open sockets and see the first frame of each. See `load.Load.open`."""
        self._command(
            "open",
            port=port,
            count=count,
            path=path,
            init=init,
            subscribe=subscribe,
            window=window,
            min_bytes=min_bytes,
        )
        return Arrivals.of(self._answer())

    def expect(self, frames: int, *, probe: bool = False) -> None:
        """Have it wait for so many frames from now on; `arrived` says when they came."""
        self._command("expect", frames=frames, probe=probe)
        self._answer()

    def arrived(self) -> Arrivals:
        """Wait for what `expect` asked for."""
        return Arrivals.of(self._answer())

    def hold(self, seconds: float) -> Arrivals:
        self._command("hold", seconds=seconds)
        return Arrivals.of(self._answer())

    def churn(self, total: int, *, subscribe: str) -> Arrivals:
        self._command("churn", total=total, subscribe=subscribe)
        return Arrivals.of(self._answer())

    def close(self) -> None:
        self._command("close")
        self._answer()

    def http(
        self,
        port: int,
        head: str,
        bodies: list[list[str]],
        total: int,
        *,
        first: int = 0,
        each: int | None = None,
    ) -> Answers:
        """Send HTTP requests. See `load_http.run_http`."""
        self._command("http", port=port, heads=head, bodies=bodies, total=total, first=first, each=each)
        answer = self._answer()
        busy = answer["cpu"] / answer["seconds"]
        return Answers(answer["seconds"], busy, answer["median"] / 1e9, answer["p99"] / 1e9)

    def stop(self) -> None:
        self._process.stop()

    def _command(self, name: str, **arguments: Any) -> None:
        self._process.input.write(json.dumps({"command": name, **arguments}) + "\n")
        self._process.input.flush()

    def _answer(self) -> dict[str, Any]:
        line = self._process.output.readline()
        if not line:
            raise self._process.failure("the load generator ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the load generator failed: {answer['error']}")
        return answer
