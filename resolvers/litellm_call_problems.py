"""What a cloud refused, as one of the classes that calls answer with: see `litellm_call.py`."""

from __future__ import annotations

from typing import Final

_BY_STATUS: Final = {401: "authentication", 403: "authentication", 404: "not_found", 429: "rate_limit"}


def problem_of_status(status: int) -> str:
    """The class of an HTTP status that is an error."""
    return _BY_STATUS.get(status, "bad_request" if status < 500 else "provider")
