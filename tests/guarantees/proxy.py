"""A TCP proxy between one client and the servers, with everything that a network can do to a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from enum import Enum

# Neither a frame of a websocket nor UTF-8, wherever it stands: what it damages cannot pass for something else.
GARBAGE = b"\xff" * 16
_CHUNK = 2**16


class Direction(Enum):
    TO_CLIENT = "to the client"
    TO_SERVER = "to the server"


class Line:
    """A proxy that listens on a port of its own and leads each connection to the server that `target` counts, or to
    another one when that one is down.

    The faults, but for `refusing`, hit the connections that are open at the moment; each says how many those are.
    """

    def __init__(self, name: str, servers: Sequence[int]) -> None:
        self.name = name
        self.target = 0
        self.refusing = False
        self.port = 0
        self._servers = servers
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        """How many connections something passes through."""
        return len(self._passing())

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.refusing = True
        while self._serving:
            for pair in self._pairs:
                pair.abort()
            await asyncio.wait(self._serving, timeout=0.1)

    def cut(self) -> int:
        """Both ends hear of it at once."""
        return self._each(lambda pair: pair.abort())

    def leave_client_alone(self) -> int:
        """The server hears that the connection broke; the client hears nothing any more."""
        return self._each(lambda pair: pair.half_open(Direction.TO_SERVER))

    def leave_server_alone(self) -> int:
        """The client hears that the connection broke; the server hears nothing any more."""
        return self._each(lambda pair: pair.half_open(Direction.TO_CLIENT))

    def swallow(self) -> int:
        """Both ends stay open, and nothing that they say arrives."""
        return self._each(lambda pair: pair.swallow())

    def stall(self) -> int:
        """Nothing is read and nothing is written, until `resume`."""
        return self._each(lambda pair: pair.passing.clear())

    def resume(self) -> int:
        return self._each(lambda pair: pair.passing.set())

    def delay(self, seconds: float) -> int:
        """Each piece of the stream takes this much longer."""
        return self._each(lambda pair: setattr(pair, "delay_seconds", seconds))

    def tear(self, direction: Direction) -> int:
        """Of the next piece only a half arrives, then the connection breaks."""
        return self._each(lambda pair: pair.torn.add(direction))

    def garble(self, direction: Direction) -> int:
        """Into the next piece come bytes that nobody sent."""
        return self._each(lambda pair: pair.garbled.add(direction))

    def _passing(self) -> list[_Pair]:
        return [pair for pair in self._pairs if not pair.swallowing]

    def _each(self, do: Callable[[_Pair], object]) -> int:
        pairs = self._passing()
        for pair in pairs:
            do(pair)
        return len(pairs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        if self.refusing:
            _abort(writer)
            return
        server = await self._connect()
        if server is None:
            _abort(writer)
            return
        pair = _Pair((reader, writer), server)
        self._pairs.add(pair)
        try:
            await pair.run()
        finally:
            self._pairs.discard(pair)
            pair.abort()

    async def _connect(self) -> Stream | None:
        for number in range(len(self._servers)):
            with contextlib.suppress(OSError):
                port = self._servers[(self.target + number) % len(self._servers)]
                return await asyncio.open_connection("127.0.0.1", port)
        return None


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Pair:
    """One connection of a client and the one to the server that belongs to it."""

    def __init__(self, client: Stream, server: Stream) -> None:
        self.passing = asyncio.Event()
        self.passing.set()
        self.delay_seconds = 0.0
        self.torn: set[Direction] = set()
        self.garbled: set[Direction] = set()
        self._client = client
        self._server = server
        self.swallowing = False

    async def run(self) -> None:
        """Until both directions ended."""
        for _, writer in (self._client, self._server):
            writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(
            self._pump(self._client[0], self._server[1], Direction.TO_SERVER),
            self._pump(self._server[0], self._client[1], Direction.TO_CLIENT),
        )

    def abort(self) -> None:
        self.passing.set()
        _abort(self._client[1])
        _abort(self._server[1])

    def swallow(self) -> None:
        self.swallowing = True
        self.passing.set()

    def half_open(self, towards: Direction) -> None:
        """Break the end that lies in this direction, and let the other one wait."""
        self.swallow()
        _abort(self._server[1] if towards is Direction.TO_SERVER else self._client[1])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self.passing.wait()
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if self.swallowing:
                    continue
                if direction in self.torn:
                    writer.write(chunk[: len(chunk) // 2])
                    await writer.drain()
                    self.abort()
                    return
                if direction in self.garbled:
                    self.garbled.discard(direction)
                    chunk = GARBAGE + chunk
                writer.write(chunk)
                await writer.drain()
        await self.passing.wait()
        if not self.swallowing:
            # The end of one direction is the end of both, for the protocols that go over this.
            writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close it with a reset, as of a process that died."""
    raw = writer.transport.get_extra_info("socket")
    if raw is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
