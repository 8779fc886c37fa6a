"""What one status says of several sockets."""

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from modelwire.subscriber import LinkState, LinkStatus
from modelwire.subscriber.errors import ConnectionLost
from modelwire.subscriber.links import OPERATIONS_PER_SOCKET, Links
from modelwire.subscriber.retry import Retry
from modelwire.subscriber.timing import Timing
from modelwire.subscriber.token import TokenSource


class Nothing:
    def request(self) -> dict[str, Any]:
        return {}

    def receive(self, data: object) -> None: ...

    def denied(self) -> None: ...


def links(sockets: int) -> Links:
    made = Links("ws://127.0.0.1:1", token=TokenSource("t", timeout_seconds=1), component={}, timing=Timing())
    for _ in range((sockets - 1) * OPERATIONS_PER_SOCKET + 1):
        made.add(Nothing())
    return made


@pytest.mark.parametrize(("operations", "sockets"), [(1, 1), (40, 1), (41, 2), (80, 2), (81, 3), (120, 3)])
def test_no_socket_carries_more_than_the_server_permits(operations: int, sockets: int) -> None:
    made = links(1)
    for _ in range(operations - 1):
        made.add(Nothing())
    assert [len(link._subscriptions) for link in made._links] == [
        min(OPERATIONS_PER_SOCKET, operations - OPERATIONS_PER_SOCKET * place) for place in range(sockets)
    ]


C, L, S, X = LinkState.CONNECTING, LinkState.LIVE, LinkState.STALE, LinkState.CLOSED


@pytest.mark.parametrize(
    ("states", "expected"),
    [((C, C), C), ((L, C), C), ((L, L), L), ((L, S), S), ((C, S), S), ((X, X), X)],
)
def test_the_least_of_all_sockets_counts(states: tuple[LinkState, ...], expected: LinkState) -> None:
    made = links(len(states))
    for link, state in zip(made._links, states, strict=True):
        link._set(state)
    assert made.status.state is expected


def test_callbacks_are_told_of_changes_of_the_whole_only() -> None:
    made = links(2)
    seen: list[LinkStatus] = []
    made.on_change.add(lambda _, new: seen.append(new))
    first, second = made._links
    first._set(L)
    second._set(L)
    first._set(S, "first broke")
    second._set(S, "second broke")
    first._set(L)
    second._set(L)
    assert [(status.state, status.last_error) for status in seen] == [
        (L, None),
        (S, "first broke"),
        (S, "second broke"),
        (L, "second broke"),
    ]
    assert seen[1].since == seen[2].since


@pytest.mark.parametrize(("lasting_seconds", "expected"), [(3600.0, [1, 2, 3]), (0.0, [1, 1, 1])])
async def test_waits_grow_while_a_link_is_lost_as_soon_as_it_is_live(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lasting_seconds: float, expected: list[int]
) -> None:
    """Behind a proxy that ends each socket, or with an event that this version does not know."""
    links = Links(
        "ws://127.0.0.1:1/graphql",
        token=TokenSource("token", timeout_seconds=1),
        component=None,
        timing=Timing(lasting_seconds=lasting_seconds),
    )
    (link,) = links._links
    waits: list[float] = []
    enough = asyncio.Event()

    async def session() -> None:
        link._settle()
        raise ConnectionLost("the connection broke")

    def delay(_: Retry, delays: Iterator[float]) -> float:
        waits.append(next(delays))
        if len(waits) < 3:
            return 0
        enough.set()
        return 3600

    monkeypatch.setattr(link, "_session", session)
    monkeypatch.setattr(link, "_backoff", lambda: count(1))
    monkeypatch.setattr(link, "_delay", delay)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(60):
        await enough.wait()
    running.cancel()
    await asyncio.wait([running])
    assert waits == expected
    # Once loudly, unless each of them is another one.
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (1 if expected == [1, 2, 3] else 3)
