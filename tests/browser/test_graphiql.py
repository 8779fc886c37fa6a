"""GraphiQL in a real browser, from our own build and under its Content-Security-Policy, against the real API."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from .conftest import PREFIX, Visit, assert_clean, create, serving

# One browser for all tests of this module; each has a profile and a server of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")

# All that a browser could keep for a page.
KEPT = """async () => JSON.stringify([
  {...localStorage}, {...sessionStorage}, document.cookie, history.state, window.name, location.href,
  await indexedDB.databases(), await caches.keys(), (await navigator.serviceWorker.getRegistrations()).length,
])"""


@pytest.mark.parametrize("prefix", ["", PREFIX])
async def test_query_mutation_and_subscription_run_as_the_page_offers_them(
    visit: Visit, site: str, admin_key: str, prefix: str
) -> None:
    await visit.page.goto(f"{site}{prefix}/graphiql")
    await visit.sign_in(admin_key)
    await visit.connected()

    await visit.run("ModelConfigs")
    await expect(visit.response).to_contain_text('"alias": "planning"')
    await visit.run("CreateModelConfig")
    await expect(visit.response).to_contain_text('"__typename": "CreateModelConfigPayload"')
    await visit.run("CreateModelConfig")
    await expect(visit.response).to_contain_text('"__typename": "AliasTaken"')

    await visit.run("WatchModelConfigs")
    await expect(visit.response).to_contain_text('"__typename": "ModelConfigSnapshot"')
    await expect(visit.response).to_contain_text('"alias": "graphiql-example"')
    await create(site, "made-elsewhere")
    await expect(visit.response).to_contain_text('"__typename": "ModelConfigChange"')
    await expect(visit.response).to_contain_text('"alias": "made-elsewhere"')

    [socket] = visit.sockets
    assert socket.url == f"ws{site.removeprefix('http')}{prefix}/graphql"
    # The key itself was shown once, to sign in; what the socket shows is the session's token.
    assert visit.sent[0]["type"] == "connection_init"
    assert visit.sent[0]["payload"]["authorization"].startswith("Bearer eyJ")
    async with socket.expect_event("close"):
        await visit.page.get_by_role("button", name="Stop query").click()
    assert visit.sent[-1]["type"] == "complete"
    assert_clean(visit, site)


async def test_a_subscription_goes_on_when_a_server_that_was_away_is_back(
    visit: Visit, tmp_path: Path, admin_key: str
) -> None:
    async with AsyncExitStack() as server:
        site = await server.enter_async_context(serving(tmp_path))
        await visit.page.goto(f"{site}/graphiql")
        await visit.sign_in(admin_key)
        await visit.connected()
        await visit.run("WatchModelConfigs")
        await expect(visit.response).to_contain_text('"__typename": "ModelConfigSnapshot"')
        async with visit.page.expect_console_message(lambda said: "ERR_CONNECTION_REFUSED" in said.text) as refused:
            await server.aclose()
    assert "WebSocket" in (await refused.value).text
    port = urlsplit(site).port
    assert port is not None
    async with serving(tmp_path, port=port):
        await create(site, "made-elsewhere")
        await expect(visit.response).to_contain_text('"alias": "made-elsewhere"')
    assert {urlsplit(address).netloc for address in visit.addresses} == {urlsplit(site).netloc}


async def test_scripts_keep_nothing_but_the_theme_and_that_there_is_a_session(
    visit: Visit, site: str, admin_key: str
) -> None:
    page = visit.page
    await page.clock.install()
    await page.goto(f"{site}/graphiql")
    await visit.sign_in(admin_key)
    await visit.connected()
    await page.get_by_role("button", name="Headers").click()
    headers = page.get_by_role("region", name="Headers")
    await headers.locator(".CodeMirror:visible").click()
    await page.keyboard.insert_text('{"X-Typed": "typed"}')
    await expect(headers).to_contain_text("X-Typed")
    async with page.expect_request("**/graphql") as request:
        await page.get_by_role("button", name="Execute query").click()
    assert await (await request.value).header_value("X-Typed") == "typed"
    await visit.run("CreateModelConfig")
    await expect(visit.response).to_contain_text("CreateModelConfigPayload")
    await visit.run("WatchModelConfigs")
    await expect(visit.response).to_contain_text("ModelConfigSnapshot")
    await page.get_by_role("button", name="Open settings dialog").click()
    await page.get_by_role("button", name="Dark").click()
    # GraphiQL saves with a delay.
    await page.clock.run_for(60_000)
    kept = await page.evaluate(KEPT)
    stored = {"graphiql:theme": "dark", "modelwire:signed-in": "yes"}
    assert json.loads(kept) == [stored, {}, "", None, "", f"{site}/graphiql", [], [], 0]
    [cookie] = await page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("modelwire_refresh", True, "Strict")

    await page.reload()
    await visit.connected()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_have_value("")
    assert await page.context.cookies() == []
    assert_clean(visit, site)


async def test_a_sign_in_link_is_read_once_and_leaves_the_address_bar(visit: Visit, site: str, admin_key: str) -> None:
    await visit.page.goto(f"{site}/graphiql#key={admin_key}")
    await visit.connected()
    assert visit.page.url == f"{site}/graphiql"
    assert not [address for address in visit.addresses if admin_key in address]

    # In a tab that has the page already, such a link loads nothing anew.
    await visit.page.evaluate(f"location.hash = 'key={admin_key}'")
    await visit.connected()
    await expect(visit.page).to_have_url(f"{site}/graphiql")
    assert_clean(visit, site)


async def test_a_wrong_key_is_refused_with_a_reason_and_another_can_be_tried(
    visit: Visit, site: str, admin_key: str
) -> None:
    await visit.page.goto(f"{site}/graphiql#key={admin_key[:-1]}0")
    await expect(visit.page.get_by_role("alert")).to_contain_text("The key was refused: ")
    await visit.sign_in("no key at all …")
    await expect(visit.page.get_by_role("alert")).to_contain_text("This is no API key")
    await visit.sign_in(admin_key)
    await visit.connected()
    # The browser itself notes the refusal, and nothing else is amiss.
    assert [problem for problem in visit.problems if "401" not in problem] == []


async def test_signing_out_closes_the_socket(visit: Visit, site: str, admin_key: str) -> None:
    await visit.page.goto(f"{site}/graphiql")
    await visit.sign_in(admin_key)
    await visit.connected()
    await visit.run("WatchModelConfigs")
    await expect(visit.response).to_contain_text("ModelConfigSnapshot")
    [socket] = visit.sockets
    async with socket.expect_event("close"):
        await visit.page.get_by_role("button", name="Sign out").click()
    await expect(visit.page.get_by_label("API key")).to_have_value("")
    assert_clean(visit, site)


async def test_all_parts_of_graphiql_work_under_the_policy(visit: Visit, site: str, admin_key: str) -> None:
    page = visit.page
    await page.goto(f"{site}/graphiql")
    await visit.sign_in(admin_key)
    await visit.connected()
    await page.get_by_role("button", name="Show Documentation Explorer").click()
    await page.get_by_role("link", name="Subscription", exact=True).click()
    await page.get_by_role("link", name="modelConfigChanged").click()
    await expect(page.locator(".graphiql-plugin")).to_contain_text("The current state of what")
    await page.get_by_role("button", name="Show History").click()
    await expect(page.locator(".graphiql-history")).to_be_visible()
    await page.get_by_role("button", name="Open short keys dialog").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Short Keys")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=re.compile("Prettify")).click()
    await page.get_by_role("button", name="New tab").click()
    await page.locator(".graphiql-query-editor .CodeMirror").click()
    await page.keyboard.type("{ model")
    await expect(page.locator(".CodeMirror-hints")).to_contain_text("modelConfigs")
    await page.keyboard.press("Escape")
    await page.keyboard.type("Nonsense }")
    await expect(page.get_by_text("modelNonsense")).to_contain_class("CodeMirror-lint-mark-error")
    await page.keyboard.press("Control+Enter")
    await expect(visit.response).to_contain_text("BAD_USER_INPUT")
    # The browser notes the answer's status, and nothing else is amiss.
    assert [problem for problem in visit.problems if "400 (Bad Request)" not in problem] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_follows_the_colours_of_the_system_and_of_the_settings(
    browser: Browser, site: str, admin_key: str, scheme: str
) -> None:
    page = await browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    visit = Visit(page)
    brightness = "element => getComputedStyle(element).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"

    async def is_dark(selector: str) -> bool:
        return bool(max(await page.locator(selector).evaluate(brightness)) < 100)

    await page.goto(f"{site}/graphiql#key={admin_key}")
    await expect(page.locator(".graphiql-container")).to_be_visible()
    for selector in ("body", ".explorer > header", ".graphiql-container"):
        assert await is_dark(selector) == (scheme == "dark")
    await page.get_by_role("button", name="Open settings dialog").click()
    await page.get_by_role("button", name="Light" if scheme == "dark" else "Dark").click()
    for selector in ("body", ".explorer > header", ".graphiql-container"):
        assert await is_dark(selector) == (scheme == "light")
    assert_clean(visit, site)
    await page.close()
