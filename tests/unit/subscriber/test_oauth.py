"""Which configurations can sign in with OAuth2 client credentials; the rest needs a token endpoint."""

import gc
import os
import threading
from pathlib import Path
from typing import Any

import certifi
import pytest

from modelwire.subscriber import ConfigRefused, LiteLlm, oauth

PARAMS: dict[str, Any] = {
    "model": "openai/m",
    "oauth_token_url": "http://127.0.0.1:1/token",
    "oauth_client_id": "id",
    "oauth_client_secret": "canary-secret",
}


@pytest.mark.parametrize(
    ("more", "reason", "text"),
    [
        ({"oauth_token_url": None}, "missing_secret", "oauth_token_url"),
        ({"oauth_client_id": ""}, "missing_secret", "oauth_client_id"),
        ({"oauth_client_secret": None}, "missing_secret", "oauth_client_secret"),
        ({"oauth_client_secret": 3}, "invalid_config", "oauth_client_secret"),
        ({"oauth_client_secret": "os.environ/NOBODY_ALLOWED_THIS"}, "missing_secret", "oauth_client_secret"),
        ({"oauth_token_url": "ftp://example.com"}, "invalid_config", "oauth_token_url"),
        ({"oauth_token_url": "example.com/token"}, "invalid_config", "oauth_token_url"),
        ({"oauth_token_url": "https://[::1"}, "invalid_config", "oauth_token_url"),
        ({"oauth_token_url": "https://example.com:none/token"}, "invalid_config", "oauth_token_url"),
        ({"oauth_scope": ["a"]}, "invalid_config", "oauth_scope"),
        ({"oauth_max_retries": "many"}, "invalid_config", "oauth_max_retries"),
        ({"oauth_max_retries": -1}, "invalid_config", "oauth_max_retries"),
        ({"oauth_max_retries": 10**400}, "invalid_config", "oauth_max_retries"),
        ({"oauth_max_retries": float("inf")}, "invalid_config", "oauth_max_retries"),
        ({"oauth_token_refresh_buffer_seconds": True}, "invalid_config", "oauth_token_refresh_buffer_seconds"),
        ({"oauth_ca_cert": "/nonexistent"}, "invalid_config", "oauth_ca_cert"),
        ({"oauth_ca_cert": "-----BEGIN CERTIFICATE-----\nno"}, "invalid_config", "oauth_ca_cert"),
        ({"oauth_ca_cert": __file__}, "invalid_config", "oauth_ca_cert"),
    ],
)
def test_a_configuration_that_cannot_sign_in_is_refused(more: dict[str, Any], reason: str, text: str) -> None:
    model = LiteLlm("general")
    model.configure_model(PARAMS)
    in_use = model.settings
    with pytest.raises(ConfigRefused) as caught:
        model.configure_model({**PARAMS, **more})
    assert caught.value.reason == reason
    assert text in str(caught.value)
    assert model.settings is in_use
    assert "canary-secret" not in str(caught.value)


def test_certificates_may_have_names_in_any_script_between_them(tmp_path: Path) -> None:
    """As the bundle of certifi has, which is Mozilla's."""
    begin = "-----BEGIN"
    bundle = f"# NetLock F\N{LATIN SMALL LETTER O WITH DOUBLE ACUTE}\n{begin}{certifi.contents().split(begin)[1]}"
    path = tmp_path / "bundle.pem"
    path.write_text(bundle, encoding="utf-8")
    for given in (bundle, str(path), certifi.where()):
        LiteLlm("general").configure_model({**PARAMS, "oauth_ca_cert": given})


def test_a_file_of_certificates_that_does_not_end_is_none(tmp_path: Path) -> None:
    """Who writes configs names it: read to its end, it would take all memory of each component, or its time."""
    huge, pipe = tmp_path / "huge", tmp_path / "pipe"
    with huge.open("wb") as file:
        file.truncate(2**40)
    os.mkfifo(pipe)
    refused: list[str] = []

    def configure() -> None:
        for path in (huge, pipe):
            try:
                LiteLlm("general").configure_model({**PARAMS, "oauth_ca_cert": str(path)})
            except ConfigRefused as error:
                refused.append(error.reason)

    thread = threading.Thread(target=configure, daemon=True)
    thread.start()
    thread.join(60)
    assert refused == ["invalid_config"] * 2


def test_what_does_not_sign_in() -> None:
    assert oauth.sign_in({"model": "openai/m", "api_key": "k"}) is None


def test_nothing_is_kept_of_a_client_that_no_model_uses() -> None:
    model = LiteLlm("general")
    model.configure_model({**PARAMS, "oauth_client_id": "forgotten"})
    model.unconfigure_model()
    gc.collect()
    assert not [client for client in oauth._shared if client.client_id == "forgotten"]


def test_neither_secret_nor_token_is_shown() -> None:
    client = oauth.Client("http://127.0.0.1:1/token", "id", "canary-secret")
    assert "canary-secret" not in repr(client) + repr(oauth.sign_in(PARAMS))
    assert "canary-secret" not in repr(oauth._Issued("canary-secret", 0, 1))
