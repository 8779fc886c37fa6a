import json
from types import MappingProxyType
from typing import Any

import pytest

from modelwire.subscriber import ConfigRefused, ModelSettings
from modelwire.subscriber.environment import AllowedEnv

PARAMS: dict[str, Any] = {
    "model": "openai/x",
    "api_key": "canary-secret",
    "extra_headers": {"Authorization": "canary-secret", "List": ["canary-secret"]},
}


def settings(**params: Any) -> ModelSettings:
    return ModelSettings(alias="general", id="a", version=3, revision="s-7", litellm_params={**PARAMS, **params})


def test_nothing_in_them_can_be_changed() -> None:
    params = json.loads(json.dumps(PARAMS))
    made = ModelSettings(alias="general", litellm_params=params)
    params["model"] = "other"
    params["extra_headers"]["List"].append("more")
    assert made.model == "openai/x"
    assert made.litellm_params["extra_headers"]["List"] == ("canary-secret",)
    assert isinstance(made.litellm_params["extra_headers"], MappingProxyType)
    with pytest.raises(AttributeError):
        made.version = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.litellm_params["model"] = "other"  # type: ignore[index]


def test_repr_shows_names_and_no_values() -> None:
    for text in (repr(settings()), str(settings()), f"{settings()}", repr([settings()])):
        assert "canary-secret" not in text
        assert "openai/x" in text
        assert "api_key" in text


def test_call_params_are_a_plain_copy_without_what_steers_modelwire() -> None:
    made = settings(cache_strategy="5m", max_input_tokens=9)
    params = made.call_params()
    assert params == PARAMS
    assert json.loads(json.dumps(params)) == PARAMS
    params["extra_headers"]["List"].append("more")
    assert made.call_params() == PARAMS


def test_resolve_follows_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "found")
    made = settings(api_key="os.environ/ACME_API_KEY").resolve(AllowedEnv())
    assert made.call_params()["api_key"] == "found"
    assert (made.alias, made.id, made.version, made.revision) == ("general", "a", 3, "s-7")


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"model": None}, "invalid_config"),
        ({"model": ""}, "invalid_config"),
        ({"model": 3}, "invalid_config"),
        ({"cache_strategy": "2h"}, "invalid_config"),
        ({"cache_strategy": {}}, "invalid_config"),
        ({"api_key": "os.environ/NOBODY_ALLOWED_THIS"}, "missing_secret"),
    ],
)
def test_what_cannot_be_used_is_refused(params: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigRefused) as caught:
        settings(**params).resolve(AllowedEnv())
    assert caught.value.reason == reason
    assert "canary-secret" not in str(caught.value)


def test_same_as() -> None:
    assert settings().same_as(settings())
    assert not settings().same_as(None)
    assert not settings().same_as(settings(extra_headers={"List": ["other"]}))
    assert not settings().same_as(
        ModelSettings(alias="general", id="b", version=3, revision="s-7", litellm_params=PARAMS)
    )
