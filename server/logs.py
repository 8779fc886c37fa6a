"""How a process of the server logs."""

from __future__ import annotations

import logging
import warnings


def configure_logging(level: str) -> None:
    """Log to standard error, one line each: time, level, logger, message. Calling it again replaces the level.

    Libraries log warnings and errors only, whatever the level: what they say below that can hold messages and SQL
    parameters.
    """
    logging.basicConfig(
        force=True,
        level=logging.WARNING,
        format="%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.getLogger(__package__.partition(".")[0]).setLevel(level.upper())
    ignore_abandoned_fields()


def ignore_abandoned_fields() -> None:
    """Have Python say nothing of resolvers that were not begun.

    When a field fails or an operation is cancelled, graphql-core drops the fields beside it. That is as it should be,
    and a client could fill the log with it.
    """
    warnings.filterwarnings("ignore", r"coroutine '.*\b_async_resolver' was never awaited", RuntimeWarning)
