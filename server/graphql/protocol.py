"""The graphql-transport-ws protocol, without any I/O: text in, events out; and the frames to send.

https://github.com/graphql/graphql-over-http/blob/main/rfcs/GraphQLOverWebSocket.md

A `Protocol` follows one connection on the server's side. What the client may not do raises `ProtocolViolation`, with
the code and reason to close the socket with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, TypeGuard

import orjson

from ...resolvers.validation import can_be_stored
from .errors import FormattedError
from .request import GraphQLRequest, InvalidRequest, parse_json, parse_request

SUBPROTOCOL = "graphql-transport-ws"


class CloseCode(IntEnum):
    """Why the server closes a socket. The 4400s are the protocol's, 4403 is ours, the others are RFC 6455's."""

    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVER_STOPPING = 1012
    TRY_AGAIN_LATER = 1013
    INVALID_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INIT_TIMEOUT = 4408
    DUPLICATE_ID = 4409
    TOO_MANY_INITS = 4429


class ProtocolViolation(Exception):
    """The client broke the protocol: close with `code` and `reason`."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


MAX_COMPONENT_TEXT = 200
MAX_COMPONENT_LABELS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """The process at the other end, as it describes itself; nothing of it is proven.

    Each text has at most 200 characters, none of them a control character; there are at most 32 labels. `kind` and
    `library_version` are None when not told.
    """

    instance_id: str
    name: str
    kind: str | None = None
    library_version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Init:
    """The client introduces itself. `authorization` None: what the upgrade's header says counts."""

    authorization: str | None = field(repr=False)
    component: Component | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Execute an operation, of any type. The id is taken until `Protocol.release`, or the client's `Complete`."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Complete:
    """The client wants no more of a running operation; its id is free again."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered with a pong.

    `error` is why the renewal that it asks for is refused; None when it asks for none.
    """

    error: str | None = None


@dataclass(frozen=True, slots=True)
class Renew:
    """A ping with the credential to go on with. To be answered with a pong that says how long it lasts, or why not."""

    authorization: str = field(repr=False)


Event = Init | Subscribe | Complete | Ping | Renew


class State(StrEnum):
    """Where a connection stands."""

    OPEN = "open"
    """Nothing came yet."""
    INITIALIZING = "initializing"
    """The client sent `connection_init` and waits for its answer."""
    ACKNOWLEDGED = "acknowledged"
    """Operations may be started."""


class Protocol:
    """The server's side of one connection."""

    def __init__(self) -> None:
        self.state = State.OPEN
        self._lengths: dict[str, int] = {}

    @property
    def held(self) -> int:
        """The characters of all the messages that asked for what runs, which are kept while it does."""
        return sum(self._lengths.values())

    def receive(self, message: str | bytes) -> Event | None:
        """Take one message; None when there is nothing to do. Raises ProtocolViolation."""
        if isinstance(message, bytes):
            raise _invalid("binary messages are not supported")
        try:
            value = parse_json(message)
        except InvalidRequest as error:
            raise _invalid(str(error)) from None
        if not isinstance(value, dict):
            raise _invalid("a message is a JSON object")
        match value.get("type"):
            case "connection_init":
                return self._init(_payload(value))
            case "subscribe":
                return self._subscribe(value, len(message))
            case "complete":
                return self._complete(_id(value))
            case "ping":
                return self._ping(_payload(value))
            case "pong":
                # Never a sign of who the client is: clients echo what a ping carries.
                _payload(value)
                return None
        raise _invalid("unknown type")

    def acknowledge(self, payload: Mapping[str, Any]) -> str:
        """The frame that accepts the client; from now on it may start operations."""
        self.state = State.ACKNOWLEDGED
        return _frame({"type": "connection_ack", "payload": payload})

    def release(self, operation_id: str) -> None:
        """The operation ended, and its last frame is sent: the client may use the id again."""
        self._lengths.pop(operation_id, None)

    def _init(self, payload: dict[str, Any] | None) -> Init:
        if self.state is not State.OPEN:
            raise ProtocolViolation(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
        authorization = (payload or {}).get("authorization")
        if authorization is not None and not isinstance(authorization, str):
            raise _invalid("authorization must be a string")
        component = (payload or {}).get("component")
        init = Init(authorization, None if component is None else _component(component))
        self.state = State.INITIALIZING
        return init

    def _ping(self, payload: dict[str, Any] | None) -> Ping | Renew:
        if payload is None or "authorization" not in payload:
            return Ping()
        authorization = payload["authorization"]
        if not isinstance(authorization, str):
            return Ping("authorization must be a string: Bearer and a token")
        if self.state is not State.ACKNOWLEDGED:
            return Ping("a token is renewed after connection_ack; connection_init carries the first one")
        return Renew(authorization)

    def _subscribe(self, value: dict[str, Any], length: int) -> Subscribe:
        operation_id = _id(value)
        try:
            request = parse_request(value.get("payload"))
        except InvalidRequest as error:
            raise _invalid(str(error)) from None
        if self.state is not State.ACKNOWLEDGED:
            raise ProtocolViolation(CloseCode.UNAUTHORIZED, "Unauthorized")
        if operation_id in self._lengths:
            raise ProtocolViolation(CloseCode.DUPLICATE_ID, f"Subscriber for {operation_id} already exists")
        self._lengths[operation_id] = length
        return Subscribe(operation_id, request)

    def _complete(self, operation_id: str) -> Complete | None:
        if self._lengths.pop(operation_id, None) is None:
            # Its last frame and this message crossed.
            return None
        return Complete(operation_id)


def next_message(operation_id: str, payload: bytes) -> bytes:
    """A result, whose JSON is ready: it is put in as it is, so that many operations can share it."""
    return b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(operation_id), payload)


