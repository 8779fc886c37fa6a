"""All that a component is subscribed to, over as few sockets as the server permits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .callbacks import Callbacks
from .link import Link
from .operation import Operation
from .status import LinkState, LinkStatus

if TYPE_CHECKING:
    from .acknowledgements import Verdict
    from .protocol import Json
    from .timing import Timing
    from .token import TokenSource

OPERATIONS_PER_SOCKET = 40
"""The server permits 50 at a time unless it is set up otherwise. It counts acknowledgements too, and those that were
ended and still clean up."""


class Links:
    """Keeps operations subscribed: the first ones on one link, and further ones on further links.

    A server that permits fewer says so of the first that is too many, and further links get fewer from the start.

    `component` is how this process introduces itself on each socket; None: not at all. `run()` works until it is
    cancelled. `add` may be called from any thread, before and while it runs.
    """

    def __init__(self, url: str, *, token: TokenSource, component: Mapping[str, Json] | None, timing: Timing) -> None:
        self._url = url
        self._token = token
        self._component = component
        self._timing = timing
        self._per_socket = OPERATIONS_PER_SOCKET
        self._links = [self._link()]
        self._room = self._per_socket
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._status = LinkStatus(LinkState.CONNECTING, datetime.now(UTC))
        self.on_change = Callbacks[LinkStatus]()

    @property
    def status(self) -> LinkStatus:
        """The least of all sockets: stale when one is, live only when all are; with what last went wrong on any."""
        return self._status

    def add(self, operation: Operation) -> None:
        """Subscribe to one more operation, now and after every reconnect."""
        with self._lock:
            if self._room == 0:
                self._links.append(self._link())
                self._room = self._per_socket
            self._room -= 1
            link = self._links[-1]
        link.add(operation)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def acknowledge(self, verdict: Verdict) -> None:
        """Have the server told what became of a version. Call it in the thread in which the links run."""
        self._links[0].acknowledge(verdict)

    async def run(self) -> None:
        """Run all links, those too that are added meanwhile, until cancelled."""
        self._loop = asyncio.get_running_loop()
        running = 0
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for link in self._links[running:]:
                    running += 1
                    tasks.create_task(link.run(), name=f"modelwire-link-{running}")
                    self._update(self._status.last_error)
                await self._wake.wait()

    def outdated(self) -> None:
        """Note that models run from the cache."""
        for link in self._links:
            link.outdated()

    def closed(self) -> None:
        """Note that the links were ended on purpose."""
        for link in self._links:
            link.closed()

    def release_sockets(self) -> None:
        """In the child of a fork: leave the sockets to the parent."""
        for link in self._links:
            link.release_socket()

    def _link(self) -> Link:
        link = Link(
            self._url,
            token=self._token,
            component=self._component,
            timing=self._timing,
            on_surplus=self._move,
        )
        link.on_change.add(self._changed)
        return link

    def _move(self, link: Link, operations: list[Operation]) -> None:
        """Keep them on other links than this one, which has as many as its socket may carry."""
        with self._lock:
            self._per_socket = min(self._per_socket, link.size)
            self._room = max(0, self._per_socket - self._links[-1].size)
        for operation in operations:
            self.add(operation)

    def _changed(self, old: LinkStatus, new: LinkStatus) -> None:
        self._update(self._status.last_error if new.last_error == old.last_error else new.last_error)

    def _update(self, last_error: str | None) -> None:
        """Change the status: the only place where this happens."""
        old, states = self._status, {link.status.state for link in self._links}
        state = next(state for state in _LEAST_FIRST if state in states)
        since = old.since if state is old.state else datetime.now(UTC)
        self._status = LinkStatus(state, since, last_error)
        if self._status != old:
            self.on_change.notify(old, self._status)


_LEAST_FIRST = (LinkState.CLOSED, LinkState.STALE, LinkState.CONNECTING, LinkState.LIVE)
