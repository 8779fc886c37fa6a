"""uvicorn's websocket protocol, with an end to waiting for peers that do not read."""

from __future__ import annotations

from asyncio import TimerHandle

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LINGER_SECONDS = 2.0
"""How long a peer has to read what is written, and to answer the close frame, after the application ended."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Give it to uvicorn as `ws`.

    uvicorn closes a socket when all that is written has been read, so a peer that is frozen keeps it, and its buffers,
    for ever. Here the socket is aborted a while after it was to be closed.
    """

    _abort_timer: TimerHandle | None = None

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._abort_later()

    def shutdown(self) -> None:
        super().shutdown()
        self._abort_later()

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
