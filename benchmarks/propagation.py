"""From the commit to the agents: when 32 real component processes use a change, and when another server sees a commit.

The components are processes with the subscriber in them, which all share the core that the server has not. The peer is
the raw echo: as many processes with the websockets library alone, which get the same frames from an ASGI application.
The commit is where the server's log has it. The other application commits nothing: its time counts from where it begins
to send.

The commits that another server process sees are made by this program, through the store, as a second server would; the
time is from the end of the transaction to the frame at a subscriber. PostgreSQL tells (NOTIFY); SQLite is asked every
`feed_poll_seconds`.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from modelwire.resolvers.merge import draft_of
from modelwire.server.database import database_url, read_keyring
from modelwire.server.settings import Settings
from modelwire.store import Store, open_store

from .figures import Figure, Goal
from .lab import Lab
from .processes import LOAD_CORE, MeasuredProcess
from .servers import ADMIN_KEY, ALIAS, MIN_BYTES, GraphQLServer, ReadyServer, Server, init_text, subscribe_text
from .stores import ENCRYPTION_KEYS, postgresql, settings_of

POLL_SECONDS = 0.2

# So long nobody reads what the components say: whoever did would be woken by each of them, on their core.
_PAUSE_SECONDS = 0.1


def run(lab: Lab) -> list[Figure]:
    figures = _applied(lab)
    figures.append(_seen(lab, "SQLite", None, at_most=POLL_SECONDS * 1e3 * 1.1))
    if not lab.small:
        with postgresql(1) as (url,):
            figures.append(_seen(lab, "PostgreSQL", url, at_most=5))
    return figures


class _Fleet:
    """Client processes of one kind, and the server whose changes they hear of. `change` has it send the next one, and
    gives the moment of its commit.
    """

    def __init__(self, lab: Lab, server: Server, count: int, arguments: list[str], change: Callable[[], float]) -> None:
        self.server = server
        self._change = change
        folder = lab.new_folder()
        command = [sys.executable, "-m", *arguments]
        self.clients = [MeasuredProcess(command, core=LOAD_CORE, log=folder / str(n)) for n in range(count)]
        for client in self.clients:
            # The first configuration: it listens.
            self._next(client)

    @staticmethod
    def _next(client: MeasuredProcess) -> float:
        line = client.output.readline()
        if not line:
            raise client.failure("a client ended")
        return float(json.loads(line)) / 1e9

    def change(self) -> list[float]:
        """Seconds from the commit until each of them had it, sorted."""
        # What the components answered to the change before.
        self.server.process.settle()
        committed = self._change()
        return sorted(self._next(client) - committed for client in self.clients)

    def stop(self) -> None:
        for client in self.clients:
            client.stop()


def _logged_commit(server: GraphQLServer) -> Callable[[], float]:
    """Change something, and find the commit in the server's log."""

    def change() -> float:
        server.change()
        time.sleep(_PAUSE_SECONDS)
        lines = [json.loads(line) for line in server.process.log.read_text().splitlines() if "was committed" in line]
        return datetime.fromisoformat(lines[-1]["time"]).timestamp() - time.time() + time.monotonic()

    return change


def _sent_at(server: ReadyServer) -> Callable[[], float]:
    """Have the ready text sent, which the application begins to do at the moment that it answers."""

    def change() -> float:
        began = int(server.change()) / 1e9
        time.sleep(_PAUSE_SECONDS)
        return began

    return change


def _applied(lab: Lab) -> list[Figure]:
    count, rounds, changes = lab.choose((32, 5, 60), (3, 1, 2))
    modelwire = lab.modelwire(log_format="json")
    ceiling: ReadyServer = lab.start("ceiling")
    url = f"ws://127.0.0.1:{ceiling.port}/"
    echo = ["benchmarks.clients.echo", url, init_text(), subscribe_text(), str(MIN_BYTES)]
    component = ["benchmarks.clients.component", f"http://127.0.0.1:{modelwire.port}", ADMIN_KEY, ALIAS]
    with ExitStack() as stack:
        fleets = {
            "modelwire": _Fleet(lab, modelwire, count, component, _logged_commit(modelwire)),
            "raw echo": _Fleet(lab, ceiling, count, echo, _sent_at(ceiling)),
        }
        for fleet in fleets.values():
            stack.callback(fleet.stop)
        medians: dict[str, list[float]] = {name: [] for name in fleets}
        p99: dict[str, list[float]] = {name: [] for name in fleets}
        for _ in range(rounds):
            for name, fleet in fleets.items():
                delays = sorted(delay for _ in range(changes) for delay in fleet.change())
                medians[name].append(statistics.median(delays) * 1e3)
                p99[name].append(delays[len(delays) * 99 // 100] * 1e3)
    for each in (modelwire, ceiling):
        lab.stop(each)
    name = f"commit to applied, {count} component processes"
    # Of few clients and changes the first, which are cold, are most: no ratio.
    goals = lab.choose([Goal(over="modelwire", under="raw echo", at_most=2)], [])
    return [
        Figure(name=f"{name}, p50", unit="ms", runs=medians),
        Figure(name=f"{name}, p99", unit="ms", runs=p99, goals=goals),
    ]


def _seen(lab: Lab, database: str, url: str | None, *, at_most: float) -> Figure:
    folder = lab.new_folder()
    options = {} if url is None else {"database_url": url, "encryption_keys": ENCRYPTION_KEYS}
    server = lab.modelwire(folder=folder, feed_poll_seconds=POLL_SECONDS, **options)
    settings = settings_of(folder, url)
    delays = asyncio.run(_delays(server, settings, lab.choose(40, 3)))
    lab.stop(server)
    return Figure(
        name=f"another server process sees a commit, {database}",
        unit="ms until a subscriber has it",
        runs={"modelwire": [delay * 1e3 for delay in delays]},
        goals=[Goal(over="modelwire", at_most=at_most)],
    )


async def _delays(server: GraphQLServer, settings: Settings, commits: int) -> list[float]:
    store = await open_store(database_url(settings), read_keyring(settings))
    url = f"ws://127.0.0.1:{server.port}{server.path}"
    delays = []
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        await socket.send(init_text())
        await socket.recv()
        await socket.send(subscribe_text())
        await _next_config(socket)
        for number in range(commits):
            # At any moment of the server's polling.
            await asyncio.sleep(random.uniform(0, POLL_SECONDS))
            arriving = asyncio.create_task(_next_config(socket))
            await _commit(store, number)
            committed = time.monotonic()
            delays.append(await arriving - committed)
    await store.close()
    return delays


async def _next_config(socket: ClientConnection) -> float:
    """When the next frame with a config arrived."""
    while len(await socket.recv()) < MIN_BYTES:
        pass
    return time.monotonic()


async def _commit(store: Store, number: int) -> None:
    async with store.transaction(by="benchmark") as transaction:
        config = await transaction.find(alias=ALIAS)
        assert config is not None
        draft = draft_of(config, transaction.open_secrets(config))
        await transaction.update(config, replace(draft, params={"max_tokens": 100 + number}))
