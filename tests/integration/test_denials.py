"""Who is denied by a real server stands in the audit log afterwards, without what they sent."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from websockets.asyncio.client import connect

CREATE_KEY = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  ... on CreateApiKeyPayload { secret apiKey { id } } } }"""
DELETE = """mutation { sent: deleteModelConfig(input: {id: "x", expectedVersion: 1}) { __typename } }"""
WATCH = """subscription { modelConfigChanged(by: [{alias: "canary-alias"}]) { revision } }"""
CANARY = "mw_aaaaaaaaaa_" + "ca" * 32


async def test_denials_of_http_and_websockets_are_written(server: Any, make_client: Any) -> None:
    admin = make_client(server, server.admin_key)
    given = {"name": "bound", "scopes": ["model_config:read"], "aliases": ["team-*"]}
    created = (await admin.execute(CREATE_KEY, input=given))["createApiKey"]
    bound = make_client(server, created["secret"])
    for token in (CANARY, "no key at all, canary", None):
        answer = await make_client(server, token).post("{ viewer { name } }")
        assert answer.status_code in {200, 401}, answer.text
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    for _ in range(2):
        assert (await bound.post(DELETE)).json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    await watch(server, created["secret"])
    server.stop()

    rows = audit_rows(server)
    denied = [row for row in rows if row["action"] == "access.denied"]
    told = {
        (row["actor"], row["details"].get("field") or row["details"].get("reason")): row["details"] for row in denied
    }
    subject = f"api_key:{created['apiKey']['id']}"
    assert told[subject, "deleteModelConfig"]["count"] == 2
    assert told[subject, "modelConfigChanged"]["count"] == 1
    assert told["anonymous", "the API key is not valid"]["count"] == 1
    assert len(told) == 5
    assert {details["source"] for details in told.values()} == {"127.0.0.1"}
    text = json.dumps(rows)
    assert not any(secret in text for secret in ("canary", "ca" * 32, created["secret"].rpartition("_")[2]))


async def watch(server: Any, token: str) -> None:
    """Ask a websocket for what the token does not open."""
    url = server.url.replace("http", "ws") + "/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None) as socket:  # type: ignore[list-item]
        init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
        await socket.send(json.dumps(init))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": WATCH}}))
        answer = json.loads(await socket.recv())
        assert "FORBIDDEN" in json.dumps(answer), answer


def audit_rows(server: Any) -> list[dict[str, Any]]:
    database = sqlite3.connect(server.data_dir / "modelwire.db")
    try:
        return [json.loads(entry) for (entry,) in database.execute("SELECT entry FROM audit_log ORDER BY sequence")]
    finally:
        database.close()
