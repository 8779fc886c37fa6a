"""What uvicorn lacks: it lets go of peers that do not read, and of those that do not ask; ready frames for many."""

from __future__ import annotations

import re
from asyncio import TimerHandle, Transport
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

LINGER_SECONDS = 2.0
"""How long a peer has to read what is written, and to answer the close frame, after the application ended."""

REQUEST_SECONDS = 10.0
"""How long a connection may take to send the head of a request, from its beginning or from the last answer."""

HEAD_BYTES = 64 * 1024
"""How large the head of a request may be, and what stands between the chunks of its body and behind them."""

INVALID_REQUEST = f"Invalid HTTP request, or its head has more than {HEAD_BYTES} bytes."

ABORT = "modelwire.http.abort"
"""The ASGI extension of HttpProtocol: a function that cuts the connection, whatever is still to be sent."""

WHEN_LEFT = "modelwire.http.when_left"
"""The ASGI extension of HttpProtocol: a function that takes what to call when the client leaves, or has left, before it
has its answer. It takes the place of what was taken before; None: nobody is called.
"""

WRITE_FRAME = "modelwire.websocket.write_frame"
"""The ASGI extension of WebSocketProtocol: a function that writes a `ready_frame` at once. It answers False, and writes
nothing, when the peer does not read as fast, or the socket is not open: then `send` says what there is to say."""


# Such a line is left out, as a server may do: llhttp would take the body for that protocol. One that ends otherwise is
# left to be refused: nothing here may see another end of a head than llhttp does.
_OTHER_PROTOCOL = re.compile(rb"^upgrade:(?![ \t]*websocket[ \t]*\r\n)[^\r\n]*\r\n", re.IGNORECASE | re.MULTILINE)


