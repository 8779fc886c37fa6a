"""Configurations that are tried with a real call before they are used."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import fault_proxy
from live_server import live_server
from ports import free_port
from stand_ins.chat import KEY, ChatStandIn, running_chat_stand_in

from modelwire.subscriber import ConfigurationError, DynamicModelProvider, LinkState, ModelNotReady, ModelStatus
from modelwire.subscriber.cache import CacheFile

from .component import Operator, check_whole, component
from .conftest import FAST, Endpoint, Plane, Signal

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

# What fails is not tried again while a test looks at it.
ONCE = replace(FAST, probe_again_first_seconds=3600, probe_again_max_seconds=3600)
BINDING = """{ modelConfig(by: {alias: "general"}) { components { edges { node {
  state reason message appliedVersion } } } } }"""


@pytest.fixture
async def chat(litellm_sockets: None) -> AsyncIterator[ChatStandIn]:
    async with running_chat_stand_in() as running:
        yield running
        running.go_on.set()


def models(chat: ChatStandIn) -> list[str]:
    """Those that were asked, in order."""
    return [body["model"] for _, _, body in chat.requests]


async def put(plane: Plane, chat: ChatStandIn, version: int, mode: str, alias: str = "general") -> None:
    await plane.put(
        alias, config_id=alias, version=version, name=f"m-{version}", api_base=f"{chat.url}/{mode}", api_key=KEY
    )


def told(plane: Plane) -> list[tuple[int, str, str | None]]:
    """The acknowledgements."""
    return [(each["version"], each["outcome"], each["reason"]) for each in plane.acknowledged]


async def test_each_class_of_failure_keeps_the_one_in_use(
    tmp_path: Path, chat: ChatStandIn, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """On the real server, which shows the class, with calls all the while; then one that works."""
    nobody = f"http://127.0.0.1:{free_port()}"
    cases = {
        f"{chat.url}/empty": "provider",
        f"{chat.url}/401": "authentication",
        f"{chat.url}/403": "authentication",
        f"{chat.url}/404": "not_found",
        f"{chat.url}/429": "rate_limit",
        f"{chat.url}/400": "bad_request",
        f"{chat.url}/500": "provider",
        nobody: "connection",
    }
    async with live_server(tmp_path / "data") as server, fault_proxy(server.port) as proxy:
        operator = Operator(f"http://127.0.0.1:{server.port}", server.admin_key, endpoint.base)
        first = await operator.put()
        given = {"token": server.admin_key, "component": "test", "probe": True, "_timing": ONCE}
        async with component(DynamicModelProvider(proxy.url, **given), proxy) as line:
            await line.until_live(first)
            for address, problem in cases.items():
                await operator.put(apiBase=address, auth={"apiKey": {"apiKey": KEY}})
                refused = {"state": "REFUSED", "reason": f"probe_failed:{problem}", "appliedVersion": first}
                async with asyncio.timeout(120):
                    while (binding := await bound(operator)) | refused != binding:  # noqa: ASYNC110 - no event for it
                        await asyncio.sleep(0.02)
                assert binding["message"].startswith(f"probe_failed:{problem}: a call was tried with it: ")
                assert KEY not in str(binding)
                assert line.model.refusal
                assert str(line.model.refusal) == binding["message"]
                assert line.model.version == first
                await line.until_answered()
            last = await operator.put()
            await line.until_live(last)
            await line.until_answered()
            assert line.model.refusal is None
            assert line.statuses == ["initializing", "ready"]
            assert line.versions == [first, last]
        await operator.close()
    assert KEY not in caplog.text
    # The trials of the first and the last, and the calls, of which those made meanwhile were the first's.
    check_whole(endpoint)
    assert {asked.body["model"] for asked in endpoint.asked} == {"m-1", f"m-{len(cases) + 2}"}
    assert Counter(models(chat)) == {f"m-{number}": 1 for number in range(2, len(cases) + 1)}


async def bound(operator: Operator) -> dict[str, Any]:
    """The binding of the only component; empty before the server has noted it."""
    edges = (await operator.execute(BINDING))["modelConfig"]["components"]["edges"]
    node: dict[str, Any] = edges[0]["node"] if edges else {}
    return node


async def test_a_call_without_an_answer_is_bounded_in_time(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn
) -> None:
    await put(plane, chat, 1, "never")
    line = await connect(probe=True, timing=replace(ONCE, probe_seconds=0.3))
    await signal.until(lambda: plane.acknowledged)
    assert told(plane) == [(1, "REFUSED", "probe_failed:timeout")]
    async with asyncio.timeout(120):
        await chat.gone.wait()
    assert line.model.status is ModelStatus.INITIALIZING


@pytest.mark.parametrize("thread", [False, True], ids=["asyncio", "thread"])
async def test_the_first_configuration_is_tried_again_until_it_works(
    plane: Plane, signal: Signal, chat: ChatStandIn, thread: bool
) -> None:
    """With none in use, the model says why it is not ready; each verdict is told once."""
    chat.now = "401"
    await put(plane, chat, 1, "now")
    provider = DynamicModelProvider(plane.url, token="token", component="test", probe=True, _timing=FAST)
    model = provider.get_lite_llm_model("general")
    statuses: list[str] = []
    model.on_status_change(lambda old, new: statuses.append(f"{old}>{new}"))
    if thread:
        provider.start()
    else:
        await provider.__aenter__()
    await signal.until(lambda: plane.acknowledged)
    async with asyncio.timeout(120):
        while len(chat.requests) < 3:  # noqa: ASYNC110 - the stand-in has no event for it
            await asyncio.sleep(0.01)
    with pytest.raises(ModelNotReady, match="probe_failed:authentication") as caught:
        await model.acompletion([])
    assert caught.value.status is ModelStatus.INITIALIZING
    assert provider.link.state is LinkState.LIVE
    chat.now = "ok"
    await model.wait_ready(timeout_seconds=120)
    await signal.until(lambda: len(plane.acknowledged) == 2)
    assert told(plane) == [(1, "REFUSED", "probe_failed:authentication"), (1, "APPLIED", None)]
    assert (model.refusal, model.version, statuses) == (None, 1, ["initializing>ready"])
    await provider.close()


async def test_a_trial_holds_up_nothing_and_a_newer_version_supersedes_it(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn
) -> None:
    await put(plane, chat, 1, "ok")
    await put(plane, chat, 1, "ok", "planning")
    line = await connect(probe=True, timing=ONCE)
    other = line.get("planning")
    await signal.until(lambda: line.model.version == 1 and other.version == 1)
    await put(plane, chat, 2, "never")
    async with asyncio.timeout(120):
        await chat.began.wait()
    # While it waits for an answer: another alias, calls, and the link.
    await put(plane, chat, 2, "ok", "planning")
    await signal.until(lambda: other.version == 2)
    assert (line.model.version, line.model.refusal) == (1, None)
    assert line.model.litellm_params()["model"] == "openai/m-1"
    assert line.provider.link.state is LinkState.LIVE
    await put(plane, chat, 3, "ok")
    async with asyncio.timeout(120):
        await chat.gone.wait()
    await signal.until(lambda: line.model.version == 3)
    await signal.until(lambda: len(plane.acknowledged) == 4)
    assert sorted(told(plane)) == [(version, "APPLIED", None) for version in (1, 1, 2, 3)]
    assert line.history.versions == [1, 3]


@pytest.mark.parametrize("how", ["removed", "a placeholder"])
async def test_what_is_gone_while_it_is_tried_is_not_used(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn, how: str
) -> None:
    await put(plane, chat, 1, "held")
    line = await connect(probe=True, timing=ONCE)
    async with asyncio.timeout(120):
        await chat.began.wait()
    if how == "removed":
        await plane.remove("general")
    else:
        empty = {**plane.configs["general"], "version": 2, "configured": False, "litellmParams": None}
        await plane.transaction({"general": empty})
    await signal.until(lambda: line.model.status is ModelStatus.NONE)
    chat.go_on.set()
    await put(plane, chat, 3, "ok")
    await signal.until(lambda: line.model.version == 3)
    assert line.history.versions == [3]
    assert line.provider._replicas[0]._tried is None


async def test_a_hundred_updates_at_once(plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn) -> None:
    await put(plane, chat, 1, "ok")
    line = await connect(probe=True, timing=replace(ONCE, probe_pause_seconds=0.2))
    await line.model.wait_ready(timeout_seconds=120)
    for version in range(2, 102):
        await put(plane, chat, version, "ok")
    await signal.until(lambda: line.model.version == 101)
    assert line.history.versions == sorted(line.history.versions)
    # At most one call of each version, and few in all.
    assert set(Counter(models(chat)).values()) == {1}
    assert models(chat)[-1] == "m-101"
    assert len(models(chat)) < 50


async def test_a_version_is_tried_once_in_a_process(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn, tmp_path: Path
) -> None:
    """However often the link is lost, during the trial too, and not again when the cache has it."""
    await put(plane, chat, 1, "held")
    given = {"probe": True, "token": KEY * 2, "cache": tmp_path / "cache", "timing": replace(ONCE, start_seconds=3600)}
    line = await connect(**given)
    async with asyncio.timeout(120):
        await chat.began.wait()
    for compacted in (False, True):
        plane.compacted = compacted
        (socket,) = plane.sockets
        await plane.close_sockets(1011)
        await signal.until(lambda socket=socket: plane.sockets and plane.sockets[-1] is not socket)
        await signal.until(lambda: plane.sockets[-1].open)
        # There is no position before the verdict.
        assert plane.sockets[-1].sinces() == [None]
    assert not plane.acknowledged
    chat.go_on.set()
    await line.model.wait_ready(timeout_seconds=120)
    await plane.close_sockets(1011)
    await signal.until(lambda: plane.sockets and plane.sockets[-1].sinces() == [plane.position])
    # A snapshot that says the same.
    await plane.close_sockets(1011)
    await signal.until(lambda: len(plane.acknowledged) == 2)
    assert told(plane) == [(1, "APPLIED", None)] * 2
    await line.provider.close()
    await plane.stop()
    again = await connect(**{**given, "timing": replace(ONCE, start_seconds=0.0)})
    await again.model.wait_ready(timeout_seconds=120)
    assert again.model.cached_at
    await plane.start()
    await signal.until(lambda: again.model.cached_at is None and len(plane.acknowledged) == 3)
    assert models(chat) == ["m-1"]


async def test_what_failed_is_not_tried_again_by_a_reconnect(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn
) -> None:
    await put(plane, chat, 1, "404")
    line = await connect(probe=True, timing=ONCE)
    await signal.until(lambda: plane.acknowledged)
    plane.compacted = True
    await plane.close_sockets(1011)
    # Whoever sends a snapshot is told again.
    await signal.until(lambda: len(plane.acknowledged) == 2)
    assert told(plane) == [(1, "REFUSED", "probe_failed:not_found")] * 2
    assert (models(chat), line.model.status) == (["m-1"], ModelStatus.INITIALIZING)


async def test_the_cache_holds_what_was_applied(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn, tmp_path: Path
) -> None:
    await put(plane, chat, 1, "ok")
    path = tmp_path / "cache"
    line = await connect(probe=True, token=KEY * 2, cache=path, timing=replace(ONCE, start_seconds=3600))
    await line.model.wait_ready(timeout_seconds=120)
    await put(plane, chat, 2, "401")
    await signal.until(lambda: len(plane.acknowledged) == 2)
    await put(plane, chat, 3, "never")
    async with asyncio.timeout(120):
        await chat.began.wait()
    await line.provider.close()
    address = plane.url.replace("http", "ws") + "/graphql"
    assert CacheFile(path, secret=KEY * 2, address=address).read()["general"].config.version == 1


@pytest.mark.parametrize("thread", [False, True], ids=["asyncio", "thread"])
async def test_close_during_a_trial_leaves_nothing(plane: Plane, chat: ChatStandIn, thread: bool) -> None:
    await put(plane, chat, 1, "never")
    provider = DynamicModelProvider(plane.url, token="token", component="test", probe=True, _timing=FAST)
    async with fault_proxy(plane.port) as proxy, component(provider, proxy, thread=thread):
        async with asyncio.timeout(120):
            await chat.began.wait()
    async with asyncio.timeout(120):
        await chat.gone.wait()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("modelwire")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("modelwire")]


async def test_only_the_aliases_that_are_named_are_tried(
    plane: Plane, connect: Any, signal: Signal, chat: ChatStandIn
) -> None:
    await put(plane, chat, 1, "404")
    await put(plane, chat, 1, "404", "embeddings")
    line = await connect("embeddings", probe=["general"], timing=ONCE)
    await line.model.wait_ready(timeout_seconds=120)
    line.get("general")
    await signal.until(lambda: len(plane.acknowledged) == 2)
    assert sorted(told(plane), key=str) == [(1, "APPLIED", None), (1, "REFUSED", "probe_failed:not_found")]
    for wrong in ("general", 1, [1]):
        with pytest.raises(ConfigurationError, match="probe is"):
            DynamicModelProvider(plane.url, token="token", component="test", probe=wrong)  # type: ignore[arg-type]
