"""A database that is away for one Store alone, on the kind of database that it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy.exc import OperationalError

from modelwire.store import Store, StoreUnavailable


@asynccontextmanager
async def away(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """No connection can be made or used."""

    def refuse(*_: object) -> None:
        raise OperationalError("", None, store._database._dialect.DRIVER_ERROR("refused"))

    with monkeypatch.context() as patch:
        patch.setattr(
            store._database._errors._dialect,
            "translate",
            lambda error, location: StoreUnavailable(f"{location} is away"),
        )
        # What both drivers are reached through.
        patch.setattr(store._database._engine, "connect", refuse)
        yield
