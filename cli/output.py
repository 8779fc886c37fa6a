"""How results are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

_LONGEST_TEXT = 200


class Output(StrEnum):
    """The form of a command's result: for people, or for programs."""

    TABLE = "table"
    JSON = "json"


class Format(StrEnum):
    """The form of an export."""

    MODELWIRE = "modelwire"
    LITELLM = "litellm"


def printable(text: str) -> str:
    """A text that comes from a file or a server, so that nothing in it can steer the terminal."""
    return _replaced(text, lambda _: "\N{REPLACEMENT CHARACTER}")


def shortened(text: str) -> str:
    """As `printable` makes it, and cut off when it is very long."""
    text = printable(text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def in_line(text: str) -> str:
    """A text of several lines as one, and as `printable` makes it."""
    return printable(" ".join(text.split()))


def print_json(value: Any, *, lines: bool = False) -> None:
    """Print a result for programs, which still cannot steer a terminal. With `lines` it is one line, and sent at once.

    Characters that are not printable are written as JSON's escapes, so that the value stays what it is.
    """
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=not unicode, indent=None if lines else 2)
    typer.echo("\n".join(_replaced(line, _escape) for line in text.split("\n")))
    if lines:
        sys.stdout.flush()


def moment_text(moment: str) -> str:
    """A moment of the API (UTC) as people read it."""
    return printable(moment[:19].replace("T", " ")) + "Z"


def _replaced(text: str, replacement: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else replacement(character) for character in text)


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1]
