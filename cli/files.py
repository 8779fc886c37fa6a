"""Files that a command reads: those that it sends to the server, and schemas."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import CommandError, ExitCode

MAX_FILE_BYTES = 1024 * 1024
"""What the server takes. Kept equal to the importer's limit by a test."""

_VARIABLE = re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_]*)")
# The server makes references of secrets and refuses them elsewhere: their values need not travel.
_WITHHELD = re.compile(r"^MODELWIRE_|(^|_)(KEY|TOKEN)$|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


def read_file(path: Path) -> str:
    """The text of a file. Raises CommandError (USAGE) when it cannot be sent: not there, no text, too large."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", ExitCode.USAGE) from None
    if len(content) > MAX_FILE_BYTES:
        raise CommandError(
            f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB, the most that a server takes: divide it",
            ExitCode.USAGE,
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not a text file in UTF-8", ExitCode.USAGE) from None


def import_input(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What a file gives to an ImportModelConfigsInput: its text, and the variables that it names as `${NAME}`.

    Variables that hold secrets by their names stay here. Raises CommandError as `read_file` does.
    """
    content = read_file(path)
    names = {match[1] for match in _VARIABLE.finditer(content)}
    variables = {
        name: environment[name] for name in sorted(names) if name in environment and not _WITHHELD.search(name)
    }
    return {"content": content, "variables": variables} if variables else {"content": content}
