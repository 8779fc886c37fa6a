"""The far end: models in a component that follow their configuration in Modelwire while the component runs.

async with DynamicModelProvider("http://127.0.0.1:8400", token=API_KEY, component="orders-agent") as provider:
    model = provider.get_lite_llm_model("general")
    await model.wait_ready(timeout_seconds=30)
    reply = await model.acompletion(messages=[{"role": "user", "content": "…"}])
"""

from __future__ import annotations

from .environment import DEFAULT_ALLOWED_ENV
from .errors import ConfigRefused, ConfigurationError, ModelNotReady, OAuthFailed, ProviderClosed, SubscriberError
from .model import LiteLlm
from .probing import ProbeOutcome, probe_model
from .provider import DynamicModelProvider
from .settings import ModelSettings
from .status import LinkState, LinkStatus, ModelStatus

__all__ = [
    "DEFAULT_ALLOWED_ENV",
    "ConfigRefused",
    "ConfigurationError",
    "DynamicModelProvider",
    "LinkState",
    "LinkStatus",
    "LiteLlm",
    "ModelNotReady",
    "ModelSettings",
    "ModelStatus",
    "OAuthFailed",
    "ProbeOutcome",
    "ProviderClosed",
    "SubscriberError",
    "probe_model",
]
