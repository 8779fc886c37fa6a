"""Ports of the loopback address for servers that are told which one to listen on."""

from __future__ import annotations

import os
import socket
from collections import deque

_HELD_AT_ONCE = 100
_held: deque[int] = deque()


def free_port() -> int:
    """A port that nobody else is given, not even before the server listens on it or while it is stopped: this process
    keeps a socket bound to it that does not listen, beside which a server can, as they all set SO_REUSEADDR.

    Until then connections are refused. The oldest of very many is given back, for the sake of open files.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = int(held.getsockname()[1])
        _held.append(held.detach())
    if len(_held) > _HELD_AT_ONCE:
        os.close(_held.popleft())
    return port
