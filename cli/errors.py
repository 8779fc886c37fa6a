"""How a command ends when it cannot do what was asked: one sentence on standard error, and one of four exit codes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum

SERVER_MODULES = frozenset(
    {
        "alembic",
        "graphql",
        "httptools",
        "jwt",
        "orjson",
        "prometheus_client",
        "psycopg",
        "pydantic_settings",
        "sqlalchemy",
        "starlette",
        "strawberry",
        "uvicorn",
        "yaml",
    }
)
"""The import names of what `modelwire[server]` adds."""


class ExitCode(IntEnum):
    """What a command's exit code means."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3


class CommandError(Exception):
    """The command ends here. The text is shown to the user and says what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextlib.contextmanager
def server_extra(command: str) -> Iterator[None]:
    """Around the imports of a command that needs the server: says how to install it when it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in SERVER_MODULES:
            raise
        raise CommandError(
            f'`modelwire {command}` needs the server, which is not installed: pip install "modelwire[server]"'
        ) from None
