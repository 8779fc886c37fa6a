"""The link is lost in every way there is, and comes back."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from modelwire.subscriber import DynamicModelProvider, LinkState, ModelNotReady, ModelStatus, ProviderClosed

from .conftest import FAST, Plane, Signal


async def ready(plane: Plane, connect: Any, **options: Any) -> Any:
    await plane.put("general", version=1)
    line = await connect(**options)
    await line.model.wait_ready(timeout_seconds=120)
    return line


async def test_reconnect_resumes_and_loses_nothing(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await ready(plane, connect)
    await plane.stop()
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    assert line.model.status is ModelStatus.READY
    for version in (2, 3, 4):
        await plane.put("general", version=version)
    await plane.start()
    await signal.until(lambda: line.model.version == 4)
    assert plane.sockets[-1].sinces() == ["one-1"]
    assert line.history.versions == [1, 4]
    assert line.history.statuses == ["initializing", "ready"]
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)


async def test_deleted_and_created_again_while_away(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await ready(plane, connect)
    await plane.stop()
    await plane.remove("general")
    await plane.put("general", config_id="b", version=1, name="again")
    await plane.start()
    await signal.until(lambda: line.model.settings and line.model.settings.id == "b")
    await plane.stop()
    await plane.remove("general")
    await plane.start()
    await signal.until(lambda: line.model.status is ModelStatus.NONE)


@pytest.mark.parametrize("how", ["compacted", "another store"])
async def test_a_reset_replaces_even_by_a_lower_version(plane: Plane, connect: Any, signal: Signal, how: str) -> None:
    await plane.put("general", version=8)
    line = await connect()
    await signal.until(lambda: line.model.version == 8)
    await plane.stop()
    if how == "compacted":
        plane.compacted = True
    else:
        plane.store = "two"
    await plane.put("general", version=3)
    await plane.start()
    await signal.until(lambda: line.model.version == 3)
    assert line.history.statuses == ["initializing", "ready"]


async def test_a_server_that_is_away_at_start(plane: Plane, connect: Any, signal: Signal) -> None:
    await plane.put("general", version=1)
    await plane.stop()
    line = await connect()
    await signal.until(lambda: line.provider.link.last_error is not None)
    assert line.provider.link.state is LinkState.CONNECTING
    with pytest.raises(ModelNotReady):
        await line.model.wait_ready(timeout_seconds=0)
    await plane.start()
    await line.model.wait_ready(timeout_seconds=120)
    assert line.provider.link.state is LinkState.LIVE
    assert line.history.statuses == ["initializing", "ready"]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 4400, 4403])
async def test_it_comes_back_after_any_close(plane: Plane, connect: Any, signal: Signal, code: int) -> None:
    line = await ready(plane, connect)
    await plane.close_sockets(code, "Reason")
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    assert str(code) in (line.provider.link.last_error or "")
    await plane.put("general", version=2)
    await signal.until(lambda: line.model.version == 2)
    assert line.history.statuses == ["initializing", "ready"]


async def test_a_connection_that_breaks_without_a_close_frame(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await ready(plane, connect)
    plane.sockets[0].connection.transport.abort()
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)


async def test_a_silent_link_is_dead(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await ready(plane, connect, timing=replace(FAST, silence_seconds=0.2, ping_seconds=0.05))
    (first,) = plane.sockets
    plane.silent = True
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    assert "nothing came" in (line.provider.link.last_error or "")
    assert first.messages("ping")
    plane.silent = False
    await plane.put("general", version=2)
    await signal.until(lambda: line.model.version == 2)
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)


async def test_a_quiet_server_that_answers_pings_is_alive(plane: Plane, connect: Any, signal: Signal) -> None:
    line = await ready(plane, connect, timing=replace(FAST, silence_seconds=1.0, ping_seconds=0.02))
    (first,) = plane.sockets
    await signal.until(lambda: len(first.messages("ping")) >= 60)
    assert plane.sockets == [first]
    assert [status.state for status in line.links] == [LinkState.LIVE]


async def test_a_server_that_says_something_is_not_asked(plane: Plane, connect: Any, signal: Signal) -> None:
    await ready(plane, connect, timing=replace(FAST, silence_seconds=60, ping_seconds=1.0))
    (socket,) = plane.sockets
    async with asyncio.timeout(120):
        for number in range(1, 201):
            await socket.send(type="ping")
            await signal.until(lambda number=number: len(socket.messages("pong")) >= number)
            await asyncio.sleep(0.02)
    # Four seconds and more; none, but for a machine that stands still for one of them.
    assert len(socket.messages("ping")) < 3


async def test_the_servers_pings_are_answered(plane: Plane, connect: Any, signal: Signal) -> None:
    await ready(plane, connect)
    (socket,) = plane.sockets
    await socket.send(type="ping", payload={"authorization": "Bearer x"})
    await signal.until(lambda: socket.messages("pong"))
    assert socket.messages("pong") == [{"type": "pong"}]


async def test_a_server_that_never_acknowledges(plane: Plane, connect: Any, signal: Signal) -> None:
    plane.mute_at_init = True
    await plane.put("general", version=1)
    line = await connect(timing=replace(FAST, open_seconds=0.2))
    await signal.until(lambda: "acknowledge" in (line.provider.link.last_error or ""))
    assert line.provider.link.state is LinkState.CONNECTING
    plane.mute_at_init = False
    await line.model.wait_ready(timeout_seconds=120)


async def test_of_several_versions_in_a_row_the_server_is_told_the_last(
    plane: Plane, connect: Any, signal: Signal
) -> None:
    line = await ready(plane, connect, timing=replace(FAST, acknowledge_seconds=1.0))
    await signal.until(lambda: plane.acknowledged)
    for version in (2, 3, 4):
        await plane.put("general", version=version)
        await signal.until(lambda version=version: line.model.version == version)
    await signal.until(lambda: plane.acknowledged[-1]["version"] == 4)
    assert [each["version"] for each in plane.acknowledged] == [1, 4]


@pytest.mark.parametrize(
    "frame",
    ["[]", "null", "{", '{"type":"next","id":"99","payload":{}}', '{"type":"connection_ack"}', b"\x00", "EVENT"],
)
async def test_malformed_messages_end_the_socket_and_not_the_link(
    plane: Plane, connect: Any, signal: Signal, frame: str | bytes
) -> None:
    line = await ready(plane, connect)
    (first,) = plane.sockets
    if frame == "EVENT":
        await first.event("general", __typename="ModelConfigChange", revision="one-9", put=[{"id": "a"}], removed=[])
    else:
        await first.connection.send(frame)
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    assert line.model.version == 1
    await plane.put("general", version=2)
    await signal.until(lambda: line.model.version == 2)
    assert plane.sockets[-1].sinces() == ["one-1"]


async def test_a_server_that_speaks_something_else(connect: Any, plane: Plane, signal: Signal, endpoint: Any) -> None:
    plane.port, port = endpoint.port, plane.port
    line = await connect()
    plane.port = port
    await signal.until(lambda: line.provider.link.last_error is not None)
    assert line.provider.link.state is LinkState.CONNECTING


async def test_a_wrong_token_is_tried_slowly_and_said_loudly(
    plane: Plane, connect: Any, signal: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    plane.tokens = set()
    with caplog.at_level(logging.DEBUG, "modelwire.subscriber"):
        line = await connect(token="canary-secret", timing=replace(FAST, slow_seconds=3600))
        await signal.until(lambda: line.provider.link.last_error is not None)
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    delay = float(record.getMessage().split("coming back in ")[1].split(" s")[0])
    assert 3600 * 0.9 <= delay <= 3600 * 1.1
    assert "4401" in record.getMessage()
    assert "canary-secret" not in caplog.text
    assert line.model.status is ModelStatus.INITIALIZING


async def test_a_key_that_is_granted_later(plane: Plane, connect: Any, signal: Signal) -> None:
    plane.tokens = set()
    await plane.put("general", version=1)
    line = await connect()
    await signal.until(lambda: line.provider.link.last_error is not None)
    plane.tokens = {"token"}
    await line.model.wait_ready(timeout_seconds=120)


@pytest.mark.parametrize("how", ["denied", "refuse"])
async def test_a_key_without_the_scope_is_tried_slowly_and_said_loudly(
    plane: Plane, connect: Any, signal: Signal, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    setattr(plane, how, "FORBIDDEN")
    await plane.put("general", version=1)
    line = await connect()
    await signal.until(lambda: line.provider.link.last_error is not None)
    (first, *_) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "model_config:resolve" in first.getMessage()
    assert line.model.status is ModelStatus.INITIALIZING
    setattr(plane, how, None)
    await line.model.wait_ready(timeout_seconds=120)


@pytest.mark.parametrize("how", ["denied", "refuse"])
async def test_an_alias_that_the_key_does_not_open_stops_no_other(
    plane: Plane, connect: Any, signal: Signal, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    line = await ready(plane, connect)
    (socket,) = plane.sockets
    setattr(plane, how, "FORBIDDEN")
    other = line.get("planning")
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    assert next(record.levelno for record in caplog.records if "credentials" in record.getMessage()) == logging.ERROR
    await plane.put("general", version=2)
    await signal.until(lambda: line.model.version == 2)
    assert other.status is ModelStatus.INITIALIZING
    setattr(plane, how, None)
    await signal.until(lambda: other.status is ModelStatus.NONE)
    assert plane.sockets == [socket]
    assert line.provider.link.state is LinkState.LIVE


async def test_the_order_of_aliases_does_not_matter_when_one_is_forbidden(
    plane: Plane, connect: Any, signal: Signal
) -> None:
    await plane.put("general", version=1)
    plane.denied_alias = "forbidden"
    line = await connect("forbidden", timing=replace(FAST, slow_seconds=3600))
    model = line.get("general")
    await model.wait_ready(timeout_seconds=120)
    await signal.until(lambda: line.provider.link.last_error is not None)
    await plane.put("general", version=2)
    await signal.until(lambda: model.version == 2)
    assert line.model.status is ModelStatus.INITIALIZING


@pytest.mark.parametrize("how", ["denied", "refuse", "completed"])
async def test_an_operation_that_fails_is_subscribed_again_on_the_same_socket(
    plane: Plane, connect: Any, signal: Signal, how: str
) -> None:
    line = await ready(plane, connect)
    (socket,) = plane.sockets
    other = line.get("planning")
    await signal.until(lambda: other.status is ModelStatus.NONE)
    if how == "completed":
        await socket.send(type="complete", id=next(id_ for id_, alias in socket.open.items() if alias == "general"))
    else:
        setattr(plane, how, "INTERNAL")
        line.provider.get_lite_llm_model("third")
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    await plane.put("planning", config_id="p", version=1)
    await signal.until(lambda: other.version == 1)
    plane.denied = plane.refuse = None
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)
    assert plane.sockets == [socket]
    if how == "denied":
        assert socket.messages("complete")


async def test_a_bug_in_applying_one_alias_stops_no_other(
    plane: Plane, connect: Any, signal: Signal, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = await ready(plane, connect)
    other = line.get("planning")
    await signal.until(lambda: other.status is ModelStatus.NONE)

    def fail(prepared: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(line.model, "_use", fail)
    await plane.put("general", version=2)
    await signal.until(lambda: line.provider.link.state is LinkState.STALE)
    await plane.put("planning", config_id="p", version=1)
    await signal.until(lambda: other.version == 1)
    monkeypatch.undo()
    await signal.until(lambda: line.model.version == 2)
    await signal.until(lambda: line.provider.link.state is LinkState.LIVE)


@pytest.mark.parametrize("kind", ["plain", "async", "returns an awaitable"])
async def test_a_token_callable_is_asked_before_each_connection(
    plane: Plane, connect: Any, signal: Signal, kind: str
) -> None:
    given: list[str] = []
    threads: list[int] = []

    def plain() -> str:
        threads.append(threading.get_ident())
        given.append(f"token-{len(given)}")
        return given[-1]

    async def asynchronous() -> str:
        return plain()

    token = {"plain": plain, "async": asynchronous, "returns an awaitable": partial(partial, asynchronous)()}[kind]
    line = await ready(plane, connect, token=token)
    plane.tokens = {"token-1"}
    await plane.close_sockets(4403, "Token expired")
    await plane.put("general", version=2)
    await signal.until(lambda: line.model.version == 2)
    assert given == ["token-0", "token-1"]
    assert (threads[0] == threading.get_ident()) is (kind != "plain")


@pytest.mark.parametrize("result", [ValueError("canary-secret"), None, "", 3])
async def test_a_token_callable_that_fails_is_asked_again(
    plane: Plane, connect: Any, signal: Signal, caplog: pytest.LogCaptureFixture, result: Any
) -> None:
    results = [result, "token"]

    async def token() -> Any:
        item = results.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    await plane.put("general", version=1)
    line = await connect(token=token)
    await line.model.wait_ready(timeout_seconds=120)
    assert "token callable" in (line.provider.link.last_error or "")
    assert "canary-secret" not in caplog.text + str(line.provider.link)


async def test_nothing_is_left_after_close(plane: Plane, signal: Signal) -> None:
    await plane.put("general", version=1)
    await plane.stop()
    before = asyncio.all_tasks()
    await plane.start()
    async with DynamicModelProvider(plane.url, token="token", component="test", _timing=FAST) as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=120)
        waiting = asyncio.create_task(provider.get_lite_llm_model("planning").wait_ready())
        with pytest.raises(RuntimeError):
            await provider.__aenter__()
    with pytest.raises(ProviderClosed):
        await waiting
    assert provider.link.state is LinkState.CLOSED
    assert model.settings is None
    await signal.until(lambda: not plane.sockets)
    await plane.stop()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("moment", ["connecting", "backoff", "silent"])
async def test_close_ends_the_link_whatever_it_does(plane: Plane, connect: Any, signal: Signal, moment: str) -> None:
    plane.mute_at_init = moment == "connecting"
    if moment == "backoff":
        await plane.stop()
    line = await connect(timing=replace(FAST, backoff_first_seconds=3600, backoff_max_seconds=3600))
    if moment == "connecting":
        await signal.until(lambda: plane.sockets)
    elif moment == "backoff":
        await signal.until(lambda: line.provider.link.last_error is not None)
    else:
        await signal.until(lambda: line.provider.link.state is LinkState.LIVE)
        plane.silent = True
    async with asyncio.timeout(120):
        await line.provider.close()
    assert line.provider.link.state is LinkState.CLOSED
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "modelwire-link"]
