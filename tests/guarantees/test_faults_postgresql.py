"""The promises of delivery on PostgreSQL under faults: recorded histories, and a checker for each promise.

`make guarantees GUARANTEES_SEED=modelwire.1 FAULTS=160` plays the same round. The one of SQLite has another file:
the two can run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from guarantees.databases import Database
from guarantees.rounds import CI_FAULTS, promises_hold


async def test_promises_hold_under_faults(make_database: Callable[..., Database], tmp_path: Path) -> None:
    database = make_database("postgresql", tmp_path)
    await promises_hold("modelwire.1", "postgresql", database, tmp_path, count=CI_FAULTS)
