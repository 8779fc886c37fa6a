"""Components without an event loop: the link in a thread of its own, calls from any thread, and forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from live_server import live_server

from modelwire.store import ModelConfigDraft
from modelwire.subscriber import DynamicModelProvider, LinkState, LiteLlm, ModelNotReady, ModelStatus, ProviderClosed

from .conftest import FAST, Endpoint, Plane, Signal

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HELLO = [{"role": "user", "content": "Which model are you?"}]


def make(plane: Plane, **options: Any) -> DynamicModelProvider:
    return DynamicModelProvider(plane.url, **{"token": "token", "component": "test", "_timing": FAST, **options})


def link_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("modelwire")]


def ask(model: LiteLlm) -> str:
    return str(model.completion(HELLO).choices[0].message.content)


async def test_a_component_without_asyncio(tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the real server: bootstrap, calls from several threads, an update, and the end."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    async with live_server(tmp_path) as server:

        async def write(version: int) -> None:
            params = {"seed": version}
            draft = ModelConfigDraft(
                alias="orders", provider="openai", model=f"m-{version}", api_base=endpoint.base, params=params
            )
            async with server.services.store.transaction(by="test") as transaction:
                old = await transaction.find(alias="orders")
                await (transaction.create(draft) if old is None else transaction.update(old, draft))

        loop = asyncio.get_running_loop()

        def component() -> list[str]:
            with (
                DynamicModelProvider(server.url, token=server.admin_key, component="test", _timing=FAST) as provider,
                ThreadPoolExecutor(4) as threads,
            ):
                model = provider.get_lite_llm_model("orders")
                assert model.status is ModelStatus.INITIALIZING
                model.wait_ready_sync(timeout_seconds=120)
                assert provider.link.state in (LinkState.CONNECTING, LinkState.LIVE)
                answers = list(threads.map(ask, [model] * 4))
                changed = threading.Event()
                model.on_settings_change(lambda *_: changed.set())
                asyncio.run_coroutine_threadsafe(write(2), loop).result(120)
                assert changed.wait(120)
                return answers + list(threads.map(ask, [model] * 4))

        await write(1)
        assert await asyncio.to_thread(component) == ["I am m-1"] * 4 + ["I am m-2"] * 4
    assert not link_threads()
    assert {asked.body["seed"] for asked in endpoint.asked if asked.body["model"] == "m-2"} == {2}


async def test_nothing_is_left_after_close(plane: Plane, signal: Signal) -> None:
    await plane.put("general", version=1)
    provider = make(plane).start()
    model = provider.get_lite_llm_model("general")
    await model.wait_ready(timeout_seconds=120)
    for again in (provider.start, provider.__enter__):
        with pytest.raises(RuntimeError, match="in use"):
            again()
    with pytest.raises(RuntimeError, match="in use"):
        await provider.__aenter__()
    await asyncio.to_thread(provider.close_sync)
    assert not link_threads()
    assert (provider.link.state, model.status, model.settings) == (LinkState.CLOSED, ModelStatus.NONE, None)
    await signal.until(lambda: not plane.sockets)
    with pytest.raises(ProviderClosed):
        provider.start()
    provider.close_sync()


async def test_close_in_an_event_loop(plane: Plane, signal: Signal) -> None:
    provider = make(plane).start()
    await signal.until(lambda: plane.sockets)
    await provider.close()
    assert not link_threads()
    await signal.until(lambda: not plane.sockets)


async def test_close_in_a_callback(plane: Plane, signal: Signal, caplog: pytest.LogCaptureFixture) -> None:
    """In the thread of the link, which cannot wait for its own end."""
    await plane.put("general", version=1)
    provider = make(plane)
    model = provider.get_lite_llm_model("general")
    called = threading.Event()

    def close(*_: object) -> None:
        provider.close_sync()
        called.set()

    model.on_settings_change(close)
    provider.start()
    assert await asyncio.to_thread(called.wait, 120)
    await signal.until(lambda: not plane.sockets)
    for thread in threading.enumerate():
        if thread.name == "modelwire-link":
            await asyncio.to_thread(thread.join, 120)
    assert provider.link.state is LinkState.CLOSED
    assert (model.status, model.settings) == (ModelStatus.NONE, None)
    assert not caplog.records


async def test_a_link_in_an_event_loop_is_not_closed_from_outside(plane: Plane, connect: Any) -> None:
    line = await connect()
    with pytest.raises(RuntimeError, match=r"await provider\.close"):
        await asyncio.to_thread(line.provider.close_sync)


async def test_waiting_in_threads_and_event_loops(plane: Plane, signal: Signal) -> None:
    provider = make(plane).start()
    model = provider.get_lite_llm_model("general")
    with pytest.raises(RuntimeError, match=r"await model\.wait_ready"):
        model.wait_ready_sync()
    with pytest.raises(ModelNotReady):
        await asyncio.to_thread(model.wait_ready_sync, 0)
    waiting = [asyncio.create_task(asyncio.to_thread(model.wait_ready_sync, 120)) for _ in range(3)]
    waiting.append(asyncio.create_task(asyncio.to_thread(asyncio.run, model.wait_ready(120))))
    waiting.append(asyncio.create_task(model.wait_ready(120)))
    cancelled = asyncio.create_task(model.wait_ready())
    await signal.until(lambda: plane.sockets)
    cancelled.cancel()
    await plane.put("general", version=1)
    await asyncio.gather(*waiting)
    absent = provider.get_lite_llm_model("absent")
    closed = asyncio.create_task(asyncio.to_thread(absent.wait_ready_sync))
    await signal.until(lambda: plane.sockets and len(plane.sockets[0].open) == 2)
    await asyncio.to_thread(provider.close_sync)
    with pytest.raises(ProviderClosed):
        await closed
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled


async def test_override_is_for_this_thread_only(plane: Plane, endpoint: Endpoint) -> None:
    """And waits for an alias that nobody asked for before; look-ups beside each other share one subscription."""
    for alias in ("general", "planning", "third"):
        await plane.put(alias, config_id=alias, version=1, name=f"m-{alias}", api_base=endpoint.base)

    def component() -> list[str]:
        with make(plane) as provider, ThreadPoolExecutor(6) as threads:
            model = provider.get_lite_llm_model("general")
            model.wait_ready_sync(timeout_seconds=120)
            together = threading.Barrier(6, timeout=120)

            def overridden(alias: str | None) -> str:
                together.wait()
                with provider.override(alias) if alias else contextlib.nullcontext():
                    answer = ask(model)
                assert ask(model) == "I am m-general"
                return answer

            return list(threads.map(overridden, ["planning", None, "third"] * 2))

    assert await asyncio.to_thread(component) == ["I am m-planning", "I am m-general", "I am m-third"] * 2
    assert plane.subscribed == {"general": 1, "planning": 1, "third": 1}


async def test_calls_of_two_threads_are_whole_under_updates(plane: Plane, endpoint: Endpoint) -> None:
    """A stream that outlives many versions, and calls beside it that always see one version and never an older one."""

    async def put(version: int) -> None:
        more = {"api_key": f"key-{version}", "api_base": endpoint.base, "seed": version}
        await plane.put("general", version=version, name=f"m-{version}", **more)

    loop = asyncio.get_running_loop()
    endpoint.hold.clear()

    def stream(model: LiteLlm, began: threading.Event) -> str:
        chunks = model.completion(HELLO, stream=True)
        texts = [next(chunks).choices[0].delta.content]
        began.set()
        return "".join([*texts, *(chunk.choices[0].delta.content or "" for chunk in chunks)])

    def component() -> tuple[str, list[str]]:
        with make(plane) as provider, ThreadPoolExecutor(1) as threads:
            model = provider.get_lite_llm_model("general")
            model.wait_ready_sync(timeout_seconds=120)
            changed, began = threading.Semaphore(0), threading.Event()
            model.on_settings_change(lambda *_: changed.release())
            streaming = threads.submit(stream, model, began)
            assert began.wait(120)
            answers = []
            for version in range(2, 32):
                asyncio.run_coroutine_threadsafe(put(version), loop).result(120)
                assert changed.acquire(timeout=120)
                answers.append(ask(model))
            endpoint.hold.set()
            return streaming.result(120), answers

    await put(1)
    streamed, answers = await asyncio.to_thread(component)
    assert streamed == "I am m-1"
    assert answers == [f"I am m-{version}" for version in range(2, 32)]
    for asked in endpoint.asked:
        assert (asked.body["model"], asked.key) == (f"m-{asked.body['seed']}", f"key-{asked.body['seed']}")


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_token_callable_is_asked_in_threads_of_ours(plane: Plane, kind: str) -> None:
    threads: list[int] = []

    def plain() -> str:
        threads.append(threading.get_ident())
        return "token"

    async def asynchronous() -> str:
        return plain()

    await plane.put("general", version=1)
    provider = make(plane, token=plain if kind == "plain" else asynchronous).start()
    await provider.get_lite_llm_model("general").wait_ready(timeout_seconds=120)
    await provider.close()
    assert threads
    assert threading.get_ident() not in threads


FORKS = """
import os, sys, threading
from modelwire.subscriber import DynamicModelProvider

