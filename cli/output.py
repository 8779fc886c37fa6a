"""How results are printed."""

from __future__ import annotations

from enum import StrEnum


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
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
