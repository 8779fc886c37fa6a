"""Opening the websocket. The only module that knows websockets' and the network's errors: it translates them.

It is imported with the first connection: websockets is a quarter of what the subscriber's import would cost with it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeGuard, cast
from urllib.parse import urljoin, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from .errors import ConnectionFailed, ConnectionLost, ProtocolError
from .protocol import SUBPROTOCOL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from websockets.protocol import Event

    from .timing import Timing

# Of one message. The server takes requests up to 1 MiB, and a config comes out a little larger than it went in.
_MAX_MESSAGE_BYTES = 16 * 2**20


class Socket(ClientConnection):
    """A websocket that can hand messages on in the step of the event loop in which they arrive.

    To wake a task for each is another turn of the loop. Where many components share a processor, that is a tenth of
    what a change costs each of them, and all wait for one another (docs/decisions/0021).
    """

    _take: Callable[[str | bytes], None] | None = None
    _failure: Exception | None = None

    async def listen(self, take: Callable[[str | bytes], None]) -> None:
        """Call `take` with each message, in their order, until the connection ends. Raises what `take` raises, after
        which it is not called again, and ConnectionClosed.
        """
        self._take = take
        try:
            while True:
                message = await self.recv()
                if self._failure is not None:
                    raise self._failure
                take(message)
        finally:
            self._take = None

    def process_event(self, event: Event) -> None:
        """Take what websockets has read. Messages in parts, and those behind one that waits, are left to `recv()`."""
        if self._take is not None and _is_text(event) and not len(self.recv_messages.frames):
            try:
                self._take(str(event.data, "utf-8"))
            except Exception as error:  # noqa: BLE001 - `listen` raises it: the message wakes it, below
                self._failure = error
            else:
                return
        super().process_event(event)


def _is_text(event: Event) -> TypeGuard[Frame]:
    return isinstance(event, Frame) and event.opcode is Opcode.TEXT and event.fin


class _Opening(connect):
    """Follows the server to another place on its host, and to no other host: whoever answers there gets the token."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        try:
            found = super().process_redirect(exc)
        except (InvalidURI, ValueError):
            # Such as from http: to https:, which are no addresses of websockets. ValueError: it is no URL at all.
            return exc
        return found if isinstance(found, Exception) or _host(found) == _host(self.uri) else exc


@asynccontextmanager
async def open_socket(url: str, timing: Timing) -> AsyncIterator[Socket]:
    """Give an open socket and close it at the end. Raises ConnectionFailed, ConnectionLost and ProtocolError."""
    opening = _Opening(
        url,
        create_connection=Socket,
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
        # What `create_connection` makes.
        socket = cast("Socket", await opening)
    except InvalidStatus as error:
        raise ConnectionFailed(_answered(error, url), error.response.status_code) from error
    except (OSError, TimeoutError, WebSocketException, ImportError, UnicodeError) as error:
        # UnicodeError: the name can be none of a host, for a part of it is empty or longer than 63 characters.
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


def _answered(error: InvalidStatus, url: str) -> str:
    answer = f"the server answered the handshake with HTTP {error.response.status_code}"
    try:
        scheme, host = urlsplit(urljoin(url, error.response.headers["Location"]))[:2]
    except (KeyError, ValueError):
        return answer
    return f"{answer} and refers to {scheme}://{host.rpartition('@')[2]}: if that is right, give its URL"


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_loopback(url: str) -> bool:
    host = _host(url)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
