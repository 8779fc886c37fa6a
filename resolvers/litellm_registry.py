"""LiteLLM's knowledge of models and providers. The one place of the server that loads LiteLLM.

LiteLLM costs seconds and 150 MB to import, so that happens at the first question that needs it, in a thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from types import ModuleType
from typing import Final, NamedTuple

COMMON_PROVIDERS: Final = frozenset(
    {
        "anthropic",
        "azure",
        "azure_ai",
        "bedrock",
        "cohere",
        "deepseek",
        "gemini",
        "groq",
        "hosted_vllm",
        "mistral",
        "ollama",
        "openai",
        "openrouter",
        "together_ai",
        "vertex_ai",
        "xai",
    }
)
"""Providers for which `provider/model` is understood without LiteLLM: with them, most files need none of it."""


class InferredModel(NamedTuple):
    """A LiteLLM provider, and the model by the name that it has there."""

    provider: str
    model: str


def without_provider(model: str, provider: str) -> str:
    """The model's name without LiteLLM's prefix `provider/`.

    A name that begins with the prefix twice (`openrouter/openrouter/auto`) stays whole: a prefix that is there is
    never added again, so without the outer one the inner would be taken for it.
    """
    prefix = f"{provider}/"
    rest = model.removeprefix(prefix)
    return model if rest.startswith(prefix) else rest


async def infer_provider(model: str, api_base: str | None = None) -> InferredModel | None:
    """The provider of a model as LiteLLM routes it, by its prefix, its endpoint or its name; None when LiteLLM cannot
    tell. An endpoint that is an `os.environ/NAME` reference says nothing.
    """
    provider, separator, name = model.partition("/")
    if separator and name and provider in COMMON_PROVIDERS:
        return InferredModel(provider, without_provider(model, provider))
    return await asyncio.to_thread(_infer, model, api_base)


def _infer(model: str, api_base: str | None) -> InferredModel | None:
    litellm = _load()
    provider, separator, name = model.partition("/")
    # Not by get_llm_provider: with a prefix it also looks up keys in the environment, and for some providers
    # (github_copilot, chatgpt) signs in over the network. And it renames some (anthropic/claude-2 is anthropic_text
    # to it) while the name as written is what routes the same way again.
    if separator and _knows(litellm, provider):
        return InferredModel(provider, without_provider(model, provider)) if name else None
    try:
        # It answers with a key from the environment, too, which goes nowhere.
        model, provider, *_ = litellm.get_llm_provider(model=model, api_base=api_base)
    except litellm.exceptions.BadRequestError:
        return None
    return InferredModel(provider, model)


def _knows(litellm: ModuleType, provider: str) -> bool:
    from litellm.llms.openai_like.json_loader import JSONProviderRegistry

    return provider in litellm.provider_list or JSONProviderRegistry.exists(provider)


_loading = threading.Lock()


def _load() -> ModuleType:
    with _loading:
        # Else the import fetches a price list from GitHub, and takes a .env file of the working directory into the
        # environment of the server.
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
        import litellm

        # Else it prints to stdout when it cannot tell a provider.
        litellm.suppress_debug_info = True
        return litellm
