"""The token: getting one, how long it lasts, and a fresh one in time, on the socket that is open."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import inspect
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .backoff import backoff
from .errors import LinkError, RenewalFailed, TokenUnavailable

if TYPE_CHECKING:
    from .protocol import Json
    from .timing import Timing

Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A token, or how to get one: called for each connection and for each renewal, a plain function in a thread."""

# Of the lifetime that is left: early enough to try again, and no two components of a fleet at the same moment.
_AHEAD = (0.6, 0.8)


class TokenSource:
    """Gives a token whenever one is needed. `renewable` says whether a later one can be another."""

    def __init__(self, token: Token, *, timeout_seconds: float) -> None:
        self._token = token
        self._timeout_seconds = timeout_seconds
        self.renewable = callable(token)
        self._thread: asyncio.Future[object] | None = None

    async def get(self) -> str:
        """Give a token. Raises TokenUnavailable, whose text never holds what the callable said."""
        if isinstance(self._token, str):
            return self._token
        try:
            async with asyncio.timeout(self._timeout_seconds):
                token = await self._call(self._token)
        except Exception as error:
            raise TokenUnavailable(f"the token callable raised {type(error).__name__}") from error
        if not isinstance(token, str) or not token:
            raise TokenUnavailable(f"the token callable gave {type(token).__name__} instead of a text")
        return token

    async def _call(self, function: Callable[[], object]) -> object:
        if inspect.iscoroutinefunction(function):
            return await function()
        mine = self._thread is None or self._thread.done()
        if self._thread is None or mine:
            run = contextvars.copy_context().run
            self._thread = asyncio.get_running_loop().run_in_executor(None, run, function)
            self._thread.add_done_callback(_retrieve)
        # A thread cannot be cancelled. One that hangs is joined by the next attempt: each with a thread of its own
        # would use up those that the component shares with us.
        result = await asyncio.shield(self._thread)
        if not inspect.isawaitable(result):
            return result
        # What a plain function gives to be awaited can be awaited once.
        return await (result if mine else self._call(function))


def _retrieve(thread: asyncio.Future[object]) -> None:
    """What it raised after everybody stopped waiting is no news."""
    if not thread.cancelled():
        thread.exception()


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a token ends, and how long it lasts from now on. The one is by the server's clock, the other by ours."""

    at: datetime
    seconds: float

    @classmethod
    def of(cls, token: str, told: str | None) -> Expiry | None:
        """Read it from the server's answer, else from the token if it is a JWT. None when neither says.

        The token was accepted a moment ago: one that ended by our clock shows that our clock is wrong.
        """
        claims = _claims(token)
        at = _moment(told) or _moment(claims.get("exp"))
        if at is None:
            return None
        seconds = (at - datetime.now(UTC)).total_seconds()
        ends, begins = _moment(claims.get("exp")), _moment(claims.get("iat"))
        if ends is not None and begins is not None and ends > begins:
            whole = (ends - begins).total_seconds()
            seconds = min(seconds, whole) if seconds > 0 else whole
        return cls(at, seconds if seconds > 0 else _UNKNOWN_SECONDS)


_UNKNOWN_SECONDS = 60.0
"""What is taken for the lifetime of a token when nothing says it but a clock that is wrong."""


def _claims(token: str) -> Mapping[str, Json]:
    """What a JWT says, unverified: it is our own. Empty when it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _moment(value: Json) -> datetime | None:
    """Of ISO 8601, or of seconds since 1970. None for anything else."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


class Renewal:
    """Renews the token of one socket, ahead of its expiry and one renewal at a time.

    `token` was accepted by the server, which told when it expires (None: it did not). `on_failure(error, seconds)` is
    called when a renewal came to nothing, and is tried again after so many seconds.
    """

    def __init__(
        self,
        source: TokenSource,
        timing: Timing,
        *,
        token: str,
        told: str | None,
        on_failure: Callable[[LinkError, float], None],
    ) -> None:
        self._source = source
        self._timing = timing
        self._expiry = Expiry.of(token, told)
        self._on_failure = on_failure
        self._answer: asyncio.Future[str | None] | None = None

    async def run(self, send: Callable[[Mapping[str, Json]], Awaitable[None]]) -> None:
        """Renew until cancelled, or until there is nothing to renew. `send` sends a ping with this payload."""
        delays: Iterator[float] | None = None
        while self._source.renewable and self._expiry is not None:
            if delays is None:
                ahead = self._expiry.seconds * random.uniform(*_AHEAD)  # noqa: S311 - spreads load, guards nothing
                await asyncio.sleep(max(ahead, self._timing.renewal_least_seconds))
            try:
                self._expiry = await self._renew(send, self._expiry)
            except LinkError as error:
                delays = delays or backoff(self._timing.backoff_first_seconds, self._timing.backoff_max_seconds)
                delay = next(delays)
                self._on_failure(error, delay)
                await asyncio.sleep(delay)
            else:
                delays = None

    def answered(self, payload: Mapping[str, Json]) -> None:
        """Take what a pong says. One that says nothing of a token answers another ping."""
        if self._answer is None or self._answer.done():
            return
        if "error" in payload:
            self._answer.set_exception(
                RenewalFailed(f"the server refused the new token: {str(payload['error'])[:500]}")
            )
        elif "tokenExpiresAt" in payload:
            told = payload["tokenExpiresAt"]
            self._answer.set_result(told if isinstance(told, str) else None)

    async def _renew(self, send: Callable[[Mapping[str, Json]], Awaitable[None]], old: Expiry) -> Expiry | None:
        """Give the new expiry. Raises TokenUnavailable and RenewalFailed."""
        token = await self._source.get()
        self._answer = asyncio.get_running_loop().create_future()
        await send({"authorization": f"Bearer {token}"})
        seconds = self._timing.open_seconds
        try:
            async with asyncio.timeout(seconds):
                told = await self._answer
        except TimeoutError:
            raise RenewalFailed(f"the server did not answer to the new token within {seconds:g} s") from None
        new = Expiry.of(token, told)
        if new is not None and new.at <= old.at:
            raise RenewalFailed("the token callable gave a token that lasts no longer than the one before")
        return new
