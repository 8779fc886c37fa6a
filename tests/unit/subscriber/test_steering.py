"""What becomes of messages, tools and thinking before LiteLLM gets them."""

import copy
from typing import Any

import pytest

from modelwire.subscriber.steering import is_cache_strategy, mark_cache, steer_thinking

FIVE, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hello"}
TOOLS = [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "b"}}]


def block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


@pytest.mark.parametrize(("strategy", "mark"), [("5m", FIVE), ("1h", HOUR)])
@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_and_tools_are_marked(strategy: str, mark: dict[str, str], role: str) -> None:
    messages, tools = [{**SYSTEM, "role": role}, USER], copy.deepcopy(TOOLS)
    before = copy.deepcopy((messages, tools))
    marked, marked_tools = mark_cache(strategy, messages, tools)
    assert marked == [{"role": role, "content": [block("Be brief.", cache_control=mark)]}, USER]
    assert marked_tools == [TOOLS[0], {**TOOLS[1], "cache_control": mark}]
    assert (messages, tools) == before


def test_the_last_block_of_the_last_instruction_is_marked() -> None:
    instructions = [SYSTEM, {"role": "developer", "content": [block("a"), block("b")]}]
    marked, _ = mark_cache("5m", [*instructions, USER, SYSTEM], None)
    assert marked == [
        SYSTEM,
        {"role": "developer", "content": [block("a"), block("b", cache_control=FIVE)]},
        USER,
        SYSTEM,
    ]


@pytest.mark.parametrize(
    ("strategy", "messages", "tools"),
    [
        ("none", [SYSTEM, USER], TOOLS),
        ("5m", [USER], None),
        ("5m", [USER, SYSTEM], []),
        ("5m", [{**SYSTEM, "content": ""}, USER], None),
        ("5m", [], None),
        # The caller's own marks.
        ("1h", [SYSTEM, {"role": "user", "content": [block("x", cache_control=FIVE)]}], TOOLS),
        ("1h", [{**SYSTEM, "cache_control": FIVE}], TOOLS),
        ("1h", [SYSTEM], [{**TOOLS[0], "cache_control": FIVE}]),
    ],
)
def test_what_is_left_as_it_is(strategy: str, messages: list[Any], tools: Any) -> None:
    assert mark_cache(strategy, messages, tools) == (messages, tools)


class LiteLLM:
    """What is asked of it."""

    openai_compatible_providers = ("hosted_vllm",)

    @staticmethod
    def get_supported_openai_params(model: str) -> list[str] | None:
        return ["thinking"] if model == "openai/thinks" else None


@pytest.mark.parametrize(
    ("model", "thinking", "expected"),
    [
        ("anthropic/claude-x", {"budget_tokens": 9}, {"thinking": {"type": "enabled", "budget_tokens": 9}}),
        ("bedrock/claude-x", {"type": "adaptive"}, {"thinking": {"type": "adaptive"}}),
        ("gemini/g", {"type": "enabled", "budget_tokens": 9}, {"thinking": {"type": "enabled", "budget_tokens": 9}}),
        ("openai/thinks", {"budget_tokens": 9}, {"thinking": {"type": "enabled", "budget_tokens": 9}}),
        ("openai/m", {"budget_tokens": 9}, {"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 9}}}),
        ("hosted_vllm/m", {"type": "disabled"}, {"extra_body": {"thinking": {"type": "disabled"}}}),
        ("anthropic/claude-x", {"budget_tokens": 0}, {}),
        ("anthropic/claude-x", {}, {}),
        ("openai/m", None, {"thinking": None}),
    ],
)
def test_thinking_goes_where_its_provider_takes_it(model: str, thinking: Any, expected: dict[str, Any]) -> None:
    steered = steer_thinking({"model": model, "thinking": thinking}, LiteLLM)
    steered.pop("temperature", None)
    assert steered == {"model": model, **expected}


@pytest.mark.parametrize(
    ("model", "thinking", "temperature"),
    [
        ("anthropic/claude-x", {"budget_tokens": 9}, 1),
        ("openai/vertex-Claude-x", {"budget_tokens": 9}, 1),
        ("openai/m", {"budget_tokens": 9}, 0.3),
        ("anthropic/claude-x", {"type": "disabled"}, 0.3),
        ("anthropic/claude-x", {"budget_tokens": 0}, 0.3),
    ],
)
def test_claude_thinks_at_a_temperature_of_one(model: str, thinking: Any, temperature: float) -> None:
    steered = steer_thinking({"model": model, "thinking": thinking, "temperature": 0.3}, LiteLLM)
    assert steered["temperature"] == temperature


def test_the_body_of_the_configuration_stays() -> None:
    params = {"model": "openai/m", "thinking": {"budget_tokens": 9}, "extra_body": {"top_k": 5}}
    before = copy.deepcopy(params)
    assert set(steer_thinking(params, LiteLLM)["extra_body"]) == {"top_k", "thinking"}
    assert params == before


def test_only_known_strategies() -> None:
    assert [strategy for strategy in ("none", "5m", "1h", "2h", "", None, {}) if is_cache_strategy(strategy)] == [
        "none",
        "5m",
        "1h",
    ]
