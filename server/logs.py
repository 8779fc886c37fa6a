"""How a process of the server logs."""

from __future__ import annotations

import logging


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
