"""What a process that was split off does: one call, through the proxy that it is told of, and nothing else.

The request comes as one line of JSON through the socket, credentials too; the answer goes back as another. When the
socket is closed at the other end, or time is up, the process ends, whatever it does at that moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from ..subscriber import ConfigRefused, LiteLlm
from .litellm_call_bedrock import bedrock_models
from .litellm_call_vertex import vertex_models
from .litellm_guard import Guard

_MAX_TEXT: Final = 20_000
_GRACE_SECONDS: Final = 5.0
"""How long after the time of the call the kernel ends the process, if nobody else did."""

_MEMORY_BYTES: Final = 512 * 1024 * 1024
"""How much memory a call may take beyond what LiteLLM takes when it is loaded."""

_MESSAGES: Final = [
    {
        "role": "system",
        "content": "You are an assistant that answers questions about the weather. Use the tools that you are given "
        "to look up what you do not know, and do not guess.",
    },
    {"role": "user", "content": "What is the weather like in Lisbon at the moment?"},
]
_TOOL: Final = "get_current_weather"
_TOOLS: Final = [
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
    }
]


def serve(channel: socket.socket, guard: Guard) -> None:
    """Do the call that is asked for through this socket."""
    channel.sendall(b"{}\n")
    request = json.loads(channel.makefile("rb").readline())
    _limit(request["timeout_seconds"] + _GRACE_SECONDS)
    _use_proxy(request["proxy_url"])
    guard.confine_to("127.0.0.1", request["proxy_port"])
    threading.Thread(target=_end_with, args=(channel,), daemon=True).start()
    answer = asyncio.run(_CALLS[request["call"]](request))
    channel.sendall(json.dumps(answer).encode() + b"\n")


def rehearse() -> None:
    """Do a call that gets nowhere, for what it loads."""
    params = {"model": "openai/none", "api_base": "http://127.0.0.1", "api_key": "none"}
    asyncio.run(_chat({"litellm_params": params, "timeout_seconds": 1.0}))


def _limit(seconds: float) -> None:
    _limit_memory()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # What is in its memory is in no file either.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit_memory() -> None:
    """A small answer can be a huge one when it is unpacked, which is done here."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        # Not on Linux: what a process has mapped is not known, and a limit could be too low.
        return
    size = pages * resource.getpagesize() + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _end_with(channel: socket.socket) -> None:
    while channel.recv(1):
        pass
    os._exit(0)


def _use_proxy(url: str) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = url
    # What libraries look for on a machine is this machine's, and not the config's.
    os.environ["HOME"] = "/nonexistent"
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


async def _chat(request: Mapping[str, Any]) -> dict[str, Any]:
    model = LiteLlm("test", allowed_env=())
    try:
        model.configure_model(request["litellm_params"])
    except ConfigRefused as refused:
        problem = refused.reason if refused.reason in {"missing_secret", "invalid_config"} else "unsupported"
        return {"problem": problem, "message": str(refused), "seconds": 0.0}
    begin = time.perf_counter()
    try:
        # One call and no other, so that what it says is what happened.
        reply = await model.acompletion(
            _MESSAGES, tools=_TOOLS, num_retries=0, max_retries=0, fallbacks=None, timeout=request["timeout_seconds"]
        )
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is what the test found out
        # Some of its texts end with a traceback.
        message = str(error).partition("\nTraceback (most recent call last)")[0][:_MAX_TEXT]
        return {"problem": classify(error), "message": message, "seconds": time.perf_counter() - begin}
    return {**_told(reply), "seconds": time.perf_counter() - begin}


def _told(reply: Any) -> dict[str, Any]:
    message = reply.choices[0].message
    usage = getattr(reply, "usage", None)
    return {
        "text": (message.content or "")[:_MAX_TEXT],
        "tool_called": any(call.function.name == _TOOL for call in message.tool_calls or ()),
        "prompt_tokens": getattr(usage, "prompt_tokens", None),
        "completion_tokens": getattr(usage, "completion_tokens", None),
    }


def classify(error: BaseException) -> str:
    """The class of what LiteLLM raised: `timeout`, `connection`, `authentication`, `not_found`, `rate_limit`,
    `bad_request`, `unsupported` (a library is not installed) or `provider`.
    """
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


_BY_STATUS: Final = {401: "authentication", 403: "authentication", 404: "not_found", 408: "timeout", 429: "rate_limit"}


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


_CALLS: Final[Mapping[str, Callable[[Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]]] = {
    "chat": _chat,
    "bedrock_models": bedrock_models,
    "vertex_models": vertex_models,
}
