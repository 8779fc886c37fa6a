"""One round: a world, its share of faults, the time for all to hear of the last change, and the checkers."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from guarantees.checkers import violations
from guarantees.databases import Database
from guarantees.history import History
from guarantees.injector import Injector
from guarantees.plan import network_faults, process_faults
from guarantees.world import world
from tls import Tls

FAILED = Path(__file__).parents[2] / ".guarantees"
"""Where the histories of rounds lie that broke a promise."""

CI_FAULTS = 160
"""Of a round that `make check` plays."""

PROCESS_SHARE = 40
"""One fault in so many is one of processes, of the database or of keys: those take seconds each."""


@dataclass
class Round:
    """`faults` counts those that hit somebody, by kind; `broken` has what broke each promise."""

    seed: str
    kind: str
    seconds: float
    faults: Counter[str]
    changes: int
    events: int
    resumed: int
    broken: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.seed} {self.kind}: {self.faults.total()} faults, {self.changes} changes, {self.events} events on "
            f"{self.resumed} connections in {self.seconds:.0f} s: {', '.join(self.broken) or 'all promises hold'}"
        )


async def play(
    seed: str,
    kind: str,
    database: Database,
    folder: Path,
    *,
    count: int,
    share: int = PROCESS_SHARE,
    servers: int = 2,
    tls: Tls | None = None,
) -> Round:
    """Inject so many faults, one in `share` of them of processes, and check the history. With `tls` the servers are
    behind HAProxy."""
    began = time.monotonic()
    of_processes = count // share
    async with world(seed, kind, database, folder, count=servers, tls=tls) as made:
        injector = Injector(made)
        network, processes = network_faults(seed), process_faults(seed, kind, behind_proxy=tls is not None)
        await injector.run(network, count - of_processes, processes, of_processes)
        await database.heal()
        await made.settle()
        outputs = [server.output for server in made.servers]
    history = made.history
    broken = violations(history)
    broken |= {f"The log of server {number}": [text] for number, text in enumerate(outputs) if "Traceback" in text}
    if broken:
        processes_again = process_faults(seed, kind, behind_proxy=tls is not None)
        _keep(history, broken, [fault.kind for fault in islice(processes_again, of_processes)])
    connections = [connection for watch in history.watches for connection in watch.connections]
    return Round(
        seed,
        kind,
        time.monotonic() - began,
        injector.tally,
        len(history.log),
        sum(len(connection.events) for connection in connections),
        len(connections),
        broken,
    )


async def promises_hold(seed: str, kind: str, database: Database, folder: Path, *, count: int, **options: Any) -> None:
    """Play a round, say what it was, and fail when it broke a promise."""
    played = await play(seed, kind, database, folder, count=count, **options)
    print(played)
    assert played.broken == {}
    assert played.faults.total() == count


def _keep(history: History, broken: dict[str, list[str]], processes: list[str]) -> None:
    FAILED.mkdir(exist_ok=True)
    file = FAILED / f"{history.seed}-{history.database}.json"
    history.save(file)
    # What the seed makes of the plan, besides what of it hit somebody.
    plan = {
        "network": [fault.kind for fault in islice(network_faults(history.seed), len(history.faults))],
        "processes": processes,
        "broken": broken,
    }
    file.with_suffix(".plan.json").write_text(json.dumps(plan, indent=1))
    print(f"the history is in {file}, the plan of faults beside it: {plan['processes']}; {plan['network']}")
