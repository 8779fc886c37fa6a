"""Tokens that expire on a link that does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from modelwire.subscriber import LinkState

from .conftest import FAST, Plane, Signal


def numbered() -> Callable[[], str]:
    """Gives token-0, token-1, …"""
    numbers = count()
    return lambda: f"token-{next(numbers)}"


def shown(plane: Plane) -> list[str]:
    """The tokens that the one socket was shown, in order."""
    (socket,) = plane.sockets
    payloads = [message.get("payload") or {} for message in socket.received]
    return [payload["authorization"].removeprefix("Bearer ") for payload in payloads if "authorization" in payload]


async def test_a_token_is_renewed_again_and_again_on_one_socket(plane: Plane, connect: Any, signal: Signal) -> None:
    plane.token_seconds = 0.1
    await plane.put("general", version=1)
    line = await connect(token=numbered())
    for version in range(2, 12):
        await signal.until(lambda version=version: plane.sockets and len(shown(plane)) >= version)
        await plane.put("general", version=version)
        await signal.until(lambda version=version: line.model.version == version)
    assert shown(plane) == [f"token-{number}" for number in range(len(shown(plane)))]
    assert [status.state for status in line.links] == [LinkState.LIVE]
    assert line.history.versions == list(range(1, 12))


@pytest.mark.parametrize("token", ["token", lambda: "token"])
async def test_what_never_expires_is_not_renewed(plane: Plane, connect: Any, signal: Signal, token: Any) -> None:
    line = await connect(token=token, timing=replace(FAST, ping_seconds=0.01))
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)
    await signal.until(lambda: len(plane.sockets[0].messages("ping")) >= 10)
    assert shown(plane) == ["token"]


async def test_a_text_is_not_renewed(plane: Plane, connect: Any, signal: Signal) -> None:
    """It would be the same again."""
    plane.token_seconds = 0.01
    await connect(token="token", timing=replace(FAST, ping_seconds=0.01))
    await signal.until(lambda: plane.sockets and len(plane.sockets[0].messages("ping")) >= 10)
    assert shown(plane) == ["token"]


async def test_a_refused_token_is_followed_by_another(
    plane: Plane, connect: Any, signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "modelwire.subscriber")
    plane.token_seconds = 0.1
    plane.refused_tokens = {"token-1", "token-2"}
    line = await connect(token=numbered())
    await signal.until(lambda: plane.sockets and "token-4" in shown(plane))
    assert shown(plane)[:5] == [f"token-{number}" for number in range(5)]
    assert {status.state for status in line.links} == {LinkState.LIVE}
    assert line.provider.link.last_error == "the server refused the new token: the token was revoked"
    refusals = [record for record in caplog.records if "refused the new token" in record.message]
    assert [record.levelno for record in refusals] == [logging.WARNING, logging.INFO]
    assert "token-1" not in caplog.text


async def test_a_callable_that_fails_is_asked_again(
    plane: Plane, connect: Any, signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    plane.token_seconds = 0.1
    answers: list[Any] = ["token-0", RuntimeError("canary-secret"), "", "token-1"]

    async def token() -> str:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    line = await connect(token=token)
    await signal.until(lambda: plane.sockets and "token-1" in shown(plane))
    assert {status.state for status in line.links} == {LinkState.LIVE}
    assert "token callable" in (line.provider.link.last_error or "")
    assert "canary-secret" not in caplog.text


async def test_a_token_that_lasts_no_longer_is_no_renewal(plane: Plane, connect: Any, signal: Signal) -> None:
    """A callable that keeps its token until the last moment is asked again, and not at once."""
    plane.token_seconds = 0.1
    line = await connect(token=numbered())
    await signal.until(lambda: plane.sockets and line.provider.link.state is LinkState.LIVE)
    plane.token_seconds = -3600.0
    await signal.until(lambda: "lasts no longer" in (line.provider.link.last_error or ""))
    plane.token_seconds = 0.1
    already = len(shown(plane))
    await signal.until(lambda: len(shown(plane)) > already + 1)
    assert {status.state for status in line.links} == {LinkState.LIVE}


async def test_a_server_that_does_not_answer_has_one_renewal_at_a_time(
    plane: Plane, connect: Any, signal: Signal
) -> None:
    plane.token_seconds = 0.01
    plane.answers_renewals = False
    line = await connect(token=numbered(), timing=replace(FAST, open_seconds=0.2, ping_seconds=0.01))
    await signal.until(lambda: "did not answer" in (line.provider.link.last_error or ""))
    (socket,) = plane.sockets
    pings = [message.get("payload") for message in socket.messages("ping")]
    # Between the renewal and the end of its patience there were plain pings, and no other renewal.
    first = next(place for place, payload in enumerate(pings) if payload)
    assert len(pings[first:]) > 3
    assert sum(payload is not None for payload in pings) <= 2
    plane.answers_renewals = True
    plane.token_seconds = 3600
    await plane.put("general", version=1)
    await line.model.wait_ready(timeout_seconds=120)
    assert {status.state for status in line.links} == {LinkState.LIVE}


async def test_after_the_expiry_it_comes_back_with_a_fresh_token_and_misses_nothing(
    plane: Plane, connect: Any, signal: Signal
) -> None:
    plane.token_seconds = 3600
    await plane.put("general", version=1)
    line = await connect(token=numbered())
    await line.model.wait_ready(timeout_seconds=120)
    (first,) = plane.sockets
    await plane.close_sockets(4403, "Token expired")
    await signal.until(lambda: first not in plane.sockets)
    await plane.put("general", version=2)
    await signal.until(lambda: line.model.version == 2)
    assert shown(plane) == ["token-1"]
    assert plane.sockets[-1].sinces() == ["one-1"]


async def test_a_link_that_ends_while_a_renewal_waits_leaves_nothing(
    plane: Plane, connect: Any, signal: Signal
) -> None:
    plane.token_seconds = 0.01
    asked = asyncio.Event()

    async def token() -> str:
        if plane.sockets:
            asked.set()
            await asyncio.Event().wait()
        return "token"

    before = asyncio.all_tasks()
    line = await connect(token=token)
    async with asyncio.timeout(120):
        await asked.wait()
    await line.provider.close()
    await signal.until(lambda: not plane.sockets)
    assert {task for task in asyncio.all_tasks() - before if task.get_name().startswith("modelwire")} == set()
