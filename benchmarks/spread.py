"""The same fan-out from one server process, from two of one server, and from two servers on one database.

All share one core: what is shown is what a further process adds, in processor time and in the time to the last
subscriber, and not what a further core gives. Each process reads the log, executes each event once for each group that
it has, and writes to its own subscribers. Changes are made through the first server, so half of the subscribers of two
servers hear of them by the database: PostgreSQL tells.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .figures import Figure
from .lab import Lab
from .loader import Load
from .servers import GraphQLServer, watch
from .stores import ENCRYPTION_KEYS, postgresql


@dataclass
class _Spread:
    """Servers on one database with their subscribers, and what was measured of them: one value for each round."""

    servers: list[GraphQLServer]
    loads: list[Load]
    micros: list[float] = field(default_factory=list)
    last_millis: list[float] = field(default_factory=list)

    def watch(self, subscribers: int) -> None:
        for server, load in zip(self.servers, self.loads, strict=True):
            watch(load, server, subscribers // len(self.servers))

    def measure(self, subscribers: int, changes: int) -> None:
        each = subscribers // len(self.servers)
        cpu, last = self._cpu(), []
        for _ in range(changes):
            for load in self.loads:
                load.expect(each)
            began = time.monotonic()
            self.servers[0].change()
            last.append(max(load.arrived().last for load in self.loads) - began)
        self.micros.append((self._cpu() - cpu) / changes / subscribers * 1e6)
        self.last_millis.append(statistics.median(last) * 1e3)

    def _cpu(self) -> float:
        return sum(server.process.tree_cpu_seconds() for server in self.servers)


def run(lab: Lab) -> list[Figure]:
    subscribers, rounds, changes = lab.choose((2_000, 5, 4), (20, 1, 1))
    with postgresql(3) as (one, workers, two):
        starts: dict[str, Callable[[], list[GraphQLServer]]] = {
            "one process": lambda: [_server(lab, one)],
            "two processes of one server": lambda: [_server(lab, workers, workers=2)],
            # The one that was started last knows the version.
            "two servers": lambda: [_server(lab, two), _server(lab, two)][::-1],
        }
        spreads = {}
        for name, start in starts.items():
            servers = start()
            spreads[name] = _Spread(servers, [lab.load() for _ in servers])
            spreads[name].watch(subscribers)
            # What is made at the first use.
            spreads[name].measure(subscribers, 1)
        for spread in spreads.values():
            spread.micros.clear()
            spread.last_millis.clear()
        for _ in range(rounds):
            for spread in spreads.values():
                spread.measure(subscribers, changes)
        for spread in spreads.values():
            for stopping in (*spread.loads, *(server.process for server in spread.servers)):
                stopping.stop()
    name = f"one change to {subscribers:,} subscribers on PostgreSQL"
    return [
        Figure(
            name=name,
            unit="µs of CPU per delivery, commit included",
            runs={key: spread.micros for key, spread in spreads.items()},
        ),
        Figure(
            name=f"{name}: the last one has it",
            unit="ms, commit included",
            runs={key: spread.last_millis for key, spread in spreads.items()},
        ),
    ]


def _server(lab: Lab, url: str, **settings: object) -> GraphQLServer:
    return lab.modelwire(database_url=url, encryption_keys=ENCRYPTION_KEYS, **settings)
