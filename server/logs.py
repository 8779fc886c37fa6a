"""How a process of the server logs."""

from __future__ import annotations

import json
import logging
import warnings
from datetime import UTC, datetime
from typing import Any

from . import log_context


class JsonFormatter(logging.Formatter):
    """One JSON object for each message, on one line. `request`, `component` and `revision` are there where known:
    the first two from the context, the revision as the caller's `extra`.
    """

    def format(self, record: logging.LogRecord) -> str:
        known = {
            "request": log_context.request.get(),
            "component": log_context.component.get(),
            "revision": getattr(record, "revision", None),
            "error": self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else None,
        }
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **{name: value for name, value in known.items() if value is not None},
        }
        return json.dumps(line, ensure_ascii=False)


_TEXT = logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")


UNBEGUN_FIELDS = r"coroutine '(Executor\.(complete|execute)_|GraphQLCoreConverter\.)[^']*' was never awaited"
"""What Python warns of when a field fails, or an operation is cancelled: graphql-core drops the fields beside it that
were not begun. Any client can have that, and nothing is wrong."""


def configure_logging(level: str, format_: str = "text") -> None:
    """Log to standard error, one line each: time, level, logger, message, or with `json` an object that has these and
    more. Calling it again replaces both.

    Libraries log warnings and errors only, whatever the level: what they say below that can hold messages and SQL
    parameters.
    """
    logging.basicConfig(force=True, level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter() if format_ == "json" else _TEXT)
    logging.getLogger(__package__.partition(".")[0]).setLevel(level.upper())
    warnings.filterwarnings("ignore", UNBEGUN_FIELDS, RuntimeWarning)
