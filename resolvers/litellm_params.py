"""What LiteLLM is given for a config: the name that it routes by, and all its keyword arguments."""

from __future__ import annotations

from ..store import Json, ModelConfig, ModelConfigDraft
from .access import Context, Scope
from .auth_types import AUTH_SCHEMES
from .merge import draft_of


def litellm_model(config: ModelConfig) -> str | None:
    """The provider's prefix and the model, such as `gemini/gemini-2.5-flash`; None for a placeholder."""
    return routed_model(config.provider, config.model)


def routed_model(provider: str | None, model: str | None) -> str | None:
    """The name that LiteLLM routes by: the prefix is not put before a model that has it. None without one of both."""
    if provider is None or model is None:
        return None
    prefix = f"{provider}/"
    return model if model.startswith(prefix) else prefix + model


def litellm_params(context: Context, config: ModelConfig) -> dict[str, Json] | None:
    """LiteLLM's keyword arguments, credentials too; None for a placeholder.

    References stay as they are: the component resolves them. Raises Forbidden without `model_config:resolve`.
    """
    context.principal.require(Scope.MODEL_CONFIG_RESOLVE)
    if not config.configured:
        return None
    return arguments_of(draft_of(config, context.store.open_secrets(config)))


def arguments_of(draft: ModelConfigDraft) -> dict[str, Json]:
    """LiteLLM's keyword arguments for a config with provider and model, credentials too."""
    auth = {**draft.auth.fields, **draft.secrets.auth}
    arguments: dict[str, Json] = {"model": routed_model(draft.provider, draft.model)}
    if draft.api_base is not None:
        arguments["api_base"] = draft.api_base
    for field in AUTH_SCHEMES[draft.auth.type].fields:
        if field.name in auth:
            arguments[field.litellm_name] = auth[field.name]
    return {**draft.params, **draft.secrets.params, **arguments}
