"""LiteLLM in a process of its own: answers the questions of `litellm_process.py`, one line of JSON each.

Run as a script, and not imported, so that it loads nothing of Modelwire. It ends with its standard input, and cannot
call out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

_CHAT_MODES = {"chat", "completion", "responses"}


def _refuse_network(event: str, _arguments: tuple[Any, ...]) -> None:
    # Some answers LiteLLM would else look up at an endpoint, such as Ollama's, or after signing in somewhere.
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise OSError("this process does not call out")


def _supported_params(litellm: Any, question: dict[str, str]) -> list[str] | None:
    found = litellm.get_supported_openai_params(model=question["model"], custom_llm_provider=question["provider"])
    return None if found is None else sorted(set(found))


def _models(litellm: Any, question: dict[str, str]) -> list[dict[str, Any]]:
    known = litellm.models_by_provider.get(question["provider"], ())
    infos = {name: litellm.model_cost.get(name) or {} for name in known}
    return [
        {"name": name, "max_input_tokens": info.get("max_input_tokens")}
        for name, info in sorted(infos.items())
        if info.get("mode", "chat") in _CHAT_MODES
    ]


_QUESTIONS: dict[str, Callable[[Any, dict[str, str]], Any]] = {"supported_params": _supported_params, "models": _models}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # LiteLLM prints, and what it prints would be taken for an answer.
    os.dup2(2, 1)
    sys.addaudithook(_refuse_network)
    import litellm

    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"answer": _QUESTIONS[question.pop("question")](litellm, question)}
        except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises, the next question has to be answered
            answer = {"error": type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
