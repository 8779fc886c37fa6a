"""Mutations: how many updates per second one server commits, and whether it gets slower as the store grows.

On both databases, each of which waits for its disk at every commit: with 10, 1,000 and 100,000 configs, and with
1,000,000 rows in the change log (1,000 configs of 1,000 versions). Eight clients, each with a config of its own. The
peer of a full store is the nearly empty one.

The goal of 300 per second comes from a machine on which stock Strawberry answered 370 queries per second over HTTP.
What it answers here is measured in turns with the updates: 0.81 of it is what 300 were there, if its queries were like
these. It stands beside the goal, and not in its place.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field

from .figures import Figure, Goal
from .lab import Lab
from .loader import Load
from .queries import ONE, http_head, query_rate
from .servers import UPDATE, GraphQLServer
from .stores import ENCRYPTION_KEYS, config_id, fill, postgresql, settings_of

CLIENTS = 8
SIZES = {
    "10 configs": (10, 1),
    "1,000 configs": (1_000, 1),
    "100,000 configs": (100_000, 1),
    "1,000,000 log rows": (1_000, 1_000),
}
STOCK_QUERIES = "stock's queries"
SMALL_SIZES = {"10 configs": (10, 1), "1,000 log rows": (100, 10)}


@dataclass
class _Filled:
    """A server on a store, and what each round gave."""

    server: GraphQLServer
    version: int
    rates: list[float] = field(default_factory=list)
    millis: list[float] = field(default_factory=list)

    def update(self, load: Load, each: int) -> None:
        bodies = [[_update(number)] for number in range(1, CLIENTS + 1)]
        cpu = self.server.process.cpu_seconds()
        answers = load.http(
            self.server.port, http_head(self.server), bodies, total=CLIENTS * each, first=self.version, each=each
        )
        self.version += each
        self.millis.append((self.server.process.cpu_seconds() - cpu) / (CLIENTS * each) * 1e3)
        self.rates.append(CLIENTS * each / answers.seconds)


def _update(number: int) -> str:
    """The body of a request, with `%d` for the version that is updated."""
    variables = {"id": config_id(number), "version": "VERSION", "params": {"max_tokens": "VERSION"}}
    return json.dumps({"query": UPDATE, "variables": variables}).replace('"VERSION"', "%d")


def run(lab: Lab) -> list[Figure]:
    sizes = lab.choose(SIZES, SMALL_SIZES)
    figures = _measure(lab, "SQLite", sizes, dict.fromkeys(sizes))
    if not lab.small:
        with postgresql(len(sizes)) as urls:
            figures += _measure(lab, "PostgreSQL", sizes, dict(zip(sizes, urls, strict=True)))
    return figures


def _measure(
    lab: Lab, database: str, sizes: dict[str, tuple[int, int]], urls: dict[str, str] | dict[str, None]
) -> list[Figure]:
    each, rounds = lab.choose((12, 5), (2, 1))
    stores: dict[str, _Filled] = {}
    queries: list[float] = []
    load = lab.load()
    stock: GraphQLServer = lab.start("stock")
    with contextlib.ExitStack() as stack:
        for name, (configs, versions) in sizes.items():
            folder, url = lab.new_folder(), urls[name]
            fill(settings_of(folder, url), configs=configs, versions=versions)
            options = {} if url is None else {"database_url": url, "encryption_keys": ENCRYPTION_KEYS}
            server = lab.modelwire(folder=folder, **options)
            stack.callback(server.process.stop)
            stores[name] = _Filled(server, versions)
        for round_ in range(rounds + 1):
            for store in stores.values():
                store.update(load, each)
            queries.append(query_rate(load, stock, ONE, CLIENTS * each))
            if not round_:
                # The first one makes what is made at the first use.
                queries.clear()
                for store in stores.values():
                    store.rates.clear()
                    store.millis.clear()
    load.stop()
    lab.stop(stock)
    smallest, *larger = sizes
    return [
        Figure(
            name=f"updates on {database}",
            unit="per second",
            runs={**{name: store.rates for name, store in stores.items()}, STOCK_QUERIES: queries},
            goals=[
                Goal(over=smallest, at_least=300),
                Goal(over=smallest, under=STOCK_QUERIES, at_least=0.81),
                *(Goal(over=smallest, under=name, at_most=1.2) for name in larger),
            ],
        ),
        Figure(
            name=f"updates on {database}: what one costs",
            unit="ms of the server's CPU",
            runs={name: store.millis for name, store in stores.items()},
            goals=[Goal(over=name, under=smallest, at_most=1.2) for name in larger],
        ),
    ]
