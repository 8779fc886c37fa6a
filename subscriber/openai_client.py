"""The settings of a model for those who call the `openai` package themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import SubscriberError
from .library import load_litellm

# What the client takes, by LiteLLM's names. The rest belongs to a call, or is LiteLLM's own.
_CLIENT_NAMES: Mapping[str, str] = {
    "api_key": "api_key",
    "api_base": "base_url",
    "base_url": "base_url",
    "organization": "organization",
    "num_retries": "max_retries",
    "max_retries": "max_retries",
    "timeout": "timeout",
}


@dataclass(frozen=True, slots=True)
class OpenAiClientParams:
    """Keyword arguments, all of one version: `client` for `openai.OpenAI` or `openai.AsyncOpenAI`, credentials too,
    and `call` for `client.chat.completions.create`, with `model` among them. Its repr shows none of them."""

    client: dict[str, Any] = field(repr=False)
    call: dict[str, Any] = field(repr=False)


def openai_client_params(params: Mapping[str, Any]) -> OpenAiClientParams:
    """Split LiteLLM's keyword arguments. Raises SubscriberError for a provider that speaks another API."""
    name, base, key = _routed(params)
    from openai.resources.chat.completions import Completions

    known = inspect.signature(Completions.create).parameters
    client = {_CLIENT_NAMES[name]: value for name, value in params.items() if name in _CLIENT_NAMES}
    if base is not None:
        client["base_url"] = base
    if key is not None:
        client["api_key"] = key
    elif base is not None:
        # Without one the package would send this host the key in OPENAI_API_KEY, which is for another.
        client["api_key"] = "none"
    call = {name: value for name, value in params.items() if name in known and name not in _CLIENT_NAMES}
    return OpenAiClientParams(client, {**call, "model": name})


def _routed(params: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Give the model's name at the endpoint, the endpoint (None: OpenAI's own), and the key (None: without)."""
    model, base, key = params["model"], params.get("api_base") or params.get("base_url"), params.get("api_key")
    provider, _, name = model.partition("/")
    if provider == "openai" and name:
        return name, base, key
    litellm = load_litellm()
    try:
        name, provider, found_key, found_base = litellm.get_llm_provider(model=model, api_base=base, api_key=key)
    except litellm.BadRequestError:
        raise SubscriberError(f"LiteLLM knows no provider for the model {model!r}") from None
    if provider not in ("openai", "custom_openai", *litellm.openai_compatible_providers) or (
        provider != "openai" and not found_base
    ):
        raise SubscriberError(
            f"the provider {provider!r} of the model {model!r} does not speak OpenAI's API: "
            "make the calls with `model.completion` or `model.acompletion`"
        )
    return name, found_base, found_key
