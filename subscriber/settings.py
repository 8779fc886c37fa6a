"""The immutable settings that calls are made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from .environment import AllowedEnv
from .errors import ConfigRefused
from .oauth import PREFIX as OAUTH_PREFIX
from .protocol import SCALARS, Json
from .steering import CACHE_STRATEGY, DEFAULT_CACHE_STRATEGY, is_cache_strategy

_CONTENT = attrgetter("alias", "id", "version", "revision", "litellm_params", "max_input_tokens")

# Parameters that steer Modelwire: LiteLLM would send them on to the provider, which refuses what it does not know.
_STEERING = frozenset({CACHE_STRATEGY, "max_input_tokens"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelSettings:
    """The settings of one model at one version; nothing in them can be changed.

    `litellm_params` are LiteLLM's keyword arguments, `model` among them, credentials too: its repr shows their names
    only. `id`, `version` and `revision` are None in settings that did not come from a server. `max_input_tokens` is
    None when the configuration does not say.
    """

    alias: str
    id: str | None = None
    version: int | None = None
    revision: str | None = None
    litellm_params: Mapping[str, Json] = field(default_factory=dict)
    max_input_tokens: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "litellm_params", _frozen(dict(self.litellm_params)))

    @property
    def model(self) -> str:
        """The name that LiteLLM routes by, such as `openai/gpt-5`; empty when there is none."""
        model = self.litellm_params.get("model")
        return model if isinstance(model, str) else ""

    @property
    def cache_strategy(self) -> str:
        """How long a provider is asked to keep what stays the same from call to call: `none`, `5m` or `1h`."""
        strategy = self.litellm_params.get(CACHE_STRATEGY)
        return DEFAULT_CACHE_STRATEGY if strategy is None else strategy

    def resolve(self, allowed_env: AllowedEnv) -> ModelSettings:
        """Give the settings with all `os.environ/` references followed. Raises ConfigRefused."""
        if not self.model:
            raise ConfigRefused("invalid_config", "it names no model")
        if not is_cache_strategy(self.cache_strategy):
            raise ConfigRefused("invalid_config", "its cache_strategy is none of none, 5m and 1h")
        params = {name: allowed_env.resolve(value, name) for name, value in self.litellm_params.items()}
        return self if params == self.litellm_params else replace(self, litellm_params=params)

    def call_params(self) -> dict[str, Any]:
        """Give LiteLLM's keyword arguments as a copy that the caller may change, without those that steer Modelwire."""
        return {
            name: _thaw(value)
            for name, value in self.litellm_params.items()
            if name not in _STEERING and not name.startswith(OAUTH_PREFIX)
        }

    def same_as(self, other: ModelSettings | None) -> bool:
        """Whether both say the same, and are the same version of the same config."""
        return other is not None and _CONTENT(self) == _CONTENT(other)

    def __repr__(self) -> str:
        return (
            f"ModelSettings(alias={self.alias!r}, id={self.id!r}, version={self.version!r}, "
            f"revision={self.revision!r}, model={self.model!r}, max_input_tokens={self.max_input_tokens!r}, "
            f"litellm_params=<hidden: {', '.join(sorted(self.litellm_params))}>)"
        )


def _freeze(value: Json) -> Json:
    if isinstance(value, Mapping):
        return _frozen(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(item if isinstance(item, SCALARS) else _freeze(item) for item in value)
    return value


def _frozen(values: Mapping[str, Json]) -> Mapping[str, Json]:
    return MappingProxyType(
        {name: value if isinstance(value, SCALARS) else _freeze(value) for name, value in values.items()}
    )


def _thaw(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value
