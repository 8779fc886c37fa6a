"""A server with its web pages in this process, and a real browser whose pages write down what they do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Page, Request, WebSocket, async_playwright, expect
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import Mount

from modelwire.server.app import create_app
from modelwire.server.console import built_console
from modelwire.server.graphql import HttpProtocol, WebSocketProtocol
from modelwire.server.settings import Settings

CHROMIUM = "/usr/bin/chromium"
ADMIN_KEY = "mw_browser001_" + "5a" * 32
PREFIX = "/behind/a/prefix"
TIMEOUT_MILLISECONDS = 60_000


@pytest.fixture
def admin_key() -> str:
    return ADMIN_KEY


@asynccontextmanager
async def serving(data_dir: Path, *, port: int = 0, **settings: Any) -> AsyncIterator[str]:
    """A server and its address. All of it is at the root and, as behind a proxy, under PREFIX."""
    assert built_console() is not None, "the console is not built: run `make console`"
    given = {"data_dir": data_dir, "admin_key": SecretStr(ADMIN_KEY), **settings}
    api = create_app(Settings(**given), lambda start: None)
    app = Starlette(
        routes=[Mount(PREFIX, app=api), Mount("/", app=api)], lifespan=lambda _: api.router.lifespan_context(api)
    )
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        run = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await run


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a server."""
    async with serving(tmp_path) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, with no name that it could resolve and no host that it could reach but this one."""
    assert os.access(CHROMIUM, os.X_OK), (
        f"the browser tests need {CHROMIUM}: run `make check`, or install the package chromium"
    )
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        await browser.close()


CREATE = """
mutation ($input: CreateModelConfigInput!) {
  createModelConfig(input: $input) { ... on CreateModelConfigPayload { modelConfig { id } } }
}
"""
UPDATE = """
mutation ($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) { ... on UpdateModelConfigPayload { modelConfig { version } } }
}
"""


async def ask(site: str, query: str, **variables: Any) -> dict[str, Any]:
    """The data of an operation that somebody else does, who may do everything."""
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as client:
        answer = (await client.post(f"{site}/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    data: dict[str, Any] = answer["data"]
    return data


async def create(site: str, alias: str, **given: Any) -> str:
    """Make a model config, as somebody else would; its id."""
    model = {"alias": alias, "provider": "openai", "model": "gpt-4o", **given}
    made = await ask(site, CREATE, input=model)
    return str(made["createModelConfig"]["modelConfig"]["id"])


async def update(site: str, id_: str, version: int, **given: Any) -> None:
    """Change a model config that is at `version`, as somebody else would."""
    done = await ask(site, UPDATE, input={"id": id_, "expectedVersion": version, **given})
    assert done == {"updateModelConfig": {"modelConfig": {"version": version + 1}}}


class Visit:
    """One page, and what it did.

    `problems` has the errors and warnings of the console (violations of the Content-Security-Policy are among them)
    and exceptions, `addresses` every address that was asked for, `requests` those by HTTP, `sent` and `received` every
    message on a websocket.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.addresses: list[str] = []
        self.requests: list[Request] = []
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.sockets: list[WebSocket] = []
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        expect.set_options(timeout=TIMEOUT_MILLISECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._request)
        page.on("websocket", self._websocket)
        self.response = page.locator(".result-window")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(message.text)

    def _request(self, request: Request) -> None:
        self.addresses.append(request.url)
        self.requests.append(request)

    def _websocket(self, socket: WebSocket) -> None:
        self.addresses.append(socket.url)
        self.sockets.append(socket)
        socket.on("framesent", lambda frame: self.sent.append(json.loads(frame)))
        socket.on("framereceived", lambda frame: self.received.append(json.loads(frame)))

    async def sign_in(self, key: str) -> None:
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()

    async def connected(self) -> None:
        """Wait until the key was taken and GraphiQL's editors, which are loaded then, are there."""
        await expect(self.page.get_by_role("status")).to_have_text("Signed in as administrator")
        for editor in (".graphiql-query-editor", ".result-window"):
            await expect(self.page.locator(f"{editor} .CodeMirror")).to_be_visible()

    async def run(self, tab: str) -> None:
        """Show a tab and press its play button."""
        await self.page.get_by_role("tab").get_by_role("button", name=tab, exact=True).click()
        await self.page.get_by_role("button", name="Execute query").click()


async def signed_in(visit: Visit, site: str, path: str = "/models") -> Visit:
    """Open a page of the console with a key, and wait until it is there."""
    await visit.page.goto(f"{site}/#key={ADMIN_KEY}")
    await expect(visit.page.get_by_role("row", name="planning")).to_be_visible()
    if path != "/models":
        await visit.page.goto(f"{site}/#{path}")
    return visit


def assert_clean(visit: Visit, site: str) -> None:
    """Nothing is amiss in the browser, and no request left for another host."""
    assert visit.problems == []
    assert {urlsplit(address).netloc for address in visit.addresses} == {urlsplit(site).netloc}


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """A page in a profile of its own."""
    page = await browser.new_page(viewport={"width": 1400, "height": 900})
    yield Visit(page)
    await page.close()
