"""How often somebody may try."""

from __future__ import annotations

import pytest

from modelwire.resolvers import attempts as module
from modelwire.resolvers.attempts import Attempts
from modelwire.resolvers.errors import LimitExceeded


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(attempts: Attempts, source: str | None, most: int = 100) -> int:
    """How many attempts an address has left."""
    for number in range(most):
        try:
            attempts.take(source)
        except LimitExceeded:
            return number
    return most


def test_an_address_has_so_many_at_once_and_so_many_a_minute(clock: Clock) -> None:
    attempts = Attempts(6, now=clock)
    assert taken(attempts, "192.0.2.1") == 6
    with pytest.raises(LimitExceeded, match="try again in 10 seconds"):
        attempts.take("192.0.2.1")
    clock.seconds += 9
    with pytest.raises(LimitExceeded, match="try again in 1 seconds"):
        attempts.take("192.0.2.1")
    clock.seconds += 1
    assert taken(attempts, "192.0.2.1") == 1
    clock.seconds += 3600
    assert taken(attempts, "192.0.2.1") == 6


def test_addresses_do_not_take_each_others(clock: Clock) -> None:
    attempts = Attempts(3, now=clock)
    assert taken(attempts, "192.0.2.1") == 3
    assert taken(attempts, "192.0.2.2") == 3
    assert taken(attempts, None) == 3
    assert taken(attempts, "a socket") == 3


def test_a_network_of_ipv6_is_one_address(clock: Clock) -> None:
    attempts = Attempts(3, now=clock)
    assert taken(attempts, "2001:db8:1:2::1") == 3
    assert taken(attempts, "2001:db8:1:2:ffff::2") == 0
    assert taken(attempts, "2001:db8:1:3::1") == 3


def test_an_address_of_ipv4_is_one_however_it_is_written(clock: Clock) -> None:
    attempts = Attempts(3, now=clock)
    assert taken(attempts, "::ffff:192.0.2.1") == 3
    assert taken(attempts, "192.0.2.1") == 0
    assert taken(attempts, "::ffff:192.0.2.2") == 3


def test_it_remembers_so_many_addresses(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SOURCES", 3)
    attempts = Attempts(2, now=clock)
    for address in ("a", "b", "c"):
        assert taken(attempts, address) == 2
    assert taken(attempts, "a") == 0
    assert taken(attempts, "d") == 2
    # The one that has not tried for the longest time was forgotten, and no other.
    assert taken(attempts, "a") == 0
    assert taken(attempts, "c") == 0
    assert len(attempts._left) == 3
    assert taken(attempts, "b") == 2
