"""The promises of delivery under many faults, on one database and the other.

A failure names the seed of its round: `make guarantees GUARANTEES_SEED=… FAULTS=…` makes the same plan of faults again.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guarantees.databases import Database
from guarantees.rounds import Round, play

KINDS = ("sqlite", "postgresql")
ROUND_FAULTS = 500
LONG_FAULTS = 2_000


@pytest.mark.long
async def test_promises_hold_under_many_faults(
    make_database: Callable[..., Database], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as FAULTS says, in rounds on one database and the other, from another seed each time."""
    faults = int(os.environ.get("FAULTS") or LONG_FAULTS)
    seed, _, first = (os.environ.get("GUARANTEES_SEED") or secrets.token_hex(4)).partition(".")
    tally, failed = Counter[str](), list[Round]()
    for number, count in _rounds(int(first or 0), faults):
        kind, folder = KINDS[number % len(KINDS)], tmp_path / str(number)
        folder.mkdir()
        played = await play(f"{seed}.{number}", kind, make_database(kind, folder), folder, count=count)
        tally.update(played.faults)
        if played.broken:
            failed.append(played)
        with capsys.disabled():
            print(f"{tally.total()} of {faults}: {played}", flush=True)
    with capsys.disabled():
        print(f"{tally.total()} faults, {len(failed)} rounds broke a promise: {dict(tally.most_common())}", flush=True)
    assert {played.seed: played.broken for played in failed} == {}


def _rounds(first: int, faults: int) -> Iterator[tuple[int, int]]:
    """The number of each round, and how many faults it has."""
    while faults > 0:
        yield first, min(faults, ROUND_FAULTS)
        first, faults = first + 1, faults - ROUND_FAULTS
