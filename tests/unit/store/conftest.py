from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

_LOOP = """
import json, sys
from pathlib import Path
from modelwire.store import Keyring, migrate

def step(argument):
    {step}

print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(step(line.rstrip("\\n"))), flush=True)
"""


@pytest.fixture
def processes() -> Iterator[Callable[[str], Callable[[str], list[Any]]]]:
    """Starts four processes. Give it the body of a function of `argument`; the function that it returns has all of
    them execute that body at once and returns what each returned.
    """
    with ExitStack() as stack:

        def start(body: str) -> Callable[[str], list[Any]]:
            command = [sys.executable, "-c", _LOOP.format(step=body)]
            running = [
                stack.enter_context(
                    subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
                )
                for _ in range(4)
            ]

            def ask(argument: str | None) -> list[str]:
                for process in running if argument is not None else ():
                    assert process.stdin is not None
                    process.stdin.write(f"{argument}\n")
                return [process.stdout.readline() for process in running if process.stdout is not None]

            assert ask(None) == ["ready\n"] * 4
            return lambda argument: [json.loads(line) for line in ask(argument)]

        yield start
