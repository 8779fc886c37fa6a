"""What components cost that have nothing to hear: 1,000 of them on sockets, beside 1,000 that poll every 10 seconds.

On sockets the server sends pings and bookmarks, and renews the components' lease in the database. Components send
nothing but what answers pings: they ask for a sign of life only when bookmarks do not come. The peers are polled on
connections that are kept, which is less than they would have to do: Strawberry's own handler with the query of a
component, and a small application that answers 304 (see `peers/etag.py`), with a look at the store and, for the least
that polling can cost, without one. Their cost is that of one answer, times 6,000, and what they cost when nobody asks.
"""

from __future__ import annotations

import json

from .figures import Figure, Goal
from .lab import Lab
from .loader import Load
from .queries import CONNECTIONS, ONE, http_head
from .servers import ALIAS, AUTHORIZATION, GraphQLServer, Server, watch

HOLD_SECONDS = 50.0
"""As often as the server pings, and twice as often as it sends bookmarks: in this time each gets its part."""

POLL_SECONDS = 10.0


def run(lab: Lab) -> list[Figure]:
    components, rounds, seconds = lab.choose((1_000, 3, HOLD_SECONDS), (50, 1, 1.0))
    server: GraphQLServer = lab.start("modelwire")
    stock: GraphQLServer = lab.start("stock")
    etag: Server = lab.start("etag")
    holding, polling = lab.load(), lab.load()
    polls = components * 60 / POLL_SECONDS
    body = json.dumps(ONE)
    requests: dict[str, tuple[Server, str, str]] = {
        "GraphQL polling, stock": (stock, http_head(stock), body),
        "ETag polling": (etag, _conditional(f"/configs/{ALIAS}", etag), ""),
        "ETag polling, from a constant": (etag, _conditional("/constant", etag), ""),
    }
    total = lab.choose(1_000, 40)
    watch(holding, server, components, component=True)
    server.process.settle()
    runs: dict[str, list[float]] = {"modelwire": [], **{name: [] for name in requests}}
    for _ in range(rounds):
        before = {each: each.process.cpu_seconds() for each in (server, stock, etag)}
        holding.hold(seconds)
        waited = {each: (each.process.cpu_seconds() - cpu) / seconds * 60 for each, cpu in before.items()}
        runs["modelwire"].append(waited[server])
        for name, (polled, head, content) in requests.items():
            runs[name].append(waited[polled] + polls * _cpu_of_one(polling, polled, head, content, total))
    for load in (holding, polling):
        load.stop()
    for each in (server, stock, etag):
        lab.stop(each)
    figure = Figure(
        name=f"{components:,} components with nothing to hear",
        unit="s of CPU per minute",
        runs=runs,
        # A server costs something with nobody connected too, and with few that is nearly all.
        goals=[]
        if lab.small
        else [
            Goal(over="modelwire", under="GraphQL polling, stock", at_most=0.02),
            Goal(over="modelwire", under="ETag polling", at_most=0.15),
        ],
    )
    return [figure]


def _conditional(path: str, server: Server) -> str:
    """The head of a request of somebody who has the first version, which is the current one."""
    host = f"host: 127.0.0.1:{server.port}"
    return f'GET {path} HTTP/1.1\r\n{host}\r\nauthorization: {AUTHORIZATION}\r\nif-none-match: "1"\r\n'


def _cpu_of_one(load: Load, server: Server, head: str, body: str, total: int) -> float:
    cpu = server.process.cpu_seconds()
    load.http(server.port, head, [[body]] * CONNECTIONS, total)
    return (server.process.cpu_seconds() - cpu) / total
