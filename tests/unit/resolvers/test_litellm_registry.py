"""What the server asks LiteLLM, and what LiteLLM must not do while it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelwire.resolvers import litellm_registry
from modelwire.resolvers.litellm_registry import infer_provider, without_provider


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-5-mini", ("openai", "gpt-5-mini")),
        ("gpt-3.5-turbo", ("openai", "gpt-3.5-turbo")),
        ("text-embedding-3-small", ("openai", "text-embedding-3-small")),
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("azure/chatgpt-v-2", ("azure", "chatgpt-v-2")),
        ("openrouter/gpt-3.5-turbo", ("openrouter", "gpt-3.5-turbo")),
        ("openrouter/anthropic/claude-sonnet-4", ("openrouter", "anthropic/claude-sonnet-4")),
        ("claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        # LiteLLM sends the bare name to Vertex AI; Google AI Studio needs the prefix.
        ("gemini-2.5-flash", ("vertex_ai", "gemini-2.5-flash")),
        ("gemini/gemini-2.5-flash", ("gemini", "gemini-2.5-flash")),
        ("vertex_ai/claude-3-5-sonnet", ("vertex_ai", "claude-3-5-sonnet")),
        ("ollama/llama3", ("ollama", "llama3")),
        (
            "bedrock/converse/us.anthropic.claude-opus-4-5-20251101-v1:0",
            ("bedrock", "converse/us.anthropic.claude-opus-4-5-20251101-v1:0"),
        ),
        # A provider that only LiteLLM's list of OpenAI-compatible endpoints has.
        ("veniceai/some-model", ("veniceai", "some-model")),
        # get_llm_provider answers anthropic_text and cohere_chat; the prefix as written routes there by itself.
        ("anthropic/claude-2", ("anthropic", "claude-2")),
        ("cohere/command-r", ("cohere", "command-r")),
        # get_llm_provider would sign in over the network.
        ("github_copilot/gpt-4o", ("github_copilot", "gpt-4o")),
        ("mistralai/mistral-7b-instruct", None),
        ("no-such-model", None),
        ("openai", None),
        ("openai/", None),
        ("/gpt-4o", None),
        ("", None),
    ],
)
async def test_the_provider_is_the_one_that_litellm_routes_to(model: str, expected: tuple[str, str] | None) -> None:
    assert await infer_provider(model) == expected


async def test_a_known_endpoint_tells_the_provider_and_no_key_comes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "canary-key")

    inferred = await infer_provider("llama-new", "https://api.groq.com/openai/v1")

    assert inferred == ("groq", "llama-new")
    assert inferred is not None
    assert inferred._fields == ("provider", "model")


async def test_a_reference_as_endpoint_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_BASE", "https://api.groq.com/openai/v1")

    assert await infer_provider("llama-new", "os.environ/API_BASE") is None


def test_every_common_provider_is_one_of_litellm() -> None:
    import litellm

    assert {
        provider for provider in litellm_registry.COMMON_PROVIDERS if provider not in litellm.provider_list
    } == set()


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("openai-gpt-4o", "openai", "openai-gpt-4o"),
        ("meta/llama", "openrouter", "meta/llama"),
        ("openrouter/openrouter/auto", "openrouter", "openrouter/openrouter/auto"),
    ],
)
def test_the_prefix_is_taken_off_once_and_only_when_it_can_be_put_back(model: str, provider: str, name: str) -> None:
    assert without_provider(model, provider) == name


_SCRIPT = """
import asyncio, json, os, sys
from modelwire.resolvers.litellm_registry import infer_provider
from modelwire.resolvers import litellm_process
async def main():
    prefixed = await infer_provider("openai/gpt-4o")
    before = litellm_process._process._process is not None
    names = ["gpt-5-mini", "mistralai/mistral-7b-instruct", "github_copilot/gpt-4o"]
    answers = await asyncio.gather(*map(infer_provider, names))
    return {"prefixed": prefixed, "started_for_prefix": before, "answers": answers,
            "loaded": "litellm" in sys.modules, "from_env_file": os.environ.get("CANARY_OF_ENV_FILE")}
print(json.dumps(asyncio.run(main())))
"""


def test_litellm_is_started_late_and_never_loaded_here(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CANARY_OF_ENV_FILE=1\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM_")}

    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )

    assert run.stderr == ""
    assert json.loads(run.stdout) == {
        "prefixed": ["openai", "gpt-4o"],
        "started_for_prefix": False,
        "loaded": False,
        "answers": [["openai", "gpt-5-mini"], None, ["github_copilot", "gpt-4o"]],
        "from_env_file": None,
    }
