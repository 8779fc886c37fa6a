"""Calls that LiteLLM or a cloud's library makes: each in a process of its own, through a guarded proxy.

Neither can be given the client of `outbound.py`. The process ends with the call: also when the caller is cancelled, and
when this process ends in whatever way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..store import Json
from .errors import LimitExceeded, Unavailable
from .guarded_proxy import Target, guarded_proxy
from .litellm_process import split_off
from .outbound import Outbound, OutboundError

_READY_TIMEOUT_SECONDS: Final = 60.0
"""How long the process may take to begin, the import of LiteLLM on a busy machine included."""

_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
_GRACE_SECONDS: Final = 1.0
"""How much longer than the call its process is waited for, which says then what the call waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the process answered, None when time was up; and why its proxy did not reach a target, if it did not."""

    content: Mapping[str, Any] | None
    problem: OutboundError | None


async def make_call(
    outbound: Outbound, call: str, arguments: Mapping[str, Json], *, only: frozenset[Target] | None = None
) -> Answer:
    """Have `litellm_call.py` do one of its calls, to no other targets than `only` if it is given.

    Raises LimitExceeded when too many are being made, Unavailable.
    """
    if outbound.litellm_turns.locked():
        limit = outbound.policy.max_concurrent_litellm
        raise LimitExceeded(f"{limit} calls to providers are being made already: try again when they are done")
    seconds = outbound.policy.litellm_timeout_seconds
    async with outbound.litellm_turns, _process() as (reader, writer), guarded_proxy(outbound, only=only) as proxy:
        own = {"call": call, "proxy_url": proxy.url, "proxy_port": proxy.port, "timeout_seconds": seconds}
        writer.write(json.dumps({**arguments, **own}).encode() + b"\n")
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                line = await reader.readline()
        except TimeoutError:
            return Answer(content=None, problem=proxy.problem)
        except (OSError, ValueError):
            line = b""
        return Answer(content=_parse(line), problem=proxy.problem)


@contextlib.asynccontextmanager
async def _process() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A process that waits for its request, and ends with the block."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_MAX_ANSWER_BYTES)
    try:
        with theirs:
            litellm = await split_off(theirs)
        try:
            async with asyncio.timeout(_READY_TIMEOUT_SECONDS):
                ready = await reader.readline()
        except TimeoutError:
            # It hangs, and would do so for the next call as well, which starts it anew.
            litellm.kill()
            ready = b""
        except OSError:
            ready = b""
        if not ready:
            raise Unavailable("LiteLLM could not be started: try again later")
        yield reader, writer
    finally:
        writer.close()


def _parse(line: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        raise Unavailable("the process of the call ended without an answer: try again later") from None
    assert isinstance(answer, dict)  # noqa: S101 - what `litellm_call.py` sends
    return answer
