"""The subscription."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.resolvers.access import Scope
from modelwire.schema import schema
from modelwire.store import AliasPatterns, Feed, Store


class TestWatching:
    async def test_snapshot_then_changes(self, client: Any) -> None:
        async with aclosing(client.watch(by=[{"alias": "mine"}])) as events:
            first = await anext(events)
            assert (first["__typename"], first["reset"], first["modelConfigs"]) == ("ModelConfigSnapshot", False, [])
            config = await client.create("mine", provider="openai")
            put = await anext(events)
            assert (put["__typename"], put["put"], put["removed"]) == ("ModelConfigChange", [config], [])
            assert put["revision"] == config["revision"]
            await client.create("other")
            updated = (await client.update(config, model="m"))["modelConfig"]
            assert (await anext(events))["put"] == [updated]
            deleted = await client.mutate("delete", id=config["id"], expectedVersion=2)
            gone = await anext(events)
            assert gone["removed"] == [{"id": config["id"], "alias": "mine"}]
            assert (gone["put"], gone["revision"]) == ([], deleted["revision"])

    @pytest.mark.parametrize("by", [None, []])
    async def test_without_names_it_sees_all(self, client: Any, by: list[Any] | None) -> None:
        async with aclosing(client.watch(by=by)) as events:
            first = await anext(events)
            assert [config["alias"] for config in first["modelConfigs"]] == ["general", "planning"]

    async def test_an_import_is_one_event(self, client: Any) -> None:
        names = "".join(f"\n- {{model_name: {name}, litellm_params: {{model: openai/x}}}}" for name in "ab")
        async with aclosing(client.watch()) as events:
            await anext(events)
            result = await client.mutate("import", content=f"model_list:{names}")
            event = await anext(events)
            assert sorted(config["alias"] for config in event["put"]) == ["a", "b"]
            assert event["revision"] == result["revision"]

    async def test_a_rename_is_a_removal_for_the_old_name_and_a_put_for_the_new(self, client: Any) -> None:
        config = await client.create("old")
        old, new, both, by_id = (
            client.watch(by=by)
            for by in (
                [{"alias": "old"}],
                [{"alias": "new"}],
                [{"alias": "old"}, {"alias": "new"}],
                [{"id": config["id"]}],
            )
        )
        async with aclosing(old), aclosing(new), aclosing(both), aclosing(by_id):
            for events in (old, new, both, by_id):
                await anext(events)
            renamed = (await client.update(config, alias="new"))["modelConfig"]
            left = await anext(old)
            assert (left["put"], left["removed"]) == ([], [{"id": config["id"], "alias": "old"}])
            for events in (new, both, by_id):
                entered = await anext(events)
                assert entered["put"] == [renamed]

    async def test_a_quiet_watch_is_told_where_it_stands(self, store: Store, client: Any) -> None:
        feed = Feed(store, bookmark_seconds=0.01)
        await feed.start()
        quiet = client.having(feed=feed)
        async with aclosing(quiet.watch(by=[{"alias": "mine"}])) as events:
            first = await anext(events)
            bookmark = await anext(events)
        await feed.stop()
        assert bookmark == {"__typename": "Bookmark", "revision": first["revision"]}

    async def test_since_resumes_with_the_difference_or_a_bookmark(self, client: Any) -> None:
        config = await client.create("mine")
        async with aclosing(client.watch(by=[{"alias": "mine"}])) as events:
            position = (await anext(events))["revision"]
        async with aclosing(client.watch(by=[{"alias": "mine"}], since=position)) as events:
            assert await anext(events) == {"__typename": "Bookmark", "revision": position}
        updated = (await client.update(config, description="1"))["modelConfig"]
        updated = (await client.update(updated, description="2"))["modelConfig"]
        # A snapshot is never ahead of the feed: behind it, both updates are what a resume can tell at once.
        async with aclosing(client.watch()) as events:
            await anext(events)
        async with aclosing(client.watch(by=[{"alias": "mine"}], since=position)) as events:
            change = await anext(events)
        assert (change["__typename"], change["put"]) == ("ModelConfigChange", [updated])

    @pytest.mark.parametrize("since", ["otherstore-1", "{id}-999999"])
    async def test_a_position_of_elsewhere_or_the_future_is_reset(self, client: Any, since: str) -> None:
        async with aclosing(client.watch(since=since.format(id=client.store.id))) as events:
            first = await anext(events)
        assert (first["__typename"], first["reset"]) == ("ModelConfigSnapshot", True)
        assert len(first["modelConfigs"]) == 2

    @pytest.mark.parametrize("since", ["", "1", "x-01", f"x-{2**63}", "X-1"])
    async def test_a_malformed_since_is_refused_at_once(self, client: Any, since: str) -> None:
        with client.refused("BAD_USER_INPUT"):
            await anext(client.watch(since=since))

    async def test_a_bound_key_watches_its_aliases_only(self, client: Any, client_with: Any) -> None:
        bound = client_with(Scope.MODEL_CONFIG_READ, aliases=("mine",))
        with client.refused("FORBIDDEN", match="general"):
            await anext(bound.watch(by=[{"alias": "general"}]))
        async with aclosing(bound.watch()) as events:
            assert (await anext(events))["modelConfigs"] == []
            await client.create("other")
            config = await client.create("mine")
            assert (await anext(events))["put"] == [config]
            await client.update(config, alias="renamed")
            assert (await anext(events))["removed"] == [{"id": config["id"], "alias": "mine"}]

    async def test_without_the_scope(self, client_with: Any) -> None:
        client = client_with(Scope.MODEL_CONFIG_WRITE)
        with client.refused("FORBIDDEN"):
            await anext(client.watch())

    async def test_nothing_is_delivered_after_expiry(self, client: Any, client_with: Any) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        with client.refused("UNAUTHENTICATED"):
            await anext(client_with(expires_at=past).watch())

    async def test_rights_are_those_of_the_moment(self, client: Any, client_with: Any) -> None:
        watching = client_with()
        kept, lost = await client.create("a/kept"), await client.create("b/lost")
        named, everything = watching.watch(by=[{"alias": "b/lost"}]), watching.watch()
        async with aclosing(named), aclosing(everything):
            await anext(named)
            await anext(everything)
            principal = watching.context.principal
            watching.context.principal = replace(principal, aliases=AliasPatterns(("a/*",)))
            await client.update(lost, description="not for them")
            with client.refused("FORBIDDEN", match="b/lost"):
                await anext(named)
            anew = await anext(everything)
            assert (anew["__typename"], anew["reset"], anew["modelConfigs"]) == ("ModelConfigSnapshot", True, [kept])
            watching.context.principal = replace(principal, scopes=frozenset())
            await client.update(kept, description="not for them either")
            with client.refused("FORBIDDEN", match="model_config:read"):
                await anext(everything)

    async def test_litellm_params_of_later_events_need_the_scope_of_then(self, client: Any, client_with: Any) -> None:
        config = await client.create("mine", provider="openai", model="m")
        watching = client_with()
        fields = "... on ModelConfigChange { put { litellmParams } }"
        document = f'subscription {{ modelConfigChanged(by: [{{alias: "mine"}}]) {{ {fields} }} }}'
        results: Any = await schema.subscribe(document, context_value=watching.context)
        async with aclosing(results):
            await anext(results)
            principal = watching.context.principal
            for scopes, given in (
                (principal.scopes, {"model": "openai/m"}),
                (principal.scopes - {Scope.MODEL_CONFIG_RESOLVE}, None),
            ):
                watching.context.principal = replace(principal, scopes=scopes)
                config = (await client.update(config, description=f"{len(scopes)}"))["modelConfig"]
                result = await anext(results)
                assert result.data == {"modelConfigChanged": {"put": [{"litellmParams": given}]}}
                assert bool(result.errors) is (given is None)

    async def test_litellm_params_of_events_need_the_scope_too(self, client: Any, client_with: Any) -> None:
        await client.create("mine", provider="openai", model="m")
        fields = "... on ModelConfigSnapshot { modelConfigs { alias litellmParams } }"
        document = f"subscription {{ modelConfigChanged {{ {fields} }} }}"
        reader = client_with(Scope.MODEL_CONFIG_READ)
        results: Any = await schema.subscribe(document, context_value=reader.context)
        async with aclosing(results):
            result = await anext(results)
        configs = result.data["modelConfigChanged"]["modelConfigs"]
        assert [config["alias"] for config in configs] == ["general", "mine", "planning"]
        assert {config["litellmParams"] for config in configs} == {None}
        assert {error.original_error.code for error in result.errors} == {"FORBIDDEN"}
