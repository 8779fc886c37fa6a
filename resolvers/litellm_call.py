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
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from ..subscriber import ConfigRefused, LiteLlm, probe_model
from .litellm_call_bedrock import bedrock_models
from .litellm_call_vertex import vertex_models
from .litellm_guard import Guard

_MAX_TEXT: Final = 20_000
_GRACE_SECONDS: Final = 5.0
"""How long after the time of the call the kernel ends the process, if nobody else did."""

_MEMORY_BYTES: Final = 512 * 1024 * 1024
"""How much memory a call may take beyond what LiteLLM takes when it is loaded."""


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
    outcome = await probe_model(model, timeout_seconds=request["timeout_seconds"])
    if outcome.problem is not None:
        return {"problem": outcome.problem, "message": outcome.message[:_MAX_TEXT], "seconds": outcome.seconds}
    return {
        "text": outcome.text[:_MAX_TEXT],
        "tool_called": outcome.tool_called,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "seconds": outcome.seconds,
    }


_CALLS: Final[Mapping[str, Callable[[Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]]] = {
    "chat": _chat,
    "bedrock_models": bedrock_models,
    "vertex_models": vertex_models,
}
