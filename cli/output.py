"""How results are printed."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    """The form of a command's result: for people, or for programs."""

    TABLE = "table"
    JSON = "json"
