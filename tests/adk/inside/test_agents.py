"""Real agents of google-adk, whose model is configured in Modelwire."""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import litellm
import pytest
from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.events import Event
from google.adk.models.llm_request import LlmRequest
from google.adk.runners import InMemoryRunner
from google.genai import types

from modelwire.subscriber import DynamicModelProvider, LiteLlm, ModelNotReady
from modelwire.subscriber.adapters.adk import ModelwireLlm
from modelwire.subscriber.testing import FakeControlPlane

from .conftest import Endpoint


class Conversation:
    """One session of one agent."""

    def __init__(self, agent: LlmAgent) -> None:
        self.runner = InMemoryRunner(agent, app_name="tests")
        self.session_id: str | None = None

    async def events(self, text: str, *, stream: bool = False) -> AsyncIterator[Event]:
        if self.session_id is None:
            session = await self.runner.session_service.create_session(app_name="tests", user_id="u")
            self.session_id = session.id
        run = self.runner.run_async(
            user_id="u",
            session_id=self.session_id,
            new_message=types.UserContent(text),
            run_config=RunConfig(streaming_mode=StreamingMode.SSE if stream else StreamingMode.NONE),
        )
        async with aclosing(run) as events:
            async for event in events:
                yield event

    async def say(self, text: str) -> str:
        """The final answer."""
        return [said(event) async for event in self.events(text)][-1]


def said(event: Event) -> str:
    return "".join(part.text or "" for part in (event.content.parts if event.content else None) or [])


@pytest.fixture
async def model(plane: FakeControlPlane) -> AsyncIterator[LiteLlm]:
    async with DynamicModelProvider(plane.url, token="any", component="adk") as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=120)
        yield model


async def applied(model: LiteLlm, version: int) -> None:
    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    model.on_settings_change(lambda *_: loop.call_soon_threadsafe(changed.set))
    async with asyncio.timeout(120):
        while model.version != version:
            await changed.wait()
            changed.clear()


async def test_the_environment_is_the_one_that_the_framework_needs() -> None:
    assert importlib.metadata.version("google-adk").startswith("2.")
    assert importlib.metadata.version("websockets").startswith("15.")


async def test_text_and_an_update_between_two_turns(
    model: LiteLlm, plane: FakeControlPlane, endpoint: Endpoint
) -> None:
    conversation = Conversation(LlmAgent(name="a", model=ModelwireLlm(model), instruction="Be brief."))
    assert await conversation.say("Who are you?") == "I am first"
    plane.put("general", endpoint.params("second", "key-2", temperature=0.25))
    await applied(model, 2)
    assert await conversation.say("And now?") == "I am second"
    (key_1, first), (key_2, second) = endpoint.asked
    assert (key_1, first["model"], key_2, second["model"]) == ("key-1", "first", "key-2", "second")
    assert ("temperature" in first, second["temperature"]) == (False, 0.25)
    assert "Be brief." in str(first["messages"][0]["content"])
    # The second turn knows the first: the conversation is the agent's and no matter of the model.
    assert [message["role"] for message in second["messages"]][1:] == ["user", "assistant", "user"]


async def test_streaming_and_an_update_under_it(model: LiteLlm, plane: FakeControlPlane, endpoint: Endpoint) -> None:
    conversation = Conversation(LlmAgent(name="a", model=ModelwireLlm(model)))
    endpoint.hold.clear()
    partial, final = [], []
    async for event in conversation.events("Who are you?", stream=True):
        if not partial:
            plane.put("general", endpoint.params("second"))
            await applied(model, 2)
            endpoint.hold.set()
        (partial if event.partial else final).append(said(event))
    assert len(partial) >= 2
    assert ("".join(partial), final) == ("I am first", ["I am first"])
    assert [body["model"] for _, body in endpoint.asked] == ["first"]
    assert await conversation.say("And now?") == "I am second"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_function_is_called(model: LiteLlm, endpoint: Endpoint, *, stream: bool) -> None:
    asked_for: list[str] = []

    def weather(city: str) -> dict[str, str]:
        """Tell the weather in a city."""
        asked_for.append(city)
        return {"weather": "sunny"}

    conversation = Conversation(LlmAgent(name="a", model=ModelwireLlm(model), tools=[weather]))
    events = [event async for event in conversation.events("Is it sunny in Bern?", stream=stream)]
    assert asked_for == ["Bern"]
    assert [call.name for event in events if not event.partial for call in event.get_function_calls()] == ["weather"]
    assert said(events[-1]).startswith("I am first and heard")
    assert "sunny" in said(events[-1])
    _, body = endpoint.asked[0]
    (tool,) = body["tools"]
    assert tool["function"]["parameters"]["properties"]["city"]["type"] == "string"


