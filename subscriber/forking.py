"""What becomes of providers at the exit, and in the child of a fork, which has none of the parent's threads."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Protocol


class Survivor(Protocol):
    """Something that outlives a fork, and ends with its process."""

    def _after_fork(self) -> None:
        """Make of it what it can be in the child. Other threads may have held any of its locks: they are gone."""

    def _at_exit(self) -> None:
        """Say goodbye."""


class Descriptor(Protocol):
    """Something with a file descriptor."""

    def fileno(self) -> int:
        """Its number; -1 when it is closed."""


_survivors: weakref.WeakSet[Survivor] = weakref.WeakSet()


def remember(survivor: Survivor) -> None:
    """Have it told of a fork and of the exit for as long as it lives."""
    _survivors.add(survivor)


def release_socket(socket: Descriptor) -> None:
    """Let go of the parent's socket in the child, without a word to its peer.

    The objects that own it are the parent's, and may close it once more: so its number is given something harmless.
    """
    if (descriptor := socket.fileno()) < 0:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nothing, descriptor, inheritable=False)
    finally:
        os.close(nothing)


def _after_fork() -> None:
    for survivor in list(_survivors):
        survivor._after_fork()
    # Clients with open connections, which two processes would write to at once.
    clients = vars(sys.modules.get("litellm", sys)).get("in_memory_llm_clients_cache")
    if clients is not None:
        clients.flush_cache()


def _at_exit() -> None:
    for survivor in list(_survivors):
        survivor._at_exit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
