"""Cursors: places in a list, as texts that are opaque to clients."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from .errors import BadUserInput
from .validation import can_be_stored

Key = int | str


def encode_cursor(listing: str, place: Sequence[Key]) -> str:
    """The cursor of a place in a list. `listing` names the list and its order."""
    return base64.urlsafe_b64encode(json.dumps([listing, *place]).encode()).decode().rstrip("=")


def decode_cursor(listing: str, cursor: str, types: Sequence[type[Key]]) -> tuple[Key, ...]:
    """The place of a cursor: keys of these types, each of which a database can look for.

    Raises BadUserInput for what `encode_cursor` did not make for this list.
    """
    found = _decoded(cursor)
    if not isinstance(found, list) or found[:1] != [listing] or not _are_keys(found[1:], types):
        raise not_a_cursor()
    return tuple(found[1:])


def not_a_cursor() -> BadUserInput:
    """The answer to an `after` that no page of the list gave."""
    return BadUserInput("after must be a cursor that an earlier page of this list, in this order, gave")


def _decoded(cursor: str) -> Any:
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        return json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _are_keys(keys: list[Any], types: Sequence[type[Key]]) -> bool:
    return len(keys) == len(types) and all(
        type(key) is type_ and _can_be_looked_for(key) for key, type_ in zip(keys, types, strict=True)
    )


def _can_be_looked_for(key: Key) -> bool:
    return can_be_stored(key) if isinstance(key, str) else -(2**63) <= key < 2**63
