"""A component of the real server, behind a network that fails in every way there is.

In each case it ends at the latest version, its statuses are what they have to be, its calls are whole or refused with
ModelNotReady, and nothing of it is left when it is closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Direction, FaultProxy, fault_proxy
from live_server import LiveServer, live_server, until

from modelwire.subscriber import DynamicModelProvider, LinkState

from .component import HELLO, Operator, check_whole, component
from .conftest import FAST, Endpoint

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

# A link that is dead is noticed within a second.
WATCHFUL = replace(FAST, silence_seconds=1.0, ping_seconds=0.1)
FORMS = pytest.mark.parametrize("thread", [False, True], ids=["asyncio", "thread"])


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def operator(server: LiveServer, endpoint: Endpoint) -> AsyncIterator[Operator]:
    operator = Operator(f"http://127.0.0.1:{server.port}", server.admin_key, endpoint.base)
    yield operator
    await operator.close()
    check_whole(endpoint)


@pytest.fixture
async def proxy(server: LiveServer) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def make(server: LiveServer, proxy: FaultProxy) -> Callable[..., DynamicModelProvider]:
    def make(**options: Any) -> DynamicModelProvider:
        given = {"token": server.admin_key, "component": "test", "_timing": WATCHFUL, **options}
        return DynamicModelProvider(proxy.url, **given)

    return make


@FORMS
@pytest.mark.parametrize("fault", ["cut", "stall", "half_open", "garble", "garble to the server", "down"])
async def test_a_link_that_is_lost(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], fault: str, thread: bool
) -> None:
    version = await operator.put()
    async with component(make(), proxy, thread=thread) as line:
        await line.until_live(version)
        if fault == "garble to the server":
            proxy.garble(Direction.TO_SERVER)
        else:
            getattr(proxy, fault)()
        # What is garbled may be this.
        version = await operator.put()
        # It may be back already.
        await line.until(lambda: LinkState.STALE in line.links)
        await line.until_answered()
        version = await operator.put()
        proxy.flow()
        if fault == "down":
            await proxy.up()
        await line.until_live(version)
        await line.until_answered()
        assert line.statuses == ["initializing", "ready"]
        assert line.versions == sorted(set(line.versions))
        states = line.went_through
        assert states[:3] == ["connecting", "live", "stale"]
        assert states[1:] == ["live", "stale"] * (len(states) // 2 - 1) + ["live"]
        assert proxy.accepted > 1
    await until(lambda: not proxy.open)


@FORMS
async def test_a_slow_network(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool
) -> None:
    """It is no dead one: with all its pieces late, the link lives."""
    version = await operator.put()
    proxy.delay(0.2)
    async with component(make(_timing=replace(WATCHFUL, silence_seconds=60)), proxy, thread=thread) as line:
        await line.until_live(version)
        for _ in range(3):
            version = await operator.put()
        await line.until_live(version)
        await line.until_answered()
        assert line.statuses == ["initializing", "ready"]
        assert line.versions == sorted(set(line.versions))
        assert line.went_through == ["connecting", "live"]
        assert proxy.accepted == 1


@FORMS
async def test_a_server_that_is_away_at_the_start(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool
) -> None:
    version = await operator.put()
    proxy.down()
    async with component(make(), proxy, thread=thread) as line:
        await line.until(lambda: line.provider.link.last_error is not None)
        await line.until_answered()
        assert (line.answered, line.model.version) == (0, None)
        await proxy.up()
        await line.until_live(version)
        await line.until_answered()
        assert line.answered
        assert line.statuses == ["initializing", "ready"]
        assert line.went_through == ["connecting", "live"]


@FORMS
async def test_a_server_that_is_away_at_the_start_with_a_cache(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool, tmp_path: Path
) -> None:
    cached = await operator.put()
    given = {"cache": tmp_path / "cache", "_timing": replace(WATCHFUL, start_seconds=0.0)}
    async with component(make(**given), proxy, thread=thread) as line:
        await line.until_live(cached)
    proxy.down()
    version = await operator.put()
    async with component(make(**given), proxy, thread=thread) as line:
        await line.until(lambda: line.model.version == cached)
        await line.until(lambda: line.provider.link.state is LinkState.STALE)
        assert line.model.cached_at
        await line.until_answered()
        assert line.answered
        await proxy.up()
        await line.until_live(version)
        assert line.model.cached_at is None
        assert line.statuses == ["initializing", "ready"]
        assert line.versions == [cached, version]
        assert line.went_through == ["connecting", "stale", "live"]


@FORMS
async def test_a_token_that_expired_while_the_link_was_away(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool
) -> None:
    now = datetime.now(UTC)
    soon = now + timedelta(seconds=2)
    keys = [await operator.make_key(at.isoformat()) for at in (soon, now + timedelta(hours=1))]
    given: list[str] = []

    def token() -> str:
        given.append(keys[0] if not given else keys[1])
        return given[-1]

    version = await operator.put()
    timing = replace(WATCHFUL, renewal_least_seconds=3600)
    async with component(make(token=token, _timing=timing), proxy, thread=thread) as line:
        await line.until_live(version)
        proxy.down()
        await line.until(lambda: line.provider.link.state is LinkState.STALE)
        version = await operator.put()
        await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.1)
        await line.until_answered()
        await proxy.up()
        await line.until_live(version)
        assert line.statuses == ["initializing", "ready"]
        assert line.went_through == ["connecting", "live", "stale", "live"]


@FORMS
async def test_a_token_that_expired_and_has_no_successor(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool
) -> None:
    """The model goes on with what it has, and hears of nothing new."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    key = await operator.make_key(soon.isoformat())
    version = await operator.put()
    async with component(make(token=key), proxy, thread=thread) as line:
        await line.until_live(version)
        await line.until(lambda: "4401" in (line.provider.link.last_error or ""))
        await operator.put()
        await line.until_answered()
        assert line.model.version == version
        assert line.statuses == ["initializing", "ready"]
        assert line.went_through == ["connecting", "live", "stale"]


