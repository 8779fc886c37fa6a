"""More aliases than the server permits operations on one connection."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from live_server import LiveServer, live_server, until

from modelwire.server.graphql.limits import Limits
from modelwire.store import AliasPatterns, BindingsOf, BindingState, ComponentListing, ModelConfigDraft
from modelwire.subscriber import DynamicModelProvider, LinkState
from modelwire.subscriber.links import OPERATIONS_PER_SOCKET

from .conftest import FAST

ALIASES = [f"alias-{number}" for number in range(120)]


async def write(server: LiveServer, version: int) -> None:
    """Create or change all of them, in one transaction."""
    async with server.services.store.transaction(by="test") as transaction:
        for alias in ALIASES:
            draft = ModelConfigDraft(alias=alias, provider="openai", model=f"{alias}-{version}")
            old = await transaction.find(alias=alias)
            await (transaction.create(draft) if old is None else transaction.update(old, draft))


async def test_120_aliases_follow_at_once(tmp_path: Path) -> None:
    assert Limits().operations_per_connection > OPERATIONS_PER_SOCKET
    async with live_server(tmp_path) as server:
        await write(server, 1)
        async with DynamicModelProvider(server.url, token=server.admin_key, component="test", _timing=FAST) as provider:
            models = [provider.get_lite_llm_model(alias) for alias in ALIASES[:60]]
            await until(lambda: provider.link.state is LinkState.LIVE, 120)
            # And further ones while it runs.
            models += [provider.get_lite_llm_model(alias) for alias in ALIASES[60:]]
            for model in models:
                await model.wait_ready(timeout_seconds=120)
            assert [model.settings and model.settings.model for model in models] == [
                f"openai/{alias}-1" for alias in ALIASES
            ]
            await until(lambda: provider.link.state is LinkState.LIVE, 120)
            assert provider.link.last_error is None
            await write(server, 2)
            await until(lambda: all(model.version == 2 for model in models), 120)
            assert len(server.uvicorn.server_state.connections) == 3
        await until(lambda: not server.uvicorn.server_state.connections, 120)


async def test_a_server_that_permits_fewer_on_a_connection(tmp_path: Path) -> None:
    """Operations, and acknowledgements beside them: all find room, on further connections."""
    aliases = ALIASES[:30]
    async with live_server(tmp_path, max_operations_per_connection=12) as server:
        await write(server, 1)
        async with DynamicModelProvider(server.url, token=server.admin_key, component="test", _timing=FAST) as provider:
            models = [provider.get_lite_llm_model(alias) for alias in aliases]
            for model in models:
                await model.wait_ready(timeout_seconds=120)
            await until(lambda: provider.link.state is LinkState.LIVE, 120)
            assert all(link.size <= 12 for link in provider._links._links)
            async with asyncio.timeout(120):
                while await applied(server) < len(aliases):  # noqa: ASYNC110 - the store has no event for it
                    await asyncio.sleep(0.05)
            await write(server, 2)
            await until(lambda: all(model.version == 2 for model in models), 120)
            assert provider.link.state is LinkState.LIVE


async def applied(server: LiveServer) -> int:
    """How many bindings are said to be applied, as far as it is written already."""
    components, now = server.services.store.components, datetime.now(UTC)
    ids = [each.id for each in await components.page(ComponentListing(), now=now, first=10)]
    found = await components.bindings(BindingsOf.COMPONENT, ids, visible=AliasPatterns(), now=now, first=100)
    return sum(binding.state is BindingState.APPLIED for bindings in found.values() for binding in bindings)
