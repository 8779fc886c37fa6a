"""The websocket transport: one `Connection` for each socket, between an ASGI server and the pure protocol."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from ...resolvers.access import Principal
from ...resolvers.errors import Forbidden, LimitExceeded, Unauthenticated
from .connections import Connections, ExpiryTimer, expired
from .environment import Environment
from .errors import INTERNAL, FormattedError, format_exception, request_error
from .execution import Executor, Operation, Result
from .member import Member, Unsendable
from .protocol import (
    SUBPROTOCOL,
    CloseCode,
    Complete,
    Component,
    Event,
    Init,
    Ping,
    Protocol,
    ProtocolViolation,
    Renew,
    Subscribe,
    close_reason,
    complete_frame,
    error_frame,
    next_frame,
    pong_frame,
)
from .uvicorn_protocol import WRITE_FRAME

logger = logging.getLogger(__name__)

CLOSE_FRAME_TIMEOUT_SECONDS = 1.0
"""How long the close frame may wait for a peer that does not read, before the socket is given up."""


@dataclass(frozen=True, slots=True)
class Closing:
    """How a connection ends; code None: the peer left by itself."""

    code: CloseCode | None = None
    reason: str = ""


class Connection:
    """One socket. `principal` and `component` are None until the client is acknowledged, or tells none.

    `run` reads and answers messages. Each operation is a task that pulls its next event only when the frame of the
    one before is written, so a slow peer costs one event and no queue; one that can be shared is a `Member`, which has
    a task only while it is not in step. A frame that waits for longer than the send timeout ends the connection.

    The client may renew its token while the socket is open: `principal` is then another, here and in the contexts of
    the operations that run, and the socket lives for as long as the new token does. No message is read while one is
    dealt with: a flood of renewals costs what they cost one after the other.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, environment: Environment, connections: Connections
    ) -> None:
        self.principal: Principal | None = None
        self.component: Component | None = None
        self._scope = scope
        self._asgi_receive = receive
        self._asgi_send = send
        self._environment = environment
        self._limits = environment.limits
        self._connections = connections
        self._protocol = Protocol()
        self._write_frame: Callable[[bytes], bool] | None = scope.get("extensions", {}).get(WRITE_FRAME)
        self._operations: dict[str, asyncio.Task[None] | Member] = {}
        # What is known of this connection, such as its address and its component; None before the first operation.
        self._own_context: contextvars.Context | None = None
        # Of the operations that run or clean up, by their identity.
        self._contexts: dict[int, Any] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._closing: Closing | None = None
        # Ends `_read` from outside without a second task for each connection.
        self._reading = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | ExpiryTimer | None = None
        self._leave: Callable[[], None] | None = None

    async def run(self) -> None:
        """Serve the socket until it is closed."""
        closing = Closing()
        try:
            async with self._reading:
                await self._accept()
                await self._read()
        except TimeoutError:
            pass  # `stop` was called, and said how to close
        except ProtocolViolation as violation:
            closing = Closing(violation.code, violation.reason)
        except Unsendable:
            pass
        finally:
            self._closing = self._closing or closing
            await self._finish(self._closing)

    def stop(self, code: CloseCode | None, reason: str = "") -> None:
        """Send nothing more, cancel all operations, and have `run` close the socket (code None: it is broken)."""
        if self._closing is not None:
            return
        self._closing = Closing(code, reason)
        self._cancel_all()
        self._reading.reschedule(asyncio.get_running_loop().time())

    async def _accept(self) -> None:
        await self._asgi_receive()  # websocket.connect
        accepted = SUBPROTOCOL in self._scope["subprotocols"]
        await self._write({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if accepted else None})
        if not accepted:
            raise ProtocolViolation(CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
        self._timer = asyncio.get_running_loop().call_later(
            self._limits.init_timeout_seconds, self.stop, CloseCode.INIT_TIMEOUT, "Connection initialisation timeout"
        )

    async def _read(self) -> None:
        while True:
            message = await self._asgi_receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            content: str | bytes = text if text is not None else message["bytes"]
            if len(content) > self._limits.message_bytes:
                raise ProtocolViolation(CloseCode.MESSAGE_TOO_BIG, "Message too big")
            event = self._protocol.receive(content)
            if event is not None:
                await self._handle(event)

    async def _handle(self, event: Event) -> None:
        match event:
            case Init():
                await self._init(event)
            case Subscribe():
                await self._subscribe(event)
            case Complete():
                self._cancel(event.id)
            case Ping():
                await self._send(pong_frame(None if event.error is None else {"error": event.error}))
            case Renew():
                await self._renew(event)

    async def _init(self, init: Init) -> None:
        if self._timer is not None:
            # The client has done its part in time, however long we take for ours.
            self._timer.cancel()
        authorization = init.authorization
        if authorization is None:
            authorization = Headers(scope=self._scope).get("authorization")
        try:
            principal = await self._environment.authenticate(authorization)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told by a close code
            raise _refused(format_exception(error)) from None
        if not self._connections.admit(principal.subject, self._limits.connections_per_principal):
            raise ProtocolViolation(CloseCode.TRY_AGAIN_LATER, "Too many connections")
        self.component = init.component
        self._take(principal)
        if init.component is not None and self._environment.introduce is not None:
            self._leave = self._environment.introduce(principal, init.component)
        await self._send(self._protocol.acknowledge(_expiry(principal)))

    async def _renew(self, renew: Renew) -> None:
        if self.principal is None:
            raise RuntimeError("tokens are renewed after the acknowledgement")
        try:
            principal = await self._environment.authenticate(renew.authorization)
            self._require_successor(self.principal, principal)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told, and the old token counts on
            refused = _refused(format_exception(error))
            await self._send(pong_frame({"error": refused.reason}))
            return
        self._take(principal)
        await self._send(pong_frame(_expiry(principal)))

    def _require_successor(self, old: Principal, principal: Principal) -> None:
        if principal.subject != old.subject:
            error = Forbidden("the token is somebody else's than this connection's: open another connection for it")
            self._environment.executor.refused(self._environment.make_context(old), error)
            raise error
        if expired(principal):
            raise Unauthenticated("the token has expired")

    def _take(self, principal: Principal) -> None:
        """From now on this is who asks, in the operations that run too, for as long as it says."""
        self.principal = principal
        for context in self._contexts.values():
            context.principal = principal
        for running in self._operations.values():
            if isinstance(running, Member):
                running.renewed(principal)
        if self._timer is not None:
            self._timer.cancel()
        if principal.expires_at is not None:
            self._timer = ExpiryTimer(principal.expires_at, self._expire)

    async def _subscribe(self, event: Subscribe) -> None:
        if (problem := self._too_much()) is not None:
            await self._refuse(event.id, [request_error(problem, LimitExceeded.code)])
            return
        operation = self._environment.executor.prepare(event.request)
        if isinstance(operation, Result):
            await self._refuse(event.id, operation.errors)
            return
        member = self._member(event.id, operation)
        if member is None:
            self._operations[event.id] = self.start(self._run_operation(event.id, operation), event.id)
        else:
            self._operations[event.id] = member
            member.start()

    def _too_much(self) -> str | None:
        """Why not one operation more is allowed; None when it is."""
        limit = self._limits.operations_per_connection
        # Those that were cancelled and still clean up count too, or a client could pile them up.
        if len(self._operations) + len(self._cancelled) >= limit:
            return f"This connection has {limit} operations; more are not allowed."
        if self._protocol.held > 2 * self._limits.message_bytes:
            return "What this connection has asked for, and is still answered, takes too much room: open another one."
        return None

    def _member(self, operation_id: str, operation: Operation) -> Member | None:
        groups = self._environment.groups
        if groups is None or self.principal is None or (share := groups.share(operation, self.principal)) is None:
            return None
        component = self._environment.make_context(self.principal).component
        return Member(operation_id, share, groups, self, component)

    async def _refuse(self, operation_id: str, errors: list[FormattedError]) -> None:
        await self._send(error_frame(operation_id, errors))
        self._protocol.release(operation_id)

    async def _run_operation(self, operation_id: str, operation: Operation) -> None:
        try:
            last = await self._stream(operation_id, operation)
            await self._send(last, operation_id)
        except Unsendable:
            pass
        except Exception as error:  # noqa: BLE001 - a bug ends its operation, not the connection
            with suppress(Unsendable):
                await self._send(error_frame(operation_id, [format_exception(error)]), operation_id)
        self.ended(operation_id)

    async def _stream(self, operation_id: str, operation: Operation) -> str:
        """Send the results of an operation, and return its last frame."""
        with self.context() as context:
            async with aclosing(self.executor.stream(operation, context)) as results:
                async for result in results:
                    if not result.executed:
                        return error_frame(operation_id, result.errors)
                    await self._send(next_frame(operation_id, result.payload), operation_id)
            return complete_frame(operation_id)

    @property
    def executor(self) -> Executor:
        """See `member.Socket`."""
        return self._environment.executor

    @contextmanager
    def context(self) -> Iterator[Any]:
        """See `member.Socket`."""
        if self.principal is None:
            raise RuntimeError("operations start after the acknowledgement")
        context = self._environment.make_context(self.principal)
        self._contexts[id(context)] = context
        try:
            yield context
        finally:
            del self._contexts[id(context)]

    def start(self, running: Coroutine[Any, Any, None], operation_id: str) -> asyncio.Task[None]:
        """See `member.Socket`."""
        if self._own_context is None:
            self._own_context = contextvars.copy_context()
        return asyncio.create_task(running, name=f"operation {operation_id[:50]}", context=self._own_context)

    def ended(self, operation_id: str) -> None:
        """The current task's operation has sent its last frame: until now the client must not use the id again."""
        if self._task(operation_id) is asyncio.current_task():
            running = self._operations.pop(operation_id)
            if isinstance(running, Member):
                running.end()
            self._protocol.release(operation_id)

    def _task(self, operation_id: str) -> asyncio.Task[None] | None:
        running = self._operations.get(operation_id)
        return running.task if isinstance(running, Member) else running

    def _cancel(self, operation_id: str) -> None:
        """Cancel an operation once: a second time would interrupt the clean-up of its generator."""
        task = self._task(operation_id)
        running = self._operations.pop(operation_id)
        if isinstance(running, Member):
            running.end()
        if task is None:
            return
        self._cancelled.add(task)
        task.add_done_callback(self._cancelled.discard)
        if task is not asyncio.current_task():
            task.cancel()

    def _cancel_all(self) -> None:
        if self._leave is not None:
            # Before its operations end: they do because the socket does, not because the component wants no more.
            leave, self._leave = self._leave, None
            leave()
        for operation_id in list(self._operations):
            self._cancel(operation_id)

    def _expire(self) -> None:
        self.stop(CloseCode.FORBIDDEN, "Token expired")

    def write(self, frame: bytes) -> bool:
        """See `member.Socket`."""
        return self._write_frame is not None and self._may_send() and self._write_frame(frame)

    async def send(self, text: str, operation_id: str) -> None:
        """See `member.Socket`."""
        await self._send(text, operation_id)

    def _may_send(self) -> bool:
        if self.principal is not None and expired(self.principal):
            # A result may be sooner than the timer. One that says so would end its operation, for good with stock
            # clients; after the close they come back.
            self._expire()
        return self._closing is None

    async def _send(self, frame: str, operation_id: str | None = None) -> None:
        """Write one frame, of the current task's operation if there is an id. Raises Unsendable."""
        if not self._may_send():
            raise Unsendable
        # A source can swallow its cancellation and go on.
        if operation_id is not None and self._task(operation_id) is not asyncio.current_task():
            raise Unsendable
        await self._write({"type": "websocket.send", "text": frame})

    async def _write(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._limits.send_timeout_seconds):
                await self._asgi_send(message)
        except TimeoutError:
            if self._environment.groups is not None:
                self._environment.groups.deliveries.dropped()
            self.stop(CloseCode.TRY_AGAIN_LATER, "The peer does not read")
            raise Unsendable from None
        except (OSError, RuntimeError):  # RuntimeError: the server closed the socket itself
            self.stop(None)
            raise Unsendable from None

    async def _finish(self, closing: Closing) -> None:
        """End what runs, then close the socket."""
        if self._timer is not None:
            self._timer.cancel()
        self._cancel_all()
        if self._cancelled:
            _, pending = await asyncio.wait(self._cancelled, timeout=self._limits.send_timeout_seconds)
            if pending:
                logger.error("%d cancelled operations did not end in time", len(pending))
        if self.principal is not None:
            self._connections.leave(self.principal.subject)
        if closing.code is None:
            return
        try:
            async with asyncio.timeout(CLOSE_FRAME_TIMEOUT_SECONDS):
                reason = close_reason(closing.reason)
                await self._asgi_send({"type": "websocket.close", "code": closing.code.value, "reason": reason})
        except (TimeoutError, OSError, RuntimeError):
            pass  # the server gives the socket up when this returns


def _refused(error: FormattedError) -> ProtocolViolation:
    code = error["extensions"]["code"]
    if code in {Unauthenticated.code, Forbidden.code}:
        return ProtocolViolation(CloseCode.UNAUTHORIZED, error["message"])
    if code == INTERNAL:
        return ProtocolViolation(CloseCode.INTERNAL_ERROR, f"Internal error {error['extensions']['id']}")
    return ProtocolViolation(CloseCode.TRY_AGAIN_LATER, error["message"])


def _expiry(principal: Principal) -> dict[str, str | None]:
    at = principal.expires_at
    return {"tokenExpiresAt": None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")}
