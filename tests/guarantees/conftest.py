"""The databases of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from guarantees.databases import Database, Postgres, Sqlite
from guarantees.world import KEYS

from modelwire.store import Keyring


@pytest.fixture
def make_database(request: pytest.FixtureRequest) -> Callable[[str, Path], Database]:
    """A new database of this kind, which a run may do with what it likes."""

    def make(kind: str, folder: Path) -> Database:
        if kind == "sqlite":
            return Sqlite(folder, Keyring.parse(KEYS))
        return Postgres(folder, request.getfixturevalue("own_postgres")(durable=True))

    return make
