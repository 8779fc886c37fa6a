"""What becomes of the link after an error: how it comes back, and what is said of it."""

from __future__ import annotations

import logging
from enum import Enum

from .errors import ConnectionFailed, ConnectionLost, LinkError, OperationFailed

logger = logging.getLogger(__name__)


class Retry(Enum):
    """How to come back."""

    SOON = "with full-jitter backoff"
    SPREAD = "spread over some seconds, with the whole fleet"
    SLOW = "slowly, because only a person can change the outcome"


def decide(error: Exception) -> Retry:
    """Decide how to come back after `error`. There is no giving up: only `close()` ends a link.

    SLOW: the server says that the credentials are wrong. Close code 4401 (no or wrong credential at init), HTTP 401 or
    403 in answer to the handshake (a gateway in front of the server), or a subscription that failed with
    UNAUTHENTICATED or FORBIDDEN (the key lacks a scope, or is bound to other aliases). A key may be granted later, so
    it is tried again.

    SPREAD: close code 1012, the server stops; all its subscribers hear it at the same moment.

    SOON: everything else. The server is away, unreachable or broken; 1013 (it could not write to us), 4403 (the token
    expired: the next one is asked for at the reconnect), any other close; silence; a malformed message; a
    subscription that ended or failed for another reason; no token to be had; and a bug of our own.
    """
    match error:
        case ConnectionLost(code=4401) | ConnectionFailed(status=401 | 403):
            return Retry.SLOW
        case OperationFailed(codes=codes) if codes & {"UNAUTHENTICATED", "FORBIDDEN"}:
            return Retry.SLOW
        case ConnectionLost(code=1012):
            return Retry.SPREAD
        case _:
            return Retry.SOON


def describe(error: Exception) -> str:
    """Give its text for `LinkStatus.last_error`. That of a bug could hold anything."""
    return str(error) if isinstance(error, LinkError) else f"an unexpected {type(error).__name__}"


def log(error: Exception, retry: Retry, what_next: str, *, repeated: bool) -> None:
    """Log what went wrong: loudly when a person has to act, quietly when it is the same again, bugs with traceback."""
    if not isinstance(error, LinkError):
        level, trace = (logging.INFO, None) if repeated else (logging.ERROR, error)
        logger.log(level, "the link failed with %s; %s", describe(error), what_next, exc_info=trace)
    elif retry is Retry.SLOW:
        logger.error(
            "the server refuses this component's credentials: %s; %s. The API key has to be valid, and needs the scope "
            "model_config:resolve for every alias that the component asks for",
            error,
            what_next,
        )
    else:
        logger.log(logging.INFO if repeated else logging.WARNING, "%s; %s", error, what_next)
