"""Websocket frames as the load generator makes and counts them. Pure; payloads are looked at by nobody."""

from __future__ import annotations

import struct
from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
CONTROL = 0x08

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


def client_frame(kind: int, payload: bytes = b"") -> bytes:
    """A whole frame of a client. Its mask is zero, so that the payload stays as it is."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", kind, 0x80 | length)
    elif length < 65536:
        head = struct.pack("!BBH", kind, 0xFE, length)
    else:
        head = struct.pack("!BBQ", kind, 0xFF, length)
    return head + b"\0\0\0\0" + payload


class FrameCounter:
    """Follows one server's stream of frames, wherever it is cut."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    @property
    def between_frames(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Kind and payload length of each frame that `data` begins, as soon as its head is there.

        The payload itself is there for pings, pongs and closes, which come when they are whole; else it is empty.
        """
        if self._left >= len(data):
            self._left -= len(data)
            return
        data = self._head + data[self._left :]
        at, self._left, self._head = 0, 0, b""
        while at < len(data):
            head = _head(data, at)
            if head is None:
                self._head = data[at:]
                return
            size, length = head
            yield data[at], length, data[at + size : at + size + length] if data[at] & CONTROL else b""
            at += size + length
        self._left = at - len(data)


def _head(data: bytes, at: int) -> tuple[int, int] | None:
    """Length of a frame's head and of its payload; None while the head, or a control frame, is not whole."""
    if len(data) < at + 2:
        return None
    length = data[at + 1]
    if length < 126:
        return None if data[at] & CONTROL and len(data) < at + 2 + length else (2, length)
    size = 4 if length == 126 else 10
    if len(data) < at + size:
        return None
    return size, int.from_bytes(data[at + 2 : at + size], "big")
