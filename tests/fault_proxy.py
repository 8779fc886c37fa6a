"""A TCP proxy on loopback that does to connections what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum

# Neither a frame of a websocket nor UTF-8, wherever it stands: what it damages cannot pass for something else.
_GARBAGE = b"\xff" * 16
_CHUNK_BYTES = 2**16
_RESET = struct.pack("ii", 1, 0)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Direction(Enum):
    TO_CLIENT = "to the client"
    TO_SERVER = "to the server"


class FaultProxy:
    """Leads each connection to the one of `ports` that `target` counts, or to the next one where somebody listens.

    Its methods are the faults, for the event loop that it runs in. They hit the connections that are open at that time,
    and each says how many those are; `stall` and `delay` hit later ones too. `accepted` counts all that there were.
    While `refusing` is set, new ones are reset.
    """

    def __init__(self, *ports: int, name: str = "") -> None:
        self.name = name
        self.target = 0
        self.port = 0
        self.accepted = 0
        self.refusing = False
        self._ports = ports
        self._delay_seconds = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections something passes through."""
        return self._each(lambda pair: None)

    async def up(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def down(self) -> int:
        """Break all connections; there is nobody to connect to until `up`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        return self.cut()

    def cut(self) -> int:
        """Both ends hear at once that the connection broke."""
        return self._each(_Pair.cut)

    def half_open(self, towards: Direction = Direction.TO_SERVER) -> int:
        """The end in this direction hears that the connection broke; the other one hears nothing any more."""
        return self._each(lambda pair: pair.half_open(towards))

    def swallow(self) -> int:
        """Both ends stay open, and nothing that they say arrives."""
        return self._each(_Pair.swallow)

    def stall(self) -> int:
        """Nothing is read and nothing is written until `flow`. None is closed."""
        self._flowing.clear()
        return self.open

    def flow(self) -> None:
        """Let through what waits since `stall`."""
        self._flowing.set()

    def delay(self, seconds: float) -> int:
        """Each piece of the streams is on its way for this much longer."""
        self._delay_seconds = seconds
        return self.open

    def tear(self, direction: Direction) -> int:
        """Of the next piece only a half arrives, then the connection breaks."""
        return self._each(lambda pair: pair.torn.add(direction))

    def garble(self, direction: Direction = Direction.TO_CLIENT) -> int:
        """Into the next piece come bytes that nobody sent."""
        return self._each(lambda pair: pair.garbled.add(direction))

    async def close(self) -> None:
        """End everything."""
        self.down()
        self.refusing = True
        self.flow()
        while self._tasks:
            for pair in self._pairs:
                pair.cut()
            await asyncio.wait(self._tasks, timeout=0.1)

    def _each(self, do: Callable[[_Pair], object]) -> int:
        pairs = [pair for pair in self._pairs if pair.passes]
        for pair in pairs:
            do(pair)
        return len(pairs)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            if not self.refusing and (server := await self._connect()) is not None:
                await self._serve(_Pair((reader, writer), server))
        finally:
            _reset(writer)

    async def _connect(self) -> Stream | None:
        for number in range(len(self._ports)):
            with contextlib.suppress(OSError):
                port = self._ports[(self.target + number) % len(self._ports)]
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _serve(self, pair: _Pair) -> None:
        self._pairs.add(pair)
        (client_reader, client), (server_reader, server) = pair.client, pair.server
        try:
            await asyncio.gather(
                self._copy(pair, client_reader, server, Direction.TO_SERVER),
                self._copy(pair, server_reader, client, Direction.TO_CLIENT),
            )
        finally:
            self._pairs.discard(pair)
            pair.cut()

    async def _copy(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await asyncio.sleep(self._delay_seconds)
                await self._flowing.wait()
                if not pair.passes:
                    continue
                torn = direction in pair.torn
                if direction in pair.garbled:
                    pair.garbled.discard(direction)
                    chunk = _GARBAGE + chunk
                writer.write(chunk[: len(chunk) // 2] if torn else chunk)
                await writer.drain()
                if torn:
                    pair.cut()
        await self._flowing.wait()
        if pair.passes:
            # The end of one direction is the end of both, for the protocols that go over this.
            writer.close()


class _Pair:
    """A connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: Stream, server: Stream) -> None:
        self.client = client
        self.server = server
        self.passes = True
        self.torn: set[Direction] = set()
        self.garbled: set[Direction] = set()

    def cut(self) -> None:
        self.half_open(Direction.TO_SERVER)
        self.half_open(Direction.TO_CLIENT)

    def half_open(self, towards: Direction) -> None:
        self.swallow()
        _, writer = self.server if towards is Direction.TO_SERVER else self.client
        _reset(writer)

    def swallow(self) -> None:
        self.passes = False


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close it as one that broke."""
    if not writer.transport.is_closing():
        raw = writer.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(*ports: int, name: str = "") -> AsyncIterator[FaultProxy]:
    """A proxy that is up, without a fault so far."""
    proxy = FaultProxy(*ports, name=name)
    await proxy.up()
    try:
        yield proxy
    finally:
        await proxy.close()
