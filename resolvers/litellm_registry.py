"""Which provider a model belongs to, as LiteLLM routes it."""

from __future__ import annotations

from typing import Final, NamedTuple

from .litellm_process import infer

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
    tell. An endpoint that is an `os.environ/NAME` reference says nothing. Raises Unavailable.
    """
    provider, separator, name = model.partition("/")
    if separator and name and provider in COMMON_PROVIDERS:
        return InferredModel(provider, without_provider(model, provider))
    found = await infer(model, api_base)
    return None if found is None else InferredModel(found[0], without_provider(found[1], found[0]))
