"""The documented ways to live with tokens that expire, as docs/tokens.md prints them, on the real server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from live_server import LiveServer, live_server

from modelwire.store import ModelConfigDraft
from modelwire.subscriber import DynamicModelProvider, LinkState, LinkStatus

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "tokens.md"
PRINTED = ("renewing.mjs", "session.mjs", "session.py")
ALIAS = "tokens"
EVENT_SECONDS = 0.05


def test_the_page_shows_what_is_tested() -> None:
    shown = re.findall(r"^```(?:js|python)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for name in PRINTED:
        assert (HERE / "tokens" / name).read_text() in shown, name


class Seen:
    """A signal for each time that a subscriber saw something."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def until(self, predicate: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not predicate():
                await self._event.wait()
                self._event.clear()

    def notify(self) -> None:
        self._event.set()


class Watcher:
    """A run of watch.mjs: what it said."""

    def __init__(self) -> None:
        self.versions: list[int] = []
        self.connected = 0
        self.renewed: list[dict[str, Any]] = []
        self.closed: list[Any] = []

    def take(self, line: dict[str, Any]) -> None:
        match line:
            case {"version": int() as version}:
                self.versions.append(version)
            case {"connected": True}:
                self.connected += 1
            case {"renewed": dict() as payload}:
                self.renewed.append(payload)
            case {"closed": closed}:
                self.closed.append(closed)
            case other:
                raise AssertionError(other)


@asynccontextmanager
async def watcher(server: LiveServer, how: str, seen: Seen) -> AsyncIterator[Watcher]:
    process = await asyncio.create_subprocess_exec(
        *("node", "tokens/watch.mjs", how, server.url, server.admin_key, ALIAS),
        cwd=HERE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    watching = Watcher()

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            watching.take(json.loads(line))
            seen.notify()

    reading = asyncio.create_task(read())
    try:
        yield watching
        assert process.stdin is not None
        process.stdin.write(b"stop\n")
        async with asyncio.timeout(120):
            assert await process.wait() == 0
            await reading
    finally:
        reading.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


def component_session(server: LiveServer) -> Callable[[], str]:
    spec = importlib.util.spec_from_file_location("session", HERE / "tokens" / "session.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    session: Callable[[], str] = module.Session(server.url, server.admin_key)
    return session


async def change(server: LiveServer) -> int:
    """One change of the config; its new version."""
    async with server.services.store.transaction(by="test") as transaction:
        config = await transaction.find(alias=ALIAS)
        draft = ModelConfigDraft(alias=ALIAS, provider="openai", model=f"m{config.version if config else 0}")
        written = await (transaction.create(draft) if config is None else transaction.update(config, draft))
    return written.version


@pytest.mark.parametrize(
    ("token_seconds", "expiries"), [(4.0, 2), pytest.param(2.0, 10, marks=pytest.mark.long)], ids=["two", "ten"]
)
async def test_subscriptions_outlive_their_tokens(
    node_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token_seconds: float, expiries: int
) -> None:
    """An event every 50 ms, to three subscribers. The next is written when those that renew have the one before."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    seen = Seen()
    async with (
        live_server(tmp_path, access_token_seconds=token_seconds) as server,
        watcher(server, "renewing", seen) as renewing,
        watcher(server, "plain", seen) as plain,
        DynamicModelProvider(server.url, token=component_session(server), component="tokens") as provider,
    ):
        model = provider.get_lite_llm_model(ALIAS)
        links: list[LinkStatus] = []
        provider.on_link_change(lambda _, new: links.append(new))
        versions: list[int] = []
        loop = asyncio.get_running_loop()

        def applied(_: object, settings: Any) -> None:
            versions.append(settings.version if settings else 0)
            seen.notify()

        model.on_settings_change(applied)
        last = await change(server)
        await seen.until(lambda: versions == renewing.versions == [last] and bool(plain.versions))
        # All three have a token by now.
        end = loop.time() + expiries * token_seconds
        while loop.time() < end:
            await asyncio.sleep(EVENT_SECONDS)
            last = await change(server)
            await seen.until(lambda last=last: versions[-1] == renewing.versions[-1] == last)  # type: ignore[misc]
        await seen.until(lambda: plain.versions[-1] == last)

        assert versions == renewing.versions == list(range(last - len(versions) + 1, last + 1))
        assert [status.state for status in links] == [LinkState.LIVE]
        assert (renewing.connected, renewing.closed) == (1, [])
        assert len(renewing.renewed) >= expiries
        assert all(set(payload) == {"tokenExpiresAt"} for payload in renewing.renewed)
        # The same server, the same client, without the lines: it comes back, and ends where the others do.
        assert plain.connected > expiries / 2
        assert plain.closed
        assert all(closed == [4403, "Token expired"] for closed in plain.closed)
        assert all(earlier <= later for earlier, later in pairwise(plain.versions))
