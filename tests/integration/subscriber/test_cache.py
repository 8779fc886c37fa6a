"""Starts while the server is away, from the last known good configurations."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from modelwire.subscriber import DynamicModelProvider, LinkState, LiteLlm, ModelStatus
from modelwire.subscriber.cache import CacheFile, Entry

from .conftest import FAST, Endpoint, Plane, Signal

# LiteLLM and the HTTP clients in it close no connections.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TOKEN = "0123456789abcdef0123456789abcdef"
AT_ONCE = dataclasses.replace(FAST, start_seconds=0.0)
NEVER = dataclasses.replace(FAST, start_seconds=3600.0)
HELLO = [{"role": "user", "content": "Which model are you?"}]


def make(plane: Plane, path: Path, **options: Any) -> DynamicModelProvider:
    return DynamicModelProvider(
        plane.url, **{"token": TOKEN, "component": "test", "cache": path, "_timing": AT_ONCE, **options}
    )


def file(plane: Plane, path: Path) -> CacheFile:
    return CacheFile(path, secret=TOKEN, address=plane.url.replace("http", "ws") + "/graphql")


async def answer(model: LiteLlm) -> str:
    return str((await model.acompletion(HELLO)).choices[0].message.content)


async def fill(plane: Plane, path: Path, endpoint: Endpoint, **options: Any) -> None:
    """Run a component that has version 1 from the server and ends."""
    await plane.put("general", version=1, name="first", api_base=endpoint.base)
    async with make(plane, path, **{"_timing": NEVER, **options}) as provider:
        await provider.get_lite_llm_model("general").wait_ready(timeout_seconds=120)


async def test_a_start_without_the_server_and_its_return(
    plane: Plane, endpoint: Endpoint, signal: Signal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = datetime.now(UTC)
    await fill(plane, tmp_path / "cache", endpoint)
    await plane.stop()
    async with make(plane, tmp_path / "cache") as provider:
        model = provider.get_lite_llm_model("general")
        model.on_settings_change(signal.poke)
        provider.on_link_change(signal.poke)
        statuses: list[str] = []
        model.on_status_change(lambda old, new: statuses.append(f"{old}>{new}"))
        await model.wait_ready(timeout_seconds=120)
        await signal.until(lambda: provider.link.state is LinkState.STALE)
        assert model.version == 1
        assert model.cached_at
        assert before < model.cached_at < datetime.now(UTC)
        assert "version 1 is used from the cache, which is 0:0" in caplog.text
        assert await answer(model) == "I am first"
        unknown = provider.get_lite_llm_model("unknown")
        assert unknown.status is ModelStatus.INITIALIZING
        await plane.put("general", version=2, name="second", api_base=endpoint.base)
        await plane.start()
        await signal.until(lambda: model.version == 2 and provider.link.state is LinkState.LIVE)
        assert model.cached_at is None
        assert await answer(model) == "I am second"
        assert statuses == ["initializing>ready"]
    assert file(plane, tmp_path / "cache").read()["general"].config.version == 2


async def test_the_same_without_an_event_loop(plane: Plane, endpoint: Endpoint, signal: Signal, tmp_path: Path) -> None:
    """With a key of its own too, which outlives tokens."""
    given = {"cache_key": TOKEN[::-1], "token": lambda: "another each day"}
    await fill(plane, tmp_path / "cache", endpoint, **given)
    await plane.stop()

    def offline() -> tuple[str, int | None, bool]:
        with make(plane, tmp_path / "cache", **given) as provider:
            model = provider.get_lite_llm_model("general")
            model.wait_ready_sync(timeout_seconds=120)
            said = str(model.completion(HELLO).choices[0].message.content)
            return said, model.version, model.cached_at is not None

    assert await asyncio.to_thread(offline) == ("I am first", 1, True)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("modelwire")]


async def test_what_was_removed_meanwhile_is_dropped_and_forgotten(
    plane: Plane, endpoint: Endpoint, signal: Signal, tmp_path: Path
) -> None:
    await fill(plane, tmp_path / "cache", endpoint)
    await plane.stop()
    await plane.remove("general")
    async with make(plane, tmp_path / "cache") as provider:
        model = provider.get_lite_llm_model("general")
        model.on_status_change(signal.poke)
        await model.wait_ready(timeout_seconds=120)
        await plane.start()
        await signal.until(lambda: model.status is ModelStatus.NONE)
        assert (model.settings, model.cached_at) == (None, None)
    assert file(plane, tmp_path / "cache").read() == {}


@pytest.mark.parametrize("how", ["connection", "subscription"])
async def test_a_server_that_denies_is_not_one_that_is_away(
    plane: Plane, endpoint: Endpoint, signal: Signal, tmp_path: Path, how: str
) -> None:
    await fill(plane, tmp_path / "cache", endpoint)
    if how == "connection":
        plane.tokens = set()
    else:
        plane.denied_alias = "general"
    async with make(plane, tmp_path / "cache", _timing=NEVER) as provider:
        provider.on_link_change(signal.poke)
        model = provider.get_lite_llm_model("general")
        await signal.until(lambda: provider.link.last_error)
        cached = file(plane, tmp_path / "cache").read()["general"]
        assert not provider._replicas[0].restore(cached.config, cached.heard_at)
        assert (model.status, model.settings) == (ModelStatus.INITIALIZING, None)
        plane.tokens = plane.denied_alias = None
        await model.wait_ready(timeout_seconds=120)
        assert model.cached_at is None


@pytest.mark.parametrize("content", [b"", b"modelwire-cache\n\x01damaged", b"something else"])
async def test_a_file_that_cannot_be_used_harms_nobody(
    plane: Plane, signal: Signal, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache"
    path.write_bytes(content)
    await plane.put("general", version=1)
    with caplog.at_level(logging.WARNING):
        async with make(plane, path) as provider:
            model = provider.get_lite_llm_model("general")
            await model.wait_ready(timeout_seconds=120)
            assert model.cached_at is None
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [f"the cache {path} is ignored"]
    assert file(plane, path).read()["general"].config.version == 1


async def test_a_slow_disk_holds_up_nothing(
    plane: Plane, signal: Signal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates arrive while a write hangs; what they come to is written in one more."""
    hangs, go_on, written = threading.Event(), threading.Event(), list[int]()
    write = CacheFile.write

    def slow(self: CacheFile, entries: Mapping[str, Entry]) -> None:
        written.append(entries["general"].config.version)
        hangs.set()
        assert go_on.wait(120)
        write(self, entries)

    monkeypatch.setattr(CacheFile, "write", slow)
    await plane.put("general", version=1)
    async with make(plane, tmp_path / "cache", _timing=NEVER) as provider:
        model = provider.get_lite_llm_model("general")
        model.on_settings_change(signal.poke)
        assert await asyncio.to_thread(hangs.wait, 120)
        for version in (2, 3, 4):
            await plane.put("general", version=version)
        await signal.until(lambda: model.version == 4)
        assert written == [1]
        go_on.set()
    assert written == [1, 4]
    assert file(plane, tmp_path / "cache").read()["general"].config.version == 4


