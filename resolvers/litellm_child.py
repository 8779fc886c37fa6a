"""LiteLLM in a process of its own: answers the questions of `litellm_process.py`, one line of JSON each, and splits off
a process for each call, which then has LiteLLM loaded already and ends with its call.

Run as a module, and imported by nobody; its argument is the descriptor of the socket through which the processes of
calls get their own. It ends with its standard input. It cannot call out itself.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from .litellm_guard import Guard

_CHAT_MODES = {"chat", "completion", "responses"}
_LEARNING_SECONDS = 20


def _supported_params(litellm: Any, question: dict[str, Any]) -> list[str] | None:
    found = litellm.get_supported_openai_params(model=question["model"], custom_llm_provider=question["provider"])
    return None if found is None else sorted(set(found))


def _models(litellm: Any, question: dict[str, Any]) -> list[dict[str, Any]]:
    known = litellm.models_by_provider.get(question["provider"], ())
    infos = {name: litellm.model_cost.get(name) or {} for name in known}
    return [
        {"name": name, "max_input_tokens": info.get("max_input_tokens")}
        for name, info in sorted(infos.items())
        if info.get("mode", "chat") in _CHAT_MODES
    ]


def _infer(litellm: Any, question: dict[str, Any]) -> list[str] | None:
    """The provider and the model's name there."""
    from litellm.llms.openai_like.json_loader import JSONProviderRegistry

    model = question["model"]
    provider, separator, name = model.partition("/")
    # Not by get_llm_provider: with a prefix it also looks up keys in the environment, and for some providers
    # (github_copilot, chatgpt) signs in over the network. And it renames some (anthropic/claude-2 is anthropic_text
    # to it) while the name as written is what routes the same way again.
    if separator and (provider in litellm.provider_list or JSONProviderRegistry.exists(provider)):
        return [provider, model] if name else None
    try:
        model, provider, *_ = litellm.get_llm_provider(model=model, api_base=question["api_base"])
    except litellm.exceptions.BadRequestError:
        return None
    return [provider, model]


_QUESTIONS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "supported_params": _supported_params,
    "models": _models,
    "infer": _infer,
}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # LiteLLM prints, and what it prints would be taken for an answer.
    os.dup2(2, 1)
    control = socket.socket(fileno=int(sys.argv[1]))
    guard = Guard()
    guard.install()
    import litellm

    # Else it prints advice at each error.
    litellm.suppress_debug_info = True
    # Processes that ended leave nothing behind.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    called = False
    while True:
        ready, _, _ = select.select([sys.stdin, control], [], [])
        if control in ready:
            if not called:
                _load_what_calls_load()
                called = True
            _split_off(control, guard)
        elif line := sys.stdin.readline():
            # The next line is sent when this one is answered, so none waits in a buffer that select does not see.
            print(json.dumps(_answer(litellm, json.loads(line))), file=answers, flush=True)
        else:
            return


def _answer(litellm: Any, question: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": _QUESTIONS[question["question"]](litellm, question)}
    except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises, the next question has to be answered
        return {"error": type(error).__name__}


def _split_off(control: socket.socket, guard: Guard) -> None:
    message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not message:
        sys.exit()
    with socket.socket(fileno=descriptors[0]) as channel:
        if os.fork() == 0:
            try:
                _leave_to(channel)
                from .litellm_call import serve

                serve(channel, guard)
            finally:
                os._exit(0)


def _load_what_calls_load() -> None:
    """Load the modules that LiteLLM loads when it makes a call, or each call would take a second for them.

    Found out by a call that gets nowhere, in a process that ends, because it leaves threads behind, which no process
    that is split off would have.
    """
    from .litellm_call import rehearse

    reading, writing = os.pipe()
    if os.fork() == 0:
        signal.alarm(_LEARNING_SECONDS)
        before = set(sys.modules)
        # After its threads, which load some, too.
        atexit.register(lambda: os.write(writing, "\n".join(set(sys.modules) - before).encode()))
        rehearse()
        sys.exit()
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as names:
        for name in names.read().split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _leave_to(channel: socket.socket) -> None:
    """Close what this process has in common with the others, but for this socket."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - the names alone are asked for
        if int(name) > 2 and int(name) != channel.fileno():
            # One is that by which the folder was read.
            with contextlib.suppress(OSError):
                os.close(int(name))


if __name__ == "__main__":
    main()
