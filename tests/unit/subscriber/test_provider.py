import inspect
from collections.abc import Callable
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