async def test_each_change_is_written_at_once(
    plane: Plane, signal: Signal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed leaves it behind, so it is not written at the end alone; and never in the event loop."""
    loop, here, threads = asyncio.get_running_loop(), threading.get_ident(), set[int]()
    write = CacheFile.write

    def told(self: CacheFile, entries: Mapping[str, Entry]) -> None:
        write(self, entries)
        threads.add(threading.get_ident())
        loop.call_soon_threadsafe(signal.poke)

    def version() -> int | None:
        entry = file(plane, tmp_path / "cache").read().get("general")
        return entry.config.version if entry else None

    monkeypatch.setattr(CacheFile, "write", told)
    await plane.put("general", version=1)
    async with make(plane, tmp_path / "cache", _timing=NEVER) as provider:
        provider.get_lite_llm_model("general")
        await signal.until(lambda: version() == 1)
        await plane.put("general", version=2)
        await signal.until(lambda: version() == 2)
        await plane.remove("general")
        await signal.until(lambda: version() is None)
    assert here not in threads


async def test_the_example(plane: Plane, endpoint: Endpoint, tmp_path: Path) -> None:
    """With the server, without it, and when it is back."""
    program = Path(__file__).parents[3] / "examples" / "offline_start.py"
    given = {"MODELWIRE_URL": plane.url, "MODELWIRE_TOKEN": TOKEN, "MODELWIRE_CACHE": str(tmp_path / "cache")}

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(program),
            "general",
            *arguments,
            env={**os.environ, **given},
            stdout=asyncio.subprocess.PIPE,
        )

    await plane.put("general", version=1, name="first", api_base=endpoint.base)
    async with asyncio.timeout(300):
        output, _ = await (await start()).communicate()
        assert output == b"version 1 from the server: I am first\n"
        await plane.stop()
        await plane.put("general", version=2, name="second", api_base=endpoint.base)
        process = await start("--follow")
        assert process.stdout
        try:
            line = await process.stdout.readline()
            assert line.startswith(b"version 1 from the cache, ")
            assert line.endswith(b" s old: I am first\n")
            await plane.start()
            assert await process.stdout.readline() == b"version 2 from the server: I am second\n"
        finally:
            process.terminate()
            await process.wait()
