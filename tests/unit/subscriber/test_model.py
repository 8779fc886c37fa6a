import asyncio
import logging
from typing import Any

import pytest

from modelwire.subscriber import ConfigRefused, LiteLlm, ModelNotReady, ModelSettings, ModelStatus

CONFIG: dict[str, Any] = {"model": "openai/x", "api_key": "canary-secret", "temperature": 0.5}


@pytest.fixture
def model() -> LiteLlm:
    return LiteLlm("general")


def test_by_hand(model: LiteLlm) -> None:
    assert model.status is ModelStatus.NONE
    model.configure_model(CONFIG)
    assert model.status is ModelStatus.READY
    assert (model.version, model.revision) == (None, None)
    model.unconfigure_model()
    assert model.status is ModelStatus.NONE
    assert model.settings is None


def test_litellm_params_have_defaults_that_the_config_overrides(model: LiteLlm) -> None:
    model.configure_model({**CONFIG, "cache_strategy": "5m", "max_input_tokens": 5})
    assert model.litellm_params() == {**CONFIG, "num_retries": 3, "timeout": 120}
    model.configure_model({**CONFIG, "timeout": 5, "num_retries": 0})
    assert model.litellm_params() == {**CONFIG, "num_retries": 0, "timeout": 5}


def test_the_repr_hides_credentials(model: LiteLlm) -> None:
    model.configure_model(CONFIG)
    assert "canary-secret" not in repr(model)
    assert "general" in repr(model)


@pytest.mark.parametrize("status", [ModelStatus.NONE, ModelStatus.INITIALIZING])
async def test_calls_while_not_ready_say_what_to_do(status: ModelStatus) -> None:
    model = LiteLlm("general", _status=status)
    calls = [
        lambda: model.completion([]),
        lambda: model.embedding([]),
        lambda: model.responses(""),
        model.litellm_params,
        lambda: model.max_input_tokens,
    ]
    for call in calls:
        with pytest.raises(ModelNotReady) as caught:
            call()
        assert (caught.value.status, caught.value.alias) == (status, "general")
    for start in (model.acompletion, model.aembedding, model.aresponses):
        with pytest.raises(ModelNotReady):
            await start([])
    assert "'general'" in str(caught.value)
    assert ("wait_ready" in str(caught.value)) is (status is ModelStatus.INITIALIZING)


def test_not_ready_says_what_was_refused() -> None:
    model = LiteLlm("general", _status=ModelStatus.INITIALIZING)
    with pytest.raises(ConfigRefused):
        model.configure_model({"model": "openai/x", "api_key": "os.environ/NOBODY_ALLOWED_THIS"})
    with pytest.raises(ModelNotReady, match="missing_secret"):
        model.litellm_params()


@pytest.mark.parametrize("name", ["model", "api_base", "base_url", "api_key", "custom_llm_provider"])
async def test_what_the_configuration_decides_cannot_be_given_in_a_call(model: LiteLlm, name: str) -> None:
    model.configure_model(CONFIG)
    with pytest.raises(TypeError, match=f"'{name}'"):
        model.completion([], **{name: "x"})
    with pytest.raises(TypeError, match=f"'{name}'"):
        await model.acompletion([], **{name: "x"})


def test_callbacks_are_told_once_per_change_in_order(model: LiteLlm) -> None:
    seen: list[Any] = []
    model.on_settings_change(lambda old, new: seen.append((old and old.version, new and new.version)))
    model.on_status_change(lambda old, new: seen.append((old.value, new.value)))
    for version in (1, 2, 2):
        model.configure_model(ModelSettings(alias="general", id="a", version=version, litellm_params=CONFIG))
    model.unconfigure_model()
    model.unconfigure_model()
    assert seen == [(None, 1), ("none", "ready"), (1, 2), (2, None), ("ready", "none")]


def test_callbacks_see_the_model_changed(model: LiteLlm) -> None:
    seen: list[Any] = []
    model.on_settings_change(lambda old, new: seen.append((model.status, model.settings is new)))
    model.configure_model(CONFIG)
    assert seen == [(ModelStatus.READY, True)]


def test_a_callback_that_fails_harms_nobody(model: LiteLlm, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def fail(old: object, new: object) -> None:
        raise ValueError("the component's own mistake")

    for register in (model.on_status_change, model.on_settings_change):
        register(fail)
        register(lambda old, new: seen.append("told"))
    with caplog.at_level(logging.ERROR, "modelwire.subscriber"):
        model.configure_model(CONFIG)
    assert seen == ["told", "told"]
    assert model.status is ModelStatus.READY
    assert len(caplog.records) == 2


def test_a_coroutine_function_is_no_callback(model: LiteLlm) -> None:
    async def callback(old: object, new: object) -> None: ...

    with pytest.raises(TypeError):
        model.on_status_change(callback)
    with pytest.raises(TypeError):
        model.on_settings_change(callback)
    with pytest.raises(TypeError):
        model.on_status_change(None)  # type: ignore[arg-type]


async def test_wait_ready(model: LiteLlm) -> None:
    waiting = [asyncio.create_task(model.wait_ready(timeout_seconds=120)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    model.configure_model(CONFIG)
    await asyncio.gather(*waiting)
    await model.wait_ready(timeout_seconds=0)


async def test_wait_ready_goes_on_waiting_when_ready_was_but_a_moment(model: LiteLlm) -> None:
    waiting = asyncio.create_task(model.wait_ready())
    await asyncio.sleep(0)
    model.configure_model(CONFIG)
    model.unconfigure_model()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    model.configure_model(CONFIG)
    await waiting


async def test_wait_ready_times_out() -> None:
    with pytest.raises(ModelNotReady) as caught:
        await LiteLlm("general", _status=ModelStatus.INITIALIZING).wait_ready(timeout_seconds=0)
    assert caught.value.status is ModelStatus.INITIALIZING


@pytest.mark.parametrize(
    ("name", "configured", "expected"),
    [
        ("openai/gpt-4o", 9, 9),
        ("openai/gpt-4o", None, 128_000),
        ("gpt-4o", None, 128_000),
        ("azure/gpt-4o", None, 128_000),
        ("anthropic/gpt-4o", None, None),
        ("openai/nobody-knows-this", None, None),
    ],
)
def test_max_input_tokens(model: LiteLlm, name: str, configured: int | None, expected: int | None) -> None:
    model.configure_model(ModelSettings(alias="general", litellm_params={"model": name}, max_input_tokens=configured))
    assert model.max_input_tokens == expected
