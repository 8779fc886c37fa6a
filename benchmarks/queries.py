"""HTTP queries: how many per second one server process answers, on connections that are kept, beside stock Strawberry.

Modelwire looks at the API key of each request, Strawberry's handler at none. One config by its alias, as a component
would poll it, and a page of fifty, as a frontend shows it.
"""

from __future__ import annotations

import json

from modelwire.subscriber.events import DOCUMENT

from .figures import Figure, Goal
from .lab import Lab
from .loader import Load
from .servers import ALIAS, AUTHORIZATION, GraphQLServer

CONNECTIONS = 8
ONE: dict[str, object] = {
    "query": "query ($alias: String!) { modelConfig(by: {alias: $alias}) { ...Config } } "
    + DOCUMENT[DOCUMENT.index("fragment Config") :].strip(),
    "variables": {"alias": ALIAS},
}
PAGE: dict[str, object] = {
    "query": """{ modelConfigs(first: 50) {
  edges { cursor node { id alias description provider model apiBase version updatedAt updatedBy params } }
  pageInfo { hasNextPage endCursor }
} }"""
}


def run(lab: Lab) -> list[Figure]:
    servers: dict[str, GraphQLServer] = {kind: lab.start(kind) for kind in ("modelwire", "stock")}
    load = lab.load()
    for server in servers.values():
        server.import_all(f"query-{number}" for number in range(50))
    figures = []
    for name, query, total in (
        ("one config by its alias", ONE, lab.choose(1_000, 40)),
        ("a page of 50 configs", PAGE, lab.choose(300, 20)),
    ):
        rates: dict[str, list[float]] = {kind: [] for kind in servers}
        for round_ in range(lab.choose(6, 2)):
            for kind, server in servers.items():
                rate = query_rate(load, server, query, total)
                # The first one makes what is made at the first use.
                if round_:
                    rates[kind].append(rate)
        goal = Goal(over="modelwire", under="stock", at_least=6)
        figures.append(Figure(name=f"HTTP queries: {name}", unit="per second", runs=rates, goals=[goal]))
    load.stop()
    for server in servers.values():
        lab.stop(server)
    return figures


def http_head(server: GraphQLServer) -> str:
    """The head of a GraphQL request, without its length."""
    return (
        f"POST {server.path} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\ncontent-type: application/json\r\n"
        f"authorization: {AUTHORIZATION}\r\n"
    )


def query_rate(load: Load, server: GraphQLServer, query: dict[str, object], total: int) -> float:
    """How many of `total` queries the server answered per second."""
    body = json.dumps(query)
    answers = load.http(server.port, http_head(server), [[body]] * CONNECTIONS, total)
    return total / answers.seconds
