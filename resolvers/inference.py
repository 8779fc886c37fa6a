"""The provider of a config that is written with a model and without one: as LiteLLM routes the model.

It is found out before the transaction begins. LiteLLM may take seconds for it, in a process of its own, and a
transaction that is open holds up every other writer.
"""

from __future__ import annotations

from dataclasses import replace

from ..store import ModelConfig
from .errors import InvalidInput, Unavailable
from .inputs import UNSET, ModelConfigInput
from .litellm_registry import infer_provider
from .providers import is_provider


def needs_provider(given: ModelConfigInput, stored: ModelConfig | None = None) -> bool:
    """Whether validated input gives a model, says nothing about the provider, and there is none (`stored` None: no
    config yet). A null says something: that there is to be none.
    """
    return isinstance(given.model, str) and given.provider is UNSET and (stored is None or stored.provider is None)


async def with_provider(given: ModelConfigInput, stored: ModelConfig | None = None) -> ModelConfigInput:
    """The input with its model's provider, where it needs one. The model stays as it is written.

    Raises InvalidInput when the provider cannot be told, Unavailable when LiteLLM cannot be asked.
    """
    if not isinstance(given.model, str) or not needs_provider(given, stored):
        return given
    stored_base = None if stored is None else stored.api_base
    api_base = given.api_base if isinstance(given.api_base, str | None) else stored_base
    try:
        inferred = await infer_provider(given.model, api_base)
    except Unavailable as error:
        raise Unavailable(f"{error}, or give the provider") from error
    if inferred is None or not is_provider(inferred.provider):
        raise InvalidInput(
            f"LiteLLM cannot tell the provider of the model {given.model!r}: give provider, such as openai for an "
            "endpoint that is compatible with OpenAI's, or write the model as provider/model",
            ("input", "provider"),
        )
    return replace(given, provider=inferred.provider)