def say(text):
    os.write(1, f"{text}\\n".encode())

provider = DynamicModelProvider(component="forks").start()
model = provider.get_lite_llm_model("general")
model.wait_ready_sync(60)
for number in range(2):
    if os.fork() == 0:
        seen = threading.Event()
        model.on_settings_change(lambda _, new: new and new.version == 3 and seen.set())
        # What was known at the fork is there at once.
        say(f"child {number} begins with {model.litellm_params()['model']}")
        assert seen.wait(60)
        say(f"child {number} follows to {model.litellm_params()['model']}")
        provider.close_sync()
        os._exit(0)
say("forked")
sys.stdin.read()
"""


@pytest.fixture
async def run(plane: Plane) -> AsyncIterator[Any]:
    """Starts programs that connect to the plane."""
    started: list[asyncio.subprocess.Process] = []

    async def start(program: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            env={**os.environ, "MODELWIRE_URL": plane.url, "MODELWIRE_TOKEN": "token"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_children_of_a_fork_have_links_of_their_own(plane: Plane, signal: Signal, run: Any) -> None:
    await plane.put("general", version=1, name="first")
    parent = await run(FORKS)
    # Both children were used, so both have connected.
    await signal.until(lambda: len(plane.sockets) == 3)
    await signal.until(lambda: all(socket.open for socket in plane.sockets))
    inits = [socket.messages("connection_init")[0]["payload"]["component"] for socket in plane.sockets]
    assert len({init["instanceId"] for init in inits}) == 3
    assert {init["name"] for init in inits} == {"forks"}
    # They resume: nothing was lost between the fork and their link.
    assert [socket.sinces() for socket in plane.sockets] == [[None], ["one-1"], ["one-1"]]
    first, *_ = plane.sockets
    # Whoever is late to say it would have the second one.
    begun = [await parent.stdout.readline() for _ in range(3)]
    await plane.put("general", version=2, name="second")
    parent.kill()
    # The children hold nothing of the parent's connection.
    await signal.until(lambda: first not in plane.sockets)
    assert len(plane.sockets) == 2
    await plane.put("general", version=3, name="third")
    await signal.until(lambda: not plane.sockets)
    followed, errors = await parent.communicate()
    assert errors == b""
    assert sorted(b"".join([*begun, followed]).decode().splitlines()) == [
        "child 0 begins with openai/first",
        "child 0 follows to openai/third",
        "child 1 begins with openai/first",
        "child 1 follows to openai/third",
        "forked",
    ]


FORK_IN_A_LOOP = """
import asyncio, os
from modelwire.subscriber import DynamicModelProvider, SubscriberError

