"""The processes of calls: what they hold, and that none is left, however a call ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest
from stand_ins.chat import KEY, ChatStandIn, running_chat_stand_in

from modelwire.resolvers import litellm_calls, litellm_process
from modelwire.resolvers.errors import Unavailable
from modelwire.resolvers.litellm_calls import Answer, make_call
from modelwire.resolvers.outbound import Outbound, OutboundPolicy

WAIT_SECONDS = 120.0


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    litellm_process._process.close()


@pytest.fixture
async def stand_in() -> AsyncIterator[ChatStandIn]:
    async with running_chat_stand_in() as running:
        yield running


def outbound(**policy: Any) -> Outbound:
    return Outbound(policy=OutboundPolicy(**{"private_addresses": True, "litellm_timeout_seconds": 60, **policy}))


def params(stand_in: ChatStandIn, mode: str) -> dict[str, Any]:
    return {"litellm_params": {"model": "openai/m", "api_base": f"{stand_in.url}/{mode}", "api_key": KEY}}


def parent() -> psutil.Process:
    process = litellm_process._process._process
    assert process is not None
    return psutil.Process(process.pid)


async def begun(stand_in: ChatStandIn, **policy: Any) -> tuple[asyncio.Task[Answer], psutil.Process]:
    """A call that gets no answer, and its process, the only one that there is."""
    if litellm_process._process._process is not None and parent().is_running():
        await ended(*parent().children())
    call = asyncio.create_task(make_call(outbound(**policy), "chat", params(stand_in, "never")))
    async with asyncio.timeout(WAIT_SECONDS):
        await stand_in.began.wait()
    (process,) = parent().children()
    return call, process


async def ended(*processes: psutil.Process) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, list(processes), WAIT_SECONDS)
    assert alive == []


async def test_what_it_holds(stand_in: ChatStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELWIRE_ENCRYPTION_KEYS", "canary")
    monkeypatch.setenv("OPENAI_API_KEY", "canary")
    litellm_process._process.close()
    call, process = await begun(stand_in)
    told = [*process.environ().items(), *process.cmdline()]
    assert not any("canary" in str(item) or KEY in str(item) or "MODELWIRE_" in str(item) for item in told)
    assert process.open_files() == []
    (connection,) = process.net_connections("tcp")
    # Its own proxy, and not the endpoint.
    assert connection.raddr.ip == "127.0.0.1"
    assert connection.raddr.port not in {0, stand_in.port}
    call.cancel()
    await asyncio.wait([call])
    await ended(process)


async def test_none_is_left_behind_by_calls(stand_in: ChatStandIn) -> None:
    for mode in ("ok", "401", "ok"):
        assert (await make_call(outbound(), "chat", params(stand_in, mode))).content is not None
    await ended(*parent().children())
    assert parent().children() == [], "the dead are buried, too"


async def test_it_is_not_waited_for_when_it_hangs(stand_in: ChatStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm_calls, "_GRACE_SECONDS", 0.1)
    call, process = await begun(stand_in, litellm_timeout_seconds=2)
    process.suspend()
    assert await call == Answer(content=None, problem=None)
    process.resume()
    await ended(process)


async def test_a_process_that_dies_is_said_to_the_caller(stand_in: ChatStandIn) -> None:
    call, process = await begun(stand_in)
    process.kill()
    with pytest.raises(Unavailable, match="without an answer"):
        await call
    assert (await make_call(outbound(), "chat", params(stand_in, "ok"))).content is not None


async def test_calls_of_a_process_that_ended_go_on_and_the_next_starts_it_anew(stand_in: ChatStandIn) -> None:
    call, process = await begun(stand_in)
    before = parent()
    before.kill()
    await asyncio.to_thread(before.wait, WAIT_SECONDS)
    assert (await make_call(outbound(), "chat", params(stand_in, "ok"))).content is not None
    assert not call.done()
    call.cancel()
    await asyncio.wait([call])
    await ended(process)


async def test_a_process_that_hangs_before_it_makes_calls_is_replaced(
    stand_in: ChatStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await make_call(outbound(), "chat", params(stand_in, "ok"))).content is not None
    hanging = parent()
    hanging.suspend()
    with monkeypatch.context() as impatient:
        impatient.setattr(litellm_calls, "_READY_TIMEOUT_SECONDS", 0.1)
        with pytest.raises(Unavailable, match="could not be started"):
            await make_call(outbound(), "chat", params(stand_in, "ok"))
    await ended(hanging)
    assert (await make_call(outbound(), "chat", params(stand_in, "ok"))).content is not None


async def test_a_process_that_cannot_be_started(stand_in: ChatStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    litellm_process._process.close()
    monkeypatch.setattr(litellm_process, "_COMMAND", (sys.executable, "-c", "import no_such_module"))
    with pytest.raises(Unavailable, match="could not be started"):
        await make_call(outbound(), "chat", params(stand_in, "ok"))
    litellm_process._process.close()


_SERVER = """
import asyncio, json, sys
from modelwire.resolvers import litellm_process
from modelwire.resolvers.litellm_calls import make_call
from modelwire.resolvers.outbound import Outbound, OutboundPolicy
async def main():
    outbound = Outbound(policy=OutboundPolicy(private_addresses=True, litellm_timeout_seconds=600))
    await litellm_process.known_models("openai")
    print(litellm_process._process._process.pid, flush=True)
    await make_call(outbound, "chat", json.loads(sys.argv[1]))
asyncio.run(main())
"""


async def test_none_is_left_when_the_server_is_killed(stand_in: ChatStandIn) -> None:
    """`kill -9`: nothing of the server runs any more that could end them."""
    command = [sys.executable, "-c", _SERVER, json.dumps(params(stand_in, "never"))]
    server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            started = psutil.Process(int(await server.stdout.readline()))
            await stand_in.began.wait()
        processes = [started, *started.children(recursive=True)]
        assert len(processes) == 2
    finally:
        server.kill()
        await server.wait()
    await ended(*processes)
    async with asyncio.timeout(WAIT_SECONDS):
        await stand_in.gone.wait()
