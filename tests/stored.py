"""Model configs as the store gives them, for tests that need one and little of what is in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from modelwire.store import Auth, ModelConfig

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def model_config(id_: str, alias: str, version: int = 1, revision: int = 1, **given: Any) -> ModelConfig:
    """A config with these names, made and changed at `NOW`; `given` are other fields of it."""
    content: dict[str, Any] = {
        "description": None,
        "provider": "openai",
        "model": f"model-{revision}",
        "api_base": None,
        "auth": Auth(),
        "params": {},
        "sealed_params": (),
        "max_input_tokens": None,
    }
    made = {"created_at": NOW, "created_by": "test", "updated_at": NOW, "updated_by": "test"}
    return ModelConfig(id=id_, alias=alias, version=version, revision=revision, **(content | made | given))
