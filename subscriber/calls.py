"""One call: the settings that it is made with, taken once, and LiteLLM's keyword arguments for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .oauth import SignIn
from .settings import ModelSettings
from .steering import CACHE_STRATEGY, is_cache_strategy, mark_cache, steer_thinking

_DEFAULTS: Final[Mapping[str, Any]] = {"num_retries": 3, "timeout": 120}
_RESERVED: Final = ("model", "api_base", "base_url", "api_key", "custom_llm_provider")


class Call(NamedTuple):
    """The settings that one call is made with, and all its keyword arguments but the token."""

    params: dict[str, Any]
    settings: ModelSettings
    sign_in: SignIn | None

    @classmethod
    def of(cls, settings: ModelSettings, sign_in: SignIn | None, given: Mapping[str, Any]) -> Call:
        """Join the settings with what the caller gave, which wins. Raises TypeError for what the settings decide."""
        if reserved := [name for name in _RESERVED if name in given]:
            raise TypeError(
                f"{reserved[0]!r} comes from the configuration of {settings.alias!r} in Modelwire and cannot be given "
                "in a call; to call another model use its alias, or `provider.override(alias)`"
            )
        return cls({**_DEFAULTS, **settings.call_params(), **given}, settings, sign_in)

    def signed(self) -> dict[str, Any]:
        """Give the keyword arguments with the token. Blocks and raises OAuthFailed when there is none yet."""
        if self.sign_in is None:
            return self.params
        token = self.sign_in.get()
        headers = {**(self.params.get("extra_headers") or {}), "Authorization": f"Bearer {token}"}
        # LiteLLM looks for a key in the environment when it is given none.
        return {**self.params, "api_key": token, "extra_headers": headers}

    async def asigned(self) -> dict[str, Any]:
        """Do as `signed` does, without blocking the event loop."""
        if self.sign_in is None or self.sign_in.fresh() is not None:
            return self.signed()
        return await asyncio.to_thread(self.signed)

    def chat(self, params: dict[str, Any], messages: list[Any], litellm: Any) -> dict[str, Any]:
        """Give the keyword arguments of a chat call, steered as the settings say. `params` are those of `signed`, or
        what somebody made of them, and are changed."""
        strategy = params.pop(CACHE_STRATEGY, self.settings.cache_strategy)
        if not is_cache_strategy(strategy):
            raise ValueError("cache_strategy is one of none, 5m and 1h")
        marked, tools = mark_cache(strategy, messages, params.get("tools"))
        if tools is not None:
            params["tools"] = tools
        else:
            # Anthropic refuses it without tools.
            params.pop("parallel_tool_calls", None)
        if not any(isinstance(tool, Mapping) and tool.get("type") == "mcp" for tool in tools or ()):
            # LiteLLM imports the package mcp for tools of any type, and it may be missing.
            params["_skip_mcp_handler"] = True
        return steer_thinking({**params, "messages": marked}, litellm)
