"""How many servers a fleet needs, calculated from what was measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .figures import Figure, number

FLEETS = (1_000, 100_000, 1_000_000)
PER_PROCESS = 10_000
"""So many components are given to one server process, which is one core."""

POOL = 8
"""`database_pool_size`; one more connection listens."""

RENEWALS_PER_SECOND = 0.1
"""Each process renews the lease of its components every ten seconds."""

STATEMENTS_PER_RENEWAL = 4
STATEMENTS_PER_CHECK = 2
"""Once a second each process looks whether the log has anything new: begin, and the position."""

ROWS_PER_CHANGE = 2
"""For each component that uses the config: which version it was sent, and what became of it."""


def sizing_table(figures: Mapping[str, Sequence[Figure] | None]) -> list[str]:
    """The lines of a table; none when something was not measured that it needs."""
    micros = _median(figures, "fanout", "5,000 subscribers", "modelwire")
    kib = _median(figures, "connections", "memory of an idle", "modelwire, components")
    base_mib = _median(figures, "connections", "memory of a server", "modelwire")
    storm = _median(figures, "connections", "a storm", "modelwire, components")
    idle = _median(figures, "idle", "nothing to hear", "modelwire")
    spoken = _median(figures, "acknowledgements", "an acknowledgement", "modelwire")
    if micros is None or kib is None or base_mib is None or storm is None or idle is None or spoken is None:
        return []
    rows: dict[str, list[str]] = {}
    for fleet in FLEETS:
        processes = math.ceil(fleet / PER_PROCESS) + 1
        each = fleet / processes
        idle_statements = processes * (STATEMENTS_PER_CHECK + STATEMENTS_PER_RENEWAL * RENEWALS_PER_SECOND)
        cells = {
            "server processes, one of them to spare": f"{processes:,}",
            "memory of all of them": f"{number(processes * base_mib / 1024 + fleet * kib / 2**20)} GiB",
            "cores in use while nothing changes": number(fleet / 1_000 * idle / 60),
            "one change that all of them watch: the last has it after": f"{number(each * micros / 1e6)} s",
            "and all have said that they run it, after": f"{number(each * (micros + spoken) / 1e6)} s",
            "all come back at once: the last has its state after": f"{number(each / 5_000 * storm)} s",
            "connections to PostgreSQL, at most": f"{processes * (POOL + 1):,}",
            "statements per second while nothing changes": number(idle_statements),
            "rows that say who is there, read per second": number(fleet * RENEWALS_PER_SECOND),
            "rows written for one change that all of them watch": f"{fleet * ROWS_PER_CHANGE:,}",
        }
        for name, cell in cells.items():
            rows.setdefault(name, []).append(cell)
    head = " | ".join(f"{fleet:,} components" for fleet in FLEETS)
    lines = [f"| | {head} |", "| --- |" + " --- |" * len(FLEETS)]
    return [*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())]


def _median(figures: Mapping[str, Sequence[Figure] | None], benchmark: str, name: str, variant: str) -> float | None:
    """The median of a variant in the first figure of a benchmark that has these words in its name."""
    for figure in figures.get(benchmark) or ():
        if name in figure.name and variant in figure.runs:
            return figure.spread(variant).median
    return None
