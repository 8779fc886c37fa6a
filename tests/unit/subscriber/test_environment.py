import pytest

from modelwire.subscriber import DEFAULT_ALLOWED_ENV, ConfigRefused, ConfigurationError
from modelwire.subscriber.environment import AllowedEnv


@pytest.mark.parametrize(
    ("names", "name", "allowed"),
    [
        (DEFAULT_ALLOWED_ENV, "OPENAI_API_KEY", True),
        (DEFAULT_ALLOWED_ENV, "SOMEBODYS_API_KEY", True),
        (DEFAULT_ALLOWED_ENV, "AWS_SECRET_ACCESS_KEY", True),
        (DEFAULT_ALLOWED_ENV, "PATH", False),
        (DEFAULT_ALLOWED_ENV, "DATABASE_URL", False),
        (DEFAULT_ALLOWED_ENV, "OPENAI_API_KEY_FILE", False),
        (DEFAULT_ALLOWED_ENV, "openai_api_key", False),
        (DEFAULT_ALLOWED_ENV, "MODELWIRE_API_KEY", False),
        (("ACME_TOKEN",), "ACME_TOKEN", True),
        (("ACME_TOKEN",), "OPENAI_API_KEY", False),
        (("ACME_*",), "ACME_TOKEN", True),
        (("*",), "PATH", True),
        (("*", "MODELWIRE_TOKEN"), "MODELWIRE_TOKEN", False),
        ((), "OPENAI_API_KEY", False),
    ],
)
def test_allows(names: tuple[str, ...], name: str, allowed: bool) -> None:
    assert AllowedEnv(names).allows(name) is allowed


def test_one_text_is_not_a_collection_of_names() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        AllowedEnv("OPENAI_API_KEY")


def test_references_are_followed_however_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_API_BASE", "os.environ/PATH")
    value = {
        "api_key": "os.environ/ACME_API_KEY",
        "extra_headers": {"X-Keys": ["os.environ/ACME_API_KEY", "plain", 1, None, True]},
        "text": "see os.environ/ACME_API_KEY",
        "base": "os.environ/OPENAI_API_BASE",
        "certificate": b"no sequence",
    }
    assert AllowedEnv().resolve(value, "params") == {
        "api_key": "secret",
        "extra_headers": {"X-Keys": ["secret", "plain", 1, None, True]},
        "text": "see os.environ/ACME_API_KEY",
        "base": "os.environ/PATH",
        "certificate": b"no sequence",
    }


@pytest.mark.parametrize(
    "value",
    [
        "os.environ/MODELWIRE_TOKEN",
        "os.environ/HOME",
        "os.environ/ABSENT_API_KEY",
        "os.environ/EMPTY_API_KEY",
        "os.environ/",
        "os.environ/os.environ/OPENAI_API_KEY",
        "oidc/env/MODELWIRE_TOKEN",
        "oidc/env_path/HOME",
        "oidc/envoidc//HOME",
    ],
)
def test_what_is_not_allowed_or_not_set_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MODELWIRE_TOKEN", "canary-secret")
    monkeypatch.setenv("HOME", "canary-secret")
    monkeypatch.setenv("EMPTY_API_KEY", "")
    monkeypatch.delenv("ABSENT_API_KEY", raising=False)
    with pytest.raises(ConfigRefused) as caught:
        AllowedEnv().resolve({"headers": [value]}, "params")
    assert caught.value.reason == "missing_secret"
    assert "params.headers[0]" in str(caught.value)
    assert "canary-secret" not in str(caught.value)


def test_oidc_values_without_a_variable_or_with_an_allowed_one_are_left_to_litellm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value in ("oidc/google/https://example.com", "oidc/env/ACME_API_KEY"):
        assert AllowedEnv().resolve(value, "params") == value
