"""`modelwire` as people and scripts run it: as a process; or in the tests' own, which takes a tenth of the time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from modelwire.cli.app import app
from modelwire.cli.errors import CommandError

GUARD_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for a program. Fails the test when it did not end well."""
        assert self.code == 0, self.err
        return json.loads(self.out)


Run = Callable[..., Awaitable[Ended]]


def own_variables() -> dict[str, str]:
    """The variables of the tests, without those of Modelwire."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}


def environment(server: Any, token: str | None = None, **more: str) -> dict[str, str]:
    """The variables of a command that speaks to this server; `token` None is the administrator's."""
    return {**own_variables(), "MODELWIRE_URL": server.url, "MODELWIRE_TOKEN": token or server.admin_key, **more}


async def spawn(*arguments: str, variables: dict[str, str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "modelwire", *arguments, env=variables, stdin=pipe, stdout=pipe, stderr=pipe
    )


async def run_process(*arguments: str, variables: dict[str, str], stdin: str = "") -> Ended:
    """Run a command to its end, in a process."""
    process = await spawn(*arguments, variables=variables)
    async with asyncio.timeout(GUARD_SECONDS):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


# `pty.spawn` copies its own streams to the terminal's, which are pipes here.
_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


async def run_at_terminal(
    *arguments: str, variables: dict[str, str], answers: Sequence[tuple[str, str]] = ()
) -> tuple[int, str]:
    """Run a command to its end, in a process at a terminal; its code, and all that the terminal shows. Each of
    `answers` is typed when what it answers is shown.
    """
    command = (sys.executable, "-m", "modelwire", *arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TERMINAL, *command, env={**variables, "TERM": "xterm"}, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    shown, open_questions = "", list(answers)
    async with asyncio.timeout(GUARD_SECONDS):
        while piece := (await process.stdout.read(4096)).decode(errors="replace"):
            shown += piece
            if open_questions and open_questions[0][0] in shown:
                process.stdin.write(f"{open_questions.pop(0)[1]}\n".encode())
                await process.stdin.drain()
        return await process.wait(), shown


async def run(*arguments: str, variables: dict[str, str], stdin: str = "") -> Ended:
    """Run a command to its end, in a thread."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=variables, input=stdin)
    if isinstance(result.exception, CommandError):
        # As `modelwire.cli.app.run` does.
        return Ended(result.exception.exit_code, result.stdout, f"{result.stderr}modelwire: {result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
