"""Opening the websocket. The only module that knows websockets' and the network's errors: it translates them.

It is imported with the first connection: websockets is a quarter of what the subscriber's import would cost with it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from .errors import ConnectionFailed, ConnectionLost, ProtocolError
from .protocol import SUBPROTOCOL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .timing import Timing

# Of one message. The server takes requests up to 1 MiB, and a config comes out a little larger than it went in.
_MAX_MESSAGE_BYTES = 16 * 2**20


@asynccontextmanager
async def open_socket(url: str, timing: Timing) -> AsyncIterator[ClientConnection]:
    """Give an open socket and close it at the end. Raises ConnectionFailed, ConnectionLost and ProtocolError."""
    opening = connect(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        max_size=_MAX_MESSAGE_BYTES,
        # The link pings by itself, with messages that the server's application has to answer.
        ping_interval=None,
        open_timeout=timing.open_seconds,
        close_timeout=timing.close_seconds,
        # True follows the environment's proxy variables, which often forget to exempt loopback.
        proxy=None if _is_loopback(url) else True,
    )
    try:
        socket = await opening
    except InvalidStatus as error:
        status = error.response.status_code
        raise ConnectionFailed(f"the server answered the handshake with HTTP {status}", status) from error
    except (OSError, TimeoutError, WebSocketException, ImportError) as error:
        raise ConnectionFailed(f"the server cannot be reached: {error or type(error).__name__}") from error
    try:
        async with socket:
            if socket.subprotocol != SUBPROTOCOL:
                raise ProtocolError(f"the server does not speak {SUBPROTOCOL}")
            try:
                yield socket
            except asyncio.CancelledError:
                # Nothing went wrong: without this the server is told 1011.
                await socket.close()
                raise
    except ConnectionClosed as error:
        if error.rcvd is None:
            raise ConnectionLost("the connection broke") from error
        text = f"the server closed the connection: {error.rcvd.code} {error.rcvd.reason}".rstrip()
        raise ConnectionLost(text, error.rcvd.code) from error


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
