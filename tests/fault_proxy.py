"""A TCP proxy on loopback that does to connections what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK_BYTES = 64 * 1024


class FaultProxy:
    """Leads to `to_port` of loopback. Its attributes and methods are the faults, for the event loop that it runs in.

    `delay_seconds` is how long each piece is on its way. `accepted` counts the connections, and `open` has those that a
    client has not closed yet.
    """

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.port = 0
        self.delay_seconds = 0.0
        self.accepted = 0
        self.open: set[_Pair] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listen, at the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listener)

    def down(self) -> None:
        """Refuse connections until `up`, and break those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Break all connections: both ends see it at once."""
        for pair in self.open:
            pair.cut()

    def stall(self) -> None:
        """Let nothing through until `flow`, in either direction, on new connections too. None is closed."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let through what waits since `stall`."""
        self._flowing.set()

    def half_open(self) -> None:
        """Break the connections for the server alone: what a client sends from now on leads nowhere,"""
        for pair in self.open:
            pair.forget_server()

    def garble(self, *, to_server: bool = False) -> None:
        """Overwrite the next piece of each connection, in one direction, with bytes that mean nothing."""
        for pair in self.open:
            pair.garbled.add(pair.server if to_server else pair.client)

    async def close(self) -> None:
        """End everything."""
        self.down()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            await self._serve(reader, client)
        finally:
            client.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            return
        pair = _Pair(client, server)
        self.open.add(pair)
        back = asyncio.create_task(self._copy(server_reader, pair, client))
        try:
            await self._copy(reader, pair, server)
        finally:
            self.open.discard(pair)
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            server.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, pair: _Pair, writer: asyncio.StreamWriter) -> None:
        """Copy to the end of the one side, and end the other."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await asyncio.sleep(self.delay_seconds)
                await self._flowing.wait()
                if pair.server_forgotten:
                    continue
                if writer in pair.garbled:
                    pair.garbled.discard(writer)
                    chunk = bytes(byte ^ 0xA5 for byte in chunk)
                writer.write(chunk)
                await writer.drain()
        if not pair.server_forgotten:
            writer.close()


class _Pair:
    """The two sides of a connection. Those in `garbled` get a piece that means nothing next."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.garbled: set[asyncio.StreamWriter] = set()
        self.server_forgotten = False

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()

    def forget_server(self) -> None:
        self.server_forgotten = True
        self.server.transport.abort()


@asynccontextmanager
async def fault_proxy(to_port: int) -> AsyncIterator[FaultProxy]:
    """A proxy that is up, without a fault so far."""
    proxy = FaultProxy(to_port)
    await proxy.up()
    try:
        yield proxy
    finally:
        await proxy.close()