def next_frame(operation_id: str, payload: bytes) -> str:
    """The same as text."""
    return next_message(operation_id, payload).decode()


def error_frame(operation_id: str, errors: Sequence[FormattedError]) -> str:
    """The operation is refused, or broke; it is over."""
    return _frame({"id": operation_id, "type": "error", "payload": errors})


def complete_frame(operation_id: str) -> str:
    """The operation is over."""
    return _frame({"id": operation_id, "type": "complete"})


def pong_frame(payload: Mapping[str, Any] | None = None) -> str:
    """The answer to a ping; with a payload, to one that asked for a renewal."""
    return _frame({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})


def close_reason(text: str) -> str:
    """As much of the text as a close frame has room for: 123 bytes."""
    return text.encode()[:123].decode(errors="ignore")


def _frame(message: Mapping[str, Any]) -> str:
    return orjson.dumps(message).decode()


def _invalid(reason: str) -> ProtocolViolation:
    return ProtocolViolation(CloseCode.INVALID_MESSAGE, f"Invalid message: {reason}")


def _payload(value: dict[str, Any]) -> dict[str, Any] | None:
    payload = value.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise _invalid("payload must be an object or null")
    return payload


def _id(value: dict[str, Any]) -> str:
    operation_id = value.get("id")
    if not isinstance(operation_id, str) or not operation_id:
        raise _invalid("id must be a string that is not empty")
    return operation_id


def _component(value: Any) -> Component:
    if not isinstance(value, dict):
        raise _invalid_component("it must be an object")
    return Component(
        instance_id=_text(value, "instanceId", required=True),
        name=_text(value, "name", required=True),
        kind=_text(value, "kind") or None,
        library_version=_text(value, "libraryVersion") or None,
        labels=_labels(value.get("labels")),
    )


def _text(value: dict[str, Any], name: str, *, required: bool = False) -> str:
    text = value.get(name)
    if text is None and not required:
        return ""
    if not _is_text(text) or (required and not text):
        raise _invalid_component(f"{name} must be a string of 1 to {MAX_COMPONENT_TEXT} printable characters")
    return text


def _labels(value: Any) -> dict[str, str]:
    labels = {} if value is None else value
    if not isinstance(labels, dict) or len(labels) > MAX_COMPONENT_LABELS:
        raise _invalid_component(f"labels must be an object of at most {MAX_COMPONENT_LABELS} entries")
    for key, label in labels.items():
        if not _is_text(key) or not _is_text(label):
            raise _invalid_component(f"labels must be strings of at most {MAX_COMPONENT_TEXT} printable characters")
    return labels


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= MAX_COMPONENT_TEXT and can_be_stored(value)


def _invalid_component(reason: str) -> ProtocolViolation:
    return ProtocolViolation(CloseCode.INVALID_MESSAGE, f"Invalid component: {reason}")
