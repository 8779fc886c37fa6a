"""Ports of the loopback address for servers that are told which one to listen on."""

from __future__ import annotations

import socket
from collections import deque

_HELD_AT_ONCE = 100
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """A port that nobody else is given, not even before the server listens on it or while it is stopped: this process
    keeps a socket bound to it that does not listen, beside which a server can, as they all set SO_REUSEADDR.

    Until then connections are refused. The oldest of very many is given back, for the sake of open files.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    if len(_held) > _HELD_AT_ONCE:
        _held.popleft().close()
    return int(held.getsockname()[1])
