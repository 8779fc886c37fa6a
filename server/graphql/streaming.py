"""A response that is a stream: one `Stream` for each, between an ASGI server and the format of its body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.types import Receive, Scope, Send

from ...resolvers.access import Principal
from ...resolvers.errors import Unauthenticated
from .connections import ExpiryTimer
from .errors import format_exception, request_error
from .execution import Result
from .limits import Limits
from .protocol import CloseCode
from .stream_formats import StreamFormat
from .uvicorn_protocol import ABORT

logger = logging.getLogger(__name__)

LAST_PART_TIMEOUT_SECONDS = 1.0
"""How long the end of a body may wait for a peer that does not read, before the connection is given up."""


class Unwritable(Exception):
    """The peer left, or does not read."""


class Stream:
    """One operation, whose results are the body of one response.

    The next result is pulled only when the one before is written, so a slow peer costs one result and no queue. A
    part that waits for longer than the send timeout ends the stream.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        format_: StreamFormat,
        results: AsyncGenerator[Result, None],
        principal: Principal,
        limits: Limits,
    ) -> None:
        self._scope = scope
        self._asgi_receive = receive
        self._asgi_send = send
        self._format = format_
        self._results = results
        self.principal = principal
        self._limits = limits
        self._pumping: asyncio.Task[None] | None = None
        self._stopped = False
        # What the body ends with; None when nothing more can be written.
        self._ending: bytes | None = None
        # Ends `_until_left` from outside without a second task.
        self._reading = asyncio.timeout(None)

    async def run(self) -> None:
        """Answer the request; returns when the response is complete or its peer is gone."""
        expiry: ExpiryTimer | None = None
        try:
            async with self._reading:
                try:
                    await self._start()
                    self._pumping = asyncio.create_task(self._pump(), name="stream")
                    if self.principal.expires_at is not None:
                        expiry = ExpiryTimer(self.principal.expires_at, self._expire)
                    await self._until_left()
                finally:
                    self._end(None)
        except (TimeoutError, Unwritable):
            pass  # `_end` was called, and said how to end
        finally:
            if expiry is not None:
                expiry.cancel()
            await self._finish()

    def stop(self, code: CloseCode | None, reason: str = "") -> None:
        """End the operation and the body. FORBIDDEN is told to the client; otherwise the body just ends."""
        if code is None:
            self._end(None)
        elif code is CloseCode.FORBIDDEN:
            failure = self._format.failure(request_error(reason, Unauthenticated.code))
            self._end(failure + self._format.closing)
        else:
            # Not `closing`: that would tell the client that there is nothing to come back for.
            self._end(b"")

    def _expire(self) -> None:
        self.stop(CloseCode.FORBIDDEN, "Token expired")

    def _end(self, ending: bytes | None) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._ending = ending
        # Cancelled here and only once: a second time would interrupt the clean-up of the results' generator.
        if self._pumping is not None and self._pumping is not asyncio.current_task():
            self._pumping.cancel()
        self._reading.reschedule(asyncio.get_running_loop().time())

    async def _start(self) -> None:
        headers = {
            "Content-Type": self._format.content_type,
            "Cache-Control": "no-store",
            # nginx would collect the parts.
            "X-Accel-Buffering": "no",
        }
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._write({"type": "http.response.start", "status": 200, "headers": raw})
        await self._write_body(self._format.opening)

    async def _until_left(self) -> None:
        while (await self._asgi_receive())["type"] != "http.disconnect":
            pass

    async def _pump(self) -> None:
        """Write the results, with heartbeats between them."""
        try:
            async with aclosing(self._results) as results:
                while (result := await self._next(results)) is not None:
                    await self._write_body(self._format.result(result.payload))
        except Unwritable:
            return
        except Exception as error:  # noqa: BLE001 - a bug ends its stream with an error, not without a word
            self._end(self._format.failure(format_exception(error)) + self._format.closing)
        self._end(self._format.closing)

    async def _next(self, results: AsyncGenerator[Result, None]) -> Result | None:
        step = asyncio.ensure_future(anext(results, None))
        try:
            while not (await asyncio.wait({step}, timeout=self._limits.keep_alive_seconds))[0]:
                await self._write_body(self._format.heartbeat)
            return step.result()
        finally:
            if not step.done():
                # A generator cannot be closed while it runs.
                step.cancel()
                await asyncio.wait({step})

    async def _write_body(self, body: bytes) -> None:
        await self._write({"type": "http.response.body", "body": body, "more_body": True})

    async def _write(self, message: dict[str, object]) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_seconds):
                await self._asgi_send(message)
        except (TimeoutError, OSError):
            self._end(None)
            raise Unwritable from None

    async def _finish(self) -> None:
        """When the operation has ended, end the body; cut the connection when that cannot be done."""
        if self._pumping is not None:
            _, pending = await asyncio.wait({self._pumping}, timeout=self._limits.send_timeout_seconds)
            if pending:
                logger.error("the operation of a stream did not end in time")
        if self._ending is not None:
            try:
                async with asyncio.timeout(LAST_PART_TIMEOUT_SECONDS):
                    await self._asgi_send({"type": "http.response.body", "body": self._ending, "more_body": False})
            except (TimeoutError, OSError):
                pass
            else:
                return
        if abort := self._scope.get("extensions", {}).get(ABORT):
            abort()
            # Until the server has noticed: else it would log a response that is not complete.
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_PART_TIMEOUT_SECONDS):
                    await self._until_left()
