"""Hearing of commits: wake-ups for the feed, by other processes too. They carry no data and may come too often."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator

from .database import Database
from .errors import StoreError

logger = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS = 0.1
_MAX_DELAY_SECONDS = 5.0


async def follow_commits(database: Database, wake: Callable[[], None], *, poll_seconds: float) -> None:
    """Call `wake` whenever something may have been committed that this process was not told of, until cancelled.

    On a connection of its own, which is made again whenever it breaks; until it is, `wake` is called every
    `poll_seconds`. Where the database tells nobody, it is asked that often whether anything was committed.
    """
    delays = _delays()
    broken = False

    def connected() -> None:
        nonlocal broken, delays
        if broken:
            logger.info("hearing of the commits of others again")
        broken, delays = False, _delays()
        # What was committed meanwhile was not heard.
        wake()

    while True:
        try:
            await database.listen(connected, wake, poll_seconds=poll_seconds)
        except Exception as error:
            if not broken:
                unexpected = None if isinstance(error, StoreError) else error
                logger.warning("looking for commits every %s s for now: %s", poll_seconds, error, exc_info=unexpected)
            broken = True
        await _poll(wake, poll_seconds, next(delays))


async def _poll(wake: Callable[[], None], poll_seconds: float, duration_seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration_seconds):
            while True:
                wake()
                await asyncio.sleep(poll_seconds)


def _delays() -> Iterator[float]:
    """Waiting times between attempts, growing, and different for every server that lost the same database."""
    limit = _FIRST_DELAY_SECONDS
    while True:
        yield random.uniform(0, limit)  # noqa: S311 - nothing secret depends on it
        limit = min(limit * 2, _MAX_DELAY_SECONDS)
