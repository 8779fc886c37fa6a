"""What the `openai` package is given, of which settings."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from modelwire.subscriber import LiteLlm, ModelNotReady, SubscriberError


def model(**params: Any) -> LiteLlm:
    made = LiteLlm("general")
    made.configure_model({"api_key": "canary", **params})
    return made


def test_the_settings_are_split_between_client_and_call() -> None:
    params = model(
        model="openai/m", api_base="http://127.0.0.1:9/v1", organization="o", temperature=0.5, drop_params=True
    ).openai_client_params()
    assert params.client == {
        "api_key": "canary",
        "base_url": "http://127.0.0.1:9/v1",
        "organization": "o",
        "max_retries": 3,
        "timeout": 120,
    }
    assert params.call == {"model": "m", "temperature": 0.5}
    assert "canary" not in repr(params)
    client = openai.OpenAI(**params.client)
    assert str(client.base_url) == "http://127.0.0.1:9/v1/"
    client.close()


def test_a_provider_that_speaks_the_same_api_has_its_own_address() -> None:
    params = model(model="groq/llama-3").openai_client_params()
    assert (params.client["base_url"], params.client["api_key"], params.call) == (
        "https://api.groq.com/openai/v1",
        "canary",
        {"model": "llama-3"},
    )
    assert "base_url" not in model(model="gpt-4o").openai_client_params().client


@pytest.mark.parametrize("name", ["anthropic/claude-sonnet-4", "gemini/gemini-2.5-flash", "azure/gpt", "nonsense"])
def test_a_provider_that_does_not_is_refused(name: str) -> None:
    with pytest.raises(SubscriberError, match=name.split("/", maxsplit=1)[0]) as refused:
        model(model=name).openai_client_params()
    assert "canary" not in str(refused.value)


def test_a_host_without_a_key_is_not_sent_that_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai")
    keyless = LiteLlm("general")
    keyless.configure_model({"model": "openai/m", "api_base": "http://127.0.0.1:9/v1"})
    assert keyless.openai_client_params().client["api_key"] == "none"


def test_there_is_nothing_to_give_before_there_are_settings() -> None:
    with pytest.raises(ModelNotReady):
        LiteLlm("general").openai_client_params()
