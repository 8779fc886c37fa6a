"""Where the call of a test may go."""

from __future__ import annotations

import json

from modelwire.resolvers.model_test import _targets
from modelwire.store import Auth, AuthType, ModelConfigDraft, Secrets


def test_a_key_file_is_signed_in_with_where_it_says() -> None:
    key_file = json.dumps({"type": "service_account", "token_uri": "https://tokens.example/token"})
    draft = ModelConfigDraft(
        alias="x",
        provider="vertex_ai",
        model="m",
        api_base="https://llm.example/v1",
        auth=Auth(type=AuthType.GCP_SERVICE_ACCOUNT),
        secrets=Secrets(auth={"credentials_json": key_file}),
    )
    assert _targets(draft) == {("llm.example", 443), ("tokens.example", 443)}
