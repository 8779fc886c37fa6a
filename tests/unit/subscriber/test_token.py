"""Getting tokens, and how long they last. Renewals on a socket are tested with the link."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelwire.subscriber.errors import TokenUnavailable
from modelwire.subscriber.token import Expiry, TokenSource

FAR = datetime(2200, 1, 1, tzinfo=UTC)


def jwt(**claims: Any) -> str:
    """As far as a client looks at it."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


def seconds_from_now(seconds: float) -> float:
    return datetime.now(UTC).timestamp() + seconds


async def test_a_text_is_given_as_it_is_and_is_no_other_later() -> None:
    source = TokenSource("token", timeout_seconds=10)
    assert (await source.get(), source.renewable) == ("token", False)


async def test_a_plain_function_runs_off_the_loop() -> None:
    threads = []

    def token() -> str:
        threads.append(threading.current_thread())
        return "token"

    source = TokenSource(token, timeout_seconds=10)
    assert (await source.get(), await source.get(), source.renewable) == ("token", "token", True)
    assert len(threads) == 2
    assert threading.current_thread() not in threads


async def test_a_function_that_hangs_is_joined_by_the_next_attempt() -> None:
    may_end, calls = threading.Event(), []

    def token() -> str:
        calls.append(None)
        may_end.wait(120)
        return f"token-{len(calls)}"

    source = TokenSource(token, timeout_seconds=0.01)
    for _ in range(3):
        with pytest.raises(TokenUnavailable, match="TimeoutError"):
            await source.get()
    source._timeout_seconds = 120
    waiting = asyncio.create_task(source.get())
    may_end.set()
    assert await waiting == "token-1"
    assert await source.get() == "token-2"


async def test_a_function_that_fails_after_it_was_given_up_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    may_end = threading.Event()

    def token() -> str:
        may_end.wait(120)
        raise RuntimeError("canary")

    source = TokenSource(token, timeout_seconds=0.01)
    with pytest.raises(TokenUnavailable):
        await source.get()
    thread = source._thread
    assert thread is not None
    may_end.set()
    async with asyncio.timeout(120):
        await asyncio.wait({thread})
    del source, thread
    assert caplog.text == ""


async def test_a_coroutine_function_that_hangs_is_cancelled() -> None:
    ended = []

    async def token() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(None)
        return "never"

    with pytest.raises(TokenUnavailable, match="TimeoutError"):
        await TokenSource(token, timeout_seconds=0.01).get()
    assert ended == [None]


@pytest.mark.parametrize("given", [None, "", 5, b"token", ["token"]])
async def test_what_is_no_token(given: Any) -> None:
    with pytest.raises(TokenUnavailable, match="instead of a text"):
        await TokenSource(lambda: given, timeout_seconds=10).get()


async def test_what_the_callable_said_is_not_repeated() -> None:
    def token() -> str:
        raise RuntimeError("canary-secret")

    with pytest.raises(TokenUnavailable, match="RuntimeError") as caught:
        await TokenSource(token, timeout_seconds=10).get()
    assert "canary-secret" not in str(caught.value)


def test_the_servers_answer_comes_before_the_token() -> None:
    expiry = Expiry.of(jwt(exp=seconds_from_now(50)), "2200-01-01T00:00:00Z")
    assert expiry is not None
    assert expiry.at == FAR


def test_a_token_tells_when_the_server_does_not() -> None:
    for told in (None, "soon", "9999999"):
        expiry = Expiry.of(jwt(exp=FAR.timestamp()), told)
        assert expiry is not None
        assert expiry.at == FAR


@pytest.mark.parametrize(
    "token",
    [
        "mw_id_secret",
        "a.b.c",
        "a.!.c",
        "..",
        jwt(),
        jwt(exp="2200-01-01T00:00:00Z" * 9),
        jwt(exp=True),
        jwt(exp=None),
        jwt(exp=[]),
        jwt(exp=1e300),
        jwt(exp=float("nan")),
        "e30." + base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".c2ln",
        "e30.WzFd.c2ln",
        "e30.\u00e9.c2ln",
    ],
)
def test_nothing_tells(token: str) -> None:
    assert Expiry.of(token, None) is None


def test_the_lifetime_is_what_is_left_of_it() -> None:
    expiry = Expiry.of("token", (datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert expiry is not None
    assert 3000 < expiry.seconds <= 3600


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_wrong_makes_it_no_longer_than_the_token_says(hours: int) -> None:
    begins = seconds_from_now(hours * 3600)
    expiry = Expiry.of(jwt(iat=begins, exp=begins + 900), None)
    assert expiry is not None
    assert expiry.seconds == 900


def test_a_clock_that_is_wrong_and_nothing_else() -> None:
    """The server has just taken it, so it cannot have expired an hour ago. It is neither renewed at once nor never."""
    expiry = Expiry.of("token", (datetime.now(UTC) - timedelta(hours=1)).isoformat())
    assert expiry is not None
    assert expiry.seconds == 60


async def test_two_links_ask_a_plain_function_that_gives_something_to_await() -> None:
    """Such as an object whose `__call__` is asynchronous: what it gives can be awaited once."""
    calls = []

    class Fetch:
        async def __call__(self) -> str:
            calls.append(None)
            await asyncio.sleep(0)
            return "token"

    source = TokenSource(Fetch(), timeout_seconds=60)
    assert await asyncio.gather(*(source.get() for _ in range(3))) == ["token"] * 3
    assert calls
