"""What uvicorn lacks: it lets go of peers that do not read, and of those that do not ask; ready frames for many."""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

LINGER_SECONDS = 2.0
"""How long a peer has to read what is written, and to answer the close frame, after the application ended."""

REQUEST_SECONDS = 10.0
"""How long a connection may take to send the head of a request, from its beginning or from the last answer."""

ABORT = "modelwire.http.abort"
"""The ASGI extension of HttpProtocol: a function that cuts the connection, whatever is still to be sent."""

WRITE_FRAME = "modelwire.websocket.write_frame"
"""The ASGI extension of WebSocketProtocol: a function that writes a `ready_frame` at once. It answers False, and writes
nothing, when the peer does not read as fast, or the socket is not open: then `send` says what there is to say."""


def ready_frame(text: bytes) -> bytes:
    """A text message as it is on the wire to any client that negotiated no extension."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class HttpProtocol(H11Protocol):
    """Give it to uvicorn as `http`.

    uvicorn waits for ever for the rest of a request's head, and for a frozen peer to read the rest of an answer. Here
    such a connection is aborted. The application finds a function that does the same in its scope, as the extension
    ABORT.
    """

    _idle_timer: TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._application = self.app
        self.app = self._run_application

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._check_later(REQUEST_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel_check()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._cancel_check()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self._check_later(REQUEST_SECONDS)
        super().on_response_complete()

    async def _run_application(self, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"] = {ABORT: self.transport.abort}
        await self._application(scope, receive, send)

    def _check_later(self, seconds: float, unread: int | None = None) -> None:
        self._cancel_check()
        self._idle_timer = self.loop.call_later(seconds, self._check, unread)

    def _cancel_check(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _check(self, unread: int | None) -> None:
        """Abort, unless a request runs or the peer still reads the answer. `unread`: what was left at the last look."""
        if self.cycle is not None and not self.cycle.response_complete:
            return
        left = self.transport.get_write_buffer_size()
        if left and (unread is None or left < unread):
            self._check_later(LINGER_SECONDS, left)
        else:
            self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Give it to uvicorn as `ws`.

    uvicorn closes a socket when all that is written has been read, so a peer that is frozen keeps it, and its buffers,
    for ever. Here the close frame waits for nobody: it is put behind what is written already. A while after, the socket
    is aborted.
    """

    _abort_timer: TimerHandle | None = None

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if message["type"] == "websocket.accept":
            # They are of no use any more, and a socket lives for months: 3 KiB of each.
            del self.request, self.response

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[WRITE_FRAME] = self.write_frame
        await super().run_asgi()
        self._abort_later()

    def write_frame(self, frame: bytes) -> bool:
        """See WRITE_FRAME."""
        if not self.writable.is_set() or self.conn.state is not State.OPEN or self.conn.extensions:
            return False
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_later()
        if not self.handshake_complete:
            # uvicorn has answered in the place of the application, which must not do so a second time.
            self.handshake_complete = self.disconnected = True

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._abort_later()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._abort_timer is not None:
            self._abort_timer.cancel()

    def _abort_later(self) -> None:
        if self._abort_timer is None and not self.disconnected:
            self._abort_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
