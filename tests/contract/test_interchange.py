"""Seeding, pruning and plans on every database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal
from modelwire.resolvers.errors import RevisionConflict
from modelwire.resolvers.export import ExportFormat, export_model_configs
from modelwire.resolvers.model_config_import import ImportRequest, import_model_configs
from modelwire.resolvers.seeding import seed
from modelwire.store import Feed, Selector, Store

SAM = Path(__file__).parents[1] / "data" / "sam" / "shared_config.yaml"


async def test_of_several_at_once_one_seeds(store: Store, open_again: Callable[[], Awaitable[Store]]) -> None:
    stores = [store, *[await open_again() for _ in range(4)]]

    seeded = await asyncio.gather(*(seed(each, file=SAM, environment={}) for each in stores))

    assert sorted(seeded) == [False] * 4 + [True]
    assert await store.revision() == 2
    assert not await seed(store, file=SAM, environment={})


async def test_an_export_is_applied_as_a_whole_and_only_to_what_it_was_planned_for(store: Store) -> None:
    context = Context(Principal(subject="test", name="test", scopes=ALL_SCOPES), store, Feed(store))
    await seed(store, file=SAM, environment={})
    content = (await export_model_configs(context, ExportFormat.MODELWIRE)).content

    applied = await import_model_configs(context, ImportRequest(content=content, prune=True))
    assert (applied.position, applied.base.revision) == (None, 2)

    edited = content.replace("  oauth_planning:", "  renamed:").replace("temperature: 0.1", "temperature: 0.2")
    request = ImportRequest(content=edited, prune=True, expected_revision=str(applied.base))
    applied = await import_model_configs(context, request)

    assert [entry.action.value for entry in applied.entries] == ["unchanged", "create", "update", "delete"]
    snapshot = await store.snapshot(Selector())
    assert (applied.position and applied.position.revision, snapshot.revision) == (3, 3)
    assert [config.alias for config in snapshot.configs] == ["general", "planning", "renamed"]
    with pytest.raises(RevisionConflict):
        await import_model_configs(context, request)
