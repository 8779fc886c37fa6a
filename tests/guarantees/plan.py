"""The plan of faults: what happens to whom, in which order. It follows from the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

NETWORK = {
    "cut": 6,
    "move": 3,
    "tear": 3,
    "garble": 3,
    "stall": 2,
    "delay": 2,
    "swallow": 1,
    "leave client alone": 1,
    "leave server alone": 2,
    "refuse": 1,
}
"""What a line can do to its client's connections, by how often."""

PROCESSES = ("server killed", "server killed at start", "server restarted", "server frozen", "key revoked")
BEHIND_PROXY = ("proxy killed",)
BY_DATABASE = {
    "sqlite": ("database locked", "restore"),
    "postgresql": (
        "postgres restarted",
        "postgres killed",
        "postgres frozen",
        "postgres listeners ended",
        "postgres sessions ended",
        "restore",
    ),
}


@dataclass(frozen=True)
class Fault:
    """`whom` picks a line, a server or a key, by its remainder. `dice` are from 0 to 1."""

    kind: str
    whom: int
    dice: tuple[float, float]


def network_faults(seed: str) -> Iterator[Fault]:
    """Without end."""
    rng = random.Random(f"network {seed}")
    while True:
        (kind,) = rng.choices(list(NETWORK), list(NETWORK.values()))
        yield _fault(kind, rng)


def process_faults(seed: str, database: str, *, behind_proxy: bool = False) -> Iterator[Fault]:
    """Those of processes, of the database and of keys, without end: dealt from a deck that is shuffled anew when it is
    used up, so that all kinds come about equally often.
    """
    rng = random.Random(f"processes {seed}")
    deck = [*PROCESSES, *BY_DATABASE[database], *(BEHIND_PROXY if behind_proxy else ())]
    while True:
        rng.shuffle(deck)
        for kind in deck:
            yield _fault(kind, rng)


def _fault(kind: str, rng: random.Random) -> Fault:
    return Fault(kind, rng.randrange(2**16), (rng.random(), rng.random()))
