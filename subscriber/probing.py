"""One real call to find out whether a configuration works: with a system prompt and a tool, as agents call models."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .library import load_litellm_async

if TYPE_CHECKING:
    from .model import LiteLlm

_MESSAGES: Final = (
    {
        "role": "system",
        "content": "You are an assistant that answers questions about the weather. Use the tools that you are given "
        "to look up what you do not know, and do not guess.",
    },
    {"role": "user", "content": "What is the weather like in Lisbon at the moment?"},
)
_TOOL: Final = "get_current_weather"
_TOOLS: Final = (
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "Look up the current weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "The city's name, such as Oslo."}},
                "required": ["city"],
            },
        },
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOutcome:
    """What a call found out. `problem` is None when it was answered, else a class: `authentication`, `not_found`,
    `rate_limit`, `bad_request`, `timeout`, `connection`, `unsupported` (a library is not installed) or `provider`.

    `status` is the HTTP status of a problem, None without one. `message` is LiteLLM's text of it, in which a provider
    may repeat what it was sent, credentials too. `text` is the model's answer, empty when it only called the tool.
    Tokens are None when the provider did not count them.
    """

    seconds: float
    problem: str | None = None
    status: int | None = None
    message: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    tool_called: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


async def probe_model(model: LiteLlm, *, timeout_seconds: float) -> ProbeOutcome:
    """Make one call, and no other when it fails. It costs what a call costs.

    Loading LiteLLM comes before the time that is given. Raises ModelNotReady and ProviderClosed.
    """
    # As the settings are when it begins, and not when LiteLLM is loaded.
    call = await model.abegin_call(
        tools=list(_TOOLS), num_retries=0, max_retries=0, fallbacks=None, timeout=timeout_seconds
    )
    begin = time.perf_counter()
    try:
        litellm = await load_litellm_async()
        begin = time.perf_counter()
        async with asyncio.timeout(timeout_seconds):
            params = call.chat(await call.asigned(), list(_MESSAGES), litellm)
            reply = await litellm.acompletion(**params)
        return _answered(reply, time.perf_counter() - begin)
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is what was to be found out
        # Some of its texts end with a traceback.
        message = str(error).partition("\nTraceback (most recent call last)")[0]
        return ProbeOutcome(
            seconds=time.perf_counter() - begin, problem=_classify(error), status=_status(error), message=message
        )


def _answered(reply: Any, seconds: float) -> ProbeOutcome:
    if not reply.choices:
        return ProbeOutcome(seconds=seconds, problem="provider", message="there are no choices in the answer")
    message = reply.choices[0].message
    usage = getattr(reply, "usage", None)
    return ProbeOutcome(
        seconds=seconds,
        text=message.content or "",
        tool_called=any(_function_name(call) == _TOOL for call in message.tool_calls or ()),
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
    )


def _function_name(call: Any) -> str | None:
    """None for a tool of another kind, of which a model may think all the same."""
    return getattr(getattr(call, "function", None), "name", None)


def _classify(error: BaseException) -> str:
    """The class of what LiteLLM raised."""
    import httpx
    import openai

    causes = _causes(error)
    # LiteLLM calls some lost connections an error of the provider; what it made them of says more.
    for cause in causes:
        if isinstance(cause, openai.APITimeoutError | httpx.TimeoutException | TimeoutError):
            return "timeout"
        if isinstance(cause, httpx.TransportError | ConnectionError):
            return "connection"
        if isinstance(cause, ImportError):
            return "unsupported"
    kinds = (
        (openai.AuthenticationError | openai.PermissionDeniedError, "authentication"),
        (openai.NotFoundError, "not_found"),
        (openai.RateLimitError, "rate_limit"),
    )
    for kind, problem in kinds:
        if isinstance(error, kind):
            return problem
    # And some refusals a bad request, or no kind of its own.
    statuses = [status for cause in reversed(causes) if isinstance(status := getattr(cause, "status_code", 0), int)]
    for status in statuses:
        if status in _BY_STATUS:
            return _BY_STATUS[status]
    return "bad_request" if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError) else "provider"


_BY_STATUS: Final[Mapping[int, str]] = {
    401: "authentication",
    403: "authentication",
    404: "not_found",
    408: "timeout",
    429: "rate_limit",
}


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
