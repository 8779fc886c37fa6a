"""What a configuration says of chat calls beyond LiteLLM's keyword arguments: what to cache, how much to think."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

CACHE_CONTROL: Final = "cache_control"
CACHE_STRATEGY: Final = "cache_strategy"
DEFAULT_CACHE_STRATEGY: Final = "5m"
_MARKS: Final[Mapping[str, Mapping[str, str] | None]] = {
    "none": None,
    "5m": {"type": "ephemeral"},
    "1h": {"type": "ephemeral", "ttl": "1h"},
}
_INSTRUCTIONS: Final = ("system", "developer")


def is_cache_strategy(strategy: object) -> bool:
    """Whether it is one of `none`, `5m` and `1h`."""
    return isinstance(strategy, str) and strategy in _MARKS


def mark_cache(
    strategy: str, messages: Sequence[Any], tools: Sequence[Any] | None
) -> tuple[Sequence[Any], Sequence[Any] | None]:
    """Mark where the part ends that stays the same from call to call: the instructions and the tools.

    LiteLLM translates the marks for each provider. What is given is not changed; where it has marks, they hold alone.
    """
    mark = _MARKS[strategy]
    if mark is None or any(_has_mark(item) for item in (*messages, *(tools or ()))):
        return messages, tools
    last = -1
    while last + 1 < len(messages) and _role(messages[last + 1]) in _INSTRUCTIONS:
        last += 1
    if last >= 0 and (content := _marked_content(messages[last]["content"], mark)) is not None:
        messages = [*messages[:last], {**messages[last], "content": content}, *messages[last + 1 :]]
    if tools and isinstance(tools[-1], Mapping):
        tools = [*tools[:-1], {**tools[-1], CACHE_CONTROL: dict(mark)}]
    return messages, tools


def _role(message: Any) -> str | None:
    return message.get("role") if isinstance(message, Mapping) and message.get("content") else None


def _has_mark(item: Any) -> bool:
    if not isinstance(item, Mapping):
        return False
    content = item.get("content")
    blocks = content if isinstance(content, list | tuple) else ()
    return CACHE_CONTROL in item or any(isinstance(block, Mapping) and CACHE_CONTROL in block for block in blocks)


def _marked_content(content: Any, mark: Mapping[str, str]) -> list[Any] | None:
    if isinstance(content, str):
        return [{"type": "text", "text": content, CACHE_CONTROL: dict(mark)}]
    if isinstance(content, list | tuple) and isinstance(content[-1], Mapping):
        return [*content[:-1], {**content[-1], CACHE_CONTROL: dict(mark)}]
    return None


def steer_thinking(params: Mapping[str, Any], litellm: Any) -> dict[str, Any]:
    """Give the keyword arguments with `thinking` where its provider takes it.

    `{"budget_tokens": N}` is enough to enable it; a budget of 0 is none. An endpoint that speaks OpenAI's API gets it
    in the body, because LiteLLM refuses it there. Claude thinks only at a temperature of 1.
    """
    thinking = params.get("thinking")
    if not isinstance(thinking, Mapping):
        return dict(params)
    steered = {name: value for name, value in params.items() if name != "thinking"}
    if "type" not in thinking:
        if not thinking.get("budget_tokens"):
            return steered
        thinking = {"type": "enabled", **thinking}
    model = str(params.get("model", ""))
    if thinking["type"] == "enabled" and "claude" in model.lower():
        steered["temperature"] = 1
    if _takes_thinking(model, litellm):
        steered["thinking"] = dict(thinking)
    else:
        steered["extra_body"] = {**(params.get("extra_body") or {}), "thinking": dict(thinking)}
    return steered


def _takes_thinking(model: str, litellm: Any) -> bool:
    provider = model.partition("/")[0]
    if provider not in {"openai", "azure", *litellm.openai_compatible_providers}:
        return True
    return "thinking" in (litellm.get_supported_openai_params(model=model) or ())
