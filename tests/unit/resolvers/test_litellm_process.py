"""What LiteLLM knows, asked of its process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import psutil
import pytest

from modelwire.resolvers import litellm_process
from modelwire.resolvers.errors import Unavailable
from modelwire.resolvers.litellm_process import known_models, supported_params


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    litellm_process._process.close()


async def test_the_parameters_are_those_of_the_model() -> None:
    openai, reasoning = await asyncio.gather(
        supported_params("openai", "gpt-4o"), supported_params("openai", "o3-mini")
    )
    assert openai is not None
    assert reasoning is not None
    assert {"temperature", "tools", "max_tokens"} <= set(openai)
    assert "reasoning_effort" in reasoning
    assert "reasoning_effort" not in openai
    assert await supported_params("no-such-provider", "x") is None


async def test_the_registry_has_models_for_conversations_alone() -> None:
    known = {model.name: model for model in await known_models("openai")}
    assert known["gpt-4o"].max_input_tokens == 128_000
    assert "text-embedding-3-small" not in known
    assert "dall-e-3" not in known
    assert await known_models("no-such-provider") == ()


async def test_its_process_has_none_of_our_variables_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_ENCRYPTION_KEYS", "canary")
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    litellm_process._process.close()
    await known_models("openai")
    assert litellm_process._process._process is not None
    environment = psutil.Process(litellm_process._process._process.pid).environ()
    assert "canary" not in environment.values()
    assert not any(name.startswith("MODELWIRE_") for name in environment)


async def test_it_calls_nobody() -> None:
    """LiteLLM would ask Ollama what the model can do; the refused connection is taken for an endpoint that is down."""
    assert await supported_params("ollama", "some-model") is not None


async def test_after_its_end_the_next_question_starts_it_anew() -> None:
    await known_models("openai")
    process = litellm_process._process._process
    assert process is not None
    process.kill()
    process.wait()
    assert await known_models("anthropic")
    assert litellm_process._process._process is not process


async def test_a_process_that_cannot_start_is_said_to_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    litellm_process._process.close()
    monkeypatch.setattr(litellm_process, "_COMMAND", (sys.executable, "-c", "import no_such_module"))
    with pytest.raises(Unavailable, match="try again later"):
        await known_models("openai")


@pytest.mark.parametrize("answer", ["print('{}{')", "print('no JSON')"])
async def test_an_answer_that_is_none_is_said_to_the_caller(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    broken = f"import sys\nfor line in sys.stdin:\n    {answer}\n    sys.stdout.flush()\n"
    litellm_process._process.close()
    monkeypatch.setattr(litellm_process, "_COMMAND", (sys.executable, "-c", broken))
    with pytest.raises(Unavailable, match="try again later"):
        await known_models("openai")
    litellm_process._process.close()


def test_the_child_is_what_runs_and_not_imported() -> None:
    assert not any(name.endswith("litellm_child") for name in sys.modules)
