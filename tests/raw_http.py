"""HTTP as bytes, for what no client would send."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def exchange(port: int, *chunks: bytes) -> bytes:
    """Send bytes, keep the sending side open, and read what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        with suppress(ConnectionResetError):
            for chunk in chunks:
                writer.write(chunk)
            await writer.drain()
            async with asyncio.timeout(120):
                while part := await reader.read(65536):
                    answer += part
        return answer
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body of the next answer, which says its length."""
    async with asyncio.timeout(120):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await reader.readexactly(length)
