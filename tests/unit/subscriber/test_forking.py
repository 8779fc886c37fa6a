"""Letting go of a socket; the rest needs a real fork."""

import os
import socket

from modelwire.subscriber.forking import release_socket


def test_a_released_socket_says_nothing_and_its_number_stays_taken() -> None:
    ours, theirs = socket.socketpair()
    copy = ours.dup()
    with ours, theirs, copy:
        number = ours.fileno()
        release_socket(ours)
        # As in a child: the connection lives on in the parent, which is the copy here.
        copy.send(b"x")
        assert theirs.recv(1) == b"x"
        assert os.read(number, 1) == b""
        copy.close()
        assert theirs.recv(1) == b""


def test_a_closed_socket_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        release_socket(ours)
