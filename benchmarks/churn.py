"""Churn: subscriptions that come and go on open sockets must leave nothing behind in the server's memory.

Each gets its snapshot and is ended by the client. Strawberry's own handler is the peer, with fewer of them, because it
takes so long; both figures are for as many as Modelwire had.
"""

from __future__ import annotations

from .figures import Figure, Goal
from .lab import Lab
from .servers import ALIAS, GraphQLServer, subscribe_text, watch

SOCKETS = 20


def run(lab: Lab) -> list[Figure]:
    total, of_stock, warm_up = lab.choose((12_000, 3_000, 2_000), (40, 40, 20))
    grown = {"modelwire": _grown(lab, "modelwire", total, warm_up)}
    grown["stock"] = _grown(lab, "stock", of_stock, warm_up) * total / of_stock
    return [
        Figure(
            name=f"memory that {total:,} subscriptions leave behind",
            unit="MiB",
            runs={name: [value] for name, value in grown.items()},
            goals=[Goal(over="modelwire", at_most=2)],
        )
    ]


def _grown(lab: Lab, kind: str, total: int, warm_up: int) -> float:
    server: GraphQLServer = lab.start(kind)
    load = lab.load()
    watch(load, server, SOCKETS, operation_id="first")
    load.churn(warm_up, subscribe=subscribe_text(ALIAS, "warm-%d"))
    server.process.settle()
    before = server.process.memory_bytes()
    load.churn(total, subscribe=subscribe_text(ALIAS, "%d"))
    server.process.settle()
    grown = server.process.memory_bytes() - before
    load.stop()
    lab.stop(server)
    return grown / 2**20
