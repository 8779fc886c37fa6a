"""Lists of models that a cloud's own library asks for, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..store import Json
from .guarded_proxy import Target
from .litellm_calls import make_call
from .outbound import Outbound, OutboundError, OutboundProblem

_MESSAGES: Final = {
    OutboundProblem.AUTHENTICATION: "the credentials were refused",
    OutboundProblem.NOT_FOUND: "there is no list of models at this address",
    OutboundProblem.RATE_LIMIT: "{cloud} asks for fewer requests",
    OutboundProblem.BAD_REQUEST: "{cloud} does not take the request",
    OutboundProblem.PROVIDER: "{cloud} failed",
    OutboundProblem.CONNECTION: "the connection failed",
    OutboundProblem.BAD_ANSWER: "the answer is not a list of models",
}


async def list_by_library(
    outbound: Outbound, call: str, arguments: Mapping[str, Json], *, only: frozenset[Target] | None, cloud: str
) -> list[str] | None:
    """What a call of `litellm_call.py` lists, None when its library is not installed. `cloud` is its name in messages.

    Raises OutboundError, LimitExceeded, Unavailable.
    """
    answer = await make_call(outbound, call, arguments, only=only)
    if answer.problem is not None:
        raise answer.problem
    if answer.content is None or answer.content.get("problem") == "timeout":
        seconds = outbound.policy.litellm_timeout_seconds
        raise OutboundError(OutboundProblem.TIMEOUT, f"there was no whole answer within {seconds:g} seconds")
    problem = answer.content.get("problem")
    if problem == "unsupported":
        return None
    if problem is not None:
        found = OutboundProblem(problem)
        raise OutboundError(found, _MESSAGES[found].format(cloud=cloud))
    return list(answer.content["models"])
