"""The reference of the command line in docs/cli.md: the help of every command, as it is printed.

`python -m modelwire.cli.reference docs/cli.md` writes it anew below its heading; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

HEADING = "## Reference\n"
_COLUMNS = 100


def commands() -> Iterator[tuple[str, Any]]:
    """Each command that does something, by what is typed to run it."""
    from .app import app
    from .serve import serve_app

    for name, command in _leaves("modelwire", get_command(app)):
        # `serve` takes its options from the table of settings, when it runs.
        yield name, get_command(serve_app) if name == "modelwire serve" else command


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for child in command.commands.values():
        yield from _leaves(f"{name} {child.name}", child)


def help_text(name: str, command: Any, *, columns: int = _COLUMNS) -> str:
    """What `--help` prints in a terminal of so many columns."""
    context = typer.Context(command, info_name=name, terminal_width=columns, max_content_width=columns, color=False)
    return str(command.get_help(context))


def reference() -> str:
    """The part of the page that is generated, with its heading."""
    parts = [HEADING]
    for name, command in commands():
        lines = (line.rstrip() for line in help_text(name, command).splitlines())
        parts.append(f"### {name}\n\n```text\n{chr(10).join(lines)}\n```\n")
    return "\n".join(parts)


def main(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    path.write_text(written.partition(HEADING)[0] + reference(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
