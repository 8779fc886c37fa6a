"""What changed in a model config, as the command line asks for it and tells it."""

from __future__ import annotations

import json
from typing import Any

from .output import printable, shortened

CHANGES = "changes { path before after secret }"
"""What `describe_change` needs of each FieldChange."""


def describe_change(change: dict[str, Any], *, new: bool) -> str:
    """The line that tells a person of one FieldChange of the API, of a config that is `new` or was there before."""
    name = printable(".".join(change["path"]))
    if new:
        return f"{name}: {'(secret)' if change['secret'] else _value(change['after'])}"
    if not change["secret"]:
        return f"{name}: {_value(change['before'])} → {_value(change['after'])}"
    # A sealed value is null; a side that is shown is a reference.
    if change["before"] is not None:
        return f"{name}: {_value(change['before'])} → (secret)"
    if change["after"] is not None:
        return f"{name}: (secret) → {_value(change['after'])}"
    return f"{name}: (secret) changes"


def _value(value: Any) -> str:
    return shortened(json.dumps(value, ensure_ascii=False))
