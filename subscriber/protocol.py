"""The client's side of graphql-transport-ws, without I/O: commands give the text to send, received text gives events.

One `Protocol` is one socket's life. The protocol is described in
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .errors import ProtocolError

SUBPROTOCOL = "graphql-transport-ws"

_MAX_TOLD = 500

_decode = json.JSONDecoder().decode

Json = Any
"""A value of JSON: None, bool, int, float, str, a list or a dict with string keys of the same."""

SCALARS: Final = (str, int, float, type(None))
"""The types of those that hold no others; bool is an int. Most values are, and it is quick to see."""


class Acknowledged(NamedTuple):
    """The server took the connection. `token_expires_at` (ISO 8601) is None when the server does not say."""

    token_expires_at: str | None


class Next(NamedTuple):
    """One result of an operation. `errors` is empty when all went well; `data` may be None when not."""

    id: str
    data: Json
    errors: tuple[Mapping[str, Json], ...]


class Failed(NamedTuple):
    """The server refused an operation or gave it up. It is over."""

    id: str
    errors: tuple[Mapping[str, Json], ...]


class Completed(NamedTuple):
    """The server ended an operation. It is over."""

    id: str


class Pinged(NamedTuple):
    """The server asks whether we are there: send `reply`."""

    reply: str


class Ponged(NamedTuple):
    """The server answered a ping of ours."""

    payload: Mapping[str, Json]


Event = Acknowledged | Next | Failed | Completed | Pinged | Ponged


class Protocol:
    """State of one connection: whether it is acknowledged, and which operations are open."""

    def __init__(self) -> None:
        self._acknowledged = False
        self._last_id = 0
        self._open: set[str] = set()

    def init(self, payload: Mapping[str, Json]) -> str:
        """Begin. Nothing else may be sent before `Acknowledged` came, except answers to pings."""
        return _text("connection_init", payload=payload)

    def subscribe(self, request: Mapping[str, Json]) -> tuple[str, str]:
        """Start an operation (`query`, `variables`, …). Gives its id and the text."""
        if not self._acknowledged:
            raise RuntimeError("subscribe comes after the acknowledgement")
        self._last_id += 1
        id_ = str(self._last_id)
        self._open.add(id_)
        return id_, _text("subscribe", id=id_, payload=request)

    def complete(self, id_: str) -> str:
        """End an open operation. What the server sent for it before it hears of this is ignored."""
        self._open.remove(id_)
        return _text("complete", id=id_)

    def ping(self, payload: Mapping[str, Json] | None = None) -> str:
        """Ask the server whether it is there; with `authorization` in the payload, to go on with that token."""
        return _text("ping") if payload is None else _text("ping", payload=payload)

    def receive(self, text: str | bytes) -> Event | None:
        """Take one message. None when it is about an operation that we ended. Raises ProtocolError."""
        match _parse(text):
            case {"type": "next", "id": str() as id_, "payload": dict() as payload}:
                return Next(id_, payload.get("data"), _errors(payload.get("errors"))) if self._is_open(id_) else None
            case {"type": "connection_ack", "payload": dict() | None as payload}:
                return self._acknowledge(payload or {})
            case {"type": "ping"}:
                return Pinged(_text("pong"))
            case {"type": "pong", "payload": dict() | None as payload}:
                return Ponged(payload or {})
            case {"type": "error", "id": str() as id_, "payload": list() as errors}:
                return Failed(id_, _errors(errors)) if self._end(id_) else None
            case {"type": "complete", "id": str() as id_}:
                return Completed(id_) if self._end(id_) else None
            case message:
                raise ProtocolError(f"the server sent a malformed message of type {message['type']!r}")

    def _acknowledge(self, payload: Mapping[str, Json]) -> Acknowledged:
        if self._acknowledged:
            raise ProtocolError("the server acknowledged the connection twice")
        self._acknowledged = True
        expires_at = payload.get("tokenExpiresAt")
        return Acknowledged(expires_at if isinstance(expires_at, str) else None)

    def _is_open(self, id_: str) -> bool:
        if id_ in self._open:
            return True
        if id_.isascii() and id_.isdigit() and 0 < int(id_) <= self._last_id:
            return False
        raise ProtocolError("the server sent a message for an operation that was never started")

    def _end(self, id_: str) -> bool:
        was_open = self._is_open(id_)
        self._open.discard(id_)
        return was_open


def codes_of(errors: Iterable[Mapping[str, Json]]) -> frozenset[str]:
    """The `extensions.code` of GraphQL errors, of those that have one."""
    extensions = (error.get("extensions") for error in errors)
    codes = (each.get("code") for each in extensions if isinstance(each, dict))
    return frozenset(code for code in codes if isinstance(code, str))


def text_of(errors: Iterable[Mapping[str, Json]]) -> str:
    """What GraphQL errors say, in one text of at most 500 characters."""
    return "; ".join(str(error.get("message")) for error in errors)[:_MAX_TOLD]


def _parse(text: str | bytes) -> dict[str, Json]:
    if isinstance(text, bytes):
        raise ProtocolError("the server sent a binary message")
    try:
        message = _decode(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the server sent a message that is not JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError("the server sent a message without a type")
    message.setdefault("payload", None)
    return message


def _errors(errors: Json) -> tuple[Mapping[str, Json], ...]:
    if errors is None:
        return ()
    if not isinstance(errors, list) or not all(isinstance(error, dict) for error in errors):
        raise ProtocolError("the server sent errors that are not a list of objects")
    return tuple(errors)


def _text(type_: str, **fields: Json) -> str:
    return json.dumps({"type": type_, **fields}, separators=(",", ":"))
