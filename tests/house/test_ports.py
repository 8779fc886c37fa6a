"""Two servers of the tests are never told the same port: one of them would answer for the other."""

from __future__ import annotations

import errno
import socket

import pytest
from ports import free_port


def test_a_free_port_is_refused_to_others_and_can_be_listened_on() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="already in use"):
        other.bind(("127.0.0.1", port))
    with socket.socket() as peer:
        assert peer.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    for _ in range(2):
        with socket.create_server(("127.0.0.1", port)) as listener:
            socket.create_connection(("127.0.0.1", port)).close()
            listener.accept()[0].close()
