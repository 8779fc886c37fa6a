"""`modelwire` as people and scripts run it: as a process; or in the tests' own, which takes a tenth of the time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
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


def environment(server: Any, token: str | None = None, **more: str) -> dict[str, str]:
    """The variables of a command that speaks to this server; `token` None is the administrator's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MODELWIRE_")}
    return {**own, "MODELWIRE_URL": server.url, "MODELWIRE_TOKEN": token or server.admin_key, **more}


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


async def run(*arguments: str, variables: dict[str, str], stdin: str = "") -> Ended:
    """Run a command to its end, in a thread."""
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=variables, input=stdin)
    if isinstance(result.exception, CommandError):
        # As `modelwire.cli.app.run` does.
        return Ended(result.exception.exit_code, result.stdout, f"{result.stderr}modelwire: {result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
