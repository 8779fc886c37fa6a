"""Many groups, not one: 100 aliases with 10 subscribers each, and 1,000 aliases with one each, one of them changed.

An import changes all aliases of the first in one transaction; against Strawberry's own handler. Another server process
on the same database makes it: what writing costs varies by more than what is measured. Of the second, the whole cost of
a change is held against that of the same change with one subscriber in all: the 999 others must cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .figures import Figure, Goal
from .lab import Lab
from .servers import GraphQLServer, watch


def run(lab: Lab) -> list[Figure]:
    groups, members, single = lab.choose((100, 10, 1_000), (10, 2, 20))
    rounds = lab.choose(5, 1)
    return [_many_groups(lab, groups, members, rounds), _one_of_many(lab, single, rounds)]


def _cpu(server: GraphQLServer, work: Callable[[], None]) -> float:
    cpu = server.process.cpu_seconds()
    work()
    return server.process.cpu_seconds() - cpu


class _Fleet:
    """A server, the one that writes, and the load generators of its groups: each has one member of every group."""

    def __init__(self, lab: Lab, kind: str, groups: int, members: int) -> None:
        self.server: GraphQLServer = lab.start(kind)
        self._writer = self.server if lab.small else lab.modelwire(folder=self.server.folder)
        self.loads = [lab.load() for _ in range(members)]
        self._aliases = [f"group-{number}" for number in range(groups)]
        self._writer.import_all(self._aliases)

    def watch(self) -> None:
        for load in self.loads:
            watch(load, self.server, len(self._aliases), alias="group-%d")

    def fan_out(self) -> None:
        for load in self.loads:
            load.expect(len(self._aliases))
        self._writer.import_all(self._aliases)
        for load in self.loads:
            load.arrived()

    def stop(self, lab: Lab) -> None:
        for load in self.loads:
            load.stop()
        if self._writer is not self.server:
            self._writer.process.stop()
        lab.stop(self.server)


def _many_groups(lab: Lab, groups: int, members: int, rounds: int) -> Figure:
    fleets = {kind: _Fleet(lab, kind, groups, members) for kind in ("modelwire", "stock")}
    for fleet in fleets.values():
        fleet.watch()
        fleet.fan_out()
    runs: dict[str, list[float]] = {kind: [] for kind in fleets}
    for _ in range(rounds):
        for kind, fleet in fleets.items():
            runs[kind].append(_cpu(fleet.server, fleet.fan_out) / (groups * members) * 1e6)
    for fleet in fleets.values():
        fleet.stop(lab)
    return Figure(
        name=f"{groups:,} groups of {members}, all changed at once",
        unit="µs of CPU per delivery",
        runs=runs,
        goals=[Goal(over="stock", under="modelwire", at_least=6)],
    )


def _one_of_many(lab: Lab, count: int, rounds: int) -> Figure:
    changes = lab.choose(20, 3)
    server: GraphQLServer = lab.start("modelwire")
    server.import_all(["single", *(f"other-{number}" for number in range(count - 1))])
    alone, others = lab.load(), lab.load()
    watch(alone, server, 1, alias="single")

    def change() -> None:
        for _ in range(changes):
            alone.expect(1)
            server.change("single")
            alone.arrived()

    change()
    runs: dict[str, list[float]] = {"one subscriber in all": [], f"one of {count:,}": []}
    only, among = runs
    # In turns: the others leave and come back.
    for _ in range(rounds):
        runs[only].append(_cpu(server, change) / changes * 1e6)
        watch(others, server, count - 1, alias="other-%d")
        runs[among].append(_cpu(server, change) / changes * 1e6)
        others.close()
        server.process.settle()
    alone.stop()
    others.stop()
    lab.stop(server)
    return Figure(
        name=f"{count:,} groups of 1, one of them changed",
        unit="µs of CPU per change, commit included",
        runs=runs,
        goals=[Goal(over=among, under=only, at_most=1.2)],
    )
