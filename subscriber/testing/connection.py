"""The server's side of one socket: as much of graphql-transport-ws as the subscriber uses."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from ..acknowledgements import DOCUMENT as ACKNOWLEDGE
from ..events import DOCUMENT
from ..protocol import Json
from .records import UnknownRevision

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from .records import Records

_MAX_OPERATIONS = 50
_MAX_CLOSE_REASON_CHARACTERS = 120


class _Violation(Exception):
    """The client broke the protocol: close with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Connection:
    """One client. Nothing is read or sent while `open_gate` is not set. `token` None takes any that is not empty."""

    def __init__(
        self, socket: ServerConnection, records: Records, *, token: str | None, open_gate: asyncio.Event
    ) -> None:
        self._socket = socket
        self._records = records
        self._token = token
        self._open_gate = open_gate
        self._acknowledged = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._wakes: set[asyncio.Event] = set()

    def wake(self) -> None:
        """Have all operations look for changes."""
        for event in self._wakes:
            event.set()

    def cut(self) -> None:
        """Break the connection, without a word."""
        self._socket.transport.abort()

    async def run(self) -> None:
        """Answer the client until it leaves."""
        try:
            async for text in self._socket:
                await self._open_gate.wait()
                await self._receive(text)
        except _Violation as violation:
            await self._socket.close(violation.code, violation.reason[:_MAX_CLOSE_REASON_CHARACTERS])
        except ConnectionClosed:
            pass
        finally:
            for task in self._operations.values():
                task.cancel()
            await asyncio.gather(*self._operations.values(), return_exceptions=True)

    async def _receive(self, text: str | bytes) -> None:
        message = _parse(text)
        match message:
            case {"type": "connection_init"}:
                await self._init(_payload(message))
            case {"type": "ping"}:
                await self._pong(_payload(message))
            case {"type": "pong"}:
                pass
            case {"type": "subscribe", "id": str() as id_, "payload": dict() as payload}:
                await self._subscribe(id_, payload)
            case {"type": "complete", "id": str() as id_}:
                if (task := self._operations.pop(id_, None)) is not None:
                    task.cancel()
            case _:
                raise _Violation(4400, "Invalid message")

    async def _init(self, payload: Mapping[str, Json]) -> None:
        if self._acknowledged:
            raise _Violation(4429, "Too many initialisation requests")
        if not self._takes(payload.get("authorization")):
            raise _Violation(4401, "the API key is missing or wrong")
        self._acknowledged = True
        await self._send(type="connection_ack", payload={"tokenExpiresAt": None})

    async def _pong(self, payload: Mapping[str, Json]) -> None:
        if "authorization" not in payload:
            await self._send(type="pong")
        elif self._takes(payload["authorization"]):
            await self._send(type="pong", payload={"tokenExpiresAt": None})
        else:
            await self._send(type="pong", payload={"error": "the API key is wrong"})

    def _takes(self, authorization: Json) -> bool:
        scheme, _, token = authorization.partition(" ") if isinstance(authorization, str) else ("", "", "")
        if scheme.lower() != "bearer" or not token:
            return False
        return self._token is None or hmac.compare_digest(token.encode(), self._token.encode())

    async def _subscribe(self, id_: str, payload: Mapping[str, Json]) -> None:
        if not self._acknowledged:
            raise _Violation(4401, "Unauthorized")
        if id_ in self._operations:
            raise _Violation(4409, f"Subscriber for {id_} already exists")
        if len(self._operations) >= _MAX_OPERATIONS:
            text = f"This connection has {_MAX_OPERATIONS} operations; more are not allowed."
            await self._refuse(id_, text, "LIMIT_EXCEEDED")
        elif payload.get("query") == ACKNOWLEDGE:
            answer = {"acknowledgeModelConfig": {"__typename": "AcknowledgeModelConfigPayload"}}
            await self._send(type="next", id=id_, payload={"data": answer})
            await self._send(type="complete", id=id_)
        elif payload.get("query") != DOCUMENT:
            await self._refuse(
                id_, "the fake control plane answers the subscriber's own subscription", "BAD_USER_INPUT"
            )
        else:
            variables = payload.get("variables") or {}
            aliases = frozenset(ref.get("alias") for ref in variables.get("by") or ())
            if not aliases or None in aliases:
                await self._refuse(id_, "the fake control plane watches aliases", "BAD_USER_INPUT")
                return
            self._operations[id_] = asyncio.create_task(self._watch(id_, aliases, variables.get("since")))

    async def _refuse(self, id_: str, message: str, code: str) -> None:
        await self._send(type="error", id=id_, payload=[{"message": message, "extensions": {"code": code}}])

    async def _watch(self, id_: str, aliases: frozenset[str], since: str | None) -> None:
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            event: Mapping[str, Json] | None
            event, number = self._records.first(aliases, since)
            while True:
                if event is not None:
                    await self._send(type="next", id=id_, payload={"data": {"modelConfigChanged": event}})
                await wake.wait()
                # While it is frozen, changes gather here and go out as one.
                await self._open_gate.wait()
                wake.clear()
                event, number = self._records.after(aliases, number)
        except UnknownRevision:
            del self._operations[id_]
            await self._refuse(id_, "since must be a revision as an earlier event gave it", "BAD_USER_INPUT")
        except ConnectionClosed:
            pass
        finally:
            self._wakes.discard(wake)

    async def _send(self, **message: Json) -> None:
        await self._open_gate.wait()
        await self._socket.send(json.dumps(message))


def _parse(text: str | bytes) -> Mapping[str, Json]:
    if isinstance(text, bytes):
        raise _Violation(4400, "binary messages are not supported")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise _Violation(4400, "a message is JSON") from None
    if not isinstance(message, dict):
        raise _Violation(4400, "a message is a JSON object")
    return message


def _payload(message: Mapping[str, Json]) -> Mapping[str, Json]:
    payload = message.get("payload")
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise _Violation(4400, "payload is an object")
    return payload
