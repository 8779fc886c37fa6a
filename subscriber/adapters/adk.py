"""Google ADK: a `BaseLlm` for agents that follows its alias in Modelwire. Needs `pip install "modelwire[adk]"`.

agent = LlmAgent(name="orders", model=ModelwireLlm(provider.get_lite_llm_model("general")), instruction="…")
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..calls import Call
from ..library import keep_litellm_to_itself, load_litellm_async
from ..model import LiteLlm

# ADK imports it.
keep_litellm_to_itself()

try:
    from google.adk.models import BaseLlm
    from google.adk.models.lite_llm import LiteLlm as AdkLiteLlm
    from google.adk.models.lite_llm import LiteLLMClient
    from pydantic import PrivateAttr
except ModuleNotFoundError as error:
    raise ImportError(
        f"the module {error.name!r} is missing, which the Google ADK adapter needs: pip install 'modelwire[adk]'"
    ) from error

if TYPE_CHECKING:
    from google.adk.models import LlmCapabilities
    from google.adk.models.llm_request import LlmRequest
    from google.adk.models.llm_response import LlmResponse


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
        settings = self._model.target.settings
        return AdkLiteLlm(model=settings.model if settings else "").capabilities

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Do one turn. Raises ModelNotReady, ProviderClosed, OAuthFailed and LiteLLM's errors."""
        call = await self._model.abegin_call()
        # Here and not at ADK's hands, which would block the event loop.
        await load_litellm_async()
        converter = AdkLiteLlm(**await call.asigned(), llm_client=_Client(call))
        # ADK gives the alias as the request's model, by which the conversions would go.
        request = llm_request.model_copy(update={"model": converter.model})
        async with aclosing(converter.generate_content_async(request, stream=stream)) as responses:
            async for response in responses:
                yield response


class _Client(LiteLLMClient):  # type: ignore[misc]  # as above
    """Steers the call of ADK's class as the configuration says, as those of `LiteLlm` are."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def acompletion(self, model: Any, messages: Any, tools: Any, **kwargs: Any) -> Any:
        litellm = await load_litellm_async()
        params = {**kwargs, "model": model, "tools": tools}
        return await litellm.acompletion(**self._call.chat(params, messages, litellm))
