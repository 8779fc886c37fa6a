"""The session of the console in a real browser: tokens of seconds, several tabs, and a server that refuses to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Request, Route, expect

from .conftest import ADMIN_KEY, Visit, ask, create, serving
from .conftest import signed_in as signed_in_at

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN_SECONDS = 15.0

SIGN_OUT = "mutation { signOut(input: {everywhere: true}) { ... on SignOutPayload { endedSessions } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a server whose access tokens are good for seconds."""
    async with serving(tmp_path_factory.mktemp("hasty"), access_token_seconds=TOKEN_SECONDS) as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A profile of its own: the tabs in it share a session."""
    context = await browser.new_context()
    yield context
    await context.close()


async def opened(context: BrowserContext, address: str) -> Visit:
    """Another tab."""
    visit = Visit(await context.new_page())
    await visit.page.goto(address)
    return visit


async def signed_in(context: BrowserContext, site: str) -> Visit:
    return await signed_in_at(Visit(await context.new_page()), site)


def refreshes(visit: Visit) -> list[Request]:
    return [request for request in visit.requests if "refreshSession" in (request.post_data or "")]


async def reaches(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 -- what the browser does sets no event
            await asyncio.sleep(0.05)


def pongs(visit: Visit) -> list[dict[str, Any]]:
    """The server's answers to tokens that were shown on an open socket."""
    return [frame["payload"] for frame in visit.received if frame["type"] == "pong" and frame.get("payload")]


async def test_websockets_outlive_their_token_and_one_tab_renews_for_all(context: BrowserContext, hasty: str) -> None:
    tabs = [await signed_in(context, hasty), await opened(context, hasty), await opened(context, hasty)]
    for tab in tabs:
        await expect(tab.page.get_by_role("row", name="planning")).to_be_visible()
    asked, seen = [len(refreshes(tab)) for tab in tabs], [len(pongs(tab)) for tab in tabs]
    over = asyncio.get_running_loop().time() + TOKEN_SECONDS
    await reaches(lambda: asyncio.get_running_loop().time() > over)
    for tab, before in zip(tabs, seen, strict=True):
        assert len(pongs(tab)) > before
        assert all("tokenExpiresAt" in payload for payload in pongs(tab))
        assert [socket.is_closed() for socket in tab.sockets] == [False]
    # Each socket was shown every token that one of the tabs had asked for.
    renewals = sum(len(refreshes(tab)) - before for tab, before in zip(tabs, asked, strict=True))
    assert renewals <= max(len(pongs(tab)) - before for tab, before in zip(tabs, seen, strict=True)) + 1
    await create(hasty, "after-the-first-token")
    for tab in tabs:
        await expect(tab.page.get_by_role("row", name="after-the-first-token")).to_be_visible()
        assert tab.problems == []


async def test_requests_that_fail_at_once_share_one_refresh(context: BrowserContext, site: str) -> None:
    tabs = [await signed_in(context, site), await opened(context, site), await opened(context, site)]
    for tab in tabs:
        await expect(tab.page.get_by_role("row", name="planning")).to_be_visible()
    # All tabs have the newest, which the last of them asked for to begin with.
    token = tabs[-1].sent[0]["payload"]["authorization"]
    together = asyncio.Barrier(len(tabs))

    async def refuse(route: Route) -> None:
        """Answer all requests with the token of before at once, as if it had expired."""
        if route.request.headers.get("authorization") != token:
            await route.continue_()
            return
        await together.wait()
        errors = [{"message": "the token has expired", "extensions": {"code": "UNAUTHENTICATED"}}]
        await route.fulfill(status=401, json={"errors": errors}, content_type="application/graphql-response+json")

    asked = [len(refreshes(tab)) for tab in tabs]
    await context.route("**/graphql", refuse)
    for tab in tabs:
        await tab.page.get_by_label("Search models").fill("general")
    for tab in tabs:
        await expect(tab.page.get_by_role("row", name="planning")).to_have_count(0)
        await expect(tab.page.get_by_role("row", name="general")).to_be_visible()
    assert sum(len(refreshes(tab)) - before for tab, before in zip(tabs, asked, strict=True)) == 1


async def test_signing_out_in_one_tab_signs_out_all(context: BrowserContext, site: str) -> None:
    first = await signed_in(context, site)
    second = await opened(context, f"{site}/#/models")
    await expect(second.page.get_by_role("heading", name="Models")).to_be_visible()
    await first.page.get_by_role("button", name="Sign out").click()
    for tab in (first, second):
        await expect(tab.page.get_by_label("API key")).to_be_visible()
        await reaches(lambda tab=tab: all(socket.is_closed() for socket in tab.sockets))  # type: ignore[misc]
    await second.page.reload()
    await expect(second.page.get_by_label("API key")).to_be_visible()
    assert await context.cookies() == []


async def test_a_refresh_that_is_refused_leads_to_sign_in_and_back(context: BrowserContext, site: str) -> None:
    visit = await signed_in(context, site)
    await visit.page.get_by_label("Search models").fill("plan")
    await ask(site, SIGN_OUT)
    await expect(visit.page.get_by_role("alert")).to_contain_text("You were signed out: ")
    await visit.sign_in(ADMIN_KEY)
    # Where the user was, with what was typed.
    await expect(visit.page.get_by_label("Search models")).to_have_value("plan")
    await create(site, "plan-made-elsewhere")
    await expect(visit.page.get_by_role("row", name="plan-made-elsewhere")).to_be_visible()


async def test_a_reload_stays_signed_in_where_the_user_was(context: BrowserContext, site: str) -> None:
    visit = await signed_in(context, site)
    await visit.page.reload()
    await expect(visit.page.get_by_role("heading", name="Models")).to_be_visible()
    assert visit.page.url == f"{site}/#/models"
    assert visit.problems == []


async def test_the_console_says_that_the_server_is_away_and_goes_on_when_it_is_back(
    context: BrowserContext, tmp_path: Path
) -> None:
    async with AsyncExitStack() as server:
        site = await server.enter_async_context(serving(tmp_path))
        visit = await signed_in(context, site)
        await server.aclose()
    await expect(visit.page.get_by_text("The connection is lost.")).to_be_visible()
    port = urlsplit(site).port
    assert port is not None
    async with serving(tmp_path, port=port):
        await create(site, "made-meanwhile")
        await expect(visit.page.get_by_role("row", name="made-meanwhile")).to_be_visible()
        await expect(visit.page.get_by_text("The connection is lost.")).to_have_count(0)
        await visit.page.close()


async def test_without_authentication_nobody_is_asked(context: BrowserContext, tmp_path: Path) -> None:
    async with serving(tmp_path, no_auth=True, admin_key=None) as site:
        visit = await opened(context, site)
        await expect(visit.page.get_by_role("heading", name="Models")).to_be_visible()
        await expect(visit.page.get_by_text("No authentication")).to_be_visible()
        await expect(visit.page.get_by_role("button", name="Sign out")).to_have_count(0)
        assert visit.problems == []
        await visit.page.close()
