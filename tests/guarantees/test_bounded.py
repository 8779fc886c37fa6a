"""Subscribers that stop reading while megabytes are committed: they cost no queue, and they are dropped."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from guarantees.checkers import BUFFER_BYTES, violations
from guarantees.history import Credential, Frozen, History, WatchHistory
from guarantees.recorders import DOCUMENTS, Shown, Signal, Watcher, subscription_socket
from guarantees.servers import Server
from guarantees.world import ADMIN_KEY, ENVIRONMENT, note_log
from guarantees.writers import KEPT, Writer
from live_server import until
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

SLOTHS = 4
FILLING_BYTES = 60_000
HANG_SECONDS = 120.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/bounded.db"


@pytest.fixture
async def server(tmp_path: Path, url: str) -> AsyncIterator[Server]:
    server = Server(tmp_path / "server", {**ENVIRONMENT, "MODELWIRE_DATABASE_URL": url})
    await server.start()
    yield server
    await server.close()


class Sloth:
    """A subscriber to everything that reads its first event and then nothing more, until it wakes up."""

    def __init__(self, socket: ClientConnection, name: str) -> None:
        self._socket = socket
        self._port: int = socket.transport.get_extra_info("sockname")[1]
        self.frozen = Frozen(name, time.time(), 0.0, 0, 0)

    @classmethod
    async def fall_asleep(cls, stack: AsyncExitStack, server: Server, name: str) -> Sloth:
        socket = await stack.enter_async_context(subscription_socket(server.url))
        for message in (
            {"type": "connection_init", "payload": {"authorization": f"Bearer {ADMIN_KEY}"}},
            {"type": "subscribe", "id": "1", "payload": {"query": DOCUMENTS[0], "variables": {}}},
        ):
            await socket.send(json.dumps(message))
            await socket.recv()
        socket.transport.pause_reading()
        return cls(socket, name)

    def dropped(self, open_ports: set[int]) -> bool:
        """Note when the server has given it up."""
        if self.frozen.dropped_at is None and self._port not in open_ports:
            self.frozen.dropped_at = time.time()
        return self.frozen.dropped_at is not None

    async def wake_up(self) -> None:
        """Read all that there is."""
        self.frozen.thawed_at = time.time()
        self._socket.transport.resume_reading()
        try:
            while True:
                self.frozen.backlog_bytes += len(await self._socket.recv())
        except ConnectionClosed:
            pass


def all_dropped(sloths: list[Sloth], server: Server) -> bool:
    peers = server.peers()
    return sum(sloth.dropped(peers) for sloth in sloths) == len(sloths)


async def test_who_does_not_read_costs_no_queue_and_is_dropped(server: Server, url: str) -> None:
    history, signal = History("bounded", "sqlite", credentials={"admin": Credential("admin")}), Signal()
    awake = WatchHistory("awake")
    history.watches.append(awake)

    async def credential() -> Shown:
        return "admin", ADMIN_KEY, None

    async with AsyncExitStack() as stack:
        writer = Writer(server.url, ADMIN_KEY, history, itertools.count(1), seed="bounded")
        stack.push_async_callback(writer.close)
        await writer.write(KEPT)
        sloths = [await Sloth.fall_asleep(stack, server, f"sloth {number}") for number in range(SLOTHS)]
        history.frozen = [sloth.frozen for sloth in sloths]
        watcher = Watcher(server.url, [awake], credential, signal=signal, seed="bounded")
        watching = asyncio.create_task(watcher.run())
        # As it happens: the writes take longer than a subscriber may.
        dropped = asyncio.create_task(until(lambda: all_dropped(sloths, server), HANG_SECONDS))
        offered = 0
        while offered < 1.5 * BUFFER_BYTES:
            await writer.write(KEPT, filling="x" * FILLING_BYTES)
            offered += FILLING_BYTES
            for sloth in sloths:
                sloth.frozen.offered_bytes = offered
                if offered > BUFFER_BYTES and sloth.frozen.full_at is None:
                    sloth.frozen.full_at = time.time()
        await dropped
        await note_log(url, history)
        await signal.until(lambda: watcher.positions() == [history.final], HANG_SECONDS)
        for sloth in sloths:
            await sloth.wake_up()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert violations(history) == {}
    assert all(frozen.dropped_at is not None for frozen in history.frozen)
