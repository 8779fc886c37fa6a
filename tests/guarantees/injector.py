"""Makes the faults of a plan happen."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from fault_proxy import Direction, FaultProxy
from guarantees.databases import Postgres, Sqlite
from guarantees.history import FaultRecord
from guarantees.plan import Fault
from guarantees.servers import Server
from guarantees.world import World

AT_ONCE = 4
"""So many faults of the network may happen at the same time, and one of processes besides."""

PAUSE_SECONDS = 0.1
"""The longest between one of them and the next."""

CHANGES = 5
"""So many mutations are answered before each of processes, so that it meets a world at work however fast it is over."""

CHANGES_SECONDS = 120.0
"""A hang guard for these."""


class Injector:
    """Injects faults. `tally` has how many of each kind hit somebody."""

    def __init__(self, world: World) -> None:
        self.tally = Counter[str]()
        self._world = world
        self._begun = 0
        self._due = 0

    async def run(self, network: Iterator[Fault], count: int, processes: Iterator[Fault], process_count: int) -> None:
        """`count` of the network, and `process_count` others one after the other, with an equal share of those of the
        network beside each. Raises what goes wrong with a fault itself.
        """
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._disturb(network, count))
            for number, fault in enumerate(islice(processes, process_count), 1):
                self._due = count * number // (process_count + 1)
                wanted = self._answered() + CHANGES
                await self._world.signal.until(lambda wanted=wanted: self._answered() >= wanted, CHANGES_SECONDS)
                began_at = time.time()
                await process_fault(self._world, fault)
                self._note(fault, None, began_at)
            self._due = count

    def _answered(self) -> int:
        return sum(mutation.outcome == "answered" for mutation in self._world.history.mutations)

    async def _disturb(self, faults: Iterator[Fault], count: int) -> None:
        while self._begun < count:
            if self._begun < self._due and (line := self._line((fault := next(faults)).whom)) is not None:
                began_at = time.time()
                self._begun += 1
                if await network_fault(line, fault):
                    self._note(fault, line.name, began_at)
                else:
                    self._begun -= 1
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))

    def _line(self, whom: int) -> FaultProxy | None:
        """The first one from there that has a connection to which something can happen."""
        lines = self._world.lines
        start = whom % len(lines)
        return next((line for line in lines[start:] + lines[:start] if line.open), None)

    def _note(self, fault: Fault, target: str | None, began_at: float) -> None:
        self.tally[fault.kind] += 1
        self._world.history.faults.append(FaultRecord(fault.kind, target, began_at, time.time()))


async def network_fault(line: FaultProxy, fault: Fault) -> int:
    """How many connections it hit."""
    direction = Direction.TO_CLIENT if fault.dice[0] < 0.5 else Direction.TO_SERVER
    match fault.kind:
        case "cut":
            return line.cut()
        case "swallow":
            return line.swallow()
        case "leave client alone":
            return line.half_open(Direction.TO_SERVER)
        case "leave server alone":
            return line.half_open(Direction.TO_CLIENT)
        case "move":
            line.target += 1
            return line.cut()
        case "tear":
            return line.tear(direction)
        case "garble":
            return line.garble(direction)
        case _:
            return await _for_a_while(line, fault)


async def _for_a_while(line: FaultProxy, fault: Fault) -> int:
    slowness, seconds = 0.1 * fault.dice[0], fault.dice[1]
    match fault.kind:
        case "stall":
            hit = line.stall()
            await asyncio.sleep(seconds)
            line.flow()
        case "delay":
            hit = line.delay(slowness)
            await asyncio.sleep(seconds)
            line.delay(0)
        case "refuse":
            line.refusing = True
            hit = line.cut()
            await asyncio.sleep(seconds)
            line.refusing = False
        case _:
            raise ValueError(fault.kind)
    return hit


async def process_fault(world: World, fault: Fault) -> None:
    server = world.servers[fault.whom % len(world.servers)]
    first, second = fault.dice
    match fault.kind:
        case "server killed":
            await server.kill()
            await server.start()
        case "server killed at start":
            await server.kill()
            server.spawn()
            await asyncio.sleep(0.5 * first)
            await server.kill()
            await server.start()
        case "server restarted":
            await server.stop()
            await server.start()
        case "server frozen":
            await _freeze(server, 3 * second)
        case "key revoked":
            await world.keys[fault.whom % len(world.keys)].revoke()
        case "restore":
            await _restore(world)
        case "proxy killed":
            assert world.proxy is not None
            await world.proxy.kill()
            await world.proxy.start()
        case _:
            await _database_fault(world, fault)


async def _database_fault(world: World, fault: Fault) -> None:
    database, seconds = world.database, 2 * fault.dice[1]
    if isinstance(database, Sqlite):
        await database.lock(seconds)
        return
    assert isinstance(database, Postgres)
    match fault.kind:
        case "postgres restarted":
            await database.restart(database.server.stop, seconds)
        case "postgres killed":
            await database.restart(database.server.kill, seconds)
        case "postgres frozen":
            await database.freeze(seconds)
        case "postgres listeners ended":
            await database.end_sessions(listeners=True)
        case "postgres sessions ended":
            await database.end_sessions(listeners=False)
        case _:
            raise ValueError(fault.kind)


async def _freeze(server: Server, seconds: float) -> None:
    server.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        server.signal(signal.SIGCONT)


async def _restore(world: World) -> None:
    """An older state takes the place of the database. What was committed in between is lost, and that is no fault."""
    await world.database.back_up()
    await asyncio.sleep(0.3)
    await world.pause_writers()
    await world.note_log()
    if isinstance(world.database, Postgres):
        await asyncio.gather(*(server.stop() for server in world.servers))
    await world.database.restore()
    for key in world.keys:
        key.forget()
    if isinstance(world.database, Postgres):
        await asyncio.gather(*(server.start() for server in world.servers))
    world.resume_writers()
