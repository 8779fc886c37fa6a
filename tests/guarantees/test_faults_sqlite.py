"""The promises of delivery on SQLite under faults: recorded histories, and a checker for each promise.

`make guarantees GUARANTEES_SEED=modelwire.0 FAULTS=160` plays the same round. The one of PostgreSQL has another file:
the two can run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from guarantees.databases import Database
from guarantees.rounds import CI_FAULTS, promises_hold


async def test_promises_hold_under_faults(make_database: Callable[..., Database], tmp_path: Path) -> None:
    database = make_database("sqlite", tmp_path)
    await promises_hold("modelwire.0", "sqlite", database, tmp_path, count=CI_FAULTS)
