"""How often somebody may try: a bucket of attempts for each source, which fills again as time passes."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable

from .errors import LimitExceeded

MAX_SOURCES = 10_000


class Attempts:
    """Attempts by their source, in the memory of one process. Each has `per_minute` at once, and as many a minute."""

    def __init__(self, per_minute: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self._now = now
        # What was left, and when; the source that tried last is the last.
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, source: str | None) -> None:
        """Count an attempt from an address, None: nobody knows from where. Raises LimitExceeded, and counts it not."""
        key, now = _network(source), self._now()
        left, at = self._left.pop(key, (self._capacity, now))
        left = min(self._capacity, left + (now - at) * self._per_second)
        allowed = left >= 1
        self._left[key] = (left - 1 if allowed else left), now
        if len(self._left) > MAX_SOURCES:
            del self._left[next(iter(self._left))]
        if not allowed:
            seconds = math.ceil((1 - left) / self._per_second)
            raise LimitExceeded(f"too many attempts to sign in from this address: try again in {seconds} seconds")


def _network(source: str | None) -> str:
    try:
        address = ipaddress.ip_address(source or "")
    except ValueError:
        return source or ""
    if address.version == 6 and address.ipv4_mapped is not None:
        # As a proxy that listens for both tells it: `::ffff:192.0.2.1`. All of them are of one network of IPv6.
        address = address.ipv4_mapped
    # Whoever has one address of IPv6 has a network of them.
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else str(address)
