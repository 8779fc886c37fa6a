"""API keys, listed and revoked: who may, what is told, and that a refusal changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import Scope
from modelwire.resolvers.api_keys import CreatedApiKey, ensure_admin_key
from modelwire.resolvers.cursors import encode_cursor
from modelwire.store import AliasPatterns, ApiKey, Store

LIST = """
query ($first: Int, $after: String) {
  apiKeys(first: $first, after: $after) {
    edges { cursor node { id name scopes aliases createdAt createdBy expiresAt lastUsedAt revokedAt } }
    pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}
"""
REVOKE = """
mutation ($input: RevokeApiKeyInput!) {
  revokeApiKey(input: $input) {
    __typename
    ... on RevokeApiKeyPayload { apiKey { id name revokedAt } }
    ... on UserError { message path }
  }
}
"""
NEVER = datetime(2026, 1, 1, tzinfo=UTC)
HASH = "5ec4e7" * 10 + "0000"

As = Callable[..., Any]


async def add(store: Store, key_id: str, **fields: Any) -> ApiKey:
    given = {
        "name": key_id,
        "scopes": frozenset({"model_config:read"}),
        "aliases": AliasPatterns(),
        "created_at": NEVER,
        "created_by": "system",
        "secret_hash": HASH,
    }
    key = ApiKey(id=key_id, **(given | fields))
    await store.api_keys.add(key)
    return key


async def ids(client: Any, **arguments: Any) -> list[str]:
    return [edge["node"]["id"] for edge in (await client.run(LIST, **arguments))["apiKeys"]["edges"]]


async def actions(store: Store) -> list[tuple[str, str, Any]]:
    return [(each.action, each.actor, each.details.get("id")) for each in await store.audit_log.page(first=100)]


async def test_a_key_is_shown_without_its_secret(client: Any) -> None:
    made = await client.mutate(
        "create key", name="orders", scopes=["model_config:read"], aliases=["a", "b*"], expiresAt="2090-01-01T00:00:00Z"
    )
    client.store.api_keys.note_use(made["apiKey"]["id"], datetime(2030, 1, 1, tzinfo=UTC))
    await client.store.api_keys.write_uses()
    answer = await client.run(LIST)
    [edge] = answer["apiKeys"]["edges"]
    used = {"lastUsedAt": "2030-01-01T00:00:00+00:00", "revokedAt": None}
    assert edge["node"] == made["apiKey"] | used
    found = await client.store.api_keys.find(made["apiKey"]["id"])
    assert found.secret_hash not in json.dumps(answer)
    assert made["secret"][-64:] not in json.dumps(answer)


async def test_pages_of_keys(client: Any) -> None:
    for number in range(5):
        await add(client.store, f"key{number}", created_at=NEVER + timedelta(days=number % 2))
    newest_first = ["key3", "key1", "key4", "key2", "key0"]
    assert await ids(client) == newest_first
    after, seen = None, []
    while True:
        page = (await client.run(LIST, first=2, after=after))["apiKeys"]
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        seen += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == newest_first


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        encode_cursor("auditLog", (1,)),
        encode_cursor("apiKeys", ("yesterday", "a")),
        encode_cursor("apiKeys", ("2026-01-01T00:00:00", "a")),
        encode_cursor("apiKeys", ("0001-01-01T00:00:00+23:00", "a")),
        encode_cursor("apiKeys", (1, "a")),
    ],
)
async def test_what_is_no_cursor_of_this_list(client: Any, cursor: str) -> None:
    with client.refused("BAD_USER_INPUT", match="after must be a cursor"):
        await client.run(LIST, after=cursor)


async def test_whoever_is_bound_to_aliases_sees_the_keys_that_it_could_make(
    client_with: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwire.resolvers.api_key_admin._BATCH", 3)
    store = client_with().store
    for number in range(20):
        await add(store, f"all{number}", created_at=NEVER + timedelta(days=number))
    await add(store, "inside", aliases=AliasPatterns(("team/a", "team/x*")), created_at=NEVER)
    await add(store, "across", aliases=AliasPatterns(("team/a", "other")), created_at=NEVER + timedelta(days=3))
    bound = client_with(aliases=("team/*",))
    assert await ids(bound) == await ids(bound, first=1) == ["inside"]
    before = await actions(store)
    for hidden in ("all1", "across", "unknown"):
        refused = await bound.mutate(REVOKE, id=hidden)
        assert refused == {
            "__typename": "NotFound",
            "message": "there is no API key with this id",
            "path": ["input", "id"],
        }
    assert await actions(store) == before
    assert (await bound.mutate(REVOKE, id="inside"))["__typename"] == "RevokeApiKeyPayload"
    # Nor does it learn that one was revoked already.
    await client_with().mutate(REVOKE, id="across")
    assert (await bound.mutate(REVOKE, id="across"))["__typename"] == "NotFound"


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.API_KEY_ADMIN])
async def test_no_other_scope_opens_the_keys(client_with: As, scope: Scope) -> None:
    client = client_with(scope)
    await add(client.store, "victim")
    before = await actions(client.store)
    with client.refused("FORBIDDEN", match="api_key:admin"):
        await client.run(LIST)
    for key_id in ("victim", "unknown"):
        with client.refused("FORBIDDEN", match="api_key:admin"):
            await client.mutate(REVOKE, id=key_id, force=True)
    assert (await client.store.api_keys.find("victim")).revoked_at is None
    assert await actions(client.store) == before


async def test_revoking(client: Any) -> None:
    await add(client.store, "victim", scopes=frozenset({"model_config:read", "scope:of-a-newer-version"}))
    before = datetime.now(UTC)
    revoked = await client.mutate(REVOKE, id="victim")
    assert revoked["apiKey"]["name"] == "victim"
    assert before <= datetime.fromisoformat(revoked["apiKey"]["revokedAt"]) <= datetime.now(UTC)
    assert await actions(client.store) == [
        ("api_key.revoke", "api_key:aaaaaaaaaa", "victim"),
        ("api_key.create", "system", "victim"),
    ]
    # Once more is no second revocation.
    assert await client.mutate(REVOKE, id="victim") == revoked
    assert len(await actions(client.store)) == 2
    [edge] = (await client.run(LIST))["apiKeys"]["edges"]
    assert edge["node"]["revokedAt"] == revoked["apiKey"]["revokedAt"]


@pytest.mark.parametrize("key_id", ["", "unknown", "\0", "\ud800", "x" * 100_000])
async def test_an_id_that_nothing_has(client: Any, key_id: str) -> None:
    assert (await client.mutate(REVOKE, id=key_id))["__typename"] == "NotFound"


async def test_a_mightier_key_is_seen_and_not_revoked(client_with: As) -> None:
    small = client_with(Scope.API_KEY_ADMIN, Scope.MODEL_CONFIG_READ)
    await add(small.store, "mighty", scopes=frozenset(scope.value for scope in Scope))
    before = await actions(small.store)
    assert await ids(small) == ["mighty"]
    with small.refused("FORBIDDEN", match="may do what it may not: audit:read, .*model_config:write"):
        await small.mutate(REVOKE, id="mighty", force=True)
    assert (await small.store.api_keys.find("mighty")).revoked_at is None
    assert await actions(small.store) == before


async def test_the_last_key_that_makes_keys_is_kept_unless_forced(client: Any) -> None:
    token = await ensure_admin_key(client.store, None)
    assert token is not None
    admin_id = token.split("_")[1]
    await add(client.store, "reader")
    await add(client.store, "bound", scopes=frozenset({"api_key:admin"}), aliases=AliasPatterns(("a",)))
    await add(client.store, "gone", scopes=frozenset({"api_key:admin"}), revoked_at=NEVER)
    await add(client.store, "over", scopes=frozenset({"api_key:admin"}), expires_at=NEVER)
    before = await actions(client.store)
    for force in ({}, {"force": False}, {"force": None}):
        refused = await client.mutate(REVOKE, id=admin_id, **force)
        assert refused["__typename"] == "LastAdminKey"
        assert "modelwire api-key recover" in refused["message"]
    assert await actions(client.store) == before
    assert (await client.mutate(REVOKE, id="bound"))["__typename"] == "RevokeApiKeyPayload"
    assert (await client.mutate(REVOKE, id=admin_id, force=True))["apiKey"]["id"] == admin_id


async def test_with_another_one_an_administrator_key_goes_without_force(client: Any) -> None:
    for key_id in ("first", "second"):
        await add(client.store, key_id, scopes=frozenset({"api_key:admin"}))
    assert (await client.mutate(REVOKE, id="first"))["__typename"] == "RevokeApiKeyPayload"
    assert (await client.mutate(REVOKE, id="second"))["__typename"] == "LastAdminKey"


def test_a_secret_is_in_no_repr() -> None:
    key = ApiKey(
        id="a", name="a", scopes=frozenset(), aliases=AliasPatterns(), created_at=NEVER, created_by="", secret_hash=HASH
    )
    assert HASH not in repr(key)
    assert "mw_a_" not in repr(CreatedApiKey(key=key, secret="mw_a_b"))
