import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from modelwire.subscriber import ConfigurationError, DynamicModelProvider, LinkState, ModelStatus, ProviderClosed

GIVEN: dict[str, Any] = {"url": "http://127.0.0.1:1", "token": "canary-secret", "component": "orders-agent"}
VARIABLES = {"url": "MODELWIRE_URL", "token": "MODELWIRE_TOKEN", "component": "MODELWIRE_COMPONENT"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    if value is not None:
        monkeypatch.setenv(VARIABLES[name], value)
    with pytest.raises(ConfigurationError, match=VARIABLES[name]):
        DynamicModelProvider(**{**GIVEN, name: None})


@pytest.mark.parametrize("name", VARIABLES)
def test_what_is_malformed_is_named_and_not_shown(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        DynamicModelProvider(**{**GIVEN, name: "http://a\ncanary-secret"})
    assert "canary-secret" not in str(caught.value)


async def test_variables_stand_in_for_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, variable in VARIABLES.items():
        monkeypatch.setenv(variable, f"{GIVEN[name]}\n")
    link = DynamicModelProvider()._links
    assert await link._token.get() == "canary-secret"
    assert link._component["name"] == "orders-agent"


def test_a_configuration_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="MODELWIRE_URL"):
        DynamicModelProvider(token="t", component="c")


def test_the_link_tells_who_we_are() -> None:
    provider = DynamicModelProvider(**GIVEN, kind="agent", labels={"region": "eu"})
    other = DynamicModelProvider(**GIVEN)
    component = provider._links._component
    assert set(component) == {"instanceId", "name", "kind", "libraryVersion", "labels"}
    assert (component["kind"], component["labels"]) == ("agent", {"region": "eu"})
    assert component["instanceId"] != other._links._component["instanceId"]


def test_a_model_is_there_at_once_and_shared() -> None:
    provider = DynamicModelProvider(**GIVEN)
    model = provider.get_lite_llm_model("general")
    assert model.status is ModelStatus.INITIALIZING
    assert provider.get_lite_llm_model("general") is model
    assert provider.get_lite_llm_model("planning") is not model
    assert provider.link.state is LinkState.CONNECTING


@pytest.mark.parametrize("alias", ["", "a" * 101, None, 3])
def test_an_alias_that_cannot_be(alias: Any) -> None:
    with pytest.raises(ConfigurationError, match="1 to 100"):
        DynamicModelProvider(**GIVEN).get_lite_llm_model(alias)


async def test_after_close_everything_says_so() -> None:
    provider = DynamicModelProvider(**GIVEN)
    model = provider.get_lite_llm_model("general")
    model.configure_model({"model": "openai/x", "api_key": "k"})
    await provider.close()
    await provider.close()
    assert provider.link.state is LinkState.CLOSED
    assert (model.status, model.settings) == (ModelStatus.NONE, None)
    for use in (
        lambda: provider.get_lite_llm_model("general"),
        lambda: provider.override("general").__enter__(),
        lambda: model.configure_model({"model": "openai/x"}),
        model.litellm_params,
        lambda: model.completion([]),
        lambda: model.acompletion([]),
        model.wait_ready,
        provider.__aenter__,
    ):
        with pytest.raises(ProviderClosed):
            await _call(use)


async def _call(use: Callable[[], Any]) -> None:
    result = use()
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("names", ["ORDERS_KEY", None, 3])
def test_names_that_are_no_collection(names: Any) -> None:
    """One text is one of characters, none of which is the name that was meant."""
    with pytest.raises(ConfigurationError, match="allowed_env is a collection of names"):
        DynamicModelProvider(**GIVEN, allowed_env=names)


async def test_an_override_ends_with_a_generator_that_is_left_half_read() -> None:
    """Python ends it in another context than the one in which it was read."""
    provider = DynamicModelProvider(**GIVEN)
    model = provider.get_lite_llm_model("general")

    async def words() -> AsyncIterator[int]:
        with provider.override("planning"), provider.override("other"):
            for number in range(3):
                yield number

    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    with provider.override("outer"):
        reading = words()
        assert await anext(reading) == 0
        assert model.target.alias == "other"
        await asyncio.create_task(reading.aclose())
        assert model.target.alias == "outer"
    assert model.target is model
    assert not failures


async def test_a_close_that_is_cancelled_closes() -> None:
    provider = DynamicModelProvider(**GIVEN)
    await provider.__aenter__()
    closing = asyncio.create_task(provider.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert provider.link.state is LinkState.CLOSED
    with pytest.raises(ProviderClosed, match="its provider was closed"):
        provider.get_lite_llm_model("general")


async def test_a_provider_is_closed_from_another_event_loop() -> None:
    provider = DynamicModelProvider(**GIVEN)
    await provider.__aenter__()
    async with asyncio.timeout(60):
        await asyncio.to_thread(lambda: asyncio.run(provider.close()))
    assert provider._task is not None
    assert provider._task.done()
    assert provider.link.state is LinkState.CLOSED


def test_a_provider_ends_with_its_event_loop() -> None:
    """It told for ever that its link was as it had been last."""
    provider = DynamicModelProvider(**GIVEN)
    model = provider.get_lite_llm_model("general")

    async def leave_open() -> None:
        await provider.__aenter__()
        model.configure_model({"model": "openai/x", "api_key": "k"})
        await asyncio.sleep(0)

    asyncio.run(leave_open())
    assert provider.link.state is LinkState.CLOSED
    with pytest.raises(ProviderClosed, match="event loop in which its link ran has ended"):
        model.litellm_params()
    asyncio.run(provider.close())
