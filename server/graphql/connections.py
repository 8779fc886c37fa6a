"""What stays open: the websockets and the streamed responses of one endpoint."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from ...resolvers.access import Principal
from .protocol import CloseCode


class OpenConnection(Protocol):
    """A websocket, or the response of a request that is answered with a stream."""

    @property
    def principal(self) -> Principal | None:
        """Whose it is now; None until somebody has said who they are."""

    async def run(self) -> None:
        """Serve until it is closed. Called once."""

    def stop(self, code: CloseCode | None, reason: str = "") -> None:
        """End its operations and have `run` close it: with this code, if the transport has any, and reason.

        None: it is broken already. Only the first call has an effect.
        """


class Connections:
    """The open connections of one endpoint. `looks` counts how often their credentials were asked for."""

    def __init__(self) -> None:
        self._open: dict[OpenConnection, asyncio.Task[None]] = {}
        self._by_subject: Counter[str] = Counter()
        self.looks = 0

    async def serve(self, connection: OpenConnection) -> None:
        """Run the connection until it ends."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served in a task")
        self._open[connection] = task
        try:
            await connection.run()
        finally:
            del self._open[connection]

    def admit(self, subject: str, limit: int) -> bool:
        """Count one more connection of a subject, unless it has as many as it may have."""
        if self._by_subject[subject] >= limit:
            return False
        self._by_subject[subject] += 1
        return True

    def leave(self, subject: str) -> None:
        self._by_subject[subject] -= 1
        if not self._by_subject[subject]:
            del self._by_subject[subject]

    async def authenticated(self, authenticate: Callable[[], Awaitable[Principal]]) -> Principal:
        """Who `authenticate` says it is, at a moment at which `credentials` would tell of it if the connection is this
        principal's before anything else happens: whoever looks for revoked ones then misses none that is on its way.
        """
        while True:
            looks = self.looks
            principal = await authenticate()
            if looks == self.looks:
                return principal

    def credentials(self) -> set[str]:
        """The credentials with which connections are open, of the kinds that can be taken away."""
        self.looks += 1
        return {principal.credential for principal in self._principals() if principal.credential}

    def _principals(self) -> Iterator[Principal]:
        return (connection.principal for connection in self._open if connection.principal is not None)

    def subjects(self) -> set[str]:
        """Whose websockets and streams are open."""
        return {principal.subject for principal in self._principals()}

    def revoke(self, reasons: Mapping[str, str]) -> None:
        """Close the connections with these credentials, each with the reason why it is no longer good."""
        for connection in list(self._open):
            principal = connection.principal
            if principal is not None and principal.credential in reasons:
                connection.stop(CloseCode.FORBIDDEN, reasons[principal.credential])

    async def stop(self, timeout_seconds: float) -> None:
        """Tell all of them that the server stops, and wait until they ended, but not longer than the timeout."""
        tasks = list(self._open.values())
        for connection in list(self._open):
            connection.stop(CloseCode.SERVER_STOPPING, "Server stopping")
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_seconds)

    def __len__(self) -> int:
        return len(self._open)


def expired(principal: Principal) -> bool:
    """Whether this credential's time is over."""
    return principal.expires_at is not None and _now() >= principal.expires_at


class ExpiryTimer:
    """Calls back when a token expires: at a time of the wall clock, which may be set meanwhile. At once, if it is over.

    Called in the event loop. The callback may be called before the constructor returns.
    """

    def __init__(self, expires_at: datetime, callback: Callable[[], None]) -> None:
        self._expires_at = expires_at
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._check()

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _check(self) -> None:
        remaining_seconds = (self._expires_at - _now()).total_seconds()
        if remaining_seconds <= 0:
            self._callback()
        else:
            self._handle = asyncio.get_running_loop().call_later(remaining_seconds, self._check)


def _now() -> datetime:
    return datetime.now(UTC)
