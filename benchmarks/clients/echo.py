"""A raw client: the websockets library, which says at which moment a frame of a config came, and does nothing with it.

Arguments: the address of the websocket, the first two messages that it sends, and the least length of such a frame.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


async def main() -> None:
    url, init, subscribe, min_bytes = sys.argv[1:5]
    subprotocols = [Subprotocol("graphql-transport-ws")]
    async with connect(url, subprotocols=subprotocols, proxy=None, compression=None, ping_interval=None) as socket:
        await socket.send(init)
        await socket.recv()
        await socket.send(subscribe)
        while True:
            frame = await socket.recv()
            now = time.monotonic_ns()
            if len(frame) >= int(min_bytes):
                print(json.dumps(now), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
