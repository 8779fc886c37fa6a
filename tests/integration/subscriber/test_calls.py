"""Real LiteLLM against a real endpoint, while configurations change."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest

from modelwire.subscriber import (
    DynamicModelProvider,
    LiteLlm,
    ModelNotReady,
    ModelStatus,
    SubscriberError,
)

from .conftest import FAST, Endpoint, Plane, Signal

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HELLO = [{"role": "user", "content": "Which model are you?"}]


@pytest.fixture
def model(endpoint: Endpoint) -> LiteLlm:
    model = LiteLlm("general")
    model.configure_model({"model": "openai/m", "api_key": "k", "api_base": endpoint.base, "temperature": 0.5})
    return model


async def test_every_kind_of_call_uses_the_settings(model: LiteLlm, endpoint: Endpoint) -> None:
    assert model.completion(HELLO).choices[0].message.content == "I am m"
    assert (await model.acompletion(messages=HELLO)).choices[0].message.content == "I am m"
    assert (await model.aembedding(["text"])).data[0]["embedding"] == [0.5]
    assert model.embedding(["text"]).data[0]["embedding"] == [0.5]
    assert (await model.aresponses("text")).output[0].content[0].text == "I am m"
    assert model.responses("text").output[0].content[0].text == "I am m"
    chunks = [chunk async for chunk in await model.acompletion(HELLO, stream=True)]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I am m"
    assert [chunk.choices[0].delta.content for chunk in model.completion(HELLO, stream=True)][:3] == ["I ", "am ", "m"]
    assert len(endpoint.asked) == 8
    assert {(asked.key, asked.body["model"]) for asked in endpoint.asked} == {("k", "m")}


async def test_what_is_sent_on_and_what_is_not(endpoint: Endpoint) -> None:
    model = LiteLlm("general")
    settings = {"model": "openai/m", "api_key": "k", "api_base": endpoint.base, "temperature": 0.5, "seed": 1}
    model.configure_model({**settings, "cache_strategy": "5m", "max_input_tokens": 7})
    await model.acompletion(HELLO, temperature=0.9)
    (asked,) = endpoint.asked
    assert asked.body == {"model": "m", "messages": HELLO, "temperature": 0.9, "seed": 1}


TOOL = {"type": "function", "function": {"name": "who", "parameters": {"type": "object", "properties": {}}}}


async def test_tools(model: LiteLlm) -> None:
    asked = {"tools": [TOOL], "tool_choice": "required"}
    for reply in (model.completion(HELLO, **asked), await model.acompletion(HELLO, **asked)):
        (call,) = reply.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("who", '{"who": "me"}')


SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("strategy", "mark"),
    [(None, {"type": "ephemeral"}), ("1h", {"type": "ephemeral", "ttl": "1h"}), ("none", None)],
)
async def test_what_a_provider_is_asked_to_cache(endpoint: Endpoint, strategy: str | None, mark: Any) -> None:
    model = LiteLlm("general")
    base = endpoint.base.removesuffix("/v1")
    model.configure_model(
        {"model": "anthropic/claude-sonnet-4-5", "api_key": "k", "api_base": base, "cache_strategy": strategy}
    )
    await model.acompletion([SYSTEM, *HELLO], tools=[TOOL])
    model.completion([SYSTEM, *HELLO], tools=[TOOL])
    assert len(endpoint.asked) == 2
    for asked in endpoint.asked:
        assert asked.body["system"][0]["text"] == "Be brief."
        assert asked.body["system"][0].get("cache_control") == mark
        assert asked.body["tools"][0].get("cache_control") == mark
    # A call may ask for another.
    await model.acompletion([SYSTEM, *HELLO], cache_strategy="none")
    assert "cache_control" not in str(endpoint.asked[-1].body)
    with pytest.raises(ValueError, match="cache_strategy"):
        await model.acompletion(HELLO, cache_strategy="2h")


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet-4-5", "openai/claude-behind-a-gateway"])
async def test_thinking(endpoint: Endpoint, name: str) -> None:
    model = LiteLlm("general")
    base = endpoint.base if name.startswith("openai") else endpoint.base.removesuffix("/v1")
    model.configure_model(
        {"model": name, "api_key": "k", "api_base": base, "thinking": {"budget_tokens": 2048}, "temperature": 0.2}
    )
    await model.acompletion(HELLO, parallel_tool_calls=True)
    (asked,) = endpoint.asked
    assert asked.body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert asked.body["temperature"] == 1
    assert "parallel_tool_calls" not in asked.body


async def test_an_update_under_a_stream(model: LiteLlm, endpoint: Endpoint) -> None:
    endpoint.hold.clear()
    stream = await model.acompletion(HELLO, stream=True)
    texts = [(await anext(stream)).choices[0].delta.content]
    model.configure_model({"model": "openai/other", "api_key": "k2", "api_base": endpoint.base})
    assert (await model.acompletion(HELLO)).choices[0].message.content == "I am other"
    endpoint.hold.set()
    texts += [chunk.choices[0].delta.content async for chunk in stream]
    assert "".join(text or "" for text in texts) == "I am m"


def settings(endpoint: Endpoint, number: int) -> dict[str, Any]:
    return {"api_key": f"key-{number}", "api_base": endpoint.base, "seed": number}


async def test_each_concurrent_call_sees_one_configuration(
    plane: Plane, connect: Any, signal: Signal, endpoint: Endpoint
) -> None:
    await plane.put("general", version=1, name="m-1", **settings(endpoint, 1))
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    stop = threading.Event()
    answers: list[str] = []
    loop = asyncio.get_running_loop()

    def ask() -> None:
        while not stop.is_set():
            answers.append(line.model.completion(HELLO).choices[0].message.content)
            loop.call_soon_threadsafe(signal.poke)

    async def ask_async() -> None:
        while not stop.is_set():
            answers.append((await line.model.acompletion(HELLO)).choices[0].message.content)
            signal.poke()

    calls = [asyncio.create_task(asyncio.to_thread(ask)) for _ in range(3)]
    calls += [asyncio.create_task(ask_async()) for _ in range(3)]
    for version in range(2, 12):
        await plane.put("general", version=version, name=f"m-{version}", **settings(endpoint, version))
        await signal.until(lambda version=version: line.model.version == version)
        seen = len(answers)
        await signal.until(lambda seen=seen: len(answers) >= seen + 6)
    stop.set()
    await asyncio.gather(*calls)
    mixed = [
        asked
        for asked in endpoint.asked
        if (asked.body["model"], asked.key) != (f"m-{asked.body['seed']}", f"key-{asked.body['seed']}")
    ]
    assert not mixed
    assert len(endpoint.asked) == len(answers)
    assert {asked.body["model"] for asked in endpoint.asked} >= {f"m-{version}" for version in range(2, 12)}


async def test_override_is_for_this_task_only(plane: Plane, connect: Any, endpoint: Endpoint) -> None:
    await plane.put("general", version=1, name="m-general", **settings(endpoint, 1))
    await plane.put("planning", config_id="p", version=1, name="m-planning", **settings(endpoint, 2))
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)

    async def ask() -> str:
        return str((await line.model.acompletion(HELLO)).choices[0].message.content)

    with line.provider.override("planning"):
        inside = asyncio.create_task(ask())
        assert await ask() == "I am m-planning"
        assert (await asyncio.to_thread(line.model.completion, HELLO)).choices[0].message.content == "I am m-planning"
        with line.provider.override("general"):
            assert await ask() == "I am m-general"
        assert line.model.litellm_params()["model"] == "openai/m-planning"
    assert await inside == "I am m-planning"
    assert await ask() == "I am m-general"


async def test_overrides_beside_each_other_share_one_model(plane: Plane, connect: Any, endpoint: Endpoint) -> None:
    for alias in ("general", "planning"):
        await plane.put(alias, config_id=alias, version=1, name=f"m-{alias}", **settings(endpoint, 1))
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)

    async def ask(alias: str) -> str:
        with line.provider.override(alias) as model:
            assert model is line.provider.get_lite_llm_model(alias)
            return str((await line.model.acompletion(HELLO)).choices[0].message.content)

    aliases = ["planning", "general"] * 5
    assert await asyncio.gather(*map(ask, aliases)) == [f"I am m-{alias}" for alias in aliases]
    assert sorted(plane.sockets[0].open.values()) == ["general", "planning"]


async def test_override_with_an_alias_that_does_not_exist(
    plane: Plane, connect: Any, signal: Signal, endpoint: Endpoint
) -> None:
    await plane.put("general", version=1, **settings(endpoint, 1))
    line = await connect()
    await line.model.wait_ready(timeout_seconds=120)
    absent = line.get("absent")
    with line.provider.override("absent"), pytest.raises(ModelNotReady) as caught:
        line.model.completion(HELLO)
    assert (caught.value.alias, caught.value.status) == ("absent", ModelStatus.INITIALIZING)
    await signal.until(lambda: absent.status is ModelStatus.NONE)
    with line.provider.override("absent"), pytest.raises(ModelNotReady) as caught:
        await line.model.acompletion(HELLO)
    assert caught.value.status is ModelStatus.NONE


async def test_override_of_one_provider_leaves_another_alone(plane: Plane, connect: Any, endpoint: Endpoint) -> None:
    await plane.put("general", version=1, name="m-general", **settings(endpoint, 1))
    first, second = await connect(), await connect()
    await first.model.wait_ready(timeout_seconds=120)
    await second.model.wait_ready(timeout_seconds=120)
    first.provider.get_lite_llm_model("absent")
    with first.provider.override("absent"):
        assert (await second.model.acompletion(HELLO)).choices[0].message.content == "I am m-general"


async def test_a_call_under_way_survives_close(plane: Plane, endpoint: Endpoint) -> None:
    await plane.put("general", version=1, name="m", **settings(endpoint, 1))
    endpoint.hold.clear()
    async with DynamicModelProvider(plane.url, token="token", component="test", _timing=FAST) as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=120)
        stream = await model.acompletion(HELLO, stream=True)
        await anext(stream)
    endpoint.hold.set()
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "am m"


async def test_responses_without_the_package_that_they_need(
    model: LiteLlm, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    for name in [
        name for name in sys.modules if name.startswith(("mcp.", "litellm.proxy._exp", "litellm.responses.mcp"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SubscriberError, match="litellm\\[mcp\\]"):
        await model.aresponses("text")
    with pytest.raises(SubscriberError, match="litellm\\[mcp\\]"):
        model.responses("text")
    assert not endpoint.asked


async def test_the_providers_error_reaches_the_caller(endpoint: Endpoint) -> None:
    import litellm

    model = LiteLlm("general")
    model.configure_model({"model": "openai/m", "api_key": "k", "api_base": f"{endpoint.base}/absent"})
    with pytest.raises(litellm.NotFoundError):
        await model.acompletion(HELLO, num_retries=0)
    with pytest.raises(litellm.NotFoundError):
        model.completion(HELLO)
    model.unconfigure_model()
    with pytest.raises(ModelNotReady):
        await model.acompletion(HELLO)
