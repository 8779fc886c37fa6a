"""Many rows in several statements: databases bound the parameters of one, and others get their turn between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")

CHUNK_ROWS = 500


def chunks(items: Sequence[_T], size: int = CHUNK_ROWS) -> Iterator[Sequence[_T]]:
    """The items in their order, at most `size` at a time; nothing when there are none."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
