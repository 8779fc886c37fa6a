"""Who may do what, and API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Scope
from modelwire.resolvers.api_keys import verify_api_key
from modelwire.store import StoreUnavailable


class TestAccess:
    @pytest.mark.parametrize(
        ("scope", "document", "variables"),
        [
            (Scope.MODEL_CONFIG_READ, "find", {"by": {"alias": "general"}}),
            (Scope.MODEL_CONFIG_READ, "list", {}),
            (Scope.MODEL_CONFIG_READ, "{ node(id: 1) { id } }", {}),
            (Scope.MODEL_CONFIG_WRITE, "create", {"input": {"alias": "new"}}),
            (Scope.MODEL_CONFIG_WRITE, "create", {"input": {"alias": "new", "validateOnly": True}}),
            (Scope.MODEL_CONFIG_WRITE, "update", {"input": {"id": "1", "expectedVersion": 1}}),
            (Scope.MODEL_CONFIG_WRITE, "delete", {"input": {"id": "1", "expectedVersion": 1}}),
            (Scope.MODEL_CONFIG_WRITE, "import", {"input": {"content": "model_list: []", "dryRun": True}}),
            (Scope.API_KEY_ADMIN, "create key", {"input": {"name": "n", "scopes": ["model_config:read"]}}),
        ],
    )
    async def test_denied_without_the_scope_with_nothing_changed(
        self, client: Any, client_with: Any, scope: Scope, document: str, variables: dict[str, Any]
    ) -> None:
        before = await client.everything()
        with client.refused("FORBIDDEN", match=scope.value):
            await client_with(*(ALL_SCOPES - {scope})).run(document, **variables)
        assert await client.everything() == before

    async def test_litellm_params_alone_are_withheld_without_resolve(self, client: Any, client_with: Any) -> None:
        await client.create("mine", provider="openai", model="m")
        with client.refused("FORBIDDEN") as refused:
            await client_with(Scope.MODEL_CONFIG_READ).run("resolve", by={"alias": "mine"})
        assert refused.value.paths == [["modelConfig", "litellmParams"]]
        assert refused.value.data == {"modelConfig": {"alias": "mine", "litellmParams": None}}

    async def test_a_bound_key_sees_its_aliases_only(self, client: Any, client_with: Any) -> None:
        ours, theirs = await client.create("ours-1"), await client.create("theirs")
        bound = client_with(aliases=("ours-*", "general"))
        assert await bound.aliases() == ["general", "ours-1"]
        assert await bound.find(id=ours["id"]) == ours
        assert await bound.find(id=theirs["id"]) is None
        with client.refused("FORBIDDEN", match="theirs"):
            await bound.find(alias="theirs")

    async def test_a_bound_key_writes_its_aliases_only(self, client: Any, client_with: Any) -> None:
        ours, theirs = await client.create("ours-1"), await client.create("theirs")
        bound = client_with(aliases=("ours-*",))
        before = await client.everything()
        denied: list[tuple[str, dict[str, Any]]] = [
            ("create", {"alias": "other"}),
            ("update", {"id": ours["id"], "expectedVersion": 1, "alias": "theirs-too"}),
            ("import", {"content": "model_list: [{model_name: theirs, litellm_params: {model: openai/m}}]"}),
        ]
        for document, given in denied:
            with client.refused("FORBIDDEN"):
                await bound.mutate(document, **given)
        for document in ("update", "delete"):
            hidden = await bound.mutate(document, id=theirs["id"], expectedVersion=1)
            assert hidden["__typename"] == "NotFound"
        assert await client.everything() == before
        assert (await bound.update(ours, alias="ours-2"))["modelConfig"]["alias"] == "ours-2"

    async def test_an_unreachable_database_is_unavailable(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:

        async def fail(**_: Any) -> None:
            raise StoreUnavailable("the path of the database")

        monkeypatch.setattr(client.store, "find", fail)
        with client.refused("UNAVAILABLE") as refused:
            await client.find(alias="general")
        assert "path" not in str(refused.value)


class TestApiKeys:
    async def test_the_secret_is_shown_once_and_signs_in(self, client: Any) -> None:
        given = {"name": "orders", "scopes": ["model_config:read", "model_config:resolve"], "aliases": ["general"]}
        created = await client.mutate("create key", **given)
        assert created["__typename"] == "CreateApiKeyPayload"
        key = created["apiKey"]
        assert {name: key[name] for name in given} == given
        assert (key["createdBy"], key["expiresAt"]) == ("api_key:aaaaaaaaaa", None)
        assert created["secret"].startswith(f"mw_{key['id']}_")
        principal = await verify_api_key(client.store, created["secret"], datetime.now(UTC))
        assert principal.subject == f"api_key:{key['id']}"
        assert principal.scopes == {Scope.MODEL_CONFIG_READ, Scope.MODEL_CONFIG_RESOLVE}
        bound = client.having(principal=principal)
        assert await bound.aliases() == ["general"]

    @pytest.mark.parametrize(
        ("given", "path"),
        [
            ({"scopes": []}, "scopes"),
            ({"scopes": ["model_config:read", "all"]}, "scopes"),
            ({"name": ""}, "name"),
            ({"name": " x"}, "name"),
            ({"aliases": []}, "aliases"),
            ({"aliases": [""]}, "aliases"),
            ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
            ({"expiresAt": "2090-01-01T00:00:00"}, "expiresAt"),
        ],
    )
    async def test_bad_input(self, client: Any, given: dict[str, Any], path: str) -> None:
        refused = await client.mutate("create key", **({"name": "n", "scopes": ["model_config:read"]} | given))
        assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", path])
        if path == "scopes":
            assert "api_key:admin" in refused["message"]
        assert await client.store.api_keys.any() is False

    async def test_nobody_grants_what_they_do_not_have(self, client_with: Any) -> None:
        maker = client_with(Scope.API_KEY_ADMIN, Scope.MODEL_CONFIG_READ, aliases=("team-*",))
        for given in (
            {"scopes": ["model_config:write"], "aliases": ["team-a"]},
            {"scopes": ["model_config:read"]},
            {"scopes": ["model_config:read"], "aliases": ["general"]},
            {"scopes": ["model_config:read"], "aliases": ["team-a", "*"]},
        ):
            with maker.refused("FORBIDDEN"):
                await maker.mutate("create key", name="n", **given)
        assert await maker.store.api_keys.any() is False
        given = {"scopes": ["model_config:read"], "aliases": ["team-a", "team-b*"]}
        granted = await maker.mutate("create key", name="n", **given)
        assert granted["__typename"] == "CreateApiKeyPayload"
