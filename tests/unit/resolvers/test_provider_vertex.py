"""Where Vertex AI is asked for its models, and with what of a key file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.resolvers import provider_vertex
from modelwire.resolvers.outbound import Outbound
from modelwire.store import Auth, AuthType, ModelConfigDraft, Secrets

TOKEN_URI = "https://oauth2.googleapis.com/token"
KEY_FILE = {"type": "service_account", "client_email": "a@b.example", "private_key": "canary", "token_uri": TOKEN_URI}


async def asked(
    monkeypatch: pytest.MonkeyPatch, api_base: str | None, location: str | None, **more: str
) -> tuple[dict[str, Any], Any]:
    """What the process of the call would be given, and where it might go."""
    calls = []

    async def list_by_library(_outbound: Outbound, _call: str, arguments: Any, *, only: Any, cloud: str) -> list[str]:
        assert cloud == "Google"
        calls.append((arguments, only))
        return ["gemini-a"]

    monkeypatch.setattr(provider_vertex, "list_by_library", list_by_library)
    fields = {} if location is None else {"location": location}
    draft = ModelConfigDraft(
        alias="a",
        provider="vertex_ai",
        api_base=api_base,
        auth=Auth(type=AuthType.GCP_SERVICE_ACCOUNT, fields=fields),
        secrets=Secrets(auth={"credentials_json": json.dumps({**KEY_FILE, **more})}),
    )
    assert await provider_vertex.list_vertex(Outbound(), draft) == ["gemini-a"]
    (call,) = calls
    return call


@pytest.mark.parametrize(
    ("api_base", "location", "host", "path"),
    [
        (None, None, "us-central1-aiplatform.googleapis.com", ""),
        (None, "europe-west4", "europe-west4-aiplatform.googleapis.com", ""),
        (None, "eu", "aiplatform.eu.rep.googleapis.com", ""),
        (None, "global", "aiplatform.googleapis.com", ""),
        ("https://vertex.example", "eu", "vertex.example", ""),
        ("https://vertex.example/x/v1", "eu", "vertex.example", "/x"),
        ("https://vertex.example/v1beta1/", None, "vertex.example", ""),
    ],
)
async def test_where(
    monkeypatch: pytest.MonkeyPatch, api_base: str | None, location: str | None, host: str, path: str
) -> None:
    arguments, only = await asked(monkeypatch, api_base, location)
    assert arguments["address"] == f"https://{host}{path}/v1beta1"
    assert only == {(host, 443), ("oauth2.googleapis.com", 443)}


async def test_what_would_lead_elsewhere_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"universe_domain": "evil.example", "trust_boundary": "x"}
    arguments, _ = await asked(monkeypatch, None, None, **elsewhere)
    assert arguments["key_file"] == {name: KEY_FILE[name] for name in ("client_email", "private_key", "token_uri")}
