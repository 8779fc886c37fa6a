"""`os.environ/NAME`: a value that the component takes from its own environment. The server never resolves one."""

from __future__ import annotations

import re

from ..store import Json

PREFIX = "os.environ/"

_FORM = re.compile(r"os\.environ/[A-Za-z_][A-Za-z0-9_]*")


def is_reference(value: Json) -> bool:
    """Whether the whole value is one well-formed reference."""
    return isinstance(value, str) and _FORM.fullmatch(value) is not None
