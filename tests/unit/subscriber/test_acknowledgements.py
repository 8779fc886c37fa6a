"""What is told of versions: of each config the last, until the server has it, and never so that anything waits."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modelwire.subscriber.acknowledgements import MAX_MESSAGE, MAX_ON_THE_WAY, Acknowledgements, Verdict
from modelwire.subscriber.protocol import Completed, Failed, Next, Pinged


def delays() -> Iterator[float]:
    yield from (1.0, 2.0, 4.0)


@pytest.fixture
def said() -> Acknowledgements:
    return Acknowledgements("me", delays)


def send(said: Acknowledgements, now: float = 0.0) -> list[Verdict]:
    """Send all that is due; the operations' ids are config and version."""
    sent = []
    while (verdict := said.take(now)) is not None:
        said.sent(name(verdict), verdict)
        sent.append(verdict)
    return sent


def name(verdict: Verdict) -> str:
    return f"{verdict.config_id}{verdict.version}"


def answered(said: Acknowledgements, verdict: Verdict) -> None:
    assert said.receive(Next(name(verdict), {}, ()), 0.0)
    assert said.receive(Completed(name(verdict)), 0.0)


def error(code: str | None) -> dict[str, Any]:
    return {"message": "no", "extensions": {"code": code}} if code else {"message": "no"}


def test_of_each_config_the_last_is_sent_once(said: Acknowledgements) -> None:
    assert said.due == math.inf
    for verdict in (Verdict("a", 1), Verdict("b", 1), Verdict("a", 2)):
        said.say(verdict)
    assert said.due == 0.0
    assert send(said) == [Verdict("a", 2), Verdict("b", 1)]
    assert said.due == math.inf
    answered(said, Verdict("a", 2))
    said.begin()
    # What is answered is told; what is not, is sent on the new socket, unless there is something newer to say.
    said.say(Verdict("c", 1))
    assert send(said) == [Verdict("b", 1), Verdict("c", 1)]
    said.say(Verdict("b", 2))
    said.begin()
    assert send(said) == [Verdict("b", 2), Verdict("c", 1)]


def test_what_is_refused_does_not_hide_what_was_applied_before(said: Acknowledgements) -> None:
    verdicts = [Verdict("a", 1), Verdict("a", 2), Verdict("a", 3, "missing_secret")]
    for verdict in verdicts:
        said.say(verdict)
    assert send(said) == verdicts[1:]
    said.begin()
    said.say(Verdict("a", 4, "missing_secret"))
    assert send(said) == [Verdict("a", 2), Verdict("a", 4, "missing_secret")]


def test_few_are_on_the_way_at_a_time(said: Acknowledgements) -> None:
    for number in range(MAX_ON_THE_WAY + 2):
        said.say(Verdict("a" * (number + 1), 1))
    first = send(said)
    assert (len(first), said.due) == (MAX_ON_THE_WAY, math.inf)
    answered(said, first[0])
    assert (said.due, len(send(said))) == (0.0, 1)


def test_what_is_said(said: Acknowledgements) -> None:
    applied = {"instanceId": "me", "id": "a", "version": 1, "outcome": "APPLIED", "reason": None, "message": None}
    given = said.request(Verdict("a", 1, at=time.monotonic() - 500))["variables"]["input"]
    assert given.pop("secondsAgo") >= 500
    assert given == applied
    refused = said.request(Verdict("a", 2, "missing_secret", "m" * 5000))["variables"]["input"]
    assert (refused["outcome"], refused["reason"], len(refused["message"])) == (
        "REFUSED",
        "missing_secret",
        MAX_MESSAGE,
    )


@pytest.mark.parametrize("ended", [True, False])
def test_a_server_that_cannot_take_it_now_is_told_later(
    said: Acknowledgements, ended: bool, caplog: pytest.LogCaptureFixture
) -> None:
    verdict = Verdict("a", 1)

    def fail(now: float) -> None:
        (sent,) = send(said, now)
        errors = (error("UNAVAILABLE"),)
        if ended:
            assert said.receive(Failed(name(sent), errors), now)
        else:
            assert said.receive(Next(name(sent), None, errors), now)
            assert said.receive(Completed(name(sent)), now)

    said.say(verdict)
    fail(10.0)
    assert (said.due, send(said, 10.9)) == (11.0, [])
    fail(11.0)
    assert (said.due, len(caplog.records)) == (13.0, 1)
    said.say(Verdict("a", 2))
    assert send(said, 13.0) == [Verdict("a", 2)]
    answered(said, Verdict("a", 2))
    said.say(verdict)
    fail(20.0)
    assert (said.due, len(caplog.records)) == (21.0, 2)


@pytest.mark.parametrize("failing", [(1, 2), (2, 1), (1,)])
def test_of_two_on_the_way_that_fail_the_newer_is_told_again(said: Acknowledgements, failing: tuple[int, ...]) -> None:
    verdicts = [Verdict("a", 1, at=1.0), Verdict("a", 2, at=2.0)]
    for verdict in verdicts:
        said.say(verdict)
        assert send(said) == [verdict]
    for version in failing:
        assert said.receive(Failed(f"a{version}", (error("UNAVAILABLE"),)), 0.0)
    assert send(said, 60.0) == (verdicts[1:] if 2 in failing else [])
    said.begin()
    assert send(said, 60.0) == verdicts[1:]


@pytest.mark.parametrize("code", ["FORBIDDEN", "BAD_USER_INPUT", None])
def test_a_server_that_will_not_take_it_is_not_asked_again(
    said: Acknowledgements, code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    for version in (1, 2):
        said.say(Verdict("a", version))
        send(said)
        assert said.receive(Failed(f"a{version}", (error(code),)), 0.0)
        assert said.due == math.inf
    said.begin()
    assert said.due == math.inf
    (record,) = caplog.records
    assert "component:report" in record.getMessage()


def test_what_is_about_something_else_is_left_to_others(said: Acknowledgements) -> None:
    said.say(Verdict("a", 1))
    send(said)
    for event in (Next("other", {}, ()), Completed("other"), Failed("other", ()), Pinged("pong"), None):
        assert not said.receive(event, 0.0)
