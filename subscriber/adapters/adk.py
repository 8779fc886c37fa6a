"""Google ADK: a `BaseLlm` for agents that follows its alias in Modelwire. Needs `pip install "modelwire[adk]"`.

agent = LlmAgent(name="orders", model=ModelwireLlm(provider.get_lite_llm_model("general")), instruction="…")
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..library import load_litellm_async

# As ADK does before it imports LiteLLM, which otherwise reads a file `.env` into the environment of the process.
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")

try:
    from google.adk.models import BaseLlm
    from google.adk.models.lite_llm import LiteLlm as AdkLiteLlm
except ModuleNotFoundError as error:
    raise ImportError(
        f"the module {error.name!r} is missing, which the Google ADK adapter needs: pip install 'modelwire[adk]'"
    ) from error

from pydantic import PrivateAttr

if TYPE_CHECKING:
    from google.adk.models import LlmCapabilities
    from google.adk.models.llm_request import LlmRequest
    from google.adk.models.llm_response import LlmResponse

    from ..model import LiteLlm


class ModelwireLlm(BaseLlm):  # type: ignore[misc]  # google-adk is not installed where the types are checked
    """The model of an alias, as an ADK agent takes it.

    `model` is the alias, which is what ADK shows of it. Each turn takes the settings once, at its start: an update
    meanwhile changes the next turn and not this one. What an agent asks for wins over the settings, except for the
    model, its endpoint and its credentials.

    Messages, tools and answers are converted by ADK's own class for LiteLLM.
    """

    _model: LiteLlm = PrivateAttr()

    def __init__(self, model: LiteLlm) -> None:
        super().__init__(model=model.alias)
        self._model = model

    @property
    def capabilities(self) -> LlmCapabilities:
        """What the model of the moment supports; while there is none, nothing that not every model does."""
        settings = self._model._target().settings
        # LiteLLM, which answers this, is then imported already or will be at once.
        return AdkLiteLlm(model=settings.model if settings else "").capabilities

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Do one turn. Raises ModelNotReady, ProviderClosed and LiteLLM's errors."""
        params = await self._model._async_call_params({})
        await load_litellm_async()
        converter, name = _converter(params)
        # ADK gives the alias as the request's model, by which the conversions would go.
        request = llm_request.model_copy(update={"model": name})
        async with aclosing(converter.generate_content_async(request, stream=stream)) as responses:
            async for response in responses:
                yield response


def _converter(params: dict[str, Any]) -> tuple[AdkLiteLlm, str]:
    """Give ADK's class with the settings of one call, and the name that LiteLLM routes by."""
    name = params.pop("model")
    # ADK speaks to MCP servers itself. LiteLLM would import the package mcp, which may be missing, for any tool.
    return AdkLiteLlm(model=name, **params, _skip_mcp_handler=True), name
