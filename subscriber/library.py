"""LiteLLM, imported when the first call is made: it costs seconds and 150 MB, and a component may never need it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from .errors import SubscriberError

_loaded = False


def keep_litellm_to_itself() -> None:
    """See to it that its import, whoever does it, reaches for nothing around the process.

    Without these variables it fetches a list of prices from the internet, and reads a file `.env`, of the working
    directory, of the folder that it is installed in, or of one above, into the environment of the process. Values that
    are set already stay.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")


def load_litellm() -> Any:
    """Give the module. The first time this takes seconds."""
    global _loaded  # noqa: PLW0603 - says that the import is over, which sys.modules does not
    keep_litellm_to_itself()
    first = "litellm" not in sys.modules
    import litellm

    if first:
        # It prints advice about itself to stdout when a call fails, which breaks components that speak over stdout.
        litellm.suppress_debug_info = True
    _loaded = True
    return litellm


async def load_litellm_async() -> Any:
    """Give the module without blocking the event loop while it is imported."""
    return load_litellm() if _loaded else await asyncio.to_thread(load_litellm)


def load_responses() -> Any:
    """Give the module, ready for its `responses` functions. Raises SubscriberError when they lack a package."""
    module = load_litellm()
    try:
        # LiteLLM imports it at each call and hides what is missing behind retries and a connection error.
        import litellm.responses.mcp.litellm_proxy_mcp_handler  # noqa: F401
    except ModuleNotFoundError as error:
        raise SubscriberError(
            f"LiteLLM's responses API needs the module {error.name!r}, which is missing: pip install 'litellm[mcp]'"
        ) from error
    return module


async def load_responses_async() -> Any:
    """Give the module, ready for its `responses` functions, without blocking the event loop."""
    return await asyncio.to_thread(load_responses)


def max_input_tokens(model: str) -> int | None:
    """How many tokens LiteLLM's registry says that a model takes; None when it does not know. No I/O but the import."""
    registry = load_litellm().model_cost
    provider, _, name = model.partition("/")
    entry = registry.get(model)
    if entry is None and name and str(registry.get(name, {}).get("litellm_provider", "")).startswith(provider):
        entry = registry[name]
    tokens = (entry or {}).get("max_input_tokens")
    return tokens if isinstance(tokens, int) else None