async def main():
    async with DynamicModelProvider(component="forks") as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(60)
        if (child := os.fork()) == 0:
            for use in (model.litellm_params, lambda: provider.get_lite_llm_model("general"), model.wait_ready_sync):
                try:
                    use()
                except SubscriberError as error:
                    print(error, flush=True)
                except RuntimeError as error:
                    print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(model.status, provider.link.state, flush=True)

asyncio.run(main())
"""


async def test_a_link_in_an_event_loop_says_that_it_does_not_fork(plane: Plane, signal: Signal, run: Any) -> None:
    await plane.put("general", version=1)
    output, errors = await (await run(FORK_IN_A_LOOP)).communicate()
    assert errors == b""
    *refusals, parent = output.decode().splitlines()
    assert len(refusals) == 3
    assert all("make one in the child" in refusal for refusal in refusals[:2])
    assert parent == "ready live"


EXIT = """
from modelwire.subscriber import DynamicModelProvider

provider = DynamicModelProvider(component="leaves").start()
provider.get_lite_llm_model("general").wait_ready_sync(60)
"""


async def test_a_program_that_just_ends_says_goodbye(plane: Plane, signal: Signal, run: Any) -> None:
    await plane.put("general", version=1)
    process = await run(EXIT)
    await signal.until(lambda: plane.sockets)
    (socket,) = plane.sockets
    output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0, b"", b"")
    await signal.until(lambda: not plane.sockets)
    assert socket.connection.close_code == 1000


MAIN_THREAD_ENDS = """
import sys, threading
from modelwire.subscriber import DynamicModelProvider

provider = DynamicModelProvider(component="workers", cache=sys.argv[1], cache_key="k" * 32).start()
model = provider.get_lite_llm_model("general")
model.wait_ready_sync(60)
changed = threading.Event()
model.on_settings_change(lambda _, new: new and new.version == 2 and changed.set())

def work():
    threading.main_thread().join()
    print("main thread ended", flush=True)
    print("followed" if changed.wait(60) else "lost", provider.link.state, flush=True)

threading.Thread(target=work).start()
"""


async def test_workers_outlive_the_main_thread(plane: Plane, signal: Signal, run: Any, tmp_path: Path) -> None:
    """Python's pools take no calls from then on, and the link was dead: no update came, and none was written."""
    await plane.put("general", version=1)
    cache = tmp_path / "cache"
    process = await run(MAIN_THREAD_ENDS.replace("sys.argv[1]", repr(str(cache))))
    assert await process.stdout.readline() == b"main thread ended\n"
    cache.unlink(missing_ok=True)
    await plane.put("general", version=2)
    output, errors = await process.communicate()
    assert (process.returncode, output, errors) == (0, b"followed live\n", b"")
    assert cache.exists()
