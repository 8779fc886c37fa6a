"""One server for each module, with everything in it that somebody may try to see or change."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from authorisation_world import World, running_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with running_world(tmp_path_factory.mktemp("authorisation")) as world:
        yield world
