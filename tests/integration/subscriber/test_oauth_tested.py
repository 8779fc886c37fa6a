"""The server's connection test signs in as components do, through its guarded proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import live_server

from modelwire.resolvers import litellm_process

from .conftest import Endpoint
from .test_oauth import TokenEndpoint, tokens

__all__ = ["tokens"]

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TEST = """mutation ($input: TestModelConfigInput!) {
  testModelConfig(input: $input) { ... on TestModelConfigPayload { success error { class message } } }
}"""


async def test_a_connection_test_signs_in(tmp_path: Path, tokens: TokenEndpoint, endpoint: Endpoint) -> None:
    secrets = {"tokenUrl": tokens.url, "clientId": "id", "clientSecret": "canary-secret", "maxRetries": 0}
    given = {
        "provider": "openai",
        "model": "m",
        "apiBase": endpoint.base,
        "auth": {"oauth2ClientCredentials": secrets},
    }
    try:
        async with (
            live_server(tmp_path, outbound_private_addresses=True) as server,
            httpx.AsyncClient(
                headers={"authorization": f"Bearer {server.admin_key}"}, trust_env=False, timeout=120
            ) as http,
        ):

            async def outcome() -> Any:
                answer = await http.post(server.url, json={"query": TEST, "variables": {"input": given}})
                return answer.json()["data"]["testModelConfig"]

            assert await outcome() == {"success": True, "error": None}
            assert [asked.key for asked in endpoint.asked] == ["token-1"]
            tokens.answers = [(401, {"error": "invalid_client"})] * 2
            refused = await outcome()
            assert (refused["success"], refused["error"]["class"]) == (False, "AUTHENTICATION")
            assert "invalid_client" in refused["error"]["message"]
            assert "canary-secret" not in str(refused)
            assert len(endpoint.asked) == 1
    finally:
        litellm_process._process.close()
