"""The link: one socket at a time, and its reconnects, for ever."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .acknowledgements import MAX_ON_THE_WAY, Acknowledgements, Verdict
from .backoff import backoff
from .callbacks import Callbacks
from .errors import LinkError, LinkSilent, OperationFailed, ProviderClosed
from .forking import release_socket
from .operation import Operation, apply, operation_failed
from .protocol import (
    Acknowledged,
    Completed,
    Failed,
    Json,
    Next,
    Pinged,
    Ponged,
    Protocol,
)
from .retry import Retry, decide, describe, log
from .status import LinkState, LinkStatus
from .token import Renewal, TokenSource
from .waiting import run_together

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from .connection import Socket
    from .timing import Timing

logger = logging.getLogger(__name__)


_imported = False


def _import_open_socket() -> Callable[[str, Timing], AbstractAsyncContextManager[Socket]]:
    """The first time this takes as long as the import of all the rest of the subscriber."""
    global _imported  # noqa: PLW0603 - says that the import is over, which sys.modules does not
    from .connection import open_socket

    _imported = True
    return open_socket


@dataclass(slots=True, eq=False)
class _Subscription:
    """An operation on the link. `id` is None while it is not subscribed on the present socket.

    `since` is when it became current, by the event loop's clock; infinity: it never was.
    """

    operation: Operation
    delays: Iterator[float]
    id: str | None = None
    due: float = 0.0
    current: bool = False
    since: float = math.inf
    last_error: str | None = None


class Link:
    """Keeps operations subscribed. `component` is how this process introduces itself on each socket; None: not at all.

    `run()` works until it is cancelled. `add` may be called from any thread, before and while it runs. `on_surplus` is
    called with the operations for which the server has no room on one socket: they are not the link's any more.
    """

    def __init__(
        self,
        url: str,
        *,
        token: TokenSource,
        component: Mapping[str, Json] | None,
        timing: Timing,
        on_surplus: Callable[[Link, list[Operation]], None],
    ) -> None:
        self._url = url
        self._token = token
        self._component = component
        self._timing = timing
        self._on_surplus = on_surplus
        self._subscriptions: list[_Subscription] = []
        self._heard_at = 0.0
        """When the last message came, by the event loop's clock."""
        self._acknowledgements = Acknowledgements(str((component or {}).get("instanceId")), self._backoff)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._live_since = math.inf
        """When the present socket brought it up to date, by the event loop's clock; infinity: it has not."""
        self._socket: Socket | None = None
        self._replies: deque[str] = deque()
        """What the present socket's messages are answered with."""
        self._status = LinkStatus(LinkState.CONNECTING, datetime.now(UTC))
        self.on_change = Callbacks[LinkStatus]()

    @property
    def status(self) -> LinkStatus:
        return self._status

    @property
    def size(self) -> int:
        """How many operations it keeps."""
        return len(self._subscriptions)

    def add(self, operation: Operation) -> None:
        """Subscribe to one more operation, now and after every reconnect."""
        self._subscriptions.append(_Subscription(operation, self._backoff()))
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def acknowledge(self, verdict: Verdict) -> None:
        """Have the server told soon what became of a version. Call it in the thread in which the link runs."""
        self._acknowledgements.say(verdict)
        asyncio.get_running_loop().call_later(self._timing.acknowledge_seconds, self._wake.set)

    async def run(self) -> None:
        """Connect and subscribe, again and again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        delays = self._backoff()
        while True:
            self._live_since = math.inf
            try:
                await self._session()
            except ProviderClosed:
                return
            except Exception as error:  # noqa: BLE001 - a link never gives up, whatever went wrong; `_lost` logs it
                retry = decide(error)
                lasted = self._lasted(self._live_since)
                if lasted:
                    delays = self._backoff()
                delay = self._delay(retry, delays)
                self._lost(error, retry, delay, repeated=not lasted and describe(error) == self._status.last_error)
                await asyncio.sleep(delay)

    def outdated(self) -> None:
        """Note that models have something to go on with which did not come from the server in this process."""
        if self._status.state is LinkState.CONNECTING:
            self._set(LinkState.STALE)

    def closed(self) -> None:
        """Note that the link was ended on purpose."""
        self._set(LinkState.CLOSED)

    def release_socket(self) -> None:
        """In the child of a fork: leave the socket to the parent."""
        if self._socket is not None:
            release_socket(self._socket.transport.get_extra_info("socket"))

    async def _session(self) -> None:
        """Live one socket's life. Always ends in an exception: a LinkError unless it is a bug."""
        token = await self._token.get()
        open_socket = _import_open_socket() if _imported else await asyncio.to_thread(_import_open_socket)
        async with open_socket(self._url, self._timing) as socket:
            self._socket = socket
            protocol = Protocol()
            hello = {"authorization": f"Bearer {token}"} | ({"component": self._component} if self._component else {})
            told = await self._acknowledged(socket, protocol, hello)
            renewal = Renewal(self._token, self._timing, token=token, told=told, on_failure=self._not_renewed)
            for subscription in tuple(self._subscriptions):
                subscription.id, subscription.due, subscription.current = None, 0.0, False
            self._settle()
            self._replies.clear()
            self._acknowledgements.begin()
            self._heard_at = asyncio.get_running_loop().time()
            await run_together(
                self._write(socket, protocol),
                socket.listen(lambda text: self._take(text, protocol, renewal)),
                self._watch(),
                renewal.run(lambda payload: socket.send(protocol.ping(payload))),
            )

    async def _acknowledged(self, socket: Socket, protocol: Protocol, hello: Mapping[str, Json]) -> str | None:
        """Introduce ourselves. Gives when the token expires, as far as the server says."""
        try:
            async with asyncio.timeout(self._timing.open_seconds):
                await socket.send(protocol.init(hello))
                while True:
                    match protocol.receive(await socket.recv()):
                        case Acknowledged(token_expires_at):
                            return token_expires_at
                        case Pinged(reply):
                            await socket.send(reply)
        except TimeoutError:
            raise LinkSilent(f"the server did not acknowledge within {self._timing.open_seconds:g} s") from None

    async def _write(self, socket: Socket, protocol: Protocol) -> None:
        """Answer, subscribe to what is due, and ping while nothing comes."""
        loop = asyncio.get_running_loop()
        next_ping = self._heard_at + self._timing.ping_seconds
        while True:
            self._wake.clear()
            while self._replies:
                await socket.send(self._replies.popleft())
            next_step = next_ping
            for subscription in tuple(self._subscriptions):
                if subscription.id is not None:
                    continue
                if subscription.due <= loop.time():
                    subscription.id, text = protocol.subscribe(subscription.operation.request())
                    await socket.send(text)
                else:
                    next_step = min(next_step, subscription.due)
            next_step = min(next_step, await self._send_acknowledgements(socket, protocol))
            if next_ping <= loop.time():
                next_ping = self._heard_at + self._timing.ping_seconds
                if next_ping <= loop.time():
                    await socket.send(protocol.ping())
                    next_ping = loop.time() + self._timing.ping_seconds
                continue
            try:
                async with asyncio.timeout_at(next_step):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _send_acknowledgements(self, socket: Socket, protocol: Protocol) -> float:
        """Send those that are due; when the next one is."""
        loop = asyncio.get_running_loop()
        while (verdict := self._acknowledgements.take(loop.time())) is not None:
            id_, text = protocol.subscribe(self._acknowledgements.request(verdict))
            self._acknowledgements.sent(id_, verdict)
            await socket.send(text)
        return self._acknowledgements.due

    def _take(self, text: str | bytes, protocol: Protocol, renewal: Renewal) -> None:
        """Take one message. Raises LinkError for what ends the socket, and ProviderClosed."""
        self._heard_at = asyncio.get_running_loop().time()
        event = protocol.receive(text)
        if self._acknowledgements.receive(event, self._heard_at):
            if self._acknowledgements.due < math.inf:
                self._wake.set()
            return
        match event:
            case Next(id_, data, errors):
                subscription = self._find(id_)
                if (error := apply(subscription.operation, data, errors)) is None:
                    self._applied(subscription)
                else:
                    self._reply(protocol.complete(id_))
                    self._failed(subscription, error)
            case Failed(id_, errors):
                self._failed(self._find(id_), operation_failed(errors))
            case Completed(id_):
                self._failed(self._find(id_), OperationFailed("the server ended the subscription"))
            case Pinged(reply):
                self._reply(reply)
            case Ponged(payload):
                renewal.answered(payload)
            case _:
                pass

    def _reply(self, text: str) -> None:
        self._replies.append(text)
        self._wake.set()

    async def _watch(self) -> None:
        """Wait until nothing came for too long. A deadline that each message moves would cost more than reading it."""
        loop = asyncio.get_running_loop()
        silence = self._timing.silence_seconds
        while (left := self._heard_at + silence - loop.time()) > 0:  # noqa: ASYNC110 - each message moves the moment
            await asyncio.sleep(left)
        raise LinkSilent(f"nothing came from the server for {silence:g} s")

    def _find(self, id_: str) -> _Subscription:
        return next(subscription for subscription in self._subscriptions if subscription.id == id_)

    def _applied(self, subscription: _Subscription) -> None:
        if not subscription.current:
            subscription.current, subscription.since = True, self._heard_at
            self._settle()

    def _lasted(self, since: float) -> bool:
        """Whether all was well for so long that the next failure is another one, and waits begin anew.

        What fails whenever it has just come up would be tried several times a second otherwise, by a whole fleet.
        """
        return asyncio.get_running_loop().time() - since >= self._timing.lasting_seconds

    def _failed(self, subscription: _Subscription, error: Exception) -> None:
        """Subscribe to it again later, while the others go on.

        When the credentials are good for none of them, `error` is raised: a new socket asks for a new token.
        """
        retry = decide(error)
        self._give_up_surplus(subscription, error)
        if self._lasted(subscription.since):
            subscription.delays, subscription.last_error = self._backoff(), None
        subscription.id, subscription.current, subscription.since = None, False, math.inf
        if retry is Retry.SLOW:
            subscription.operation.denied()
        delay = self._delay(retry, subscription.delays)
        subscription.due = asyncio.get_running_loop().time() + delay
        # Those with `due` at zero were not tried on this socket yet.
        if retry is Retry.SLOW and all(other.id is None and other.due > 0 for other in self._subscriptions):
            raise error
        repeated, subscription.last_error = describe(error) == subscription.last_error, describe(error)
        log(error, retry, f"subscribing again in {delay:.1f} s", repeated=repeated)
        self._set(self._down(), describe(error))
        self._wake.set()

    def _give_up_surplus(self, subscription: _Subscription, error: Exception) -> None:
        """Let go of operations beyond what the server permits on a socket, and raise `error`: a new one has room.

        Also for acknowledgements, which the server counts too. With fewer others before it than those need, it is
        another limit that this one met.
        """
        if not (isinstance(error, OperationFailed) and "LIMIT_EXCEEDED" in error.codes):
            return
        before = [each for each in self._subscriptions if each.id and int(each.id) < int(subscription.id or 0)]
        if (kept := len(before) - MAX_ON_THE_WAY) > 0:
            surplus = [each for each in self._subscriptions if each not in before[:kept]]
            for each in surplus:
                # One by one: another thread may add to them.
                self._subscriptions.remove(each)
            self._on_surplus(self, [each.operation for each in surplus])
            raise error

    def _not_renewed(self, error: LinkError, delay: float) -> None:
        """Note it: models are current still, but may not be for long."""
        repeated = describe(error) == self._status.last_error
        log(error, Retry.SOON, f"trying again in {delay:.1f} s", repeated=repeated)
        self._set(self._status.state, describe(error))

    def _settle(self) -> None:
        """Note that the link is live once all that it carries is current."""
        if self._status.state is LinkState.LIVE:
            return
        if all(subscription.current for subscription in self._subscriptions):
            self._live_since = asyncio.get_running_loop().time()
            self._set(LinkState.LIVE)
            logger.info("the link to %s is live", self._url)

    def _lost(self, error: Exception, retry: Retry, delay: float, *, repeated: bool) -> None:
        log(error, retry, f"coming back in {delay:.1f} s", repeated=repeated)
        if retry is Retry.SLOW:
            for subscription in tuple(self._subscriptions):
                subscription.operation.denied()
        self._set(self._down(), describe(error))

    def _down(self) -> LinkState:
        return LinkState.CONNECTING if self._status.state is LinkState.CONNECTING else LinkState.STALE

    def _set(self, state: LinkState, last_error: str | None = None) -> None:
        """Change the status: the only place where this happens. `last_error` None keeps the last one."""
        old = self._status
        if old.state is LinkState.CLOSED:
            return
        since = old.since if state is old.state else datetime.now(UTC)
        self._status = LinkStatus(state, since, old.last_error if last_error is None else last_error)
        if self._status != old:
            self.on_change.notify(old, self._status)

    def _backoff(self) -> Iterator[float]:
        return backoff(self._timing.backoff_first_seconds, self._timing.backoff_max_seconds)

    def _delay(self, retry: Retry, delays: Iterator[float]) -> float:
        match retry:
            case Retry.SOON:
                return next(delays)
            case Retry.SPREAD:
                return random.uniform(0, self._timing.spread_seconds)  # noqa: S311 - spreads load, guards nothing
            case Retry.SLOW:
                return self._timing.slow_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - the same
