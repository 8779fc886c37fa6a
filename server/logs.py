"""How a process of the server logs."""

from __future__ import annotations

import logging


def configure_logging(level: str) -> None:
    """Log to standard error, one line each: time, level, logger, message. Calling it again replaces the level."""
    logging.basicConfig(
        force=True,
        level=level.upper(),
        format="%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for name in ("uvicorn.error", "websockets", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
