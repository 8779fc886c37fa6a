"""The settings of sessions and OIDC: what they may be, and that each means something."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from modelwire.server.oidc import OidcRules
from modelwire.server.settings import Settings
from modelwire.server.settings_loading import SettingsError, load_settings, settings_table

ISSUER = "https://login.example.com/realms/agents"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder and no variables of ours."""
    for setting in settings_table():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_an_issuer_there_are_no_rules() -> None:
    assert load_settings().oidc_rules is None


def test_every_rule_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "ISSUER": ISSUER,
        "AUDIENCE": "modelwire",
        "ALGORITHMS": "ES256, EdDSA",
        "LEEWAY_SECONDS": "5",
        "SCOPES_CLAIM": "realm_access.roles",
        "SCOPE_MAP": '{"admins": ["*"], "agents": ["model_config:read"]}',
        "ALIASES_CLAIM": "aliases",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"MODELWIRE_OIDC_{name}", value)
    assert load_settings().oidc_rules == OidcRules(
        issuer=ISSUER,
        audience="modelwire",
        algorithms=frozenset({"ES256", "EdDSA"}),
        leeway_seconds=5.0,
        scopes_claim="realm_access.roles",
        scope_map={"admins": frozenset({"*"}), "agents": frozenset({"model_config:read"})},
        aliases_claim="aliases",
    )


def test_the_map_is_a_table_of_the_file_too() -> None:
    lines = [
        f'oidc_issuer = "{ISSUER}"',
        'oidc_audience = "modelwire"',
        "[oidc_scope_map]",
        '"CN=agents,OU=x" = ["audit:read"]',
    ]
    Path("modelwire.toml").write_text("\n".join(lines))
    rules = load_settings().oidc_rules
    assert rules is not None
    assert rules.scope_map == {"CN=agents,OU=x": frozenset({"audit:read"})}


def test_the_guide_shows_settings_that_are_taken() -> None:
    page = Path(__file__).parents[3] / "docs" / "identity.md"
    (example,) = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    Path("modelwire.toml").write_text(example)
    rules = load_settings().oidc_rules
    assert rules is not None
    assert rules.scope_map["/platform"] == {"*"}


@pytest.mark.parametrize(
    "url", [ISSUER, "https://tenant.auth0.com/", "http://127.0.0.1:8080/x", "http://localhost", "http://[::1]:1"]
)
def test_issuers(url: str) -> None:
    rules = Settings(oidc_issuer=url, oidc_audience="a").oidc_rules
    assert rules is not None
    assert rules.issuer == url


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oidc_issuer": "http://login.example.com"}, "--oidc-issuer: write it as the issuer writes itself"),
        ({"oidc_issuer": "login.example.com"}, "--oidc-issuer: write it as the issuer writes itself"),
        ({"oidc_issuer": f"{ISSUER}?a=b"}, "--oidc-issuer: write it as the issuer writes itself"),
        ({"oidc_issuer": "https://user:pw@login.example.com"}, "--oidc-issuer: write it as the issuer writes itself"),
        ({"oidc_issuer": ISSUER}, "MODELWIRE_OIDC_AUDIENCE: set it too"),
        ({"oidc_algorithms": "HS256"}, "--oidc-algorithms: an algorithm is one of ES256, "),
        ({"oidc_algorithms": "RS256,none"}, "--oidc-algorithms: an algorithm is one of ES256, "),
        ({"oidc_algorithms": ""}, "--oidc-algorithms: "),
        ({"oidc_leeway_seconds": "301"}, "--oidc-leeway-seconds: "),
        ({"oidc_scopes_claim": ""}, "--oidc-scopes-claim: "),
        ({"oidc_scope_map": "{admins"}, "--oidc-scope-map: this is no JSON: write it as"),
        ({"oidc_scope_map": '["admins"]'}, "--oidc-scope-map: write it as"),
        ({"oidc_scope_map": '{"admins": "*"}'}, "--oidc-scope-map: write it as"),
        ({"oidc_scope_map": '{"admins": ["model_config:all"]}'}, "--oidc-scope-map: 'admins' has a scope that does"),
        ({"oidc_scope_map": '{"admins": [["*"]]}'}, "--oidc-scope-map: 'admins' has a scope that does"),
        ({"access_token_seconds": "0"}, "--access-token-seconds: "),
        ({"session_seconds": "0"}, "--session-seconds: "),
        ({"sign_in_attempts_per_minute": "0"}, "--sign-in-attempts-per-minute: "),
    ],
)
def test_values_that_cannot_be(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(given)


def test_the_rules_of_sessions_are_settings() -> None:
    given: dict[str, Any] = {"access_token_seconds": 2, "session_seconds": 60, "sign_in_attempts_per_minute": 5}
    rules = Settings(**given).session_rules
    assert (rules.access_token_seconds, rules.session_seconds) == (2.0, 60.0)
    assert rules.attempts._capacity == 5
    default = Settings().session_rules
    assert (default.access_token_seconds, default.session_seconds) == (900.0, 30 * 86_400.0)
