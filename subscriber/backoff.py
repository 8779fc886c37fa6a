"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(first_seconds: float, max_seconds: float) -> Iterator[float]:
    """Yield waits with full jitter: each anywhere between zero and a bound that doubles from first to max.

    Drop the generator on success and make a new one at the next failure.
    """
    bound = first_seconds
    while True:
        yield random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing
        bound = min(bound * 2, max_seconds)