@FORMS
@pytest.mark.parametrize("away", [False, True], ids=["live", "away"])
async def test_an_alias_that_is_deleted_and_created_again(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool, away: bool
) -> None:
    first = await operator.put("orders")
    async with component(make(), proxy, thread=thread, alias="orders") as line:
        await line.until_live(first)
        old = line.model.settings and line.model.settings.id
        if away:
            proxy.down()
            await line.until(lambda: line.provider.link.state is LinkState.STALE)
        await operator.remove("orders")
        if not away:
            await line.until(lambda: line.model.settings is None)
            await line.until_answered()
            assert line.not_ready
        await operator.put("orders")
        if away:
            await proxy.up()
        await line.until(lambda: line.model.settings is not None and line.model.settings.id != old)
        await line.until_live(1)
        await line.until_answered()
        assert line.versions == ([1, 1] if away else [1, None, 1])
        assert line.statuses == ["initializing", "ready", *([] if away else ["none", "ready"])]


@FORMS
@pytest.mark.parametrize("away", [False, True], ids=["live", "away"])
async def test_a_rename(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool, away: bool
) -> None:
    """Away from the alias, and back onto it."""
    first = await operator.put("orders")
    async with component(make(), proxy, thread=thread, alias="orders") as line:
        await line.until_live(first)
        for alias, to in (("orders", "elsewhere"), ("elsewhere", "orders")):
            if away:
                proxy.down()
                await line.until(lambda: line.provider.link.state is LinkState.STALE)
            version = await operator.rename(alias, to)
            if away:
                await proxy.up()
            await line.until_live(version if to == "orders" else None)
        await line.until_answered()
        assert line.statuses == ["initializing", "ready", "none", "ready"]
        assert line.versions == [1, None, 3]


@FORMS
async def test_a_hundred_updates_at_once_through_a_network_that_breaks(
    operator: Operator, proxy: FaultProxy, make: Callable[..., DynamicModelProvider], thread: bool
) -> None:
    version = await operator.put()
    async with component(make(), proxy, thread=thread) as line:
        await line.until_live(version)
        refused = line.not_ready
        for number in range(100):
            version = await operator.put()
            if number % 30 == 29:
                proxy.cut()
        await line.until_live(version)
        await line.until_answered()
        assert line.statuses == ["initializing", "ready"]
        assert line.versions == sorted(set(line.versions))
        assert line.not_ready == refused


@pytest.mark.parametrize(("calls", "updates"), [(400, 100), pytest.param(10_000, 1_000, marks=pytest.mark.long)])
async def test_no_call_sees_a_mixture(
    operator: Operator, make: Callable[..., DynamicModelProvider], endpoint: Endpoint, calls: int, updates: int
) -> None:
    """Calls of tasks and of threads, under way all the while; the endpoint looks at each (`check_whole`)."""
    callers, each = 4, calls // updates // 2
    version = await operator.put()
    async with make(_timing=FAST) as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=120)
        for_tasks, for_threads = asyncio.Semaphore(0), threading.Semaphore(0)

        async def call() -> None:
            for _ in range(calls // 2 // callers):
                await for_tasks.acquire()
                await model.acompletion(HELLO, num_retries=0)

        def call_in_thread() -> None:
            for _ in range(calls // 2 // callers):
                for_threads.acquire()
                model.completion(HELLO, num_retries=0)

        calling = [asyncio.create_task(call()) for _ in range(callers)]
        calling += [asyncio.create_task(asyncio.to_thread(call_in_thread)) for _ in range(callers)]
        for number in range(updates):
            # Spread over all updates, and never so few that none is under way.
            begun = 2 * each * number
            await until(lambda begun=begun: len(endpoint.asked) >= begun - callers, 300)
            for _ in range(each):
                for_tasks.release()
                for_threads.release()
            version = await operator.put()
        await asyncio.gather(*calling)
        await until(lambda: model.version == version, 120)
    assert len(endpoint.asked) == calls
    assert len({asked.body["model"] for asked in endpoint.asked}) > updates // 2
