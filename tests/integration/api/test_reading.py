"""Reading: one config, pages of them, and who asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import GraphQLInterfaceType, build_schema

from modelwire.resolvers.access import Scope
from modelwire.schema import export


class TestReading:
    async def test_placeholders_are_there_from_the_start(self, client: Any) -> None:
        assert await client.aliases() == ["general", "planning"]
        general = await client.find(alias="general")
        assert general is not None
        assert (general["configured"], general["isDefault"], general["version"]) == (False, True, 1)
        assert (general["provider"], general["model"], general["litellmModel"]) == (None, None, None)
        assert general["auth"] == {"__typename": "NoAuth", "none": True}
        assert (await client.run("resolve", by={"alias": "general"}))["modelConfig"]["litellmParams"] is None

    async def test_by_id_by_alias_and_as_node(self, client: Any) -> None:
        config = await client.create("mine", provider="openai", model="gpt-5-mini")
        assert await client.find(id=config["id"]) == config
        assert await client.find(alias="mine") == config
        node = await client.run("query ($id: ID!) { node(id: $id) { __typename id } }", id=config["id"])
        assert node == {"node": {"__typename": "ModelConfig", "id": config["id"]}}
        assert await client.run("query ($id: ID!) { node(id: $id) { id } }", id="none") == {"node": None}

    async def test_node_finds_every_type_that_is_a_node(self) -> None:
        """A new one needs a test of its own, like the one above."""
        exported = build_schema(export())
        node = exported.type_map["Node"]
        assert isinstance(node, GraphQLInterfaceType)
        assert {type_.name for type_ in exported.get_possible_types(node)} == {"ModelConfig"}

    @pytest.mark.parametrize(
        "by", [{"id": "none"}, {"alias": "none"}, {"alias": ""}, {"alias": "\ud800"}, {"id": "\0"}]
    )
    async def test_what_is_not_there_is_null(self, client: Any, by: dict[str, str]) -> None:
        assert await client.find(**by) is None

    async def test_a_ref_names_exactly_one(self, client: Any) -> None:
        for by in ({}, {"id": "a", "alias": "b"}, {"id": None}):
            with client.refused():
                await client.run("find", by=by)

    async def test_pages_follow_their_cursors(self, client: Any) -> None:
        for alias in ("b", "a", "ä", "Z"):
            await client.create(alias)
        seen, after = [], None
        while True:
            page = (await client.run("list", first=2, after=after))["modelConfigs"]
            seen += [edge["node"]["alias"] for edge in page["edges"]]
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            after = page["pageInfo"]["endCursor"]
            assert after == page["edges"][-1]["cursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == ["Z", "a", "b", "general", "planning", "ä"]
        empty = (await client.run("list", after=after))["modelConfigs"]
        assert empty["edges"] == []
        assert empty["pageInfo"]["endCursor"] is None

    @pytest.mark.parametrize(
        "arguments", [{"first": 0}, {"first": -1}, {"first": 101}, {"first": 2**31 - 1}, {"after": "?"}, {"after": ""}]
    )
    async def test_page_arguments_are_checked(self, client: Any, arguments: dict[str, Any]) -> None:
        with client.refused("BAD_USER_INPUT"):
            await client.run("list", **arguments)

    async def test_a_text_to_search_for_is_no_longer_than_what_it_is_looked_for_in(self, client: Any) -> None:
        await client.create("one", description="é" * 2_000)
        assert await client.aliases(filter={"search": "É" * 2_000}) == ["one"]
        with client.refused("BAD_USER_INPUT", match="search must have at most 2000 characters"):
            await client.run("list", filter={"search": "é" * 2_001})

    async def test_orders(self, client: Any) -> None:
        await client.create("b", provider="openai")
        a = await client.create("a", provider="azure")
        await client.create("c", provider="openai")
        await client.update(a, description="later")
        expected = {
            ("ALIAS", "ASC"): ["a", "b", "c", "general", "planning"],
            ("ALIAS", "DESC"): ["planning", "general", "c", "b", "a"],
            ("UPDATED_AT", "ASC"): ["general", "planning", "b", "c", "a"],
            ("UPDATED_AT", "DESC"): ["a", "c", "b", "planning", "general"],
            ("PROVIDER", "ASC"): ["general", "planning", "a", "b", "c"],
            ("PROVIDER", "DESC"): ["c", "b", "a", "planning", "general"],
        }
        for (field, direction), aliases in expected.items():
            order = {"field": field, "direction": direction}
            assert await client.aliases(orderBy=order) == aliases
            page = (await client.run("list", first=2, orderBy=order))["modelConfigs"]
            after = page["pageInfo"]["endCursor"]
            assert await client.aliases(orderBy=order, after=after) == aliases[2:]
        assert await client.aliases(orderBy={"field": "ALIAS"}) == expected["ALIAS", "ASC"]
        assert await client.aliases(orderBy=None) == expected["ALIAS", "ASC"]

    async def test_a_cursor_of_another_order_is_refused(self, client: Any) -> None:
        orders = [{"field": f, "direction": d} for f in ("ALIAS", "UPDATED_AT", "PROVIDER") for d in ("ASC", "DESC")]
        cursors = [
            (await client.run("list", first=1, orderBy=order))["modelConfigs"]["pageInfo"]["endCursor"]
            for order in orders
        ]
        for i, order in enumerate(orders):
            for j, after in enumerate(cursors):
                if i != j:
                    with client.refused("BAD_USER_INPUT", match="of this list, in this order"):
                        await client.run("list", after=after, orderBy=order)

    async def test_a_page_holds_what_the_viewer_may_see(self, client_with: Any) -> None:
        everyone = client_with()
        for alias in ("team/a", "team/b", "team/c", "other"):
            await everyone.create(alias)
        client = client_with(Scope.MODEL_CONFIG_READ, aliases=("team/*",))
        order = {"field": "UPDATED_AT", "direction": "DESC"}
        page = (await client.run("list", first=2, orderBy=order))["modelConfigs"]
        assert [edge["node"]["alias"] for edge in page["edges"]] == ["team/c", "team/b"]
        assert page["pageInfo"]["hasNextPage"] is True
        last = (await client.run("list", orderBy=order, after=page["pageInfo"]["endCursor"]))["modelConfigs"]
        assert [edge["node"]["alias"] for edge in last["edges"]] == ["team/a"]
        assert last["pageInfo"]["hasNextPage"] is False
        assert last["pageInfo"]["hasPreviousPage"] is True
        # A cursor is a place and no key: one of a config that the viewer may not see tells nothing of it.
        hidden = (await everyone.run("list", first=3, orderBy=order))["modelConfigs"]["edges"][0]["cursor"]
        assert await client.aliases(orderBy=order, after=hidden) == ["team/c", "team/b", "team/a"]

    async def test_a_filter_narrows_also_over_pages(self, client: Any) -> None:
        await client.create("one", provider="openai", model="GPT-5-Mini")
        await client.create("two", provider="ollama", description="our gpt-5-mini at home")
        await client.create("three", provider="openai")
        assert await client.aliases(filter={"search": "gpt-5-MINI"}) == ["one", "two"]
        assert await client.aliases(filter={"provider": "openai"}) == ["one", "three"]
        assert await client.aliases(filter={"configured": True}) == ["one"]
        assert await client.aliases(filter={"configured": False, "provider": "ollama", "search": None}) == ["two"]
        assert await client.aliases(filter={"isDefault": True}) == ["general", "planning"]
        assert await client.aliases(filter={"isDefault": False, "provider": "openai"}) == ["one", "three"]
        assert await client.aliases(filter={"provider": "\0"}) == []
        assert await client.aliases(filter={"provider": "\ud800"}) == []
        page = (await client.run("list", first=1, filter={"provider": "openai"}))["modelConfigs"]
        assert page["pageInfo"]["hasNextPage"] is True
        assert await client.aliases(after=page["pageInfo"]["endCursor"], filter={"provider": "openai"}) == ["three"]

    async def test_viewer(self, client_with: Any) -> None:
        end = datetime(2090, 1, 1, tzinfo=UTC)
        client = client_with(Scope.MODEL_CONFIG_READ, aliases=("general",), expires_at=end)
        viewer = await client.run("{ viewer { subject name scopes aliases tokenExpiresAt } }")
        assert viewer["viewer"] == {
            "subject": "api_key:aaaaaaaaaa",
            "name": "tests",
            "scopes": ["model_config:read"],
            "aliases": ["general"],
            "tokenExpiresAt": "2090-01-01T00:00:00+00:00",
        }
