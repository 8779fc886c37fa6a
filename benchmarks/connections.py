"""A storm: subscribers that all connect at once and want their snapshot; and what each of them then holds in memory.

The time is from the first connect to the last first event. Peers: the ASGI application with ready text, `websockets`,
and Strawberry's own handler. Modelwire is measured twice: with plain subscribers, which its peers have too, and with
components, each of which shows a credential, says who it is and is noted in the database. Memory is what the process
shares with nobody, before and after the first storm, and counts components.
"""

from __future__ import annotations

from .figures import Figure, Goal
from .lab import Lab
from .loader import Load
from .servers import Server, watch

COMPONENTS = "modelwire, components"
VARIANTS = {"modelwire": "modelwire", COMPONENTS: "modelwire", "ceiling": "ceiling", "broadcast": "broadcast"}


def run(lab: Lab) -> list[Figure]:
    count, rounds = lab.choose((5_000, 2), (40, 1))
    variants = {**VARIANTS, "stock": "stock"}
    servers: dict[str, Server] = {name: lab.start(kind) for name, kind in variants.items()}
    loads = {name: lab.load() for name in variants}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    kib: dict[str, list[float]] = {}
    base = servers["modelwire"].process.memory_bytes() / 2**20
    for round_ in range(rounds):
        for name, server in servers.items():
            if round_ == 0:
                # What is made at the first use is nobody's in particular.
                _storm(loads[name], server, name, 20)
            before = server.process.memory_bytes()
            seconds[name].append(_storm(loads[name], server, name, count, close=False))
            if round_ == 0:
                kib[name] = [(server.process.memory_bytes() - before) / count / 1024]
            _end(loads[name], server)
    for name, server in servers.items():
        loads[name].stop()
        lab.stop(server)
    storm = Figure(
        name=f"a storm of {count:,} connects with snapshots",
        unit="s until the last has it",
        runs=seconds,
        goals=[
            Goal(over="modelwire", under="ceiling", at_most=1.6),
            Goal(over="stock", under="modelwire", at_least=8),
        ],
    )
    memory = Figure(
        name="memory of an idle subscriber", unit="KiB", runs=kib, goals=[Goal(over=COMPONENTS, at_most=36)]
    )
    alone = Figure(name="memory of a server with nobody connected", unit="MiB", runs={"modelwire": [base]})
    return [storm, memory, alone]


def _storm(load: Load, server: Server, name: str, count: int, *, close: bool = True) -> float:
    """Seconds until all had their first event."""
    arrived = watch(load, server, count, component=name == COMPONENTS, window=2_000)
    server.process.settle()
    if close:
        _end(load, server)
    return arrived.last - arrived.began


def _end(load: Load, server: Server) -> None:
    load.close()
    server.process.settle()