async def test_what_the_agent_asks_for_wins_over_the_configuration(
    model: LiteLlm, plane: FakeControlPlane, endpoint: Endpoint
) -> None:
    plane.put("general", endpoint.params("m", temperature=0.25, seed=7))
    await applied(model, 2)
    config = types.GenerateContentConfig(temperature=0.75)
    await Conversation(LlmAgent(name="a", model=ModelwireLlm(model), generate_content_config=config)).say("Hello")
    ((_, body),) = endpoint.asked
    assert (body["temperature"], body["seed"]) == (0.75, 7)


async def test_the_configurations_cache_strategy_holds(
    model: LiteLlm, plane: FakeControlPlane, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.put("general", endpoint.params("m", cache_strategy="1h"))
    await applied(model, 2)
    sent: list[dict[str, Any]] = []
    real = litellm.acompletion

    async def watched(**kwargs: Any) -> Any:
        sent.append(kwargs)
        return await real(**kwargs)

    monkeypatch.setattr(litellm, "acompletion", watched)
    assert await Conversation(LlmAgent(name="a", model=ModelwireLlm(model), instruction="Be brief.")).say("Hello")
    assert "cache_strategy" not in sent[0]
    assert sent[0]["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


async def test_an_agent_is_made_before_there_is_a_configuration(endpoint: Endpoint) -> None:
    model = LiteLlm("general")
    conversation = Conversation(LlmAgent(name="a", model=ModelwireLlm(model)))
    with pytest.raises(ModelNotReady, match="'general'"):
        await conversation.say("Who are you?")
    assert not ModelwireLlm(model).capabilities.output_schema_and_tools
    model.configure_model(endpoint.params("late"))
    assert await conversation.say("Who are you?") == "I am late"
    model.configure_model({"model": "openai/gpt-4o", "api_key": "k"})
    assert ModelwireLlm(model).capabilities.output_schema_and_tools


async def test_an_override_is_followed(plane: FakeControlPlane, endpoint: Endpoint) -> None:
    plane.put("planning", endpoint.params("planner"))
    async with DynamicModelProvider(plane.url, token="any", component="adk") as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=120)
        conversation = Conversation(LlmAgent(name="a", model=ModelwireLlm(model)))
        with provider.override("planning"):
            assert await conversation.say("Who are you?") == "I am planner"
        assert await conversation.say("Who are you?") == "I am first"


async def test_an_error_of_the_endpoint_is_the_callers(endpoint: Endpoint) -> None:
    model = LiteLlm("general")
    model.configure_model(endpoint.params("broken"))
    with pytest.raises(Exception, match="no such model"):
        await Conversation(LlmAgent(name="a", model=ModelwireLlm(model))).say("Hello")


async def test_the_callers_request_keeps_its_model(model: LiteLlm) -> None:
    request = LlmRequest(model="general", contents=[types.UserContent("Who are you?")])
    responses = [response async for response in ModelwireLlm(model).generate_content_async(request)]
    assert request.model == "general"
    assert [response.content.parts[0].text for response in responses if response.content] == ["I am first"]
    assert not responses[0].partial


async def test_nothing_of_it_shows_a_credential() -> None:
    model = LiteLlm("general")
    model.configure_model({"model": "openai/m", "api_key": "canary"})
    shown = ModelwireLlm(model)
    assert "canary" not in f"{shown!r} {shown} {shown.model_dump()} {shown.model_dump_json()}"
    assert shown.model == "general"
