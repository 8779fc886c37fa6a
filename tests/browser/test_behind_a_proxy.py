"""The pages behind a proxy that ends TLS and takes a path prefix off, in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from guarantees.servers import Server
from haproxy import PREFIX, HaProxy
from playwright.async_api import Browser, expect
from tls import make_tls

from .conftest import ADMIN_KEY, Visit

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(tmp_path: Path) -> AsyncIterator[HaProxy]:
    """In front of a server that knows of it."""
    environment = {"MODELWIRE_ADMIN_KEY": ADMIN_KEY}
    server = Server(tmp_path / "server", environment)
    proxy = HaProxy(tmp_path, make_tls(tmp_path), [server.port])
    environment.update(proxy.settings)
    try:
        await server.start()
        await proxy.start()
        yield proxy
    finally:
        await proxy.kill()
        await server.close()


async def test_a_session_of_the_console_lives_on_below_the_prefix(browser: Browser, proxy: HaProxy) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    visit = Visit(await context.new_page())
    await visit.page.goto(f"{proxy.url}/#key={ADMIN_KEY}")
    await expect(visit.page.get_by_role("row", name="planning")).to_be_visible()
    [cookie] = await context.cookies()
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == (f"{PREFIX}/graphql", True, True)
    # The page forgot its token; the cookie has come to the server and brought another.
    await visit.page.goto("about:blank")
    await visit.page.goto(proxy.url)
    await expect(visit.page.get_by_role("row", name="planning")).to_be_visible()
    assert {socket.url for socket in visit.sockets} == {f"{proxy.url.replace('https', 'wss')}/graphql"}
    assert visit.problems == []
    await context.close()