def ready_frame(text: bytes) -> bytes:
    """A text message as it is on the wire to any client that negotiated no extension."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class HttpProtocol(HttpToolsProtocol):
    """Give it to uvicorn as `http`.

    uvicorn waits for ever for the rest of a request's head, however large, and for a frozen peer to read the rest of an
    answer. Here such a connection is aborted. And uvicorn reads requests while it answers the one before, as many as
    come; here the parser gets no byte of one before its turn. The application finds a function that aborts the
    connection in its scope, as the extension ABORT, and one that has it hear of a client that leaves, as WHEN_LEFT.
    """

    _idle_timer: TimerHandle | None = None
    _on_left: Callable[[], None] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._application = self.app
        self.app = self._run_application
        self._quiet_since = 0.0
        # What the parser did not get yet, and how much of it is body whose length the head said.
        self._received = bytearray()
        self._body_left = 0
        self._in_head = True
        # How much came in a row that is no body: the lines of a head, of chunks and of what follows them.
        self._lines_bytes = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._quiet()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel_check()
        if self._on_left is not None:
            self._on_left()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._parse()
        if len(self._received) > HEAD_BYTES:
            self.flow.pause_reading()

    def _parse(self) -> None:
        piece: bytes | bytearray
        try:
            while not self._answering() and (piece := self._next_piece()):
                if self._in_head and b"upgrade:" in piece.lower():
                    piece = _OTHER_PROTOCOL.sub(b"", piece)
                self.parser.feed_data(piece)
        except HttpParserUpgrade:
            self._cancel_check()
            self._received.clear()
            self.handle_websocket_upgrade()
        except HttpParserError:
            self.logger.warning(INVALID_REQUEST)
            self.send_400_response(INVALID_REQUEST)

    def _answering(self) -> bool:
        """Whether a request is read, or cannot be any more, and its answer is not complete."""
        return self.transport.is_closing() or (self._running() and not self.cycle.more_body)

    def _running(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.disconnected

    def _next_piece(self) -> bytearray:
        """What to parse next, empty when more must come: of one request alone. It ends with a line, or with a body of
        the length that its head said.
        """
        received, end = self._received, self._body_left
        if end:
            self._body_left -= min(end, len(received))
        else:
            end = self._lines_end()
            self._lines_bytes += end
            if self._lines_bytes > HEAD_BYTES or (not end and len(received) > HEAD_BYTES):
                raise HttpParserError("the head is too large")
        piece = received[:end]
        del received[:end]
        return piece

    def _lines_end(self) -> int:
        """Where lines end that are of the request that is read; 0 when not even one does."""
        if not self._in_head:
            # As much of a chunk as is there.
            return min(self._received.find(b"\n") + 1 or len(self._received), HEAD_BYTES // 2)
        if self._received.startswith(b"\r\n"):
            return 2
        end = self._received.find(b"\r\n\r\n")
        return self._received.find(b"\n") + 1 if end < 0 else end + 4

    def on_message_begin(self) -> None:
        if self._running():
            raise HttpParserError("two requests in one piece, which would be a bug here")
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value.rstrip())

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._check_head()
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            # What comes behind the last chunk is no part of the head.
            self.headers = cast("list[tuple[bytes, bytes]]", deque(maxlen=0))

    def _check_head(self) -> None:
        """Raise what has the parser refuse the request. What llhttp refuses by itself is not looked for again."""
        version, hosts = self.parser.get_http_version(), 0
        for name, value in self.headers:
            if name == b"content-length":
                self._body_left = int(value)
            elif name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise HttpParserError("an unknown transfer encoding")
        if version not in {"1.0", "1.1"} or hosts > 1 or (not hosts and version == "1.1"):
            raise HttpParserError("another version, or no host")
        if self.parser.should_upgrade() and not self._should_upgrade():
            raise HttpParserError("CONNECT, or an Upgrade that is none")

    def on_body(self, body: bytes) -> None:
        self._lines_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._lines_bytes = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self._quiet()
            self.flow.resume_reading()
            self._parse()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None:
            # No more of its body comes: it is not waited for.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._quiet()
        super().send_400_response(msg)

    async def _run_application(self, scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"] = {ABORT: self.transport.abort, WHEN_LEFT: self._when_left}
        if scope["http_version"] == "1.0":
            send = partial(self._send_without_chunks, self.cycle)
        await self._application(scope, receive, send)

    async def _send_without_chunks(self, cycle: RequestResponseCycle, message: Any) -> None:
        """HTTP/1.0 knows no chunks: a body ends with the connection, which uvicorn closes, whoever asked."""
        cycle.chunked_encoding = False
        if not cycle.disconnected and cycle.scope["method"] != "HEAD":
            self.transport.write(message.get("body", b""))
        bodiless: Any = {**message, "body": b""}
        await cycle.send(bodiless)

    def _when_left(self, callback: Callable[[], None] | None) -> None:
        self._on_left = callback
        # That it left is read.
        self.flow.resume_reading()
        if callback is not None and self.cycle.disconnected:
            callback()

    def _quiet(self) -> None:
        """From now on the peer has REQUEST_SECONDS for its next request, and to read. The timer looks when they are
        over whether it was called again meanwhile: a timer for each request would cost more.
        """
        self._quiet_since = self.loop.time()
        if self._idle_timer is None:
            self._check_later(REQUEST_SECONDS)

    def _check_later(self, seconds: float, unread: int | None = None) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._check, unread)

    def _cancel_check(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _check(self, unread: int | None) -> None:
        """Abort, unless a request runs or the peer still reads the answer. `unread`: what was left at the last look."""
        self._idle_timer = None
        if self._running():
            return
        early = self._quiet_since + REQUEST_SECONDS - self.loop.time()
        left = self.transport.get_write_buffer_size()
        if early > 0:
            self._check_later(early)
        elif left and (unread is None or left < unread):
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
    # What a ready frame depends on lies here: of thousands of sockets, an object for each question is in no cache.
    _extended = False
    _paused = False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._paused = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self._paused = False

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if message["type"] == "websocket.accept":
            if self.conn.extensions:
                self._extended = True
            # They are of no use any more, and a socket lives for months: 3 KiB of each.
            del self.request, self.response

    async def run_asgi(self) -> None:
        extensions: dict[str, Any] = self.scope["extensions"]
        extensions[WRITE_FRAME] = self.write_frame
        await super().run_asgi()
        self._abort_later()

    def write_frame(self, frame: bytes) -> bool:
        """See WRITE_FRAME."""
        if not self.handshake_complete or self._extended or self._paused or self.close_sent or self.disconnected:
            return False
        # So it is from the moment that either side has said goodbye.
        if self.transport.is_closing():
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
